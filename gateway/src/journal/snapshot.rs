//! Snapshots: a state's bytes in one file, so that a start need not apply the whole journal.
//!
//! `snapshot-<seq>.wbs` (seq in 16 hex digits, so that names sort): 4 KiB of header, then the payload. The file is
//! written under another name, synced, renamed, and the directory synced: under its own name it is whole, or damaged
//! by the disk. Nothing in it is believed before checksum and hash are right; the payload is not interpreted here.
//!
//! | header | at |
//! |---|---|
//! | magic `WBSNAP\r\n` | 0 |
//! | format version u32 | 8 |
//! | shard u16 | 12 |
//! | seq u64 | 16 |
//! | payload length u64 | 24 |
//! | ABI hash | 32 |
//! | hash of the journal's block that holds seq | 64 |
//! | BLAKE3 of the payload | 96 |
//! | zeros | 128 |
//! | CRC32C of the bytes before | 4092 |
//!
//! In the map the payload begins at a multiple of 4 KiB, so it is aligned for `rkyv`. It is at most [`MAX_PAYLOAD`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use thiserror::Error;

use super::format::{ALIGN, hash_at, is_zero, put, u16_at, u32_at, u64_at};
use super::recover::Expect;
use super::sys;

/// First bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"WBSNAP\r\n";
/// The version of the container.
pub const SNAPSHOT_VERSION: u32 = 1;
/// The longest payload, in bytes.
pub const MAX_PAYLOAD: u64 = 64 << 30;

const CRC_AT: usize = ALIGN - 4;
const USED: usize = 128;

/// Why a snapshot could not be written, or is not used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The operating system failed.
    #[error("{what} {file}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file.
        file: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Its bytes are not what was written.
    #[error("{file} is damaged: {what}. An older snapshot and the journal replace it; remove the file")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// Whole, but of another shard, version or ABI.
    #[error("{file} belongs elsewhere: {what}")]
    Foreign {
        /// The file.
        file: String,
        /// What differs.
        what: String,
    },
    /// Whole, but whoever reads the payload cannot use it.
    #[error("{file} is not used: {what}. An older snapshot and the journal replace it")]
    Unusable {
        /// The file.
        file: String,
        /// Why not.
        what: String,
    },
    /// More bytes than a snapshot may hold, or none are to be kept.
    #[error("snapshot: {0}")]
    Use(&'static str),
}

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The shard.
    pub shard: u16,
    /// The hash of the beats' definition that the payload was made with.
    pub abi_hash: [u8; 32],
    /// The seq of the last record applied to the state.
    pub seq: u64,
    /// The hash of the journal's block that holds that record: compare it when the journal is read.
    pub block_hash: [u8; 32],
}

/// A snapshot that has been verified, open.
#[derive(Debug)]
pub struct Snapshot {
    meta: SnapshotMeta,
    path: PathBuf,
    map: Mmap,
}

impl Snapshot {
    /// What it is of.
    #[must_use]
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// The state's bytes, verified, aligned to 4 KiB.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.map[ALIGN..]
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one file through a map and verifies all of it.
    pub fn open(path: &Path, expect: &Expect) -> Result<Snapshot, SnapshotError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let map = sys::map(&file).map_err(io_error("map", path))?;
        let meta = check(&map, path, expect)?;
        Ok(Snapshot { meta, path: path.to_owned(), map })
    }
}

/// The newest snapshot that can be used, and what was passed over.
#[derive(Debug)]
pub struct Chosen<T> {
    /// The snapshot, and what was made of it.
    pub snapshot: Option<(Snapshot, T)>,
    /// What was newer and is damaged, foreign or of no use: tell the operator.
    pub skipped: Vec<SnapshotError>,
}

/// The newest good snapshot, and the files passed over because they are not good.
#[derive(Debug)]
pub struct Newest {
    /// The snapshot, if there is a good one.
    pub snapshot: Option<Snapshot>,
    /// What was newer and is damaged or foreign: tell the operator.
    pub skipped: Vec<SnapshotError>,
}

/// The file name of a snapshot.
#[must_use]
pub fn snapshot_name(seq: u64) -> String {
    format!("snapshot-{seq:016x}.wbs")
}

fn snapshot_seq(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".wbs")?;
    let seq = u64::from_str_radix(digits, 16).ok()?;
    (snapshot_name(seq) == name).then_some(seq)
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> SnapshotError {
    move |source| SnapshotError::Io { what, file: path.display().to_string(), source }
}

/// Writes a snapshot durably and removes all but the newest `keep` (at least 1). Blocks for as long as the disk needs.
pub fn write_snapshot(dir: &Path, meta: &SnapshotMeta, payload: &[u8], keep: usize) -> Result<PathBuf, SnapshotError> {
    if keep == 0 || payload.len() as u64 > MAX_PAYLOAD {
        return Err(SnapshotError::Use("at least one is kept, and a payload is at most 64 GiB"));
    }
    let path = dir.join(snapshot_name(meta.seq));
    let unfinished = dir.join(snapshot_name(meta.seq) + super::recover::UNFINISHED);
    let mut header = vec![0; ALIGN];
    encode(meta, payload, &mut header);
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(&header)?;
        file.write_all(payload)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(dir)?.sync_all()
    });
    if let Err(source) = written {
        // So that a full disk is not fuller for it.
        let _ = fs::remove_file(&unfinished);
        return Err(io_error("write", &path)(source));
    }
    // The one just written stays even where a stranger's seq is higher.
    for (_, old) in list(dir)?.into_iter().rev().skip(keep).filter(|(_, old)| *old != path) {
        fs::remove_file(&old).map_err(io_error("remove the old", &old))?;
    }
    Ok(path)
}

/// Chooses the newest snapshot that verifies. A directory that does not exist holds none.
pub fn newest_good(dir: &Path, expect: &Expect) -> Result<Newest, SnapshotError> {
    let Chosen { snapshot, skipped } = choose(dir, expect, &mut |_| Ok(()))?;
    Ok(Newest { snapshot: snapshot.map(|(snapshot, ())| snapshot), skipped })
}

/// Chooses the newest snapshot that verifies and of which `read` makes something. A directory that does not exist holds none.
pub fn choose<T>(
    dir: &Path,
    expect: &Expect,
    read: &mut dyn FnMut(&Snapshot) -> Result<T, String>,
) -> Result<Chosen<T>, SnapshotError> {
    let mut chosen = Chosen { snapshot: None, skipped: Vec::new() };
    for (_, path) in list(dir)?.into_iter().rev() {
        let opened = Snapshot::open(&path, expect).and_then(|snapshot| match read(&snapshot) {
            Ok(made) => Ok((snapshot, made)),
            Err(what) => Err(SnapshotError::Unusable { file: path.display().to_string(), what }),
        });
        match opened {
            Ok(opened) => {
                chosen.snapshot = Some(opened);
                break;
            }
            Err(error) => chosen.skipped.push(error),
        }
    }
    Ok(chosen)
}

/// The snapshots of a directory, oldest first.
fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, SnapshotError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("list", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        if let Some(seq) = name.to_str().and_then(snapshot_seq) {
            found.push((seq, dir.join(name)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn encode(meta: &SnapshotMeta, payload: &[u8], header: &mut [u8]) {
    put(header, 0, &SNAPSHOT_MAGIC);
    put(header, 8, &SNAPSHOT_VERSION.to_le_bytes());
    put(header, 12, &meta.shard.to_le_bytes());
    put(header, 16, &meta.seq.to_le_bytes());
    put(header, 24, &(payload.len() as u64).to_le_bytes());
    put(header, 32, &meta.abi_hash);
    put(header, 64, &meta.block_hash);
    put(header, 96, blake3::hash(payload).as_bytes());
    let crc = crc32c::crc32c(&header[..CRC_AT]);
    put(header, CRC_AT, &crc.to_le_bytes());
}

fn check(bytes: &[u8], path: &Path, expect: &Expect) -> Result<SnapshotMeta, SnapshotError> {
    let file = path.display().to_string();
    let damaged = |what: String| Err(SnapshotError::Damaged { file: file.clone(), what });
    let foreign = |what: String| Err(SnapshotError::Foreign { file: file.clone(), what });
    if bytes.len() < ALIGN || bytes[..8] != SNAPSHOT_MAGIC {
        return damaged(format!("{} bytes without a snapshot's header", bytes.len()));
    }
    let (header, payload) = bytes.split_at(ALIGN);
    if crc32c::crc32c(&header[..CRC_AT]) != u32_at(header, CRC_AT) {
        return damaged("the header's CRC32C differs".to_owned());
    }
    let version = u32_at(header, 8);
    if version != SNAPSHOT_VERSION {
        return foreign(format!("format version {version}, this program reads {SNAPSHOT_VERSION}"));
    }
    if u16_at(header, 14) != 0 || !is_zero(&header[USED..CRC_AT]) {
        return damaged("bytes that must be zero are not".to_owned());
    }
    let meta = SnapshotMeta {
        shard: u16_at(header, 12),
        abi_hash: hash_at(header, 32),
        seq: u64_at(header, 16),
        block_hash: hash_at(header, 64),
    };
    if path.file_name().and_then(|name| name.to_str()).and_then(snapshot_seq) != Some(meta.seq) {
        return damaged(format!("its header says seq {:#018x}", meta.seq));
    }
    if let Some(shard) = expect.shard
        && meta.shard != shard
    {
        return foreign(format!("it is of shard {}, not {shard}", meta.shard));
    }
    if expect.abi_hash.is_some_and(|abi| abi != meta.abi_hash) {
        return foreign("its beats are defined otherwise (the ABI hash differs)".to_owned());
    }
    if payload.len() as u64 != u64_at(header, 24) {
        return damaged(format!("{} bytes of payload where the header says {}", payload.len(), u64_at(header, 24)));
    }
    if *blake3::hash(payload).as_bytes() != hash_at(header, 96) {
        return damaged("the payload's hash differs".to_owned());
    }
    Ok(meta)
}
