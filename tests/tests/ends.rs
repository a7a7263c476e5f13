//! How a venue ends and what its next life knows: signals, lost lines, a torn tail, a damaged journal.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Client, Message, Operator, Venue, cancel, kinds, run};

fn verifies(dir: &Path) -> Result<()> {
    run(&["journal".as_ref(), "verify".as_ref(), dir.join("wirebook-data/journal").as_os_str()])?.exits(0)?;
    Ok(())
}

#[test]
fn both_signals_end_it_in_order_and_the_session_goes_on() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut session, mut told) = (String::new(), Vec::new());
    for (life, signal) in ["INT", "TERM", "INT"].into_iter().enumerate() {
        let venue = Venue::start(dir.path(), &[])?;
        if life > 0 {
            ensure!(venue.log().contains("clean end"), "life {life}: no clean end:\n{}", venue.log());
        }
        let (mut client, name) = Client::session(&venue.address, "wire01", &session, 1)?;
        ensure!(session.is_empty() || name == session, "life {life}: session {session} became {name}");
        session = name;
        let seen = client.messages_to(told.len() as u64)?;
        ensure!(seen == told, "life {life}: the stream was {}, is {}", kinds(&told), kinds(&seen));
        let (more, next) = client.barrier()?;
        told.extend(more);
        told.extend(client.rest(next, 5)?);
        if life > 0 {
            // An order of an earlier life lives.
            client.send(&[cancel(next - 1, 0)])?;
            let message = client.message()?;
            ensure!(message.kind() == b'C' && message.u32(9) == next - 1, "life {life}: {message:?}");
            told.push(message);
        }
        let log = venue.signal(signal, 0)?;
        ensure!(log.contains("stopped in good order"), "life {life}: {log}");
        ensure!(client.message_within(std::time::Duration::from_secs(60))?.is_none(), "a message after the end");
        ensure!(
            client.ended && !client.session_over,
            "life {life}: the line stays, or the session was said to be over"
        );
        verifies(dir.path())?;
    }
    Ok(())
}

#[test]
fn a_lost_line_cancels_where_that_is_asked_for() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let edits = [("cancel_on_disconnect = false", "cancel_on_disconnect = true")];
    let venue = Venue::start(dir.path(), &edits)?;
    let (mut first, session) = Client::session(&venue.address, "wire01", "", 1)?;
    let (mut second, _) = Client::session(&venue.address, "wire02", "", 1)?;
    let (_, next) = first.barrier()?;
    second.barrier()?;
    first.rest(next, 3)?;
    second.rest(1, 1)?;
    let seen = first.next_sequence();
    drop((first, second));
    venue.wait_for_lines(&["wire01", "ended", "disconnected by the peer"], 1)?;
    venue.wait_for_lines(&["wire02", "ended", "disconnected by the peer"], 1)?;

    let (mut first, _) = Client::session(&venue.address, "wire01", &session, seen)?;
    for reference in next..next + 3 {
        let message = first.message()?;
        let whole = message.kind() == b'C' && message.u32(9) == reference && message.u32(13) == 10;
        ensure!(whole && message.bytes[17] == b'Z', "order {reference} after the line was lost: {message:?}");
    }
    let (rest_of_it, next) = first.barrier()?;
    ensure!(kinds(&rest_of_it) == "Q", "more was told: {}", kinds(&rest_of_it));
    // The other login keeps its order.
    let (mut second, _) = Client::session(&venue.address, "wire02", "", 0)?;
    second.barrier()?;
    second.send(&[cancel(1, 0)])?;
    ensure!(second.message()?.bytes[17] == b'U', "its order was gone");

    // A crash is a lost line too: the next life cancels.
    first.rest(next, 2)?;
    let seen = first.next_sequence();
    venue.kill()?;
    let venue = Venue::start(dir.path(), &[])?;
    let (mut first, _) = Client::session(&venue.address, "wire01", &session, seen)?;
    for reference in next..next + 2 {
        let message = first.message()?;
        let gone = message.kind() == b'C' && message.u32(9) == reference && message.bytes[17] == b'Z';
        ensure!(gone, "order {reference} after a crash: {message:?}");
    }
    first.logout()?;
    venue.stop()?;
    verifies(dir.path())
}

/// The first segment of a journal.
struct Segment {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Offset and length of each whole block.
    blocks: Vec<(usize, usize)>,
}

fn segment(dir: &Path) -> Result<Segment> {
    let path = dir.join("wirebook-data/journal/0000000001.wbj");
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let (mut at, mut found) = (4096, Vec::new());
    while bytes.get(at..at + 4) == Some(b"WBJB") {
        let payload = u32::from_le_bytes(bytes[at + 52..at + 56].try_into()?) as usize;
        let length = (128 + payload).next_multiple_of(4096);
        found.push((at, length));
        at += length;
    }
    ensure!(found.len() >= 6, "only {} blocks", found.len());
    Ok(Segment { path, bytes, blocks: found })
}

/// A venue that took some orders one by one and was killed; what its client was told.
fn killed(dir: &Path) -> Result<Vec<Message>> {
    // Settled batches would bear witness against a tail that is torn here by hand.
    let venue = Venue::start(dir, &[("enabled = true", "enabled = false")])?;
    let (mut client, _) = Client::session(&venue.address, "wire01", "", 1)?;
    let (mut told, next) = client.barrier()?;
    told.extend(client.rest(next, 12)?);
    Operator::connect(dir)?.settled()?;
    venue.kill()?;
    Ok(told)
}

#[test]
fn a_byte_that_changed_in_the_middle_stops_the_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    killed(dir.path())?;
    let Segment { path, bytes: good, blocks } = segment(dir.path())?;
    for (at, within) in [(blocks[0].0, 300), (blocks[blocks.len() / 2].0, 200), (blocks[blocks.len() - 2].0, 60)] {
        let mut bytes = good.clone();
        bytes[at + within] ^= 0x20;
        std::fs::write(&path, &bytes)?;
        let refused =
            run(&["run".as_ref(), "--config".as_ref(), dir.path().join("wirebook.toml").as_os_str()])?.exits(2)?;
        let told =
            [format!("0000000001.wbj at byte {at}"), "journal damaged".into(), "Restore this file from a copy".into()];
        for wanted in &told {
            ensure!(refused.stderr.contains(wanted.as_str()), "not told {wanted:?}:\n{}", refused.stderr);
        }
        ensure!(std::fs::read(&path)? == bytes, "the refused start changed the file");
    }
    // Mended, it starts.
    std::fs::write(&path, good)?;
    Venue::start(dir.path(), &[])?.stop()?;
    verifies(dir.path())
}

#[test]
fn a_torn_tail_is_cut_and_said() -> Result<()> {
    for garbage in [0u8, 0xA5] {
        let dir = tempfile::tempdir()?;
        let told = killed(dir.path())?;
        let Segment { path, mut bytes, blocks } = segment(dir.path())?;
        let &(at, length) = blocks.last().context("a block")?;
        // The first bytes of the write came to the disk, the others did not.
        bytes[at + 100..at + length].fill(garbage);
        std::fs::write(&path, bytes)?;
        let venue = Venue::start(dir.path(), &[])?;
        let said = format!("torn tail cut in 0000000001.wbj at byte {at}");
        ensure!(venue.log().contains(&said), "{garbage:#x}: it does not say {said:?}:\n{}", venue.log());
        let (mut client, _) = Client::session(&venue.address, "wire01", "", 1)?;
        // At most the last block is gone, and that held one message or a seal.
        let stream = client.messages_to(told.len() as u64 - 1)?;
        ensure!(stream == told[..stream.len()], "{garbage:#x}: it tells {} of {}", kinds(&stream), kinds(&told));
        let (mut client, _) = Client::session(&venue.address, "wire01", "", 0)?;
        let (_, next) = client.barrier()?;
        client.rest(next, 1)?;
        client.logout()?;
        venue.stop()?;
        verifies(dir.path())?;
    }
    Ok(())
}
