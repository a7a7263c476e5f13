//! The `wirebook-bench` binary.

fn main() {}
