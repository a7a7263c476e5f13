//! The kernel in every state of a tiny book, and every command in each: 12,265 states, some hundred million answers.

use wirebook_matcher::abi::{Command, Event};
use wirebook_matcher::exhaustive::{Share, Subject, Tiny, Wrong, walk};
use wirebook_matcher::rtl::{Model, Rtl, Snapshot};
use wirebook_matcher::{Reference, Twin};

/// The kernel, whose registers and memories are kept and loaded.
struct Kernel(Rtl);

impl Subject for Kernel {
    type State = Snapshot;

    fn save(&mut self) -> Snapshot {
        self.0.save()
    }

    fn load(&mut self, state: &Snapshot) {
        self.0.load(state);
    }

    fn answer(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<(), String> {
        self.answer_all(std::slice::from_ref(command), events)
    }

    fn answer_all(&mut self, commands: &[Command], events: &mut Vec<Event>) -> Result<(), String> {
        self.0.execute_all(commands, |event| events.push(event)).map_err(|error| error.to_string())
    }
}

fn kernel(model: Model, tiny: &Tiny) -> Kernel {
    Kernel(Rtl::new(model, tiny.limits.clone()).unwrap())
}

/// States of the tiny book, how many walks divide them, and the commands that change the book in those of each.
const STATES: u64 = 12_265;
const SHARES: u64 = 2;
const CHANGES: [u64; SHARES as usize] = [760_348, 775_682];
/// In the default run: a refusal passes through the same few cycles in state after state, and there are a hundred million of them.
const ONE_REFUSAL_IN: u64 = 4;

/// By default every command that is not refused, and of the others one in four, by turns; with `WIREBOOK_DEEP` every command.
fn half(index: u64) {
    let one_refusal_in = if std::env::var_os("WIREBOOK_DEEP").is_some() { 1 } else { ONE_REFUSAL_IN };
    let tiny = Tiny { one_refusal_in, ..Tiny::new() };
    let mut subject = kernel(Model::Small, &tiny);
    let share = Share { index, of: SHARES };
    let walked = walk(&tiny, share, &mut subject, Reference::new(tiny.limits.clone()), |_, _| {});
    let walked = walked.unwrap_or_else(|found| panic!("{found}"));
    println!("share {index} of {SHARES}, one refusal in {one_refusal_in}: {walked}, {} cycles", subject.0.cycles());
    let compared = (STATES - index).div_ceil(SHARES);
    assert_eq!((walked.states, walked.compared, walked.changes), (STATES, compared, CHANGES[index as usize]));
    let all = compared * walked.commands;
    assert!(walked.transitions <= all && walked.transitions >= all / one_refusal_in, "{}", walked.transitions);
}

#[test]
fn the_kernel_is_the_reference_in_the_first_half_of_all_states() {
    half(0);
}

#[test]
fn the_kernel_is_the_reference_in_the_other_half() {
    half(1);
}

#[test]
fn the_walk_meets_a_planted_bug() {
    let tiny = Tiny::new();
    let mut subject = kernel(Model::Planted, &tiny);
    let oracle = Reference::new(tiny.limits.clone());
    let met = walk(&tiny, Share::WHOLE, &mut subject, oracle, |_, _| {}).expect_err("the bug is met");
    println!("{met}");
    assert!(matches!(met.what, Wrong::Differs { .. } | Wrong::Probe { .. }));
}
