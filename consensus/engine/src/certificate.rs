//! Certificates: a quorum's signatures over a block's digest, kept for a while, and checked by whoever has the validators' keys.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use commonware_actor::Feedback;
use commonware_codec::{Decode, DecodeExt, Encode};
use commonware_consensus::Reporter;
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::simplex::types::{Activity, Attributable, Finalization};
use commonware_cryptography::blake3::Digest;
use commonware_cryptography::certificate::Verifier as _;
use commonware_cryptography::ed25519::PublicKey;
use commonware_parallel::Sequential;
use commonware_utils::ordered::Set;
use commonware_utils::sys_rng;

use crate::agreement::Agreement;

/// Blocks whose numbers and certificates are remembered. The engine keeps only a few unsettled.
const REMEMBERED: usize = 256;

/// What is remembered of blocks that are not settled yet.
#[derive(Clone)]
pub(crate) struct Certificates {
    agreement: Arc<dyn Agreement>,
    participants: Set<PublicKey>,
    blocks: Arc<Mutex<VecDeque<Remembered>>>,
}

struct Remembered {
    digest: Digest,
    /// Number of the body that it carries, once it was seen.
    number: Option<u64>,
    certificate: Option<Bytes>,
}

impl Certificates {
    pub(crate) fn new(agreement: Arc<dyn Agreement>, participants: Set<PublicKey>) -> Self {
        Self { agreement, participants, blocks: Arc::default() }
    }

    fn witnessed(&self, votes: &impl Attributable, what: &'static str) {
        if let Some(key) = self.participants.get(votes.signer().into()) {
            self.agreement.witnessed(key.encode().as_ref().try_into().expect("a public key has 32 bytes"), what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered of a block; answers its number and whether it is certified.
    fn change(&self, digest: Digest, change: impl FnOnce(&mut Remembered)) -> Option<u64> {
        let mut blocks = self.lock();
        if !blocks.iter().any(|block| block.digest == digest) {
            if blocks.len() >= REMEMBERED {
                blocks.pop_front();
            }
            blocks.push_back(Remembered { digest, number: None, certificate: None });
        }
        let block = blocks.iter_mut().find(|block| block.digest == digest).expect("pushed if it was missing");
        change(block);
        block.number.filter(|_| block.certificate.is_some())
    }

    /// A block that carries the body with this number.
    pub(crate) fn seen(&self, digest: Digest, number: u64) {
        self.change(digest, |block| block.number = Some(number));
    }

    /// The certificate of a block that is settled now, if it has one of its own.
    pub(crate) fn take(&self, digest: &Digest) -> Option<Bytes> {
        let mut blocks = self.lock();
        let at = blocks.iter().position(|block| block.digest == *digest)?;
        blocks.remove(at).and_then(|block| block.certificate)
    }
}

impl Reporter for Certificates {
    type Activity = Activity<Scheme, Digest>;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match activity {
            Activity::Finalization(finalization) => {
                let digest = finalization.proposal.payload;
                if let Some(number) = self.change(digest, |block| block.certificate = Some(finalization.encode())) {
                    self.agreement.certified(number);
                }
            }
            Activity::ConflictingNotarize(votes) => self.witnessed(&votes, "two notarizations in one view"),
            Activity::ConflictingFinalize(votes) => self.witnessed(&votes, "two finalizations in one view"),
            Activity::NullifyFinalize(votes) => {
                self.witnessed(&votes, "a nullification and a finalization of one view")
            }
            _ => {}
        }
        Feedback::Ok
    }
}

/// Whether `certificate` holds a quorum's signatures over the block with this digest, made for `namespace` by the validators with these
/// keys.
pub fn verify(namespace: &str, validators: &[[u8; 32]], digest: &[u8; 32], certificate: &[u8]) -> bool {
    let keys: Option<Vec<PublicKey>> =
        validators.iter().map(|key| PublicKey::decode(Bytes::copy_from_slice(key)).ok()).collect();
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return false };
    let scheme = Scheme::verifier(namespace.as_bytes(), Set::from_iter_dedup(keys));
    let bytes = Bytes::copy_from_slice(certificate);
    match Finalization::<Scheme, Digest>::decode_cfg(bytes, &scheme.certificate_codec_config()) {
        Ok(finalization) => {
            finalization.proposal.payload.as_ref() == digest
                && finalization.verify(&mut sys_rng(), &scheme, &Sequential)
        }
        Err(_) => false,
    }
}
