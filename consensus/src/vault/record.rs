//! The log's bytes: segments of frames, frames of records.
//!
//! All integers are little-endian. A segment begins with one page that holds its header; each frame begins on a page of its own, so
//! that writing one never touches a page on which an older, durable one stands.
//!
//! | offset | size | segment header | | offset | size | frame header |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | magic `WBVSEG01` | | 0 | 8 | magic `WBVFRM01` |
//! | 8 | 16 | id of the log | | 8 | 16 | id of the log |
//! | 24 | 8 | number of the segment | | 24 | 8 | number of the frame |
//! | 32 | 8 | number of its first frame | | 32 | 8 | length of the payload |
//! | 40 | 4 | CRC32C of the above | | 40 | 4 | CRC32C of the payload |
//! | | | | | 44 | 4 | CRC32C of the above |
//!
//! The id is random, so that bytes that somebody else chose and that stand within a frame are never taken for a frame.
//!
//! A record is kind u8, blob u64, value u64, length u32, then as many bytes:
//!
//! | kind | value | bytes |
//! |---|---|---|
//! | 1 create | the blob's version | length of the partition's name u16, the partition's name, the blob's name |
//! | 2 write | offset | what is written there |
//! | 3 resize | length | |
//! | 4 remove | | |
//! | 5 image | the blob's version | as for create, then length of the blob's name u16 ahead of it, then the content |
//! | 6 partition | | its name: it exists |
//! | 7 drop | | its name: it and its blobs are gone |

/// Frames and the segment's header stand on multiples of this.
pub(super) const PAGE: usize = 4096;

/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER: usize = 48;

/// Bytes of a record before its bytes.
const RECORD_HEADER: usize = 21;

const SEGMENT_MAGIC: [u8; 8] = *b"WBVSEG01";
const FRAME_MAGIC: [u8; 8] = *b"WBVFRM01";
const SEGMENT_HEADER: usize = 44;

/// What tells one log from another.
pub(super) type LogId = [u8; 16];

/// One change, as it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Create { blob: u64, version: u16, partition: &'a str, name: &'a [u8] },
    Write { blob: u64, offset: u64, bytes: &'a [u8] },
    Resize { blob: u64, length: u64 },
    Remove { blob: u64 },
    Image { blob: u64, version: u16, partition: &'a str, name: &'a [u8], content: &'a [u8] },
    Partition { name: &'a str },
    Drop { name: &'a str },
}

impl<'a> Record<'a> {
    /// Appends the record's bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        let (kind, blob, value) = match *self {
            Self::Create { blob, version, .. } => (1, blob, u64::from(version)),
            Self::Write { blob, offset, .. } => (2, blob, offset),
            Self::Resize { blob, length } => (3, blob, length),
            Self::Remove { blob } => (4, blob, 0),
            Self::Image { blob, version, .. } => (5, blob, u64::from(version)),
            Self::Partition { .. } => (6, 0, 0),
            Self::Drop { .. } => (7, 0, 0),
        };
        out.push(kind);
        out.extend_from_slice(&blob.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        match *self {
            Self::Create { partition, name, .. } => {
                text(out, partition.as_bytes());
                out.extend_from_slice(name);
            }
            Self::Write { bytes, .. } => out.extend_from_slice(bytes),
            Self::Image { partition, name, content, .. } => {
                text(out, partition.as_bytes());
                text(out, name);
                out.extend_from_slice(content);
            }
            Self::Partition { name } | Self::Drop { name } => out.extend_from_slice(name.as_bytes()),
            Self::Resize { .. } | Self::Remove { .. } => {}
        }
        let length = u32::try_from(out.len() - begin - RECORD_HEADER).expect("blobs are far shorter than 4 GiB");
        out[begin + 17..begin + RECORD_HEADER].copy_from_slice(&length.to_le_bytes());
    }

    /// Takes the first record off `from`; `None` if what stands there is none.
    pub(super) fn decode(from: &mut &'a [u8]) -> Option<Self> {
        let head: &[u8; RECORD_HEADER] = from.first_chunk()?;
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let (kind, blob, value) = (head[0], number(1), number(9));
        let length = u32::from_le_bytes(head[17..].try_into().expect("four bytes")) as usize;
        let mut bytes = from.get(RECORD_HEADER..RECORD_HEADER + length)?;
        *from = &from[RECORD_HEADER + length..];
        let utf8 = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
        Some(match kind {
            1 => {
                let partition = utf8(take_text(&mut bytes)?)?;
                Self::Create { blob, version: u16::try_from(value).ok()?, partition, name: bytes }
            }
            2 => Self::Write { blob, offset: value, bytes },
            3 => Self::Resize { blob, length: value },
            4 => Self::Remove { blob },
            5 => {
                let partition = utf8(take_text(&mut bytes)?)?;
                let name = take_text(&mut bytes)?;
                Self::Image { blob, version: u16::try_from(value).ok()?, partition, name, content: bytes }
            }
            6 => Self::Partition { name: utf8(bytes)? },
            7 => Self::Drop { name: utf8(bytes)? },
            _ => return None,
        })
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_le_bytes(*from.first_chunk()?));
    let text = from.get(2..2 + length)?;
    *from = &from[2 + length..];
    Some(text)
}

/// The first page of a segment.
pub(super) fn segment_page(log: &LogId, number: u64, first_frame: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..8].copy_from_slice(&SEGMENT_MAGIC);
    page[8..24].copy_from_slice(log);
    page[24..32].copy_from_slice(&number.to_le_bytes());
    page[32..40].copy_from_slice(&first_frame.to_le_bytes());
    let crc = crc32c::crc32c(&page[..40]);
    page[40..SEGMENT_HEADER].copy_from_slice(&crc.to_le_bytes());
    page
}

/// Log, number and first frame of a segment that begins with these bytes.
pub(super) fn read_segment_page(bytes: &[u8]) -> Option<(LogId, u64, u64)> {
    let head: &[u8; SEGMENT_HEADER] = bytes.first_chunk()?;
    let good = head[..8] == SEGMENT_MAGIC && head[40..] == crc32c::crc32c(&head[..40]).to_le_bytes();
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    good.then(|| (head[8..24].try_into().expect("sixteen bytes"), number(24), number(32)))
}

/// Fills in the header of a frame, whose payload stands behind [`FRAME_HEADER`] bytes of room, and pads it to whole pages.
pub(super) fn finish_frame(frame: &mut Vec<u8>, log: &LogId, number: u64) {
    let payload = frame.len() - FRAME_HEADER;
    let crc = crc32c::crc32c(&frame[FRAME_HEADER..]);
    frame[..8].copy_from_slice(&FRAME_MAGIC);
    frame[8..24].copy_from_slice(log);
    frame[24..32].copy_from_slice(&number.to_le_bytes());
    frame[32..40].copy_from_slice(&(payload as u64).to_le_bytes());
    frame[40..44].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..44]);
    frame[44..48].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(PAGE), 0);
}

/// A frame that verifies.
pub(super) struct Frame<'a> {
    pub(super) number: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes`, if it is one of this log and whole.
    pub(super) fn read(bytes: &'a [u8], log: &LogId) -> Option<Self> {
        let head: &[u8; FRAME_HEADER] = bytes.first_chunk()?;
        if head[..8] != FRAME_MAGIC || head[8..24] != log[..] || head[44..] != crc32c::crc32c(&head[..44]).to_le_bytes()
        {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let end = FRAME_HEADER.checked_add(usize::try_from(number(32)).ok()?)?;
        let payload = bytes.get(FRAME_HEADER..end)?;
        (head[40..44] == crc32c::crc32c(payload).to_le_bytes()).then(|| Self { number: number(24), payload })
    }

    /// As [`Frame::read`], for a log whose id is not known.
    pub(super) fn read_any(bytes: &'a [u8]) -> Option<Self> {
        let log: LogId = bytes.get(8..24)?.try_into().expect("sixteen bytes");
        Self::read(bytes, &log)
    }

    /// Bytes that it takes in its segment.
    pub(super) fn pages(&self) -> usize {
        (FRAME_HEADER + self.payload.len()).next_multiple_of(PAGE)
    }
}
