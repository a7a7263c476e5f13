//! How a venue ends: in good order with everything durable and told, or after a fault with what was released.

use std::time::Duration;

use tracing::{info, warn};
use wirebook_bypass::stream::{StreamError, StreamPort};
use wirebook_matcher::Matcher;

use super::flights::Reader;
use super::{Venue, VenueError};
use crate::journal::Storage;

/// How long a stopping venue tries to send what it still has, in turns of a millisecond.
const LAST_TURNS: u32 = 2_000;

/// How long it then waits for its clients to close, in such turns.
const GOODBYE_TURNS: u32 = 200;

/// The longest that such a turn waits.
pub(super) const LAST_TURN: Duration = Duration::from_millis(1);

impl<P: StreamPort, M: Matcher, S: Storage> Venue<P, M, S> {
    /// Stops in good order.
    pub(super) fn stop(&mut self) -> Result<(), VenueError> {
        info!("stopping: no more orders are taken");
        let now = self.clock.now_ns();
        self.sequencer.seal();
        self.settle(now)?;
        self.wait_for(Reader::Journal, now)?;
        self.keeping.finish()?;
        self.release();
        self.last_words();
        Ok(())
    }

    /// Sends what is released, within a bound, and lets everyone go.
    pub(super) fn last_words(&mut self) {
        if let Err(error) = self.part_with_all() {
            warn!(%error, "while saying goodbye");
        }
    }

    fn part_with_all(&mut self) -> Result<(), StreamError> {
        self.links.stop_listening();
        for turn in 0..LAST_TURNS {
            if turn > 0 && !self.links.behind(self.booking.publisher().streams()) {
                break;
            }
            self.last_turn(true)?;
        }
        self.links.shut();
        // A socket that is dropped with bytes unread takes back what its peer has not read yet: wait for the peers to close.
        for _ in 0..GOODBYE_TURNS {
            self.last_turn(false)?;
            if self.links.open() == 0 {
                break;
            }
        }
        Ok(())
    }

    fn last_turn(&mut self, news: bool) -> Result<(), StreamError> {
        let now = self.clock.now_ns();
        self.links.drain()?;
        let streams = self.booking.publisher().streams();
        if news {
            self.links.speak_all(now, &mut self.entry, &mut self.sequencer, streams);
        } else {
            self.links.speak(now, false, &mut self.entry, &mut self.sequencer, streams);
        }
        self.links.flush()?;
        self.links.port().wait(LAST_TURN)
    }
}
