//! Whole-system tests: they drive the built binary as its users do.
