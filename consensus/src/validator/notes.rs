//! Notes on their way into a block: those that readers ask for here, and those that other members say they are asked for.
//!
//! A reader draws 32 random bytes and asks for them; once they stand in a final block, everything that was final when he asked is in that
//! block or before it. Whoever leads proposes what waits, for all members, so that a reader does not wait for the turn of the member
//! that he has asked.
//!
//! Everything here is bounded whoever asks: [`MAX_ASKED`] notes here at a time, each held by a waiting reader ([`Asked`]), and as many of
//! each other member, which replaces what it has said before. A block takes from all members in turn, so that one that floods leaves the
//! others their share.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::proof::block::{MAX_NOTES, Note};

use super::replica::lock;

/// The most notes that one member is asked for at a time.
pub const MAX_ASKED: usize = 32;

/// A member's public key.
type Key = [u8; 32];

#[derive(Debug, Default)]
struct Inner {
    /// Asked for here, in order, and the height of the block that each was settled in.
    own: Vec<(Note, Option<u64>)>,
    /// What is asked for here has not been told yet.
    untold: bool,
    others: BTreeMap<Key, Vec<Note>>,
    wakers: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

impl Inner {
    fn waiting(&self) -> impl Iterator<Item = Note> {
        self.own.iter().filter(|(_, settled)| settled.is_none()).map(|(note, _)| *note)
    }

    fn any(&self) -> bool {
        self.waiting().next().is_some() || self.others.values().any(|notes| !notes.is_empty())
    }
}

/// The notes that wait.
#[derive(Debug, Default)]
pub struct Notes {
    inner: Mutex<Inner>,
}

/// A note that a reader waits for; dropped when he does no longer.
#[derive(Debug)]
pub struct Asked<'a> {
    notes: &'a Notes,
    note: Note,
}

impl Asked<'_> {
    /// Height of the block that it was settled in, once it was.
    pub fn settled(&self) -> Option<u64> {
        self.notes.settled_at(&self.note)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.notes.forget(&self.note);
    }
}

impl Notes {
    /// Asks for a note; `None` when as many are asked for as can be, or this very one.
    pub fn ask(&self, note: Note) -> Option<Asked<'_>> {
        // Lazily: an `Asked` that is dropped takes its note along, and this one may be somebody else's.
        self.begin(note).then(|| Asked { notes: self, note })
    }

    /// As [`Notes::ask`], for who sees to it himself that the note is [forgotten](Notes::forget).
    pub(crate) fn begin(&self, note: Note) -> bool {
        let mut inner = lock(&self.inner);
        if inner.own.len() >= MAX_ASKED || inner.own.iter().any(|(known, _)| *known == note) {
            return false;
        }
        inner.own.push((note, None));
        inner.untold = true;
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_values().for_each(Waker::wake);
        true
    }

    /// Nobody waits for this note any longer.
    pub(crate) fn forget(&self, note: &Note) {
        lock(&self.inner).own.retain(|(known, _)| known != note);
    }

    /// Height of the block that a note asked for here was settled in.
    pub(crate) fn settled_at(&self, note: &Note) -> Option<u64> {
        lock(&self.inner).own.iter().find(|(known, _)| known == note).and_then(|(_, height)| *height)
    }

    /// What another member says that it is asked for, in place of what it has said before. Bytes that are no notes, or too many, count for
    /// nothing.
    pub fn heard(&self, member: Key, bytes: &[u8]) {
        let (notes, rest) = bytes.as_chunks();
        let sound = rest.is_empty() && notes.len() <= MAX_ASKED;
        let mut inner = lock(&self.inner);
        inner.others.insert(member, if sound { notes.to_vec() } else { Vec::new() });
        let wakers = if inner.any() { std::mem::take(&mut inner.wakers) } else { BTreeMap::new() };
        drop(inner);
        wakers.into_values().for_each(Waker::wake);
    }

    /// What a block takes along: each once, from all members in turn.
    pub fn to_propose(&self) -> Vec<Note> {
        let inner = lock(&self.inner);
        let own: Vec<Note> = inner.waiting().collect();
        let mut lists: Vec<std::slice::Iter<'_, Note>> = inner.others.values().map(|notes| notes.iter()).collect();
        lists.push(own.iter());
        let mut taken: Vec<Note> = Vec::new();
        while taken.len() < MAX_NOTES && !lists.is_empty() {
            lists.retain_mut(|list| match list.next() {
                Some(note) if taken.len() < MAX_NOTES && !taken.contains(note) => {
                    taken.push(*note);
                    true
                }
                next => next.is_some(),
            });
        }
        taken
    }

    /// All that is asked for here and not settled.
    pub fn asked(&self) -> Vec<Note> {
        let mut inner = lock(&self.inner);
        inner.untold = false;
        inner.waiting().collect()
    }

    /// These stand in the block at this height, which is settled.
    pub fn settled(&self, height: u64, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        let mut inner = lock(&self.inner);
        for (note, settled) in &mut inner.own {
            if settled.is_none() && notes.contains(note) {
                *settled = Some(height);
            }
        }
        inner.others.values_mut().for_each(|waiting| waiting.retain(|note| !notes.contains(note)));
    }

    /// Resolves once there is something to propose.
    pub fn any(&self) -> impl Future<Output = ()> + Send + '_ {
        self.until(Inner::any)
    }

    /// Resolves once something is asked for here that [`Notes::asked`] has not told.
    pub fn untold(&self) -> impl Future<Output = ()> + Send + '_ {
        self.until(|inner| inner.untold)
    }

    fn until(&self, holds: fn(&Inner) -> bool) -> Until<'_> {
        let mut inner = lock(&self.inner);
        inner.next_waiter += 1;
        Until { notes: self, holds, waiter: inner.next_waiter }
    }
}

struct Until<'a> {
    notes: &'a Notes,
    holds: fn(&Inner) -> bool,
    waiter: u64,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.notes.inner);
        if (self.holds)(&inner) {
            return Poll::Ready(());
        }
        inner.wakers.insert(self.waiter, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        // A proposer gives up with every view that passes: who has gone must not be remembered.
        lock(&self.notes.inner).wakers.remove(&self.waiter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at: usize) -> Note {
        [at as u8; 32]
    }

    #[test]
    fn who_asks_hears_where_it_was_settled_and_who_goes_is_forgotten() {
        let notes = Notes::default();
        let (one, two) = (notes.ask(note(1)).expect("room"), notes.ask(note(2)).expect("room"));
        assert!(notes.ask(note(1)).is_none(), "somebody else's");
        assert_eq!(notes.asked(), [note(1), note(2)]);
        notes.settled(7, &[note(9), note(1)]);
        notes.settled(8, &[note(1)]);
        assert_eq!((one.settled(), two.settled()), (Some(7), None));
        assert_eq!(notes.to_propose(), [note(2)]);
        drop((one, two));
        assert!(notes.to_propose().is_empty());
    }

    #[test]
    fn nobody_holds_more_than_his_share() {
        let notes = Notes::default();
        let held: Vec<_> = (0..MAX_ASKED).map(|at| notes.ask(note(at)).expect("room")).collect();
        assert!(notes.ask(note(200)).is_none(), "full");
        for member in 1..=9 {
            let flood: Vec<Note> = (0..MAX_ASKED).map(|at| [member * 16 + at as u8; 32]).collect();
            notes.heard([member; 32], flood.as_flattened());
            notes.heard([member; 32], flood.as_flattened());
        }
        let block = notes.to_propose();
        assert_eq!(block.len(), MAX_NOTES);
        let share = |of: &[Note]| block.iter().filter(|note| of.contains(note)).count();
        let own: Vec<Note> = (0..MAX_ASKED).map(note).collect();
        assert!(share(&own) >= MAX_NOTES / 10, "{} of our own", share(&own));
        drop(held);
        notes.heard([1; 32], &[0; 33]);
        notes.heard([2; 32], &vec![0; 32 * (MAX_ASKED + 1)]);
        assert!(!notes.to_propose().contains(&[0; 32]), "what is malformed, or too much, counts for nothing");
    }
}
