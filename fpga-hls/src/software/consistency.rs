//! What holds between commands: queues, ladders and orders tell the same story, and nothing crosses.

use super::ladder::NONE;
use super::{Band, Software};
use crate::abi::Side;
use crate::consistency::{Broken, require};

/// Looks at everything; the cost is the size of the bands and of the slots.
pub(super) fn check(twin: &Software) -> Result<(), Broken> {
    let mut queued = 0;
    for (instrument, band) in twin.bands.iter().enumerate() {
        for tick in 0..band.ticks {
            queued += level(twin, instrument, band, tick)?;
        }
        for side in Side::ALL {
            let agrees = band.ladders.agrees(&twin.book.words, side as u32);
            require(agrees, || format!("instrument {instrument} {side:?}: the levels of the ladder disagree"))?;
        }
        let best = Side::ALL.map(|side| band.ladders.best(&twin.book.words, side as u32));
        for (side, best) in Side::ALL.into_iter().zip(best) {
            let bound = band.bound[side as usize];
            require(bound <= best, || format!("instrument {instrument} {side:?}: bound {bound}, but best {best}"))?;
        }
        let [bid, ask] = [band.ladders.flip(best[0], 0), best[1]];
        let crossed = best[0] != NONE && ask != NONE && bid >= ask;
        require(!crossed, || format!("instrument {instrument}: crossed, bid {bid} ask {ask}"))?;
    }
    let book = &twin.book;
    let live = (0..twin.limits.slots).filter(|slot| book.leaves(book.links_of(*slot)) > 0).count();
    require(live == queued, || format!("{live} orders are live, {queued} stand in queues"))
}

/// One tick's queue, forwards, with its links backwards; the number of its orders.
fn level(twin: &Software, instrument: usize, band: &Band, tick: u32) -> Result<usize, Broken> {
    let book = &twin.book;
    let level = band.levels + tick;
    let [bid, ask] =
        Side::ALL.map(|side| band.ladders.has(&book.words, band.ladders.flip(tick, side as u32), side as u32));
    let here = || format!("instrument {instrument} tick {tick}");
    require(!(bid && ask), || format!("{}: bids and asks", here()))?;
    let there = book.cells[level as usize];
    require((bid || ask) == (there.next != level), || format!("{}: the ladder and {there:?} disagree", here()))?;
    let side = u32::from(ask);
    let (mut count, mut prev, mut links) = (0, level, there.next);
    while links != level {
        let is_order =
            (links as usize) < book.cells.len() && links >= book.base && (links - book.base).is_multiple_of(2);
        require(is_order, || format!("{}: {links} is no order", here()))?;
        let right = book.prev(links) == prev
            && book.leaves(links) > 0
            && book.leaves(links) <= twin.limits.max_qty
            && book.place(links) == (level, side);
        let order = || &book.cells[links as usize..links as usize + 2];
        require(right, || format!("{}: slot {} after {prev} is {:?}", here(), book.slot_of(links), order()))?;
        count += 1;
        require(count <= twin.limits.slots as usize, || format!("{}: the queue is a circle", here()))?;
        (prev, links) = (links, book.next(links));
    }
    require(there.prev == prev, || format!("{}: the tail is {}, not {prev}", here(), there.prev))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Limits;
    use crate::matcher::{Resting, Twin};
    use crate::software::book::Cell;

    /// Something that goes wrong inside.
    type Wrong = fn(&mut Software);

    /// Three bids at one price, two asks at another.
    fn book() -> Software {
        let mut twin = Software::new(Limits { ticks: vec![70, 3], slots: 8, max_qty: 9 });
        for (slot, side, tick) in
            [(0, Side::Buy, 20), (1, Side::Buy, 20), (2, Side::Buy, 20), (3, Side::Sell, 66), (4, Side::Sell, 66)]
        {
            twin.restore(&Resting { slot, instrument: 0, owner: 1, side, tick, leaves: 5 }).unwrap();
        }
        twin
    }

    fn order(twin: &Software, slot: u32) -> u32 {
        twin.book.links_of(slot)
    }

    fn links(twin: &mut Software, slot: u32) -> &mut Cell {
        let links = order(twin, slot);
        &mut twin.book.cells[links as usize]
    }

    fn what_is(twin: &mut Software, slot: u32) -> &mut Cell {
        let links = order(twin, slot);
        &mut twin.book.cells[links as usize + 1]
    }

    /// Each thing that can be wrong inside is noticed, and a book that is right is not.
    #[test]
    fn every_contradiction_is_noticed() {
        assert_eq!(book().check(), Ok(()));
        let wrongs: [(&str, Wrong); 13] = [
            ("a link forwards", |twin| links(twin, 0).next = order(twin, 2)),
            ("a link backwards", |twin| links(twin, 1).prev = order(twin, 2)),
            ("a circle", |twin| links(twin, 2).next = order(twin, 0)),
            ("a slot that does not exist", |twin| links(twin, 2).next = 999),
            ("a tail", |twin| twin.book.cells[20].prev = order(twin, 1)),
            ("a head", |twin| twin.book.cells[20].next = order(twin, 1)),
            ("a queue that the ladder does not know", |twin| twin.book.cells[30].next = order(twin, 5)),
            ("a dead order in a queue", |twin| what_is(twin, 1).next = 0),
            ("too many lots", |twin| what_is(twin, 1).next = 10),
            ("a live order in no queue", |twin| what_is(twin, 7).next = 1),
            ("another instrument", |twin| what_is(twin, 3).prev += 70 << 1),
            ("a bit of the ladder", |twin| twin.bands[0].ladders.set(&mut twin.book.words, 5, 1)),
            ("a bound above the best", |twin| twin.bands[0].bound[1] = 67),
        ];
        for (what, wrong) in wrongs {
            let mut twin = book();
            wrong(&mut twin);
            assert!(twin.check().is_err(), "{what}");
        }
    }
}
