//! Reads a whole journal, verifies all of it, and decides what its end is.
//!
//! **The rule.** A tail is cut only where no later whole block of its epoch exists. One write is in flight at a time,
//! so a crash tears at most the last block of an epoch, and nothing of that epoch can stand behind it. Anything else
//! that does not verify is damage, and stops the start with file, offset and what to do: going on would drop records
//! that were acknowledged.
//!
//! Where a later segment exists, its header bears witness: it holds number, seq and hash of the block that it
//! continues, so an epoch that ended earlier than the next one began is damage too, and a cut made by one start is
//! held to by all later ones. A trailing segment without a whole header was never used: a header is durable before
//! the first block behind it is written.
//!
//! What the rule cannot see: damage to the very last block of the last epoch looks like a torn tail. A snapshot, or
//! settled batches, of a later seq than [`Recovered::last_seq`] reveal it; who has them must compare.

use std::error::Error as StdError;
use std::fmt;

use thiserror::Error;

use super::format::{ALIGN, Defect, SegmentHeader, Verify, is_zero, segment_name, segment_number};
use super::reader::{Chain, RecordAt, Walk};
use super::storage::{Media, StorageError};

/// Why a caller refuses a record.
pub type VisitError = Box<dyn StdError + Send + Sync>;
/// What a caller does with each record.
pub type Visit<'a> = dyn FnMut(&RecordAt<'_>) -> Result<(), VisitError> + 'a;

/// Whose journal this must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The shard.
    pub shard: u16,
    /// The hash of the beats' definition; `None` takes any, for looking at a journal only.
    pub abi_hash: Option<[u8; 32]>,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// A file could not be read.
    #[error("cannot read the journal: {0}")]
    Storage(#[from] StorageError),
    /// Bytes that were written whole once, and are not now.
    #[error(
        "journal damaged: {file} at byte {offset}: {defect}; {proof}. Acknowledged records stood here, so nothing was \
         changed and nothing may be cut. Restore this file from a copy, or start from a snapshot on another disk; \
         `wirebook journal dump` shows what can still be read"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        defect: Defect,
        /// Why it cannot be a torn tail.
        proof: String,
    },
    /// A segment between others is not there.
    #[error("journal incomplete: {file} is missing between other segments. Restore it from a copy")]
    Missing {
        /// The file.
        file: String,
    },
    /// A whole journal, but not this gateway's.
    #[error(
        "{file} belongs elsewhere: {what}. Point the configuration at the right directory, or use the program that made it"
    )]
    Foreign {
        /// The file.
        file: String,
        /// What differs.
        what: String,
    },
    /// The caller refused a record.
    #[error("{file} at byte {offset}: record {seq:#018x} cannot be applied: {source}")]
    Refused {
        /// The file.
        file: String,
        /// Where the record stands, in bytes from the file's start.
        offset: u64,
        /// Its seq.
        seq: u64,
        /// The caller's reason.
        source: VisitError,
    },
}

/// Where a journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// There is nothing yet.
    Empty,
    /// The last block is followed by zeros only.
    Clean {
        /// The last segment used.
        segment: u64,
        /// Where its blocks end, in bytes.
        offset: u64,
    },
    /// The last block is followed by the remains of a write that was never acknowledged.
    Cut {
        /// The last segment used.
        segment: u64,
        /// Where its blocks end, in bytes.
        offset: u64,
        /// Why what follows is no block.
        defect: Defect,
    },
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tail::Empty => write!(f, "empty journal"),
            Tail::Clean { segment, offset } => write!(
                f,
                "clean end in {} at byte {offset}",
                segment_name(*segment)
            ),
            Tail::Cut {
                segment,
                offset,
                defect,
            } => write!(
                f,
                "torn tail cut in {} at byte {offset}: {defect}; it was never acknowledged",
                segment_name(*segment)
            ),
        }
    }
}

/// One segment that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub segment: u64,
    /// Its epoch.
    pub epoch: u16,
    /// The seq of its last record, or of the last one before it when it holds none.
    pub last_seq: u64,
    /// How many records it holds.
    pub records: u64,
}

/// The piece of file that the last life wrote last: at most this is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite {
    /// The segment.
    pub segment: u64,
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// How long, in bytes.
    pub len: u64,
}

/// What a journal holds, all of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The last epoch opened, 0 for none; it may hold no record.
    pub last_epoch: u16,
    /// The seq of the last record, 0 for none.
    pub last_seq: u64,
    /// How many records were read.
    pub records: u64,
    /// How many blocks the journal has had, removed segments included: the next one's number.
    pub blocks: u64,
    /// The hash of the last block, zeros for none.
    pub last_hash: [u8; 32],
    /// The last seq before the first segment, 0 unless segments were removed: a snapshot must reach it.
    pub base_seq: u64,
    /// The segments in use, in order.
    pub segments: Vec<SegmentInfo>,
    /// Files that a writer may remove: segments made ahead and never used, or never finished.
    pub leftovers: Vec<String>,
    /// Where it ends.
    pub tail: Tail,
    /// The life of the last segment.
    pub last_life: u64,
    /// What may not be durable yet.
    pub last_write: Option<LastWrite>,
}

/// The suffix of a segment that is being made.
pub const UNFINISHED: &str = ".new";

/// Reads every segment in order and gives each record to `visit`. Verifies everything; writes nothing.
pub fn recover<M: Media>(
    media: &mut M,
    expect: &Expect,
    visit: &mut Visit<'_>,
) -> Result<Recovered, RecoverError> {
    recover_with(media, expect, Verify::Full, visit)
}

/// [`recover`], with the choice to plant a bug.
pub(crate) fn recover_with<M: Media>(
    media: &mut M,
    expect: &Expect,
    verify: Verify,
    visit: &mut Visit<'_>,
) -> Result<Recovered, RecoverError> {
    let mut recovery = Recovery {
        expect,
        verify,
        end: None,
        out: Recovered {
            last_epoch: 0,
            last_seq: 0,
            records: 0,
            blocks: 0,
            last_hash: [0; 32],
            base_seq: 0,
            segments: Vec::new(),
            leftovers: Vec::new(),
            tail: Tail::Empty,
            last_life: 0,
            last_write: None,
        },
    };
    let files = media.list()?;
    recovery.out.leftovers = files
        .iter()
        .filter(|f| f.name.strip_suffix(UNFINISHED).is_some_and(is_segment))
        .map(|f| f.name.clone())
        .collect();
    let mut segments: Vec<u64> = files
        .iter()
        .filter_map(|f| segment_number(&f.name))
        .collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        if pair[1] != pair[0] + 1 {
            return Err(RecoverError::Missing {
                file: media.locate(&segment_name(pair[0] + 1)),
            });
        }
    }
    let mut image = Vec::new();
    let mut unused: Option<u64> = None;
    for segment in segments {
        let name = segment_name(segment);
        media.read(&name, &mut image)?;
        let file = media.locate(&name);
        match SegmentHeader::decode(&image) {
            Err(Defect::Version { found }) => {
                return Err(RecoverError::Foreign {
                    file,
                    what: format!("its format version is {found}"),
                });
            }
            Err(defect) => {
                // A file gets its name only when it is whole and all zeros, and its header is durable before anything
                // else is written: so a segment without a header is that, or it is damaged.
                let truncated = matches!(defect, Defect::Length { .. });
                if truncated || !is_zero(&image[ALIGN..]) {
                    let proof = if truncated {
                        "segments have their whole length from the start"
                    } else {
                        "other bytes of the file are written, so it was in use"
                    };
                    let proof = proof.to_owned();
                    return Err(RecoverError::Damaged {
                        file,
                        offset: 0,
                        defect,
                        proof,
                    });
                }
                unused.get_or_insert(segment);
                recovery.out.leftovers.push(name);
            }
            Ok(header) => {
                if let Some(hole) = unused {
                    return Err(RecoverError::Damaged {
                        file: media.locate(&segment_name(hole)),
                        offset: 0,
                        defect: Defect::Zeros,
                        proof: format!("the later segment {name} is in use"),
                    });
                }
                recovery.segment(&header, segment, &image, media, visit)?;
            }
        }
    }
    Ok(recovery.out)
}

fn is_segment(name: &str) -> bool {
    segment_number(name).is_some()
}

/// How the last segment read so far ended.
struct End {
    chain: Chain,
    offset: u64,
    defect: Defect,
    clean: bool,
}

struct Recovery<'a> {
    expect: &'a Expect,
    verify: Verify,
    end: Option<End>,
    out: Recovered,
}

impl Recovery<'_> {
    fn segment<M: Media>(
        &mut self,
        header: &SegmentHeader,
        segment: u64,
        image: &[u8],
        media: &M,
        visit: &mut Visit<'_>,
    ) -> Result<(), RecoverError> {
        let file = media.locate(&segment_name(segment));
        self.belongs(header, segment, image.len() as u64, &file)?;
        self.continues(header, &file, media)?;

        let mut walk = Walk::new(image, header, self.verify);
        let mut records = 0;
        let mut last = LastWrite {
            segment,
            offset: 0,
            len: walk.offset(),
        };
        let defect = loop {
            let block = match walk.next_block() {
                Ok(block) => block,
                Err(defect) => break defect,
            };
            for record in block.records() {
                visit(&record).map_err(|source| RecoverError::Refused {
                    file: file.clone(),
                    offset: record.offset,
                    seq: record.seq,
                    source,
                })?;
                records += 1;
            }
            last = LastWrite {
                segment,
                offset: block.offset,
                len: block.header.len_on_disk() as u64,
            };
        };
        if let Some(later) = walk.later() {
            let proof = format!("a whole block of the same epoch stands at byte {later}");
            return Err(RecoverError::Damaged {
                file,
                offset: walk.offset(),
                defect,
                proof,
            });
        }

        let (chain, offset, clean) = (*walk.chain(), walk.offset(), walk.rest_is_zero());
        self.out.last_epoch = header.epoch;
        self.out.last_life = header.life;
        self.out.last_seq = chain.last_seq;
        self.out.last_hash = chain.hash;
        self.out.blocks = chain.next_block;
        self.out.records += records;
        self.out.last_write = Some(last);
        self.out.segments.push(SegmentInfo {
            segment,
            epoch: header.epoch,
            last_seq: chain.last_seq,
            records,
        });
        self.out.tail = if clean {
            Tail::Clean { segment, offset }
        } else {
            Tail::Cut {
                segment,
                offset,
                defect,
            }
        };
        self.end = Some(End {
            chain,
            offset,
            defect,
            clean,
        });
        Ok(())
    }

    /// Whether the file is a segment of this journal at all.
    fn belongs(
        &self,
        header: &SegmentHeader,
        segment: u64,
        len: u64,
        file: &str,
    ) -> Result<(), RecoverError> {
        let foreign = |what: String| {
            Err(RecoverError::Foreign {
                file: file.to_owned(),
                what,
            })
        };
        if header.segment != segment {
            return foreign(format!("its header says segment {}", header.segment));
        }
        if header.shard != self.expect.shard {
            return foreign(format!(
                "it is of shard {}, not {}",
                header.shard, self.expect.shard
            ));
        }
        if self
            .expect
            .abi_hash
            .is_some_and(|abi| abi != header.abi_hash)
        {
            return foreign("its beats are defined otherwise (the ABI hash differs)".to_owned());
        }
        if header.length != len {
            let (found, most) = (len, header.length);
            let defect = Defect::Length { found, most };
            let proof = format!("its header says {most} bytes");
            return Err(RecoverError::Damaged {
                file: file.to_owned(),
                offset: len.min(most),
                defect,
                proof,
            });
        }
        Ok(())
    }

    /// Whether a segment begins where the one before it ended.
    fn continues<M: Media>(
        &mut self,
        header: &SegmentHeader,
        file: &str,
        media: &M,
    ) -> Result<(), RecoverError> {
        let begin = Chain::of(header);
        let Some(end) = &self.end else {
            let first = header.segment == 1;
            if first && (begin.next_block, begin.last_seq, begin.hash) != (0, 0, [0; 32]) {
                let what = "the first segment continues another one".to_owned();
                return Err(RecoverError::Foreign {
                    file: file.to_owned(),
                    what,
                });
            }
            self.out.base_seq = begin.last_seq;
            return Ok(());
        };
        let before = media.locate(&segment_name(end.chain.segment));
        let same = (begin.next_block, begin.last_seq, begin.hash)
            == (end.chain.next_block, end.chain.last_seq, end.chain.hash);
        if !same {
            return Err(RecoverError::Damaged {
                file: before,
                offset: end.offset,
                defect: end.defect,
                proof: format!(
                    "segment {} continues block {} (seq {:#018x}), and the blocks here end before {} (seq {:#018x})",
                    header.segment,
                    begin.next_block,
                    begin.last_seq,
                    end.chain.next_block,
                    end.chain.last_seq
                ),
            });
        }
        let (epoch, life) = (end.chain.epoch, end.chain.life);
        if begin.epoch == epoch && begin.life == life {
            // The writer goes to the next segment only when the last write to this one has ended well.
            if !end.clean {
                let proof = format!("segment {} of the same epoch follows it", header.segment);
                return Err(RecoverError::Damaged {
                    file: before,
                    offset: end.offset,
                    defect: end.defect,
                    proof,
                });
            }
        } else if u32::from(begin.epoch) != u32::from(epoch) + 1 || begin.life == life {
            let (found, wanted) = (u64::from(begin.epoch), u64::from(epoch) + 1);
            let defect = Defect::Chain {
                field: "epoch",
                found,
                wanted,
            };
            let proof = "every start opens the next epoch".to_owned();
            return Err(RecoverError::Damaged {
                file: file.to_owned(),
                offset: 14,
                defect,
                proof,
            });
        }
        Ok(())
    }
}
