//! The displayed book as a converter follows it: who is first, who is ahead of whom, and who will never be named again.
//!
//! Every operation is logarithmic in the live orders. Orders that no later row names are kept in a second index, so that clearing
//! the way to a maker touches only what it cancels: a day stays O(n log n) whatever its shape.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use wirebook_matcher::abi::Side;

/// Price-time priority on one side: smaller is ahead. Buys rank by their negated price.
type Key = (i64, u64);

/// A live order.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Which side it rests on.
    pub side: Side,
    /// Its price.
    pub price: i64,
    /// What is open, less what the present run has taken.
    pub leaves: u32,
    /// What the present run has taken, and its order has not been written for yet.
    pub pending: u32,
    key: Key,
}

/// One side: all its live orders, and those of them that no later row names.
#[derive(Debug, Default)]
struct Half {
    live: BTreeMap<Key, u64>,
    unnamed: BTreeMap<Key, u64>,
}

/// The book.
#[derive(Debug, Default)]
pub struct Book {
    halves: [Half; 2],
    orders: FxHashMap<u64, Live>,
    arrivals: u64,
}

const fn rank(side: Side, price: i64) -> i64 {
    match side {
        Side::Buy => -price,
        Side::Sell => price,
    }
}

impl Book {
    fn half(&mut self, side: Side) -> &mut Half {
        &mut self.halves[side as usize]
    }

    /// A live order.
    pub fn get(&self, id: u64) -> Option<&Live> {
        self.orders.get(&id)
    }

    /// Rests a new order behind all of its price. The id must not be live.
    pub fn rest(&mut self, id: u64, side: Side, price: i64, qty: u32) {
        self.arrivals += 1;
        let key = (rank(side, price), self.arrivals);
        let previous = self.orders.insert(id, Live { side, price, leaves: qty, pending: 0, key });
        assert!(previous.is_none(), "order {id} rests twice");
        self.half(side).live.insert(key, id);
    }

    /// Marks a live order as one that no later row names. Nothing happens if it is dead.
    pub fn mark_unnamed(&mut self, id: u64) {
        if let Some(&Live { side, key, .. }) = self.orders.get(&id) {
            self.half(side).unnamed.insert(key, id);
        }
    }

    /// Takes an order out, whatever is left of it.
    pub fn remove(&mut self, id: u64) -> Option<Live> {
        let order = self.orders.remove(&id)?;
        let half = self.half(order.side);
        let was = half.live.remove(&order.key);
        assert_eq!(was, Some(id), "order {id} was not where its key says");
        half.unnamed.remove(&order.key);
        Some(order)
    }

    /// Takes up to `qty` off an order, and the order out when nothing is left. Gives what was taken, 0 for a dead order.
    pub fn take(&mut self, id: u64, qty: u32) -> u32 {
        let Some(order) = self.orders.get_mut(&id) else { return 0 };
        let taken = qty.min(order.leaves);
        order.leaves -= taken;
        if order.leaves == 0 {
            self.remove(id);
        }
        taken
    }

    /// Like [`Book::take`], for an execution whose order is written at the end of its run.
    pub fn execute(&mut self, id: u64, qty: u32) -> u32 {
        let taken = self.take(id, qty);
        if let Some(order) = self.orders.get_mut(&id) {
            order.pending += taken;
        }
        taken
    }

    /// The end of a run: what it took of this order is written.
    pub fn settle(&mut self, id: u64) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.pending = 0;
        }
    }

    /// The first order of a side.
    pub fn first(&self, side: Side) -> Option<u64> {
        self.halves[side as usize].live.first_key_value().map(|(_, id)| *id)
    }

    /// The first order that a new order of this side and price would trade with.
    pub fn crossed_by(&self, side: Side, price: i64) -> Option<u64> {
        let other = side.opposite();
        let (key, id) = self.halves[other as usize].live.first_key_value()?;
        (key.0 <= rank(other, price)).then_some(*id)
    }

    /// The first order ahead of this one that no later row names.
    pub fn unnamed_ahead_of(&self, id: u64) -> Option<u64> {
        let order = self.orders.get(&id)?;
        let (key, ahead) = self.halves[order.side as usize].unnamed.first_key_value()?;
        (*key < order.key).then_some(*ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_then_time() {
        let mut book = Book::default();
        book.rest(1, Side::Buy, 100, 5);
        book.rest(2, Side::Buy, 101, 5);
        book.rest(3, Side::Buy, 101, 5);
        assert_eq!(book.first(Side::Buy), Some(2));
        assert_eq!(book.take(2, 5), 5);
        assert_eq!(book.first(Side::Buy), Some(3));
        assert_eq!(book.take(2, 5), 0, "it is dead");
        assert_eq!(book.first(Side::Sell), None);
    }

    #[test]
    fn crossing_is_at_equal_prices_too() {
        let mut book = Book::default();
        book.rest(1, Side::Sell, 100, 5);
        book.rest(2, Side::Sell, 99, 5);
        assert_eq!(book.crossed_by(Side::Buy, 98), None);
        assert_eq!(book.crossed_by(Side::Buy, 99), Some(2));
        book.remove(2);
        assert_eq!(book.crossed_by(Side::Buy, 99), None);
        assert_eq!(book.crossed_by(Side::Buy, 200), Some(1));
        assert_eq!(book.crossed_by(Side::Sell, 1), None);
    }

    #[test]
    fn unnamed_orders_ahead_come_best_first() {
        let mut book = Book::default();
        for (id, price) in [(1, 100), (2, 99), (3, 101), (4, 99)] {
            book.rest(id, Side::Sell, price, 5);
        }
        book.mark_unnamed(1);
        book.mark_unnamed(4);
        book.mark_unnamed(77);
        assert_eq!(book.unnamed_ahead_of(3), Some(4));
        book.remove(4);
        assert_eq!(book.unnamed_ahead_of(3), Some(1));
        assert_eq!(book.unnamed_ahead_of(1), None, "not ahead of itself");
        assert_eq!(book.unnamed_ahead_of(2), None);
    }

    #[test]
    fn pending_lasts_for_a_run() {
        let mut book = Book::default();
        book.rest(1, Side::Sell, 100, 5);
        assert_eq!(book.execute(1, 3), 3);
        assert_eq!((book.get(1).unwrap().leaves, book.get(1).unwrap().pending), (2, 3));
        book.settle(1);
        assert_eq!(book.get(1).unwrap().pending, 0);
        assert_eq!(book.execute(1, 3), 2);
        assert!(book.get(1).is_none());
        book.settle(1);
    }
}
