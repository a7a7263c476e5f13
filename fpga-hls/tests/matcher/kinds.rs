//! Each kind of command alone, over a book that is laid out first: both twins answer alike, and each planted fault is seen by the
//! kind that it belongs to.
//!
//! A round lays out orders that cross nothing (so that no rule of matching has a say), then sends commands of one kind alone, as
//! the mix makes them: right, wrong, about the living and the dead. The mixed runs are in `differential` and `shrinking`.

use std::collections::BTreeMap;

use crate::compare::answer;
use wirebook_matcher::abi::{Command, Kind, Side, TimeInForce};
use wirebook_matcher::flow::{Beats, Mix, Random};
use wirebook_matcher::{Fault, Reference, Software, Twin};

/// Rounds for each kind and mix.
const ROUNDS: u64 = 60;
/// Commands of a round.
const COMMANDS: usize = 40;
/// Beats that are passed over, at most, until one is of the kind that is wanted.
const PATIENCE: usize = 10_000;

/// Orders that rest without crossing: bids below the middle of the first instrument's band, asks above.
fn layout(mix: &Mix, random: &mut Random) -> Vec<Command> {
    let ticks = mix.limits.ticks[0];
    let middle = ticks / 2;
    (0..mix.live.min(mix.limits.slots))
        .map(|slot| {
            let side = *random.pick(&Side::ALL);
            let away = random.below(4.min(u64::from(middle))) as u32;
            let tick =
                if side == Side::Buy { middle - 1 - away.min(middle - 1) } else { (middle + away).min(ticks - 1) };
            let (first, last) = mix.owners;
            Command {
                slot,
                owner: random.between(u64::from(first), u64::from(last)) as u16,
                tick,
                qty: random.between(1, 9) as u32,
                kind: Kind::New as u8,
                side_tif: Command::side_tif(side, TimeInForce::Gtc),
                ..Command::default()
            }
        })
        .collect()
}

/// One round; what differs first, if anything does.
fn round(mix: &Mix, kind: Kind, seed: u64, left: &mut impl Twin, right: &mut impl Twin) -> Result<(), String> {
    let mut beats = Beats::new(mix.clone(), seed);
    let mut random = Random::new(seed);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let mut commands = layout(mix, &mut random);
    let laid_out = commands.len();
    for at in 0..laid_out + COMMANDS {
        if at >= laid_out {
            let next = (0..PATIENCE).map(|_| beats.next_beat()).find(|command| command.kind == kind as u8);
            commands.push(next.expect("every kind comes up"));
        }
        let command = &commands[at];
        answer(left, command, &mut expected);
        answer(right, command, &mut found);
        if expected != found {
            return Err(format!("{command:?}\n left: {expected:#?}\nright: {found:#?}"));
        }
        beats.observe(command, &expected).map_err(|violation| violation.to_string())?;
        if left.digest() != right.digest() {
            return Err(format!("the books differ after {command:?}"));
        }
    }
    Ok(())
}

/// The mixes whose books are small enough to be compared after each command.
fn mixes() -> [Mix; 3] {
    [Mix::kin(), Mix::crowded(), Mix::full()]
}

#[test]
fn each_kind_alone_is_equal() {
    for kind in Kind::ALL {
        for mix in mixes() {
            for seed in 0..ROUNDS {
                let mut software = Software::new(mix.limits.clone());
                let same = round(&mix, kind, seed, &mut Reference::new(mix.limits.clone()), &mut software);
                let same = same.and_then(|()| software.check().map_err(|broken| broken.to_string()));
                same.unwrap_or_else(|difference| panic!("{kind:?}, seed {seed} of {mix:?}: {difference}"));
            }
        }
    }
}

/// A dozen rules and more, each broken: which kinds notice.
#[test]
fn each_planted_fault_is_seen_by_its_kind() {
    let mut seen: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for fault in Fault::ALL {
        let mut kinds = Vec::new();
        for kind in Kind::ALL {
            let caught = mixes().iter().any(|mix| {
                (0..ROUNDS).any(|seed| {
                    let mut planted = Reference::planted(mix.limits.clone(), fault);
                    round(mix, kind, seed, &mut planted, &mut Software::new(mix.limits.clone())).is_err()
                })
            });
            kinds.extend(caught.then_some(kind));
        }
        println!("{fault:?}: seen by {kinds:?} alone");
        assert!(!kinds.is_empty(), "{fault:?} is seen by no kind alone");
        seen.insert(format!("{fault:?}"), kinds);
    }
    assert!(seen.len() >= 12, "{} faults", seen.len());
    for (fault, kind) in [
        (Fault::PartialFillLosesPriority, Kind::New),
        (Fault::ReduceLosesPriority, Kind::Reduce),
        (Fault::ReplaceKeepsPriority, Kind::Replace),
        (Fault::OwnerUnchecked, Kind::Cancel),
    ] {
        assert!(seen[&format!("{fault:?}")].contains(&kind), "{fault:?} is not seen by {kind:?}");
    }
}
