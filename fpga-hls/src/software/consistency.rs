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
        check_bests(twin, instrument)?;
    }
    #[cfg(debug_assertions)]
    {
        let lots: i128 =
            (0..twin.limits.slots).map(|slot| i128::from(twin.book.leaves(twin.book.links_of(slot)))).sum();
        require(lots == twin.resting, || format!("{lots} lots rest, {} by the events", twin.resting))?;
    }
    let book = &twin.book;
    let live = (0..twin.limits.slots).filter(|slot| book.leaves(book.links_of(*slot)) > 0).count();
    require(live == queued, || format!("{live} orders are live, {queued} stand in queues"))
}

/// The bests of an instrument, which need not exist: bounded, not crossed.
pub(super) fn check_bests(twin: &Software, instrument: usize) -> Result<(), Broken> {
    let Some(band) = twin.bands.get(instrument) else { return Ok(()) };
    let best = Side::ALL.map(|side| band.ladders.best(&twin.book.words, side as u32));
    for (side, best) in Side::ALL.into_iter().zip(best) {
        let bound = band.bound[side as usize];
        require(bound <= best, || format!("instrument {instrument} {side:?}: bound {bound}, but best {best}"))?;
    }
    let [bid, ask] = [band.ladders.flip(best[0], 0), best[1]];
    let crossed = best[0] != NONE && ask != NONE && bid >= ask;
    require(!crossed, || format!("instrument {instrument}: crossed, bid {bid} ask {ask}"))
}

/// The order in a slot, which need not exist, with its neighbours and its bit of the ladders: the cost is the same in any book.
#[cfg(debug_assertions)]
pub(super) fn check_around(twin: &Software, slot: u32) -> Result<(), Broken> {
    let book = &twin.book;
    if slot >= twin.limits.slots || book.leaves(book.links_of(slot)) == 0 {
        return Ok(());
    }
    let links = book.links_of(slot);
    let (level, side) = book.place(links);
    let wrong = |what: &str| Broken { what: format!("slot {slot} at level {level}: {what}") };
    let number = twin.bands.partition_point(|band| band.levels <= level).wrapping_sub(1);
    let band =
        twin.bands.get(number).filter(|band| level - band.levels < band.ticks).ok_or_else(|| wrong("no such level"))?;
    let tick = level - band.levels;
    let bits = [0, 1].map(|side| band.ladders.has(&book.words, band.ladders.flip(tick, side), side));
    require(bits == [side == 0, side == 1], || wrong("the ladders disagree").what)?;
    require(book.leaves(links) <= twin.limits.max_qty, || wrong("too many lots").what)?;
    let cell = |at: u32| book.cells.get(at as usize).ok_or_else(|| wrong("a link leads nowhere"));
    let agree = cell(book.next(links))?.prev == links && cell(book.prev(links))?.next == links;
    require(agree, || wrong("a neighbour disagrees").what)
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

    /// A nop changes nothing, but is followed by a look: what is wrong is noticed, if it is about the next command at once, whatever
    /// it is after as many commands as the book has cells.
    #[test]
    #[cfg(debug_assertions)]
    fn a_contradiction_is_noticed_by_the_commands_that_follow() {
        let nop = crate::abi::Command::default();
        book().execute(&nop, |_| ());
        let caught = |mut twin: Software, command: &crate::abi::Command| {
            std::panic::catch_unwind(move || twin.execute(command, |_| ())).is_err()
        };
        for wrong in [
            (|twin| links(twin, 0).next = order(twin, 2)) as Wrong,
            |twin| what_is(twin, 1).next = 4,
            |twin| twin.book.cells[20].prev = order(twin, 1),
            |twin| twin.bands[0].ladders.set(&mut twin.book.words, 5, 1),
            |twin| twin.resting += 1,
        ] {
            let mut twin = book();
            twin.unseen = twin.book.cells.len() as u64 - 1;
            assert!(!caught(twin.clone(), &nop));
            wrong(&mut twin);
            assert!(caught(twin, &nop));
        }
        // At once: what the command is about.
        let large = || {
            let mut twin = Software::new(Limits::single(70_000, 8));
            for slot in 0..3 {
                twin.restore(&Resting { slot, instrument: 0, owner: 0, side: Side::Buy, tick: 20, leaves: 5 }).unwrap();
            }
            twin
        };
        let (kind, qty) = (crate::abi::Kind::Reduce as u8, 1);
        let reduce = crate::abi::Command { slot: 1, qty, kind, ..crate::abi::Command::default() };
        large().execute(&reduce, |_| ());
        for wrong in [
            (|twin| links(twin, 0).next = order(twin, 2)) as Wrong,
            |twin| links(twin, 1).prev = order(twin, 2),
            |twin| what_is(twin, 1).prev += 70_000 << 1,
            |twin| twin.bands[0].ladders.set(&mut twin.book.words, 20, 1),
            |twin| twin.bands[0].bound[0] = NONE,
        ] {
            let mut twin = large();
            wrong(&mut twin);
            assert!(caught(twin, &reduce));
        }
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
