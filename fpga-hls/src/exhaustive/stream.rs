//! Commands given to a subject one behind the other, and what the oracle says to each.

use super::{Subject, Wrong};
use crate::abi::{Command, Event};

/// Commands that are answered by the oracle, and not yet by the subject.
#[derive(Default)]
pub(super) struct Stream {
    commands: Vec<Command>,
    expected: Vec<Event>,
    /// How many of `expected` belong to each command.
    counts: Vec<usize>,
    found: Vec<Event>,
}

impl Stream {
    /// Adds a command and its right answer.
    pub fn push(&mut self, command: &Command, answer: &[Event]) {
        self.commands.push(*command);
        self.counts.push(answer.len());
        self.expected.extend_from_slice(answer);
    }

    /// Lets the subject answer all of them, and empties the stream.
    ///
    /// # Errors
    /// The first command whose answer is not the oracle's, and what is wrong with it.
    pub fn compare<S: Subject>(&mut self, subject: &mut S) -> Result<(), (Command, Wrong)> {
        if self.commands.is_empty() {
            return Ok(());
        }
        self.found.clear();
        let answered = subject.answer_all(&self.commands, &mut self.found);
        let result = match answered {
            Ok(()) if self.found == self.expected => Ok(()),
            Ok(()) => Err(self.difference()),
            Err(why) => Err((self.unanswered(), Wrong::Silent(why))),
        };
        self.commands.clear();
        self.expected.clear();
        self.counts.clear();
        result
    }

    /// Where the answers part: the command whose expected events hold the first that differs. What was found is shown from that command's
    /// first event on, as far as its own go.
    fn difference(&self) -> (Command, Wrong) {
        let parted = self.expected.iter().zip(&self.found).take_while(|(expected, found)| expected == found).count();
        let (mut from, mut which) = (0, self.commands.len() - 1);
        for (at, count) in self.counts.iter().enumerate() {
            if parted < from + count || at == self.commands.len() - 1 {
                which = at;
                break;
            }
            from += count;
        }
        let (command, count) = (self.commands[which], self.counts[which]);
        let end = (from + count.max(parted + 1 - from)).min(self.found.len());
        let expected = self.expected[from..from + count].to_vec();
        (command, Wrong::Differs { expected, found: self.found[from.min(end)..end].to_vec() })
    }

    /// The first command without its whole answer.
    fn unanswered(&self) -> Command {
        let mut end = 0;
        let open = self.counts.iter().position(|count| {
            end += count;
            self.found.len() < end
        });
        self.commands[open.unwrap_or(self.commands.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::EventKind;

    /// Says what it was told to say.
    struct Parrot(Vec<Event>);

    impl Subject for Parrot {
        type State = ();

        fn save(&mut self) {}

        fn load(&mut self, (): &()) {}

        fn answer(&mut self, command: &Command, events: &mut Vec<Event>) -> Result<(), String> {
            let said: Vec<Event> = self.0.iter().filter(|event| event.seq == command.seq).copied().collect();
            events.extend(&said);
            if said.is_empty() { Err("nothing".into()) } else { Ok(()) }
        }
    }

    fn event(seq: u64, index: u32) -> Event {
        Event { seq, index, kind: EventKind::Done, ..Event::BLANK }
    }

    fn compared(said: Vec<Event>) -> Result<(), (Command, Wrong)> {
        let mut stream = Stream::default();
        for (seq, count) in [(1, 1), (2, 3), (3, 1)] {
            let answer: Vec<Event> = (0..count).map(|index| event(seq, index)).collect();
            stream.push(&Command { seq, ..Command::default() }, &answer);
        }
        stream.compare(&mut Parrot(said))
    }

    #[test]
    fn the_first_wrong_answer_is_named_with_its_command() {
        let right = vec![event(1, 0), event(2, 0), event(2, 1), event(2, 2), event(3, 0)];
        assert_eq!(compared(right.clone()), Ok(()));
        for (at, seq) in [(0, 1), (1, 2), (3, 2), (4, 3)] {
            let mut wrong = right.clone();
            wrong[at].qty = 7;
            let (command, what) = compared(wrong).unwrap_err();
            assert_eq!(command.seq, seq);
            assert!(
                matches!(what, Wrong::Differs { expected, found } if expected.len() == found.len() && expected != found)
            );
        }
        let (command, what) = compared([right.clone(), vec![event(3, 1)]].concat()).unwrap_err();
        assert!(
            command.seq == 3
                && matches!(what, Wrong::Differs { expected, found } if (expected.len(), found.len()) == (1, 2))
        );
        let (command, what) = compared(right[..4].to_vec()).unwrap_err();
        assert!(command.seq == 3 && matches!(what, Wrong::Silent(_)));
    }
}
