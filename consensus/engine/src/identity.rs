//! The key that a validator votes with, kept in its directory.
//!
//! It is made from the operating system's randomness at the first start and never leaves the directory. Losing it means being another
//! validator; copying it into a second running validator means equivocation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use commonware_codec::{DecodeExt, Encode};
use commonware_cryptography::ed25519::PrivateKey;
use commonware_math::algebra::Random;
use commonware_utils::sys_rng;

/// The file in the validator's directory.
const FILE: &str = "validator.key";

/// Reads the validator's key, or makes one.
///
/// # Errors
/// What the operating system reports; a file that is no key.
pub(crate) fn load_or_create(dir: &Path) -> io::Result<PrivateKey> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => PrivateKey::decode(Bytes::from(bytes)).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not a validator's key ({error}): restore it", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(dir, &path),
        Err(error) => Err(error),
    }
}

/// Makes a key and gives it its name only once it is durable.
fn make(dir: &Path, path: &Path) -> io::Result<PrivateKey> {
    let key = PrivateKey::random(sys_rng());
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&key.encode())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()?;
    Ok(key)
}
