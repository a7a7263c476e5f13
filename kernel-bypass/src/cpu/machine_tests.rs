//! Machines from committed files: what is read of them, how loops are placed there, what the doctor finds.

use super::doctor::{Verdict, examine};
use super::machine::{Files, Machine, list, numbers};
use super::topology::{Mode, choose};
use super::{WaitStrategy, allowed_cores};
use std::path::Path;
use tempfile::TempDir;

const TWO_CORES: &str = include_str!("machines/two_cores.txt");
const SIXTEEN_CORES: &str = include_str!("machines/sixteen_cores.txt");
const TUNED: &str = include_str!("machines/tuned.txt");

const HOT: [&str; 4] = ["session 0", "matcher", "publisher", "journal"];
const BACKGROUND: [&str; 1] = ["settlement"];

/// The files of a machine: `== path`, then its text.
fn unpack(text: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in text.split("== ").skip(1) {
        let (path, content) = file.split_once('\n').unwrap();
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    root
}

fn machine(text: &str) -> Machine {
    Machine::read(&Files::below(unpack(text).path()), None)
}

#[test]
fn machines_are_read() {
    let two = machine(TWO_CORES);
    assert_eq!(two.cpus.len(), 2);
    assert_eq!(two.nic, Some(("eth0".into(), None)), "not the loopback; node -1 is no node");
    let sixteen = machine(SIXTEEN_CORES);
    assert_eq!(sixteen.cpus.len(), 32);
    assert_eq!(sixteen.cpus[18].threads, [2, 18]);
    assert_eq!((sixteen.cpus[7].node, sixteen.cpus[8].node, sixteen.cpus[24].node), (0, 1, 1));
    assert_eq!(sixteen.cpus.iter().filter(|cpu| cpu.isolated).count(), 6);
    assert_eq!(sixteen.nic, Some(("eth9".into(), Some(0))));
    // This one, whatever it is.
    assert_eq!(Machine::this(None).cpus.len(), allowed_cores().len());
}

#[test]
fn lists_are_read_and_written() {
    for text in ["0", "0-3,8", "1,3,5-6"] {
        assert_eq!(list(&numbers(text)), text);
    }
    assert_eq!(list(&numbers("3,1,2,x,-,9-8")), "1-3");
    assert!(numbers("0-18446744073709551615").len() <= 65_536);
}

#[test]
fn two_cores_run_everything_on_one() {
    let topology = choose(&machine(TWO_CORES), &HOT, &BACKGROUND, None);
    assert_eq!(topology.mode, Mode::Inline);
    assert!(topology.seats[..4].iter().all(|seat| seat.core == Some(1)), "core 0 is the system's: {topology}");
    assert!(topology.seats.iter().all(|seat| seat.wait == WaitStrategy::default()), "nobody spins: {topology}");
    assert_eq!(topology.seats[4].core, None);
    let text = topology.to_string();
    assert!(text.starts_with("inline:") && text.contains("too few for 4 stages"), "{text}");
    assert!(text.contains("no core is isolated"), "{text}");
    let wished = choose(&machine(TWO_CORES), &HOT, &BACKGROUND, Some(Mode::Pipelined));
    assert_eq!(wished.mode, Mode::Pipelined);
    assert!(wished.seats.iter().all(|seat| seat.core.is_none() && seat.wait == WaitStrategy::default()), "{wished}");
    assert!(wished.to_string().contains("they share them"), "{wished}");
}

#[test]
fn sixteen_cores_give_each_loop_an_isolated_one_near_the_card() {
    let topology = choose(&machine(SIXTEEN_CORES), &HOT, &BACKGROUND, None);
    assert_eq!(topology.mode, Mode::Pipelined);
    let cores: Vec<_> = topology.seats.iter().map(|seat| seat.core).collect();
    assert_eq!(cores, [Some(2), Some(3), Some(4), Some(5), None]);
    assert!(topology.seats[..4].iter().all(|seat| seat.wait == WaitStrategy::Spin));
    assert_eq!(topology.seats[0].placement().core, Some(2));
    let text = topology.to_string();
    assert!(text.contains("16 of 32 processors are second threads") && text.contains("eth9 is at node 0"), "{text}");
    let inline = choose(&machine(SIXTEEN_CORES), &HOT, &BACKGROUND, Some(Mode::Inline));
    assert!(inline.seats[..4].iter().all(|seat| seat.core == Some(2)), "{inline}");
}

#[test]
fn more_loops_than_isolated_cores_take_others_and_say_so() {
    let many: Vec<String> = (0..9).map(|n| format!("session {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let topology = choose(&machine(SIXTEEN_CORES), &many, &[], None);
    let cores: Vec<_> = topology.seats.iter().filter_map(|seat| seat.core).collect();
    // Six isolated, the other one of the node, then the far ones.
    assert_eq!(cores, [2, 3, 4, 5, 6, 7, 1, 8, 9]);
    assert_eq!(topology.seats[6].wait, WaitStrategy::SpinYield);
    assert!(topology.to_string().contains("2 of the loops reach over"), "{topology}");
}

#[test]
fn a_machine_of_which_nothing_is_known_still_runs() {
    for machine in [Machine::default(), Machine::read(&Files::below(Path::new("/nonexistent")), None)] {
        let topology = choose(&machine, &HOT, &BACKGROUND, None);
        assert_eq!(topology.mode, Mode::Inline);
        assert!(topology.seats.iter().all(|seat| seat.core.is_none()), "{topology}");
    }
}

#[test]
fn a_tuned_machine_is_found_good() {
    let root = unpack(TUNED);
    let findings = examine(root.path(), &[], None);
    assert_eq!(findings.len(), 10);
    for finding in &findings {
        assert_eq!(finding.verdict, Verdict::Good, "{finding:?}");
        assert_eq!(finding.mend, None);
    }
    // The wrong cores: far from the card, and not isolated.
    let findings = examine(root.path(), &[8, 9], None);
    let bad: Vec<_> = findings.iter().filter(|f| f.verdict == Verdict::Bad).map(|f| f.check).collect();
    assert_eq!(bad, ["numa", "isolation", "irq-affinity"]);
    let mend = |check: &str| findings.iter().find(|f| f.check == check).unwrap().mend.clone().unwrap();
    assert_eq!(mend("numa"), "wirebook doctor --cores 0-7");
    assert!(mend("isolation").contains("isolcpus=managed_irq,domain,8-9 nohz_full=8-9"));
    assert_eq!(mend("irq-affinity"), "for i in 25; do echo 0-7,10-15 > /proc/irq/$i/smp_affinity_list; done");
}

#[test]
fn every_fault_of_a_bad_machine_is_found_with_its_cure() {
    let findings = examine(unpack(TWO_CORES).path(), &[], None);
    let expected = [
        ("smt", Verdict::Good, ""),
        ("numa", Verdict::Unknown, ""),
        ("isolation", Verdict::Bad, "isolcpus=managed_irq,domain,1 "),
        ("governor", Verdict::Bad, "cpupower -c 1 frequency-set -g performance"),
        ("c-states", Verdict::Bad, "cpupower -c 1 idle-set -D 2"),
        ("rt-throttling", Verdict::Bad, "sysctl -w kernel.sched_rt_runtime_us=-1"),
        ("huge-pages", Verdict::Bad, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
        ("irq-affinity", Verdict::Bad, "for i in 24; do echo 0 > "),
        ("clock-source", Verdict::Bad, "echo tsc > /sys/devices/system/clocksource"),
        ("steal", Verdict::Bad, "virsh vcpupin"),
    ];
    assert_eq!(findings.len(), expected.len());
    for (finding, (check, verdict, mend)) in findings.iter().zip(expected) {
        assert_eq!((finding.check, finding.verdict), (check, verdict), "{finding:?}");
        assert_eq!(finding.mend.is_some(), verdict == Verdict::Bad, "{finding:?}");
        assert!(finding.mend.as_deref().unwrap_or_default().contains(mend), "{finding:?}");
    }
    assert!(findings[4].found.contains("133 us") && findings[9].found.contains("0.349 %"), "{findings:?}");
    let threads = examine(unpack(SIXTEEN_CORES).path(), &[2, 3, 18], None);
    assert_eq!(threads[0].verdict, Verdict::Bad);
    let off = "echo 0 > /sys/devices/system/cpu/cpu18/online; echo 0 > /sys/devices/system/cpu/cpu19/online";
    assert_eq!(threads[0].mend.as_deref(), Some(off));
}

#[test]
fn what_cannot_be_read_is_unknown_and_nonsense_is_no_crash() {
    let empty = tempfile::tempdir().unwrap();
    for finding in examine(empty.path(), &[0], Some("eth0")) {
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:?}");
    }
    // Every file holds nonsense, or is a directory.
    let root = unpack(TUNED);
    let nonsense = |text: &[u8]| {
        for file in TUNED.split("== ").skip(1) {
            let path = root.path().join(file.split_once('\n').unwrap().0);
            std::fs::write(path, text).unwrap();
        }
        examine(root.path(), &[], None)
    };
    for text in [&b""[..], b"\xff\xfe\x00", b"99999999999999999999999", b"[", b"-", b"cpu 1 2 x", b"0-"] {
        assert_eq!(nonsense(text).len(), 10);
    }
    std::fs::remove_file(root.path().join("proc/stat")).unwrap();
    std::fs::create_dir(root.path().join("proc/stat")).unwrap();
    assert_eq!(examine(root.path(), &[], None)[9].verdict, Verdict::Unknown);
}
