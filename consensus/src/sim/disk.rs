//! A disk in memory that fails after so many operations, and at a crash keeps of what was not synced whatever sectors it likes.
//!
//! After a failure it either refuses everything, as a full disk does, or it goes on as if nothing had happened while all that comes then is
//! lost, as when the power is gone: who is about to lose it must not be heard any more ([`Disk::is_off`]).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::validator::volume::Volume;

/// A disk writes this much at once, or not.
const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Platter {
    files: BTreeMap<String, File>,
    /// Operations that still succeed; `None`: all.
    left: Option<u64>,
    lies: bool,
    /// Changes until the power is gone; `None`: it stays.
    powered: Option<u64>,
    /// The files at the moment when it went.
    frozen: Option<BTreeMap<String, File>>,
    /// A disk of the same machine: power goes for both.
    beside: Weak<Mutex<Platter>>,
}

#[derive(Clone, Default)]
struct File {
    written: Vec<u8>,
    durable: Vec<u8>,
}

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so many more changes none succeeds; `None`: all do.
    pub fn fail_after(&self, changes: Option<u64>) {
        self.platter().left = changes;
    }

    /// From now on a sync does nothing.
    pub fn lie(&self) {
        self.platter().lies = true;
    }

    /// The power goes after so many more changes.
    pub fn power_off_after(&self, changes: u64) {
        self.platter().powered = Some(changes);
    }

    /// Puts two disks into one machine: when the power goes, it goes for both at once.
    pub fn wire(&self, other: &Self) {
        self.platter().beside = Arc::downgrade(&other.0);
        other.platter().beside = Arc::downgrade(&self.0);
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.platter().frozen.is_some()
    }

    /// Another disk with the same content.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.platter().clone())))
    }

    /// Changes a bit of a byte.
    ///
    /// # Panics
    /// Unless the byte is there.
    pub fn flip(&self, name: &str, at: usize) {
        self.platter().files.get_mut(name).expect("there").written[at] ^= 0x10;
    }

    /// The power fails: each sector that was not synced is the old one or the new one. `below` chooses a number below another.
    pub fn crash(&self, below: &mut dyn FnMut(usize) -> usize) {
        let mut platter = self.platter();
        platter.left = None;
        platter.powered = None;
        if let Some(frozen) = platter.frozen.take() {
            platter.files = frozen;
        }
        for file in platter.files.values_mut() {
            let mut content = file.durable.clone();
            if below(4) > 0 {
                let length = if below(2) == 0 { file.written.len() } else { file.durable.len() };
                content.resize(length, 0);
                for at in (0..length).step_by(SECTOR) {
                    let end = (at + SECTOR).min(length).min(file.written.len());
                    if at < end && below(2) == 0 {
                        content[at..end].copy_from_slice(&file.written[at..end]);
                    }
                }
            }
            *file = File { written: content.clone(), durable: content };
        }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let mut platter = self.platter();
        match &mut platter.left {
            Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(left) => *left -= 1,
            None => {}
        }
        match platter.powered {
            Some(0) if platter.frozen.is_none() => {
                platter.frozen = Some(platter.files.clone());
                if let Some(beside) = platter.beside.upgrade() {
                    let mut beside = beside.lock().unwrap_or_else(PoisonError::into_inner);
                    let files = beside.files.clone();
                    beside.frozen.get_or_insert(files);
                }
            }
            Some(left) => platter.powered = Some(left.saturating_sub(1)),
            None => {}
        }
        Ok(platter)
    }
}

impl Volume for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.platter().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.platter().files.get(name).map(|file| file.written.clone()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.read(name)?;
        let range = bytes.get(offset as usize..offset as usize + length);
        range.map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.change()?.files.insert(name.to_owned(), File::default());
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut platter, offset) = (self.change()?, offset as usize);
        let file = &mut platter.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?.written;
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.change()?.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?.written.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut platter = self.change()?;
        if !platter.lies {
            let file = platter.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
            file.durable.clone_from(&file.written);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.change()?;
        let file = platter.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        platter.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.change()?.files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }
}
