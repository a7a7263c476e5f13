//! From configuration and disk to stages that are ready to run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;
use wirebook_bypass::cpu::topology::Topology;
use wirebook_bypass::cpu::{CpuError, Warning, allowed_cores};
use wirebook_bypass::ring::RingError;
use wirebook_bypass::stream::any::{AnyConfig, AnyPort, PortKind};
use wirebook_bypass::stream::kernel::KernelConfig;
use wirebook_bypass::stream::shm::ShmConfig;
use wirebook_bypass::stream::smoltcp::SmoltcpConfig;
use wirebook_bypass::stream::uring::UringConfig;
use wirebook_bypass::stream::{StreamError, StreamPort};
use wirebook_matcher::abi::{Capabilities, Limits, abi_hash};
use wirebook_matcher::{Matcher, Twin};
use wirebook_settlement::ledger::Known;
use wirebook_settlement::record::{DayPhase, EpochOpen, Leg, Payload, Registry, State};

use super::{mark, plan};
use crate::config::{Config, Xdp};
use crate::day;
use crate::journal::{
    DirectOptions, DirectStorage, Expect, Journal, JournalConfig, JournalError, Recovered, StorageError, Tail,
};
use crate::pipeline::{AckPolicy, ControlQueue, Links, Meters, Parts, SeatError, Status, User, Venue, session_id};
use crate::recover::{Replay, ReplayError, ResumeError, Sizes, resume};
use crate::sequencer::{Opening, SealPolicy, Sequencer};
use crate::session::soup::ServerConfig;
use crate::settle::{self, KeyError, SettleConfig, SettleError, Settlement, SnapshotPlan};

/// Bytes that a burst's buffer holds without growing.
const BURST_BYTES: usize = 1 << 20;

/// The counters' file, in the data directory.
pub const COUNTERS: &str = "counters";

/// Why a venue cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A directory cannot be made or used.
    #[error("{}: cannot be made or used: {error}", path.display())]
    Directory {
        /// It.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The journal's storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal does not verify, or contradicts the snapshot.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record of this start does not apply.
    #[error("the configuration does not fit the journal: {0}")]
    Replay(#[from] ReplayError),
    /// The configuration asks for what order entry refuses.
    #[error("the configuration does not fit the journal: {0}")]
    Refused(String),
    /// Today's session names are used up.
    #[error("today's {0} session names are used up; start again tomorrow, or with a new journal directory")]
    Day(u32),
    /// The port cannot listen.
    #[error("cannot listen on {address}: {error}; choose another address in [gateway] listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: StreamError,
    },
    /// The port cannot be made.
    #[error(transparent)]
    Port(#[from] StreamError),
    /// The matcher that is configured cannot be had.
    #[error("the matcher cannot start: {0}")]
    Matcher(String),
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The validator's store does not verify.
    #[error("the validator cannot start: {0}")]
    Validator(String),
    /// Settlement cannot start.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// No thread on the core that was asked for.
    #[error(transparent)]
    Cpu(#[from] CpuError),
    /// The counters' file cannot be made.
    #[error(transparent)]
    Counters(#[from] wirebook_bypass::counters::CountersError),
    /// No memory for a ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A stage has no thread.
    #[error("a stage has no thread of its own: {0}; set pipeline = \"inline\" in [gateway]")]
    Seat(#[from] SeatError),
}

/// What start-up found and did.
#[derive(Clone, Debug, Default)]
pub struct Started {
    /// Records in the journal.
    pub records: u64,
    /// Records applied: all, or those behind the snapshot.
    pub applied: u64,
    /// The snapshot's file; empty: there is none.
    pub snapshot: String,
    /// What became of the journal's tail.
    pub tail: String,
    /// Epoch that this start opened.
    pub epoch: u16,
    /// Name of the day's session.
    pub session: String,
    /// Whether the journal bypasses the page cache.
    pub direct: bool,
    /// Where the stages run, and why there.
    pub topology: String,
    /// What costs latency or safety here.
    pub warnings: Vec<String>,
}

/// Stages, wired and ready.
pub(super) struct Assembled<M: Matcher> {
    pub venue: Venue<AnyPort, M, DirectStorage>,
    pub address: SocketAddr,
    pub control: ControlQueue,
    pub status: Arc<Status>,
    pub settlement: Settlement,
    pub started: Started,
}

/// Recovers, brings up, and wires; `make` makes the matcher of the twin that recovery leaves. `able` is what the matcher can do:
/// what an epoch promises of it, the registry holds every instrument to.
pub(super) fn assemble<T: Twin + Send + 'static, M: Matcher + Send + 'static>(
    config: &Config,
    topology: &Topology,
    able: Capabilities,
    make: impl FnOnce(T, Arc<Status>) -> Result<M, StartError>,
) -> Result<Assembled<M>, StartError> {
    for path in [&config.gateway.data_dir, &config.journal.dir] {
        std::fs::create_dir_all(path).map_err(|error| StartError::Directory { path: path.clone(), error })?;
    }
    let mut storage = DirectStorage::open(&config.journal.dir, DirectOptions::default())?;
    let direct = storage.direct();
    let expect = Expect { shard: Some(config.gateway.shard), abi_hash: Some(abi_hash()) };
    let sizes = Sizes { shard: config.gateway.shard, slots: config.gateway.max_live_orders, max_qty: config.max_qty() };
    let resumed = resume::<T, _>(&mut storage, &config.journal.dir, &expect, sizes)?;
    let (mut replay, recovered) = (resumed.replay, resumed.recovered);
    let base = resumed.snapshot.map(|(snapshot, sealed)| (snapshot, sealed.number));
    let data = &config.gateway.data_dir;
    let marked = mark::take(data).map_err(|error| StartError::Directory { path: data.clone(), error })?;
    let clean = is_clean(&recovered, marked);

    let mut journal_config = JournalConfig::new(config.gateway.shard, abi_hash());
    journal_config.segment_len = config.journal.segment_bytes;
    journal_config.max_block = config.journal.block_bytes as usize;
    let mut journal = Journal::start(storage, journal_config, &recovered)?;
    let mut sequencer = open_epoch(config, &journal, &recovered, &replay, able, clean);
    let session = bring_up(config, &mut replay, &mut sequencer, clean)?;

    let mut port = AnyPort::new(&port_config(config))?;
    let listen = |error| StartError::Listen { address: config.gateway.listen, error };
    let listener = port.listen(config.gateway.listen).map_err(listen)?;
    let address = port.local_addr(listener).unwrap_or(config.gateway.listen);
    let waker = port.waker();
    let seats = plan::seats(topology);
    // A journal on a thread of its own waits for its disk there.
    if let Some(completions) = journal.wake_fd().filter(|_| seats.is_none()) {
        port.watch(completions)?;
    }

    // What this start has sequenced must be durable before anyone is told of it.
    let burst = sequencer.take();
    replay.burst(burst)?;
    for_each_record(burst, |seq, record| journal.append(record, seq))?;
    let durable = journal.flush()?;
    let status = Arc::new(Status::new(durable));
    let mut started = Started {
        records: recovered.records,
        applied: resumed.applied,
        snapshot: base.as_ref().map(|(snapshot, _)| snapshot.path().display().to_string()).unwrap_or_default(),
        tail: recovered.tail.to_string(),
        epoch: journal.epoch(),
        session: String::from_utf8_lossy(&session).into_owned(),
        direct,
        topology: topology.to_string(),
        warnings: resumed.warnings,
    };

    let key = settle::signing_key(&config.gateway.data_dir.join("gateway.key"))?;
    let finality: Option<Box<dyn settle::Finality>> = if !config.settlement.enabled {
        None
    } else if !config.settlement.validators.is_empty() {
        let committee = settle::Committee::start(&config.settlement.validators, config.gateway.shard);
        Some(Box::new(committee.map_err(|error| StartError::Validator(error.to_string()))?))
    } else {
        settle::validator(&config.settlement.dir, config.gateway.shard, key.verifying_key())
            .map_err(StartError::Validator)?
    };
    let (feed, feed_end) = settle::feed()?;
    let snapshots = SnapshotPlan {
        dir: config.journal.dir.clone(),
        every_batches: config.settlement.snapshot_every_batches,
        kept: config.journal.snapshots_kept as usize,
        newest: base.as_ref().map_or(0, |(snapshot, _)| snapshot.meta().seq),
    };
    let settle_config =
        SettleConfig { journal: config.journal.dir.clone(), sizes, expect, key, finality, base, snapshots };
    let settlement = Settlement::start(settle_config, feed_end, Arc::clone(&status), plan::settlement(topology))?;

    let control = ControlQueue::new(waker);
    let (books, twin, entry, mut publisher) = replay.into_parts();
    publisher.release(durable);
    let parts = Parts {
        links: Links::new(port, listener, users(config), timeouts(config), session_id(session)),
        entry,
        sequencer,
        matcher: make(twin, Arc::clone(&status))?,
        books,
        publisher,
        journal,
        policy: config.gateway.ack,
        linger: config.journal.linger,
        wait: config.gateway.wait,
        feed,
        control: control.clone(),
        status: Arc::clone(&status),
        meters: Meters::create(&config.gateway.data_dir.join(COUNTERS))?,
    };
    let venue = match seats {
        None => Venue::new(parts),
        Some(seats) => {
            let (venue, warnings) = Venue::pipelined(parts, &seats)?;
            started.warnings.extend(warnings.iter().map(Warning::to_string));
            venue
        }
    };
    started.warnings.extend(plan::warnings(topology, allowed_cores().len()));
    Ok(Assembled { venue, address, control, status, settlement, started })
}

/// The port that the configuration asks for.
fn port_config(config: &Config) -> AnyConfig {
    let gateway = &config.gateway;
    let max_connections = gateway.max_connections as usize;
    let (recv_buffer, send_buffer) = (gateway.receive_buffer as usize, gateway.send_buffer as usize);
    match gateway.port {
        PortKind::Kernel => {
            AnyConfig::Kernel(KernelConfig { max_connections, recv_buffer, send_buffer, ..KernelConfig::default() })
        }
        PortKind::Uring => {
            AnyConfig::Uring(UringConfig { max_connections, recv_buffer, send_buffer, ..UringConfig::default() })
        }
        PortKind::Xdp => {
            // Of another family there is no such port, which refuses the address.
            let address = match gateway.listen.ip() {
                IpAddr::V4(address) => address,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            let Xdp { interface, prefix, gateway } = gateway.xdp.clone();
            let place = SmoltcpConfig { address, prefix, gateway, ..SmoltcpConfig::default() };
            AnyConfig::xdp(&interface, SmoltcpConfig { max_connections, recv_buffer, send_buffer, ..place })
        }
        PortKind::Shm => AnyConfig::Shm(ShmConfig {
            dir: gateway.shm_dir.clone(),
            max_connections,
            recv_buffer,
            send_buffer,
            ..ShmConfig::default()
        }),
    }
}

/// Whether the last life ended in good order, if there was one: it left its mark at the journal's end, and nothing had to be
/// cut.
fn is_clean(recovered: &Recovered, marked: Option<u64>) -> bool {
    let end = recovered.last_seq;
    !matches!(recovered.tail, Tail::Cut { .. }) && (end == 0 || marked == Some(end))
}

/// The matcher's sizes, when every instrument of the configuration is registered.
pub(super) fn limits(config: &Config) -> Limits {
    let ticks = config.instruments.iter().map(|instrument| instrument.band_ticks).collect();
    Limits { ticks, slots: config.gateway.max_live_orders, max_qty: config.max_qty() }
}

fn open_epoch<T: Twin, S: crate::journal::Storage>(
    config: &Config,
    journal: &Journal<S>,
    recovered: &Recovered,
    replay: &Replay<T>,
    capabilities: Capabilities,
    clean: bool,
) -> Sequencer {
    let run = replay.books().seal();
    let opening = Opening {
        shard: config.gateway.shard,
        epoch: journal.epoch(),
        last_time_ns: replay.books().last_time_ns(),
        next_batch: run.number + 1,
        policy: seal_policy(config),
        open_first_seq: run.first_seq,
        open_records: run.records,
    };
    let epoch = EpochOpen {
        previous_end: recovered.last_seq,
        previous_digest: recovered.last_hash,
        abi_hash: abi_hash(),
        slots: config.gateway.max_live_orders,
        max_qty: config.max_qty(),
        capabilities: capabilities.0,
        clean,
    };
    Sequencer::open(opening, now_ns(), &epoch, BURST_BYTES)
}

/// Sequences what this start adds: the registry's changes, deposits not made yet, a day if none is open, and what a crash
/// left undone. Returns the name of the day's session.
fn bring_up<T: Twin>(
    config: &Config,
    replay: &mut Replay<T>,
    sequencer: &mut Sequencer,
    clean: bool,
) -> Result<[u8; 10], StartError> {
    let mut submit = |replay: &mut Replay<T>, payload: Payload<'_>| -> Result<(), StartError> {
        replay
            .entry()
            .submit(&payload, now_ns(), sequencer)
            .map(drop)
            .map_err(|refused| StartError::Refused(refused.to_string()))
    };
    let payloads = config.records();
    // An account gets its deposits when it is first registered: the machine remembers transfers for two days only, and a
    // start in a year must not pay again. Until a day has opened, the first start is not complete, and goes on.
    let begun = replay.books().registry().day().is_some();
    let registered = replay.books().registry().entries();
    let missing: Vec<_> = payloads
        .into_iter()
        .filter(|payload| match payload {
            Payload::Registry(Registry::Restrict(restrict)) => {
                let held = replay.books().registry().restricted(restrict.account, restrict.instrument);
                held != restrict.restricted
            }
            Payload::Registry(entry) => !registered.contains(entry),
            Payload::Transfer(transfer) => {
                let known = begun && replay.books().registry().account(transfer.to).is_some();
                !known && replay.books().ledger().ids.known(&Leg::book(*transfer)) == Known::New
            }
            _ => true,
        })
        .collect();
    for payload in missing {
        submit(replay, payload)?;
    }
    let now = now_ns();
    let today = replay.books().registry().day().copied();
    let last = today.map(|today| today.session_name);
    // Under `matched`, a crash can have taken back what clients were told: their old stream is not to be trusted.
    let lost = !clean && config.gateway.ack == AckPolicy::Matched;
    let name = match today {
        Some(today) if today.phase == DayPhase::Open && today.date == day::date(now) && !lost => today.session_name,
        _ => {
            if let Some(today) = today
                && today.phase == DayPhase::Open
                && today.date != day::date(now)
            {
                submit(replay, Payload::State(day::close(today.session_name)))?;
            }
            let open = day::open(now, last).ok_or(StartError::Day(day::MAX_GENERATION))?;
            let State::Day { session_name, .. } = open else { unreachable!("day::open makes a day") };
            submit(replay, Payload::State(open))?;
            session_name
        }
    };
    replay.entry().resume(now_ns(), sequencer);
    Ok(name)
}

fn for_each_record(
    burst: &[u8],
    mut each: impl FnMut(u64, &[u8]) -> Result<(), JournalError>,
) -> Result<(), StartError> {
    let mut at = 0;
    while at < burst.len() {
        let (record, length) = wirebook_settlement::record::Record::decode(&burst[at..]).map_err(ReplayError::from)?;
        each(record.header.seq, &burst[at..at + length])?;
        at += length;
    }
    Ok(())
}

fn users(config: &Config) -> Vec<User> {
    let login =
        |s: &crate::config::Session| User { session: s.id, username: s.username.clone(), password: s.password.clone() };
    config.sessions.iter().map(login).collect()
}

fn timeouts(config: &Config) -> ServerConfig {
    let ns = |ms: u32| u64::from(ms) * 1_000_000;
    ServerConfig {
        login_timeout_ns: ns(config.gateway.login_timeout_ms),
        heartbeat_ns: ns(config.gateway.heartbeat_ms),
        silence_timeout_ns: ns(config.gateway.silence_timeout_ms),
        stall_timeout_ns: ns(config.gateway.stall_timeout_ms),
    }
}

fn seal_policy(config: &Config) -> SealPolicy {
    SealPolicy {
        records: config.settlement.seal_every_records,
        after_ns: u64::from(config.settlement.seal_every_ms) * 1_000_000,
        ..SealPolicy::default()
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
