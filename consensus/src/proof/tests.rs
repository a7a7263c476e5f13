//! Proofs of a busy machine's balances hold; with any one byte changed they are refused, or lead elsewhere.

use ed25519_dalek::SigningKey;
use wirebook_matcher::Software;
use wirebook_matcher::flow::Random;

use super::anchor::{Anchor, Barrier, Behind};
use super::balance::BalanceProof;
use super::block::{BlockHead, Note, notes_digest};
use super::prefix::{CHUNK, PrefixProof};
use super::settled::{Question, SettledProof};
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

/// A batch of shard 3 that claims `root`.
fn batch(number: u64, root: [u8; 32], records: usize) -> Batch {
    let [previous, events, previous_root] = [[1; 32], [2; 32], [3; 32]];
    let (first_seq, last_seq) = (7, 9);
    let header = Header { shard: 3, number, first_seq, last_seq, previous, events, previous_root, next_root: root };
    Batch::seal(header, &vec![5; records], &SigningKey::from_bytes(&[9; 32])).unwrap()
}

/// Blocks on one another, oldest first: the number of the batch that each carries if it does, its root, its notes.
fn chain(blocks: &[(Option<u64>, [u8; 32], &[Note])], records: usize) -> Vec<PrefixProof> {
    let (mut parent, mut settles, mut proofs) = ([8; 32], 3, Vec::new());
    for ((number, root, notes), height) in blocks.iter().zip(6..) {
        settles = number.unwrap_or(settles);
        let head = BlockHead { parent, height, settles, notes: notes_digest(notes) };
        let batch = number.map_or(Vec::new(), |number| batch(number, *root, records).as_bytes().to_vec());
        let proof = head.prove(&batch);
        assert_eq!(proof.digest(), *blake3::hash(&[&head.encode()[..], &batch].concat()).as_bytes());
        parent = proof.digest();
        proofs.push(proof);
    }
    proofs.reverse();
    proofs
}

const QUESTION: Question = Question { shard: 3, account: 2, asset: 1, note: None, at_least: 0 };

fn settled(
    machine: &Machine<Software>,
    chain: Vec<PrefixProof>,
    barrier: Option<(Vec<PrefixProof>, &[Note])>,
) -> SettledProof {
    let balance = BalanceProof::of(machine, 2, 1).unwrap();
    let anchor = |chain| Anchor { chain, certificate: b"signed".to_vec() };
    let barrier = barrier.map(|(chain, notes)| Barrier { blocks: anchor(chain), notes: notes.to_vec() });
    SettledProof { balance, anchor: anchor(chain), barrier }
}

/// A quorum has signed the first blocks of this proof, and no others.
fn signed(proof: &SettledProof) -> impl Fn(&[u8; 32], &[u8]) -> bool + use<> {
    let tops: Vec<[u8; 32]> = [Some(&proof.anchor), proof.barrier.as_ref().map(|barrier| &barrier.blocks)]
        .iter()
        .flatten()
        .filter_map(|anchor| anchor.chain.first().map(PrefixProof::digest))
        .collect();
    move |found, certificate| tops.contains(found) && certificate == b"signed"
}

const NOTE: Note = [7; 32];
const NOTES: &[Note] = &[[1; 32], NOTE];

/// Three blocks: a batch; one on top that makes it final; one on top of that, with notes. And of the three, what answers a reader.
fn truth(machine: &Machine<Software>) -> SettledProof {
    let blocks = chain(&[(Some(4), machine.root(), &[]), (None, [0; 32], &[]), (None, [0; 32], NOTES)], 100);
    settled(machine, blocks[1..].to_vec(), Some((blocks[..1].to_vec(), NOTES)))
}

const ASKED: Question = Question { note: Some(NOTE), at_least: 4, ..QUESTION };

#[test]
fn a_settled_balance_is_shown_by_a_few_kilobytes() {
    let machine = busy();
    for records in [0, 100, 70_000, 2_000_000] {
        let proof = settled(&machine, chain(&[(Some(4), machine.root(), &[])], records), None);
        let shown = proof.verify(&QUESTION, signed(&proof)).unwrap();
        assert_eq!((shown.height, shown.header.number, shown.barrier), (6, 4, None));
        let bytes = proof.encode();
        assert!(bytes.len() < 3000, "{} bytes", bytes.len());
        assert_eq!(SettledProof::decode(&bytes).unwrap(), proof);
    }
}

#[test]
fn a_barrier_shows_that_nothing_newer_was_final() {
    let machine = busy();
    let proof = truth(&machine);
    let shown = proof.verify(&ASKED, signed(&proof)).unwrap();
    assert_eq!((shown.height, shown.header.number), (7, 4));
    assert_eq!(shown.barrier, Some(Behind { height: 8, settles: 4 }));
    assert_eq!(SettledProof::decode(&proof.encode()).unwrap(), proof);
    // The batch on top of the barrier; the barrier under a block that makes it final; both in one block.
    let blocks = chain(&[(None, [0; 32], NOTES), (Some(4), machine.root(), &[])], 100);
    let above = settled(&machine, blocks[..1].to_vec(), Some((blocks, NOTES)));
    assert_eq!(above.verify(&ASKED, signed(&above)).unwrap().barrier, Some(Behind { height: 6, settles: 3 }));
    let within = chain(&[(Some(4), machine.root(), NOTES)], 100);
    let within = settled(&machine, within.clone(), Some((within, NOTES)));
    assert_eq!(within.verify(&ASKED, signed(&within)).unwrap().barrier, Some(Behind { height: 6, settles: 4 }));
}

/// Each lie that an answer can tell is refused, with its reason.
#[test]
fn no_link_can_be_left_out_or_replaced() {
    let machine = busy();
    let (root, truth) = (machine.root(), truth(&machine));
    truth.verify(&ASKED, signed(&truth)).unwrap();
    let refused = |lie: &SettledProof, question: &Question| lie.verify(question, signed(lie)).unwrap_err();
    let lie = |change: &dyn Fn(&mut SettledProof)| {
        let mut lie = truth.clone();
        change(&mut lie);
        lie
    };

    let other = lie(&|lie| lie.balance.balance.available += 1);
    assert_eq!(refused(&other, &ASKED), ProofError::Root, "another balance");
    let other = lie(&|lie| lie.anchor.chain = chain(&[(Some(4), [0; 32], &[])], 100));
    assert_eq!(refused(&other, &ASKED), ProofError::Root, "another root");
    let other = lie(&|lie| lie.balance = BalanceProof::of(&machine, 3, 1).unwrap());
    assert_eq!(refused(&other, &ASKED), ProofError::OtherBalance { account: 3, asset: 1 });
    assert_eq!(truth.verify(&ASKED, |_, _| false), Err(ProofError::NotCertified), "a certificate of another block");
    let other = lie(&|lie| drop(lie.anchor.chain.remove(0)));
    assert_eq!(other.verify(&ASKED, signed(&truth)), Err(ProofError::NotCertified), "the signed block is left out");
    let other = lie(&|lie| lie.anchor.chain.clear());
    assert!(matches!(other.verify(&ASKED, |_, _| true), Err(ProofError::NoBlock(_))), "no block at all");
    let other = lie(&|lie| lie.anchor.chain[1] = chain(&[(Some(4), root, &[])], 101).remove(0));
    assert_eq!(refused(&other, &ASKED), ProofError::Link { height: 6 }, "a block of another chain");
    let other = lie(&|lie| drop(lie.anchor.chain.pop()));
    assert!(matches!(refused(&other, &ASKED), ProofError::NoBlock(_)), "no batch");
    let two = chain(&[(Some(4), root, &[]), (Some(5), [0; 32], &[])], 100);
    let other = lie(&|lie| lie.anchor.chain.clone_from(&two));
    assert!(matches!(refused(&other, &ASKED), ProofError::NoBlock(_)), "an older batch below a newer one");
    assert_eq!(refused(&truth, &Question { at_least: 5, ..ASKED }), ProofError::Stale { found: 4, wanted: 5 });
    assert_eq!(refused(&truth, &Question { shard: 0, ..ASKED }), ProofError::OtherShard { found: 3 });

    // Barriers: none, of somebody else, with other notes, of a block that settles more, not signed, nothing at all.
    let barrier = |change: &dyn Fn(&mut Barrier)| lie(&|lie| change(lie.barrier.as_mut().unwrap()));
    assert_eq!(refused(&lie(&|lie| lie.barrier = None), &ASKED), ProofError::NoBarrier);
    assert_eq!(refused(&truth, &Question { note: Some([8; 32]), ..ASKED }), ProofError::NoBarrier);
    for notes in [vec![], vec![NOTE], vec![NOTE, NOTE], vec![NOTE, [1; 32]]] {
        let other = barrier(&|barrier| barrier.notes.clone_from(&notes));
        assert_eq!(refused(&other, &ASKED), ProofError::NoBarrier, "{notes:?}");
    }
    let newer = chain(&[(Some(5), root, NOTES)], 100);
    let other = barrier(&|barrier| barrier.blocks.chain.clone_from(&newer));
    assert_eq!(refused(&other, &ASKED), ProofError::Stale { found: 4, wanted: 5 }, "what was final before the barrier");
    assert_eq!(other.verify(&ASKED, signed(&truth)), Err(ProofError::NotCertified), "a barrier that nobody has signed");
    let other = barrier(&|barrier| barrier.blocks.chain.clear());
    assert!(matches!(refused(&other, &ASKED), ProofError::NoBlock(_)));
    let other = lie(&|lie| lie.anchor.chain = vec![PrefixProof::of(b"something that was signed")]);
    assert!(matches!(refused(&other, &ASKED), ProofError::NoBlock(_)));
}

#[test]
fn a_settled_proof_with_any_bit_changed_is_refused() {
    let machine = busy();
    let proof = truth(&machine);
    let (bytes, signed) = (proof.encode(), signed(&proof));
    let mut random = Random::new(1);
    for _ in 0..6_000 {
        let mut damaged = bytes.clone();
        damaged[random.below(bytes.len() as u64) as usize] ^= 1 << random.below(8);
        assert!(!SettledProof::decode(&damaged).is_ok_and(|proof| proof.verify(&ASKED, &signed).is_ok()));
    }
    for length in 0..bytes.len() {
        assert!(SettledProof::decode(&bytes[..length]).is_err());
    }
}
