//! The differential harness: two twins and the audit, beat by beat.

use std::fmt;

use wirebook_matcher::Twin;
use wirebook_matcher::abi::{Command, Event};
use wirebook_matcher::flow::{Beats, Coverage, Mix};

/// How far a run goes, and how often it looks inside.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Beats.
    pub beats: u64,
    /// Beats between two looks at digests, and at the inside of both books.
    pub look: u64,
}

/// What a run without a difference has met.
#[derive(Debug, Default)]
pub struct Met {
    /// Kinds and outcomes.
    pub coverage: Coverage,
    /// The most orders live at a look.
    pub most_live: usize,
    /// The longest queue at a look.
    pub longest_queue: usize,
}

/// Where two twins differ.
#[derive(Debug)]
pub struct Difference {
    /// The beat's number, from 1.
    pub beat: u64,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "beat {}: {}", self.beat, self.what)
    }
}

/// What a twin answers to one command.
pub fn answer(twin: &mut impl Twin, command: &Command, events: &mut Vec<Event>) {
    events.clear();
    twin.execute(command, |event| events.push(event));
}

/// Drives both twins with the same seeded beats; the first difference is the result. `inside` looks for contradictions.
pub fn compare<A: Twin, B: Twin>(
    (mix, seed): (Mix, u64),
    run: Run,
    (left, right): (&mut A, &mut B),
    inside: impl Fn(&A, &B) -> Result<(), String>,
) -> Result<Met, Difference> {
    let mut beats = Beats::new(mix, seed);
    let mut met = Met::default();
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for beat in 1..=run.beats {
        let fail = |what| Err(Difference { beat, what });
        let command = beats.next_beat();
        answer(left, &command, &mut expected);
        answer(right, &command, &mut found);
        if expected != found {
            return fail(format!("{command:?}\n left: {expected:#?}\nright: {found:#?}"));
        }
        // Quantity is conserved, and each slot holds what the events say.
        if let Err(violation) = beats.observe(&command, &expected) {
            return fail(violation.to_string());
        }
        for slot in [command.slot, command.slot2].into_iter().chain(expected.iter().map(|event| event.maker)) {
            let known = beats.audit().order(slot).copied();
            if left.order(slot) != known || right.order(slot) != known {
                return fail(format!("slot {slot} after {command:?}"));
            }
        }
        met.coverage.count(&command, &expected);
        if beat % run.look == 0 || beat == run.beats {
            if left.digest() != right.digest() {
                return fail(format!("digests differ after {command:?}"));
            }
            let (live, longest) = queues(left);
            if live != beats.audit().live().len() {
                return fail(format!("{live} orders are live, by the events {}", beats.audit().live().len()));
            }
            if let Err(what) = inside(left, right) {
                return fail(what);
            }
            met.most_live = met.most_live.max(live);
            met.longest_queue = met.longest_queue.max(longest);
        }
    }
    Ok(met)
}

/// How many orders are live, and how many of them stand in the longest queue.
fn queues(twin: &impl Twin) -> (usize, usize) {
    let (mut live, mut longest, mut queue, mut last) = (0, 0, 0, None);
    twin.orders(|order| {
        let place = Some((order.instrument, order.side, order.tick));
        queue = if place == last { queue + 1 } else { 1 };
        last = place;
        live += 1;
        longest = longest.max(queue);
    });
    (live, longest)
}
