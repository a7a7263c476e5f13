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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Limits;
    use crate::matcher::{Resting, Twin};
    use std::collections::VecDeque;

    /// Something that goes wrong inside.
    type Wrong = fn(&mut Reference);

    fn book() -> Reference {
        let mut twin = Reference::new(Limits::single(70, 8));
        for (slot, side, tick) in [(0, Side::Buy, 20), (1, Side::Buy, 20), (3, Side::Sell, 66)] {
            twin.restore(&Resting { slot, instrument: 0, owner: 1, side, tick, leaves: 5 }).unwrap();
        }
        twin
    }

    #[test]
    fn every_contradiction_is_noticed() {
        assert_eq!(book().check(), Ok(()));
        let wrongs: [(&str, Wrong); 5] = [
            ("an empty queue", |twin| drop(twin.books[0].bids.insert(9, VecDeque::new()))),
            ("a dead order in a queue", |twin| twin.orders[1] = None),
            ("a live order in no queue", |twin| drop(twin.books[0].asks.remove(&66))),
            ("another price", |twin| twin.orders[0].as_mut().unwrap().tick = 21),
            ("a crossed book", |twin| {
                twin.orders[3].as_mut().unwrap().tick = 20;
                let queue = twin.books[0].asks.remove(&66).unwrap();
                twin.books[0].asks.insert(20, queue);
            }),
        ];
        for (what, wrong) in wrongs {
            let mut twin = book();
            wrong(&mut twin);
            assert!(twin.check().is_err(), "{what}");
        }
    }
}
