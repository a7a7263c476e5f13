//! Random records through two machines at once, one with each twin: after each record money is conserved, nobody owes,
//! reserves are those of the live orders, the oracle agrees, books and twin hold the same orders, and both machines are
//! equal. A refused record leaves no trace. Planted bugs show that each of these checks can fail.

use std::collections::BTreeMap;

use wirebook_matcher::abi::EventKind;
use wirebook_matcher::{Reference, Software, Twin};

use super::gateway::{Gateway, venue};
use super::oracle::{Gathered, Oracle};
use crate::machine::image::check_reserves;
use crate::machine::planted::{Plant, Planted};
use crate::machine::{Machine, MachineImage};
use crate::record::{Payload, Record};

/// What a run has seen, by name.
pub(crate) type Seen = BTreeMap<String, u64>;

/// Both machines, their oracle, and who feeds them.
pub(crate) struct World {
    pub gateway: Gateway,
    pub slow: Machine<Reference>,
    pub fast: Machine<Software>,
    oracle: Oracle,
    pub seen: Seen,
    /// Every record that applied.
    pub bytes: Vec<u8>,
}

impl World {
    pub fn new(seed: u64, planted: Option<Planted>) -> Result<Self, String> {
        let mut world = Self {
            gateway: Gateway::new(seed),
            slow: Machine::new(0),
            fast: Machine::new(0),
            oracle: Oracle::default(),
            seen: Seen::new(),
            bytes: Vec::new(),
        };
        world.slow.books.plant = Plant { broken: planted };
        world.fast.books.plant = Plant { broken: planted };
        for payload in venue() {
            let record = world.gateway.record(&world.slow.books, (0, payload));
            world.apply(&record)?;
            assert_eq!(world.slow.last_seq(), record.header.seq, "{record}");
        }
        Ok(world)
    }

    pub fn step(&mut self) -> Result<(), String> {
        let next = self.gateway.next(&self.slow.books);
        let record = self.gateway.record(&self.slow.books, next);
        self.apply(&record)
    }

    fn note(&mut self, what: String) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn apply(&mut self, record: &Record<'_>) -> Result<(), String> {
        let before = self.slow.books.clone();
        let (mut slow, mut fast) = (Gathered::default(), Gathered::default());
        let answers = (self.slow.apply(record, &mut slow), self.fast.apply(record, &mut fast));
        if answers.0 != answers.1 || slow.events != fast.events || slow.postings != fast.postings {
            return Err(format!("{record}: the machines differ: {answers:?}"));
        }
        if let Err(refusal) = answers.0 {
            if self.slow.books != before || !slow.events.is_empty() || !slow.postings.is_empty() {
                return Err(format!("{record}: refused ({refusal}), but it left a trace"));
            }
            let name = format!("{refusal:?}");
            self.note(format!("refused {}", name.split([' ', '(']).next().unwrap_or_default()));
            return Ok(());
        }
        record.encode_into(&mut self.bytes);
        self.note(record.header.kind.name().to_owned());
        if let Payload::Chain(chain) = &record.payload {
            chain.legs().for_each(|leg| self.note(format!("leg {}", leg.action.name())));
        }
        if matches!(record.payload, Payload::Transfer(_)) && slow.postings.is_empty() {
            self.note("transfer repeated".to_owned());
        }
        let replaced = slow.events.iter().any(|(event, _)| event.kind == EventKind::Replaced);
        for (event, _) in &slow.events {
            let role = if event.maker_free() && event.kind == EventKind::Cancelled { " maker" } else { "" };
            let after = if replaced && event.kind != EventKind::Replaced { " after replace" } else { "" };
            self.note(format!("{:?} {:?}{role}{after}", event.kind, event.reason));
        }
        slow.postings.iter().for_each(|posting| self.note(format!("{:?}", posting.cause)));
        self.check(record, &slow).map_err(|error| format!("{record}: {error}"))
    }

    fn check(&mut self, record: &Record<'_>, gathered: &Gathered) -> Result<(), String> {
        let books = &self.slow.books;
        books.ledger().check().map_err(|error| error.to_string())?;
        check_reserves(books).map_err(|error| error.to_string())?;
        self.oracle.follow(record, gathered, books)?;
        if let Payload::Registry(entry) = &record.payload
            && !(books.registry().has(entry)
                && books.registry().entries().iter().all(|entry| books.registry().has(entry)))
        {
            return Err("the registry does not have what was entered".to_owned());
        }
        if let Payload::Transfer(transfer) = &record.payload
            && !books.transferred(transfer.id)
        {
            return Err("the transfer's id is not remembered".to_owned());
        }
        let Some(twin) = self.slow.twin() else { return Ok(()) };
        let mut count = 0;
        let mut differs = None;
        twin.orders(|resting| {
            count += 1;
            let same = books.order(resting.slot).is_some_and(|order| {
                (order.owner, order.instrument, order.side, order.tick, order.leaves)
                    == (resting.owner, resting.instrument, resting.side, resting.tick, resting.leaves)
            });
            if !same {
                differs = Some(resting);
            }
        });
        if differs.is_some() || count != books.live() {
            return Err(format!("{} live, the twin has {count}: {differs:?}", books.live()));
        }
        if self.gateway.random.chance(1, 8) && self.slow.root() != self.fast.root() {
            return Err("the roots differ".to_owned());
        }
        if self.gateway.random.chance(1, 150) {
            let bytes = self.fast.image().to_bytes().map_err(|error| error.to_string())?;
            let image = MachineImage::from_bytes(&bytes).map_err(|error| error.to_string())?;
            let restored = Machine::from_image(&image).map_err(|error| error.to_string())?;
            if restored.root() != self.fast.root() || restored.image() != image {
                return Err("what an image restores is not what it was made of".to_owned());
            }
            let plant = self.fast.books.plant;
            self.fast = restored;
            self.fast.books.plant = plant;
            self.note("image".to_owned());
        }
        Ok(())
    }
}

/// Runs records of a seed; what it has seen, or the first thing that is wrong.
fn run(seed: u64, steps: u32, planted: Option<Planted>) -> Result<Seen, String> {
    let mut world = World::new(seed, planted)?;
    (0..steps).try_for_each(|_| world.step())?;
    Ok(world.seen)
}

#[test]
fn money_is_conserved_and_both_machines_agree_on_random_records() {
    const SEEDS: u64 = 12;
    const STEPS: u32 = 2_500;
    let mut seen = Seen::new();
    for seed in 0..SEEDS {
        let of_seed = run(seed, STEPS, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        of_seed.into_iter().for_each(|(what, count)| *seen.entry(what).or_default() += count);
    }
    println!("{seen:#?}");
    // What must not be tested by accident only.
    let wanted = [
        ("Fill None", 1500),
        ("Fill None after replace", 100),
        ("Rested None", 3000),
        ("Rested None after replace", 100),
        ("Replaced None", 1000),
        ("Reduced None", 100),
        ("Cancelled User", 500),
        ("Cancelled ImmediateOrCancel", 300),
        ("Cancelled FillOrKill", 300),
        ("Cancelled PostOnly", 100),
        ("Cancelled SelfTrade", 50),
        ("Cancelled SelfTrade maker", 50),
        ("Cancelled SelfTrade maker after replace", 3),
        ("Rejected NoOrder", 20),
        ("Rejected NotYours", 10),
        ("Rejected TickRange", 5),
        ("Rejected QtyRange", 10),
        ("Rejected BadKind", 10),
        ("Rejected BadFlags", 10),
        ("Rejected ReservedBits", 10),
        ("Payment", 1500),
        ("Delivery", 1500),
        ("Fee", 1000),
        ("Rebate", 300),
        ("Transfer", 300),
        ("transfer repeated", 10),
        ("leg book", 15),
        ("leg pend", 50),
        ("leg post", 20),
        ("leg void", 20),
        ("leg expire", 10),
        ("refused Ceiling", 5),
        ("refused NotPending", 2),
        ("refused ChainInPart", 2),
        ("refused Leg", 30),
        ("image", 50),
        ("epoch", 50),
        ("seal", 50),
        ("state", 50),
        ("reject", 50),
        ("session", 50),
        ("refused Unfunded", 300),
        ("refused SlotLive", 10),
        ("refused SlotRange", 2),
        ("refused NotYours", 10),
        ("refused Owner", 10),
        ("refused TransferFunds", 10),
        ("refused LiveOrders", 10),
        ("refused Day", 10),
        ("refused Registry", 10),
        ("refused Unknown", 50),
    ];
    for (what, least) in wanted {
        let found = seen.get(what).copied().unwrap_or_default();
        assert!(found >= least, "{what}: seen {found} times, wanted {least}");
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let all = [
        Planted::FeeNotBooked,
        Planted::SelfTradeKeepsReserve,
        Planted::TakersPrice,
        Planted::ReplaceKeepsExtra,
        Planted::DeliversLess,
        Planted::RefusalTakesSeq,
        Planted::TransferTwice,
        Planted::FillsStartOver,
        Planted::ChainInPart,
        Planted::PostsExpired,
        Planted::VoidKeepsHold,
    ];
    for planted in all {
        let caught = (0..6).find_map(|seed| run(seed, 3000, Some(planted)).err());
        let caught = caught.unwrap_or_else(|| panic!("{planted:?} was not noticed"));
        println!("{planted:?}: {}", caught.chars().take(160).collect::<String>());
    }
}
