//! The mark of a good end: a file that says with which record the last life ended.
//!
//! Under the ack policy `matched`, what clients were told may be ahead of the disk, and the journal alone cannot tell: it
//! looks as whole after kill -9 as after a good stop. So a good stop leaves this mark, and a start takes it away before
//! anything is sequenced. A start that finds none, or one of another record, knows that something may be lost.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

const FILE: &str = "clean-end";

/// Leaves the mark: `last_seq` is durable, and everyone was told everything.
pub fn leave(dir: &Path, last_seq: u64) -> io::Result<()> {
    let mut file = File::create(dir.join(FILE))?;
    writeln!(file, "{last_seq}")?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

/// Takes the mark away, for good; answers the seq that stood there.
pub fn take(dir: &Path) -> io::Result<Option<u64>> {
    let path = dir.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    fs::remove_file(&path)?;
    File::open(dir)?.sync_all()?;
    Ok(text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_once_and_a_damaged_one_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(take(dir.path()).expect("read"), None);
        leave(dir.path(), 77).expect("left");
        assert_eq!(take(dir.path()).expect("read"), Some(77));
        assert_eq!(take(dir.path()).expect("read"), None);
        fs::write(dir.path().join(FILE), "7x").expect("written");
        assert_eq!(take(dir.path()).expect("read"), None);
    }
}
