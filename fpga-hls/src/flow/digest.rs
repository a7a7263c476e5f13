//! The digest of fills by which matchers are compared: SHA-256 of the Fills CSV, byte by byte, as `sha256sum` computes it.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use sha2::{Digest, Sha256};

use super::fills::{Fill, FillsWriter};

/// A writer that digests what passes through it.
#[derive(Debug)]
pub struct Digesting<W> {
    writer: W,
    hash: Sha256,
}

impl<W: Write> Digesting<W> {
    /// Before the first byte.
    pub fn new(writer: W) -> Self {
        Self { writer, hash: Sha256::new() }
    }

    /// The writer, and the digest of what it was given, in lower-case hexadecimal digits.
    pub fn finish(self) -> (W, String) {
        let mut text = String::with_capacity(64);
        for byte in self.hash.finalize() {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        (self.writer, text)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The digest of fills that are not written anywhere.
#[derive(Debug)]
pub struct FillsDigest {
    writer: FillsWriter<BufWriter<Digesting<io::Sink>>>,
}

impl Default for FillsDigest {
    fn default() -> Self {
        let writer = BufWriter::new(Digesting::new(io::sink()));
        Self { writer: FillsWriter::new(writer).expect("a sink takes everything") }
    }
}

impl FillsDigest {
    /// The next fill.
    pub fn add(&mut self, fill: &Fill) {
        self.writer.write(fill).expect("a sink takes everything");
    }

    /// The digest, as of the file that holds these fills.
    pub fn finish(self) -> String {
        let buffered = self.writer.finish().expect("a sink takes everything");
        buffered.into_inner().expect("a sink takes everything").finish().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Side;

    /// As `printf 'aggressor,resting_id,price,qty,resting_side\n1,2,-5,7,-1\n' | sha256sum` says.
    #[test]
    fn the_digest_is_that_of_the_file() {
        let mut digest = FillsDigest::default();
        digest.add(&Fill { aggressor: 1, resting_id: 2, price: -5, qty: 7, resting_side: Side::Sell });
        assert_eq!(digest.finish(), EXPECTED);
        let mut file = Digesting::new(Vec::new());
        file.write_all(b"aggressor,resting_id,price,qty,resting_side\n1,2,-5,7,-1\n").unwrap();
        file.flush().unwrap();
        assert_eq!(file.finish().1, EXPECTED);
    }

    const EXPECTED: &str = "cb2ba5431793b2c6eb5a2d0cbefa0d2e3bf35b7a6e2705f6eb54edb9dd47da99";
}
