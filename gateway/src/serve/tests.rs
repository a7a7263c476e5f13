//! A venue that is started and stopped, from the example's configuration.

use std::path::Path;

use wirebook_bypass::pci::bus::{Delivery, InProcess};
use wirebook_matcher::abi::{Command, Event, Limits};
use wirebook_matcher::device::Model;

use super::*;
use crate::config::EXAMPLE;
use crate::journal::{Dir, Expect};
use crate::recover::{Sizes, resume};

/// Without a validator: this is about the venue's own state.
fn config(dir: &Path) -> Config {
    let mut text = EXAMPLE.to_owned();
    for (from, to) in [
        ("listen = \"127.0.0.1:9001\"", "listen = \"127.0.0.1:0\""),
        ("max_live_orders = 1048576", "max_live_orders = 4096"),
        ("max_open_orders = 1048576", "max_open_orders = 4096"),
        ("segment_mib = 64", "segment_mib = 4"),
        ("enabled = true", "enabled = false"),
    ] {
        text = text.replacen(from, to, 1);
    }
    Config::parse("test", &text, dir).expect("the example")
}

#[test]
fn a_restart_begins_with_the_snapshot_of_the_clean_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let first = start::<Software>(&config).expect("a first start");
    assert_eq!((first.started.records, first.started.snapshot.as_str()), (0, ""));
    let first = first.stop().expect("a clean end");
    let again = start::<Software>(&config).expect("a second start");
    assert!(again.started.records > 0 && again.started.snapshot.ends_with(".wbs"), "{:?}", again.started);
    assert_eq!((again.started.applied, again.started.warnings.len()), (0, 0), "the snapshot has everything");
    let again = again.stop().expect("a clean end");
    assert!(again.progress.sealed > first.progress.sealed);
    let Config { gateway, journal, .. } = &config;
    let sizes = Sizes { shard: gateway.shard, slots: gateway.max_live_orders, max_qty: config.max_qty() };
    let expect = Expect { shard: Some(gateway.shard), abi_hash: None };
    let whole = resume::<Software, _>(&mut Dir::new(&journal.dir), &dir.path().join("none"), &expect, sizes);
    let whole = whole.expect("a sound journal");
    assert_eq!(whole.applied, whole.recovered.records);
    assert_eq!(whole.replay.machine().root(), again.root(), "as if every record had been applied");
}

/// A matcher for narrow bands only, as a board may be.
struct Narrow(Queued<Software>);

impl Narrow {
    const ABLE: Capabilities = Capabilities(Capabilities::ALL.0 & !Capabilities::WIDE_BANDS.0);
}

impl Matcher for Narrow {
    fn submit(&mut self, commands: &[Command]) -> usize {
        self.0.submit(commands)
    }

    fn poll(&mut self, events: &mut [Event]) -> usize {
        self.0.poll(events)
    }

    fn limits(&self) -> &Limits {
        self.0.limits()
    }

    fn capabilities(&self) -> Capabilities {
        Self::ABLE
    }
}

/// Starts a venue over a device that takes narrow bands only, whose one instrument has a band of so many ticks.
fn start_over_narrow(dir: &Path, ticks: u32) -> Result<Running, StartError> {
    let mut config = config(dir);
    config.instruments[0].band_ticks = ticks;
    let limits = assemble::limits(&config);
    let model = Model::new(move || Narrow(Queued::new(limits.clone())));
    start_over(&config, InProcess::new(model, Delivery::Whole))
}

#[test]
fn an_epoch_promises_what_the_device_can_do_and_the_registry_refuses_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let Err(refused) = start_over_narrow(dir.path(), 4097) else { panic!("a band that the device does not take") };
    assert!(refused.to_string().contains("instrument 0 needs capabilities 0x5f, the matcher has 0x3f"), "{refused}");

    let dir = tempfile::tempdir().expect("a directory");
    let ended = start_over_narrow(dir.path(), 4096).expect("a band that it takes").stop().expect("a clean end");
    assert!(ended.last_seq > 0);
    let config = config(dir.path());
    let sizes = Sizes { shard: config.gateway.shard, slots: config.gateway.max_live_orders, max_qty: config.max_qty() };
    let expect = Expect { shard: Some(config.gateway.shard), abi_hash: None };
    let again = resume::<Software, _>(&mut Dir::new(&config.journal.dir), &dir.path().join("none"), &expect, sizes);
    let again = again.expect("a sound journal");
    assert_eq!(again.replay.books().capabilities(), Narrow::ABLE);
}
