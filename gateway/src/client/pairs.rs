//! Two executions, one trade: a fill.
//!
//! Each trade is told twice, to the order that took and to the one that rested, with one match number. A client that has both orders
//! hears both; the pair is a fill. A trade with somebody else's order stays half.

use std::collections::BTreeMap;

use wirebook_matcher::abi::Side;
use wirebook_matcher::flow::Fill;

/// One side of a trade, as its order was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// The order.
    pub id: u64,
    /// Its side.
    pub side: Side,
    /// Whether it rested.
    pub rested: bool,
    /// The price.
    pub price: i64,
    /// Lots.
    pub qty: u32,
}

/// Halves that wait for their other.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    waiting: BTreeMap<u64, Half>,
}

impl Pairs {
    /// A half was told. Gives the fill when the other had been told before.
    ///
    /// # Errors
    /// When the two cannot be of one trade: says what does not fit.
    pub fn told(&mut self, match_number: u64, half: Half) -> Result<Option<Fill>, String> {
        let Some(other) = self.waiting.remove(&match_number) else {
            self.waiting.insert(match_number, half);
            return Ok(None);
        };
        let (taker, maker) = if half.rested { (other, half) } else { (half, other) };
        let same = taker.price == maker.price && taker.qty == maker.qty;
        if taker.rested == maker.rested || taker.side == maker.side || !same {
            return Err(format!("match {match_number} was told as {other:?} and as {half:?}"));
        }
        Ok(Some(Fill {
            aggressor: taker.id,
            resting_id: maker.id,
            price: maker.price,
            qty: maker.qty,
            resting_side: maker.side,
        }))
    }

    /// Halves whose other was not told.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKER: Half = Half { id: 9, side: Side::Buy, rested: false, price: 100, qty: 5 };
    const MAKER: Half = Half { id: 3, side: Side::Sell, rested: true, price: 100, qty: 5 };

    #[test]
    fn either_order_makes_the_fill() {
        let fill = Fill { aggressor: 9, resting_id: 3, price: 100, qty: 5, resting_side: Side::Sell };
        for (first, second) in [(TAKER, MAKER), (MAKER, TAKER)] {
            let mut pairs = Pairs::default();
            assert_eq!(pairs.told(1, first), Ok(None));
            assert_eq!(pairs.waiting(), 1);
            assert_eq!(pairs.told(1, second), Ok(Some(fill)));
            assert_eq!(pairs.waiting(), 0);
        }
    }

    #[test]
    fn halves_of_different_trades_do_not_pair() {
        for wrong in [
            Half { rested: false, ..MAKER },
            Half { side: Side::Buy, ..MAKER },
            Half { price: 101, ..MAKER },
            Half { qty: 4, ..MAKER },
        ] {
            let mut pairs = Pairs::default();
            assert_eq!(pairs.told(1, TAKER), Ok(None));
            assert_eq!(pairs.told(2, MAKER), Ok(None), "another number");
            assert!(pairs.told(1, wrong).is_err());
        }
    }
}
