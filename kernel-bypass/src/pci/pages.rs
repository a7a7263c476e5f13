//! Whole pages of this process's memory, for a device to reach.
//!
//! Pages come from the system zeroed and present, and stay where they are until dropped. Everything that touches them goes through
//! 64-bit atomics, as a device may write them at any time.

#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// An anonymous mapping.
pub(super) struct Pages {
    first: NonNull<AtomicU64>,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and is touched only through atomics.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Zeroed pages of at least `bytes` bytes.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let bytes = bytes
            .max(1)
            .checked_next_multiple_of(PAGE_BYTES)
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches nothing that exists.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // A child of fork would share these pages copy-on-write, and the device would write into one copy only.
        // SAFETY: the range was mapped just now.
        unsafe { libc::madvise(address, bytes, libc::MADV_DONTFORK) };
        Ok(Self { first, bytes })
    }

    /// Every word.
    #[inline(always)]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` mapped `bytes` readable and writable bytes, page-aligned and zeroed, that live as long as `self`; zeros are
        // valid atomics, and all access is atomic.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.bytes / 8) }
    }

    /// Bytes, a multiple of [`PAGE_BYTES`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where they lie.
    pub fn start(&self) -> *const u8 {
        self.first.as_ptr().cast()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped, and nobody borrows it any more.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.bytes) };
    }
}

/// Adds one to an event descriptor's count; a full one says all there is to say.
pub(super) fn signal(event: std::os::fd::RawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: `one` is valid for its length; a descriptor that is not open makes the call fail, and nothing else.
    unsafe { libc::write(event, one.as_ptr().cast(), one.len()) };
}
