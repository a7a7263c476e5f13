//! The operator's line: kill switches, halts, the day's end and the next one's beginning, and what is no command.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use wirebook_tests::{Client, Login, Message, Operator, Venue, cancel, enter, replace, run};

const PATIENCE: Duration = Duration::from_secs(60);
const HALTED: u16 = 7;
const CANCEL_PENDING: u16 = 0x0B;
const OTHER: u16 = 0x0F;

fn reason(message: &Message) -> u16 {
    u16::from_be_bytes([message.bytes[13], message.bytes[14]])
}

/// Enters orders, each a tick apart from all others, until one is answered by `kind`; the others, if accepted, are cancelled.
/// What an operator is told `ok` for is done a turn later: an order may be faster.
fn until(client: &mut Client, next: &mut u32, kind: u8) -> Result<Message> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.send(&[enter(*next, b'B', 10, "AAPL", 1_000_000, b'0')])?;
        *next += 1;
        let answer = client.message()?;
        if answer.kind() == kind {
            return Ok(answer);
        }
        ensure!(answer.kind() == b'A' || answer.kind() == b'J', "answered by {:?}", answer.kind() as char);
        if answer.kind() == b'A' {
            client.send(&[cancel(answer.u32(9), 0)])?;
            ensure!(client.message()?.kind() == b'C', "the order was not cancelled");
        }
        ensure!(Instant::now() < deadline, "no {:?} came", kind as char);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn accepted(client: &mut Client, next: &mut u32) -> Result<u32> {
    client.send(&[enter(*next, b'B', 10, "AAPL", 1_000_000, b'0')])?;
    let answer = client.message()?;
    ensure!(answer.kind() == b'A' && answer.u32(9) == *next, "order {next}: {answer:?}");
    *next += 1;
    Ok(*next - 1)
}

/// `C` of this order, all of its ten, for this reason.
fn cancelled(client: &mut Client, reference: u32, why: u8) -> Result<()> {
    let message = client.message()?;
    ensure!(
        message.kind() == b'C' && message.u32(9) == reference && message.u32(13) == 10 && message.bytes[17] == why,
        "wanted C {reference} 10 {:?}, was told {message:?}",
        why as char
    );
    Ok(())
}

#[test]
fn kill_switches_cancel_and_refuse_until_they_are_off() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let mut operator = Operator::connect(dir.path())?;
    let (mut first, _) = Client::session(&venue.address, "wire01", "", 1)?;
    let (mut second, _) = Client::session(&venue.address, "wire02", "", 1)?;
    let (_, mut a) = first.barrier()?;
    let (_, mut b) = second.barrier()?;

    let (x, y) = (accepted(&mut first, &mut a)?, accepted(&mut second, &mut b)?);
    operator.order("kill 2 on")?;
    cancelled(&mut first, x, b'S')?;
    first.send(&[enter(a, b'B', 10, "AAPL", 1_000_000, b'0')])?;
    a += 1;
    let refused = first.message()?;
    ensure!(refused.kind() == b'J' && reason(&refused) == OTHER, "a killed account was told {refused:?}");
    // The other account does not notice.
    second.send(&[cancel(y, 0)])?;
    cancelled(&mut second, y, b'U')?;
    let y = accepted(&mut second, &mut b)?;
    operator.order("kill 2 off")?;
    let x = until(&mut first, &mut a, b'A')?.u32(9);

    operator.order("kill all on")?;
    cancelled(&mut first, x, b'S')?;
    cancelled(&mut second, y, b'S')?;
    for (client, next) in [(&mut first, &mut a), (&mut second, &mut b)] {
        ensure!(reason(&until(client, next, b'J')?) == OTHER, "another reason than the kill switch");
    }
    operator.order("kill all off")?;
    until(&mut first, &mut a, b'A')?;
    until(&mut second, &mut b, b'A')?;
    first.logout()?;
    second.logout()?;
    let log = venue.stop()?;
    ensure!(log.contains("kill all on"), "the operator's commands are not logged:\n{log}");
    Ok(())
}

#[test]
fn a_halt_refuses_orders_and_a_freeze_holds_cancels_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let mut operator = Operator::connect(dir.path())?;
    let (mut client, _) = Client::session(&venue.address, "wire01", "", 1)?;
    let (_, mut next) = client.barrier()?;

    let (halted, kept) = (accepted(&mut client, &mut next)?, accepted(&mut client, &mut next)?);
    operator.order("halt AAPL halted")?;
    ensure!(reason(&until(&mut client, &mut next, b'J')?) == HALTED, "another reason than the halt");
    client.send(&[cancel(halted, 0)])?;
    cancelled(&mut client, halted, b'U')?;

    operator.order("halt AAPL frozen")?;
    // Whether it is frozen yet, only a cancel can tell: what a halt lets through shrinks the order by one.
    let deadline = Instant::now() + PATIENCE;
    let mut intended = 10;
    loop {
        intended -= 1;
        ensure!(intended > 0 && Instant::now() < deadline, "AAPL does not freeze");
        client.send(&[cancel(kept, intended)])?;
        let answer = client.message()?;
        match answer.kind() {
            b'P' => {
                ensure!(answer.u32(9) == kept, "P of another order: {answer:?}");
                break;
            }
            b'C' => std::thread::sleep(Duration::from_millis(100)),
            _ => bail!("a cancel was answered {answer:?}"),
        }
    }
    client.send(&[cancel(kept, 0)])?;
    let answer = client.message()?;
    ensure!(answer.kind() == b'I' && answer.u32(9) == kept, "a cancel behind a pending one: {answer:?}");
    client.send(&[replace(kept, next, 20, 1_000_000)])?;
    let answer = client.message()?;
    ensure!(answer.kind() == b'J' && reason(&answer) == CANCEL_PENDING, "a replacement behind it: {answer:?}");

    operator.order("halt AAPL trading")?;
    let answer = client.message()?;
    ensure!(
        answer.kind() == b'C' && answer.u32(9) == kept && answer.u32(13) == 1 && answer.bytes[17] == b'U',
        "the pending cancel was not done: {answer:?}"
    );
    next += 1;
    accepted(&mut client, &mut next)?;
    client.logout()?;
    venue.stop()?;
    Ok(())
}

/// `S` with this code, as the message of this number.
fn system(client: &mut Client, sequence: Option<u64>, code: u8) -> Result<()> {
    let message = client.message()?;
    ensure!(
        message.kind() == b'S' && message.bytes[9] == code && sequence.is_none_or(|number| number == message.sequence),
        "wanted S {:?}, was told {message:?}",
        code as char
    );
    Ok(())
}

#[test]
fn the_day_closes_for_everyone_and_the_next_session_begins_at_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let mut operator = Operator::connect(dir.path())?;
    let (mut first, session) = Client::session(&venue.address, "wire01", "", 1)?;
    let (mut second, _) = Client::session(&venue.address, "wire02", "", 1)?;
    system(&mut first, Some(1), b'S')?;
    system(&mut second, Some(1), b'S')?;
    let mut next = 1;
    let x = accepted(&mut first, &mut next)?;

    operator.order("day close")?;
    cancelled(&mut first, x, b'T')?;
    for client in [&mut first, &mut second] {
        system(client, None, b'E')?;
        ensure!(client.message_within(PATIENCE)?.is_none() && client.session_over, "no Z behind the day's end");
    }
    ensure!(first.closes_within(PATIENCE)?, "the connection stays open behind Z");
    drop((first, second));

    operator.order("day open")?;
    // The old name is refused once the new session is open.
    let deadline = Instant::now() + PATIENCE;
    let (mut first, renewed) = loop {
        let (client, name) = Client::session(&venue.address, "wire01", "", 1)?;
        if name != session {
            break (client, name);
        }
        ensure!(Instant::now() < deadline, "the day does not open:\n{}", venue.log());
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(renewed > session, "{renewed} does not come after {session}");
    system(&mut first, Some(1), b'S')?;
    let mut stranger = Client::connect(&venue.address)?;
    ensure!(stranger.login("wire02", "wirebook", &session, 1)? == Login::Rejected(b'S'), "yesterday was joined");
    // Numbers go on over the date: it is the same one.
    let (_, mut next) = first.barrier()?;
    ensure!(next == 2, "the next number is {next}");
    accepted(&mut first, &mut next)?;
    first.logout()?;

    // A restart goes on in it.
    venue.stop()?;
    let venue = Venue::start(dir.path(), &[])?;
    let (mut first, name) = Client::session(&venue.address, "wire01", &renewed, 1)?;
    ensure!(name == renewed, "{name} instead of {renewed}");
    system(&mut first, Some(1), b'S')?;
    first.logout()?;
    venue.stop()?;
    Ok(())
}

#[test]
fn an_operator_who_errs_is_told_what_is_allowed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut venue = Venue::start(dir.path(), &[])?;
    let mut operator = Operator::connect(dir.path())?;
    let (client, _) = Client::session(&venue.address, "wire01", "", 1)?;
    client.logout()?;
    let counters = operator.ask("counters")?;
    let records = counters.split_whitespace().find_map(|word| word.strip_prefix("records_sequenced="));
    ensure!(records.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 2), "{counters}");
    let status = operator.ask("status")?;
    ensure!(
        status.starts_with("ok ") && ["booked=", "durable=", "sealed="].iter().all(|key| status.contains(key)),
        "{status}"
    );
    for (command, allowed) in [
        ("reboot", "allowed status, counters, transfer, kill, halt, day, stop"),
        ("kill", "allowed status, counters, transfer, kill, halt, day, stop"),
        ("kill everyone on", "allowed a number, or all"),
        ("kill 2 maybe", "allowed on, off"),
        ("halt MSFT halted", "allowed AAPL"),
        ("halt AAPL asleep", "allowed trading, halted, frozen"),
        ("day night", "allowed status, counters, transfer, kill, halt, day, stop"),
    ] {
        let answer = operator.ask(command)?;
        ensure!(answer.starts_with("error ") && answer.contains(allowed), "{command:?} was answered {answer:?}");
    }
    // A second day cannot open over the first: said in the log, and trading goes on.
    operator.order("day open")?;
    venue.wait_for("the day cannot Open")?;
    let (mut client, _) = Client::session(&venue.address, "wire01", "", 0)?;
    let (_, mut next) = client.barrier()?;
    accepted(&mut client, &mut next)?;
    operator.order("stop")?;
    let log = venue.ends_with(0)?;
    ensure!(log.contains("stopped in good order"), "{log}");
    Ok(())
}

#[test]
fn money_moves_in_steps_all_or_none_and_never_twice() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let venue = Venue::start(dir.path(), &[])?;
    let mut operator = Operator::connect(dir.path())?;
    let mut ask = |command: &str, wanted: &str| -> Result<String> {
        let answer = operator.ask(command)?;
        ensure!(answer.starts_with(wanted), "{command:?} was answered {answer:?}, wanted {wanted:?}");
        Ok(answer)
    };
    ask("transfer book 1001 0 2 0 500", "ok seq=")?;
    ask("transfer book 1001 0 2 0 500", "error transfer: transfer 0x3e9 was done already")?;
    ask("transfer book 1001 0 3 0 500", "error transfer:")?;
    // The second leg cannot be paid, so the first does not happen either, and its id is free.
    ask("transfer book 1002 0 2 0 5; book 1003 2 3 0 99999999999999999999999999", "error transfer:")?;
    ask("transfer pend 1002 2 3 0 200; pend 1003 2 3 0 100 1; book 1004 3 2 0 1", "ok seq=")?;
    ask("transfer post 1005 2 3 0 150 1002", "ok seq=")?;
    ask("transfer void 1006 2 3 0 200 1002", "error transfer:")?;
    // Its second is over: the venue ends it by itself, and nothing else can.
    std::thread::sleep(Duration::from_millis(1_500));
    ask("transfer post 1007 2 3 0 100 1003", "error transfer:")?;
    ask("transfer sell 1 2 3 4 5", "error action:")?;
    let admin = dir.path().join("wirebook-data/admin.sock");
    let transfer = |legs: &str| {
        run(&["ledger".as_ref(), "transfer".as_ref(), "--admin".as_ref(), admin.as_os_str(), legs.as_ref()])
    };
    transfer("book 1010 0 3 0 7")?.exits(0)?;
    transfer("book 1011 3 0 0 99999999999999999999999999")?.exits(1)?;
    transfer("give 1011 3 0 0 9")?.exits(2)?;
    drop(venue.stop()?);
    let journal = dir.path().join("wirebook-data/journal");
    let dump = run(&["journal".as_ref(), "dump".as_ref(), journal.as_os_str()])?.exits(0)?.stdout;
    for (text, times) in [("pend id 0x3ea", 1), ("post id 0x3ed", 1), ("expire id 0x3eb", 1), ("void id", 0)] {
        let found = dump.matches(text).count();
        ensure!(found == times, "{text:?} stands {found} times in the journal, wanted {times}:\n{dump}");
    }
    run(&["journal".as_ref(), "verify".as_ref(), journal.as_os_str()])?.exits(0)?;

    // What the ledger says of account 3, proven to the journal's root, and not to another.
    let proof = dir.path().join("balance.proof");
    let told = run(&[
        "ledger".as_ref(),
        "prove".as_ref(),
        journal.as_os_str(),
        "--account".as_ref(),
        "3".as_ref(),
        "--asset".as_ref(),
        "0".as_ref(),
        "--proof".as_ref(),
        proof.as_os_str(),
        "--json".as_ref(),
        "-".as_ref(),
    ])?
    .exits(0)?;
    let told: serde_json::Value = serde_json::from_str(&told.stdout)?;
    let root = told["root"].as_str().unwrap_or_default().to_owned();
    let check =
        |root: &str| run(&["ledger".as_ref(), "check".as_ref(), proof.as_os_str(), "--root".as_ref(), root.as_ref()]);
    let shown = check(&root)?.exits(0)?.stdout;
    ensure!(shown.contains(told["available"].as_str().unwrap_or("?")), "{shown}");
    check(&"0".repeat(64))?.exits(1)?;
    check("5e0c")?.exits(2)?;
    let balances = run(&["ledger".as_ref(), "balances".as_ref(), journal.as_os_str()])?.exits(0)?.stdout;
    ensure!(balances.contains(&root) && balances.contains("account 3"), "{balances}");
    let history = run(&["ledger".as_ref(), "history".as_ref(), journal.as_os_str()])?.exits(0)?.stdout;
    ensure!(history.contains("transfer from 2 to 3 asset 0 150"), "{history}");
    Ok(())
}
