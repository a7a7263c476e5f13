//! What a record's message says beyond its beat.

use wirebook_matcher::abi::Kind;
use wirebook_settlement::record::{Answer, Payload};

use super::orders::Order;
use crate::risk::FINGERPRINT_BYTES;
use crate::session::ouch::inbound::{EnterOrder, ReplaceOrder};
use crate::session::ouch::{self, Firm, TagValue};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What an order's message says beyond its beat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub user_ref: u32,
    pub kind: ouch::Side,
    pub firm: Firm,
    pub group: u16,
    /// Seconds to live; 0 for no end.
    seconds: u32,
}

impl Facts {
    /// Of an order. The options are read for themselves, so that what follows from a record does not hang on what is valid today.
    pub(super) fn of_order(order: &EnterOrder<'_>) -> Self {
        let mut facts = Self {
            user_ref: order.user_ref_num,
            kind: order.side.get().unwrap_or(ouch::Side::Buy),
            firm: Firm::BLANK,
            group: 0,
            seconds: 0,
        };
        facts.read(order.appendage);
        facts
    }

    /// Of a replacement: it keeps what it does not say.
    pub(super) fn of_replacement(order: &ReplaceOrder<'_>, original: &Order) -> Self {
        let mut facts = Self {
            user_ref: order.user_ref_num,
            kind: original.kind,
            firm: original.firm,
            group: original.group,
            seconds: 0,
        };
        facts.read(order.appendage);
        facts
    }

    fn read(&mut self, options: ouch::Appendage<'_>) {
        for option in options {
            match option {
                TagValue::Firm(firm) => self.firm = firm,
                TagValue::GroupId(group) => self.group = group,
                TagValue::ExpireTime(seconds) => self.seconds = seconds,
                _ => {}
            }
        }
    }

    /// When the order of a record of this time expires, ns; 0 for never.
    pub(super) fn expires_ns(&self, time_ns: u64) -> u64 {
        if self.seconds == 0 { 0 } else { time_ns + u64::from(self.seconds) * NANOS_PER_SECOND }
    }
}

/// What duplicates of an Enter Order are told by; `None` for another message.
pub(super) fn fingerprint(message: &[u8]) -> Option<&[u8; FINGERPRINT_BYTES]> {
    // Side, quantity, symbol, price and time in force lie side by side.
    const START: usize = 5;
    if message.first() != Some(&EnterOrder::TYPE) {
        return None;
    }
    message.get(START..START + FINGERPRINT_BYTES)?.try_into().ok()
}

/// The UserRefNum that a record uses up, if it does.
pub fn used_number(payload: &Payload<'_>) -> Option<u32> {
    let number = |message: &[u8], at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    // A replacement has the original's number first.
    let of = |message: &[u8]| match message.first()? {
        b'O' | b'C' | b'D' | b'E' => number(message, 1),
        b'U' => number(message, 5),
        _ => None,
    };
    match payload {
        Payload::Order(order) => match Kind::from_byte(order.command.kind)? {
            Kind::New | Kind::Replace => of(order.message),
            _ => None,
        },
        Payload::Reject(reject) if reject.answer == Answer::Rejected => of(reject.message),
        Payload::Session(act) => of(act.message),
        _ => None,
    }
}
