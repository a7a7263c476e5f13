//! A strategy on the venue's host, over shared memory: log in, bid, hear the answer, cancel, log out.
//!
//! ```text
//! wirebook run --config gateway/wirebook.example.toml --port shm
//! cargo run --example shm_strategy -- wirebook-data/shm 127.0.0.1:9001
//! ```
//!
//! Between the two no system call is made while both are awake: what `wirebook::client::Link` queues goes into a ring that the
//! venue's loop looks at, and the answer into another.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wirebook::client::{Heard, Link, LinkConfig};
use wirebook::session::Alpha;
use wirebook::session::ouch::Outbound;
use wirebook_bypass::stream::shm::{ShmConfig, ShmPort};

/// How long the venue may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// OUCH 5.0 Enter Order: 100 AAPL at $100, day, attributable as the example's configuration has it.
const BID: &[u8; 47] = b"O\0\0\0\x01B\0\0\0\x64AAPL    \0\0\0\0\0\x0f\x42\x400YPNNSTRATEGY      \0\0";
/// Its cancel.
const CANCEL: &[u8; 9] = b"X\0\0\0\x01\0\0\0\0";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(venue)) = (args.next(), args.next()) else {
        return Err("usage: shm_strategy SHM_DIR HOST:PORT (the venue's [gateway] shm_dir and listen)".into());
    };
    let port = ShmPort::new(&ShmConfig { dir: PathBuf::from(dir), max_connections: 1, ..ShmConfig::default() })?;
    let login = LinkConfig {
        peer: venue.parse()?,
        username: Alpha::new("wire01").ok_or("a username is too long")?,
        password: Alpha::new("wirebook").ok_or("a password is too long")?,
        session: Alpha::BLANK,
        sequence: LinkConfig::ONLY_NEW,
    };
    let mut link = Link::open(port, &login)?;
    until(&mut link, |link| link.is_active())?;
    for message in [&BID[..], &CANCEL[..]] {
        let next = link.next_sequence();
        if !link.send(message) {
            return Err("no room for an order".into());
        }
        link.flush()?;
        until(&mut link, |link| link.next_sequence() > next)?;
    }
    link.logout();
    link.flush()?;
    Ok(())
}

/// Turns until `done`, and prints what is heard. A strategy with a core of its own would not wait.
fn until(link: &mut Link<ShmPort>, done: impl Fn(&Link<ShmPort>) -> bool) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while !done(link) {
        let heard = link.turn(|heard| match heard {
            Heard::Accepted { session, sequence } => println!("logged in to {session:?}, next message {sequence}"),
            Heard::Message { sequence, payload } => println!("{sequence}: {:?}", Outbound::decode(payload)),
        })?;
        if heard == 0 {
            link.wait(Duration::from_millis(1))?;
        }
        if begun.elapsed() > PATIENCE {
            return Err("the venue does not answer".into());
        }
    }
    Ok(())
}
