//! Whole-system tests: they drive the built binary as its users do.
//!
//! Nothing of the product is linked into the harness: [`Venue`] starts the release binary, [`Client`] speaks SoupBinTCP and
//! OUCH 5.0 from the bytes up. What the tests read from a venue is what any user would: its lines, its exit code, its port.

mod client;
mod cluster;
mod operator;
mod venue;

pub use client::{Client, Login, Message, cancel, enter, kinds, query, replace};
pub use cluster::{Cluster, Tip};
pub use operator::Operator;
pub use venue::{Finished, Venue, binary, configure, repository, run, sample};

/// How deep to test: `WIREBOOK_TEST_DEPTH=deep` asks for the long version.
pub fn deep() -> bool {
    std::env::var("WIREBOOK_TEST_DEPTH").is_ok_and(|depth| depth == "deep")
}

/// A small seeded generator (splitmix64, Steele, Lea and Flood 2014), so that a failing round can be named and repeated.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}
