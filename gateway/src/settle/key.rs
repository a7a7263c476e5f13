//! The gateway's signing key: 32 secret bytes in a file that only its owner may read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wirebook_settlement::batch::SigningKey;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The file is not a key.
    #[error("{}: found {found} bytes, a key has 32; restore it from its backup: batches signed by another key are refused", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
}

/// The key in `path`; makes one from the system's randomness when there is none.
///
/// # Errors
/// When it can neither be read nor made.
pub fn signing_key(path: &Path) -> Result<SigningKey, KeyError> {
    let io = |error| KeyError::Io { path: path.into(), error };
    match std::fs::read(path) {
        Ok(bytes) => {
            let found = bytes.len();
            let secret = <[u8; 32]>::try_from(bytes).map_err(|_| KeyError::Length { path: path.into(), found })?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut secret = [0u8; 32];
            std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret)).map_err(io)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).map_err(io)?;
            Ok(SigningKey::from_bytes(&secret))
        }
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("gateway.key");
        let key = signing_key(&path).expect("made");
        assert_eq!(signing_key(&path).expect("read").to_bytes(), key.to_bytes());
        std::fs::write(&path, b"short").expect("written");
        assert!(matches!(signing_key(&path), Err(KeyError::Length { found: 5, .. })));
    }
}
