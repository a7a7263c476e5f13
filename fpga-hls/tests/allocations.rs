//! After start the software twin allocates nothing, whatever the command. The whole test program runs on a counting allocator.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use wirebook_matcher::abi::{Command, Event, Limits};
use wirebook_matcher::flow::{Beats, Mix};
use wirebook_matcher::{Matcher, Queued, Reference, Software, Twin};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that is ending has no counter any more, and nobody asks.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    let _ = BYTES.try_with(|sum| sum.set(sum.get() + bytes as u64));
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a constant-initialized cells and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's contract, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's contract, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's contract, handed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract, handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Seeded beats, aimed by what the software twin answers.
fn beats(mix: &Mix) -> Vec<Command> {
    let mut beats = Beats::new(mix.clone(), 5);
    let mut twin = Software::new(mix.limits.clone());
    let mut events = Vec::new();
    let next = |_| {
        let command = beats.next_beat();
        events.clear();
        twin.execute(&command, |event| events.push(event));
        beats.observe(&command, &events).unwrap();
        command
    };
    (0..60_000).map(next).collect()
}

/// Allocations while a twin executes commands.
fn allocations(twin: &mut impl Twin, commands: &[Command]) -> u64 {
    let before = COUNT.with(Cell::get);
    let mut events = 0u64;
    commands.iter().for_each(|command| twin.execute(command, |_| events += 1));
    assert!(events >= commands.len() as u64);
    COUNT.with(Cell::get) - before
}

#[test]
fn no_command_allocates() {
    for (name, mix) in Mix::all() {
        let commands = beats(&mix);
        assert_eq!(allocations(&mut Software::new(mix.limits.clone()), &commands), 0, "{name}");
        let reference = allocations(&mut Reference::new(mix.limits.clone()), &commands);
        assert!(reference > 1000, "{name}: the counter counts: the reference allocates, {reference} times");
    }
}

#[test]
fn the_queue_of_events_does_not_allocate_either() {
    let mix = Mix::deep();
    let commands = beats(&mix);
    let mut matcher = Queued::<Software>::new(mix.limits.clone());
    let mut events = vec![Event::BLANK; 256];
    let (mut sent, mut last) = (0, 0);
    let before = COUNT.with(Cell::get);
    while last < commands.len() {
        sent += matcher.submit(&commands[sent..]);
        let polled = matcher.poll(&mut events);
        last += events[..polled].iter().filter(|event| event.last).count();
    }
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    assert_eq!((sent, matcher.waiting()), (commands.len(), 0));
}

/// What a twin says that it needs is what it allocates: 8 bytes a tick and a quarter more for the ladders, 18 a slot.
#[test]
fn memory_is_as_stated() {
    for (limits, mib) in [
        (Limits::single(4096, 1 << 20), 18),
        (Limits::single(1 << 24, 1), 132),
        (Limits { ticks: vec![1000; 500], slots: 1 << 16, max_qty: 1 }, 5),
    ] {
        let stated = Software::memory_bytes(&limits);
        let before = BYTES.with(Cell::get);
        let twin = Software::new(limits);
        assert_eq!(BYTES.with(Cell::get) - before, stated);
        assert_eq!(stated >> 20, mib, "{:?}", twin.limits().ticks.len());
    }
}
