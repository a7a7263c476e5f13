//! A disk that fills up: acknowledgements stop, the venue says why and ends, and what it acknowledged is there when there is room.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wirebook_tests::{Client, Message, Venue, cancel, configure, enter, run};

/// Messages that a client sends at once.
const BURST: u32 = 50;

/// A small file system in memory; unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, mib: u32) -> Result<Self> {
        let root = std::fs::metadata("/proc/self").context("/proc")?.uid() == 0;
        ensure!(root, "this test mounts a small file system: run it as root");
        std::fs::create_dir_all(at)?;
        let size = format!("size={mib}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status()?;
        ensure!(status.success(), "cannot mount a tmpfs at {}: the test needs the right to mount", at.display());
        Ok(Self(at.into()))
    }

    fn grow(&self, mib: u32) -> Result<()> {
        let status = Command::new("mount").args(["-o", &format!("remount,size={mib}m")]).arg(&self.0).status()?;
        ensure!(status.success(), "cannot remount {}", self.0.display());
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a venue that a failed test leaves behind may still have files there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Orders in and out until the line drops; everything that the client was told.
fn until_the_end(address: &str) -> Result<Vec<Message>> {
    let (mut client, _) = Client::session(address, "wire01", "", 1)?;
    let (mut told, mut next) = client.barrier()?;
    // Five times what the disk holds.
    for _ in 0..4_000 {
        let mut burst = Vec::new();
        for reference in next..next + BURST {
            burst.push(enter(reference, b'B', 10, "AAPL", 1_000_000, b'0'));
            burst.push(cancel(reference, 0));
        }
        next += BURST;
        if client.send(&burst).is_err() {
            break;
        }
        for _ in 0..2 * BURST {
            match client.message_within(std::time::Duration::from_secs(120)) {
                Ok(Some(message)) => told.push(message),
                _ => return Ok(told),
            }
        }
    }
    while let Ok(Some(message)) = client.message_within(std::time::Duration::from_secs(5)) {
        told.push(message);
    }
    Ok(told)
}

#[test]
fn a_full_disk_stops_acknowledgements_and_loses_none() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let disk = Disk::mount(&dir.path().join("small"), 9)?;
    let journal = disk.0.join("journal");
    let edits =
        [("dir = \"journal\"", &*format!("dir = \"{}\"", journal.display())), ("segment_mib = 64", "segment_mib = 2")];
    let config = configure(dir.path(), &edits, "")?;
    let mut venue = Venue::start_config(&config)?;
    let told = until_the_end(&venue.address)?;
    ensure!(told.len() > 1_000, "only {} messages before the disk was full:\n{}", told.len(), venue.log());
    let log = venue.ends_with(1)?;
    for wanted in ["ERROR", "acks stopped", "No space left", "make room", journal.to_str().context("a path in UTF-8")?]
    {
        ensure!(log.to_lowercase().contains(&wanted.to_lowercase()), "nothing is said of {wanted:?}:\n{log}");
    }

    disk.grow(64)?;
    let venue = Venue::start_config(&config)?;
    let (mut client, _) = Client::session(&venue.address, "wire01", "", 1)?;
    let stream = client.messages_to(told.len() as u64)?;
    for (was, is) in told.iter().zip(&stream) {
        ensure!(was == is, "message {} was {was:?}, is {is:?}", was.sequence);
    }
    let (_, next) = client.barrier()?;
    client.send(&[enter(next, b'B', 10, "AAPL", 1_000_000, b'0')])?;
    ensure!(client.message()?.kind() == b'A', "it does not trade again");
    client.logout()?;
    venue.stop()?;
    run(&["journal".as_ref(), "verify".as_ref(), journal.as_os_str()])?.exits(0)?;
    println!("{} messages before the disk was full: all there", told.len());
    Ok(())
}
