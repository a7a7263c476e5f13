//! Evidence: batches that were refused, kept as they came, so that the gateway's signature can be held against it.
//!
//! For each refusal two files: the batch's bytes, and a line that says why. One refusal that blames the gateway halts the validator, so
//! there are few; a later refusal of the same batch replaces the earlier.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::batch::Batch;

use super::replica::{Refusal, hex};

/// Characters of the digest in a file's name.
const DIGEST_CHARS: usize = 16;

/// Writes a refused batch and the reason durably into `dir`, and returns the path of the batch.
///
/// # Errors
/// Whatever the operating system reports.
pub fn keep(dir: &Path, batch: &Batch, refusal: &Refusal) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let stem = format!("refused-{:020}-{}", batch.number(), &hex(batch.digest())[..DIGEST_CHARS]);
    let path = dir.join(format!("{stem}.batch"));
    write_durably(&path, batch.as_bytes())?;
    write_durably(&dir.join(format!("{stem}.reason")), format!("batch {}: {refusal}\n", batch.number()).as_bytes())?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
