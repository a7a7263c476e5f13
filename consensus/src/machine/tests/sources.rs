//! Nothing that decides may differ from run to run or from machine to machine: the sources of records, machine and ledger
//! name no hash map, no float and no clock.

use std::path::{Path, PathBuf};

/// Words that a line of code must not hold.
const FORBIDDEN: [&str; 8] = ["HashMap", "HashSet", "f32", "f64", "Instant", "SystemTime", "thread_rng", "rand::"];

/// What is wrong with this text: line number and word. Comments may name anything.
fn scan(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let holds = |word: &&str| {
            code.match_indices(*word).any(|(start, _)| {
                let ends = |c: char| !c.is_alphanumeric() && c != '_';
                let before = code[..start].chars().next_back().is_none_or(ends);
                let after = code[start + word.len()..].chars().next().is_none_or(ends);
                before && (after || word.ends_with(':'))
            })
        };
        found.extend(FORBIDDEN.into_iter().filter(|word| holds(word)).map(|word| (at + 1, word)));
    }
    found
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let test = path.file_stem().is_some_and(|stem| stem == "tests");
        match path.is_dir() {
            _ if test => {}
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn records_machine_and_ledger_name_nothing_that_decides_by_chance() {
    let mut files = Vec::new();
    for room in ["record", "machine", "ledger"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), &mut files);
    }
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let found = scan(&std::fs::read_to_string(&file).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

#[test]
fn the_scan_finds_a_planted_line() {
    let clean = "let hash = 1; // a HashMap would do, and f64\nlet af64 = 0xf640;\nfn instant() {}";
    assert_eq!(scan(clean), []);
    let planted =
        "use std::collections::HashMap;\nlet x: f64 = 0.0;\nlet t = std::time::Instant::now();\nrand::random()";
    assert_eq!(scan(planted), [(1, "HashMap"), (2, "f64"), (3, "Instant"), (4, "rand::")]);
}
