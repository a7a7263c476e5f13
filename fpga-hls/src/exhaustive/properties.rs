//! What every answer must satisfy, whoever gave it: said of the book before, the events, and the book after, and of nothing
//! that a matcher does inside.
//!
//! 1. Quantity is conserved: what rested, and what came, is what rests, what traded (on both sides), and what went.
//! 2. No trade beyond the taker's limit, and each at the maker's price.
//! 3. Only the head of the best level trades, or goes because it is its taker's own.
//! 4. The book is never crossed at rest.

use crate::abi::{Command, Event, EventKind, Kind, NO_SLOT, Side};
use crate::matcher::Resting;

/// Which of the four does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Property {
    /// Lots were lost or made.
    #[error("quantity is not conserved")]
    Conserved,
    /// A fill beyond the limit, or at another price than its maker's.
    #[error("a trade through the limit, or not at the maker's price")]
    Limit,
    /// A maker that is not the first.
    #[error("a maker that is not the head of the best level")]
    Head,
    /// Best bid at or above best ask.
    #[error("the book is crossed at rest")]
    Crossed,
}

impl Property {
    /// Every property.
    pub const ALL: [Self; 4] = [Self::Conserved, Self::Limit, Self::Head, Self::Crossed];
}

/// Looks at one command and its answer. Both books are lists as `Twin::orders` hands them over: bids before asks, best
/// price first, oldest first.
///
/// # Errors
/// The first property that does not hold.
pub fn check(before: &[Resting], command: &Command, events: &[Event], after: &[Resting]) -> Result<(), Property> {
    let mut queue = before.to_vec();
    // Lots of the order that enters, and its side and limit; nothing enters with a cancel or a reduce.
    let mut entered = 0u64;
    let mut taker = None;
    let refused = events.first().is_some_and(|event| event.kind == EventKind::Rejected);
    if command.kind == Kind::New as u8 && !refused {
        entered = u64::from(command.qty);
        taker = Some((command.side(), command.tick));
    }
    let (mut traded, mut gone) = (0u64, 0u64);
    for event in events {
        match event.kind {
            EventKind::Fill => {
                let (side, limit) = taker.ok_or(Property::Conserved)?;
                let maker = head(&queue, side.opposite()).ok_or(Property::Head)?;
                if queue[maker].slot != event.maker {
                    return Err(Property::Head);
                }
                let reached = match side {
                    Side::Buy => event.tick <= limit,
                    Side::Sell => event.tick >= limit,
                };
                if !reached || event.tick != queue[maker].tick {
                    return Err(Property::Limit);
                }
                traded += u64::from(event.qty);
                let left = queue[maker].leaves.checked_sub(event.qty).ok_or(Property::Conserved)?;
                queue[maker].leaves = left;
                if left == 0 {
                    queue.remove(maker);
                }
            }
            EventKind::Cancelled if event.maker != NO_SLOT => {
                let (side, _) = taker.ok_or(Property::Head)?;
                let maker = head(&queue, side.opposite()).ok_or(Property::Head)?;
                if queue[maker].slot != event.maker {
                    return Err(Property::Head);
                }
                gone += u64::from(event.qty);
                queue.remove(maker);
            }
            EventKind::Cancelled | EventKind::Reduced => gone += u64::from(event.qty),
            EventKind::Replaced => {
                let at = queue.iter().position(|order| order.slot == event.maker).ok_or(Property::Conserved)?;
                let old = queue.remove(at);
                gone += u64::from(old.leaves);
                entered += u64::from(event.qty);
                taker = Some((old.side, event.tick));
            }
            EventKind::Done | EventKind::Rested | EventKind::Rejected => {}
        }
    }
    if lots(before) + entered != lots(after) + 2 * traded + gone {
        return Err(Property::Conserved);
    }
    match (head(after, Side::Buy), head(after, Side::Sell)) {
        (Some(bid), Some(ask)) if after[bid].tick >= after[ask].tick => Err(Property::Crossed),
        _ => Ok(()),
    }
}

/// Where the first order of a side stands.
fn head(book: &[Resting], side: Side) -> Option<usize> {
    book.iter().position(|order| order.side == side)
}

fn lots(book: &[Resting]) -> u64 {
    book.iter().map(|order| u64::from(order.leaves)).sum()
}
