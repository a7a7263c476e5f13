//! The bytes of the validator's store: segments of entries, one entry a batch.
//!
//! All integers are little-endian. A segment begins with 24 bytes, then its entries stand one after another:
//!
//! | offset | size | segment header | | offset | size | entry |
//! |---|---|---|---|---|---|---|
//! | 0 | 4 | magic `WBSS` | | 0 | 4 | magic `WBSE` |
//! | 4 | 2 | layout version, 1 | | 4 | 4 | length of the batch |
//! | 6 | 2 | shard | | 8 | 8 | number of the batch |
//! | 8 | 8 | number of the first batch | | 16 | 32 | digest of the batch |
//! | 16 | 4 | CRC32C of the above | | 48 | 4 | CRC32C of bytes 4 to 47 and of the batch |
//! | 20 | 4 | reserved, 0 | | 52 | n | the batch |
//!
//! What is a torn tail and what is damage is decided here: an entry that does not verify is a torn tail if it is in the last segment
//! and no valid entry stands anywhere behind it. An entry is synced before the next is written, so a crash can only ever tear the
//! last one; a valid entry behind an invalid one means that something else destroyed what was durable.

use crate::batch::{Digest32, HEADER_BYTES as BATCH_HEADER_BYTES, MAX_BATCH_BYTES, TRAILER_BYTES};

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 24;

/// Bytes of an entry before its batch.
pub(super) const ENTRY_HEADER_BYTES: usize = 52;

const SEGMENT_MAGIC: [u8; 4] = *b"WBSS";
const ENTRY_MAGIC: [u8; 4] = *b"WBSE";
const VERSION: u16 = 1;
const NAME_SUFFIX: &str = ".batches";
const NAME_DIGITS: usize = 20;

/// The file name of the segment whose first batch is `first`. Names sort as the numbers do.
pub(super) fn name(first: u64) -> String {
    format!("{first:0NAME_DIGITS$}{NAME_SUFFIX}")
}

/// The number in a segment's file name; `None` for any other file.
pub(super) fn first_of(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(NAME_SUFFIX)?;
    (digits.len() == NAME_DIGITS).then(|| digits.parse().ok()).flatten()
}

/// The header of a segment.
pub(super) fn segment_header(shard: u16, first: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..4].copy_from_slice(&SEGMENT_MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[6..8].copy_from_slice(&shard.to_le_bytes());
    bytes[8..16].copy_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// What an entry says of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryHeader {
    pub(super) number: u64,
    pub(super) digest: Digest32,
    pub(super) length: usize,
    crc: u32,
}

impl EntryHeader {
    /// Reads an entry's header; `None` if these bytes are not one, or claim an impossible length.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_HEADER_BYTES] = bytes.first_chunk()?;
        if bytes[..4] != ENTRY_MAGIC {
            return None;
        }
        let length = u32::from_le_bytes(bytes[4..8].try_into().expect("4 bytes")) as usize;
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes"));
        let digest = bytes[16..48].try_into().expect("32 bytes");
        let crc = u32::from_le_bytes(bytes[48..52].try_into().expect("4 bytes"));
        let possible = (BATCH_HEADER_BYTES + TRAILER_BYTES..=MAX_BATCH_BYTES).contains(&length);
        possible.then_some(Self { number, digest, length, crc })
    }

    /// Whether `bytes`, which begin with this header, hold the whole entry unharmed.
    fn verifies(&self, bytes: &[u8]) -> bool {
        let Some(entry) = bytes.get(..ENTRY_HEADER_BYTES + self.length) else { return false };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&entry[4..48]), &entry[ENTRY_HEADER_BYTES..]);
        crc == self.crc
    }
}

/// One entry as it is written.
pub(super) fn entry(number: u64, digest: &Digest32, batch: &[u8]) -> Vec<u8> {
    assert!(batch.len() <= MAX_BATCH_BYTES);
    let mut bytes = Vec::with_capacity(ENTRY_HEADER_BYTES + batch.len());
    bytes.extend_from_slice(&ENTRY_MAGIC);
    bytes.extend_from_slice(&(batch.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(digest);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[4..48]), batch);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(batch);
    bytes
}

/// Where the entries of a segment are, and how it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Offset of each entry in the segment, in order.
    pub(super) offsets: Vec<u32>,
    /// How the segment ends.
    pub(super) end: End,
}

/// How a segment ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole entry, at this length.
    Clean(u64),
    /// The valid part ends here; what follows does not verify and nothing valid stands behind it. At 0 even the header is torn.
    Torn(u64),
    /// What is here does not verify, and something valid stands behind it, or no crash can have made it.
    Damaged(u64, &'static str),
}

/// Checks every byte of a segment whose first batch is to be `first`.
pub(super) fn scan(bytes: &[u8], shard: u16, first: u64) -> Scan {
    let mut offsets = Vec::new();
    if bytes.get(..SEGMENT_HEADER_BYTES) != Some(&segment_header(shard, first)[..]) {
        let end = match bytes.first_chunk::<SEGMENT_HEADER_BYTES>() {
            Some(header) if whole_header(header) => {
                End::Damaged(0, "the segment's header is of another shard, layout or batch number")
            }
            _ if valid_entry_behind(bytes, 0) => {
                End::Damaged(0, "the segment's header does not verify, entries behind it do")
            }
            _ => End::Torn(0),
        };
        return Scan { offsets, end };
    }
    let mut at = SEGMENT_HEADER_BYTES;
    while at < bytes.len() {
        let Some(header) = EntryHeader::read(&bytes[at..]).filter(|header| header.verifies(&bytes[at..])) else {
            let end = if valid_entry_behind(bytes, at + 1) {
                End::Damaged(at as u64, "an entry does not verify, and a valid one stands behind it")
            } else {
                End::Torn(at as u64)
            };
            return Scan { offsets, end };
        };
        if header.number != first + offsets.len() as u64 {
            return Scan { offsets, end: End::Damaged(at as u64, "the entry is of another batch than its place says") };
        }
        offsets.push(u32::try_from(at).expect("segments are far shorter than 4 GiB"));
        at += ENTRY_HEADER_BYTES + header.length;
    }
    Scan { offsets, end: End::Clean(at as u64) }
}

/// Whether these are the bytes of a segment's header, of whatever shard, layout and number.
fn whole_header(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> bool {
    bytes[..4] == SEGMENT_MAGIC && bytes[16..20] == crc32c::crc32c(&bytes[..16]).to_le_bytes()
}

fn valid_entry_behind(bytes: &[u8], from: usize) -> bool {
    let tail = bytes.get(from..).unwrap_or_default();
    (0..tail.len()).any(|at| {
        tail[at] == ENTRY_MAGIC[0] && EntryHeader::read(&tail[at..]).is_some_and(|header| header.verifies(&tail[at..]))
    })
}
