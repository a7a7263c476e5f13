//! Order to report on any port, beside a raw echo of the same bytes on the same transport.
//!
//! Both are round trips of one message at a time from one polling client. The echo's server reads an order's bytes and
//! writes a report's, and does nothing else. The venue decodes, validates, sequences, matches, books, folds and, under
//! `journaled`, waits for the disk: its floor is then the echo and a raw write and fdatasync of one block, added. With
//! `--sessions` a venue more is run, which serves that many logged-in sessions of which one is active: its floor is the venue with
//! one. With `--pipeline pipelined` two venues more have matcher and journal on threads of their own: their floor are the inline ones.
//! All cases are interleaved, round by round.

pub mod ends;

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use wirebook::config::{Ack, Config, EXAMPLE, Pipeline};
use wirebook::serve;
use wirebook_bypass::cpu::WaitStrategy;
use wirebook_bypass::stream::any::{AnyConfig, PortKind};
use wirebook_bypass::stream::shm::ShmConfig;
use wirebook_matcher::Software;

use crate::floors::{ORDER_BYTES, disk, round_trips};
use ends::{End, RawEcho, Wire};

use crate::report::{Case, Figure, Results, Rounds, histogram};

/// Order to report on a port, beside a raw echo on the same transport
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
    /// What carries the bytes: kernel, uring, xdp (as root), shm
    #[arg(long, default_value_t = PortKind::Kernel)]
    port: PortKind,
    /// How the stages of the venues run: inline or auto; pipelined: of two venues more, whose floor are the inline ones
    #[arg(long, default_value_t = Pipeline::Inline)]
    pipeline: Pipeline,
    /// Sessions of a venue more, of which one is active; 1: none more
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4000))]
    sessions: u32,
}

/// Runs the bench.
pub fn run(args: &WireArgs) -> Result<Results> {
    let mut results = Results::new();
    results.config.insert("port".into(), args.port.to_string());
    results.config.insert("wait".into(), args.wait.to_string());
    results.config.insert("pipeline".into(), args.pipeline.to_string());
    results.config.insert("rounds x samples".into(), format!("{} x {}", args.rounds, args.samples));

    if args.port == PortKind::Xdp {
        Wire::namespace()?;
    }
    let mut echo = RawEcho::start(args.port, args.wait)?;
    let beside = if args.pipeline == Pipeline::Pipelined { Pipeline::Inline } else { args.pipeline };
    let open = |policy, number, pipeline, count| Session::open(policy, args, pipeline, number, count);
    let mut sessions = vec![open(Ack::Matched, 1, beside, 1)?, open(Ack::Journaled, 2, beside, 1)?];
    if args.pipeline != beside {
        sessions.push(open(Ack::Matched, 3, args.pipeline, 1)?);
        sessions.push(open(Ack::Journaled, 4, args.pipeline, 1)?);
    }
    let of_many = (args.sessions > 1).then_some(sessions.len());
    if of_many.is_some() {
        sessions.push(open(Ack::Matched, 5, beside, args.sessions)?);
    }
    let (mut echoes, mut disks): (Rounds, Rounds) = (Vec::new(), Vec::new());
    let mut trips: Vec<Rounds> = vec![Vec::new(); sessions.len()];
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
    if args.pipeline != beside {
        for (at, case) in ["order-to-report", "order-to-report journaled"].into_iter().enumerate() {
            let pipelined = format!("{case}, pipelined");
            results.results.push(Figure::Latency(Case::of("wire", &pipelined, &trips[at + 2], case, &trips[at])));
        }
    }
    if let Some(many) = of_many {
        let case = format!("order-to-report, 1 of {} sessions", args.sessions);
        results.results.push(Figure::Latency(Case::of("wire", &case, &trips[many], "order-to-report", &trips[0])));
    }
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
    /// Speaks for the last that has logged in; those before it are silent.
    end: End,
    reference: u32,
    /// Received and not looked at yet.
    buffer: [u8; 512],
    held: usize,
    _dir: tempfile::TempDir,
}

impl Session {
    fn open(policy: Ack, args: &WireArgs, pipeline: Pipeline, number: u8, count: u32) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut text = EXAMPLE.to_string();
        for id in 2..=count {
            // More logins of the example's account.
            write!(text, "\n[[session]]\nid = {id}\nusername = \"u{id}\"\npassword = \"wirebook\"\naccount = 2\n")?;
        }
        let mut config = Config::parse("the example configuration", &text, dir.path())?;
        config.gateway.listen = "127.0.0.1:0".parse()?;
        config.gateway.ack = policy;
        config.gateway.wait = args.wait;
        config.gateway.pipeline = pipeline;
        config.gateway.port = args.port;
        config.settlement.enabled = false;
        if count > 1 {
            config.gateway.max_connections = count + 8;
            config.gateway.receive_buffer = 4096;
            config.gateway.send_buffer = 4096;
        }
        // These clients send no heartbeats while the other cases run, and hear none.
        config.gateway.silence_timeout_ms = 3_600_000;
        config.gateway.heartbeat_ms = 3_600_000;
        let max_connections = count as usize;
        let client = match args.port {
            PortKind::Kernel | PortKind::Uring => None,
            PortKind::Shm => {
                let dir = config.gateway.shm_dir.clone();
                Some(AnyConfig::Shm(ShmConfig { dir, max_connections, ..ShmConfig::default() }))
            }
            PortKind::Xdp => {
                let wire = Wire::new(number)?;
                wire.place(&mut config.gateway);
                Some(wire.config(false, max_connections))
            }
        };
        let running = serve::start::<Software>(&config)?;
        let mut end = End::connect(client.as_ref(), running.address)?;
        for (at, user) in config.sessions.iter().take(count as usize).enumerate() {
            if at > 0 {
                end.another(running.address)?;
            }
            let login = format!("\0\x2fL{:<6}{:<10}{:<10}{:>20}", user.username, user.password, "", 0);
            end.send(login.as_bytes())?;
            let mut answer = [0u8; 33];
            end.receive_exactly(&mut answer)?;
            ensure!(answer[2] == b'A', "login refused: {:?}", answer[2] as char);
        }
        let mut session = Self { policy, running, end, reference: 0, buffer: [0; 512], held: 0, _dir: dir };
        // Sequence 0 begins with the most recent message, if there is one: it is not an answer of ours.
        std::thread::sleep(std::time::Duration::from_millis(200));
        while session.end.receive(&mut [0; 4096])? > 0 {}
        Ok(session)
    }

    /// Even: a bid that rests, answered by Accepted. Odd: its cancel, answered by Canceled.
    fn trip(&mut self, at: u32) -> Result<()> {
        if at.is_multiple_of(2) {
            self.reference += 1;
            let mut order = [0u8; ORDER_BYTES];
            order[..4].copy_from_slice(&[0, 48, b'U', b'O']);
            order[4..8].copy_from_slice(&self.reference.to_be_bytes());
            order[8] = b'B';
            order[9..13].copy_from_slice(&100u32.to_be_bytes());
            order[13..21].copy_from_slice(b"AAPL    ");
            order[21..29].copy_from_slice(&1_000_000u64.to_be_bytes());
            order[29..].copy_from_slice(b"0YPNNBENCH         \0\0");
            self.end.send(&order)?;
            self.answer(b'A')
        } else {
            let mut cancel = [0u8; 12];
            cancel[..4].copy_from_slice(&[0, 10, b'U', b'X']);
            cancel[4..8].copy_from_slice(&self.reference.to_be_bytes());
            self.end.send(&cancel)?;
            self.answer(b'C')
        }
    }

    /// Reads packets until a sequenced message; it must be of this type. A read takes what is there, as the echo's client does.
    fn answer(&mut self, kind: u8) -> Result<()> {
        loop {
            let length = 2 + usize::from(u16::from_be_bytes([self.buffer[0], self.buffer[1]]));
            if self.held < 2 || self.held < length {
                match self.end.receive(&mut self.buffer[self.held..])? {
                    0 => std::hint::spin_loop(),
                    count => self.held += count,
                }
                continue;
            }
            let (packet, message) = (self.buffer[2], self.buffer[3]);
            self.buffer.copy_within(length..self.held, 0);
            self.held -= length;
            if packet == b'S' {
                ensure!(message == kind, "answered by {:?}, wanted {:?}", message as char, kind as char);
                return Ok(());
            }
        }
    }

    fn close(self) -> Result<()> {
        drop(self.end);
        self.running.stop()?;
        Ok(())
    }
}
