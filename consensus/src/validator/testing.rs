//! What the validator's tests share: a small state machine and a gateway that seals batches for it.

use std::collections::BTreeMap;

use crate::batch::{Batch, Digest32, GENESIS_DIGEST, Header, SEQ_COUNTER_BITS, SigningKey, VerifyingKey};

use super::executor::Executor;

/// The shard of all these tests.
pub(super) const SHARD: u16 = 2;

/// Bytes of a record here: an account and what is added to its balance.
pub(super) const RECORD_BYTES: usize = 9;

/// A ledger of 256 accounts: a record adds to one of them; none may fall below zero.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    height: u64,
    root: Digest32,
    balances: BTreeMap<u8, i64>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { height: 0, root: *blake3::hash(b"no accounts").as_bytes(), balances: BTreeMap::new() }
    }
}

impl Executor for Ledger {
    fn height(&self) -> u64 {
        self.height
    }

    fn root(&self) -> Digest32 {
        self.root
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        let (records, rest) = batch.records().as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(format!("{} bytes behind the last record", rest.len()));
        }
        for [account, amount @ ..] in records {
            let balance = self.balances.entry(*account).or_default();
            let amount = i64::from_le_bytes(*amount);
            *balance =
                balance.checked_add(amount).filter(|left| *left >= 0).ok_or(format!("account {account} cannot pay"))?;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.root);
        for (account, balance) in &self.balances {
            hasher.update(&[*account]).update(&balance.to_le_bytes());
        }
        self.root = hasher.finalize().into();
        self.height += 1;
        Ok(self.root)
    }
}

/// The planted bug: it executes, and then believes whatever root the batch claims.
#[derive(Clone, Debug)]
pub(super) struct Credulous(pub(super) Ledger);

impl Executor for Credulous {
    fn height(&self) -> u64 {
        self.0.height
    }

    fn root(&self) -> Digest32 {
        self.0.root
    }

    fn execute(&mut self, batch: &Batch) -> Result<Digest32, String> {
        self.0.execute(batch)?;
        self.0.root = batch.header().next_root;
        Ok(self.0.root)
    }
}

/// One record.
pub(super) fn record(account: u8, amount: i64) -> [u8; RECORD_BYTES] {
    let mut bytes = [account; RECORD_BYTES];
    bytes[1..].copy_from_slice(&amount.to_le_bytes());
    bytes
}

/// A gateway: seals batch after batch, each true unless a test bends it.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    key: SigningKey,
    pub(super) ledger: Ledger,
    pub(super) last: Header,
    last_digest: Digest32,
}

impl Gateway {
    pub(super) fn new() -> Self {
        let ledger = Ledger::new();
        let (root, none) = (ledger.root, GENESIS_DIGEST);
        let last = Header {
            shard: SHARD,
            number: 0,
            first_seq: 0,
            last_seq: 1 << SEQ_COUNTER_BITS,
            previous: none,
            events: none,
            previous_root: root,
            next_root: root,
        };
        Self { key: SigningKey::from_bytes(&[9; 32]), ledger, last, last_digest: none }
    }

    pub(super) fn public_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// What the next batch claims, if it holds these records, and these can be executed.
    pub(super) fn header(&self, records: &[u8]) -> Header {
        let mut header = Header {
            number: self.last.number + 1,
            first_seq: self.last.last_seq + 1,
            last_seq: self.last.last_seq + (records.len() / RECORD_BYTES).max(1) as u64,
            previous: self.last_digest,
            events: *blake3::hash(records).as_bytes(),
            previous_root: self.last.next_root,
            ..self.last
        };
        let trial = self.seal(header, records);
        if let Ok(root) = self.ledger.clone().execute(&trial) {
            header.next_root = root;
        }
        header
    }

    /// Signs these claims over these records, true or not.
    pub(super) fn seal(&self, header: Header, records: &[u8]) -> Batch {
        Batch::seal(header, records, &self.key).expect("a well-formed batch")
    }

    /// Seals the next batch and goes on from it.
    pub(super) fn next(&mut self, records: &[u8]) -> Batch {
        let batch = self.seal(self.header(records), records);
        self.ledger.execute(&batch).expect("the records can be executed");
        self.last = *batch.header();
        self.last_digest = *batch.digest();
        batch
    }

    /// The next batch, with some record of its own number.
    pub(super) fn next_plain(&mut self) -> Batch {
        let account = self.last.number as u8;
        self.next(&[record(account, 100), record(0, 1)].concat())
    }
}
