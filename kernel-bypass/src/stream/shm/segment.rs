//! The memory of a connection, and the bell of a port: anonymous files that are handed over, sized once and sealed.
//!
//! The accepting side makes both. A *segment* holds the two directions of one connection and the connecting side's bell. It is sealed
//! against shrinking and growing: whoever maps it can write into it, but cannot take pages away under the other's feet (SIGBUS). The
//! *bell* is one word per port: its owner sleeps, and wants to be rung. It is sealed against writing by anybody else, so that one
//! client cannot keep the venue from hearing the others.
//!
//! Nothing has a name in a file system; when the last process that maps it is gone, however it went, so is the memory.

#![allow(unsafe_code)]

use super::config::is_ring_size;
use super::pipe::{Reader, WORDS_BYTES, Writer};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes before the two directions' bytes: their words, and the client's bell.
const PAGE: usize = 4096;
const CLIENT_BELL_AT: usize = 2 * WORDS_BYTES;

/// Whether a port sleeps.
pub(super) struct Bell {
    map: MmapRaw,
    at: usize,
}

impl Bell {
    /// A port's own, and the file to hand to its clients.
    pub fn new() -> io::Result<(Self, File)> {
        let file = anonymous(PAGE)?;
        // The owner's map stays writable; those made after the seal cannot be.
        let map = MmapOptions::new().len(PAGE).map_raw(&file)?;
        seal(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL)?;
        Ok((Self { map, at: 0 }, file))
    }

    /// The other side's.
    pub fn of_peer(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        check(&file, PAGE)?;
        Ok(Self { map: MmapOptions::new().len(PAGE).map_raw_read_only(&file)?, at: 0 })
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: inside of the map, aligned, and everybody touches it as an atomic; a map that cannot be written is only loaded from.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(self.at).cast()) }
    }

    /// Its owner falls asleep or wakes up.
    pub fn set(&self, asleep: bool) {
        self.word().store(u32::from(asleep), Ordering::Relaxed);
    }

    /// Whether its owner sleeps. Publish the work and fence first.
    #[inline(always)]
    pub fn is_asleep(&self) -> bool {
        self.word().load(Ordering::Relaxed) != 0
    }
}

/// The memory of one connection, mapped.
pub(super) struct Segment {
    map: MmapRaw,
    ring_bytes: usize,
}

impl Segment {
    /// Makes one with `ring_bytes` for each direction, and the file to hand to the client.
    pub fn new(ring_bytes: usize) -> io::Result<(Self, File)> {
        let len = PAGE + 2 * ring_bytes;
        let file = anonymous(len)?;
        seal(&file, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL)?;
        Ok((Self { map: MmapOptions::new().len(len).map_raw(&file)?, ring_bytes }, file))
    }

    /// Maps one that a venue has made.
    pub fn of_peer(file: OwnedFd, ring_bytes: usize) -> io::Result<Self> {
        let file = File::from(file);
        if !is_ring_size(ring_bytes) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{ring_bytes} bytes for each direction")));
        }
        let len = PAGE + 2 * ring_bytes;
        check(&file, len)?;
        Ok(Self { map: MmapOptions::new().len(len).map_raw(&file)?, ring_bytes })
    }

    /// The ends of the accepting side, or of the connecting one. They are used no longer than the segment lives.
    pub fn ends(&self, accepting: bool) -> (Reader, Writer) {
        let start = NonNull::new(self.map.as_mut_ptr()).expect("a map is not at address 0");
        // SAFETY: words and bytes lie inside of the map, on pages, and the caller keeps the segment as long as the ends.
        unsafe {
            let up = (start, start.add(PAGE));
            let down = (start.add(WORDS_BYTES), start.add(PAGE + self.ring_bytes));
            let (read, write) = if accepting { (up, down) } else { (down, up) };
            (Reader::new(read.0, read.1, self.ring_bytes), Writer::new(write.0, write.1, self.ring_bytes))
        }
    }

    fn client_bell(&self) -> &AtomicU32 {
        // SAFETY: inside of the map, aligned, and everybody touches it as an atomic.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(CLIENT_BELL_AT).cast()) }
    }

    /// The connecting side falls asleep or wakes up.
    pub fn set_client_asleep(&self, asleep: bool) {
        self.client_bell().store(u32::from(asleep), Ordering::Relaxed);
    }

    /// Whether the connecting side sleeps. Publish the work and fence first.
    #[inline(always)]
    pub fn is_client_asleep(&self) -> bool {
        self.client_bell().load(Ordering::Relaxed) != 0
    }
}

fn anonymous(len: usize) -> io::Result<File> {
    // SAFETY: the name is a C string; the result is checked.
    let fd = unsafe { libc::memfd_create(c"wirebook".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made, and that nobody else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len as u64)?;
    Ok(file)
}

fn seal(file: &File, seals: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Refuses a file that is not as long as it should be for ever.
fn check(file: &File, len: usize) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "memory that its maker can take away again"));
    }
    if file.metadata()?.len() != len as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "memory of another size than was said"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_cannot_be_taken_back() {
        let (_, file) = Segment::new(4096).unwrap();
        assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
        let (bell, file) = Bell::new().unwrap();
        assert!(MmapOptions::new().map_raw(&file).is_err(), "nobody else may write it");
        let seen = Bell::of_peer(file.into()).unwrap();
        assert!(!seen.is_asleep());
        bell.set(true);
        assert!(seen.is_asleep());
    }

    #[test]
    fn memory_that_can_go_or_has_another_size_is_refused() {
        let plain = anonymous(PAGE + 8192).unwrap();
        let refused = |file: File| Segment::of_peer(file.into(), 4096).err().unwrap().to_string();
        assert!(refused(plain.try_clone().unwrap()).contains("take away"));
        assert!(refused(tempfile::tempfile().unwrap()).contains("take away"), "a file on a disk");
        seal(&plain, libc::F_SEAL_SHRINK).unwrap();
        plain.set_len(1 << 20).unwrap();
        assert!(refused(plain).contains("another size"));
        let (_, file) = Segment::new(4096).unwrap();
        assert!(Segment::of_peer(file.into(), 5000).is_err(), "no power of two");
    }
}
