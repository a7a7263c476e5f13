//! A book enters a device: as the commands that make it.
//!
//! Entering the live orders again in the order that [`Twin::orders`] gives (best price first, oldest first) makes the same book, and as a
//! book at rest is not crossed, each is answered by one `rested`. Anything else says that the device is not fit to be followed.

use thiserror::Error;

use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, Reason, TimeInForce};
use crate::device::{Clock, DeviceError, LEAST_POLLS};
use crate::matcher::{Matcher, Resting, Twin};

/// Commands and events at a time.
const BATCH: usize = 64;

/// Why a device does not take a book.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Commands are outstanding.
    #[error("commands are outstanding: poll until the matcher is not busy, then try again")]
    Busy,
    /// It does not start.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// It failed meanwhile.
    #[error("the device fails while it is given the book: {reason}")]
    Failed {
        /// In the driver's words.
        reason: String,
    },
    /// It does not answer.
    #[error(
        "the device takes more than {waited_ns} ns over order {at} of {orders} while it is given the book; reset it"
    )]
    Late {
        /// How long.
        waited_ns: u64,
        /// The order that it owes an answer for.
        at: usize,
        /// Orders in the book.
        orders: usize,
    },
    /// It does not rest what it is given.
    #[error("given the resting order {order:?}, the device answers {said:?}; reset it")]
    Refused {
        /// The order.
        order: Resting,
        /// The answer.
        said: Event,
    },
}

/// Enters every live order of `twin` into `device`, whose books are empty.
pub(super) fn load<M: Matcher, T: Twin>(
    device: &mut M,
    twin: &T,
    late_ns: u64,
    clock: &impl Clock,
) -> Result<(), LoadError> {
    let mut orders = Vec::new();
    twin.orders(|order| orders.push(order));
    let commands: Vec<Command> = orders.iter().zip(1..).map(|(order, seq)| enter(order, seq)).collect();
    let (mut sent, mut answered) = (0, 0);
    let (mut since, mut polls) = (clock.now_ns(), 0);
    while answered < orders.len() {
        let end = commands.len().min(sent + BATCH);
        sent += device.submit(&commands[sent..end]);
        let mut events = [Event::BLANK; BATCH];
        let count = device.poll(&mut events);
        for event in &events[..count] {
            let Some(order) = orders.get(answered) else {
                return Err(LoadError::Failed { reason: format!("{event:?} came after the last answer") });
            };
            if *event != rested(order, commands[answered].seq) {
                return Err(LoadError::Refused { order: *order, said: *event });
            }
            answered += 1;
        }
        if count > 0 {
            (since, polls) = (clock.now_ns(), 0);
            continue;
        }
        if let Some(reason) = device.failure() {
            return Err(LoadError::Failed { reason });
        }
        polls += 1;
        let waited_ns = clock.now_ns().saturating_sub(since);
        if waited_ns >= late_ns && polls >= LEAST_POLLS {
            return Err(LoadError::Late { waited_ns, at: answered, orders: orders.len() });
        }
    }
    Ok(())
}

fn enter(order: &Resting, seq: u64) -> Command {
    Command {
        seq,
        instrument: order.instrument,
        owner: order.owner,
        slot: order.slot,
        tick: order.tick,
        qty: order.leaves,
        kind: Kind::New as u8,
        side_tif: Command::side_tif(order.side, TimeInForce::Gtc),
        ..Command::default()
    }
}

fn rested(order: &Resting, seq: u64) -> Event {
    Event {
        seq,
        taker: order.slot,
        maker: NO_SLOT,
        tick: order.tick,
        qty: order.leaves,
        index: 0,
        kind: EventKind::Rested,
        reason: Reason::None,
        freed: 0,
        last: true,
    }
}
