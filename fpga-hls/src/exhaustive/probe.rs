//! Laying a book open from outside, by commands alone.
//!
//! A cancel by the wrong owner changes nothing, and tells whether a slot lives and whose it is. Then both sides are swept
//! by takers that trade with everybody: they meet every order in the order of its priority, with all its leaves. A sweep needs a
//! free slot. Where every slot is live one order is cancelled first; that is done once for each of them, so that each pair of
//! neighbours in a queue is seen.

use super::stream::Stream;
use super::{Subject, Tiny, Wrong, book};
use crate::abi::{Command, Event, Kind, SelfTrade, Side, TimeInForce};
use crate::matcher::Twin;

/// Compares a subject's book with an oracle's; returns how many commands that took. Leaves the subject in another state.
pub(super) fn probe<O: Twin + Clone, S: Subject>(tiny: &Tiny, oracle: &O, subject: &mut S) -> Result<u64, Wrong> {
    let mut asked = 0;
    let mut stream = Stream::default();
    let mut ask = |oracle: &mut O, stream: &mut Stream, command: &Command| {
        asked += 1;
        let mut expected = Vec::new();
        oracle.execute(command, |event| expected.push(event));
        stream.push(command, &expected);
        expected
    };
    let live = book(oracle);
    let mut quiet = oracle.clone();
    for slot in 0..tiny.limits.slots {
        for owner in tiny.owners {
            if live.iter().any(|order| order.slot == slot && order.owner == owner) {
                continue;
            }
            let cancel = Command { slot, owner, kind: Kind::Cancel as u8, ..Command::default() };
            ask(&mut quiet, &mut stream, &cancel);
        }
    }
    let full = live.len() == tiny.limits.slots as usize;
    let victims: Vec<_> = if full { live.iter().map(Some).collect() } else { vec![None] };
    // One way through needs nothing to come back to.
    let opened = if victims.len() > 1 {
        stream.compare(subject).map_err(told)?;
        Some(subject.save())
    } else {
        None
    };
    for victim in victims {
        let mut oracle = quiet.clone();
        if let Some(opened) = &opened {
            subject.load(opened);
        }
        if let Some(order) = victim {
            let cancel =
                Command { slot: order.slot, owner: order.owner, kind: Kind::Cancel as u8, ..Command::default() };
            ask(&mut oracle, &mut stream, &cancel);
        }
        let free = (0..tiny.limits.slots).find(|slot| oracle.order(*slot).is_none());
        let slot = free.expect("a slot is free, or was made free");
        for (side, tick) in [(Side::Buy, tiny.limits.ticks[0] - 1), (Side::Sell, 0)] {
            let sweep = Command {
                owner: tiny.owners[0],
                slot,
                tick,
                qty: tiny.limits.max_qty,
                kind: Kind::New as u8,
                side_tif: Command::side_tif(side, TimeInForce::Ioc),
                flags: Command::flags(SelfTrade::Off, false, false),
                ..Command::default()
            };
            // Each sweep takes something, or was the last.
            for _ in 0..=tiny.limits.slots * tiny.limits.max_qty {
                let events = ask(&mut oracle, &mut stream, &sweep);
                if events.len() == 1 && nothing_traded(&events[0]) {
                    break;
                }
            }
        }
        assert!(book(&oracle).is_empty(), "sweeps without limit leave nothing");
        stream.compare(subject).map_err(told)?;
    }
    Ok(asked)
}

/// A difference in what a probe was answered says that the book is another.
fn told((probe, what): (Command, Wrong)) -> Wrong {
    match what {
        Wrong::Differs { expected, found } => Wrong::Probe { probe, expected, found },
        other => other,
    }
}

fn nothing_traded(event: &Event) -> bool {
    event.kind == crate::abi::EventKind::Cancelled
}
