//! The contract of everything that matches: software twin, reference, device, Verilated model.
//!
//! Dispatch is static. Commands go in by [`Matcher::submit`], events come out by [`Matcher::poll`], in the order of the
//! commands; each command ends in exactly one event marked `last`. A matcher answers alone from its state and the
//! command: no clock, no randomness, no I/O decides.

use crate::abi::{Capabilities, Command, Event, Limits, Side};

/// A matcher behind a stream of beats.
pub trait Matcher {
    /// Takes commands from the front of `commands`, as many as there is room for, and returns how many.
    fn submit(&mut self, commands: &[Command]) -> usize;

    /// Told of commands that will be submitted after the next ones: a matcher may fetch what they will touch. It changes nothing.
    #[inline]
    fn announce(&self, _commands: &[Command]) {}

    /// Fills the front of `events` with what is ready, oldest first, and returns how many.
    fn poll(&mut self, events: &mut [Event]) -> usize;

    /// The sizes that it was made with.
    fn limits(&self) -> &Limits;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether it holds commands whose events come at a later poll, though the last poll found none: a device. It may be so for a
    /// bounded time only; then the matcher must have answered, or have failed. One that answers at once is never busy.
    fn busy(&self) -> bool {
        false
    }

    /// Why it has failed, if it has: it takes and answers nothing any more. What it answered before is right in its order.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// A matcher in this process, that executes a command at once: the software twin and the reference.
pub trait Twin: Sized {
    /// An empty book of these sizes.
    ///
    /// # Panics
    /// When the limits do not validate: see [`Limits::validate`].
    fn new(limits: Limits) -> Self;

    /// The most slots of a book of one instrument with so many ticks; `None` when it cannot be so wide.
    fn most_slots(_ticks: u32) -> Option<u32> {
        Some(Limits::MAX_SLOTS)
    }

    /// What one of these sizes can do: what an epoch may promise before there is any.
    ///
    /// # Errors
    /// Says what is allowed, when there is none of these sizes.
    fn offers(limits: &Limits) -> Result<Capabilities, String> {
        limits.validate().map_err(|error| error.to_string()).map(|()| Capabilities::ALL)
    }

    /// Why it has failed, if it can: it answers nothing any more.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Executes one command; hands each of its events to `sink`, in order.
    fn execute(&mut self, command: &Command, sink: impl FnMut(Event));

    /// Executes commands in order, as [`Twin::execute`] does one by one, but looks ahead within them.
    #[inline]
    fn execute_all(&mut self, commands: &[Command], mut sink: impl FnMut(Event)) {
        for (at, command) in commands.iter().enumerate() {
            self.look_ahead(commands, at);
            self.execute(command, &mut sink);
        }
    }

    /// Told of commands that come later: see [`Matcher::announce`].
    #[inline]
    fn announce(&self, _commands: &[Command]) {}

    /// Told that `commands[at]` is next: a twin may fetch what those after it will touch. It changes no answer, and need not be
    /// called. Whoever does calls it before each command, `at` ascending from 0; the distances are the twin's own.
    #[inline]
    fn look_ahead(&self, _commands: &[Command], _at: usize) {}

    /// The sizes that it was made with.
    fn limits(&self) -> &Limits;

    /// What it can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    /// The live order in a slot.
    fn order(&self, slot: u32) -> Option<Resting>;

    /// Hands over every live order: instrument ascending, bids before asks, best price first, oldest first.
    /// Entering them again in this order makes the same book.
    fn orders(&self, sink: impl FnMut(Resting));

    /// Puts a live order at the tail of its price: how a book is made again from a snapshot.
    ///
    /// # Errors
    /// Says why not, when the slot is live or a field is out of range, or the order would cross.
    fn restore(&mut self, order: &Resting) -> Result<(), RestoreError>;

    /// Digest of the book: BLAKE3 over every live order as [`Twin::orders`] hands it over, 24 bytes each.
    fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        self.orders(|order| {
            hasher.update(&order.to_bytes());
        });
        *hasher.finalize().as_bytes()
    }
}

/// A live order in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resting {
    /// Its handle.
    pub slot: u32,
    /// Its instrument.
    pub instrument: u16,
    /// Its owner.
    pub owner: u16,
    /// Its side.
    pub side: Side,
    /// Where it rests.
    pub tick: u32,
    /// Lots left.
    pub leaves: u32,
}

impl Resting {
    /// Fixed bytes, for digests and snapshots: slot, instrument, owner, side, 3 zeros, tick, leaves, 4 zeros.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0..4].copy_from_slice(&self.slot.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.instrument.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.owner.to_le_bytes());
        bytes[8] = self.side as u8;
        bytes[12..16].copy_from_slice(&self.tick.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.leaves.to_le_bytes());
        bytes
    }
}

/// Why an order could not be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot}: cannot be restored: {reason}")]
pub struct RestoreError {
    /// The order's slot.
    pub slot: u32,
    /// What is wrong with it.
    pub reason: &'static str,
}
