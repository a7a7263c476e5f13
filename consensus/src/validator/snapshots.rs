//! A validator's snapshots on disk: the newest two, each whole or not there.
//!
//! A snapshot gets its name once it is durable. Two are kept, so that one that turns out to be damaged is no loss; what is older goes. Beside
//! them stands the newest anchor, for whoever takes a backup of this validator: which batch is final, and who has signed it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::proof::anchor::Anchor;

use super::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot};

/// Snapshots that are kept.
pub const KEPT: usize = 2;

const SUFFIX: &str = ".snapshot";
const ANCHOR: &str = "newest.anchor";
const DRAFT: &str = "draft";

/// The directory of a validator's snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
}

impl Snapshots {
    /// Opens the directory, making it if it is missing.
    ///
    /// # Errors
    /// What the operating system reports; so for all of these.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}{SUFFIX}"))
    }

    /// Numbers of the batches that there are snapshots of, newest first.
    ///
    /// # Errors
    /// As above.
    pub fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        Ok(numbers)
    }

    /// Keeps a snapshot, durably, and removes what is too old then.
    ///
    /// # Errors
    /// As above. The snapshots that were there are there.
    pub fn keep(&self, snapshot: &Snapshot) -> io::Result<()> {
        self.write(&self.path(snapshot.number()), &snapshot.encode())?;
        for number in self.numbers()?.into_iter().skip(KEPT) {
            fs::remove_file(self.path(number))?;
        }
        Ok(())
    }

    /// Keeps the newest anchor.
    ///
    /// # Errors
    /// As above. The anchor that was there is there.
    pub fn keep_anchor(&self, anchor: &Anchor) -> io::Result<()> {
        self.write(&self.dir.join(ANCHOR), &anchor.encode())
    }

    /// The newest anchor, if one was kept and is whole.
    ///
    /// # Errors
    /// As above.
    pub fn anchor(&self) -> io::Result<Option<Anchor>> {
        match fs::read(self.dir.join(ANCHOR)) {
            Ok(bytes) => Ok(Anchor::decode(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let draft = self.dir.join(DRAFT);
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(&self.dir)?.sync_all()
    }

    /// The bytes of a snapshot.
    ///
    /// # Errors
    /// As above, and one that is longer than snapshots are.
    pub fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        let path = self.path(number);
        if fs::metadata(&path)?.len() > MAX_SNAPSHOT_BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any snapshot"));
        }
        fs::read(path)
    }

    /// A piece of a snapshot: its length in all, and up to `length` bytes of it from `offset` on.
    ///
    /// # Errors
    /// As above.
    pub fn piece(&self, number: u64, offset: u64, length: usize) -> io::Result<(u64, Vec<u8>)> {
        let file = File::open(self.path(number))?;
        let total = file.metadata()?.len();
        let mut bytes = vec![0; length.min(usize::try_from(total.saturating_sub(offset)).unwrap_or(length))];
        file.read_exact_at(&mut bytes, offset)?;
        Ok((total, bytes))
    }
}
