//! Order to report over loopback TCP, beside a raw echo of the same bytes on the same sockets.
//!
//! Both are round trips of one message at a time from one polling client. The echo's server reads an order's bytes and
//! writes a report's, and does nothing else. The venue decodes, validates, sequences, matches, books, folds and, under
//! `journaled`, waits for the disk: its floor is then the echo and a raw write and fdatasync of one block, added.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use wirebook::config::{Ack, Config, EXAMPLE};
use wirebook::serve;
use wirebook_bypass::cpu::WaitStrategy;
use wirebook_matcher::Software;

use crate::floors::{Echo, ORDER_BYTES, disk, round_trips};
use crate::report::{Case, Figure, Results, Rounds, histogram};

/// Order to report over loopback TCP, beside a raw echo
#[derive(Clone, Debug, Args)]
pub struct WireArgs {
    /// Rounds; in each, every case runs once, next to its floor
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Round trips of each case in a round
    #[arg(long, default_value_t = 2_000)]
    samples: u32,
    /// How the venue waits: spin, spin-yield, park, park:250us
    #[arg(long, default_value = "park")]
    wait: WaitStrategy,
}

/// Runs the bench.
pub fn run(args: &WireArgs) -> Result<Results> {
    let mut results = Results::new();
    results.config.insert("transport".into(), "loopback TCP, polled".into());
    results.config.insert("wait".into(), args.wait.to_string());
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));

    let mut echo = Echo::start(args.wait)?;
    let matched = Session::open(Ack::Matched, args.wait)?;
    let journaled = Session::open(Ack::Journaled, args.wait)?;
    let mut sessions = [matched, journaled];
    let (mut echoes, mut disks): (Rounds, Rounds) = (Vec::new(), Vec::new());
    let mut trips: [Rounds; 2] = [Vec::new(), Vec::new()];
    let disk_samples = (args.samples / 10).max(20);
    for round in 0..=args.rounds {
        let echoed = round_trips(args.samples, |at| echo.trip(at))?;
        let synced = disk(disk_samples)?;
        let mut of_sessions = Vec::new();
        for session in &mut sessions {
            let samples = if session.policy == Ack::Journaled { disk_samples } else { args.samples };
            of_sessions.push(round_trips(samples, |at| session.trip(at))?);
        }
        // The first round warms caches, files and branch predictors.
        if round > 0 {
            echoes.push(echoed);
            disks.push(synced);
            for (trips, of_session) in trips.iter_mut().zip(of_sessions) {
                trips.push(of_session);
            }
        }
    }
    echo.stop()?;
    for session in sessions {
        session.close()?;
    }
    let both: Rounds = echoes.iter().zip(&disks).map(|(echo, disk)| sum_of(echo, disk)).collect();
    results.results.push(Figure::Latency(Case::of("wire", "echo", &echoes, "echo", &echoes)));
    results.results.push(Figure::Latency(Case::of("wire", "order-to-report", &trips[0], "echo", &echoes)));
    results.results.push(Figure::Latency(Case::of(
        "wire",
        "write+fdatasync 4 KiB",
        &disks,
        "write+fdatasync 4 KiB",
        &disks,
    )));
    results.results.push(Figure::Latency(Case::of(
        "wire",
        "order-to-report journaled",
        &trips[1],
        "echo + write+fdatasync",
        &both,
    )));
    Ok(results)
}

/// The sum of two distributions, quantile by quantile: what two waits take one after the other.
fn sum_of(first: &Histogram<u64>, second: &Histogram<u64>) -> Histogram<u64> {
    let mut sum = histogram();
    for step in 0..1_000 {
        let quantile = (f64::from(step) + 0.5) / 1_000.0;
        sum.saturating_record(first.value_at_quantile(quantile) + second.value_at_quantile(quantile));
    }
    sum
}

/// A venue in this process, and a client of it.
struct Session {
    policy: Ack,
    running: serve::Running,
    stream: TcpStream,
    reference: u32,
    _dir: tempfile::TempDir,
}

impl Session {
    fn open(policy: Ack, wait: WaitStrategy) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut config = Config::parse("the example configuration", EXAMPLE, dir.path())?;
        config.gateway.listen = "127.0.0.1:0".parse()?;
        config.gateway.ack = policy;
        config.gateway.wait = wait;
        config.settlement.enabled = false;
        // This client sends no heartbeats while the other cases run.
        config.gateway.silence_timeout_ms = 3_600_000;
        let user = config.sessions.first().cloned().context("the example configuration has a login")?;
        let running = serve::start::<Software>(&config)?;
        let mut stream = TcpStream::connect(running.address)?;
        stream.set_nodelay(true)?;
        let login = format!("\0\x2fL{:<6}{:<10}{:<10}{:>20}", user.username, user.password, "", 0);
        stream.write_all(login.as_bytes())?;
        let mut answer = [0u8; 33];
        stream.read_exact(&mut answer)?;
        ensure!(answer[2] == b'A', "login refused: {:?}", answer[2] as char);
        stream.set_nonblocking(true)?;
        let mut session = Self { policy, running, stream, reference: 0, _dir: dir };
        // Sequence 0 begins with the most recent message, if there is one: it is not an answer of ours.
        std::thread::sleep(std::time::Duration::from_millis(200));
        session.drain()?;
        Ok(session)
    }

    fn drain(&mut self) -> Result<()> {
        let mut buffer = [0u8; 65536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the venue closed"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Even: a bid that rests, answered by Accepted. Odd: its cancel, answered by Canceled.
    fn trip(&mut self, at: u32) -> Result<()> {
        if at.is_multiple_of(2) {
            self.reference += 1;
            let mut order = Vec::with_capacity(ORDER_BYTES);
            order.extend_from_slice(&[0, 48, b'U', b'O']);
            order.extend_from_slice(&self.reference.to_be_bytes());
            order.push(b'B');
            order.extend_from_slice(&100u32.to_be_bytes());
            order.extend_from_slice(b"AAPL    ");
            order.extend_from_slice(&1_000_000u64.to_be_bytes());
            order.extend_from_slice(b"0YPNNBENCH         \0\0");
            self.stream.write_all(&order)?;
            self.answer(b'A')
        } else {
            let mut cancel = Vec::with_capacity(12);
            cancel.extend_from_slice(&[0, 10, b'U', b'X']);
            cancel.extend_from_slice(&self.reference.to_be_bytes());
            cancel.extend_from_slice(&0u32.to_be_bytes());
            self.stream.write_all(&cancel)?;
            self.answer(b'C')
        }
    }

    /// Reads packets until a sequenced message; it must be of this type.
    fn answer(&mut self, kind: u8) -> Result<()> {
        let mut buffer = [0u8; 256];
        loop {
            let mut got = 0;
            while got < 2 || got < 2 + usize::from(u16::from_be_bytes([buffer[0], buffer[1]])) {
                let wanted = if got < 2 { 2 } else { 2 + usize::from(u16::from_be_bytes([buffer[0], buffer[1]])) };
                match self.stream.read(&mut buffer[got..wanted]) {
                    Ok(0) => bail!("the venue closed"),
                    Ok(n) => got += n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
                    Err(error) => return Err(error.into()),
                }
            }
            if buffer[2] == b'S' {
                ensure!(buffer[3] == kind, "answered by {:?}, wanted {:?}", buffer[3] as char, kind as char);
                return Ok(());
            }
        }
    }

    fn close(self) -> Result<()> {
        drop(self.stream);
        self.running.stop()?;
        Ok(())
    }
}
