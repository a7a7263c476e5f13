//! Registry records: who may trade what, in which units, at which fee.
//!
//! Ids are chosen by the host and stay. Assets and instruments are dense from 0; accounts are from 2 (0 is the outside
//! world, 1 the venue's fees) and below 65536; sessions from 1 and below 65536. A record for an id that exists replaces
//! what may change; the machine says what may.

use super::error::{Allowed, RecordError};
use super::wire::{Reader, byte_enum};

/// A number as mantissa and decimal exponent: `mantissa * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Scaled {
    /// Digits.
    pub mantissa: u64,
    /// Power of ten.
    pub exponent: i8,
}

byte_enum! {
    /// How a fee that is no whole number of smallest units is rounded. By its magnitude, so that a rebate and a fee of
    /// the same rate are the same amount, and a rebate never exceeds the fee that pays for it.
    #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
    Rounding("rounding", "0 to 2") {
        /// Towards zero.
        Down = 0 => "down",
        /// Away from zero.
        Up = 1 => "up",
        /// To the nearest; a tie to the even one.
        HalfEven = 2 => "half-even",
    }
}

/// A currency, a share, a coin: what can be owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Asset {
    /// Dense from 0.
    pub id: u16,
    /// Its name.
    pub name: [u8; 8],
    /// The smallest unit is `10^exponent`: -2 for cents.
    pub exponent: i8,
}

/// Something to trade: `base` for `quote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Instrument {
    /// Dense from 0; the matcher's index.
    pub id: u16,
    /// Its symbol.
    pub symbol: [u8; 8],
    /// Asset that is bought and sold.
    pub base: u16,
    /// Asset that is paid.
    pub quote: u16,
    /// Price step, in quote per base.
    pub tick: Scaled,
    /// Quantity step, in base.
    pub lot: Scaled,
    /// Value of one base unit counts this often.
    pub multiplier: u32,
    /// Price of tick 0 of the band, in ticks.
    pub band_base: u64,
    /// Ticks of the band.
    pub band_ticks: u32,
    /// Of fees.
    pub rounding: Rounding,
    /// [`wirebook_matcher::abi::Capabilities`] that its matcher must have, as bits.
    pub needs: u32,
}

/// Who owns money and positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Account {
    /// From 2.
    pub id: u32,
    /// What self-trade prevention compares; 0 is exempt.
    pub owner: u16,
    /// Its name.
    pub name: [u8; 16],
    /// [`wirebook_matcher::abi::SelfTrade`] mode of its orders, 0 to 3.
    pub self_trade: u8,
}

/// A login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct SessionLogin {
    /// From 1.
    pub id: u32,
    /// Whose money it trades.
    pub account: u32,
    /// Its name.
    pub username: [u8; 6],
    /// Whether its orders go when it is lost.
    pub cancel_on_disconnect: bool,
}

/// What risk lets an account do. The gateway enforces it; the machine keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct RiskLimits {
    /// Whose.
    pub account: u32,
    /// Lots of one order; 0 allows none.
    pub max_order_qty: u32,
    /// Value of one order, in the quote's smallest unit; 0 or more.
    pub max_notional: i128,
    /// Live orders at a time.
    pub max_open_orders: u32,
    /// Ticks from the mark price that a limit may be worse; 0: no collar.
    pub collar_ticks: u32,
    /// Messages a second; 0: no limit.
    pub messages_per_second: u32,
    /// Orders alike a second; 0: no limit.
    pub duplicates_per_second: u32,
}

/// What a fill pays the venue, per side; a negative rate is a rebate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Fee {
    /// Of which instrument.
    pub instrument: u16,
    /// Millionths of the fill's value, of the resting side.
    pub maker_ppm: i32,
    /// Millionths of the fill's value, of the aggressor.
    pub taker_ppm: i32,
}

/// Whether an account may trade an instrument. The gateway enforces it; the machine keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Restriction {
    /// Who.
    pub account: u32,
    /// What.
    pub instrument: u16,
    /// Whether it may not.
    pub restricted: bool,
}

/// The most that an account may have of an asset, in its smallest unit, reserves included. Transfers that would go beyond are
/// refused; what a fill brings is not, for an order that was admitted is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Ceiling {
    /// Whose.
    pub account: u32,
    /// Of what.
    pub asset: u16,
    /// 0 or more; [`crate::ledger::MAX_SUPPLY`] or more is no ceiling.
    pub most: i128,
}

/// One entry of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Registry {
    Asset(Asset),
    Instrument(Instrument),
    Account(Account),
    Session(SessionLogin),
    Limits(RiskLimits),
    Fee(Fee),
    Restrict(Restriction),
    Ceiling(Ceiling),
}

impl Registry {
    /// Bytes of the payload.
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::Asset(_) | Self::Session(_) | Self::Fee(_) => 24,
            Self::Instrument(_) => 64,
            Self::Account(_) | Self::Ceiling(_) => 32,
            Self::Limits(_) => 48,
            Self::Restrict(_) => 16,
        }
    }

    /// Appends the payload's bytes: also what the registry's digest is made of.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let tag = match self {
            Self::Asset(_) => 1u8,
            Self::Instrument(_) => 2,
            Self::Account(_) => 3,
            Self::Session(_) => 4,
            Self::Limits(_) => 5,
            Self::Fee(_) => 6,
            Self::Restrict(_) => 7,
            Self::Ceiling(_) => 8,
        };
        out.extend_from_slice(&[tag, 0, 0, 0, 0, 0, 0, 0]);
        match self {
            Self::Asset(asset) => {
                out.extend_from_slice(&asset.name);
                out.extend_from_slice(&asset.id.to_le_bytes());
                out.extend_from_slice(&asset.exponent.to_le_bytes());
                out.extend_from_slice(&[0; 5]);
            }
            Self::Instrument(instrument) => {
                out.extend_from_slice(&instrument.symbol);
                out.extend_from_slice(&instrument.id.to_le_bytes());
                out.extend_from_slice(&instrument.base.to_le_bytes());
                out.extend_from_slice(&instrument.quote.to_le_bytes());
                out.extend_from_slice(&instrument.tick.exponent.to_le_bytes());
                out.extend_from_slice(&instrument.lot.exponent.to_le_bytes());
                out.extend_from_slice(&instrument.tick.mantissa.to_le_bytes());
                out.extend_from_slice(&instrument.lot.mantissa.to_le_bytes());
                out.extend_from_slice(&instrument.band_base.to_le_bytes());
                out.extend_from_slice(&instrument.band_ticks.to_le_bytes());
                out.extend_from_slice(&instrument.multiplier.to_le_bytes());
                out.extend_from_slice(&instrument.needs.to_le_bytes());
                out.extend_from_slice(&[instrument.rounding as u8, 0, 0, 0]);
            }
            Self::Account(account) => {
                out.extend_from_slice(&account.id.to_le_bytes());
                out.extend_from_slice(&account.owner.to_le_bytes());
                out.extend_from_slice(&[account.self_trade, 0]);
                out.extend_from_slice(&account.name);
            }
            Self::Session(session) => {
                out.extend_from_slice(&session.id.to_le_bytes());
                out.extend_from_slice(&session.account.to_le_bytes());
                out.extend_from_slice(&session.username);
                out.extend_from_slice(&[u8::from(session.cancel_on_disconnect), 0]);
            }
            Self::Limits(limits) => {
                out.extend_from_slice(&limits.account.to_le_bytes());
                out.extend_from_slice(&limits.max_order_qty.to_le_bytes());
                out.extend_from_slice(&limits.max_notional.to_le_bytes());
                out.extend_from_slice(&limits.max_open_orders.to_le_bytes());
                out.extend_from_slice(&limits.collar_ticks.to_le_bytes());
                out.extend_from_slice(&limits.messages_per_second.to_le_bytes());
                out.extend_from_slice(&limits.duplicates_per_second.to_le_bytes());
            }
            Self::Fee(fee) => {
                out.extend_from_slice(&fee.instrument.to_le_bytes());
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&fee.maker_ppm.to_le_bytes());
                out.extend_from_slice(&fee.taker_ppm.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
            }
            Self::Restrict(restriction) => {
                out.extend_from_slice(&restriction.account.to_le_bytes());
                out.extend_from_slice(&restriction.instrument.to_le_bytes());
                out.extend_from_slice(&[u8::from(restriction.restricted), 0]);
            }
            Self::Ceiling(ceiling) => {
                out.extend_from_slice(&ceiling.account.to_le_bytes());
                out.extend_from_slice(&ceiling.asset.to_le_bytes());
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&ceiling.most.to_le_bytes());
            }
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        let tag = r.choice("registry entry", "1 to 8", |byte| (1..=8).contains(&byte).then_some(byte))?;
        r.zeros("registry reserved", 7)?;
        let entry = match tag {
            1 => {
                let (name, id, exponent) = (r.array("asset name")?, r.u16("asset id")?, r.i8("asset exponent")?);
                r.zeros("asset reserved", 5)?;
                Self::Asset(Asset { id, name, exponent })
            }
            2 => Self::Instrument(Instrument::decode(r)?),
            3 => {
                let (id, owner) = (r.u32("account id")?, r.u16("owner")?);
                let self_trade = r.choice("self_trade", "0 to 3", |byte| (byte <= 3).then_some(byte))?;
                r.zeros("account reserved", 1)?;
                Self::Account(Account { id, owner, self_trade, name: r.array("account name")? })
            }
            4 => {
                let (id, account) = (r.u32("session id")?, r.u32("session account")?);
                let (username, cancel_on_disconnect) = (r.array("username")?, r.flag("cancel_on_disconnect")?);
                r.zeros("session reserved", 1)?;
                Self::Session(SessionLogin { id, account, username, cancel_on_disconnect })
            }
            5 => {
                let (account, max_order_qty) = (r.u32("limits account")?, r.u32("max_order_qty")?);
                let max_notional = r.i128("max_notional")?;
                if max_notional < 0 {
                    return Err(r.bad(16, "max_notional", max_notional, Allowed::Text("0 or more")));
                }
                Self::Limits(RiskLimits {
                    account,
                    max_order_qty,
                    max_notional,
                    max_open_orders: r.u32("max_open_orders")?,
                    collar_ticks: r.u32("collar_ticks")?,
                    messages_per_second: r.u32("messages_per_second")?,
                    duplicates_per_second: r.u32("duplicates_per_second")?,
                })
            }
            6 => {
                let instrument = r.u16("fee instrument")?;
                r.zeros("fee reserved", 2)?;
                let (maker_ppm, taker_ppm) = (r.i32("maker_ppm")?, r.i32("taker_ppm")?);
                r.zeros("fee reserved", 4)?;
                Self::Fee(Fee { instrument, maker_ppm, taker_ppm })
            }
            7 => {
                let (account, instrument) = (r.u32("restrict account")?, r.u16("restrict instrument")?);
                let restricted = r.flag("restricted")?;
                r.zeros("restrict reserved", 1)?;
                Self::Restrict(Restriction { account, instrument, restricted })
            }
            _ => {
                let (account, asset) = (r.u32("ceiling account")?, r.u16("ceiling asset")?);
                r.zeros("ceiling reserved", 2)?;
                let most = r.i128("most")?;
                if most < 0 {
                    return Err(r.bad(16, "most", most, Allowed::Text("0 or more")));
                }
                Self::Ceiling(Ceiling { account, asset, most })
            }
        };
        Ok(entry)
    }
}

impl Instrument {
    fn decode(r: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (symbol, id) = (r.array("symbol")?, r.u16("instrument id")?);
        let (base, quote) = (r.u16("base")?, r.u16("quote")?);
        let (tick_exponent, lot_exponent) = (r.i8("tick exponent")?, r.i8("lot exponent")?);
        let tick = Scaled { mantissa: r.u64("tick mantissa")?, exponent: tick_exponent };
        let lot = Scaled { mantissa: r.u64("lot mantissa")?, exponent: lot_exponent };
        let (band_base, band_ticks) = (r.u64("band_base")?, r.u32("band_ticks")?);
        let (multiplier, needs) = (r.u32("multiplier")?, r.u32("needs")?);
        let rounding = Rounding::read(r)?;
        r.zeros("instrument reserved", 3)?;
        Ok(Self { id, symbol, base, quote, tick, lot, multiplier, band_base, band_ticks, rounding, needs })
    }
}
