//! What the compiler's lints do not see: no float and no hash map decides in the matcher.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that no source of the matcher may hold, outside comments. Hash maps iterate in an order that differs from run to
/// run; floats round differently from machine to machine.
const FORBIDDEN: [&str; 6] = ["f32", "f64", "HashMap", "HashSet", "RandomState", "SystemTime"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The first forbidden word of a source, and its line.
fn forbidden(text: &str) -> Option<(usize, &'static str)> {
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find_map(|word| FORBIDDEN.into_iter().find(|bad| *bad == word)) {
            return Some((number + 1, word));
        }
    }
    None
}

#[test]
fn no_float_and_no_hash_map_decides() {
    let mut paths = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    assert!(paths.len() > 15, "the sources are where they are looked for: {paths:?}");
    for path in paths {
        let found = forbidden(&fs::read_to_string(&path).unwrap());
        assert_eq!(found, None, "{}", path.display());
    }
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    assert_eq!(forbidden("let a = 1;\nlet b: f64 = 1.0;"), Some((2, "f64")));
    assert_eq!(forbidden("use std::collections::{BTreeMap, HashMap};"), Some((1, "HashMap")));
    assert_eq!(forbidden("// a HashMap would not do\nlet half64 = 0;"), None);
}
