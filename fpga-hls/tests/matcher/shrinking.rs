//! Short sequences of commands on a tiny book, by proptest: when twins differ, it finds the shortest that shows it.

use crate::compare::answer;
use proptest::prelude::*;
use wirebook_matcher::abi::{Command, Kind, Limits, SelfTrade, Side, TimeInForce};
use wirebook_matcher::flow::Audit;
use wirebook_matcher::{Fault, Reference, Software, Twin};

fn limits() -> Limits {
    Limits { ticks: vec![4, 2], slots: 6, max_qty: 9 }
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let tif = prop_oneof![6 => Just(TimeInForce::Gtc), 1 => Just(TimeInForce::Ioc), 1 => Just(TimeInForce::Fok)];
    let kind =
        prop_oneof![5 => Just(Kind::New), 2 => Just(Kind::Replace), 1 => Just(Kind::Cancel), 1 => Just(Kind::Reduce)];
    let flags = (prop::sample::select(&SelfTrade::ALL[..]), prop::bool::weighted(0.1), prop::bool::weighted(0.2));
    let places = (0u16..2, 0u16..3, 0u32..6, 0u32..6, 0u32..5, -3i32..11);
    let command = (kind, prop::sample::select(&Side::ALL[..]), tif, flags, places).prop_map(
        |(
            kind,
            side,
            time_in_force,
            (self_trade, post_only, relative),
            (instrument, owner, slot, slot2, tick, qty),
        )| {
            let enters = matches!(kind, Kind::New | Kind::Replace);
            Command {
                instrument,
                owner,
                slot,
                slot2,
                tick,
                qty: qty as u32,
                kind: kind as u8,
                side_tif: Command::side_tif(side, if enters { time_in_force } else { TimeInForce::Gtc }),
                flags: if enters {
                    Command::flags(self_trade, post_only, relative && kind == Kind::Replace)
                } else {
                    0
                },
                ..Command::default()
            }
        },
    );
    prop::collection::vec(command, 1..60)
}

fn agree(commands: &[Command], left: &mut impl Twin, right: &mut impl Twin) -> Result<(), TestCaseError> {
    let mut audit = Audit::new(&limits());
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for command in commands {
        answer(left, command, &mut expected);
        answer(right, command, &mut found);
        prop_assert_eq!(&expected, &found);
        prop_assert_eq!(audit.follow(command, &expected), Ok(()));
    }
    prop_assert_eq!(left.digest(), right.digest());
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn short_sequences_are_equal(commands in commands()) {
        let mut software = Software::new(limits());
        agree(&commands, &mut Reference::new(limits()), &mut software)?;
        prop_assert_eq!(software.check(), Ok(()));
    }
}

/// A fault in priority shrinks to what it takes: two makers, a partial fill, and the fill that goes wrong.
#[test]
fn a_planted_fault_shrinks_to_a_few_commands() {
    use proptest::test_runner::{TestError, TestRunner};
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { cases: 100_000, max_shrink_iters: 100_000, ..config() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let result = runner.run(&commands(), |commands| {
        let mut planted = Reference::planted(limits(), Fault::PartialFillLosesPriority);
        agree(&commands, &mut planted, &mut Software::new(limits()))
    });
    match result {
        Err(TestError::Fail(_, commands)) => assert!(commands.len() <= 6, "{commands:#?}"),
        other => panic!("the planted fault was not found: {other:?}"),
    }
}
