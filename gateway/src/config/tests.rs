use std::path::Path;

use wirebook_matcher::abi::{Capabilities, SelfTrade};
use wirebook_settlement::machine::RegistryBook;
use wirebook_settlement::record::Payload;

use super::raw::{RawGateway, RawJournal, RawLog, RawMatcher, RawSettlement};
use super::*;

fn example() -> Config {
    Config::parse("example", EXAMPLE, Path::new("/etc/wirebook")).unwrap()
}

fn refused(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no {from:?}");
    let text = EXAMPLE.replacen(from, to, 1);
    Config::parse("w.toml", &text, Path::new(".")).unwrap_err().to_string()
}

#[test]
fn the_example_loads_and_shows_the_defaults() {
    let config = example();
    assert_eq!(config.raw.gateway, RawGateway::default());
    assert_eq!(config.raw.journal, RawJournal::default());
    assert_eq!(config.raw.settlement, RawSettlement::default());
    assert_eq!(config.raw.matcher, RawMatcher::default());
    assert_eq!(config.raw.log, RawLog::default());
    assert_eq!(config.journal.dir, Path::new("/etc/wirebook/wirebook-data/journal"));
    let aapl = &config.instruments[0];
    assert_eq!((aapl.band_base, aapl.band_ticks, aapl.tick_size), (0, 1 << 18, Decimal { mantissa: 1, decimals: 2 }));
    assert_eq!((aapl.base, aapl.quote), (1, 0));
    let account = &config.accounts[0];
    assert_eq!((account.id, account.owner, account.self_trade), (2, 0, SelfTrade::Off));
    assert_eq!(account.deposits[1].amount, 100_000_000_000_000, "cents");
    assert_eq!(config.max_qty(), 999_999);
    assert_eq!((config.sessions[0].username.as_str(), config.sessions[0].password.as_str()), ("wire01", "wirebook"));
}

#[test]
fn the_example_names_every_key() {
    // Whatever the program would print has a line in the example.
    let keys = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.split_once('=').map(|(key, _)| key.trim().to_owned()))
            .filter(|key| !key.starts_with('#'))
            .collect()
    };
    let shown = keys(EXAMPLE);
    for key in keys(&example().effective()) {
        let inline = ["low", "ticks", "maker_ppm", "taker_ppm", "USD", "AAPL"].contains(&key.as_str());
        assert!(
            shown.contains(&key) || (inline && EXAMPLE.contains(&format!("{key} = "))),
            "{key} is not in the example"
        );
    }
}

#[test]
fn the_effective_configuration_is_the_configuration() {
    let config = example();
    let text = config.effective();
    assert!(!text.contains("password = \"wirebook\""), "{text}");
    let again = Config::parse("again", &text.replace("(hidden)", "wirebook"), Path::new("/etc/wirebook")).unwrap();
    assert_eq!(again, config);
    assert!(!format!("{config:?}").contains("password"), "sessions hide their password");
}

#[test]
fn defaults_fill_what_is_left_out() {
    let begin = EXAMPLE.find("\n[[asset]]").unwrap();
    let config = Config::parse("short", &EXAMPLE[begin..], Path::new("/etc/wirebook")).unwrap();
    assert_eq!(config, example());
}

#[test]
fn wrong_values_name_line_field_found_and_allowed() {
    for (from, to, field, allowed) in [
        ("listen = \"127.0.0.1:9001\"", "listen = \"nowhere\"", "gateway.listen", "ADDRESS:PORT"),
        ("kind = \"software\"", "kind = \"gpu\"", "matcher.kind", "device-model"),
        ("kind = \"software\"", "kind = \"device\"", "matcher.address", "lspci"),
        ("address = \"\"", "address = \"0000:01:00.0\"", "matcher.address", "unless"),
        ("late_us = 10000", "late_us = 9", "matcher.late_us", "10 to 1000000"),
        ("drill_after_events = 0", "drill_after_events = 5", "matcher.drill_after_events", "device-model"),
        ("ack = \"journaled\"", "ack = \"maybe\"", "gateway.ack", "matched or journaled"),
        ("wait = \"park:5ms\"", "wait = \"park:5h\"", "gateway.wait", "spin"),
        ("cores = []", "cores = [0, 0, 0, 0, 0]", "gateway.cores", "four"),
        ("pipeline = \"auto\"", "pipeline = \"piped\"", "gateway.pipeline", "inline, pipelined or auto"),
        ("cores = []", "cores = [100000]", "gateway.cores[0]", "0"),
        ("max_connections = 1024", "max_connections = 0", "gateway.max_connections", "1 to 65536"),
        ("segment_mib = 64", "segment_mib = 0", "journal.segment_mib", "1 to 256"),
        ("segment_mib = 64", "segment_mib = 1", "journal.block_kib", "up to 512"),
        ("seal_every_records = 8192", "seal_every_records = 0", "settlement.seal_every_records", "1 to"),
        ("filter = \"info\"", "filter = \"wirebook=loud\"", "log.filter", "error, warn"),
        ("decimals = 2", "decimals = 40", "asset[0].decimals", "0 to 18"),
        ("name = \"AAPL\"", "name = \"USD\"", "asset[1].name", "no other"),
        ("name = \"USD\"", "name = \"US DOLLAR\"", "asset[0].name", "1 to 8"),
        ("symbol = \"AAPL\"", "symbol = \"APPLE INC\"", "instrument[0].symbol", "1 to 8"),
        ("quote = \"USD\"", "quote = \"EUR\"", "instrument[0].quote", "USD, AAPL"),
        ("quote = \"USD\"", "quote = \"AAPL\"", "instrument[0].quote", "not the base"),
        ("tick_size = \"0.01\"", "tick_size = \"0\"", "instrument[0].tick_size", "above 0"),
        ("tick_size = \"0.01\"", "tick_size = \"0.00001\"", "instrument[0].tick_size", "4 decimals"),
        ("tick_size = \"0.01\"", "tick_size = \"0.005\"", "instrument[0].tick_size", "at most 2 decimals"),
        ("lot_size = \"1\"", "lot_size = \"0.5\"", "instrument[0].lot_size", "at most 0 decimals"),
        ("low = \"0.00\"", "low = \"0.005\"", "instrument[0].band.low", "multiple of tick_size"),
        ("ticks = 262144", "ticks = 0", "instrument[0].band.ticks", "1 to 16777216"),
        ("low = \"0.00\"", "low = \"199000.00\"", "instrument[0].band.ticks", "199999.99"),
        ("rounding = \"half-even\"", "rounding = \"sideways\"", "instrument[0].rounding", "down, up"),
        ("taker_ppm = 30", "taker_ppm = 1000001", "instrument[0].fees.taker_ppm", "-1000000 to 1000000"),
        ("maker_ppm = -20", "maker_ppm = -31", "instrument[0].fees.maker_ppm", "0 or more"),
        ("lot_size = \"1\"", "lot_size = \"100000000000000\"", "instrument[0].band.ticks", "2^62"),
        ("id = 2", "id = 1", "account[0].id", "2 to 65535"),
        ("self_trade = \"off\"", "self_trade = \"on\"", "account[0].self_trade", "cancel-oldest"),
        ("restricted = []", "restricted = [\"IBM\"]", "account[0].restricted[0]", "AAPL"),
        ("USD = \"1000000000000.00\"", "USD = \"0.001\"", "account[0].deposits.USD", "at most 2 decimals"),
        ("USD = \"1000000000000.00\"", "USD = \"-5\"", "account[0].deposits.USD", "decimal number"),
        ("USD = \"1000000000000.00\"", "EUR = \"5\"", "account[0].deposits.EUR", "USD, AAPL"),
        ("max_order_qty = 999999", "max_order_qty = 1000000", "account[0].limits.max_order_qty", "1 to 999999"),
        (
            "max_notional = \"10000000000.00\"",
            "max_notional = \"1.001\"",
            "account[0].limits.max_notional",
            "at most 2",
        ),
        ("id = 1\n", "id = 0\n", "session[0].id", "1 to 65535"),
        ("username = \"wire01\"", "username = \"wire001\"", "session[0].username", "1 to 6"),
        ("password = \"wirebook\"", "password = \"\"", "session[0].password", "1 to 10"),
        ("account = 2", "account = 3", "session[0].account", "2"),
    ] {
        let text = refused(from, to);
        assert!(text.contains(&format!("field `{field}`")), "{to}: {text}");
        assert!(text.contains("w.toml, line ") && text.contains("found:"), "{to}: {text}");
        let stated = text.split("allowed: ").nth(1).unwrap_or_default();
        assert!(stated.contains(allowed), "{to}: {text}");
    }
}

#[test]
fn the_line_is_the_key_s_own() {
    let line = EXAMPLE.lines().position(|line| line.starts_with("listen")).unwrap() + 1;
    assert!(refused("listen = \"127.0.0.1:9001\"", "listen = \"nowhere\"").contains(&format!("line {line}, field")));
}

#[test]
fn unknown_missing_and_mistyped_keys_are_told() {
    let text =
        Config::parse("w.toml", &format!("{EXAMPLE}\nno_such_key = 1\n"), Path::new(".")).unwrap_err().to_string();
    let line = EXAMPLE.lines().count() + 2;
    assert!(text.contains("no_such_key") && text.contains(&format!("line {line}")), "{text}");
    assert!(text.contains("allowed: ") && text.contains("username"), "{text}");
    let text = refused("max_connections = 1024", "max_connections = \"many\"");
    assert!(text.contains("field `max_connections`") && text.contains("line "), "{text}");
    let text = refused("lot_size = \"1\"", "");
    assert!(text.contains("lot_size") && text.contains("line "), "{text}");
    let text = refused("\n[gateway]\n", "\n[gateway\n");
    assert!(text.contains("w.toml, line "), "{text}");
    let text = refused("\n[[asset]]\n", "\n[[assett]]\n");
    assert!(text.contains("assett"), "{text}");
    let missing = Config::load(Path::new("/no/such/wirebook.toml")).unwrap_err();
    assert_eq!(missing.exit_code(), 2);
    assert!(missing.to_string().contains("wirebook.example.toml"));
}

#[test]
fn an_inline_venue_has_two_cores_at_most() {
    let text = EXAMPLE.replacen("cores = []", "cores = [0, 0, 0]", 1);
    assert_eq!(Config::parse("w.toml", &text, Path::new(".")).unwrap().gateway.cores.len(), 3, "one for each stage");
    let text = text.replacen("pipeline = \"auto\"", "pipeline = \"inline\"", 1);
    let refused = Config::parse("w.toml", &text, Path::new(".")).unwrap_err().to_string();
    assert!(refused.contains("gateway.cores") && refused.contains("two: main loop, settlement"), "{refused}");
}

#[test]
fn warnings_tell_what_costs() {
    let text = EXAMPLE.replace("ack = \"journaled\"", "ack = \"matched\"").replace("127.0.0.1:9001", "0.0.0.0:9001");
    let warnings = Config::parse("w", &text, Path::new(".")).unwrap().warnings().join("\n");
    for part in ["gateway.ack", "gateway.wait parks", "gateway.cores pins nothing", "example's password"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert!(!example().warnings().join("\n").contains("gateway.ack"));
}

#[test]
fn the_records_apply_and_say_what_the_file_says() {
    let config = example();
    let payloads = config.records();
    let mut book = RegistryBook::default();
    let mut transfers = Vec::new();
    for (seq, payload) in (1..).zip(&payloads) {
        match payload {
            Payload::Registry(entry) => drop(book.apply(seq, entry, Capabilities::ALL).unwrap()),
            Payload::Transfer(transfer) => transfers.push(*transfer),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(book.assets().len(), 2);
    let aapl = book.instrument(0).unwrap();
    assert_eq!(aapl.instrument.symbol, *b"AAPL    ");
    assert_eq!((aapl.rates.unit(10_000), aapl.rates.maker_ppm(), aapl.rates.taker_ppm()), (10_000, -20, 30));
    assert_eq!(book.session(1).unwrap().username, *b"wire01");
    assert_eq!(book.account(2).unwrap().limits.unwrap().max_notional, 1_000_000_000_000);
    assert!(!book.restricted(2, 0));
    assert_eq!(transfers.len(), 2);
    assert!(transfers.iter().all(|transfer| (transfer.from, transfer.to) == (0, 2)));
    assert_eq!(transfers[1].amount, 100_000_000_000_000);
}

#[test]
fn a_deposit_is_named_by_what_it_is() {
    let id = |text: &str| {
        let config = Config::parse("w", text, Path::new(".")).unwrap();
        config.records().into_iter().find_map(|payload| match payload {
            Payload::Transfer(transfer) if transfer.asset == 0 => Some(transfer.id),
            _ => None,
        })
    };
    let first = id(EXAMPLE);
    assert!(first.is_some());
    assert_eq!(first, id(&EXAMPLE.replace("\"1000000000000.00\"", "\"1000000000000\"")), "the same amount");
    assert_ne!(first, id(&EXAMPLE.replace("\"1000000000000.00\"", "\"1000000000001.00\"")));
    let renumbered = EXAMPLE.replace("\nid = 2\n", "\nid = 3\n").replace("account = 2", "account = 3");
    assert_ne!(first, id(&renumbered));
}
