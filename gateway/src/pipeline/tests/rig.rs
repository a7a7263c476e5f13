//! A venue whose turns the test makes: loopback TCP, a disk in memory whose syncs can be held back, any matcher, and either way of
//! running the stages.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wirebook_bypass::cpu::WaitStrategy;
use wirebook_bypass::cpu::topology::Seat;
use wirebook_bypass::stream::StreamPort;
use wirebook_bypass::stream::kernel::{KernelConfig, KernelPort};
use wirebook_matcher::abi::abi_hash;
use wirebook_matcher::{Matcher, Queued, Software};
use wirebook_settlement::record::{DayPhase, Payload, State, Transfer};

use super::super::ending::LAST_TURN;
use super::super::flights::Reader;
use super::super::{
    AckPolicy, Control, ControlQueue, Links, Meters, PACE, Parts, Room, Seats, Status, Turn, User, Venue, VenueError,
    session_id,
};
use crate::client::{Heard, Link, LinkConfig};
use crate::entry::harness::{ACCOUNTS, ASSETS, MAX_QTY, SESSIONS, SLOTS, START, epoch, registry, short};
use crate::journal::storage::{FileEntry, FileId, Slot};
use crate::journal::{
    Expect, Faults, Journal, JournalConfig, Media, SimDisk, SimStorage, Storage, StorageError, recover,
};
use crate::recover::{Replay, Sizes};
use crate::sequencer::{Opening, SealPolicy, Sequencer};
use crate::session::Alpha;
use crate::session::ouch::Inbound;
use crate::session::soup::ServerConfig;
use crate::settle;

/// Turns that anything may take before a test gives up: each waits a millisecond at most, for one thing to come.
const PATIENCE: u32 = 60_000;

/// How long records gather under `matched`: a hundred turns.
pub const LINGER: Duration = Duration::from_micros(100);

/// Longer than any test, and than the rig's clock is off.
const AGES: u64 = 100 * 365 * 86_400 * 1_000_000_000;

/// Name of the first day's session.
const DAY: [u8; 10] = *b"2026112101";

/// A disk that says that a write is durable only when it may. What the simulated disk allocates for itself is not counted.
pub struct Gated {
    storage: SimStorage,
    shut: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl Media for Gated {
    fn list(&mut self) -> Result<Vec<FileEntry>, StorageError> {
        self.storage.list()
    }
    fn read(&mut self, name: &str, into: &mut Vec<u8>) -> Result<(), StorageError> {
        self.storage.read(name, into)
    }
    fn locate(&self, name: &str) -> String {
        self.storage.locate(name)
    }
}

impl Storage for Gated {
    fn reserve(&mut self, block: usize) -> Result<(), StorageError> {
        self.storage.reserve(block)
    }
    fn open(&mut self, name: &str) -> Result<FileId, StorageError> {
        self.storage.open(name)
    }
    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.storage.remove(name)
    }
    fn begin_create(&mut self, name: &str, len: u64) -> Result<(), StorageError> {
        uncounted(|| self.storage.begin_create(name, len))
    }
    fn created(&mut self) -> Option<Result<FileId, StorageError>> {
        uncounted(|| self.storage.created())
    }
    fn close(&mut self, file: FileId) {
        self.storage.close(file);
    }
    fn buffer(&mut self, slot: Slot) -> &mut [u8] {
        self.storage.buffer(slot)
    }
    fn queue(&mut self, file: FileId, slot: Slot, len: usize, offset: u64) -> Result<(), StorageError> {
        uncounted(|| self.storage.queue(file, slot, len, offset))
    }
    fn enter(&mut self) -> Result<(), StorageError> {
        if self.shut.load(Ordering::Relaxed) { Ok(()) } else { uncounted(|| self.storage.enter()) }
    }
    fn reap(&mut self) -> Option<Result<(), StorageError>> {
        if self.shut.load(Ordering::Relaxed) { None } else { uncounted(|| self.storage.reap()) }
    }
    fn wait(&mut self) -> Result<(), StorageError> {
        assert!(!self.panics.load(Ordering::Relaxed), "a planted panic of the disk");
        if self.shut.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_micros(50));
            return Ok(());
        }
        self.storage.wait()
    }
    fn wake_fd(&self) -> Option<RawFd> {
        None
    }
}

/// Does something whose allocations are not the venue's.
fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(work()));
    result.expect("it was done")
}

/// The software twin behind its queue: a matcher that does not lie.
pub fn honest(twin: Software) -> Queued<Software> {
    Queued::over(twin)
}

/// How the stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Inline,
    Pipelined(Room),
}

/// Both, for what must be the same in both.
pub fn ways() -> [Way; 2] {
    [Way::Inline, Way::Pipelined(Room::default())]
}

pub struct Rig<M: Matcher> {
    pub venue: Venue<KernelPort, M, Gated>,
    pub disk: SimDisk,
    pub control: ControlQueue,
    shut: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    pub address: SocketAddr,
    now: u64,
    _feed: settle::FeedEnd,
}

impl<M: Matcher + Send + 'static> Rig<M> {
    /// A venue with the registry of the entry tests, its day open, and a login `user1` and so on for each session.
    pub fn open(way: Way, policy: AckPolicy, matcher: impl FnOnce(Software) -> M) -> Self {
        Self::with_blocks(way, 1 << 20, policy, matcher)
    }

    /// Such a venue, whose journal writes at most `max_block` bytes at a time.
    pub fn with_blocks(way: Way, max_block: usize, policy: AckPolicy, matcher: impl FnOnce(Software) -> M) -> Self {
        Self::with(way, (max_block, LINGER), policy, matcher)
    }

    /// Such a venue under `matched`, whose records gather so long.
    pub fn lingering(way: Way, linger: Duration, matcher: impl FnOnce(Software) -> M) -> Self {
        Self::with(way, (1 << 20, linger), AckPolicy::Matched, matcher)
    }

    fn with(
        way: Way,
        (max_block, linger): (usize, Duration),
        policy: AckPolicy,
        matcher: impl FnOnce(Software) -> M,
    ) -> Self {
        let disk = SimDisk::new(7, Faults::default());
        let mut storage = disk.open();
        let expect = Expect { shard: Some(0), abi_hash: Some(abi_hash()) };
        let recovered = recover(&mut storage, &expect, &mut |_| Ok(())).unwrap();
        let shut = Arc::new(AtomicBool::new(false));
        let panics = Arc::new(AtomicBool::new(false));
        let gated = Gated { storage, shut: Arc::clone(&shut), panics: Arc::clone(&panics) };
        let config = JournalConfig { segment_len: 8 << 20, max_block, ..JournalConfig::new(0, abi_hash()) };
        let mut journal = Journal::start(gated, config, &recovered).unwrap();
        let opening = Opening {
            shard: 0,
            epoch: 1,
            last_time_ns: 0,
            next_batch: 1,
            open_first_seq: 0,
            open_records: 0,
            policy: SealPolicy::default(),
        };
        let mut sequencer = Sequencer::open(opening, START, &epoch(0), 1 << 16);
        let mut replay = Replay::<Software>::new(Sizes { shard: 0, slots: SLOTS, max_qty: MAX_QTY });
        let mut payloads: Vec<Payload<'_>> = registry().into_iter().map(Payload::Registry).collect();
        for (number, account) in (0u128..).zip(ACCOUNTS) {
            for asset in 0..ASSETS {
                let id = number * u128::from(ASSETS) + u128::from(asset);
                let transfer = Transfer { id, from: 0, to: account, asset, amount: 1_000_000_000_000_000 };
                payloads.push(Payload::Transfer(transfer));
            }
        }
        payloads.push(Payload::State(State::Day { date: 20_261_121, phase: DayPhase::Open, session_name: DAY }));
        for payload in payloads {
            replay.entry().submit(&payload, START, &mut sequencer).unwrap();
        }
        let burst = sequencer.take();
        replay.burst(burst).unwrap();
        assert_eq!(journal.append_burst(burst).unwrap(), burst.len());
        let durable = journal.flush().unwrap();
        let (books, twin, entry, mut publisher) = replay.into_parts();
        publisher.release(durable);

        let mut port = KernelPort::new(&small()).unwrap();
        let listener = port.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = port.local_addr(listener).unwrap();
        let control = ControlQueue::new(port.waker());
        let user = |session: u32| User { session, username: format!("user{session}"), password: "secret".into() };
        let users = SESSIONS.into_iter().map(user).collect();
        let (feed, feed_end) = settle::feed().unwrap();
        let files = tempfile::tempdir().unwrap();
        let meters = Meters::create(&files.path().join("counters")).unwrap();
        // The rig's clock is not the one of `run`.
        let patient = ServerConfig {
            silence_timeout_ns: AGES,
            stall_timeout_ns: AGES,
            login_timeout_ns: AGES,
            ..Default::default()
        };
        let parts = Parts {
            links: Links::new(port, listener, users, patient, session_id(DAY)),
            entry,
            sequencer,
            matcher: matcher(twin),
            books,
            publisher,
            journal,
            policy,
            linger,
            wait: WaitStrategy::default(),
            feed,
            control: control.clone(),
            status: Arc::new(Status::new(durable)),
            meters,
        };
        let venue = match way {
            Way::Inline => Venue::new(parts),
            Way::Pipelined(room) => {
                let seat = |stage: &str| Seat { stage: stage.into(), core: None, wait: WaitStrategy::default() };
                let seats = Seats { matcher: seat("matcher"), journal: seat("journal"), room };
                let (venue, warnings) = Venue::pipelined(parts, &seats).unwrap();
                assert!(warnings.is_empty(), "{warnings:?}");
                venue
            }
        };
        Self { venue, disk, control, shut, panics, address, now: START, _feed: feed_end }
    }
}

impl<M: Matcher> Rig<M> {
    /// The disk panics from now on.
    pub fn plant_panic(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is under way, and everything is durable.
    pub fn durable(&self) -> bool {
        let venue = &self.venue;
        let booked = venue.sequencer.is_empty() && venue.flights.rest(Reader::Books).is_none();
        booked && venue.keeping.durable() == venue.sequencer.last_seq()
    }

    /// Whether it also has been released: a journal on a thread of its own becomes durable between two turns.
    pub fn released(&self) -> bool {
        self.durable() && self.venue.watermark == self.venue.sequencer.last_seq()
    }

    /// Holds syncs back from now on, or lets them through.
    pub fn shut_disk(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }

    /// Connects a client of this session; it logs in as turns are made.
    pub fn client(&self, session: u32) -> Client {
        let config = LinkConfig {
            peer: self.address,
            username: Alpha::new(&format!("user{session}")).unwrap(),
            password: Alpha::new("secret").unwrap(),
            session: Alpha([b' '; 10]),
            sequence: 1,
        };
        let link = Link::open(KernelPort::new(&small()).unwrap(), &config).unwrap();
        Client { link, heard: Vec::new(), raw: Vec::new(), over: None }
    }

    /// The clock of its turns.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// One turn of the venue, a microsecond after the last.
    pub fn turn(&mut self) -> Result<Turn, VenueError> {
        self.now += 1_000;
        self.venue.turn(self.now)
    }

    /// Turns of venue and clients, until the condition holds.
    pub fn until(
        &mut self,
        what: &str,
        clients: &mut [&mut Client],
        done: impl Fn(&Self, &[&mut Client]) -> bool,
    ) -> Result<(), VenueError> {
        for _ in 0..PATIENCE {
            let turn = self.turn()?;
            for client in clients.iter_mut() {
                client.turn();
            }
            if done(self, clients) {
                return Ok(());
            }
            if turn == Turn::Idle && self.venue.has_room() {
                self.venue.links.port().wait(LAST_TURN)?;
            } else if turn == Turn::Idle {
                // Clients are not read, so the port would not sleep.
                std::thread::sleep(PACE);
            }
        }
        let venue = &self.venue;
        panic!(
            "in vain: {what}; seq {:#x}, booked {:#x}, durable {:#x}, bytes under way {} to the journal, {} to the matcher, {} to the books; heard {:?}",
            venue.sequencer.last_seq(),
            venue.booking.booked(),
            venue.keeping.durable(),
            venue.flights.left(Reader::Journal),
            venue.flights.left(Reader::Matcher),
            venue.flights.left(Reader::Books),
            clients.iter().map(|client| client.heard.len()).collect::<Vec<_>>(),
        );
    }

    /// So many turns, whatever they do.
    pub fn turns(&mut self, count: u32, clients: &mut [&mut Client]) -> Result<(), VenueError> {
        for _ in 0..count {
            self.turn()?;
            for client in clients.iter_mut() {
                client.turn();
            }
            self.venue.links.port().wait(Duration::from_micros(50))?;
        }
        Ok(())
    }

    /// Asks the venue.
    pub fn ask(&self, control: Control) {
        assert!(self.control.ask(control), "the queue has room");
    }
}

fn small() -> KernelConfig {
    KernelConfig { max_connections: 8, ..KernelConfig::default() }
}

/// A client, and all that it heard.
pub struct Client {
    pub link: Link<KernelPort>,
    pub heard: Vec<String>,
    /// The same as bytes.
    pub raw: Vec<Vec<u8>>,
    pub over: Option<String>,
}

impl Client {
    pub fn turn(&mut self) {
        if self.over.is_some() {
            return;
        }
        let (heard, raw) = (&mut self.heard, &mut self.raw);
        let turned = self.link.turn(|told| {
            if let Heard::Message { payload, .. } = told {
                heard.push(short(payload));
                raw.push(payload.to_vec());
            }
        });
        self.over = turned.err().map(|error| error.to_string());
    }

    /// Queues a message, for the next turn; `false`: no room.
    pub fn say(&mut self, message: &Inbound<'_>) -> bool {
        let mut bytes = [0; 1024];
        let length = message.encode(&mut bytes).expect("room for a message");
        self.link.send(&bytes[..length])
    }
}
