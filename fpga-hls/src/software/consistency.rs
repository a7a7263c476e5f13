//! What holds between commands: queues, ladders and orders tell the same story, and nothing crosses.

use super::book::NIL;
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
            let agrees = band.ladders[side as usize].agrees(&twin.book.words);
            require(agrees, || format!("instrument {instrument} {side:?}: the levels of the ladder disagree"))?;
        }
        let [bids, asks] = band.ladders;
        let (bid, ask) = (bids.best(&twin.book.words), asks.best(&twin.book.words));
        let crossed = bid != NONE && ask != NONE && bid ^ bids.flip >= ask;
        require(!crossed, || format!("instrument {instrument}: crossed, bid {} ask {ask}", bid ^ bids.flip))?;
    }
    let live = twin.book.orders.iter().filter(|order| order.leaves > 0).count();
    require(live == queued, || format!("{live} orders are live, {queued} stand in queues"))
}

/// One tick's queue, forwards, with its links backwards; the number of its orders.
fn level(twin: &Software, instrument: usize, band: &Band, tick: u32) -> Result<usize, Broken> {
    let level = twin.book.levels[band.levels + tick as usize];
    let [bid, ask] = Side::ALL.map(|side| {
        let ladder = &band.ladders[side as usize];
        ladder.has(&twin.book.words, tick ^ ladder.flip)
    });
    let here = || format!("instrument {instrument} tick {tick}");
    require(!(bid && ask), || format!("{}: bids and asks", here()))?;
    require((bid || ask) == (level.head != NIL), || format!("{}: the ladder and {level:?} disagree", here()))?;
    let side = if bid { Side::Buy } else { Side::Sell };
    let (mut count, mut prev, mut slot) = (0, NIL, level.head);
    while slot != NIL {
        require((slot as usize) < twin.book.orders.len(), || format!("{}: slot {slot} does not exist", here()))?;
        let order = &twin.book.orders[slot as usize];
        let right = order.prev == prev
            && order.leaves > 0
            && order.leaves <= twin.limits.max_qty
            && (order.tick(), order.side()) == (tick, side)
            && usize::from(twin.book.tags[slot as usize].instrument) == instrument;
        require(right, || format!("{} {side:?}: slot {slot} after {prev} is {order:?}", here()))?;
        count += 1;
        require(count <= twin.book.orders.len(), || format!("{}: the queue is a circle", here()))?;
        (prev, slot) = (slot, order.next);
    }
    require(level.tail == prev, || format!("{}: the tail is {}, not {prev}", here(), level.tail))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Limits;
    use crate::matcher::{Resting, Twin};

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

    /// Each thing that can be wrong inside is noticed, and a book that is right is not.
    #[test]
    fn every_contradiction_is_noticed() {
        assert_eq!(book().check(), Ok(()));
        let wrongs: [(&str, Wrong); 12] = [
            ("a link forwards", |twin| twin.book.orders[0].next = 2),
            ("a link backwards", |twin| twin.book.orders[1].prev = 2),
            ("a circle", |twin| twin.book.orders[2].next = 0),
            ("a slot that does not exist", |twin| twin.book.orders[2].next = 99),
            ("a tail", |twin| twin.book.levels[20].tail = 1),
            ("a head", |twin| twin.book.levels[20].head = 1),
            ("a queue that the ladder does not know", |twin| twin.book.levels[30].head = 5),
            ("a dead order in a queue", |twin| twin.book.orders[1].leaves = 0),
            ("too many lots", |twin| twin.book.orders[1].leaves = 10),
            ("a live order in no queue", |twin| twin.book.orders[7].leaves = 1),
            ("another instrument", |twin| twin.book.tags[3].instrument = 1),
            ("a bit of the ladder", |twin| {
                let ladder = twin.bands[0].ladders[1];
                ladder.set(&mut twin.book.words, 5);
            }),
        ];
        for (what, wrong) in wrongs {
            let mut twin = book();
            wrong(&mut twin);
            assert!(twin.check().is_err(), "{what}");
        }
    }
}
