//! What is said at a validator's port, and proofs, from any bytes.
//!
//! The first byte chooses. *Request*: a kind and its content; what parses must write the same bytes. *Answer*: a stream of frames; what is read
//! must write what was taken, and no length makes anybody take memory that did not come. *Proof*: what decodes must encode to the same bytes
//! and be refused, for nobody has signed it. *Notes*: what members say, in turn; what waits stays within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirebook_settlement::proof::ProofError;
use wirebook_settlement::proof::anchor::Anchor;
use wirebook_settlement::proof::block::MAX_NOTES;
use wirebook_settlement::proof::settled::{Question, SettledProof};
use wirebook_settlement::validator::notes::Notes;
use wirebook_settlement::validator::wire::{Answer, Request};

/// The account of the read at which the planted panic strikes.
const PLANTED_ACCOUNT: u32 = 7;

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else { return };
    match mode % 4 {
        0 => request(rest),
        1 => answers(rest),
        2 => proof(rest),
        _ => notes(rest),
    }
});

fn request(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else { return };
    let Ok(request) = Request::parse(*kind, content) else { return };
    let mut written = Vec::new();
    request.write(&mut written).expect("memory");
    assert_eq!(written[4..], *bytes, "{request:?} is written otherwise");
    if cfg!(feature = "planted")
        && let Request::Read { account: PLANTED_ACCOUNT, note: Some(_), .. } = request
    {
        panic!("planted");
    }
}

fn answers(bytes: &[u8]) {
    let (mut from, mut buffer) = (bytes, Vec::new());
    loop {
        let before = from;
        let Ok(answer) = Answer::read(&mut from, &mut buffer) else { return };
        let taken = &before[..before.len() - from.len()];
        let mut written = Vec::new();
        answer.write(&mut written).expect("memory");
        let text = matches!(answer, Answer::Refused(_) | Answer::Text(_) | Answer::No(_));
        assert!(text || written == taken, "{answer:?} is written otherwise");
        assert!(buffer.capacity() <= 2 * bytes.len() + 1024, "memory for what did not come");
    }
}

fn proof(bytes: &[u8]) {
    if let Ok(anchor) = Anchor::decode(bytes) {
        assert_eq!(anchor.encode(), bytes);
        assert!(anchor.verify(|_, _| false).is_err());
        // Whatever stands in it, and whoever has signed it, it is judged.
        let _ = anchor.verify(|_, _| true);
    }
    let Ok(proof) = SettledProof::decode(bytes) else { return };
    assert_eq!(proof.encode(), bytes);
    let (account, asset) = (proof.balance.account, proof.balance.asset);
    let note = proof.barrier.as_ref().map(|barrier| barrier.notes.first().copied().unwrap_or_default());
    let question = Question { shard: 0, account, asset, note, at_least: 0 };
    let refused = proof.verify(&question, |_, _| false);
    assert!(matches!(refused, Err(ProofError::NotCertified | ProofError::NoBlock(_))), "{refused:?}");
    let _ = proof.verify(&question, |_, _| true);
}

fn notes(bytes: &[u8]) {
    let notes = Notes::default();
    let _asked = notes.ask([1; 32]);
    for (at, said) in bytes.chunks(97).enumerate() {
        notes.heard([at as u8 % 5; 32], &said[..said.len() / 32 * 32 + usize::from(at % 7 == 6).min(said.len() % 32)]);
        let block = notes.to_propose();
        assert!(block.len() <= MAX_NOTES && block.contains(&[1; 32]));
        if at % 3 == 0 {
            notes.settled(at as u64, &block[..block.len() / 2]);
        }
        if block[..block.len() / 2].contains(&[1; 32]) && at % 3 == 0 {
            return;
        }
    }
}
