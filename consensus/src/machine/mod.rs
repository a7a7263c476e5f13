//! The machine: the only `apply(record) -> events, postings`.
//!
//! The hot path, recovery, `journal verify`, validators and audits all use these parts; nothing else says what an order
//! does, what it reserves, or what fee a fill pays. Everything is a function of the records: there is no clock, no
//! randomness, no float and no hash map here, and a test reads these files to see to it.
//!
//! - [`Machine`]: books and a matcher in one, for whoever re-executes. [`Books`]: its half without a matcher, for the hot
//!   path, whose matcher is behind a ring.
//! - [`Refusal`]: why a record does not apply. A refused record leaves no trace.
//! - [`MachineImage`]: all of it as plain data, archived by rkyv, for snapshots.

mod admission;
mod booking;
mod books;
mod chain;
mod image;
mod orders;
mod planted;
mod rates;
mod refusal;
mod registry;
mod root;
#[cfg(test)]
pub(crate) mod tests;
mod transfers;

use wirebook_matcher::Twin;
use wirebook_matcher::abi::{Command, Event, Kind, Limits};

use crate::ledger::Posting;
use crate::record::Record;

pub use books::{Books, MAX_SLOTS, SealRun};
pub use chain::HashChain;
pub use image::{ArchivedMachineImage, IMAGE_VERSION, ImageError, MachineImage};
pub use orders::LiveOrder;
pub use rates::{MAX_PPM, MAX_UNIT, Rates};
pub use refusal::{Fault, Refusal};
pub use registry::{AccountEntry, Day, InstrumentEntry, MAX_INSTRUMENTS, MAX_SESSIONS, RegistryBook};
pub use root::RootParts;

/// Takes what records bring about, step by step, with the books as they stand at each: recovery tells clients from it what
/// the hot path would have told them.
pub trait Sink {
    /// The record is admitted: what it reserves is reserved. Its events follow.
    fn admitted(&mut self, _record: &Record<'_>, _books: &Books) {}
    /// An event of the record; a fill comes with its match number.
    fn event(&mut self, _record: &Record<'_>, _event: &Event, _match_number: Option<u64>, _books: &Books) {}
    /// Money that moved; an event's postings come just before it.
    fn posting(&mut self, _posting: &Posting) {}
}

/// Takes everything and keeps nothing.
impl Sink for () {}

/// Books and a matcher: re-executes records. See the module.
#[derive(Clone, Debug)]
pub struct Machine<T> {
    /// Registry, ledger, live orders.
    pub books: Books,
    twin: Option<T>,
    /// [`Books::limits_version`] that the twin was made for.
    twin_version: u64,
    events: HashChain,
    records: HashChain,
}

impl<T: Twin> Machine<T> {
    /// An empty machine. Its first record must open an epoch.
    pub fn new(shard: u16) -> Self {
        let (events, records) = (HashChain::default(), HashChain::default());
        Self { books: Books::new(shard), twin: None, twin_version: 0, events, records }
    }

    /// Applies a record and hands over what it brings about.
    ///
    /// # Errors
    /// Says why it does not apply; the machine is then as it was. Only where the twin is at fault it is not: it gave an
    /// event that cannot be, and the machine takes no further record.
    pub fn apply(&mut self, record: &Record<'_>, sink: &mut impl Sink) -> Result<(), Refusal> {
        let command = self.books.admit(record)?;
        // What every twin answers to a plain nop needs none: registering instruments makes no twin before the first order.
        let nop = Command { seq: command.seq, kind: Kind::Nop as u8, ..Command::default() };
        if command != nop {
            self.refresh();
        }
        let (books, events) = (&mut self.books, &mut self.events);
        sink.admitted(record, books);
        let mut fault = None;
        let mut book = |event: Event| {
            if fault.is_some() {
                return;
            }
            match books.event(&event, &mut |posting| sink.posting(posting)) {
                Ok(match_number) => {
                    events.push(&event.to_bytes());
                    sink.event(record, &event, match_number, books);
                }
                Err(found) => fault = Some(found),
            }
        };
        match &mut self.twin {
            Some(twin) if command != nop => twin.execute(&command, book),
            _ => book(done(command.seq)),
        }
        match fault {
            Some(fault) => Err(Refusal::Matcher(fault)),
            None if !self.books.idle() => Err(Refusal::NoLast { seq: command.seq }),
            None => {
                self.records.extend(|bytes| record.encode_into(bytes));
                Ok(())
            }
        }
    }

    /// Makes the twin, or makes it anew with its live orders, when the matcher's limits have changed.
    fn refresh(&mut self) {
        let version = self.books.limits_version();
        if self.twin.is_some() && self.twin_version == version {
            return;
        }
        let limits = self.books.limits().expect("an order is admitted only in an epoch");
        let mut fresh = T::new(limits);
        if let Some(old) = &self.twin {
            old.orders(|order| fresh.restore(&order).expect("the books let no limit shut out a live order"));
        }
        self.twin = Some(fresh);
        self.twin_version = version;
    }

    /// Digest of everything that decides what further records bring about, of all records and of all events so far: see
    /// [`RootParts`]. Two runs of one root are the same run, byte for byte.
    /// Costs a pass over live orders and the registry, and hashes what has changed of the ledger: for seals, not for every
    /// record.
    pub fn root(&self) -> [u8; 32] {
        self.root_parts().root()
    }

    /// What [`Machine::root`] is made of.
    pub fn root_parts(&self) -> RootParts {
        RootParts {
            last_seq: self.last_seq(),
            ledger: self.books.ledger().root(),
            records: self.records.digest(),
            events: self.event_chain(),
            twin: self.twin.as_ref().map_or_else(|| *blake3::hash(b"").as_bytes(), T::digest),
            registry: self.books.registry().digest(),
            books: self.books.digest(),
        }
    }

    /// Digest of all event beats so far.
    pub fn event_chain(&self) -> [u8; 32] {
        self.events.digest()
    }

    /// The last record's seq; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.books.last_seq()
    }

    /// The matcher; `None` before the first order.
    pub fn twin(&self) -> Option<&T> {
        self.twin.as_ref()
    }

    /// Registry, ledger, live orders.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Books and matcher apart, for a hot path that begins where this machine ends. The matcher is as the books' last limits
    /// want it; before the first epoch, when they want none, it is of the smallest.
    pub fn into_parts(mut self) -> (Books, T) {
        if self.books.limits().is_some() {
            self.refresh();
        }
        (self.books, self.twin.unwrap_or_else(|| T::new(Limits::single(1, 1))))
    }
}

/// The answer to a nop.
fn done(seq: u64) -> Event {
    Event { seq, last: true, ..Event::BLANK }
}
