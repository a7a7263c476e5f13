//! Orders as OUCH messages, encoded without allocation.

use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::Op;

use crate::session::Alpha;
use crate::session::ouch::inbound::{AccountQuery, CancelOrder, EnterOrder, ReplaceOrder};
use crate::session::ouch::{
    self, Appendage, AppendageBuilder, Capacity, ClOrdId, CrossType, Display, PostOnly, Price, Symbol, TagValue,
    TimeInForce, YesNo,
};

/// Longest message made here, in bytes.
pub const MAX_MESSAGE: usize = 96;

/// A message, encoded.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    bytes: [u8; MAX_MESSAGE],
    len: usize,
}

impl Outgoing {
    /// The message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn make(encode: impl FnOnce(&mut [u8]) -> Result<usize, ouch::NoRoom>) -> Self {
        let mut bytes = [0; MAX_MESSAGE];
        let len = encode(&mut bytes).expect("MAX_MESSAGE holds every message made here");
        Self { bytes, len }
    }

    /// A new order. `op` is one that enters.
    pub fn enter(op: Op, id: u64, user_ref: u32, side: Side, qty: u32, symbol: Symbol, price: u64) -> Self {
        assert!(op.enters(), "{op:?} enters no order");
        let mut options = AppendageBuilder::new();
        let option = match op {
            Op::FillOrKill => Some(TagValue::MinQty(qty)),
            Op::PostOnly => Some(TagValue::PostOnly(PostOnly::PostOnly.into())),
            _ => None,
        };
        if let Some(option) = option {
            options.push(option).expect("one option fits");
        }
        let day = !matches!(op, Op::ImmediateOrCancel | Op::FillOrKill);
        let order = EnterOrder {
            user_ref_num: user_ref,
            side: if side == Side::Buy { ouch::Side::Buy } else { ouch::Side::Sell }.into(),
            quantity: qty,
            symbol,
            price: Price(price),
            time_in_force: if day { TimeInForce::Day } else { TimeInForce::Ioc }.into(),
            display: Display::Visible.into(),
            capacity: Capacity::Principal.into(),
            inter_market_sweep_eligibility: YesNo::No.into(),
            cross_type: CrossType::Continuous.into(),
            cl_ord_id: name(id),
            appendage: options.appendage(),
        };
        Self::make(|out| order.encode(out))
    }

    /// Another price and total for a live order; `total` includes what it has executed.
    pub fn replace(id: u64, original: u32, user_ref: u32, total: u32, price: u64) -> Self {
        let order = ReplaceOrder {
            orig_user_ref_num: original,
            user_ref_num: user_ref,
            quantity: total,
            price: Price(price),
            time_in_force: TimeInForce::Day.into(),
            display: Display::Visible.into(),
            inter_market_sweep_eligibility: YesNo::No.into(),
            cl_ord_id: name(id),
            appendage: Appendage::EMPTY,
        };
        Self::make(|out| order.encode(out))
    }

    /// A lower total for a live order, executed lots included; 0 cancels it.
    pub fn cancel(user_ref: u32, total: u32) -> Self {
        let order = CancelOrder { user_ref_num: user_ref, quantity: total };
        Self::make(|out| order.encode(out))
    }

    /// Asks for the next UserRefNum. Answered in order, so everything before it has been answered when its answer comes.
    pub fn query() -> Self {
        Self::make(|out| AccountQuery { appendage: None }.encode(out))
    }
}

/// An id's last 14 digits, as the client's own name of the order.
fn name(id: u64) -> ClOrdId {
    let mut text = [b' '; 14];
    let mut rest = id % 100_000_000_000_000;
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    text.rotate_left(at);
    Alpha(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ouch::Inbound;

    #[test]
    fn ops_are_told_apart() {
        let symbol = Alpha::new("AAPL").unwrap();
        for (op, time_in_force, min_qty, post_only) in [
            (Op::Limit, TimeInForce::Day, None, false),
            (Op::ImmediateOrCancel, TimeInForce::Ioc, None, false),
            (Op::FillOrKill, TimeInForce::Ioc, Some(7), false),
            (Op::PostOnly, TimeInForce::Day, None, true),
        ] {
            let message = Outgoing::enter(op, 42, 5, Side::Sell, 7, symbol, 1_000_000);
            let Ok(Inbound::Enter(order)) = Inbound::decode(message.as_bytes()) else { panic!("{op:?}") };
            assert_eq!(order.user_ref_num, 5);
            assert_eq!(order.side.get(), Some(ouch::Side::Sell));
            assert_eq!((order.quantity, order.price), (7, Price(1_000_000)));
            assert_eq!(order.time_in_force.get(), Some(time_in_force));
            assert_eq!(order.cl_ord_id.trimmed(), b"42");
            let valid = order.validate().unwrap();
            assert_eq!(valid.options.post_only, post_only);
            let found = order.appendage.iter().find_map(|option| match option {
                TagValue::MinQty(qty) => Some(qty),
                _ => None,
            });
            assert_eq!(found, min_qty);
        }
    }

    #[test]
    fn changes_decode_as_they_were_meant() {
        let message = Outgoing::replace(u64::MAX, 1, 2, 30, 99);
        let Ok(Inbound::Replace(order)) = Inbound::decode(message.as_bytes()) else { panic!() };
        assert_eq!((order.orig_user_ref_num, order.user_ref_num, order.quantity, order.price), (1, 2, 30, Price(99)));
        assert_eq!(order.cl_ord_id.trimmed(), b"44073709551615", "the last 14 digits");
        let message = Outgoing::cancel(8, 0);
        assert_eq!(
            Inbound::decode(message.as_bytes()),
            Ok(Inbound::Cancel(CancelOrder { user_ref_num: 8, quantity: 0 }))
        );
        assert!(matches!(Inbound::decode(Outgoing::query().as_bytes()), Ok(Inbound::Query(_))));
        assert_eq!(name(0).trimmed(), b"0");
    }
}
