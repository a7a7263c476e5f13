//! The matcher's tests from outside: twins against each other, golden vectors, a sample of orders, and the words that its sources may not hold.

mod compare;
mod differential;
mod lint;
mod outcomes;
mod sample;
mod vectors;
