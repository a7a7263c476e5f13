//! The matcher's tests from outside: twins against each other, golden vectors, a sample of orders, and the words that its sources may not hold.

mod audit;
mod compare;
mod differential;
mod exhaustive;
mod kinds;
mod lint;
mod offline;
mod outcomes;
mod restore;
mod rules;
mod sample;
mod shrinking;
mod vectors;
