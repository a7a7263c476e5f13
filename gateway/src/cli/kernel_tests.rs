//! The command line over the Verilated kernel: `match` and `demo` with `--matcher rtl`, beside the software twin.

use std::fs;
use std::path::{Path, PathBuf};

use wirebook_matcher::abi::Capabilities;
use wirebook_matcher::flow::{Op, OrderLine, OrdersWriter, Realistic, RealisticConfig};
use wirebook_matcher::rtl::{Model, RtlTwin};
use wirebook_settlement::record::{Payload, Record};

use super::{Cli, Failure};
use crate::config::{Config, EXAMPLE};
use crate::serve;
use clap::Parser;

/// Distance of two prices of the generated orders.
const TICK_SIZE: &str = "100";
/// Lines of a generated file.
const LINES: usize = 25_000;
/// One line in so many is followed by others that must be refused.
const SPOILT: usize = 40;

fn command(args: &[&str]) -> Result<(), Failure> {
    let args = ["wirebook"].iter().chain(args);
    Cli::try_parse_from(args).unwrap_or_else(|error| panic!("{error}")).command.run()
}

/// A kernel's whole band, half up and half down.
fn half_band() -> u32 {
    (Model::Standard.capacity().ticks - 1) / 2
}

/// A lively flow in a kernel's band, with lines among it that are refused: ids that live already or never did, prices off the grid, no lots.
fn generated(dir: &Path, seed: u64) -> PathBuf {
    let path = dir.join(format!("orders-{seed}.csv"));
    let mut writer = OrdersWriter::new(fs::File::create(&path).unwrap()).unwrap();
    let config = RealisticConfig { seed, half_band: half_band(), ..RealisticConfig::default() };
    for (at, told) in Realistic::new(config).take(LINES).enumerate() {
        let line = told.line;
        writer.write(&line).unwrap();
        if at % SPOILT == 0 {
            let unknown = u64::MAX - at as u64;
            for spoilt in [
                OrderLine { op: Op::Cancel, id: unknown, ..line },
                OrderLine { op: Op::Limit, id: unknown, price: line.price + 1, ..line },
                OrderLine { op: Op::Limit, id: unknown, qty: 0, ..line },
            ] {
                writer.write(&spoilt).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    path
}

/// What `match` writes and tells.
struct Matched {
    fills: Vec<u8>,
    report: serde_json::Value,
}

fn matched(orders: &Path, matcher: &str, tick_size: &str) -> Result<Matched, Failure> {
    let (fills, report) = (orders.with_extension(matcher), orders.with_extension(format!("{matcher}.json")));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (orders, fills_arg, report_arg) = (text(orders), text(&fills), text(&report));
    let done = command(&[
        "match",
        &orders,
        "--fills",
        &fills_arg,
        "--matcher",
        matcher,
        "--tick-size",
        tick_size,
        "--json",
        &report_arg,
    ]);
    if let Err(failure) = done {
        assert!(!fills.exists(), "no fills are left behind");
        return Err(failure);
    }
    let report = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    Ok(Matched { fills: fs::read(&fills).unwrap(), report })
}

/// The first thing in which the kernel's run differs from the software twin's.
fn difference(kernel: &Matched, software: &Matched) -> Option<String> {
    let told = ["orders", "events", "fills", "fills_digest", "traded", "live", "rejects", "rejects_by_reason"];
    let told =
        told.into_iter().find(|name| kernel.report[name] != software.report[name] || kernel.report[name].is_null());
    told.map(str::to_owned).or_else(|| (kernel.fills != software.fills).then(|| "the bytes of the fills".into()))
}

#[test]
fn the_kernel_makes_the_fills_of_the_software_twin() {
    let dir = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = (1..=3).map(|seed| generated(dir.path(), seed)).collect();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fpga-hls/tests/data/sample_orders.csv");
    files.push(dir.path().join("sample.csv"));
    fs::copy(sample, files.last().unwrap()).unwrap();
    for file in &files {
        let [kernel, software] = ["rtl", "software"].map(|matcher| matched(file, matcher, TICK_SIZE).unwrap());
        assert_eq!(
            (kernel.report["matcher"].as_str(), software.report["matcher"].as_str()),
            (Some("rtl"), Some("software"))
        );
        assert_eq!(difference(&kernel, &software), None, "{}", file.display());
        let fills = kernel.report["fills"].as_u64().unwrap();
        println!(
            "{}: {} orders, {fills} fills, {} rejects",
            file.display(),
            kernel.report["orders"],
            kernel.report["rejects"]
        );
        assert!(fills > 50, "{fills} fills");
    }
    // That a difference is seen: the same orders, but every taker wants one lot less.
    let lines = fs::read_to_string(&files[0]).unwrap();
    let less = |line: &str| match line.rsplit_once(',') {
        Some((rest, qty)) if line.starts_with('X') => format!("{rest},{}", qty.parse::<u32>().unwrap() - 1),
        _ => line.to_owned(),
    };
    let file = dir.path().join("less.csv");
    fs::write(&file, lines.lines().map(less).collect::<Vec<_>>().join("\n")).unwrap();
    let kernel = matched(&file, "rtl", TICK_SIZE).unwrap();
    assert!(difference(&kernel, &matched(&files[0], "software", TICK_SIZE).unwrap()).is_some());
}

#[test]
fn what_the_kernel_cannot_hold_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let orders = dir.path().join("wide.csv");
    fs::write(&orders, "op,id,side,price,qty\nA,1,1,100,5\nA,2,-1,9000,5\n").unwrap();
    let told = matched(&orders, "rtl", "1").err().expect("the band is too wide");
    assert_eq!(told.exit_code(), 2);
    let text = told.to_string();
    assert!(text.contains("8901") && text.contains("--matcher software"), "{text}");
    assert!(matched(&orders, "rtl", "100").is_ok(), "in steps of a hundred it fits");

    // A venue whose instruments the kernel cannot hold does not start, and makes nothing.
    let text = EXAMPLE.replacen("listen = \"127.0.0.1:9001\"", "listen = \"127.0.0.1:0\"", 1);
    let config = Config::parse("test", &text, &dir.path().join("venue")).unwrap();
    let Err(refused) = serve::start::<RtlTwin>(&config) else { panic!("the kernel has fewer ticks") };
    assert!(refused.to_string().contains("262144 ticks"), "{refused}");
    assert!(!config.journal.dir.exists());
}

#[test]
fn the_demo_runs_on_the_kernel_and_the_software_twin_makes_the_same_fills() {
    let dir = tempfile::tempdir().unwrap();
    let (dump, report) = (dir.path().join("dump"), dir.path().join("report.json"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (dump_arg, report_arg) = (text(&dump), text(&report));
    command(&[
        "demo",
        "--matcher",
        "rtl",
        "--seconds",
        "2",
        "--rate",
        "3000",
        "--seed",
        "7",
        "--dump",
        &dump_arg,
        "--json",
        &report_arg,
    ])
    .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!((report["matcher"].as_str(), report["orders"].as_u64()), (Some("rtl"), Some(6000)));
    assert_eq!(
        (report["lost"].as_u64(), report["rejected"].as_u64()),
        (Some(0), Some(0)),
        "the flow fits the kernel's band"
    );
    assert!(report["fills"].as_u64() > Some(200) && report["journal_verified"] == true, "{report}");
    let told = fs::read(dump.join("fills.csv")).unwrap();
    let software = matched(&dump.join("orders.csv"), "software", TICK_SIZE).unwrap();
    assert!(told == software.fills && software.report["fills"] == report["fills"], "the fills that clients were told");
    // The epoch promises what this kernel has: neither wide bands nor several instruments.
    let mut promised = Vec::new();
    super::journal::read(&dump.join("journal"), &mut |_, bytes| {
        if let Payload::Epoch(epoch) = Record::decode(bytes).unwrap().0.payload {
            promised.push(Capabilities(epoch.capabilities));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(promised, [Model::Standard.capabilities()]);
    assert!(!promised[0].has(Capabilities::WIDE_BANDS) && !promised[0].has(Capabilities::MANY_INSTRUMENTS));
}
