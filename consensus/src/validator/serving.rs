//! A validator with its ports: what `wirebook validator` runs.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;

use super::embedded::{Config, EmbeddedValidator, Handle, StartError};
use super::executor::Executor;
use super::inbox::OfferError;
use super::metrics::Port;
use super::service::{Identity, Node, Service};
use super::status::{Fault, Finalized, WaitError};
use super::wire::Answer;
use crate::batch::Batch;
use crate::proof::block::Note;

/// A running validator with its ports. Dropping it stops it.
pub struct Serving {
    handle: Arc<Handle>,
    service: Option<Service>,
    metrics: Option<Port>,
}

impl Serving {
    /// Starts a validator, and serves the gateway and readers at `serve`, and Prometheus at `metrics`.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub fn start(
        config: Config,
        executor: impl Executor,
        serve: SocketAddr,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, StartError> {
        let (dir, shard, gateway) = (config.dir.clone(), config.shard, config.gateway);
        let handle = Arc::new(EmbeddedValidator::start(config, executor)?);
        let path = dir.join("validator.key");
        let failed = |path| move |source| StartError::Directory { path, source };
        let key = signing_key(&fs::read(&path).map_err(failed(path.clone()))?, &handle);
        let key = key.map_err(failed(path))?;
        let port = |address: SocketAddr, source| StartError::Port { address, source };
        let service = Service::start(serve, Identity { shard, gateway, key }, handle.clone())
            .map_err(|source| port(serve, source))?;
        let metrics = metrics
            .map(|address| {
                let handle = handle.clone();
                Port::start(address, Box::new(move || handle.metrics())).map_err(|source| port(address, source))
            })
            .transpose()?;
        Ok(Self { handle, service: Some(service), metrics })
    }

    /// The validator.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where the gateway and readers are served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.service.as_ref().map(Service::address)
    }

    /// Stops it, and says how far it got.
    ///
    /// # Errors
    /// The fault that had stopped it before.
    pub fn shutdown(mut self) -> Result<Finalized, Box<Fault>> {
        self.stop();
        match self.handle.fault() {
            Some(fault) => Err(Box::new(fault)),
            None => Ok(self.handle.finalized()),
        }
    }

    fn stop(&mut self) {
        drop(self.service.take());
        drop(self.metrics.take());
        self.handle.stop();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The validator's key as tips are signed with it.
fn signing_key(bytes: &[u8], handle: &Handle) -> io::Result<SigningKey> {
    let secret = bytes.try_into().map(|secret: &[u8; 32]| SigningKey::from_bytes(secret)).ok();
    secret
        .filter(|key| key.verifying_key().to_bytes() == handle.public_key())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the key is of another kind than is known here"))
}

impl Node for Handle {
    fn offer(&self, batch: Batch) -> Result<(), OfferError> {
        Self::offer(self, batch)
    }

    fn finalized(&self) -> Finalized {
        Self::finalized(self)
    }

    fn wait(&self, height: u64, timeout: Duration) -> Result<Finalized, WaitError> {
        self.wait_finalized(height, timeout)
    }

    fn batch(&self, number: u64) -> Result<Batch, String> {
        Self::batch(self, number).map_err(|error| error.to_string())
    }

    fn certified(&self) -> Option<Answer> {
        let certified = Self::certified(self)?;
        let super::embedded::Certified { number, height, parent, digest, certificate } = certified;
        Some(Answer::Certified(number, height, parent, digest, certificate))
    }

    fn read(&self, account: u32, asset: u16, note: Option<Note>, patience: Duration) -> Result<Vec<u8>, String> {
        Self::read(self, account, asset, note, patience).map(|proof| proof.encode())
    }

    fn anchor(&self) -> Result<Vec<u8>, String> {
        Self::anchor(self).map(|anchor| anchor.encode())
    }

    fn snapshot(&self, number: u64, offset: u64) -> Result<(u64, u64, Vec<u8>), String> {
        Self::snapshot_piece(self, number, offset).map_err(|error| error.to_string())
    }

    fn timings(&self) -> Vec<(u64, u32)> {
        Self::timings(self)
    }

    fn fault(&self) -> Option<String> {
        Self::fault(self).map(|fault| fault.to_string())
    }

    fn metrics(&self) -> String {
        Self::metrics(self)
    }
}
