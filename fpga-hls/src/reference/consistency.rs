//! What holds of every book at rest: each live order stands once where it says, no queue is empty, nothing crosses.

use super::Reference;
use crate::abi::Side;
use crate::consistency::{Broken, require};

/// Looks at everything; the cost is the size of the book and of the slots.
pub(super) fn check(reference: &Reference) -> Result<(), Broken> {
    let mut queued = 0usize;
    for (instrument, book) in reference.books.iter().enumerate() {
        for side in Side::ALL {
            for (tick, queue) in book.side(side) {
                require(!queue.is_empty(), || format!("instrument {instrument} {side:?} {tick}: an empty queue"))?;
                for slot in queue {
                    let place = reference.orders.get(*slot as usize).copied().flatten();
                    require(
                        place.is_some_and(|o| {
                            (usize::from(o.instrument), o.side, o.tick, o.slot) == (instrument, side, *tick, *slot)
                                && o.leaves > 0
                        }),
                        || format!("instrument {instrument} {side:?} {tick}: slot {slot} is queued, but is {place:?}"),
                    )?;
                    queued += 1;
                }
            }
        }
        let (bid, ask) = (book.best(Side::Buy), book.best(Side::Sell));
        let crossed = matches!((bid, ask), (Some(bid), Some(ask)) if bid >= ask);
        require(!crossed, || format!("instrument {instrument}: crossed, bid {bid:?} ask {ask:?}"))?;
    }
    let live = reference.orders.iter().flatten().count();
    require(live == queued, || format!("{live} orders are live, {queued} stand in queues"))
}
