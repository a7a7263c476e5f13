//! Tests of the journal, and what they share: records whose bytes follow from their seq.

mod crash;
mod damage;
mod disk;
mod format;
mod snapshot;

use super::Seeded;
use super::format::{RECORD_HEADER, record_len};
use super::storage::{Media, Storage};
use super::{Expect, Journal, JournalConfig, RecoverError, Recovered, recover};

const SHARD: u16 = 3;
const ABI: [u8; 32] = [7; 32];
const EXPECT: Expect = Expect { shard: Some(SHARD), abi_hash: Some(ABI) };

/// A record of `payload` bytes that follow from `seq` and `salt`.
fn record(seq: u64, payload: usize, salt: u64) -> Vec<u8> {
    let mut bytes = vec![0; record_len(payload)];
    bytes[0..8].copy_from_slice(&seq.to_le_bytes());
    bytes[8..16].copy_from_slice(&(seq ^ salt).to_le_bytes());
    bytes[20..24].copy_from_slice(&(payload as u32).to_le_bytes());
    bytes[24..26].copy_from_slice(&SHARD.to_le_bytes());
    bytes[26] = 2;
    bytes[27] = 1;
    let mut random = Seeded::new(seq ^ salt);
    for byte in &mut bytes[RECORD_HEADER..RECORD_HEADER + payload] {
        *byte = random.below(256) as u8;
    }
    bytes
}

/// Small segments and blocks, so that short tests roll over many.
fn config(life: u64) -> JournalConfig {
    JournalConfig { segment_len: 8 * 4096, max_block: 2 * 4096, life, ..JournalConfig::new(SHARD, ABI) }
}

/// Everything a journal holds.
fn read_all<M: Media>(media: &mut M) -> Result<(Recovered, Vec<Vec<u8>>), RecoverError> {
    let mut records = Vec::new();
    let recovered = recover(media, &EXPECT, &mut |record| {
        records.push(record.bytes.to_vec());
        Ok(())
    })?;
    assert_eq!(recovered.records, records.len() as u64);
    Ok((recovered, records))
}

/// Starts a life over what `storage` holds.
fn start<S: Storage>(mut storage: S, life: u64) -> Journal<S> {
    let (recovered, _) = read_all(&mut storage).expect("a sound journal");
    Journal::start(storage, config(life), &recovered).expect("a start")
}

/// Appends `count` records, one to a group, and gives their bytes.
fn append_groups<S: Storage>(journal: &mut Journal<S>, count: usize, payload: usize, salt: u64) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for _ in 0..count {
        let seq = journal.next_seq();
        let bytes = record(seq, payload, salt);
        journal.append(&bytes, seq).expect("room");
        assert_eq!(journal.flush().expect("a working disk"), seq);
        records.push(bytes);
    }
    records
}
