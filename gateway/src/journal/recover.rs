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

use super::block::Verify;
use super::format::{ALIGN, Defect, is_zero, segment_name, segment_number};
use super::reader::{Chain, RecordAt, Walk};
use super::recovered::{LastWrite, RecoverError, Recovered, SegmentInfo, Tail, VisitError};
use super::segment::SegmentHeader;
use super::storage::Media;

/// What a caller does with each record.
pub type Visit<'a> = dyn FnMut(&RecordAt<'_>) -> Result<(), VisitError> + 'a;

/// Whose journal this must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The shard; `None` takes any, for looking at a journal only.
    pub shard: Option<u16>,
    /// The hash of the beats' definition; `None` takes any, for looking at a journal only.
    pub abi_hash: Option<[u8; 32]>,
}

/// The suffix of a segment that is being made.
pub const UNFINISHED: &str = ".new";

/// Reads every segment in order and gives each record to `visit`. Verifies everything; writes nothing.
pub fn recover<M: Media>(media: &mut M, expect: &Expect, visit: &mut Visit<'_>) -> Result<Recovered, RecoverError> {
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
    let mut segments: Vec<u64> = files.iter().filter_map(|f| segment_number(&f.name)).collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        if pair[1] != pair[0] + 1 {
            return Err(RecoverError::Missing { file: media.locate(&segment_name(pair[0] + 1)) });
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
                return Err(RecoverError::Foreign { file, what: format!("its format version is {found}") });
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
                    return Err(RecoverError::Damaged { file, offset: 0, defect, proof });
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
        belongs(self.expect, header, segment, image.len() as u64, &file)?;
        self.continues(header, &file, media)?;

        let mut walk = Walk::new(image, header, self.verify);
        let mut records = 0;
        let mut last = LastWrite { segment, offset: 0, len: walk.offset() };
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
            last = LastWrite { segment, offset: block.offset, len: block.header.len_on_disk() as u64 };
        };
        if let Some(later) = walk.later() {
            let proof = format!("a whole block of the same epoch stands at byte {later}");
            return Err(RecoverError::Damaged { file, offset: walk.offset(), defect, proof });
        }

        let (chain, offset, clean) = (*walk.chain(), walk.offset(), walk.rest_is_zero());
        self.out.last_epoch = header.epoch;
        self.out.last_life = header.life;
        self.out.last_seq = chain.last_seq;
        self.out.last_hash = chain.hash;
        self.out.blocks = chain.next_block;
        self.out.records += records;
        self.out.last_write = Some(last);
        self.out.segments.push(SegmentInfo { segment, epoch: header.epoch, last_seq: chain.last_seq, records });
        self.out.tail = if clean { Tail::Clean { segment, offset } } else { Tail::Cut { segment, offset, defect } };
        self.end = Some(End { chain, offset, defect, clean });
        Ok(())
    }

    /// Whether a segment begins where the one before it ended.
    fn continues<M: Media>(&mut self, header: &SegmentHeader, file: &str, media: &M) -> Result<(), RecoverError> {
        let begin = Chain::of(header);
        let Some(end) = &self.end else {
            let first = header.segment == 1;
            if first && (begin.next_block, begin.last_seq, begin.hash) != (0, 0, [0; 32]) {
                let what = "the first segment continues another one".to_owned();
                return Err(RecoverError::Foreign { file: file.to_owned(), what });
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
                    header.segment, begin.next_block, begin.last_seq, end.chain.next_block, end.chain.last_seq
                ),
            });
        }
        let (epoch, life) = (end.chain.epoch, end.chain.life);
        if begin.epoch == epoch && begin.life == life {
            // The writer goes to the next segment only when the last write to this one has ended well.
            if !end.clean {
                let proof = format!("segment {} of the same epoch follows it", header.segment);
                return Err(RecoverError::Damaged { file: before, offset: end.offset, defect: end.defect, proof });
            }
        } else if u32::from(begin.epoch) != u32::from(epoch) + 1 || begin.life == life {
            let (found, wanted) = (u64::from(begin.epoch), u64::from(epoch) + 1);
            let defect = Defect::Chain { field: "epoch", found, wanted };
            let proof = "every start opens the next epoch".to_owned();
            return Err(RecoverError::Damaged { file: file.to_owned(), offset: 14, defect, proof });
        }
        Ok(())
    }
}

/// Whether the file is a segment of this journal at all.
pub(super) fn belongs(
    expect: &Expect,
    header: &SegmentHeader,
    segment: u64,
    len: u64,
    file: &str,
) -> Result<(), RecoverError> {
    let foreign = |what: String| Err(RecoverError::Foreign { file: file.to_owned(), what });
    if header.segment != segment {
        return foreign(format!("its header says segment {}", header.segment));
    }
    if let Some(shard) = expect.shard
        && header.shard != shard
    {
        return foreign(format!("it is of shard {}, not {shard}", header.shard));
    }
    if expect.abi_hash.is_some_and(|abi| abi != header.abi_hash) {
        return foreign("its beats are defined otherwise (the ABI hash differs)".to_owned());
    }
    if header.length != len {
        let (found, most) = (len, header.length);
        let defect = Defect::Length { found, most };
        let proof = format!("its header says {most} bytes");
        return Err(RecoverError::Damaged { file: file.to_owned(), offset: len.min(most), defect, proof });
    }
    Ok(())
}
