//! The kernel in every state of a tiny book, and every command in each: 12,265 states, some hundred million answers.

use wirebook_matcher::abi::{Command, Event};
use wirebook_matcher::exhaustive::{Subject, Tiny, Wrong, walk};
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
        self.0.execute(command, |event| events.push(event)).map_err(|error| error.to_string())
    }
}

fn kernel(model: Model, tiny: &Tiny) -> Kernel {
    Kernel(Rtl::new(model, tiny.limits.clone()).unwrap())
}

#[test]
fn the_kernel_is_the_reference_in_every_state() {
    let tiny = Tiny::new();
    let mut subject = kernel(Model::Small, &tiny);
    println!("a state of the kernel is {} bytes", subject.save().len());
    let walked = walk(&tiny, &mut subject, Reference::new(tiny.limits.clone()), |_, _| {});
    let walked = walked.unwrap_or_else(|found| panic!("{found}"));
    println!("{walked}, {} cycles", subject.0.cycles());
    assert_eq!((walked.states, walked.transitions), (12_265, walked.states * walked.commands));
}

#[test]
fn the_walk_meets_a_planted_bug() {
    let tiny = Tiny::new();
    let mut subject = kernel(Model::Planted, &tiny);
    let met = walk(&tiny, &mut subject, Reference::new(tiny.limits.clone()), |_, _| {}).expect_err("the bug is met");
    println!("{met}");
    assert!(matches!(met.what, Wrong::Differs { .. } | Wrong::Probe { .. }));
}
