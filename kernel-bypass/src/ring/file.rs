//! A file that processes map together: rings and counters lie in such files.
//!
//! The first page is a header: magic, version, unit, capacity, length, then room for indices on cache lines of their own; what
//! follows is the body. A file appears under its name whole or not at all (it is made under another name and linked), and is
//! checked field by field before anything in it is trusted. One end of a ring is held by a lock on one byte of the file, which the
//! kernel releases when its holder dies.
//!
//! **Limits.** Little-endian machines with 4 KiB pages. Whoever can write the file can also truncate it, and a process that then
//! touches the lost pages is killed (SIGBUS): such files belong to one user, on a file system in memory.

#![allow(unsafe_code)]

use memmap2::{MmapOptions, MmapRaw};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Where the consumer's index lies in the header.
pub(crate) const HEAD_AT: usize = 128;
/// Where the producer's index lies in the header, in rings that have one.
pub(crate) const TAIL_AT: usize = 256;
const FIELDS_BYTES: usize = 32;

const _: () = assert!(cfg!(target_endian = "little"), "shared files are little-endian");

/// What kind of file it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub magic: [u8; 8],
    pub version: u32,
    /// Bytes per unit of capacity.
    pub unit_bytes: u32,
}

/// How large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Units that the body holds.
    pub capacity: usize,
    /// Bytes after the header.
    pub body_bytes: usize,
}

/// Why a shared file could not be made, opened or trusted.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A header field is not what it must be.
    #[error(
        "{path}: header field {field} is {found}, expected {expected}: not such a file, or made by another version"
    )]
    Header {
        /// The file.
        path: String,
        /// Which field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: String,
    },
    /// Another process, or this one, holds this end.
    #[error("{path}: its {role} is already attached; a ring has one")]
    Busy {
        /// The file.
        path: String,
        /// Which end.
        role: &'static str,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, action, source }
    }

    pub(crate) fn header(
        path: &Path,
        field: &'static str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Header {
            path: path.display().to_string(),
            field,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// A mapped file, whose header has been checked.
pub(crate) struct SharedFile {
    map: MmapRaw,
    geometry: Geometry,
    // Holds the lock, if one was taken.
    _file: File,
}

impl SharedFile {
    /// Makes the file at `path`, zeroed behind its header. Fails if there is one.
    pub fn create(path: &Path, format: Format, geometry: Geometry) -> Result<(), FileError> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let temporary = Path::new(&name);
        let made = Self::write_new(temporary, format, geometry).and_then(|()| {
            // A link, unlike a rename, does not replace a file that somebody has mapped.
            std::fs::hard_link(temporary, path).map_err(FileError::io(path, "create"))
        });
        // Gone already if it was never made; a leftover is harmless and named after its maker.
        let _ = std::fs::remove_file(temporary);
        made
    }

    fn write_new(path: &Path, format: Format, geometry: Geometry) -> Result<(), FileError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(FileError::io(path, "create"))?;
        let mut fields = [0u8; FIELDS_BYTES];
        fields[0..8].copy_from_slice(&format.magic);
        fields[8..12].copy_from_slice(&format.version.to_le_bytes());
        fields[12..16].copy_from_slice(&format.unit_bytes.to_le_bytes());
        fields[16..24].copy_from_slice(&(geometry.capacity as u64).to_le_bytes());
        fields[24..32].copy_from_slice(&(geometry.body_bytes as u64).to_le_bytes());
        file.set_len((HEADER_BYTES + geometry.body_bytes) as u64)
            .and_then(|()| file.write_all_at(&fields, 0))
            .map_err(FileError::io(path, "write"))
    }

    /// Opens and maps the file at `path`, if its header is `format`'s. The caller checks that the geometry makes sense.
    pub fn open(path: &Path, format: Format, writable: bool) -> Result<Self, FileError> {
        let file = OpenOptions::new().read(true).write(writable).open(path).map_err(FileError::io(path, "open"))?;
        let mut fields = [0u8; FIELDS_BYTES];
        file.read_exact_at(&mut fields, 0).map_err(FileError::io(path, "read the header of"))?;
        let word = |at: usize| u32::from_le_bytes(fields[at..at + 4].try_into().unwrap_or([0; 4]));
        let long = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().unwrap_or([0; 8]));
        if fields[0..8] != format.magic {
            let show = |bytes: &[u8]| format!("{:?}", String::from_utf8_lossy(bytes));
            return Err(FileError::header(path, "magic", show(&fields[0..8]), show(&format.magic)));
        }
        if word(8) != format.version {
            return Err(FileError::header(path, "version", word(8), format.version));
        }
        if word(12) != format.unit_bytes {
            return Err(FileError::header(path, "unit bytes", word(12), format.unit_bytes));
        }
        let length = file.metadata().map_err(FileError::io(path, "read the length of"))?.len();
        let (capacity, body) = (long(16), long(24));
        if body == 0 || body.checked_add(HEADER_BYTES as u64) != Some(length) {
            let expected = length.saturating_sub(HEADER_BYTES as u64);
            return Err(FileError::header(path, "body bytes", body, expected));
        }
        if capacity > body {
            let expected = format!("at most {body}");
            return Err(FileError::header(path, "capacity", capacity, expected));
        }
        let mut options = MmapOptions::new();
        options.len(length as usize);
        let map = if writable { options.map_raw(&file) } else { options.map_raw_read_only(&file) }
            .map_err(FileError::io(path, "map"))?;
        Ok(Self { map, geometry: Geometry { capacity: capacity as usize, body_bytes: body as usize }, _file: file })
    }

    /// Takes the lock on byte `at`, for as long as this value lives.
    pub fn claim(&self, path: &Path, at: i64, role: &'static str) -> Result<(), FileError> {
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: at,
            l_len: 1,
            l_pid: 0,
        };
        // Locks of the open file description: two ends in one process exclude each other too.
        // SAFETY: the descriptor is open, and `lock` is a valid flock that outlives the call.
        let result = unsafe { libc::fcntl(self._file.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Err(FileError::Busy { path: path.display().to_string(), role }),
            _ => Err(FileError::io(path, "lock")(error)),
        }
    }

    /// What the header says of the size.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The atomic at byte `at` of the header.
    pub fn header_word(&self, at: usize) -> NonNull<AtomicU64> {
        assert!(at >= FIELDS_BYTES && at + 8 <= HEADER_BYTES && at.is_multiple_of(8));
        self.at(at).cast()
    }

    /// The first byte of the body, aligned to a page.
    pub fn body(&self) -> NonNull<u8> {
        assert!(self.geometry.body_bytes > 0, "an empty body has no first byte");
        self.at(HEADER_BYTES)
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.map.len());
        // SAFETY: the mapping starts at a non-null address and is longer than `offset`.
        unsafe { NonNull::new_unchecked(self.map.as_mut_ptr().add(offset)) }
    }
}
