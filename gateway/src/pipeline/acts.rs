//! What an operator asks of the venue, done: halts and marks, transfers, the day's end and the next one's beginning.

use tracing::warn;
use wirebook_bypass::stream::StreamPort;
use wirebook_matcher::Matcher;
use wirebook_settlement::record::{Chain, DayPhase, Leg, MAX_LEGS, Payload, State};

use super::{Control, Venue, VenueError, session_id};
use crate::day;
use crate::journal::Storage;

impl<P: StreamPort, M: Matcher, S: Storage> Venue<P, M, S> {
    /// Does what an operator asks, once nothing is under way: what is refused, and what a day's end cancels, follows from the books.
    pub(super) fn act(&mut self, control: Control, now: u64) -> Result<(), VenueError> {
        self.settle(now)?;
        let payload = match control {
            Control::Stop => return Ok(()),
            Control::Submit(payload) => *payload,
            Control::Transfer(legs, answer) => {
                let done = self.transfer(&legs, now);
                // Who asked may have stopped waiting.
                let _ = answer.send(done);
                return Ok(());
            }
            Control::Day(phase) => match self.day(phase, now) {
                Some(state) => Payload::State(state),
                None => {
                    warn!("the day cannot {phase:?}: it has, or today's session names are used up");
                    return Ok(());
                }
            },
        };
        if let Err(refused) = self.entry.submit(&payload, now, &mut self.sequencer) {
            warn!(%refused, "refused what was asked of the venue");
            return Ok(());
        }
        if let Payload::State(State::Day { phase, session_name, .. }) = payload {
            // The session's last messages must be there before its end is told.
            self.settle(now)?;
            match phase {
                DayPhase::Close => self.links.end_session(now),
                DayPhase::Open => self.links.set_session(session_id(session_name)),
            }
        }
        Ok(())
    }

    /// Makes the record of some transfers, if the books allow them: its seq, or why not. Nothing is under way, so that what the books
    /// say now is what they will say of the record.
    fn transfer(&mut self, legs: &[Leg], now: u64) -> Result<u64, String> {
        let time_ns = self.sequencer.clock(now);
        if let Some(refusal) = self.booking.refuses(time_ns, legs) {
            return Err(refusal.to_string());
        }
        let mut bytes = Vec::new();
        let payload = match (legs, Chain::new(legs, &mut bytes)) {
            (_, Some(chain)) => Payload::Chain(chain),
            ([plain], None) => Payload::Transfer(plain.transfer),
            _ => return Err(format!("{} transfers, allowed 1 to {MAX_LEGS}", legs.len())),
        };
        self.entry.submit(&payload, now, &mut self.sequencer).map_err(|refused| refused.to_string())
    }

    fn day(&self, phase: DayPhase, now: u64) -> Option<State> {
        let today = self.booking.books().registry().day();
        let open = today.filter(|today| today.phase == DayPhase::Open);
        match phase {
            DayPhase::Close => open.map(|today| day::close(today.session_name)),
            DayPhase::Open if open.is_some() => None,
            DayPhase::Open => day::open(now, today.map(|today| today.session_name)),
        }
    }
}
