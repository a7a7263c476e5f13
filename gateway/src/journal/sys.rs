//! The system calls that the standard library does not have: an eventfd, the allocation of a file's space, a
//! read-only map. Each is safe to call as it stands here.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use memmap2::{Mmap, MmapOptions};

/// A counter in the kernel that makes a descriptor readable; it never blocks.
pub(super) fn eventfd() -> io::Result<File> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just made by this process and nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Reserves the blocks of the first `len` bytes, so that a full disk shows now. A file system that cannot is no error:
/// the zeros written next reserve them as well.
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the descriptor is open for the whole call, and the call touches no memory of ours.
    if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => Ok(()),
        _ => Err(error),
    }
}

/// Maps a whole file for reading.
///
/// The caller maps only files that are complete under a name given by rename and never written again. If another
/// program cuts one short all the same, a read beyond the new end stops the process with SIGBUS; it cannot corrupt.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and private, and its files are immutable by the convention above. All that is read
    // through it is plain bytes, which are checked by hash before use.
    unsafe { MmapOptions::new().map(file) }
}
