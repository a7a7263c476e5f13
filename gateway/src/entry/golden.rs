//! The committed session: what clients said and what they were told, byte for byte.
//!
//! `tests/data/session.txt` holds lines `> SESSION HEX` (an OUCH message that a client sends) and, behind each, lines
//! `< SESSION HEX` (the sequenced messages that come of it). `WIREBOOK_REGENERATE=1` writes the answers anew; what changed then is
//! to be read before it is committed: the bytes are a promise to clients.

use std::path::Path;

use super::Verdict;
use super::harness::Venue;

const SESSIONS: std::ops::RangeInclusive<u32> = 1..=3;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Says every `>` line of the script to a fresh venue; answers the script with what was told.
fn answered(script: &str) -> String {
    let mut venue = Venue::open();
    let mut told = String::new();
    for line in script.lines().filter(|line| line.starts_with(['>', '#'])) {
        told.push_str(line);
        told.push('\n');
        let Some(said) = line.strip_prefix("> ") else { continue };
        let (session, message) = said.split_once(' ').expect("SESSION HEX");
        let before: Vec<usize> = SESSIONS.map(|session| venue.told(session).len()).collect();
        let session = session.parse().expect("a session");
        let verdict = venue.entry.message(session, &unhex(message), venue.now, &mut venue.seq);
        assert!(!matches!(verdict, Verdict::Disconnect(_)), "{line}: {verdict:?}");
        venue.settle();
        for (session, before) in SESSIONS.zip(before) {
            for bytes in &venue.told(session)[before..] {
                told.push_str(&format!("< {session} {}\n", hex(bytes)));
            }
        }
    }
    told
}

#[test]
fn the_committed_session_is_answered_as_committed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/session.txt");
    let committed = std::fs::read_to_string(&path).expect("the committed session");
    let told = answered(&committed);
    if std::env::var_os("WIREBOOK_REGENERATE").is_some() {
        std::fs::write(&path, &told).expect("written");
        return;
    }
    assert_eq!(told, committed);
    assert!(told.lines().filter(|line| line.starts_with('<')).count() > 10, "a session with answers");
    // Another byte said is another session: the comparison can fail.
    let other = committed.replacen("00000064", "00000065", 1);
    assert_ne!(answered(&other), other);
}
