//! The C functions of the shim (`kernel/cosim/shim.cpp`), one set for each model, behind a safe handle.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use super::{Capacity, Ram};
use crate::abi::Limits;

/// A beat as the shim takes it.
pub(super) type Words = [u64; 4];

/// What a stretch of cycles has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// Beats taken.
    pub taken: usize,
    /// Events given.
    pub given: usize,
    /// Cycles passed.
    pub cycles: u64,
}

/// The functions of one model.
pub(super) struct Calls {
    new: unsafe extern "C" fn(u32, u32, u32, *const u32) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    gaps: unsafe extern "C" fn(*mut c_void, u64, u32, u32),
    run: unsafe extern "C" fn(*mut c_void, *const u64, u64, *mut u64, u64, u64, *mut u64) -> u64,
    cycle: unsafe extern "C" fn(*mut c_void, *const u64, c_int, *mut u64) -> c_int,
    open: unsafe extern "C" fn(*mut c_void) -> u64,
    cycles: unsafe extern "C" fn(*mut c_void) -> u64,
    idle: unsafe extern "C" fn(*mut c_void) -> c_int,
    failed: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    wave: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    wave_flush: unsafe extern "C" fn(*mut c_void),
    memory: unsafe extern "C" fn(*mut c_void, u64, *mut u32, *mut u32) -> *const c_char,
    stored: unsafe extern "C" fn(*mut c_void, u64, u32) -> c_int,
    flip: unsafe extern "C" fn(*mut c_void, u64, u32, u32),
    state: Option<State>,
}

/// What a model that can be kept has besides.
struct State {
    save: unsafe extern "C" fn(*mut c_void, *mut u64) -> *const u8,
    load: unsafe extern "C" fn(*mut c_void, *const u8, u64, u64),
}

/// Declares the functions of a model, and the table of them.
macro_rules! calls {
    ($kind:ident $model:ident: $($function:ident = $symbol:literal),* $(,)?) => {
        mod $model {
            use super::*;
            calls!(@declare $($function = $symbol),*);
            pub(super) static CALLS: Calls =
                Calls { new, free, gaps, run, cycle, open, cycles, idle, failed, wave, wave_flush, memory, stored, flip, state: calls!(@state $kind) };
        }
    };
    (@declare $($function:ident = $symbol:literal),*) => { $(calls!(@one $function $symbol);)* };
    (@one new $s:literal) => { unsafe extern "C" { #[link_name = $s] fn new(slots: u32, max_qty: u32, books: u32, ticks: *const u32) -> *mut c_void; } };
    (@one free $s:literal) => { unsafe extern "C" { #[link_name = $s] fn free(sim: *mut c_void); } };
    (@one gaps $s:literal) => { unsafe extern "C" { #[link_name = $s] fn gaps(sim: *mut c_void, seed: u64, offer: u32, accept: u32); } };
    (@one run $s:literal) => { unsafe extern "C" { #[link_name = $s] fn run(sim: *mut c_void, beats: *const u64, count: u64, events: *mut u64, room: u64, most: u64, done: *mut u64) -> u64; } };
    (@one cycle $s:literal) => { unsafe extern "C" { #[link_name = $s] fn cycle(sim: *mut c_void, beat: *const u64, accept: c_int, event: *mut u64) -> c_int; } };
    (@one open $s:literal) => { unsafe extern "C" { #[link_name = $s] fn open(sim: *mut c_void) -> u64; } };
    (@one cycles $s:literal) => { unsafe extern "C" { #[link_name = $s] fn cycles(sim: *mut c_void) -> u64; } };
    (@one idle $s:literal) => { unsafe extern "C" { #[link_name = $s] fn idle(sim: *mut c_void) -> c_int; } };
    (@one failed $s:literal) => { unsafe extern "C" { #[link_name = $s] fn failed(sim: *mut c_void) -> *const c_char; } };
    (@one wave $s:literal) => { unsafe extern "C" { #[link_name = $s] fn wave(sim: *mut c_void, path: *const c_char) -> c_int; } };
    (@one wave_flush $s:literal) => { unsafe extern "C" { #[link_name = $s] fn wave_flush(sim: *mut c_void); } };
    (@one memory $s:literal) => { unsafe extern "C" { #[link_name = $s] fn memory(sim: *mut c_void, at: u64, words: *mut u32, bits: *mut u32) -> *const c_char; } };
    (@one stored $s:literal) => { unsafe extern "C" { #[link_name = $s] fn stored(sim: *mut c_void, at: u64, address: u32) -> c_int; } };
    (@one flip $s:literal) => { unsafe extern "C" { #[link_name = $s] fn flip(sim: *mut c_void, at: u64, address: u32, bit: u32); } };
    (@one save $s:literal) => { unsafe extern "C" { #[link_name = $s] fn save(sim: *mut c_void, size: *mut u64) -> *const u8; } };
    (@one load $s:literal) => { unsafe extern "C" { #[link_name = $s] fn load(sim: *mut c_void, bytes: *const u8, size: u64, open: u64); } };
    (@state plain) => { None };
    (@state savable) => { Some(State { save, load }) };
}

include!(concat!(env!("OUT_DIR"), "/models.rs"));

/// A model of its own, with no other handle to it.
pub(super) struct Sim {
    handle: NonNull<c_void>,
    calls: &'static Calls,
    rams: Vec<Ram>,
}

// SAFETY: the shim's object is owned by this handle alone, holds no thread-local state, and is used by one thread at a time, as every
// call takes `&mut self` or reads plain fields.
unsafe impl Send for Sim {}

impl Sim {
    /// A model after its reset. The limits fit: the caller has compared them with the capacity.
    pub fn new(model: Model, limits: &Limits) -> Self {
        let calls = model.calls();
        let books = limits.ticks.len() as u32;
        assert!(books <= model.capacity().books, "the shim reads as many ticks as there are books");
        // SAFETY: `ticks` is valid for `books` numbers, which is all that is read; the shim copies them.
        let handle = unsafe { (calls.new)(limits.slots, limits.max_qty, books, limits.ticks.as_ptr()) };
        let handle = NonNull::new(handle).expect("the shim allocates or aborts");
        let mut sim = Self { handle, calls, rams: Vec::new() };
        sim.rams = (0..).map_while(|at| sim.ram(at)).collect();
        sim
    }

    /// Chances of 256 that a beat is offered, and that an event is accepted, in a cycle.
    pub fn gaps(&mut self, seed: u64, offer: u32, accept: u32) {
        // SAFETY: the handle is live.
        unsafe { (self.calls.gaps)(self.handle.as_ptr(), seed, offer, accept) }
    }

    /// Clocks until all beats are taken and answered, `events` are full, or `most` cycles have passed.
    pub fn run(&mut self, beats: &[Words], events: &mut [Words], most: u64) -> Moved {
        let mut done = [0u64; 2];
        // SAFETY: both slices are valid for four words an element, and the shim reads and writes no more elements than their lengths;
        // `done` has the two words that it writes.
        let cycles = unsafe {
            (self.calls.run)(
                self.handle.as_ptr(),
                beats.as_ptr().cast(),
                beats.len() as u64,
                events.as_mut_ptr().cast(),
                events.len() as u64,
                most,
                done.as_mut_ptr(),
            )
        };
        Moved { taken: done[0] as usize, given: done[1] as usize, cycles }
    }

    /// One cycle: whether the beat was taken, and the event that came. A beat that was offered must be offered until it is taken.
    pub fn cycle(&mut self, beat: Option<&Words>, accept: bool) -> (bool, Option<Words>) {
        let mut event = [0u64; 4];
        let beat = beat.map_or(std::ptr::null(), |words| words.as_ptr());
        // SAFETY: `beat` is null or valid for four words, `event` has four.
        let what = unsafe { (self.calls.cycle)(self.handle.as_ptr(), beat, c_int::from(accept), event.as_mut_ptr()) };
        (what & 1 != 0, (what & 2 != 0).then_some(event))
    }

    /// Commands taken that have not answered `last`.
    pub fn open(&self) -> u64 {
        // SAFETY: the handle is live; the function reads a number.
        unsafe { (self.calls.open)(self.handle.as_ptr()) }
    }

    /// Cycles since the reset.
    pub fn cycles(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (self.calls.cycles)(self.handle.as_ptr()) }
    }

    /// Whether the kernel says that nothing is inside.
    pub fn idle(&self) -> bool {
        // SAFETY: as above.
        unsafe { (self.calls.idle)(self.handle.as_ptr()) != 0 }
    }

    /// The first assertion that has failed.
    pub fn failed(&self) -> Option<String> {
        // SAFETY: the function returns null or a text that ends in 0 and lives until the next call with this handle; it is copied here.
        unsafe {
            let text = (self.calls.failed)(self.handle.as_ptr());
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// Writes every cycle from now on to a VCD file; whether it could be opened.
    pub fn wave(&mut self, path: &Path) -> bool {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
            return false;
        };
        // SAFETY: the path is a text that ends in 0, copied by the shim.
        unsafe { (self.calls.wave)(self.handle.as_ptr(), path.as_ptr()) != 0 }
    }

    /// Writes what the waveform still holds in memory.
    pub fn wave_flush(&mut self) {
        // SAFETY: the handle is live.
        unsafe { (self.calls.wave_flush)(self.handle.as_ptr()) }
    }

    /// The memories, in the order of their names.
    pub fn rams(&self) -> &[Ram] {
        &self.rams
    }

    fn ram(&self, at: u64) -> Option<Ram> {
        let (mut words, mut bits) = (0, 0);
        // SAFETY: the handle is live, `words` and `bits` are valid to write. The function returns null, or a text that ends in 0 and lives
        // as long as the handle; it is copied here.
        unsafe {
            let name = (self.calls.memory)(self.handle.as_ptr(), at, &raw mut words, &raw mut bits);
            (!name.is_null()).then(|| Ram { name: CStr::from_ptr(name).to_string_lossy().into_owned(), words, bits })
        }
    }

    /// Whether any bit of a word is set.
    ///
    /// # Panics
    /// When there is no such memory or word.
    pub fn stored(&self, memory: usize, address: u32) -> bool {
        let there = self.rams.get(memory).is_some_and(|ram| address < ram.words);
        assert!(there, "no word {address} of memory {memory}");
        // SAFETY: the handle is live; the memory and the word are there.
        unsafe { (self.calls.stored)(self.handle.as_ptr(), memory as u64, address) != 0 }
    }

    /// Flips a stored bit.
    ///
    /// # Panics
    /// When there is no such bit.
    pub fn flip(&mut self, memory: usize, address: u32, bit: u32) {
        let there = self.rams.get(memory).is_some_and(|ram| address < ram.words && bit < ram.bits);
        assert!(there, "no bit {bit} of word {address} of memory {memory}");
        // SAFETY: the handle is live; the bit is there.
        unsafe { (self.calls.flip)(self.handle.as_ptr(), memory as u64, address, bit) }
    }

    /// All registers and memories; `None` when the model is not made for it.
    pub fn save(&mut self) -> Option<Box<[u8]>> {
        let state = self.calls.state.as_ref()?;
        let mut size = 0u64;
        // SAFETY: the pointer is valid for `size` bytes until the next call with this handle; they are copied here.
        unsafe {
            let bytes = (state.save)(self.handle.as_ptr(), &raw mut size);
            Some(std::slice::from_raw_parts(bytes, size as usize).into())
        }
    }

    /// Goes back to a state that [`Sim::save`] of this same model gave, with `open` commands inside.
    pub fn load(&mut self, bytes: &[u8], open: u64) {
        let state = self.calls.state.as_ref().expect("only a model that saves has something to load");
        // SAFETY: the slice is valid for its length; it was made by `save` of this model, as `Snapshot` is opaque and names its model.
        unsafe { (state.load)(self.handle.as_ptr(), bytes.as_ptr(), bytes.len() as u64, open) }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and gone afterwards.
        unsafe { (self.calls.free)(self.handle.as_ptr()) }
    }
}
