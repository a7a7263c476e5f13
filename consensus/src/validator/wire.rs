//! What is said at a validator's port, in bytes.
//!
//! A frame is its length u32 (of what follows), a kind u8, and the kind's content; integers are little-endian. The gateway and readers ask,
//! the validator answers each request once, in order.
//!
//! | request | kind, content | | answer | kind, content |
//! |---|---|---|---|---|
//! | hello | 1, magic `WBVP`, version u16, shard u16 | | tip | 101, a signed [`Tip`] |
//! | offer | 2, the batch | | taken | 102 |
//! | tip | 3 | | full | 103 |
//! | wait | 4, height u64, milliseconds u32 | | refused | 104, text |
//! | batch | 5, number u64 | | batch | 105, the batch |
//! | certified | 6 | | certified | 106, number u64, height u64, parent, digest, certificate |
//! | metrics | 7 | | text | 107, text |
//! | read | 8, account u32, asset u16, with a note u8 (0 or 1), the note (32; zeros without), milliseconds u32 | | gap | 108, expected u64 |
//! | anchor | 9 | | no | 109, text: it cannot be answered, for now or here |
//! | snapshot | 10, number u64 (0: the newest), offset u64 | | piece | 111, number u64, length of all u64, the bytes |
//! | timings | 11 | | timings | 112, for each batch: number u64, microseconds from offered to final u32 |
//! | | | | proof | 110, a [`SettledProof`](crate::proof::settled::SettledProof), or an [`Anchor`](crate::proof::anchor::Anchor) |
//!
//! Offers are signed by the gateway already. A tip is signed by the validator, so that nobody in between can say that something is
//! final; what a certificate says is signed by a quorum. Batches that are read are believed because of one of these. A proof needs no trust
//! in who answers: whoever has the keys of the committee checks it alone.

use std::io::{self, Read, Write};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::status::Finalized;
use crate::batch::{Digest32, MAX_BATCH_BYTES};
use crate::proof::block::Note;

/// The version of all this.
pub const VERSION: u16 = 2;
/// The longest frame, its length not counted.
pub const MAX_FRAME: usize = MAX_BATCH_BYTES + 1024;
/// A request is at most this long, an offer excepted.
const MAGIC: [u8; 4] = *b"WBVP";
/// Signed ahead of a tip, so that it is never taken for anything else.
const TIP_CONTEXT: &[u8; 24] = b"wirebook validator tip 1";
/// Bytes of a read's content.
const READ_BYTES: usize = 4 + 2 + 1 + 32 + 4;
const TIP_BYTES: usize = 2 + 8 + 8 + 32 + 32 + 32;

/// What a validator says of itself: how far it is, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The shard.
    pub shard: u16,
    /// The last batch that is final and durable there.
    pub finalized: Finalized,
    /// The validator's public key.
    pub validator: [u8; 32],
    signature: [u8; 64],
}

impl Tip {
    fn content(shard: u16, finalized: &Finalized, validator: &[u8; 32]) -> [u8; TIP_BYTES] {
        let mut bytes = [0; TIP_BYTES];
        bytes[..2].copy_from_slice(&shard.to_le_bytes());
        bytes[2..10].copy_from_slice(&finalized.height.to_le_bytes());
        bytes[10..18].copy_from_slice(&finalized.last_seq.to_le_bytes());
        bytes[18..50].copy_from_slice(&finalized.root);
        bytes[50..82].copy_from_slice(&finalized.digest);
        bytes[82..].copy_from_slice(validator);
        bytes
    }

    /// Signs a tip.
    pub fn sign(shard: u16, finalized: Finalized, key: &SigningKey) -> Self {
        let validator = key.verifying_key().to_bytes();
        let content = Self::content(shard, &finalized, &validator);
        let signature = key.sign(&[&TIP_CONTEXT[..], &content].concat()).to_bytes();
        Self { shard, finalized, validator, signature }
    }

    /// Whether the validator that it names has signed it.
    pub fn verifies(&self) -> bool {
        let content = Self::content(self.shard, &self.finalized, &self.validator);
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.validator)
            .is_ok_and(|key| key.verify_strict(&[&TIP_CONTEXT[..], &content].concat(), &signature).is_ok())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::content(self.shard, &self.finalized, &self.validator));
        out.extend_from_slice(&self.signature);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TIP_BYTES + 64] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let digest = |at: usize| -> Digest32 { bytes[at..at + 32].try_into().expect("32 bytes") };
        let finalized = Finalized { height: number(2), last_seq: number(10), root: digest(18), digest: digest(50) };
        let shard = u16::from_le_bytes([bytes[0], bytes[1]]);
        Some(Self {
            shard,
            finalized,
            validator: digest(82),
            signature: bytes[TIP_BYTES..].try_into().expect("64 bytes"),
        })
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Comes first. The answer is a tip.
    Hello {
        /// The shard that the asker means.
        shard: u16,
    },
    /// The bytes of the next batch.
    Offer(&'a [u8]),
    /// How far it is.
    Tip,
    /// How far it is, once batch `height` is final or the time is over.
    Wait {
        /// The height waited for.
        height: u64,
        /// The time.
        millis: u32,
    },
    /// A finalized batch.
    Batch(u64),
    /// The newest certificate.
    Certified,
    /// Metrics, in Prometheus' text format.
    Metrics,
    /// What an account has, with proof.
    Read {
        /// Whose.
        account: u32,
        /// Of what.
        asset: u16,
        /// A number that the reader has just drawn, which is to stand in a final block first.
        note: Option<Note>,
        /// How long he waits.
        millis: u32,
    },
    /// Proof of the newest batch that is final.
    Anchor,
    /// A piece of a snapshot.
    Snapshot {
        /// Of which batch; 0: the newest.
        number: u64,
        /// Bytes before the piece.
        offset: u64,
    },
    /// How long the newest batches took.
    Timings,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// How far it is.
    Tip(Tip),
    /// The batch waits now, waited before, or is final.
    Taken,
    /// Not now: too much waits.
    Full,
    /// The batch is refused, and why.
    Refused(String),
    /// A batch's bytes.
    Batch(Vec<u8>),
    /// A block with its certificate: number of the batch, height, parent, digest, certificate.
    Certified(u64, u64, Digest32, Digest32, Vec<u8>),
    /// Text.
    Text(String),
    /// Another batch is next.
    Gap(u64),
    /// It cannot be answered.
    No(String),
    /// A proof's bytes.
    Proof(Vec<u8>),
    /// A piece of a snapshot.
    Piece {
        /// Of which batch.
        number: u64,
        /// Bytes of the whole.
        total: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// How long the newest batches took: number, microseconds from the gateway's offer to final and durable, by the validator's clock.
    Timings(Vec<(u64, u32)>),
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes one frame.
///
/// # Errors
/// What the connection reports.
pub fn write_frame(to: &mut impl Write, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    assert!(length <= MAX_FRAME, "a frame of {length} bytes");
    let mut frame = Vec::with_capacity(4 + length);
    frame.extend_from_slice(&(length as u32).to_le_bytes());
    frame.push(kind);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    to.write_all(&frame)
}

/// Reads one frame's kind and content; `None` at the end of the connection.
///
/// # Errors
/// What the connection reports, or a frame that is too long or has no kind.
pub fn read_frame(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > MAX_FRAME {
        return Err(bad("a frame is empty or too long"));
    }
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    // A length is only a claim: memory is taken as bytes come.
    buffer.clear();
    from.by_ref().take(length as u64 - 1).read_to_end(buffer)?;
    if buffer.len() != length - 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(kind[0]))
}

impl<'a> Request<'a> {
    /// Writes the request.
    ///
    /// # Errors
    /// What the connection reports.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Hello { shard } => write_frame(to, 1, &[&MAGIC, &VERSION.to_le_bytes(), &shard.to_le_bytes()]),
            Self::Offer(batch) => write_frame(to, 2, &[batch]),
            Self::Tip => write_frame(to, 3, &[]),
            Self::Wait { height, millis } => write_frame(to, 4, &[&height.to_le_bytes(), &millis.to_le_bytes()]),
            Self::Batch(number) => write_frame(to, 5, &[&number.to_le_bytes()]),
            Self::Certified => write_frame(to, 6, &[]),
            Self::Metrics => write_frame(to, 7, &[]),
            Self::Read { account, asset, note, millis } => {
                let (account, asset, millis) = (account.to_le_bytes(), asset.to_le_bytes(), millis.to_le_bytes());
                write_frame(to, 8, &[&account, &asset, &[note.is_some().into()], &note.unwrap_or_default(), &millis])
            }
            Self::Anchor => write_frame(to, 9, &[]),
            Self::Snapshot { number, offset } => write_frame(to, 10, &[&number.to_le_bytes(), &offset.to_le_bytes()]),
            Self::Timings => write_frame(to, 11, &[]),
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What is none.
    pub fn parse(kind: u8, content: &'a [u8]) -> io::Result<Self> {
        let number =
            |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| bad("a request of another length"));
        match (kind, content) {
            (1, [magic @ .., v0, v1, s0, s1]) if *magic == MAGIC => match u16::from_le_bytes([*v0, *v1]) {
                VERSION => Ok(Self::Hello { shard: u16::from_le_bytes([*s0, *s1]) }),
                _ => Err(bad("another version of this protocol")),
            },
            (2, batch) => Ok(Self::Offer(batch)),
            (3, []) => Ok(Self::Tip),
            (4, [height @ .., a, b, c, d]) => {
                Ok(Self::Wait { height: number(height)?, millis: u32::from_le_bytes([*a, *b, *c, *d]) })
            }
            (5, bytes) => Ok(Self::Batch(number(bytes)?)),
            (6, []) => Ok(Self::Certified),
            (7, []) => Ok(Self::Metrics),
            (8, bytes) => Self::parse_read(bytes),
            (9, []) => Ok(Self::Anchor),
            (10, bytes) if bytes.len() == 16 => {
                Ok(Self::Snapshot { number: number(&bytes[..8])?, offset: number(&bytes[8..])? })
            }
            (11, []) => Ok(Self::Timings),
            _ => Err(bad("no request of this protocol")),
        }
    }

    fn parse_read(bytes: &[u8]) -> io::Result<Self> {
        let bytes: &[u8; READ_BYTES] = bytes.try_into().map_err(|_| bad("a request of another length"))?;
        let note: Note = bytes[7..39].try_into().expect("32 bytes");
        let note = match bytes[6] {
            0 if note == Note::default() => None,
            1 => Some(note),
            _ => return Err(bad("a read with half a note")),
        };
        Ok(Self::Read {
            account: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")),
            asset: u16::from_le_bytes([bytes[4], bytes[5]]),
            note,
            millis: u32::from_le_bytes(bytes[39..].try_into().expect("four bytes")),
        })
    }
}

impl Answer {
    /// Writes the answer.
    ///
    /// # Errors
    /// What the connection reports.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Tip(tip) => {
                let mut bytes = Vec::new();
                tip.encode(&mut bytes);
                write_frame(to, 101, &[&bytes])
            }
            Self::Taken => write_frame(to, 102, &[]),
            Self::Full => write_frame(to, 103, &[]),
            Self::Refused(why) => write_frame(to, 104, &[shorten(why)]),
            Self::Batch(batch) => write_frame(to, 105, &[batch]),
            Self::Certified(number, height, parent, digest, certificate) => {
                write_frame(to, 106, &[&number.to_le_bytes(), &height.to_le_bytes(), parent, digest, certificate])
            }
            Self::Text(text) => write_frame(to, 107, &[shorten(text)]),
            Self::Gap(expected) => write_frame(to, 108, &[&expected.to_le_bytes()]),
            Self::No(why) => write_frame(to, 109, &[shorten(why)]),
            Self::Proof(bytes) => write_frame(to, 110, &[bytes]),
            Self::Piece { number, total, bytes } => {
                write_frame(to, 111, &[&number.to_le_bytes(), &total.to_le_bytes(), bytes])
            }
            Self::Timings(timings) => {
                let bytes: Vec<u8> = timings
                    .iter()
                    .flat_map(|(number, micros)| number.to_le_bytes().into_iter().chain(micros.to_le_bytes()))
                    .collect();
                write_frame(to, 112, &[&bytes])
            }
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// What the connection reports, or what is no answer. A connection that ends is an error here.
    pub fn read(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let kind = read_frame(from, buffer)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let short = || bad("an answer of another length");
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| short());
        Ok(match kind {
            101 => Self::Tip(Tip::decode(buffer).ok_or_else(short)?),
            102 | 103 if !buffer.is_empty() => return Err(short()),
            102 => Self::Taken,
            103 => Self::Full,
            104 => Self::Refused(text(buffer)),
            105 => Self::Batch(std::mem::take(buffer)),
            106 => {
                let (head, certificate) = buffer.split_at_checked(80).ok_or_else(short)?;
                let digest = |at: usize| -> Digest32 { head[at..at + 32].try_into().expect("32 bytes") };
                Self::Certified(
                    number(&head[..8])?,
                    number(&head[8..16])?,
                    digest(16),
                    digest(48),
                    certificate.to_vec(),
                )
            }
            107 => Self::Text(text(buffer)),
            108 => Self::Gap(number(buffer)?),
            109 => Self::No(text(buffer)),
            110 => Self::Proof(std::mem::take(buffer)),
            111 => {
                let (head, bytes) = buffer.split_at_checked(16).ok_or_else(short)?;
                Self::Piece { number: number(&head[..8])?, total: number(&head[8..])?, bytes: bytes.to_vec() }
            }
            112 => {
                let (timings, rest) = buffer.as_chunks::<12>();
                if !rest.is_empty() {
                    return Err(short());
                }
                let timing = |bytes: &[u8; 12]| {
                    let micros = u32::from_le_bytes(bytes[8..].try_into().expect("four bytes"));
                    (u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")), micros)
                };
                Self::Timings(timings.iter().map(timing).collect())
            }
            _ => return Err(bad("no answer of this protocol")),
        })
    }
}

fn shorten(text: &str) -> &[u8] {
    &text.as_bytes()[..text.len().min(MAX_FRAME - 1)]
}

#[cfg(test)]
mod tests;
