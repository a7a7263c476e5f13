//! Looking ahead: the cache lines that later commands will touch are asked for before their turn.
//!
//! A command names a slot; its order is far away in a large book. The order's links name its neighbours and its level, which
//! are as far away again. So there are two looks: a [`FAR`] one asks for what the command names, and a [`NEAR`] one, when that has
//! come, for what stands there. Neither has a branch on what it finds: what need not be fetched is fetched too, and is free.
//! A look reads, and asks; it changes nothing, and an answer is the same without it.

#![allow(unsafe_code)]

use std::hint::select_unpredictable;

use super::Software;
use super::book::SLOT_CELLS;
use crate::abi::{Command, Kind};

/// Commands from the one that runs to the one whose order and level are asked for.
pub(super) const FAR: usize = 32;
/// Commands from the one that runs to the one whose neighbours are asked for.
pub(super) const NEAR: usize = 16;

/// Looks from `commands[at]`, which runs next, at those after it; from the first also at all between.
#[inline(always)]
pub(super) fn look(twin: &Software, commands: &[Command], at: usize) {
    if at == 0 {
        look_first(twin, commands);
    }
    if let Some(command) = commands.get(at + FAR) {
        far(twin, command);
    }
    if let Some(command) = commands.get(at + NEAR) {
        near(twin, command);
    }
}

/// The commands that no look from an earlier one has met. A command alone is not worth a look.
#[cold]
fn look_first(twin: &Software, commands: &[Command]) {
    commands.iter().take(FAR).skip(1).for_each(|command| far(twin, command));
    commands.iter().take(NEAR).skip(1).for_each(|command| near(twin, command));
}

/// Asks for what a command names: the order in its slot and whose it is, the place in its new slot, the level of its tick.
#[inline(always)]
fn far(twin: &Software, command: &Command) {
    let book = &twin.book;
    ask(&book.cells, order(twin, command.slot));
    ask(&book.cells, order(twin, command.slot2));
    ask(&book.cells, level(twin, command));
    ask(&book.owners, command.slot);
}

/// Asks for what stands there: the neighbours of the order, and its level; or the ends of the queue that a new order joins.
#[inline(always)]
fn near(twin: &Software, command: &Command) {
    let cells = &twin.book.cells;
    let (order, level) = (order(twin, command.slot), level(twin, command));
    let at = select_unpredictable(command.kind == Kind::New as u8, level, order);
    if let Some(&[links, what]) = cells.get(at as usize..).and_then(|cells| cells.first_chunk()) {
        ask(cells, links.next);
        ask(cells, links.prev);
        ask(cells, what.prev >> 1);
    }
}

/// The links of a slot, which need not exist.
#[inline(always)]
fn order(twin: &Software, slot: u32) -> u32 {
    twin.book.base.wrapping_add(slot.wrapping_mul(SLOT_CELLS))
}

/// The level of a command's tick, which need not exist.
#[inline(always)]
fn level(twin: &Software, command: &Command) -> u32 {
    let band = twin.bands.get(usize::from(command.instrument));
    band.map_or(0, |band| band.levels).wrapping_add(command.tick)
}

/// Asks for the cache line of `array[at]`, which need not exist.
#[inline(always)]
fn ask<T>(array: &[T], at: u32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let there = array.as_ptr().wrapping_add(at as usize).cast::<i8>();
        // SAFETY: SSE, which every x86-64 has. A prefetch reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(there) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (array, at);
}
