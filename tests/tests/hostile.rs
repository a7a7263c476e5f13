//! Hostile, silent and greedy peers end alone: a well-behaved session beside them is served all the while.

use std::time::Duration;

use anyhow::{Result, ensure};
use wirebook_tests::{Client, Login, Random, Venue, cancel, enter};

const PATIENCE: Duration = Duration::from_secs(30);

/// One order in and out again: the session lives.
fn lives(client: &mut Client, reference: &mut u32) -> Result<()> {
    client.send(&[enter(*reference, b'B', 10, "AAPL", 1_000_000, b'0'), cancel(*reference, 0)])?;
    let kinds = [client.message()?.kind(), client.message()?.kind()];
    ensure!(kinds == *b"AC", "order {reference} answered by {:?}", String::from_utf8_lossy(&kinds));
    *reference += 1;
    Ok(())
}

#[test]
fn a_bad_peer_ends_alone() -> Result<()> {
    bad_peers_end_alone(&[])
}

#[test]
fn a_bad_peer_ends_alone_over_io_uring() -> Result<()> {
    bad_peers_end_alone(&[("port = \"kernel\"", "port = \"uring\"")])
}

fn bad_peers_end_alone(edits: &[(&str, &str)]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), edits)?;
    let (mut good, _) = Client::session(&venue.address, "wire01", "", 1)?;
    let (_, mut reference) = good.barrier()?;

    let login = {
        let mut packet = vec![0, 47, b'L'];
        packet.extend_from_slice(format!("{:<6}{:<10}{:<10}{:>20}", "wire02", "wirebook", "", 1).as_bytes());
        packet
    };
    let unsequenced = |message: &[u8]| {
        let mut packet = (message.len() as u16 + 1).to_be_bytes().to_vec();
        packet.push(b'U');
        packet.extend_from_slice(message);
        packet
    };
    let after_login = |message: &[u8]| [login.clone(), unsequenced(message)].concat();
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("an unknown packet type", vec![0, 1, b'?']),
        ("a packet of length 0", vec![0, 0]),
        ("a packet longer than any", [vec![255, 255, b'U'], vec![0; 2000]].concat()),
        ("a message before the login", unsequenced(b"Q")),
        ("a login of a wrong length", vec![0, 5, b'L', 1, 2, 3, 4]),
        ("a second login", [login.clone(), login.clone()].concat()),
        ("a server's packet", vec![0, 1, b'Z']),
        ("an unknown OUCH message", after_login(b"\xff\x00\x01")),
        ("an empty OUCH message", after_login(b"")),
        ("a truncated order", after_login(&enter(1, b'B', 1, "AAPL", 1, b'0')[..30])),
        ("an order with bytes behind it", after_login(&[enter(1, b'B', 1, "AAPL", 1, b'0'), vec![9; 7]].concat())),
        ("http", b"GET / HTTP/1.1\r\nHost: venue\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in &hostile {
        let mut bad = Client::connect(&venue.address)?;
        bad.raw(bytes)?;
        ensure!(bad.closes_within(PATIENCE)?, "{what}: not disconnected\n{}", venue.log());
        lives(&mut good, &mut reference)?;
    }

    // Whatever bytes, in whatever pieces.
    let mut random = Random(1);
    for _ in 0..100 {
        let mut bad = Client::connect(&venue.address)?;
        for _ in 0..1 + random.below(4) {
            let mut bytes: Vec<u8> = (0..random.below(300)).map(|_| random.number() as u8).collect();
            if random.below(2) == 0 {
                bytes.splice(0..0, login.clone());
            }
            let _ = bad.raw(&bytes);
        }
        lives(&mut good, &mut reference)?;
    }

    // Wrong credentials are answered, not dropped.
    let mut stranger = Client::connect(&venue.address)?;
    ensure!(stranger.login("nobody", "wirebook", "", 1)? == Login::Rejected(b'A'), "a stranger was let in");
    let mut lost = Client::connect(&venue.address)?;
    ensure!(lost.login("wire02", "wirebook", "ELSEWHERE", 1)? == Login::Rejected(b'S'), "another session was joined");

    // Silent ones and half-packets sit there; a greedy one sends and never reads.
    let silent: Vec<Client> = (0..50).map(|_| Client::connect(&venue.address)).collect::<Result<_>>()?;
    let mut half = Client::connect(&venue.address)?;
    half.raw(&login[..20])?;
    let (mut greedy, _) = Client::session(&venue.address, "wire02", "", 0)?;
    let burst: Vec<_> = (0..500).map(|i| enter(1_000_000 + i, b'B', 1, "AAPL", 900_000, b'3')).collect();
    for _ in 0..20 {
        greedy.send(&burst)?;
        lives(&mut good, &mut reference)?;
    }
    drop((silent, half, greedy));
    lives(&mut good, &mut reference)?;
    good.logout()?;
    let log = venue.stop()?;
    ensure!(log.contains("disconnecting") || log.contains("ended"), "nothing was said of the bad peers:\n{log}");
    Ok(())
}

#[test]
fn a_new_login_takes_over_and_hundreds_of_connections_are_served() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let (mut first, session) = Client::session(&venue.address, "wire01", "", 1)?;
    let (_, mut reference) = first.barrier()?;
    lives(&mut first, &mut reference)?;
    let crowd: Vec<Client> = (0..300).map(|_| Client::connect(&venue.address)).collect::<Result<_>>()?;
    let (mut second, again) = Client::session(&venue.address, "wire01", &session, first.next_sequence())?;
    ensure!(again == session, "another session: {again}");
    ensure!(first.closes_within(PATIENCE)?, "the first connection still stands");
    lives(&mut second, &mut reference)?;
    drop(crowd);
    lives(&mut second, &mut reference)?;
    second.logout()?;
    venue.stop()?;
    Ok(())
}
