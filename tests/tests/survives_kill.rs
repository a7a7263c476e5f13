//! kill -9 at a random moment under load: everything that was acknowledged is there after the restart, in order, once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Client, Message, Random, Venue, cancel, deep, enter, replace, run};

/// Acknowledgements before the kill, at least.
const ACKS: u64 = 1_000;
/// Messages that a client sends at once.
const BURST: usize = 40;
const USERS: [&str; 2] = ["wire01", "wire02"];

#[derive(Default)]
struct Told {
    session: String,
    messages: Vec<Message>,
}

/// Sends orders around one price until the line drops; keeps every message that came.
fn trade(address: &str, user: &str, told: &mut Told, seed: u64, acks: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let next = told.messages.len() as u64 + 1;
    let (mut client, session) = Client::session(address, user, &told.session, next)?;
    told.session = session;
    let (caught_up, mut reference) = client.barrier()?;
    told.messages.extend(caught_up);
    let mut random = Random(seed);
    let mut mine: Vec<u32> = Vec::new();
    loop {
        let mut burst = Vec::with_capacity(BURST);
        for _ in 0..BURST {
            let roll = random.below(100);
            if roll < 70 || mine.is_empty() {
                let side = if random.below(2) == 0 { b'B' } else { b'S' };
                let price = 5_000_000 + random.below(9) * 100;
                let tif = if random.below(8) == 0 { b'3' } else { b'0' };
                burst.push(enter(reference, side, 1 + random.below(50) as u32, "AAPL", price, tif));
                mine.push(reference);
                reference += 1;
            } else {
                let at = random.below(mine.len() as u64) as usize;
                if roll < 92 {
                    burst.push(cancel(mine.swap_remove(at), 0));
                } else {
                    let price = 5_000_000 + random.below(9) * 100;
                    burst.push(replace(mine[at], reference, 1 + random.below(60) as u32, price));
                    mine[at] = reference;
                    reference += 1;
                }
            }
        }
        let sent = client.send(&burst);
        // Read what has come; after the kill, whatever is still in the socket.
        loop {
            let patience = if stop.load(Ordering::Relaxed) { Duration::from_secs(5) } else { Duration::from_millis(2) };
            match client.message_within(patience) {
                Ok(Some(message)) => {
                    acks.fetch_add(1, Ordering::Relaxed);
                    told.messages.push(message);
                }
                _ => break,
            }
        }
        if client.ended || sent.is_err() {
            return Ok(());
        }
    }
}

/// Every fill was told to both of its sides, once each; no order trades more than it asked for.
fn once(streams: &[Vec<Message>]) -> Result<u64> {
    let mut sides: HashMap<u64, [u32; 2]> = HashMap::new();
    for (user, stream) in streams.iter().enumerate() {
        let mut left: HashMap<u32, i64> = HashMap::new();
        let mut last_reference = 0;
        for message in stream {
            match message.kind() {
                b'A' => {
                    let reference = message.u32(9);
                    ensure!(reference > last_reference, "{user}: {reference} accepted after {last_reference}");
                    last_reference = reference;
                    left.insert(reference, i64::from(message.u32(14)));
                }
                b'U' => {
                    let (old, new) = (message.u32(9), message.u32(13));
                    ensure!(left.remove(&old).is_some(), "{user}: replaced {old} was never accepted");
                    last_reference = last_reference.max(new);
                    left.insert(new, i64::from(message.u32(18)));
                }
                b'E' | b'C' => {
                    let (reference, quantity) = (message.u32(9), i64::from(message.u32(13)));
                    let left = left.get_mut(&reference).with_context(|| format!("{user}: {reference} unknown"))?;
                    *left -= quantity;
                    ensure!(*left >= 0, "{user}: {reference} gave more than it had");
                    if message.kind() == b'E' {
                        sides.entry(message.u64(26)).or_default()[usize::from(message.bytes[25] == b'R')] += 1;
                    }
                }
                _ => {}
            }
        }
    }
    for (number, told) in &sides {
        ensure!(*told == [1, 1], "match {number}: told to {} makers and {} takers", told[0], told[1]);
    }
    Ok(sides.len() as u64)
}

/// The whole stream of a user, from its first message to `last`.
fn whole(address: &str, user: &str, last: u64) -> Result<Vec<Message>> {
    let (mut client, _) = Client::session(address, user, "", 1)?;
    let messages = client.messages_to(last)?;
    client.logout()?;
    Ok(messages)
}

fn rounds(dir: &Path, count: u64) -> Result<()> {
    let mut told: Vec<Told> = USERS.iter().map(|_| Told::default()).collect();
    for round in 0..count {
        let venue = Venue::start(dir, &[])?;
        let address = venue.address.clone();
        let (acks, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| -> Result<()> {
            let mut traders = Vec::new();
            for (index, told) in told.iter_mut().enumerate() {
                let (address, acks, stop) = (&address, &acks, &stop);
                traders.push(
                    scope.spawn(move || trade(address, USERS[index], told, round * 2 + index as u64, acks, stop)),
                );
            }
            let mut random = Random(round);
            while acks.load(Ordering::Relaxed) < ACKS {
                ensure!(!traders.iter().any(|t| t.is_finished()), "a client ended before the kill:\n{}", venue.log());
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
            venue.kill()?;
            stop.store(true, Ordering::Relaxed);
            for trader in traders {
                trader.join().expect("trader")?;
            }
            Ok(())
        })
        .with_context(|| format!("round {round}: under load"))?;

        let venue = Venue::start(dir, &[])?;
        let mut streams = Vec::new();
        for (index, told) in told.iter_mut().enumerate() {
            // At the last number seen, in the session that was.
            let seen = told.messages.len() as u64;
            let (mut client, session) = Client::session(&venue.address, USERS[index], &told.session, seen + 1)?;
            ensure!(session == told.session, "round {round}: session {} became {session}", told.session);
            let (rest, _) = client.barrier()?;
            let last = client.next_sequence() - 1;
            client.logout()?;
            let stream = whole(&venue.address, USERS[index], last)?;
            for (at, message) in told.messages.iter().chain(&rest).enumerate() {
                ensure!(
                    stream.get(at) == Some(message),
                    "round {round}, {}: message {} was {:?}, is {:?}",
                    USERS[index],
                    at + 1,
                    message,
                    stream.get(at)
                );
            }
            told.messages = stream.clone();
            streams.push(stream);
        }
        let fills = once(&streams).with_context(|| format!("round {round}"))?;
        let log = venue.stop()?;
        println!(
            "round {round}: {} acknowledgements before the kill, {} + {} messages, {fills} fills: all there",
            acks.load(Ordering::Relaxed),
            streams[0].len(),
            streams[1].len()
        );
        ensure!(!log.contains("ERROR"), "round {round}: the restarted venue said:\n{log}");
    }
    run(&["journal".as_ref(), "verify".as_ref(), dir.join("wirebook-data/journal").as_os_str()])?.exits(0)?;
    Ok(())
}

#[test]
fn everything_acknowledged_survives_kill_9() -> Result<()> {
    let dir = tempfile::tempdir()?;
    rounds(dir.path(), if deep() { 200 } else { 20 })
}
