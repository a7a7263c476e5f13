//! A crash under ack policy `matched`: a new session, every live order restated.

use anyhow::{Result, ensure};
use wirebook_tests::{Client, Login, Operator, Venue, cancel, enter, kinds};

#[test]
fn a_crash_under_matched_opens_a_new_session_and_restates() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[("ack = \"journaled\"", "ack = \"matched\"")])?;
    let (mut client, session) = Client::session(&venue.address, "wire01", "", 1)?;
    let (_, next) = client.barrier()?;
    let told = client.rest(next, 3)?;
    client.send(&[cancel(next, 0)])?;
    ensure!(client.message()?.kind() == b'C', "not cancelled");
    client.send(&[cancel(next + 1, 4)])?;
    ensure!(client.message()?.kind() == b'C', "not reduced");
    // Under way: a batch is begun and not sealed, so the end was no good one whatever the disk has.
    Operator::connect(dir.path())?.settled()?;
    client.send(&[enter(next + 3, b'B', 7, "AAPL", 1_010_000, b'0')])?;
    ensure!(client.message()?.kind() == b'A', "not accepted");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut operator = Operator::connect(dir.path())?;
    loop {
        let status = operator.ask("status")?;
        let value = |key: &str| status.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        if value("booked=") == value("durable=") {
            break;
        }
        ensure!(std::time::Instant::now() < deadline, "the order does not become durable: {status}");
    }
    venue.kill()?;

    let venue = Venue::start(dir.path(), &[])?;
    let mut client = Client::connect(&venue.address)?;
    ensure!(client.login("wire01", "wirebook", &session, 1)? == Login::Rejected(b'S'), "the lost session was joined");
    let (mut client, renewed) = Client::session(&venue.address, "wire01", "", 1)?;
    ensure!(renewed > session, "{renewed} does not come after {session}");
    let (stream, after) = client.barrier()?;
    ensure!(kinds(&stream) == "SRRRQ", "the new session tells {}", kinds(&stream));
    ensure!(after == next + 4, "the next number is {after}");
    // They come in the order of their slots.
    let mut restated = stream[1..4].to_vec();
    restated.sort_by_key(|message| message.u32(9));
    for (at, (reference, open, price)) in
        [(next + 1, 4u32, 1_000_000u64), (next + 2, 10, 1_000_000), (next + 3, 7, 1_010_000)].into_iter().enumerate()
    {
        let message = &restated[at];
        let mut wanted = vec![b'R'];
        wanted.extend_from_slice(&message.bytes[1..9]);
        wanted.extend_from_slice(&reference.to_be_bytes());
        wanted.push(b'R');
        wanted.extend_from_slice(&[0, 26, 5, 22]);
        wanted.extend_from_slice(&open.to_be_bytes());
        wanted.extend_from_slice(&[9, 23]);
        wanted.extend_from_slice(&price.to_be_bytes());
        wanted.extend_from_slice(&[9, 1]);
        match told.iter().find(|accepted| accepted.u32(9) == reference) {
            Some(accepted) => wanted.extend_from_slice(&accepted.bytes[36..44]),
            None => wanted.extend_from_slice(&message.bytes[34..42]),
        }
        ensure!(
            message.bytes == wanted,
            "order {reference} is restated as {:02x?}, wanted {wanted:02x?}",
            message.bytes
        );
    }
    // They live; and a good end keeps the session.
    client.send(&[cancel(next + 2, 0)])?;
    ensure!(client.message()?.kind() == b'C', "a restated order does not live");
    client.logout()?;
    venue.stop()?;
    let venue = Venue::start(dir.path(), &[])?;
    let (client, name) = Client::session(&venue.address, "wire01", "", 1)?;
    ensure!(name == renewed, "a good end changed the session to {name}");
    client.logout()?;
    venue.stop()?;
    Ok(())
}
