//! Looking ahead: the cache lines that later commands will touch are asked for before their turn.
//!
//! A command names a slot; its order is far away in a large book. The order's links name its neighbours, which are as far away
//! again. So there are two looks: a far one asks for what the command names, and a near one, when that has come, for what
//! stands there. Neither has a branch on what it finds: what need not be fetched is fetched too. They go block by block, in loops
//! of their own: instructions are what they cost when the book is in the cache anyway. Where it surely is, they are left out: hosts
//! hand out low slots first, or those that were free last, so a block that names none but low slots is about a small book.
//! A look reads, and asks; it changes nothing, and an answer is the same without it.

#![allow(unsafe_code)]

use std::hint::select_unpredictable;

use super::Software;
use super::book::SLOT_CELLS;
use crate::abi::{Command, Kind};

/// Commands of a block. While one runs, the near look is at the next, and the far look at the one after that.
const BLOCK: usize = 16;
/// Commands that run before the next glance, when the book is small.
const WARM_BLOCK: usize = 8 * BLOCK;

/// Commands from the one that runs to those whose own cache lines are asked for.
const COMMANDS_AHEAD: usize = 8 * BLOCK;
const COMMANDS_OF_LINE: usize = 64 / size_of::<Command>();

/// One command in so many of a block is asked whether it is about a large book.
const SAMPLE: usize = 4;

/// The orders in so many slots, 590 KB, are in a near cache.
const WARM_SLOTS: u32 = 1 << 15;

/// As [`look`], for whoever calls at every command.
#[inline(always)]
pub(super) fn look_at_blocks(twin: &Software, commands: &[Command], at: usize) {
    if at.is_multiple_of(BLOCK) {
        look(twin, commands, at);
    }
}

#[inline(always)]
fn block(commands: &[Command], from: usize) -> &[Command] {
    let from = from.min(commands.len());
    &commands[from..commands.len().min(from + BLOCK)]
}

/// Looks from `commands[at]`, which runs next, at those after it; from the first also at all between. After how many commands to look
/// again. Most books are small: then a glance at the block that runs now, whose lines are here, is all that it costs; those of later ones
/// would have to be waited for.
#[inline(always)]
pub(super) fn look(twin: &Software, commands: &[Command], at: usize) -> usize {
    if !is_cold(block(commands, at)) {
        return WARM_BLOCK;
    }
    fetch(twin, commands, at);
    BLOCK
}

#[inline(never)]
fn fetch(twin: &Software, commands: &[Command], at: usize) {
    // The commands themselves: whoever reads in order is read ahead for by the processor, but this reads out of order.
    for pair in 0..BLOCK / COMMANDS_OF_LINE {
        ask(commands, at + COMMANDS_AHEAD + pair * COMMANDS_OF_LINE);
    }
    if at == 0 && commands.len() > 1 {
        far(twin, block(commands, 0));
        far(twin, block(commands, BLOCK));
        near(twin, block(commands, 0));
    }
    far(twin, block(commands, at + 2 * BLOCK));
    near(twin, block(commands, at + BLOCK));
}

/// Whether a block may name orders that are in no near cache: a few of its commands tell.
#[inline(always)]
fn is_cold(block: &[Command]) -> bool {
    block.iter().step_by(SAMPLE).fold(0, |slots, command| slots | command.slot) >= WARM_SLOTS
}

/// Asks for what commands name: the order in the slot and whose it is, the level of the tick. (A new slot was free a moment ago.)
#[inline(always)]
pub(super) fn far(twin: &Software, commands: &[Command]) {
    if !is_cold(commands) {
        return;
    }
    let book = &twin.book;
    for command in commands {
        ask(&book.cells, order(twin, command.slot) as usize);
        ask(&book.cells, level(twin, command) as usize);
        ask(&book.owners, command.slot as usize);
    }
}

/// Asks for what stands there: the neighbours of the order, or the ends of the queue that a new order joins.
#[inline(always)]
fn near(twin: &Software, commands: &[Command]) {
    if !is_cold(commands) {
        return;
    }
    let cells = &twin.book.cells[..];
    for command in commands {
        let (order, level) = (order(twin, command.slot), level(twin, command));
        let at = select_unpredictable(command.kind == Kind::New as u8, level, order);
        if let Some(links) = cells.get(at as usize) {
            ask(cells, links.next as usize);
            ask(cells, links.prev as usize);
        }
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
fn ask<T>(array: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let there = array.as_ptr().wrapping_add(at).cast::<i8>();
        // SAFETY: SSE, which every x86-64 has. A prefetch reads nothing and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(there) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (array, at);
}
