//! Removes segments from a journal's front, once nobody needs them.
//!
//! A segment may go when its records are finalized, the session's day is over and a snapshot reaches beyond it: only
//! the caller knows. The last segment in use always stays, because the next start continues it; so a writer may run
//! meanwhile. Segments go oldest first and durably, so a crash in between leaves a journal that is only longer.

use std::fs::{self, File};
use std::path::Path;

use super::format::{ALIGN, segment_name, segment_number};
use super::segment::SegmentHeader;
use super::storage::{Dir, Media, StorageError};

/// Removes every segment that ended before `seq`, the last finalized one, and returns how many went. Blocks.
///
/// `seq` itself must be durable. The segment that holds it stays: a header is durable before the first block behind
/// it is written, so whatever begins where a removed segment ended is certain to be there after a power failure.
pub fn prune(dir: &Path, seq: u64) -> Result<u64, StorageError> {
    let mut media = Dir::new(dir);
    let mut segments: Vec<u64> = media.list()?.iter().filter_map(|file| segment_number(&file.name)).collect();
    segments.sort_unstable();
    let (mut removed, mut head) = (0, Vec::new());
    for pair in segments.windows(2) {
        // The next segment's header says where this one ended; without one this is the last in use.
        media.head(&segment_name(pair[1]), ALIGN, &mut head)?;
        let Ok(next) = SegmentHeader::decode(&head) else { break };
        if next.last_seq >= seq {
            break;
        }
        let name = segment_name(pair[0]);
        let gone = fs::remove_file(dir.join(&name)).and_then(|()| File::open(dir)?.sync_all());
        gone.map_err(|e| StorageError::io("remove", &media.locate(&name), &e))?;
        removed += 1;
    }
    Ok(removed)
}
