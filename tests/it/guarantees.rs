//! `docs/guarantees.md` names a test for each promise: those tests exist.

use std::collections::BTreeSet;
use std::path::Path;

const GUARANTEES: &str = include_str!("../../docs/guarantees.md");
/// A test's name is a sentence. Keys and files in the same columns are shorter.
const WORDS_IN_A_NAME: usize = 4;

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let named: BTreeSet<&str> = GUARANTEES
        .lines()
        .filter(|line| line.starts_with("| "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.split('_').count() >= WORDS_IN_A_NAME)
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let mut sources = Vec::new();
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut sources);
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| !sources.iter().any(|source| source.contains(&format!("fn {name}("))))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_promise_names_a_test() {
    let mut promises = 0;
    for line in GUARANTEES
        .lines()
        .take_while(|line| !line.starts_with("## What is not"))
    {
        let is_a_promise = line.starts_with("| ") && !line.starts_with("| promise") && !line.starts_with("| ---");
        if is_a_promise {
            promises += 1;
            let tests = line.rsplit('|').nth(1).unwrap_or_default();
            assert!(tests.contains('`'), "no test backs this: {line}");
        }
    }
    assert!(promises > 20, "{promises}");
}

fn read_sources(dir: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}
