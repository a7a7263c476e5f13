//! Reads a piece of a journal, also while it is being written: what a replica beside the hot path has missed.
//!
//! The caller says up to which seq the journal is durable, and nothing behind that is looked at; so a block in flight
//! is never mistaken for damage. Segments that ended before the piece are not read. All that is read is verified as
//! [`recover`](super::recover()) does it.

use super::block::Verify;
use super::format::{ALIGN, Defect, segment_name, segment_number};
use super::reader::{Chain, Walk};
use super::recover::{Expect, Visit, belongs};
use super::recovered::RecoverError;
use super::segment::SegmentHeader;
use super::storage::Media;

/// Gives every record behind `after` (0: from the start) up to `upto`, which must be durable, to `visit`.
pub fn read_range<M: Media>(
    media: &mut M,
    expect: &Expect,
    after: u64,
    upto: u64,
    visit: &mut Visit<'_>,
) -> Result<(), RecoverError> {
    if after >= upto {
        return Ok(());
    }
    let mut segments: Vec<u64> = media.list()?.iter().filter_map(|file| segment_number(&file.name)).collect();
    segments.sort_unstable();
    let mut segment = first_segment(media, &segments, after)?;
    let (mut image, mut before) = (Vec::new(), None);
    loop {
        let name = segment_name(segment);
        let file = media.locate(&name);
        if !segments.contains(&segment) {
            return Err(RecoverError::Missing { file });
        }
        media.read(&name, &mut image)?;
        let damaged = |offset, defect| RecoverError::Damaged {
            file: file.clone(),
            offset,
            defect,
            proof: format!("the journal is durable up to seq {upto:#018x}"),
        };
        let header = SegmentHeader::decode(&image).map_err(|defect| damaged(0, defect))?;
        belongs(expect, &header, segment, image.len() as u64, &file)?;
        let begin = Chain::of(&header);
        let place = |chain: &Chain| (chain.next_block, chain.last_seq, chain.hash);
        if before.is_some_and(|end| place(&end) != place(&begin)) {
            return Err(damaged(0, Defect::PreviousHash));
        }
        let mut walk = Walk::new(&image, &header, Verify::Full);
        while walk.chain().last_seq < upto {
            let block = match walk.next_block() {
                Ok(block) => block,
                // The segment's end, if the next one says so.
                Err(_) if segments.last() > Some(&segment) => break,
                Err(defect) => return Err(damaged(walk.offset(), defect)),
            };
            for record in block.records().filter(|record| record.seq > after && record.seq <= upto) {
                visit(&record).map_err(|source| RecoverError::Refused {
                    file: file.clone(),
                    offset: record.offset,
                    seq: record.seq,
                    source,
                })?;
            }
        }
        if walk.chain().last_seq >= upto {
            return Ok(());
        }
        before = Some(*walk.chain());
        segment += 1;
    }
}

/// The last segment that begins at or before the first record wanted.
fn first_segment<M: Media>(media: &mut M, segments: &[u64], after: u64) -> Result<u64, RecoverError> {
    let mut head = Vec::new();
    for segment in segments.iter().rev() {
        media.head(&segment_name(*segment), ALIGN, &mut head)?;
        // One that is being made has no header yet; a damaged one shows when it is read.
        if SegmentHeader::decode(&head).is_ok_and(|header| header.last_seq <= after) {
            return Ok(*segment);
        }
    }
    let first = segments.first().copied().unwrap_or(1);
    Err(RecoverError::Missing { file: media.locate(&segment_name(first.saturating_sub(1).max(1))) })
}
