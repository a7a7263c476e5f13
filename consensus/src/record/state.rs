//! State records: the day, halts, mark prices, kill switches.

use super::error::RecordError;
use super::wire::{Reader, byte_enum};

/// The account of a kill switch that means every account.
pub const ALL_ACCOUNTS: u32 = u32::MAX;

byte_enum! {
    /// Of the trading day.
    DayPhase("phase", "0 or 1") {
        /// It begins.
        Open = 0 => "open",
        /// It ends.
        Close = 1 => "close",
    }
}

byte_enum! {
    /// What an instrument lets through.
    HaltMode("halt mode", "0 to 2") {
        /// Everything.
        Trading = 0 => "trading",
        /// Cancels alone.
        Halted = 1 => "halted",
        /// Nothing.
        Frozen = 2 => "frozen",
    }
}

/// What the venue's state is from here on. The gateway enforces it; the machine keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    /// `date` is year, month, day as in 20261121; `session_name` is what clients log in to.
    Day {
        date: u32,
        phase: DayPhase,
        session_name: [u8; 10],
    },
    Halt {
        instrument: u16,
        mode: HaltMode,
    },
    /// The price that collars are measured from, in ticks (not an offset in the band).
    Mark {
        instrument: u16,
        price_ticks: u64,
    },
    /// Takes no orders of this account, or of [`ALL_ACCOUNTS`], while on.
    Kill {
        account: u32,
        on: bool,
    },
}

impl State {
    /// Bytes of the payload.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Day { .. } => 24,
            Self::Halt { .. } | Self::Kill { .. } => 8,
            Self::Mark { .. } => 16,
        }
    }

    /// Appends the payload's bytes: also what the state's digest is made of.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Day { date, phase, session_name } => {
                out.extend_from_slice(&[1, *phase as u8, 0, 0]);
                out.extend_from_slice(&date.to_le_bytes());
                out.extend_from_slice(session_name);
                out.extend_from_slice(&[0; 6]);
            }
            Self::Halt { instrument, mode } => {
                out.extend_from_slice(&[2, *mode as u8]);
                out.extend_from_slice(&instrument.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
            }
            Self::Mark { instrument, price_ticks } => {
                out.extend_from_slice(&[3, 0]);
                out.extend_from_slice(&instrument.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&price_ticks.to_le_bytes());
            }
            Self::Kill { account, on } => {
                out.extend_from_slice(&[4, u8::from(*on), 0, 0]);
                out.extend_from_slice(&account.to_le_bytes());
            }
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        let tag = r.choice("state entry", "1 to 4", |byte| (1..=4).contains(&byte).then_some(byte))?;
        Ok(match tag {
            1 => {
                let phase = DayPhase::read(r)?;
                r.zeros("day reserved", 2)?;
                let (date, session_name) = (r.u32("date")?, r.array("session_name")?);
                r.zeros("day reserved", 6)?;
                Self::Day { date, phase, session_name }
            }
            2 => {
                let mode = HaltMode::read(r)?;
                let instrument = r.u16("halt instrument")?;
                r.zeros("halt reserved", 4)?;
                Self::Halt { instrument, mode }
            }
            3 => {
                r.zeros("mark reserved", 1)?;
                let instrument = r.u16("mark instrument")?;
                r.zeros("mark reserved", 4)?;
                Self::Mark { instrument, price_ticks: r.u64("price_ticks")? }
            }
            _ => {
                let on = r.flag("kill on")?;
                r.zeros("kill reserved", 2)?;
                Self::Kill { account: r.u32("kill account")?, on }
            }
        })
    }
}
