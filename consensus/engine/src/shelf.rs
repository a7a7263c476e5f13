//! Where the engine keeps its votes, blocks and certificates, as a trait of ours: blobs in partitions, and waits for durability.
//!
//! What is done to blobs takes effect at once, in memory; each change has a *mark*, and whoever has waited for a mark finds everything up
//! to it after a crash. Marks grow.

use std::ops::RangeInclusive;

use commonware_runtime::{BlobVersion, BufMut, Error, Handle, IoBufMut, IoBufs, IoBufsMut, ReadOptions, WriteOptions};
use commonware_utils::channel::oneshot;

/// Told whether what it waits for is durable, or why it will not be.
pub type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Why a shelf does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShelfError {
    /// There is no such partition.
    NoPartition,
    /// There is no such blob.
    NoBlob,
    /// Somebody has the blob open.
    Open,
    /// The blob is of this version.
    Version(u16),
    /// The blob ends before what is to be read.
    Short,
    /// It does not work any more.
    Failed(String),
}

/// Partitions of named blobs.
pub trait Shelf: Send + Sync + 'static {
    /// Opens a blob, or makes it with the last of these versions; answers its length and version too.
    ///
    /// # Errors
    /// Any [`ShelfError`]; so for all of these.
    fn open(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<u16>,
    ) -> Result<(Box<dyn ShelfBlob>, u64, u16), ShelfError>;

    /// Removes a blob, or a partition with all of its blobs. Who has one open reads on.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), ShelfError>;

    /// Names of a partition's blobs, sorted.
    ///
    /// # Errors
    /// As above.
    fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, ShelfError>;
}

/// An open blob.
pub trait ShelfBlob: Send + Sync + 'static {
    /// Shows `take` exactly `length` bytes.
    ///
    /// # Errors
    /// [`ShelfError::Short`].
    fn read(&self, offset: u64, length: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ShelfError>;

    /// Writes; answers the mark.
    fn write(&self, offset: u64, bytes: &[u8]) -> u64;

    /// Cuts, or fills with zeros; answers the mark.
    fn resize(&self, length: u64) -> u64;

    /// The mark of the last change.
    fn mark(&self) -> u64;

    /// Tells `done` once everything up to `mark` is durable. What is not urgent may wait a little for what is.
    fn when_durable(&self, mark: u64, urgent: bool, done: Done);
}

/// Partitions whose syncs nobody waits for on the way to a certificate.
const LAZY: [&str; 3] = ["verified", "blocks-", "finalizations-"];

/// A blob as the engine sees it.
pub struct Blob {
    blob: Box<dyn ShelfBlob>,
    urgent: bool,
}

fn failed(why: String) -> Error {
    std::io::Error::other(why).into()
}

fn explain(error: ShelfError, partition: &str, name: &[u8]) -> Error {
    let (partition, blob) = (partition.to_owned(), name.escape_ascii().to_string());
    match error {
        ShelfError::NoPartition => Error::PartitionMissing(partition),
        ShelfError::NoBlob => Error::BlobMissing(partition, blob),
        ShelfError::Open => Error::BlobAlreadyOpen(partition, blob),
        ShelfError::Version(version) => Error::BlobCorrupt(partition, blob, format!("it is of version {version}")),
        ShelfError::Short => Error::BlobInsufficientLength,
        ShelfError::Failed(why) => failed(why),
    }
}

fn check_partition(partition: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if partition.is_empty() || !partition.bytes().all(allowed) {
        return Err(Error::PartitionNameInvalid(partition.to_owned()));
    }
    Ok(())
}

/// [`commonware_runtime::Storage::open_versioned`].
pub(crate) fn open(
    shelf: &dyn Shelf,
    partition: &str,
    name: &[u8],
    versions: RangeInclusive<BlobVersion>,
) -> Result<(Blob, u64, BlobVersion), Error> {
    check_partition(partition)?;
    let (blob, length, version) = shelf
        .open(partition, name, versions.start().get()..=versions.end().get())
        .map_err(|error| explain(error, partition, name))?;
    let urgent = !LAZY.iter().any(|lazy| partition.contains(lazy));
    Ok((Blob { blob, urgent }, length, BlobVersion::new(version)))
}

/// [`commonware_runtime::Storage::remove`]. It is durable with whatever is next waited for: what is durable is a prefix of all changes, so
/// a blob that is there again after a crash is there as it was when it was removed.
pub(crate) fn remove(shelf: &dyn Shelf, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
    check_partition(partition)?;
    shelf.remove(partition, name).map_err(|error| explain(error, partition, name.unwrap_or_default()))
}

/// [`commonware_runtime::Storage::scan`].
pub(crate) fn scan(shelf: &dyn Shelf, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
    check_partition(partition)?;
    shelf.scan(partition).map_err(|error| explain(error, partition, &[]))
}

impl Blob {
    fn wait(&self, mark: u64, urgent: bool) -> Handle<()> {
        let (sender, receiver) = oneshot::channel();
        let told = move |result: Result<(), String>| {
            // Nobody may wait any more.
            let _ = sender.send(result.map_err(failed));
        };
        self.blob.when_durable(mark, urgent, Box::new(told));
        Handle::from_receiver(receiver)
    }
}

impl commonware_runtime::Blob for Blob {
    async fn read_at(&self, offset: u64, len: usize, options: ReadOptions) -> Result<IoBufsMut, Error> {
        self.read_at_buf(offset, len, IoBufMut::with_capacity(len), options).await
    }

    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let mut bufs = bufs.into();
        let mut fits = true;
        let mut take = |bytes: &[u8]| {
            if let Some(single) = bufs.as_single_mut() {
                single.clear();
                single.put_slice(bytes);
            } else if bufs.is_empty() {
                bufs.put_slice(bytes);
            } else if bufs.len() == bytes.len() {
                bufs.copy_from_slice(bytes);
            } else {
                fits = false;
            }
        };
        self.blob.read(offset, len, &mut take).map_err(|error| explain(error, "", &[]))?;
        if fits { Ok(bufs) } else { Err(Error::ReadFailed) }
    }

    async fn write_at(&self, offset: u64, bufs: impl Into<IoBufs> + Send, options: WriteOptions) -> Result<(), Error> {
        let bytes = bufs.into().coalesce();
        let bytes: &[u8] = bytes.as_ref();
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| usize::try_from(end).is_err()) {
            return Err(Error::OffsetOverflow);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let mark = self.blob.write(offset, bytes);
        if options.contains(WriteOptions::SYNC) { self.wait(mark, true).await } else { Ok(()) }
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        self.blob.resize(len);
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        self.wait(self.blob.mark(), true).await
    }

    async fn start_sync(&self) -> Handle<()> {
        self.wait(self.blob.mark(), self.urgent)
    }
}
