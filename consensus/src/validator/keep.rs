//! The vault as the engine's shelf: what a validator votes, and what it was told of blocks and certificates, over one log.

use std::ops::RangeInclusive;

use wirebook_engine::shelf::{Done, Shelf, ShelfBlob, ShelfError};

use crate::vault::{OpenBlob, Vault, VaultError};

impl From<VaultError> for ShelfError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoPartition(_) => Self::NoPartition,
            VaultError::NoBlob(_) => Self::NoBlob,
            VaultError::Open(_) => Self::Open,
            VaultError::Version(version) => Self::Version(version),
            VaultError::Short => Self::Short,
            VaultError::Failed(_) | VaultError::Damaged { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl Shelf for Vault {
    fn open(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<u16>,
    ) -> Result<(Box<dyn ShelfBlob>, u64, u16), ShelfError> {
        let (blob, length, version) = self.blob(partition, name, versions)?;
        Ok((Box::new(blob), length, version))
    }

    fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), ShelfError> {
        Ok(Self::remove(self, partition, name).map(drop)?)
    }

    fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, ShelfError> {
        Ok(Self::scan(self, partition)?)
    }
}

impl ShelfBlob for OpenBlob {
    fn read(&self, offset: u64, length: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ShelfError> {
        Ok(Self::read(self, offset, length, take)?)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> u64 {
        Self::write(self, offset, bytes)
    }

    fn resize(&self, length: u64) -> u64 {
        Self::resize(self, length)
    }

    fn mark(&self) -> u64 {
        Self::mark(self)
    }

    fn when_durable(&self, mark: u64, urgent: bool, done: Done) {
        Self::when_durable(self, mark, urgent, done);
    }
}
