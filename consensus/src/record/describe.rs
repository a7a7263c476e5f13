//! A record as one line for people: `wirebook journal dump`.

use core::fmt;

use wirebook_matcher::abi::{Command, Kind, Side, TimeInForce};

use super::registry::{Registry, Scaled};
use super::state::{ALL_ACCOUNTS, State};
use super::{Header, Payload, Record, Seq};

impl Record<'_> {
    /// The record as one line: epoch and counter, time, session, kind, then the payload's fields by name.
    pub fn describe(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.header, self.payload)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.time_ns / 1_000_000_000, self.time_ns % 1_000_000_000);
        write!(f, "{}.{} {seconds}.{nanos:09} ", Seq::epoch(self.seq), Seq::counter(self.seq))?;
        if self.shard != 0 {
            write!(f, "shard {} ", self.shard)?;
        }
        match self.session {
            0 => write!(f, "venue ")?,
            session => write!(f, "session {session} ")?,
        }
        f.write_str(self.kind.name())
    }
}

impl fmt::Display for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(e) => {
                write!(f, "previous_end {}.{}", Seq::epoch(e.previous_end), Seq::counter(e.previous_end))?;
                write!(f, " previous_digest {} abi {}", Hex(&e.previous_digest[..8]), Hex(&e.abi_hash[..8]))?;
                write!(f, " slots {} max_qty {} capabilities {:#x}", e.slots, e.max_qty, e.capabilities)?;
                f.write_str(if e.clean { " clean" } else { " unclean" })
            }
            Self::Order(order) => {
                write!(f, "{} origin {}", Beat(&order.command), order.origin.name())?;
                message(f, order.protocol.name(), order.message)
            }
            Self::Reject(reject) => {
                write!(f, "{} reason {:#06x}", reject.answer.name(), reject.reason)?;
                message(f, reject.protocol.name(), reject.message)
            }
            Self::Session(act) => {
                f.write_str(act.act.name())?;
                message(f, act.protocol.name(), act.message)
            }
            Self::Registry(entry) => write!(f, "{entry}"),
            Self::Transfer(t) => {
                write!(f, "id {:#x} from {} to {} asset {} amount {}", t.id, t.from, t.to, t.asset, t.amount)
            }
            Self::Chain(chain) => chain.legs().enumerate().try_for_each(|(at, leg)| {
                let (t, between) = (leg.transfer, if at == 0 { "" } else { "; " });
                write!(f, "{between}{} id {:#x} from {} to {}", leg.action.name(), t.id, t.from, t.to)?;
                write!(f, " asset {} amount {}", t.asset, t.amount)?;
                match (leg.pending, leg.expires_ns) {
                    (0, 0) => Ok(()),
                    (0, time) => write!(f, " expires {}.{:09}", time / 1_000_000_000, time % 1_000_000_000),
                    (pending, _) => write!(f, " of {pending:#x}"),
                }
            }),
            Self::State(state) => write!(f, "{state}"),
            Self::Seal(s) => {
                let first = s.first_seq;
                write!(f, "batch {} first {}.{}", s.number, Seq::epoch(first), Seq::counter(first))?;
                write!(f, " records {}", s.records)
            }
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(a) => write!(f, "asset {} {} unit 1e{}", a.id, Text(&a.name), a.exponent),
            Self::Instrument(i) => {
                write!(f, "instrument {} {} base {} quote {}", i.id, Text(&i.symbol), i.base, i.quote)?;
                write!(f, " tick {} lot {} multiplier {}", i.tick, i.lot, i.multiplier)?;
                write!(f, " band {}+{} rounding {}", i.band_base, i.band_ticks, i.rounding.name())?;
                write!(f, " needs {:#x}", i.needs)
            }
            Self::Account(a) => {
                write!(f, "account {} {} owner {} self_trade {}", a.id, Text(&a.name), a.owner, a.self_trade)
            }
            Self::Session(s) => {
                write!(f, "session {} {} account {}", s.id, Text(&s.username), s.account)?;
                f.write_str(if s.cancel_on_disconnect { " cancel-on-disconnect" } else { "" })
            }
            Self::Limits(l) => {
                write!(f, "limits account {} max_order_qty {}", l.account, l.max_order_qty)?;
                write!(f, " max_notional {} max_open_orders {}", l.max_notional, l.max_open_orders)?;
                write!(f, " collar_ticks {} messages_per_second {}", l.collar_ticks, l.messages_per_second)?;
                write!(f, " duplicates_per_second {}", l.duplicates_per_second)
            }
            Self::Fee(x) => {
                write!(f, "fee instrument {} maker {} taker {} ppm", x.instrument, x.maker_ppm, x.taker_ppm)
            }
            Self::Ceiling(c) => write!(f, "ceiling account {} asset {} most {}", c.account, c.asset, c.most),
            Self::Restrict(r) => {
                let word = if r.restricted { "restrict" } else { "allow" };
                write!(f, "{word} account {} instrument {}", r.account, r.instrument)
            }
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day { date, phase, session_name } => {
                write!(f, "day {date} {} session_name {}", phase.name(), Text(session_name))
            }
            Self::Halt { instrument, mode } => write!(f, "halt instrument {instrument} {}", mode.name()),
            Self::Mark { instrument, price_ticks } => {
                write!(f, "mark instrument {instrument} price_ticks {price_ticks}")
            }
            Self::Kill { account: ALL_ACCOUNTS, on } => write!(f, "kill all {}", if *on { "on" } else { "off" }),
            Self::Kill { account, on } => write!(f, "kill account {account} {}", if *on { "on" } else { "off" }),
        }
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e{}", self.mantissa, self.exponent)
    }
}

/// A command by its meaning; a field that means nothing is shown raw.
struct Beat<'a>(&'a Command);

impl fmt::Display for Beat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.0;
        let side = if command.side() == Side::Buy { "buy" } else { "sell" };
        let (instrument, owner, slot) = (command.instrument, command.owner, command.slot);
        match Kind::from_byte(command.kind) {
            None => write!(f, "kind {}?", command.kind)?,
            Some(Kind::Nop) => return f.write_str("nop"),
            Some(Kind::New) => write!(f, "new {side} {} @ tick {} slot {slot}", command.qty, command.tick)?,
            Some(Kind::Cancel) => write!(f, "cancel slot {slot}")?,
            Some(Kind::Reduce) => write!(f, "reduce slot {slot} by {}", command.qty)?,
            Some(Kind::Replace) => {
                write!(f, "replace slot {slot} by slot {}", command.slot2)?;
                match command.relative() {
                    true => write!(f, " leaves {:+} @ tick {}", command.qty.cast_signed(), command.tick)?,
                    false => write!(f, " leaves {} @ tick {}", command.qty, command.tick)?,
                }
            }
        }
        match command.time_in_force() {
            Some(TimeInForce::Gtc) => {}
            Some(TimeInForce::Ioc) => f.write_str(" ioc")?,
            Some(TimeInForce::Fok) => f.write_str(" fok")?,
            None => f.write_str(" tif 3?")?,
        }
        if command.post_only() {
            f.write_str(" post-only")?;
        }
        if command.flags & 3 != 0 {
            write!(f, " {:?}", command.self_trade())?;
        }
        write!(f, " instrument {instrument} owner {owner}")
    }
}

fn message(f: &mut fmt::Formatter<'_>, protocol: &str, bytes: &[u8]) -> fmt::Result {
    if bytes.is_empty() { Ok(()) } else { write!(f, " {protocol} {}", Hex(bytes)) }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text in quotes, without the padding behind it; what is not printable ASCII is escaped, so that a line stays one.
struct Text<'a>(&'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| *byte != b' ' && *byte != 0).map_or(0, |at| at + 1);
        write!(f, "\"{}\"", self.0[..end].escape_ascii())
    }
}
