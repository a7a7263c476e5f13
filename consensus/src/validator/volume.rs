//! The few file operations that the [store](super::store) needs, as a trait, so that its crash behaviour can be tested over a volume
//! that forgets what was not synced.
//!
//! A volume is a flat set of named files. Nothing is durable before [`Volume::sync`] has returned; a name is durable after
//! [`Volume::create`].

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A flat set of named files with explicit durability.
pub trait Volume: Send + 'static {
    /// Names of all files, sorted.
    ///
    /// # Errors
    /// Whatever the operating system reports; so for all of these.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// As above.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Exactly `length` bytes of a file.
    ///
    /// # Errors
    /// As above, and if the file ends before.
    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Makes an empty file, or empties an existing one; its name is durable on return.
    ///
    /// # Errors
    /// As above.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes bytes at an offset; not durable before a sync.
    ///
    /// # Errors
    /// As above. Some of the bytes may have been written.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to a length.
    ///
    /// # Errors
    /// As above.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// Makes all that was written to a file durable.
    ///
    /// # Errors
    /// As above. What was written since the last sync may then be lost even if a later sync succeeds.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, which is durable on return, in place of the old one. Nothing has the new name.
    ///
    /// # Errors
    /// As above.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, durably on return.
    ///
    /// # Errors
    /// As above.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Where a file is, for messages.
    fn describe(&self, name: &str) -> String;
}

/// The files of one directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// The file that is written to: one at a time.
    open: Option<(String, File)>,
}

impl Directory {
    /// Opens a directory, making it and what is above it as needed.
    ///
    /// # Errors
    /// Whatever the operating system reports.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        File::open(path)?.sync_all()?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { path: path.to_path_buf(), open: None })
    }

    fn writable(&mut self, name: &str) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
            self.open = Some((name.to_owned(), file));
        }
        Ok(&self.open.as_ref().expect("opened above").1)
    }
}

impl Volume for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path.join(name))
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        match &self.open {
            Some((open, file)) if open == name => file.read_exact_at(&mut bytes, offset)?,
            _ => File::open(self.path.join(name))?.read_exact_at(&mut bytes, offset)?,
        }
        Ok(bytes)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        self.open = Some((name.to_owned(), file));
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writable(name)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.writable(name)?.set_len(length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writable(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open = None;
        fs::rename(self.path.join(from), self.path.join(to))?;
        File::open(&self.path)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open = self.open.take().filter(|(open, _)| open != name);
        fs::remove_file(self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    fn describe(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}
