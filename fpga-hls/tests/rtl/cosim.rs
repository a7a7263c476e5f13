//! Two million commands in six mixes through the kernel, every event compared, with gaps in both streams.
//!
//! `WIREBOOK_DEEP=N` runs N times as many seeds.

use wirebook_matcher::rtl::cosim::{Compared, Plan, compare, mixes};
use wirebook_matcher::rtl::{Gaps, Model};

fn depth() -> u64 {
    std::env::var("WIREBOOK_DEEP").ok().map_or(1, |n| n.parse().expect("WIREBOOK_DEEP is a number"))
}

/// Gaps by seed: none, a slow host, a slow reader, both, and a reader that hardly reads.
fn gaps(seed: u64) -> Gaps {
    let (offer, accept) = [(256, 256), (60, 256), (256, 60), (140, 120), (256, 12)][(seed % 5) as usize];
    Gaps { seed, offer, accept }
}

/// Compares over seeds; panics at the first difference, whose waveform stays where the text says.
fn equal(model: Model, mix: &str, seeds: u64, commands: u64) -> Compared {
    let (_, mix) = mixes(model).into_iter().find(|(name, _)| *name == mix).expect("the mix is known");
    let mut all = Compared::default();
    for seed in 1..=seeds * depth() {
        let plan = Plan { mix: mix.clone(), seed, commands, gaps: gaps(seed) };
        let met = compare(model, &plan, &std::env::temp_dir())
            .unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        assert_eq!(met.commands, commands);
        all.commands += met.commands;
        all.events += met.events;
        all.cycles += met.cycles;
        all.most_live = all.most_live.max(met.most_live);
        all.reused += met.reused;
        all.coverage.merge(&met.coverage);
    }
    let Compared { commands, events, cycles, most_live, reused, .. } = &all;
    println!(
        "{model:?}: {commands} commands, {events} events, {cycles} cycles, {most_live} live, {reused} slots used again"
    );
    all
}

#[test]
fn thousands_of_orders_in_deep_queues() {
    let met = equal(Model::Standard, "deep", 3, 150_000);
    assert!(met.most_live > 12_000, "{} live", met.most_live);
    assert!(met.coverage.longest_sweep() > 100, "longest sweep {}", met.coverage.longest_sweep());
}

#[test]
fn a_wide_band() {
    let met = equal(Model::Standard, "wide", 3, 100_000);
    assert!(met.most_live > 1400, "{} live", met.most_live);
}

#[test]
fn a_full_book() {
    let met = equal(Model::Standard, "full", 5, 60_000);
    assert_eq!(met.most_live, 64, "every slot is live");
    assert!(met.reused > 10_000, "{} slots used again", met.reused);
}

#[test]
fn two_owners_who_meet_themselves() {
    let met = equal(Model::Standard, "kin", 5, 80_000);
    for outcome in ["new: own maker, fill, rested", "new fok: cancelled FillOrKill", "replace post: cancelled PostOnly"]
    {
        assert!(met.coverage.of(outcome) > 10, "{outcome}: {}\n{}", met.coverage.of(outcome), met.coverage);
    }
}

#[test]
fn bytes_that_mean_nothing() {
    let met = equal(Model::Standard, "noise", 5, 50_000);
    assert!(met.coverage.of("unknown: rejected BadKind") > 50_000, "{}", met.coverage);
}

#[test]
fn several_books_at_once() {
    equal(Model::Many, "crowded", 5, 50_000);
    equal(Model::Many, "deep", 1, 50_000);
}

#[test]
fn a_planted_bug_is_found_and_its_waveform_written() {
    let folder = tempdir();
    let (_, mix) = mixes(Model::Planted).into_iter().find(|(name, _)| *name == "kin").unwrap();
    let plan = Plan { mix, seed: 1, commands: 20_000, gaps: gaps(4) };
    let difference = compare(Model::Planted, &plan, &folder.0).expect_err("the bug is found");
    println!("{difference}");
    let wave = difference.wave.as_ref().expect("there is a waveform");
    let text = std::fs::read_to_string(wave).unwrap();
    assert!(text.contains("$enddefinitions") && text.contains("m_axis_tvalid"), "it is a VCD file of the kernel");
    let cycles = text.lines().filter(|line| line.starts_with('#')).count();
    assert!(cycles > 100, "it shows the cycles around the difference: {cycles}");
}

struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempdir() -> Folder {
    let path = std::env::temp_dir().join(format!("wirebook-rtl-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}
