//! The floors that the other benches stand on, and the bench that shows them alone.
//!
//! - *echo*: a round trip over loopback TCP, polled: an order's bytes there, a report's bytes back.
//! - *write+fdatasync*: one block written in place to a preallocated file, past the page cache, and made durable.
//! - *hop*: a cache line that two cores hand to each other, one way.
//! - As root, *veth*: UDP and TCP over a virtual wire, each by the kernel and in user space over AF_XDP.

mod veth;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use hdrhistogram::Histogram;
use wirebook_bypass::cpu::{Idle, WaitStrategy};

use veth::Wires;

use crate::report::{Case, Figure, Results, Rounds, histogram};

/// Bytes of a SoupBinTCP packet with an Enter Order, and with an Accepted.
pub const ORDER_BYTES: usize = 50;
/// Bytes of the report that answers it.
pub const REPORT_BYTES: usize = 67;
/// Bytes of a block on disk.
const BLOCK: usize = 4096;

/// Hops timed together: one alone is shorter than a look at the clock.
pub const HOPS: u32 = 100;
/// Looks at a cache line before the core is offered to others: with fewer than two free cores the other end needs it.
pub const LOOKS: u32 = 10_000;

/// The floors: loopback echo, 4 KiB write and fdatasync, cache-line hop; as root also UDP and TCP over AF_XDP beside the kernel's
#[derive(Clone, Debug, Args)]
pub struct FloorsArgs {
    /// Rounds; in each, every floor runs once
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Samples of each in a round; a tenth of them for the disk
    #[arg(long, default_value_t = 2_000)]
    samples: u32,
    /// How the echo waits: spin, spin-yield, park, park:250us
    #[arg(long, default_value = "park")]
    wait: WaitStrategy,
}

/// Runs the bench.
pub fn run(args: &FloorsArgs) -> Result<Results> {
    let mut results = Results::new();
    results.config.insert("wait".into(), args.wait.to_string());
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));
    let mut echo = Echo::start(args.wait)?;
    let mut floors: [(&str, Rounds); 3] =
        [("echo", Vec::new()), ("write+fdatasync 4 KiB", Vec::new()), ("cache-line hop", Vec::new())];
    let mut wires = match Wires::start(args.wait) {
        Ok(wires) => Some(wires),
        Err(error) => {
            results.config.insert("veth".into(), format!("left out, it takes root and the command `ip`: {error:#}"));
            None
        }
    };
    let mut of_wires: [Rounds; Wires::CASES.len()] = Default::default();
    for round in 0..=args.rounds {
        if let Some(wires) = &mut wires {
            for (case, rounds) in of_wires.iter_mut().enumerate() {
                let trips = round_trips(args.samples, |at| wires.trip(case, at))?;
                // The first round warms caches, and finds out where the other end is.
                if round > 0 {
                    rounds.push(trips);
                }
            }
        }
        let of_round = [
            round_trips(args.samples, |at| echo.trip(at))?,
            disk((args.samples / 10).max(20))?,
            hop((args.samples / HOPS).max(20))?,
        ];
        // The first round warms caches, files and branch predictors.
        if round > 0 {
            for ((_, rounds), histogram) in floors.iter_mut().zip(of_round) {
                rounds.push(histogram);
            }
        }
    }
    echo.stop()?;
    results
        .results
        .extend(floors.iter().map(|(name, rounds)| Figure::Latency(Case::of("floors", name, rounds, name, rounds))));
    if let Some(wires) = wires {
        wires.stop()?;
        for (&(name, floor), rounds) in Wires::CASES.iter().zip(&of_wires) {
            let at = Wires::CASES.iter().position(|(name, _)| *name == floor).expect("a floor is a case");
            results.results.push(Figure::Latency(Case::of("floors", name, rounds, floor, &of_wires[at])));
        }
    }
    Ok(results)
}

/// Times `trip` so many times, one after another.
pub fn round_trips(samples: u32, mut trip: impl FnMut(u32) -> Result<()>) -> Result<Histogram<u64>> {
    let mut histogram = histogram();
    for at in 0..samples {
        let begun = Instant::now();
        trip(at)?;
        histogram.saturating_record(begun.elapsed().as_nanos() as u64);
    }
    Ok(histogram)
}

/// Reads exactly `count` bytes from a polled socket.
fn read_exactly(stream: &mut TcpStream, count: usize) -> Result<()> {
    let mut buffer = [0u8; 4096];
    let mut got = 0;
    while got < count {
        match stream.read(&mut buffer[..count - got]) {
            Ok(0) => bail!("the server closed"),
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// An echo's server in a thread of its own, and its client.
pub struct Echo {
    client: TcpStream,
    stop: Arc<AtomicBool>,
    server: JoinHandle<()>,
}

impl Echo {
    /// Starts the server, which waits like a venue.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn start(wait: WaitStrategy) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, server) = serve(Arc::clone(&stop), wait)?;
        Ok(Self { client, stop, server })
    }

    /// There and back.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn trip(&mut self, at: u32) -> Result<()> {
        self.client.write_all(&[at as u8; ORDER_BYTES])?;
        read_exactly(&mut self.client, REPORT_BYTES)
    }

    /// Stops the server.
    ///
    /// # Errors
    /// When it had panicked.
    pub fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.client);
        self.server.join().map_err(|_| anyhow::anyhow!("the echo server panicked"))
    }
}

fn serve(stop: Arc<AtomicBool>, wait: WaitStrategy) -> Result<(TcpStream, std::thread::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (mut served, _) = listener.accept()?;
    for stream in [&client, &served] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    let server = std::thread::Builder::new().name("echo".into()).spawn(move || {
        let mut buffer = [0u8; ORDER_BYTES];
        let mut got = 0;
        // The same way of waiting as the venue's: a server that spins for ever would take the core from the others.
        let mut idle = Idle::new(wait);
        while !stop.load(Ordering::Relaxed) {
            match served.read(&mut buffer[got..]) {
                Ok(0) => return,
                Ok(n) => {
                    got += n;
                    idle.worked();
                    if got == ORDER_BYTES {
                        got = 0;
                        if served.write_all(&[1; REPORT_BYTES]).is_err() {
                            return;
                        }
                    }
                }
                Err(_) => {
                    idle.idle_with(|most| {
                        let _ = served.set_read_timeout(Some(most));
                        let _ = served.set_nonblocking(false);
                        let _ = served.peek(&mut [0]);
                        let _ = served.set_nonblocking(true);
                    });
                }
            }
        }
    })?;
    Ok((client, server))
}

/// One block written in place to a preallocated file, and made durable.
pub fn disk(samples: u32) -> Result<Histogram<u64>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("floor");
    std::fs::write(&path, vec![0u8; 1 << 20])?;
    let file = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path);
    // A file system without O_DIRECT: through the page cache, as the journal does there.
    let file = file.or_else(|_| std::fs::OpenOptions::new().write(true).open(&path))?;
    file.sync_all()?;
    let layout = vec![0u8; 2 * BLOCK];
    let aligned = layout.as_ptr().align_offset(BLOCK);
    round_trips(samples, |at| {
        let offset = u64::from(at % 256) * BLOCK as u64;
        std::os::unix::fs::FileExt::write_all_at(&file, &layout[aligned..aligned + BLOCK], offset)?;
        file.sync_data()?;
        Ok(())
    })
}

/// A cache line of its own, and its neighbour, which is fetched with it.
#[repr(align(128))]
struct Line(AtomicU64);

fn await_value(line: &Line, wanted: u64) {
    let mut looks = 0;
    while line.0.load(Ordering::Acquire) < wanted {
        looks += 1;
        if looks % LOOKS == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// Times a line that goes from one thread to another and back: half of it, a hundred at a time.
pub fn hop(samples: u32) -> Result<Histogram<u64>> {
    let there = Arc::new(Line(AtomicU64::new(0)));
    let back = Arc::new(Line(AtomicU64::new(0)));
    let last = u64::from(samples) * u64::from(HOPS);
    let other = std::thread::Builder::new().name("hop".into()).spawn({
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        move || {
            for at in 1..=last {
                await_value(&there, at);
                back.0.store(at, Ordering::Release);
            }
        }
    })?;
    let mut histogram = histogram();
    for sample in 0..u64::from(samples) {
        let begun = Instant::now();
        for at in 1..=u64::from(HOPS) {
            let at = sample * u64::from(HOPS) + at;
            there.0.store(at, Ordering::Release);
            await_value(&back, at);
        }
        let round_trips = u128::from(2 * HOPS);
        histogram.saturating_record((begun.elapsed().as_nanos() / round_trips) as u64);
    }
    other.join().map_err(|_| anyhow::anyhow!("the other end panicked"))?;
    Ok(histogram)
}
