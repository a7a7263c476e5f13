//! Proofs of a busy machine's balances hold; with any one byte changed they are refused, or lead elsewhere.

use ed25519_dalek::SigningKey;
use wirebook_matcher::Software;
use wirebook_matcher::flow::Random;

use super::balance::BalanceProof;
use super::prefix::{CHUNK, PrefixProof};
use super::settled::{BLOCK_CONTEXT, SettledProof};
use super::*;
use crate::batch::{Batch, Header};
use crate::ledger::{Balance, MAX_ACCOUNTS, MAX_ASSETS};
use crate::machine::Machine;
use crate::machine::tests::random::World;

fn busy() -> Machine<Software> {
    let mut world = World::new(5, None).unwrap();
    (0..700).for_each(|_| world.step().unwrap());
    world.fast
}

#[test]
fn every_balance_and_every_absence_leads_to_the_root() {
    let machine = busy();
    let root = machine.root();
    let mut held = 0;
    for account in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 64, 1000, MAX_ACCOUNTS - 1] {
        for asset in [0, 1, 2, 3, MAX_ASSETS - 1] {
            let proof = BalanceProof::of(&machine, account, asset).unwrap();
            assert_eq!(proof.balance, machine.books.balance(account, asset));
            assert_eq!(proof.root(), root, "account {account}, asset {asset}");
            let bytes = proof.encode();
            assert_eq!(BalanceProof::decode(&bytes).unwrap(), proof);
            assert!(bytes.len() <= 312 + 24 * 32, "{} bytes", bytes.len());
            held += u32::from(proof.balance != Balance::default());
            let more = Balance { available: proof.balance.available + 1, ..proof.balance };
            let mut proof = proof;
            proof.balance = more;
            assert_ne!(proof.root(), root, "a balance that is not");
        }
    }
    assert!(held > 10, "{held} balances are not nothing");
    assert!(BalanceProof::of(&machine, MAX_ACCOUNTS, 0).is_none());
    assert!(BalanceProof::of(&machine, 2, MAX_ASSETS).is_none());
}

#[test]
fn one_that_has_something_cannot_be_shown_to_have_nothing() {
    let machine = busy();
    let mut proof = BalanceProof::of(&machine, 2, 1).unwrap();
    assert_ne!(proof.balance, Balance::default());
    proof.balance = Balance::default();
    assert_ne!(proof.root(), machine.root());
    // Nor can another's path be passed off as its own.
    let mut other = BalanceProof::of(&machine, 65_000, 1).unwrap();
    other.account = 2;
    assert_ne!(other.root(), machine.root());
}

#[test]
fn a_balance_proof_has_one_encoding_and_every_bit_of_it_counts() {
    let machine = busy();
    let (root, bytes) = (machine.root(), BalanceProof::of(&machine, 3, 1).unwrap().encode());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(proof) = BalanceProof::decode(&damaged) {
            assert_ne!(proof.root(), root, "bit {bit}");
            assert_eq!(proof.encode(), damaged, "bit {bit}");
        }
    }
    for length in 0..bytes.len() {
        assert!(BalanceProof::decode(&bytes[..length]).is_err());
    }
    assert!(BalanceProof::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn the_first_chunk_of_anything_leads_to_its_digest() {
    let bytes: Vec<u8> = (0..CHUNK * 40 + 7).map(|at| (at * 31 % 251) as u8).collect();
    let mut lengths: Vec<usize> = vec![0, 1, 200];
    lengths.extend(
        [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 33, 40].iter().flat_map(|n| [CHUNK * n - 1, CHUNK * n, CHUNK * n + 1]),
    );
    for length in lengths {
        let whole = &bytes[..length];
        let proof = PrefixProof::of(whole);
        assert_eq!(proof.digest(), *blake3::hash(whole).as_bytes(), "{length} bytes");
        assert_eq!(proof.chunk(), &whole[..length.min(CHUNK)]);
    }
}

/// A block of one batch that claims `root`, as the engine hashes it.
fn block(root: [u8; 32], records: usize) -> Vec<u8> {
    let [previous, events, previous_root] = [[1; 32], [2; 32], [3; 32]];
    let (first_seq, last_seq, number) = (7, 9, 4);
    let header = Header { shard: 0, number, first_seq, last_seq, previous, events, previous_root, next_root: root };
    let batch = Batch::seal(header, &vec![5; records], &SigningKey::from_bytes(&[9; 32])).unwrap();
    let (height, settles) = (6u64.to_le_bytes(), number.to_le_bytes());
    [BLOCK_CONTEXT, &[8; 32], &height, &settles, batch.as_bytes()].concat()
}

fn settled(machine: &Machine<Software>, block: &[u8]) -> SettledProof {
    let balance = BalanceProof::of(machine, 2, 1).unwrap();
    SettledProof { balance, block: PrefixProof::of(block), certificate: b"signed".to_vec() }
}

#[test]
fn a_settled_balance_is_shown_by_a_few_kilobytes_and_no_link_can_be_left_out() {
    let machine = busy();
    for records in [0, 100, 70_000, 2_000_000] {
        let block = block(machine.root(), records);
        let proof = settled(&machine, &block);
        let digest = *blake3::hash(&block).as_bytes();
        let signed = |found: &[u8; 32], certificate: &[u8]| *found == digest && certificate == b"signed";
        let shown = proof.verify(signed).unwrap();
        assert_eq!((shown.height, shown.header.number, shown.header.next_root), (6, 4, machine.root()));
        let bytes = proof.encode();
        assert!(bytes.len() < 3000, "{} bytes", bytes.len());
        assert_eq!(SettledProof::decode(&bytes).unwrap(), proof);
        assert_eq!(proof.verify(|_, _| false), Err(ProofError::NotCertified));
    }
    let elsewhere = settled(&machine, &block([0; 32], 100));
    assert_eq!(elsewhere.verify(|_, _| true), Err(ProofError::Root));
    let not_a_block = settled(&machine, b"something that was signed");
    assert!(matches!(not_a_block.verify(|_, _| true), Err(ProofError::NoBatch(_))));
    let empty = settled(&machine, &block(machine.root(), 0)[..BLOCK_CONTEXT.len() + 48]);
    assert!(matches!(empty.verify(|_, _| true), Err(ProofError::NoBatch(_))), "a block without a batch");
}

#[test]
fn a_settled_proof_with_any_bit_changed_is_refused() {
    let machine = busy();
    let block = block(machine.root(), 5_000);
    let digest = *blake3::hash(&block).as_bytes();
    let bytes = settled(&machine, &block).encode();
    let mut random = Random::new(1);
    for _ in 0..4_000 {
        let mut damaged = bytes.clone();
        damaged[random.below(bytes.len() as u64) as usize] ^= 1 << random.below(8);
        let holds = SettledProof::decode(&damaged)
            .is_ok_and(|proof| proof.verify(|found, certificate| *found == digest && certificate == b"signed").is_ok());
        assert!(!holds);
    }
}
