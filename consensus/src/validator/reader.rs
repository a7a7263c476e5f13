//! A reader's end: asks a validator, and believes nothing of its answer but what a quorum of the committee has signed.
//!
//! What a reader must know beforehand is the committee: the shard, and each member's public key. Whom he asks, over which connection, and
//! who listens or changes bytes on the way does not matter to what he believes; it matters to whether he gets an answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wirebook_engine::certificate;

use crate::batch::Digest32;
use crate::ledger::Balance;
use crate::proof::ProofError;
use crate::proof::anchor::{Anchor, Anchored};
use crate::proof::settled::{Question, Settled, SettledProof};

use super::client::Client;
use super::embedded::namespace;
use super::wire::{Answer, Request};

/// Why a read has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection failed, or who answers does not speak this protocol.
    #[error(transparent)]
    Away(#[from] io::Error),
    /// The validator says that it cannot answer.
    #[error("the validator does not answer: {0}")]
    No(String),
    /// The answer does not prove what it says: whoever gave it lies, or another committee was asked.
    #[error("the answer is refused: {0}")]
    Lie(#[from] ProofError),
}

/// A balance that a quorum has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the account has.
    pub balance: Balance,
    /// At which block and batch, and behind which barrier.
    pub at: Settled,
    /// The proof, for whoever wants to see it again.
    pub proof: Vec<u8>,
}

/// Whom a reader believes: a quorum of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The shard that they settle.
    pub shard: u16,
    /// Their public keys.
    pub keys: Vec<[u8; 32]>,
}

impl Trust {
    /// Whether a certificate holds a quorum's signatures over a block.
    pub fn certified(&self, digest: &Digest32, certificate: &[u8]) -> bool {
        certificate::verify(&namespace(self.shard), &self.keys, digest, certificate)
    }

    /// Checks an answer to a question.
    ///
    /// # Errors
    /// Why it does not prove what it says.
    pub fn check(&self, question: &Question, answer: Vec<u8>) -> Result<Reading, ProofError> {
        let proof = SettledProof::decode(&answer)?;
        let at = proof.verify(question, |digest, certificate| self.certified(digest, certificate))?;
        Ok(Reading { balance: proof.balance.balance, at, proof: answer })
    }

    /// Asks a validator, and checks its answer. The question is of this shard whatever it says.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&self, at: SocketAddr, question: &Question, patience: Duration) -> Result<Reading, ReadError> {
        let question = Question { shard: self.shard, ..*question };
        let mut client = Client::connect(at, self.shard, None)?;
        let Question { account, asset, note, .. } = question;
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let answer = asked(&mut client, &Request::Read { account, asset, note, millis })?;
        Ok(self.check(&question, answer)?)
    }

    /// The newest final batch that a validator can prove.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn newest(&self, client: &mut Client) -> Result<(Anchor, Anchored), ReadError> {
        let anchor = Anchor::decode(&asked(client, &Request::Anchor)?)?;
        let anchored = anchor.verify(|digest, certificate| self.certified(digest, certificate))?;
        if anchored.header.shard != self.shard {
            return Err(ProofError::OtherShard { found: anchored.header.shard }.into());
        }
        Ok((anchor, anchored))
    }
}

/// The bytes of a proof that is asked for.
fn asked(client: &mut Client, request: &Request<'_>) -> Result<Vec<u8>, ReadError> {
    match client.ask(request)? {
        Answer::Proof(bytes) => Ok(bytes),
        Answer::No(why) | Answer::Refused(why) => Err(ReadError::No(why)),
        _ => Err(io::Error::other("the validator's answer is of another kind than was asked for").into()),
    }
}

#[cfg(test)]
mod tests;
