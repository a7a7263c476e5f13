//! The Verilated kernel against the twins. Needs the feature `rtl-planted`: the kernel, and a model with a bug.

mod cosim;
mod cycles;
mod states;
mod streams;
