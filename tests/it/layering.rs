//! Arrows between modules run downward only (the floor map is in src/lib.rs), the pure floor knows nothing of the world, and the
//! simulator shares no code with the client that it tests.
//!
//! Held to the source as written, without what stands under `#[cfg(test)]`. The tables below are meant to be edited: a new module
//! goes on a floor, and an exception wants a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::source::{Source, parse};

/// From the ground up. A module may use what stands on a lower floor.
const FLOORS: &[&[&str]] = &[
    PURE,
    &["settings", "telemetry"],
    &["status"],
    &[
        "clock",
        "state_dir",
        "leases",
        "journal",
        "quarantine",
        "id_store",
        "upstream",
        "kafka",
        "simulator",
    ],
    &["stream"],
    &["supervisor", "admin", "service_manager"],
    &["app", "demo"],
    &["cli"],
    &["main"],
];

/// Time is an argument here, and the world is somewhere else.
const PURE: &[&str] = &["buffers", "lifecycle", "framing", "hit", "dedup", "shape"];

/// Used from every floor, and using nothing.
const ANYWHERE: &[&str] = &["exit_code"];

/// Arrows along a floor: (who, may use whom, why).
const SIDEWAYS: &[(&str, &str, &str)] = &[
    (
        "framing",
        "buffers",
        "runs of records leave in the buffers they were inflated into",
    ),
    (
        "shape",
        "hit",
        "the walk over a hit checks JSON with the same scanner, and its verdicts are named there",
    ),
    ("telemetry", "settings", "how logs look is a setting"),
    ("upstream", "clock", "connections are counted in its time"),
    ("journal", "clock", "batches carry the time at which they came"),
    ("leases", "clock", "a lease carries the boot and its time"),
    ("kafka", "clock", "deliveries are counted in its time"),
    ("leases", "state_dir", "leases live there"),
    ("journal", "state_dir", "segments live there"),
    ("id_store", "state_dir", "ids live there"),
    ("id_store", "journal", "ids belong to positions and a cursor"),
    ("kafka", "journal", "the forwarder tails the journal"),
    ("kafka", "id_store", "ids are on disk before the cursor passes them"),
    ("quarantine", "state_dir", "it lives there"),
    (
        "quarantine",
        "journal",
        "a record that is kept is named by its position",
    ),
    (
        "kafka",
        "upstream",
        "what others say, and what is wrong with their certificates, is told in the same way",
    ),
    ("kafka", "quarantine", "what Kafka does not take whole is kept there"),
    ("demo", "app", "the demonstration runs the daemon"),
];

/// Arrows that point down and are wrong all the same: (who, must not use whom, why).
const NEVER: &[(&str, &str, &str)] = &[
    ("simulator", "framing", "one fault could hide in both"),
    ("simulator", "upstream", "one fault could hide in both"),
    ("stream", "simulator", "the daemon does not know the simulator"),
    ("supervisor", "simulator", "the daemon does not know the simulator"),
    ("app", "simulator", "the daemon does not know the simulator"),
];

/// What a pure module must not mention: a path that begins so ...
const IMPURE_PATHS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::*",
];
/// ... or a word, under whatever path.
const IMPURE_WORDS: &[&str] = &["tokio", "Instant", "SystemTime"];

#[test]
fn arrows_between_modules_run_downward_only() {
    let files = read_source();
    let found = violations(&files);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_module_is_on_a_floor_and_every_floor_has_its_modules() {
    let there: BTreeSet<String> = read_source().into_iter().map(|(path, _)| top_module(&path)).collect();
    let known: BTreeSet<String> = FLOORS
        .iter()
        .copied()
        .flatten()
        .chain(ANYWHERE)
        .map(|&module| module.to_owned())
        .chain(["lib".to_owned()])
        .collect();
    assert_eq!(there, known, "src/ and the table of floors differ");
}

#[test]
fn the_tables_name_only_modules_that_are_on_a_floor() {
    for (who, whom, why) in SIDEWAYS {
        assert_eq!(floor(who), floor(whom), "{who} and {whom}: not along a floor");
        assert!(floor(who).is_some() && !why.is_empty(), "{who} and {whom}");
    }
    for (who, whom, why) in NEVER {
        assert!(
            floor(who) >= floor(whom) && floor(whom).is_some() && !why.is_empty(),
            "{who} and {whom}"
        );
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        (
            "src/journal/mod.rs",
            "use crate::kafka::Forwarder;",
            "journal must not use kafka",
        ),
        (
            "src/leases.rs",
            "use crate::{clock::Clock, supervisor};",
            "leases must not use supervisor",
        ),
        (
            "src/leases.rs",
            "use crate::{clock::Clock, upstream::{body, Token}};",
            "leases must not use upstream",
        ),
        (
            "src/settings/mod.rs",
            "fn f() -> crate::telemetry::Level { 0 }",
            "settings must not use telemetry",
        ),
        (
            "src/stream/mod.rs",
            "fn f() { let x = Vec::<crate::supervisor::X>::new(); }",
            "stream must not use supervisor",
        ),
        (
            "src/supervisor.rs",
            "use super::cli::Arguments;",
            "supervisor must not use cli",
        ),
        (
            "src/upstream/body.rs",
            "use super::super::journal::Journal;",
            "upstream must not use journal",
        ),
        (
            "src/upstream/mod.rs",
            "mod inner { use super::super::journal::Journal; }",
            "upstream must not use journal",
        ),
        (
            "src/upstream/mod.rs",
            "mod inner { fn f() {} } use super::journal::Journal;",
            "upstream must not use journal",
        ),
        (
            "src/app.rs",
            "pub(crate) use crate::demo::Demo as Other;",
            "app must not use demo",
        ),
        (
            "src/exit_code.rs",
            "use crate::hit::NotAHit;",
            "exit_code must not use hit",
        ),
        (
            "src/simulator/mod.rs",
            "use crate::framing::Records;",
            "simulator must not use framing",
        ),
        (
            "src/simulator/faults.rs",
            "type T = crate::upstream::Token;",
            "simulator must not use upstream",
        ),
        (
            "src/stream/mod.rs",
            "use crate::simulator::Ledger;",
            "stream must not use simulator",
        ),
        ("src/journal/mod.rs", "use crate::novelty::X;", "novelty is on no floor"),
        ("src/novelty.rs", "use crate::hit;", "novelty is on no floor"),
        (
            "src/journal/mod.rs",
            "use crate::*;",
            "journal must not use the crate's root",
        ),
        (
            "src/journal/mod.rs",
            "use crate as root;",
            "journal must not use the crate's root",
        ),
        (
            "src/journal/mod.rs",
            "use super::*;",
            "journal must not use the crate's root",
        ),
        ("src/hit.rs", "use std::fs;", "a pure module must not mention std::fs"),
        (
            "src/hit.rs",
            "use std::{fmt, net::{IpAddr, TcpStream}};",
            "a pure module must not mention std::net",
        ),
        (
            "src/hit.rs",
            "fn f() { std::env::var(\"X\"); }",
            "a pure module must not mention std::env",
        ),
        ("src/hit.rs", "use std::*;", "a pure module must not mention std::*"),
        (
            "src/lifecycle/slot.rs",
            "use std::time::{Duration, Instant};",
            "a pure module must not mention Instant",
        ),
        (
            "src/lifecycle/slot.rs",
            "use std::time; fn f() { time::SystemTime::now(); }",
            "must not mention SystemTime",
        ),
        (
            "src/framing/mod.rs",
            "async fn f() { tokio::task::yield_now().await }",
            "a pure module must not mention tokio",
        ),
        (
            "src/framing/mod.rs",
            "#[cfg(not(test))] use std::fs;",
            "a pure module must not mention std::fs",
        ),
        (
            "src/framing/mod.rs",
            "#[cfg(test)] mod tests { } use std::fs;",
            "a pure module must not mention std::fs",
        ),
        (
            "src/hit.rs",
            "const C: char = '\"'; const D: &'static str = \"\\\"\"; use std::fs;",
            "must not mention std::fs",
        ),
        (
            "src/hit.rs",
            "const R: &str = r#\"a \" b\"#; /* a /* b */ c */ use std::fs;",
            "must not mention std::fs",
        ),
    ];
    for (path, text, expected) in planted {
        let found = violations(&[(path.to_owned(), format!("\n{text}"))]);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
        assert!(found[0].starts_with(&format!("{path}:2: ")), "{}", found[0]);
        assert!(found[0].contains(expected), "{}", found[0]);
    }
}

#[test]
fn what_is_allowed_is_not_a_violation() {
    let allowed = [
        (
            "src/kafka/mod.rs",
            "use crate::journal::Journal; use crate::hit; use crate::telemetry;",
        ),
        (
            "src/kafka/forwarder.rs",
            "use super::producer; use self::deep::X; pub(super) fn f() {} pub(crate) fn g() {}",
        ),
        (
            "src/kafka/mod.rs",
            "mod inner { use super::producer; pub(in crate::kafka) fn f() {} }",
        ),
        (
            "src/lifecycle/slot.rs",
            "use super::wait::Wait; use crate::lifecycle::lease; use std::time::Duration;",
        ),
        (
            "src/lifecycle/slot.rs",
            "//! Not crate::kafka.\n/* crate::kafka, std::fs */ const X: &str = \"crate::kafka tokio\";",
        ),
        (
            "src/lifecycle/slot.rs",
            "#[cfg(test)]\nmod tests { use crate::simulator; use std::time::Instant; fn f() { {} } }",
        ),
        (
            "src/lifecycle/slot.rs",
            "#[cfg(test)]\n#[allow(x)]\nuse crate::simulator;\nuse std::fmt;",
        ),
        (
            "src/lifecycle/slot.rs",
            "#[cfg(all(test, feature = \"kafka\"))]\nfn f() { std::fs::read(\"x\"); }",
        ),
        (
            "src/cli/mod.rs",
            "use crate::{app, demo, exit_code::ExitCode, simulator, upstream};",
        ),
        (
            "src/main.rs",
            "use livestreamd::cli; fn main() { livestreamd::cli::main() }",
        ),
        ("src/lib.rs", "pub mod kafka; pub use crate::kafka::X;"),
    ];
    for (path, text) in allowed {
        assert_eq!(
            violations(&[(path.to_owned(), text.to_owned())]),
            [""; 0],
            "{path}: {text}"
        );
    }
}

#[test]
fn a_file_that_only_tests_use_is_let_off_wherever_it_lies() {
    let tests = "use crate::simulator; use std::fs;";
    let beside = (
        "src/hit.rs".to_owned(),
        "#[cfg(test)]\n#[path = \"hit_tests.rs\"]\nmod tests;".to_owned(),
    );
    let below = ("src/framing/gzip.rs".to_owned(), "#[cfg(test)] mod tests;".to_owned());
    let files = |first: &(String, String), path: &str| [first.clone(), (path.to_owned(), tests.to_owned())];
    assert_eq!(violations(&files(&beside, "src/hit_tests.rs")), [""; 0]);
    assert_eq!(violations(&files(&below, "src/framing/gzip/tests.rs")), [""; 0]);
    assert_eq!(violations(&files(&below, "src/framing/gzip/tests/mod.rs")), [""; 0]);
    assert_eq!(
        violations(&files(&below, "src/framing/gzip/tests/world/mod.rs")),
        [""; 0]
    );
    assert_eq!(violations(&files(&below, "src/framing/tests.rs")).len(), 2);
    assert_eq!(violations(&files(&below, "src/framing/gzip/tests_of_old.rs")).len(), 2);
}

fn read_source() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut dirs = vec![root.join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 10, "src/ was not found");
    let sources: Vec<Source> = files.iter().map(|(path, text)| parse(path, text)).collect();
    files.retain(|(path, _)| !is_only_for_tests(path, &sources));
    files
}

/// `src/a/b.rs` and `src/a.rs` are of module a.
fn top_module(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or_default().to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

fn is_only_for_tests(path: &str, sources: &[Source]) -> bool {
    sources
        .iter()
        .any(|source| source.test_files.iter().any(|file| is_file_of(path, file)))
}

/// Whether the file at `path` is that of the module at `file`, such as `src/hit/tests.rs`, or of one below it.
fn is_file_of(path: &str, file: &str) -> bool {
    let below = path.strip_prefix(file.trim_end_matches(".rs"));
    path == file || below.is_some_and(|rest| rest.starts_with('/'))
}

fn violations(files: &[(String, String)]) -> Vec<String> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| parse(path, text)).collect();
    let mut found = Vec::new();
    for ((path, _), source) in files.iter().zip(&sources) {
        let module = top_module(path);
        if module == "lib" || is_only_for_tests(path, &sources) {
            continue;
        }
        let mut complain = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
        for mention in &source.mentions {
            if let Some(target) = &mention.in_crate {
                if let Some(what) = forbidden_arrow(&module, target.first().map(String::as_str)) {
                    complain(mention.line, &what);
                }
            } else if PURE.contains(&module.as_str())
                && let Some(what) = impurity(&mention.path)
            {
                complain(mention.line, &format!("a pure module must not mention {what}"));
            }
        }
    }
    // A group of names from one module is one arrow.
    found.dedup();
    found
}

fn forbidden_arrow(from: &str, to: Option<&str>) -> Option<String> {
    let to = match to {
        None | Some("*" | "self") => return Some(format!("{from} must not use the crate's root: say which module")),
        Some(to) => to,
    };
    if from == to || ANYWHERE.contains(&to) {
        return None;
    }
    if ANYWHERE.contains(&from) {
        return Some(format!("{from} must not use {to}: it is used from everywhere"));
    }
    let Some(from_floor) = floor(from) else {
        return Some(format!("{from} is on no floor: put it into the table"));
    };
    let Some(to_floor) = floor(to) else {
        return Some(format!("{to} is on no floor: put it into the table"));
    };
    if let Some((_, _, why)) = NEVER.iter().find(|(who, whom, _)| (*who, *whom) == (from, to)) {
        return Some(format!("{from} must not use {to}: {why}"));
    }
    if to_floor < from_floor || SIDEWAYS.iter().any(|(who, whom, _)| (*who, *whom) == (from, to)) {
        return None;
    }
    let where_to = if to_floor == from_floor {
        "along the floor"
    } else {
        "upward"
    };
    Some(format!("{from} must not use {to}: the arrow points {where_to}"))
}

fn impurity(path: &[String]) -> Option<&'static str> {
    let joined = path.join("::");
    let begins = |what: &str| {
        joined
            .strip_prefix(what)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let by_path = IMPURE_PATHS.iter().find(|what| begins(what));
    by_path
        .or_else(|| {
            IMPURE_WORDS
                .iter()
                .find(|word| path.iter().any(|segment| segment == *word))
        })
        .copied()
}
