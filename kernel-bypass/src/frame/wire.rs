//! Two ports and a wire between them, in memory, with a clock and faults of its own: the same seed gives the same run.
//!
//! Each frame may be lost, arrive twice, arrive changed in one bit, or be overtaken, by chances that the caller sets. The clock
//! moves by a tick whenever an end looks for frames, and jumps when an end waits: to the next arrival, or by the whole timeout. So
//! a retransmission that waits for a second costs no time.
//!
//! ARP is never changed: it has no check of its own, and is protected by the link's.
//!
//! **Limits.** Both ends live in one process; what is in flight is bounded, and what exceeds it is lost, as in a switch. A wait of
//! [`REAL_WAIT`] or longer is for another thread, which knows nothing of this clock: it really sleeps.

use super::{ETHERNET_HEADER, ETHERTYPE_ARP, FrameError, FramePort, FrameStats, FrameTx, MAX_FRAME, MacAddr};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// A wait at least this long is a real one.
pub const REAL_WAIT: Duration = Duration::from_secs(900);
/// A chance of 1.
pub const ALWAYS: u32 = 1 << 16;
/// How much later a frame arrives that is overtaken, at most.
const OVERTAKEN_NS: u64 = 200_000;

/// What the wire does to frames. Chances are in units of 1/65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Seed of every chance.
    pub seed: u64,
    /// That a frame never arrives.
    pub loss: u32,
    /// That it arrives twice.
    pub duplication: u32,
    /// That one bit of it is changed. ARP is spared.
    pub corruption: u32,
    /// That frames sent later arrive before it.
    pub reordering: u32,
    /// How long every frame travels, in nanoseconds.
    pub delay_ns: u64,
    /// How much longer than that it may travel, without overtaking.
    pub jitter_ns: u64,
    /// How far the clock moves when an end looks for frames.
    pub tick_ns: u64,
    /// Frames in flight; one more is lost. At most 65,536.
    pub in_flight: usize,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 1,
            loss: 0,
            duplication: 0,
            corruption: 0,
            reordering: 0,
            delay_ns: 1_000,
            jitter_ns: 0,
            tick_ns: 200,
            in_flight: 4096,
        }
    }
}

/// What the wire has done to frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Frames lost by chance.
    pub lost: u64,
    /// Frames that arrived twice.
    pub duplicated: u64,
    /// Frames changed.
    pub corrupted: u64,
    /// Frames that others were let overtake.
    pub overtaken: u64,
    /// Frames lost because too many were in flight.
    pub overflowed: u64,
}

/// A frame in flight: arrival, a number that keeps equals in order, buffer.
type Flight = Reverse<(u64, u64, u32)>;

/// What lies between the ends.
struct Wire {
    faults: Faults,
    dice: u64,
    now_ns: u64,
    sent: u64,
    /// The latest arrival at each end, which frames that are not overtaken come after.
    latest: [u64; 2],
    /// To each end.
    flights: [BinaryHeap<Flight>; 2],
    buffers: Box<[[u8; MAX_FRAME]]>,
    lengths: Vec<u16>,
    free: Vec<u32>,
    mishaps: Mishaps,
}

impl Wire {
    fn new(faults: Faults) -> Self {
        let count = faults.in_flight.clamp(1, 1 << 16);
        Self {
            faults,
            dice: faults.seed ^ 0x9e37_79b9_7f4a_7c15,
            now_ns: 1,
            sent: 0,
            latest: [0; 2],
            flights: [BinaryHeap::with_capacity(count), BinaryHeap::with_capacity(count)],
            buffers: vec![[0; MAX_FRAME]; count].into_boxed_slice(),
            lengths: vec![0; count],
            free: (0..count as u32).rev().collect(),
            mishaps: Mishaps::default(),
        }
    }

    /// SplitMix64.
    fn die(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, of_65536: u32) -> bool {
        of_65536 > 0 && (self.die() & 0xffff) < u64::from(of_65536)
    }

    fn send(&mut self, to: usize, frame: &[u8]) {
        if self.chance(self.faults.loss) {
            self.mishaps.lost += 1;
            return;
        }
        let twice = self.chance(self.faults.duplication);
        self.mishaps.duplicated += u64::from(twice);
        for _ in 0..=u32::from(twice) {
            self.launch(to, frame);
        }
    }

    fn launch(&mut self, to: usize, frame: &[u8]) {
        let Some(buffer) = self.free.pop() else {
            self.mishaps.overflowed += 1;
            return;
        };
        self.buffers[buffer as usize][..frame.len()].copy_from_slice(frame);
        self.lengths[buffer as usize] = frame.len() as u16;
        let arp = frame.get(12..ETHERNET_HEADER) == Some(&ETHERTYPE_ARP.to_be_bytes()[..]);
        if !arp && self.chance(self.faults.corruption) {
            let bit = (self.die() % (8 * frame.len() as u64)) as usize;
            self.buffers[buffer as usize][bit / 8] ^= 1 << (bit % 8);
            self.mishaps.corrupted += 1;
        }
        let jitter = if self.faults.jitter_ns > 0 { self.die() % self.faults.jitter_ns } else { 0 };
        let mut arrival = (self.now_ns + self.faults.delay_ns + jitter).max(self.latest[to]);
        if self.chance(self.faults.reordering) {
            arrival += 1 + self.die() % OVERTAKEN_NS;
            self.mishaps.overtaken += 1;
        } else {
            self.latest[to] = arrival;
        }
        self.sent += 1;
        self.flights[to].push(Reverse((arrival, self.sent, buffer)));
    }

    /// The buffer of the next frame that has arrived at `end`.
    fn arrived(&mut self, end: usize) -> Option<u32> {
        let &Reverse((arrival, _, buffer)) = self.flights[end].peek()?;
        if arrival > self.now_ns {
            return None;
        }
        self.flights[end].pop();
        Some(buffer)
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    // A panic elsewhere leaves nothing half done that matters to a frame.
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sending side of an end.
pub struct WireTx {
    wire: Arc<Mutex<Wire>>,
    to: usize,
    /// Written, not flushed: the frames and where each ends.
    batch: Vec<u8>,
    ends: Vec<usize>,
    stats: FrameStats,
}

/// Frames that may be written between two flushes.
const BATCH: usize = 1024;

impl FrameTx for WireTx {
    fn ready(&mut self) -> bool {
        self.ends.len() < BATCH
    }

    fn transmit<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        assert!(len <= MAX_FRAME, "a frame of {len} bytes");
        if self.ends.len() == BATCH {
            return None;
        }
        let start = self.batch.len();
        self.batch.resize(start + len, 0);
        let result = write(&mut self.batch[start..]);
        self.ends.push(start + len);
        self.stats.frames_out += 1;
        self.stats.bytes_out += len as u64;
        Some(result)
    }
}

/// One end of the wire.
pub struct WireEnd {
    wire: Arc<Mutex<Wire>>,
    end: usize,
    mac: MacAddr,
    frame: Box<[u8; MAX_FRAME]>,
    tx: WireTx,
}

/// A wire with these faults: its two ends, with the addresses 02:00:00:00:00:01 and 02:00:00:00:00:02.
pub fn pair(faults: Faults) -> (WireEnd, WireEnd) {
    let wire = Arc::new(Mutex::new(Wire::new(faults)));
    let end = |end: usize| WireEnd {
        wire: wire.clone(),
        end,
        mac: MacAddr([2, 0, 0, 0, 0, 1 + end as u8]),
        frame: Box::new([0; MAX_FRAME]),
        tx: WireTx {
            wire: wire.clone(),
            to: 1 - end,
            batch: Vec::with_capacity(BATCH * MAX_FRAME),
            ends: Vec::with_capacity(BATCH),
            stats: FrameStats::default(),
        },
    };
    (end(0), end(1))
}

impl WireEnd {
    /// What the wire has done to the frames of both ends.
    pub fn mishaps(&self) -> Mishaps {
        lock(&self.wire).mishaps
    }

    /// Changes what the wire does from now on. The seed, the clock and the room in flight stay.
    pub fn set_faults(&mut self, faults: Faults) {
        let mut wire = lock(&self.wire);
        wire.faults = Faults { seed: wire.faults.seed, in_flight: wire.faults.in_flight, ..faults };
    }
}

impl FramePort for WireEnd {
    type Tx = WireTx;

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn max_frame(&self) -> usize {
        MAX_FRAME
    }

    fn now_ns(&mut self) -> u64 {
        lock(&self.wire).now_ns
    }

    fn receive(&mut self, limit: usize, mut each: impl FnMut(&[u8], &mut WireTx)) -> Result<usize, FrameError> {
        {
            let mut wire = lock(&self.wire);
            wire.now_ns += wire.faults.tick_ns;
        }
        for count in 0..limit {
            let len = {
                let mut wire = lock(&self.wire);
                let Some(buffer) = wire.arrived(self.end) else {
                    return Ok(count);
                };
                let len = usize::from(wire.lengths[buffer as usize]);
                self.frame[..len].copy_from_slice(&wire.buffers[buffer as usize][..len]);
                wire.free.push(buffer);
                len
            };
            self.tx.stats.frames_in += 1;
            self.tx.stats.bytes_in += len as u64;
            each(&self.frame[..len], &mut self.tx);
        }
        Ok(limit)
    }

    fn tx(&mut self) -> &mut WireTx {
        &mut self.tx
    }

    fn flush(&mut self) -> Result<(), FrameError> {
        let tx = &mut self.tx;
        if tx.ends.is_empty() {
            return Ok(());
        }
        tx.stats.send_calls += 1;
        let mut wire = lock(&tx.wire);
        let mut start = 0;
        for &end in &tx.ends {
            wire.send(tx.to, &tx.batch[start..end]);
            start = end;
        }
        tx.batch.clear();
        tx.ends.clear();
        Ok(())
    }

    fn descriptors(&self) -> Vec<RawFd> {
        Vec::new()
    }

    fn wait(&mut self, timeout: Duration, sleep: impl FnOnce(Duration) -> io::Result<()>) -> io::Result<()> {
        let arrival = {
            let mut wire = lock(&self.wire);
            let end_ns = wire.now_ns.saturating_add(timeout.as_nanos().min(u128::from(u64::MAX)) as u64);
            let first = |flights: &BinaryHeap<Flight>| flights.peek().map(|&Reverse((arrival, ..))| arrival);
            let next = wire.flights.iter().filter_map(first).min().filter(|&at| at <= end_ns);
            if next.is_some() || timeout < REAL_WAIT {
                // An arrival in the past is a frame that was left in the wire by a limit.
                wire.now_ns = next.unwrap_or(end_ns).max(wire.now_ns);
            }
            next
        };
        // What is watched beside the wire is looked at in any case.
        let really = if arrival.is_none() && timeout >= REAL_WAIT { timeout } else { Duration::ZERO };
        sleep(really)
    }

    fn stats(&self) -> FrameStats {
        self.tx.stats
    }
}
