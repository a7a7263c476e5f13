//! What a snapshot of the venue holds: machine, order entry, streams, and the batch that it ends with.
//!
//! Sixteen bytes of prefix (magic, versions), then rkyv's archive of [`VenueImage`]. The prefix stands outside the archive,
//! because an archive of another version need not open at all. The archive is validated before anything in it is read, and
//! then each part is entered anew through its own room's rules. Parts that are sound each may still not belong together:
//! they must name the same last record, and the machine's root must be the batch's.
//!
//! An image is made right behind a seal, so that settlement too can go on from it: the next batch begins with the next
//! record, and continues [`Sealed`].

use rkyv::rancor::Error as ArchiveError;
use rkyv::util::AlignedVec;
use wirebook_matcher::Twin;
use wirebook_settlement::batch::Digest32;
use wirebook_settlement::machine::{IMAGE_VERSION, ImageError as MachineError, Machine, MachineImage};

use super::{Replay, Sizes};
use crate::entry::{Entry, ImageError as PartError};
use crate::publish::Publisher;

/// Version of the archive; another is refused.
pub const VENUE_IMAGE_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"WBVENUE\n";
/// Bytes before the archive: a multiple of the archive's alignment.
const PREFIX: usize = 16;

/// The last batch of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Sealed {
    /// Its number; 0: none yet.
    pub number: u64,
    /// Its digest: the next batch names it.
    pub digest: Digest32,
    /// Root after it.
    pub root: Digest32,
}

/// The archive.
#[derive(rkyv::Archive, rkyv::Serialize)]
struct VenueImage {
    sealed: Sealed,
    machine: MachineImage,
    entry: Vec<u8>,
    publisher: Vec<u8>,
}

/// Why there is no image, or why one cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VenueImageError {
    /// The prefix is not an image's, or another version's.
    #[error("it holds no state that this program reads: {0}")]
    Version(String),
    /// The archive does not validate.
    #[error("its archive does not validate: {0}")]
    Archive(ArchiveError),
    /// The machine's part does not hold together.
    #[error("its machine: {0}")]
    Machine(#[from] MachineError),
    /// Order entry's part, or the publisher's, does not hold together.
    #[error("its {0}")]
    Part(#[from] PartError),
    /// The parts do not belong together.
    #[error("its parts do not belong together: {0}")]
    Parts(String),
}

impl<T: Twin> Replay<T> {
    /// Everything, as a snapshot's payload. `sealed` is the batch that ends with the last record.
    ///
    /// # Errors
    /// When the last record is not that batch's seal, or memory runs out.
    pub fn image(&self, sealed: &Sealed) -> Result<AlignedVec, VenueImageError> {
        let run = self.machine.books.seal();
        if run.records != 0 || run.number != sealed.number {
            let what = format!("{} records stand behind batch {}, not {}", run.records, run.number, sealed.number);
            return Err(VenueImageError::Parts(what));
        }
        let entry =
            self.entry.image().ok_or_else(|| VenueImageError::Parts("order entry waits for events".to_owned()))?;
        let image =
            VenueImage { sealed: *sealed, machine: self.machine.image(), entry, publisher: self.publisher.image() };
        let mut bytes = AlignedVec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VENUE_IMAGE_VERSION.to_le_bytes());
        bytes.extend_from_slice(&IMAGE_VERSION.to_le_bytes());
        rkyv::api::high::to_bytes_in(&image, bytes).map_err(VenueImageError::Archive)
    }

    /// The state that a payload was made of, and its batch. `bytes` is aligned to 16, as a snapshot's payload is.
    ///
    /// # Errors
    /// Says what in it does not hold together.
    pub fn from_image(bytes: &[u8], sizes: Sizes) -> Result<(Self, Sealed), VenueImageError> {
        let image = access(bytes)?;
        let deserialized = rkyv::deserialize::<MachineImage, ArchiveError>(&image.machine);
        let machine = Machine::<T>::from_image(&deserialized.map_err(VenueImageError::Archive)?)?;
        let sealed = rkyv::deserialize::<Sealed, ArchiveError>(&image.sealed).map_err(VenueImageError::Archive)?;
        let entry = Entry::restore(&image.entry, sizes.slots, sizes.max_qty)?;
        let publisher = Publisher::restore(&image.publisher, sizes.slots)?;
        let parts = |what: String| Err(VenueImageError::Parts(what));
        let (run, seq) = (machine.books.seal(), machine.last_seq());
        if machine.books.shard() != sizes.shard {
            return parts(format!("the machine is of shard {}, not {}", machine.books.shard(), sizes.shard));
        }
        if run.records != 0 || run.number != sealed.number {
            return parts(format!("the machine ends with batch {}, not {}", run.number, sealed.number));
        }
        if machine.root() != sealed.root {
            return parts(format!("the root after batch {} is another", sealed.number));
        }
        if entry.last_seq() != seq || entry.live() != machine.books.live() {
            return parts(format!(
                "order entry ends with record {:#018x}, the machine with {seq:#018x}",
                entry.last_seq()
            ));
        }
        if publisher.streams().released_seq() != seq {
            let found = publisher.streams().released_seq();
            return parts(format!("the streams end with record {found:#018x}, the machine with {seq:#018x}"));
        }
        Ok((Self { machine, entry, publisher }, sealed))
    }
}

fn access(bytes: &[u8]) -> Result<&ArchivedVenueImage, VenueImageError> {
    let version = |what: String| Err(VenueImageError::Version(what));
    let Some((prefix, archive)) = bytes.split_at_checked(PREFIX) else {
        return version(format!("{} bytes", bytes.len()));
    };
    if prefix[..8] != MAGIC {
        return version("it begins otherwise".to_owned());
    }
    let found = prefix[8..].as_chunks::<4>().0;
    let (venue, machine) = (u32::from_le_bytes(found[0]), u32::from_le_bytes(found[1]));
    if (venue, machine) != (VENUE_IMAGE_VERSION, IMAGE_VERSION) {
        return version(format!("version {venue}.{machine}, not {VENUE_IMAGE_VERSION}.{IMAGE_VERSION}"));
    }
    rkyv::access::<ArchivedVenueImage, ArchiveError>(archive).map_err(VenueImageError::Archive)
}
