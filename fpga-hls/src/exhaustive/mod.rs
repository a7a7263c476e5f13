//! Every reachable state of a tiny book, and every command in each of them.
//!
//! [`walk`] begins with the empty book, tries every command of [`Tiny::commands`] in every state that it reaches, and compares
//! what a subject answers with what the oracle answers, event by event; [`properties`] are looked at besides. A subject is
//! anything whose state can be kept and taken up again: a twin in this process, or the Verilated kernel with all its
//! registers and memories.
//!
//! A state is what the oracle's book shows: which orders live, where, in what order. A subject may have many states inside
//! for one of these (what a dead slot's memory holds); every command is tried in the one in which the walk first came to it.
//! After each command that changes the book, whatever state it leads to, the subject is *probed*: commands that lay the whole
//! book open, owners, order of the queues and leaves, must be answered alike too. After a command that changes nothing the
//! subject goes on as it stands, and is probed when all commands have been tried, so that a refusal that did change
//! something is seen. Commands that change nothing are given to the subject together with the next that does, one behind the other: hardware
//! answers them as a stream.

mod commands;
mod probe;
pub mod properties;
mod stream;

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

pub use commands::Tiny;
pub use properties::Property;
use stream::Stream;

use crate::abi::{Command, Event, EventKind, Reason};
use crate::flow::Coverage;
use crate::matcher::{Resting, Twin};

/// More states than any tiny book has; a subject that is a state behind for ever must not run for ever.
const MOST_STATES: usize = 1 << 20;

/// Numbers of reasons that refuse, and 0.
const REASONS: usize = Reason::QtyRange as usize + 1;

/// Which of the states a walk compares: every `of`-th, from the `index`-th on. All states are passed through, so that walks of all shares
/// together compare what one of the whole does, and can do so at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, below `of`.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// Every state.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    fn holds(self, state: usize) -> bool {
        state as u64 % self.of == self.index
    }
}

/// Something that answers, and whose whole state can be kept.
pub trait Subject {
    /// Everything that decides its answers.
    type State;

    /// Its state now.
    fn save(&mut self) -> Self::State;

    /// Goes back to a state.
    fn load(&mut self, state: &Self::State);

    /// Answers a command.
    ///
    /// # Errors
    /// What went wrong, when it did not answer at all.
    fn answer(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<(), String>;

    /// Answers several, one behind the other.
    ///
    /// # Errors
    /// As [`Subject::answer`].
    fn answer_all(&mut self, commands: &[Command], events: &mut Vec<Event>) -> Result<(), String> {
        commands.iter().try_for_each(|command| self.answer(command, events))
    }
}

impl<T: Twin + Clone> Subject for T {
    type State = T;

    fn save(&mut self) -> T {
        self.clone()
    }

    fn load(&mut self, state: &T) {
        self.clone_from(state);
    }

    fn answer(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<(), String> {
        self.execute(command, |event| events.push(event));
        Ok(())
    }
}

/// What a walk has seen.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// States, the empty book among them.
    pub states: u64,
    /// Those of them in which the subject was compared.
    pub compared: u64,
    /// Commands of each.
    pub commands: u64,
    /// Pairs of both that were compared: all, or without refusals that were passed over.
    pub transitions: u64,
    /// Those that changed the book.
    pub changes: u64,
    /// Commands that laid a book open after a change.
    pub probes: u64,
    /// Events compared.
    pub events: u64,
    /// Refusals, by reason as its number.
    pub refusals: [u64; REASONS],
    /// What was not refused: kinds and outcomes.
    pub coverage: Coverage,
}

impl fmt::Display for Walked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, compared, commands, transitions, changes, probes, events, .. } = self;
        write!(
            f,
            "{states} states, {commands} commands; in {compared} states {transitions} answers compared ({events} events), "
        )?;
        write!(f, "{changes} changes laid open by {probes} probes")
    }
}

/// Where a walk ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The book in which it happened.
    pub book: Vec<Resting>,
    /// Commands that lead from the empty book to it.
    pub path: Vec<Command>,
    /// The command.
    pub command: Command,
    /// What is wrong.
    pub what: Wrong,
}

/// What can be wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Not the oracle's.
    Differs {
        /// The oracle's events.
        expected: Vec<Event>,
        /// The subject's.
        found: Vec<Event>,
    },
    /// The book after it is not the oracle's: told by this command, after others that opened the book.
    Probe {
        /// What was asked last.
        probe: Command,
        /// The oracle's events.
        expected: Vec<Event>,
        /// The subject's.
        found: Vec<Event>,
    },
    /// There is none.
    Silent(String),
    /// It breaks a property, whoever else agrees.
    Property(Property),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "in the book {:#?}\nmade by {:#?}\n{:?}:", self.book, self.path, self.command)?;
        match &self.what {
            Wrong::Differs { expected, found } => write!(f, "expected {expected:#?}\nfound {found:#?}"),
            Wrong::Probe { probe, expected, found } => {
                write!(f, "afterwards, {probe:?}: expected {expected:#?}\nfound {found:#?}")
            }
            Wrong::Silent(why) => write!(f, "no answer: {why}"),
            Wrong::Property(property) => write!(f, "{property}"),
        }
    }
}

/// A state on the way: how it was reached, the oracle there, the subject there.
struct Node<O, S> {
    from: usize,
    by: Command,
    oracle: O,
    subject: S,
}

/// Compares a subject with an oracle, from the empty book of both, in every state of the share and for every command, but for refusals that
/// [`Tiny::one_refusal_in`] passes over. `progress` hears
/// the states done and known.
///
/// # Errors
/// The first difference, silence or broken property.
///
/// # Panics
/// When the share is none.
pub fn walk<O: Twin + Clone, S: Subject>(
    tiny: &Tiny,
    share: Share,
    subject: &mut S,
    oracle: O,
    mut progress: impl FnMut(u64, u64),
) -> Result<Walked, Box<Found>> {
    assert!(share.index < share.of && tiny.one_refusal_in > 0, "{share:?}, one refusal in {}", tiny.one_refusal_in);
    let commands = tiny.commands();
    let mut walked = Walked { commands: commands.len() as u64, ..Walked::default() };
    let mut known: BTreeMap<Vec<[u8; 24]>, usize> = BTreeMap::from([(key(&book(&oracle)), 0)]);
    let mut nodes = vec![Node { from: 0, by: Command::default(), oracle, subject: Some(subject.save()) }];
    let mut waiting = VecDeque::from([0]);
    let (mut expected, mut stream) = (Vec::new(), Stream::default());
    while let Some(at) = waiting.pop_front() {
        let oracle = nodes[at].oracle.clone();
        let here = nodes[at].subject.take().expect("a state waits once");
        let before = book(&oracle);
        let compared = share.holds(at);
        if compared {
            subject.load(&here);
        }
        let mut next = oracle.clone();
        let fail = |nodes: &[_], (command, what)| {
            Box::new(Found { book: before.clone(), path: path(nodes, at), command, what })
        };
        for (turn, command) in (at as u64..).zip(&commands) {
            expected.clear();
            next.execute(command, |event| expected.push(event));
            let refused = matches!(expected[0].kind, EventKind::Rejected | EventKind::Done);
            if compared && !(refused && turn % tiny.one_refusal_in != 0) {
                stream.push(command, &expected);
                walked.transitions += 1;
                walked.events += expected.len() as u64;
                if refused {
                    walked.refusals[expected[0].reason as usize] += 1;
                }
            }
            if refused {
                continue;
            }
            let after = book(&next);
            if compared {
                walked.coverage.count(command, &expected);
                properties::check(&before, command, &expected, &after)
                    .map_err(|broken| fail(&nodes, (*command, Wrong::Property(broken))))?;
            }
            if before == after {
                continue;
            }
            let count = nodes.len();
            let entry = known.entry(key(&after));
            let is_new = matches!(entry, Entry::Vacant(_));
            if is_new && !compared {
                // The subject only comes along.
                subject.load(&here);
                stream.push(command, &expected);
            }
            stream.compare(subject).map_err(|wrong| fail(&nodes, wrong))?;
            entry.or_insert_with(|| {
                assert!(count < MOST_STATES, "a tiny book has fewer states");
                nodes.push(Node { from: at, by: *command, oracle: next.clone(), subject: Some(subject.save()) });
                waiting.push_back(count);
                count
            });
            if compared {
                walked.changes += 1;
                walked.probes += probe::probe(tiny, &next, subject).map_err(|wrong| fail(&nodes, (*command, wrong)))?;
                subject.load(&here);
            }
            next.clone_from(&oracle);
        }
        assert_eq!(book(&next), before, "the oracle keeps its book when it refuses");
        if compared {
            stream.compare(subject).map_err(|wrong| fail(&nodes, wrong))?;
            let last = commands[commands.len() - 1];
            walked.probes += probe::probe(tiny, &next, subject).map_err(|wrong| fail(&nodes, (last, wrong)))?;
            walked.compared += 1;
        }
        walked.states += 1;
        progress(walked.states, nodes.len() as u64);
    }
    Ok(walked)
}

fn book(twin: &impl Twin) -> Vec<Resting> {
    let mut book = Vec::new();
    twin.orders(|order| book.push(order));
    book
}

fn key(book: &[Resting]) -> Vec<[u8; 24]> {
    book.iter().map(Resting::to_bytes).collect()
}

/// The commands that lead to a state.
fn path<O, S>(nodes: &[Node<O, S>], mut at: usize) -> Vec<Command> {
    let mut path = Vec::new();
    while at != 0 {
        path.push(nodes[at].by);
        at = nodes[at].from;
    }
    path.reverse();
    path
}
