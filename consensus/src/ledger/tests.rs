use super::*;
use crate::record::{Leg, Transfer};

fn posting(from: u32, to: u32, asset: u16, amount: i128) -> Posting {
    Posting { seq: 1, from, to, asset, amount, cause: Cause::Transfer }
}

fn funded() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.grow(4, 2);
    ledger.post(&posting(OUTSIDE, 2, 0, 100));
    ledger.post(&posting(OUTSIDE, 3, 1, 7));
    ledger
}

#[test]
fn growing_keeps_every_balance() {
    let mut ledger = funded();
    let before: Vec<_> = ledger.balances().collect();
    ledger.grow(4, 5);
    ledger.grow(9, 5);
    assert_eq!(ledger.balances().collect::<Vec<_>>(), before);
    assert_eq!((ledger.accounts(), ledger.assets()), (9, 5));
    assert_eq!(ledger.balance(2, 0).available, 100);
    assert_eq!(ledger.balance(8, 4), Balance::default());
    assert_eq!(ledger.balance(70_000, 9), Balance::default(), "nobody has nothing");
    ledger.check().unwrap();
}

#[test]
fn reserves_move_between_the_buckets_of_one_account() {
    let mut ledger = funded();
    ledger.reserve(2, 0, 60);
    assert_eq!(ledger.balance(2, 0), Balance { available: 40, reserved: 60 });
    assert!(!ledger.affords(&posting(2, 3, 0, 41)), "what is reserved cannot be paid");
    assert!(ledger.affords(&posting(2, 3, 0, 40)));
    ledger.release(2, 0, 60);
    assert_eq!(ledger.balance(2, 0), Balance { available: 100, reserved: 0 });
    ledger.check().unwrap();
}

#[test]
#[should_panic(expected = "of 100 available")]
fn more_than_is_available_is_never_reserved() {
    funded().reserve(2, 0, 101);
}

#[test]
fn only_the_outside_world_goes_negative_and_only_so_far() {
    let ledger = funded();
    assert_eq!(ledger.balance(OUTSIDE, 0).available, -100);
    assert!(ledger.affords(&posting(OUTSIDE, 2, 0, MAX_SUPPLY - 100)));
    assert!(!ledger.affords(&posting(OUTSIDE, 2, 0, MAX_SUPPLY - 99)));
    assert!(!ledger.affords(&posting(OUTSIDE, 2, 0, i128::MAX)));
    assert!(!ledger.affords(&posting(3, 2, 1, 8)));
    assert!(!ledger.affords(&posting(2, 3, 0, 0)));
    assert!(!ledger.affords(&posting(2, 3, 0, -5)));
}

#[test]
fn the_check_finds_money_from_nowhere_and_debts() {
    let mut ledger = funded();
    ledger.restore(3, 1, Balance { available: 8, reserved: 0 });
    assert_eq!(ledger.check(), Err(Unbalanced { account: None, asset: 1, amount: 1 }));
    let mut ledger = funded();
    ledger.post(&posting(3, 2, 0, 5));
    let error = ledger.check().unwrap_err();
    assert_eq!(error, Unbalanced { account: Some(3), asset: 0, amount: -5 });
    assert_eq!(error.to_string(), "asset 0: account 3 has -5, allowed 0 or more");
}

#[test]
fn the_root_tells_every_balance_and_every_id_but_not_the_room() {
    let ledger = funded();
    let root = ledger.root();
    let mut roomier = ledger.clone();
    roomier.grow(100, 9);
    assert_eq!(roomier.root(), root);
    let mut reserved = ledger.clone();
    reserved.reserve(2, 0, 1);
    assert_ne!(reserved.root(), root);
    let mut remembers = ledger.clone();
    remembers.ids.insert(&Leg::book(Transfer { id: 9, from: 0, to: 2, asset: 0, amount: 1 }));
    let today = remembers.root();
    assert_ne!(today, root);
    remembers.ids.turn();
    assert_ne!(remembers.root(), today, "yesterday's ids are forgotten a day earlier");
}

#[test]
fn ids_live_for_two_days() {
    let transfer = Transfer { id: 9, from: 0, to: 2, asset: 0, amount: 1 };
    let other = Leg::book(Transfer { amount: 2, ..transfer });
    let transfer = Leg::book(transfer);
    let mut ids = TransferIds::default();
    assert_eq!(ids.known(&transfer), Known::New);
    ids.insert(&transfer);
    for _ in 0..2 {
        assert_eq!(ids.known(&transfer), Known::Same);
        assert_eq!(ids.known(&other), Known::Other(transfer));
        ids.turn();
    }
    assert_eq!(ids.known(&transfer), Known::New);
}

#[test]
fn the_tree_of_a_ledger_that_grew_and_changed_is_that_of_one_made_at_once() {
    let mut random = wirebook_matcher::flow::Random::new(11);
    let mut slow = Ledger::new();
    for round in 0..60u32 {
        slow.grow(2 + round * 7 % 150, 1 + (round / 9) as u16);
        for _ in 0..20 {
            let account = random.below(u64::from(slow.accounts())) as u32;
            let asset = random.below(u64::from(slow.assets())) as u16;
            slow.restore(
                account,
                asset,
                Balance { available: random.below(3).into(), reserved: random.below(2).into() },
            );
        }
        let mut fresh = Ledger::new();
        fresh.grow(slow.accounts(), slow.assets());
        slow.balances().for_each(|(account, asset, balance)| fresh.restore(account, asset, balance));
        assert_eq!(fresh.parts().balances, slow.parts().balances, "round {round}");
    }
    let empty = Ledger::new();
    assert_eq!(empty.parts().balances, *tree::empty(tree::DEPTH), "no balance is the empty tree");
}
