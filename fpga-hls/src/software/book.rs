//! Queues: where an order stands, and how it comes and goes.
//!
//! A queue is a circle of links that begins and ends at its level: the level's `next` is the oldest order, its `prev` the
//! youngest, and an empty level names itself. So an order leaves by two stores, whoever its neighbours are, and a branch that
//! could be guessed wrong is spent on one question alone: has the level become empty.
//!
//! Levels and orders lie in one array of 8-byte [`Cell`]s, and a link is an index into it: first a cell for each tick of each
//! instrument, then two for each slot, links and [`what it is`](Cell). Sixteen bytes a slot, never across two cache lines. Whose an
//! order is, only checks and self-trade ask: two bytes in an array of their own. Fields are read one by one: a load of a whole
//! cell would wait for a store to one half of it.

use super::Band;
use super::ladder::{NONE, SIDES};
use crate::abi::Side;
use crate::matcher::Resting;

/// Cells of a slot.
pub(super) const SLOT_CELLS: u32 = 2;
/// Cells of a cache line: the orders begin at one.
const LINE_CELLS: usize = 8;

/// Two numbers: the links of a level or an order, or what an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Cell {
    /// Links: the younger neighbour. An order: lots left, 0 in a free slot.
    pub(super) next: u32,
    /// Links: the older neighbour. An order: twice its level's index, plus the side.
    pub(super) prev: u32,
}

/// The levels, ladders and orders of all instruments.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) cells: Vec<Cell>,
    pub(super) owners: Vec<u16>,
    pub(super) words: Vec<u64>,
    /// The first slot's first cell.
    pub(super) base: u32,
}

impl Book {
    /// The number of cells before the first slot's.
    pub(super) const fn base(levels: usize) -> usize {
        levels.next_multiple_of(LINE_CELLS)
    }

    /// An empty book.
    pub(super) fn new(levels: usize, words: usize, slots: u32) -> Self {
        let base = Self::base(levels);
        let level = |at: usize| Cell { next: at as u32, prev: at as u32 };
        let free = Cell { next: 0, prev: 0 };
        let orders = std::iter::repeat_n(free, (slots * SLOT_CELLS) as usize);
        let mut cells = Vec::with_capacity(base + (slots * SLOT_CELLS) as usize);
        cells.extend((0..base).map(level).chain(orders));
        Self { cells, owners: vec![0; slots as usize], words: vec![0; words], base: base as u32 }
    }

    /// The links of an order.
    #[inline(always)]
    pub(super) const fn links_of(&self, slot: u32) -> u32 {
        self.base + slot * SLOT_CELLS
    }

    /// The slot of an order's links.
    #[inline(always)]
    pub(super) const fn slot_of(&self, links: u32) -> u32 {
        (links - self.base) / SLOT_CELLS
    }

    #[inline(always)]
    pub(super) fn next(&self, links: u32) -> u32 {
        self.cells[links as usize].next
    }

    #[inline(always)]
    pub(super) fn prev(&self, links: u32) -> u32 {
        self.cells[links as usize].prev
    }

    /// The lots of the order with these links.
    #[inline(always)]
    pub(super) fn leaves(&self, links: u32) -> u32 {
        self.cells[links as usize + 1].next
    }

    #[inline(always)]
    pub(super) fn set_leaves(&mut self, links: u32, leaves: u32) {
        self.cells[links as usize + 1].next = leaves;
    }

    /// Where the order with these links stands: its level's index and its side.
    #[inline(always)]
    pub(super) fn place(&self, links: u32) -> (u32, u32) {
        let place = self.cells[links as usize + 1].prev;
        (place >> 1, place & 1)
    }

    /// Whether an order of this side and price would trade.
    #[inline(always)]
    pub(super) fn crosses(&self, band: &Band, side: u32, tick: u32) -> bool {
        band.ladders.best(&self.words, side ^ 1) <= band.ladders.flip(tick, side ^ 1)
    }

    /// The live order in a slot, for whoever looks from outside.
    pub(super) fn resting(&self, bands: &[Band], slot: u32) -> Resting {
        let links = self.links_of(slot);
        let (level, side) = self.place(links);
        let instrument = bands.partition_point(|band| band.levels <= level) - 1;
        Resting {
            slot,
            instrument: instrument as u16,
            owner: self.owners[slot as usize],
            side: Side::ALL[side as usize],
            tick: level - bands[instrument].levels,
            leaves: self.leaves(links),
        }
    }

    /// Hands over the links of a side's orders, best price first, oldest first.
    pub(super) fn walk(&self, band: &Band, side: u32, mut sink: impl FnMut(u32)) {
        let mut key = band.ladders.best(&self.words, side);
        while key != NONE {
            let level = band.levels + band.ladders.flip(key, side);
            let mut links = self.next(level);
            while links != level {
                sink(links);
                links = self.next(links);
            }
            key = band.ladders.at_or_above(&self.words, key + 1, side);
        }
    }

    /// Puts an order at the tail of its price.
    #[inline(always)]
    pub(super) fn rest(&mut self, band: &mut Band, slot: u32, owner: u16, side: u32, tick: u32, leaves: u32) {
        let (level, links) = (band.levels + tick, self.links_of(slot));
        debug_assert!(leaves > 0 && self.leaves(links) == 0, "slot {slot} is free, and gets something");
        let tail = self.prev(level);
        self.cells[links as usize + 1] = Cell { next: leaves, prev: level << 1 | side };
        self.cells[links as usize] = Cell { next: level, prev: tail };
        self.cells[tail as usize].next = links;
        self.cells[level as usize].prev = links;
        self.owners[slot as usize] = owner;
        let key = band.ladders.flip(tick, side);
        let bound = &mut band.bound[side as usize % SIDES];
        *bound = key.min(*bound);
        band.ladders.set(&mut self.words, key, side);
    }

    /// Takes an order out of its queue, and frees its slot.
    #[inline(always)]
    pub(super) fn unlink(&mut self, band: &mut Band, links: u32, tick: u32, side: u32) {
        let (next, prev) = (self.next(links), self.prev(links));
        self.cells[prev as usize].next = next;
        self.cells[next as usize].prev = prev;
        self.set_leaves(links, 0);
        let key = band.ladders.flip(tick, side);
        band.ladders.clear_if(&mut self.words, key, side, next == prev);
    }
}
