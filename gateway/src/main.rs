//! The `wirebook` binary.

fn main() {}
