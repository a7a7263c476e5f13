//! The live orders as order entry knows them: by slot, by the account's number, by account, by expiry.
//!
//! An order is here from the moment its record is made until its terminal event comes back. What entry decides about it between
//! the two stands in [`State`]: an order that is on its way out has no name any more, so that whatever a client says about it
//! is superfluous, and silently ignored. Everything is in arrays sized at start.

use wirebook_matcher::abi::Side;

use super::names::{Name, Names};
use super::slots::Slots;
use super::wheel::Wheel;
use crate::session::ouch::{self, Firm};

/// No slot.
pub const NONE: u32 = u32::MAX;

/// How far an order is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The slot holds no order.
    #[default]
    Free,
    /// May be cancelled, replaced, reduced.
    Open,
    /// A cancel waits for its instrument to be released: the total it shall have then, in lots.
    Pending(u32),
    /// A cancel is on its way.
    Closing,
    /// A replacement in this slot is on its way.
    Replacing(u32),
}

/// A live order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How far it is.
    pub state: State,
    /// Who owns it.
    pub account: u32,
    /// Who is told about it.
    pub session: u32,
    /// The account's number for it.
    pub user_ref: u32,
    /// Its instrument.
    pub instrument: u16,
    /// Its group, for mass cancels; 0 for none.
    pub group: u16,
    /// The firm that it was entered for; spaces for the account's default.
    pub firm: Firm,
    /// Its side.
    pub side: Side,
    /// Its side as OUCH has it: which kind of sell.
    pub kind: ouch::Side,
    /// Its limit.
    pub tick: u32,
    /// Lots that it, with all orders it replaced, may execute: as last asked for.
    pub total: u32,
    /// Lots that it, with all orders it replaced, has executed, as far as events tell.
    pub executed: u32,
    /// What risk holds for it: quote or base units, by its side.
    pub hold: i128,
    /// When it expires, ns UTC; 0 for never.
    pub expires_ns: u64,
    /// The account's order before and behind it; the table's own.
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Order {
    /// What it is found by.
    #[inline]
    fn name(&self) -> Name {
        Name { account: self.account, user_ref: self.user_ref }
    }

    /// A free slot's.
    pub const FREE: Self = Self {
        state: State::Free,
        account: 0,
        session: 0,
        user_ref: 0,
        instrument: 0,
        group: 0,
        firm: Firm::BLANK,
        side: Side::Buy,
        kind: ouch::Side::Buy,
        tick: 0,
        total: 0,
        executed: 0,
        hold: 0,
        expires_ns: 0,
        previous: NONE,
        next: NONE,
    };
}

/// First and last order of an account, in the order of their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    head: u32,
    tail: u32,
    count: u32,
}

/// All live orders.
#[derive(Clone, Debug)]
pub struct Orders {
    slots: Slots,
    table: Box<[Order]>,
    names: Names,
    wheel: Wheel,
    accounts: Vec<List>,
}

impl Orders {
    /// Room for this many.
    pub fn new(slots: u32) -> Self {
        Self {
            slots: Slots::new(slots),
            table: vec![Order::FREE; slots as usize].into_boxed_slice(),
            names: Names::new(slots),
            wheel: Wheel::new(slots),
            accounts: Vec::new(),
        }
    }

    /// Makes room for an account's list.
    pub fn add_account(&mut self, account: u32) {
        let needed = account as usize + 1;
        if self.accounts.len() < needed {
            self.accounts.resize(needed, List { head: NONE, tail: NONE, count: 0 });
        }
    }

    /// The slot that the next order shall have; `None` when there is none.
    #[inline]
    pub fn next_slot(&self) -> Option<u32> {
        self.slots.lowest()
    }

    /// Puts an order into a slot, and gives it its name. Answers whether the slot was free.
    #[inline]
    pub fn insert(&mut self, slot: u32, order: Order) -> bool {
        if !self.slots.claim(slot) {
            return false;
        }
        debug_assert_ne!(order.state, State::Free);
        let list = &mut self.accounts[order.account as usize];
        let previous = std::mem::replace(&mut list.tail, slot);
        list.count += 1;
        match previous {
            NONE => list.head = slot,
            previous => self.table[previous as usize].next = slot,
        }
        self.names.insert(order.name(), slot);
        if order.expires_ns > 0 {
            self.wheel.insert(slot, order.expires_ns);
        }
        self.table[slot as usize] = Order { previous, next: NONE, ..order };
        true
    }

    /// Takes an order out and frees its slot; answers what it was.
    #[inline]
    pub fn remove(&mut self, slot: u32) -> Option<Order> {
        let order = *self.get(slot)?;
        self.hide(slot);
        let list = &mut self.accounts[order.account as usize];
        list.count -= 1;
        match order.previous {
            NONE => list.head = order.next,
            previous => self.table[previous as usize].next = order.next,
        }
        match order.next {
            NONE => self.accounts[order.account as usize].tail = order.previous,
            next => self.table[next as usize].previous = order.previous,
        }
        self.table[slot as usize] = Order::FREE;
        let released = self.slots.release(slot);
        debug_assert!(released, "a live order's slot is taken");
        Some(order)
    }

    /// Takes an order's name and expiry away: it is on its way out.
    #[inline]
    pub fn hide(&mut self, slot: u32) {
        let order = &self.table[slot as usize];
        let name = order.name();
        self.names.remove(name, slot);
        self.wheel.remove(slot);
    }

    /// Takes an order's expiry away.
    pub fn stop_clock(&mut self, slot: u32) {
        self.wheel.remove(slot);
    }

    /// Gives an order its name and expiry back: what was to end it did not happen.
    pub fn show(&mut self, slot: u32) {
        let Some(order) = self.get(slot).copied() else { return };
        self.names.insert(order.name(), slot);
        if order.expires_ns > 0 {
            self.wheel.insert(slot, order.expires_ns);
        }
    }

    /// The order in a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Order> {
        self.table.get(slot as usize).filter(|order| order.state != State::Free)
    }

    /// The order in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Order> {
        self.table.get_mut(slot as usize).filter(|order| order.state != State::Free)
    }

    /// The slot of the order with an account's number, unless it is on its way out.
    #[inline]
    pub fn find(&self, account: u32, user_ref: u32) -> Option<u32> {
        self.names.get(Name { account, user_ref })
    }

    /// The account's oldest order; [`NONE`] when it has none.
    #[inline]
    pub fn first(&self, account: u32) -> u32 {
        self.accounts.get(account as usize).map_or(NONE, |list| list.head)
    }

    /// The next younger order of the same account; [`NONE`] behind the last.
    #[inline]
    pub fn next(&self, slot: u32) -> u32 {
        self.table[slot as usize].next
    }

    /// How many orders an account has, those on their way in or out counted.
    #[inline]
    pub fn count(&self, account: u32) -> u32 {
        self.accounts.get(account as usize).map_or(0, |list| list.count)
    }

    /// How many slots are taken.
    pub fn taken(&self) -> u32 {
        self.slots.taken()
    }

    /// How many accounts have a list.
    pub fn accounts(&self) -> u32 {
        self.accounts.len() as u32
    }

    /// Takes an expired order's expiry away, and names the order.
    #[inline]
    pub fn pop_expired(&mut self, now_ns: u64) -> Option<u32> {
        self.wheel.pop(now_ns)
    }

    /// The first slot in which two differ, or the index that does.
    #[cfg(test)]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let slot = self.table.iter().zip(&other.table).position(|(one, other)| one != other);
        if let Some(slot) = slot {
            return Some(format!("slot {slot}: {:?}, {:?}", self.table[slot], other.table[slot]));
        }
        let indexes = [
            ("slots", self.slots == other.slots),
            ("names", self.names.sorted() == other.names.sorted()),
            ("accounts", self.accounts == other.accounts),
            ("wheel", self.wheel.len() == other.wheel.len()),
        ];
        indexes.iter().find(|(_, same)| !same).map(|(index, _)| (*index).to_owned())
    }
}
