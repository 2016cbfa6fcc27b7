//! The hot path on inputs that never change, a stage at a time, for `benches/instructions/run` to count instructions in.
//!
//! ```text
//! instructions stages        names of the stages, one a line
//! instructions machine       what of the processor code may look at, as this process sees it
//! instructions run STAGE     prepares, measures once, prints what was measured
//! ```
//!
//! Only [`livestreamd_measured_section`] counts: callgrind is told to collect within the function of that name. So start-up, the making of
//! inputs and what a stage prepares cost time and no instructions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fault here is a fault of the benchmark"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a script")]

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../stages/mod.rs"]
mod stages;

use std::hint::black_box;
use std::process::ExitCode;

use livestreamd::dedup::{Limits, Verdict};
use livestreamd::id_store::IdStore;
use livestreamd::journal::{DEFAULT_CURSOR, Position};
use stages::input::Input;
use stages::{connection, forwarding, framing, journal, lifecycle, whole};

/// Enough for what happens once in a while, such as a table that is emptied, to weigh what it should; a second or two under callgrind.
const HITS: u64 = 2_000;
/// How often a slot connects.
const RECONNECTS: u64 = 2_000;

/// One part of the hot path.
struct Stage {
    name: &'static str,
    /// What its figure is for one of.
    unit: &'static str,
    /// Prepares, measures, and says for how many of the unit.
    run: fn(&Input) -> u64,
}

const STAGES: &[Stage] = &[
    Stage {
        name: "inflate",
        unit: "hit",
        run: inflate,
    },
    Stage {
        name: "split",
        unit: "hit",
        run: split,
    },
    Stage {
        name: "connection",
        unit: "hit",
        run: connection,
    },
    Stage {
        name: "journal_append",
        unit: "hit",
        run: journal_append,
    },
    Stage {
        name: "journal_read",
        unit: "hit",
        run: journal_read,
    },
    Stage {
        name: "ids",
        unit: "hit",
        run: ids,
    },
    Stage {
        name: "dedup",
        unit: "hit",
        run: dedup,
    },
    Stage {
        name: "id_store",
        unit: "hit",
        run: id_store,
    },
    Stage {
        name: "whole",
        unit: "hit",
        run: whole,
    },
    Stage {
        name: "lifecycle",
        unit: "reconnect",
        run: lifecycle,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["stages"] => STAGES.iter().for_each(|stage| println!("{}", stage.name)),
        ["machine"] => println!("{}", machine().join(" ")),
        ["run", name] => {
            let Some(stage) = STAGES.iter().find(|stage| stage.name == name) else {
                eprintln!("there is no stage {name}: `stages` lists them");
                return ExitCode::FAILURE;
            };
            let input = Input::of(HITS);
            let count = (stage.run)(&input);
            println!("{} {count} {} {:016x}", stage.name, stage.unit, input.fingerprint());
        }
        // `cargo bench` asks every benchmark so.
        ["--bench"] => println!("instructions are counted by benches/instructions/run"),
        _ => {
            eprintln!(
                "usage: instructions stages | machine | run STAGE; or benches/instructions/run, which does it all"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Where instructions count. The work comes as an argument, so that nothing else has a name like this one; the outcome goes through
/// `black_box`, so that the call is no jump.
#[inline(never)]
fn livestreamd_measured_section(work: &mut dyn FnMut() -> u64) -> u64 {
    black_box(work())
}

fn measured(mut work: impl FnMut() -> u64) -> u64 {
    livestreamd_measured_section(&mut work)
}

fn inflate(input: &Input) -> u64 {
    let plain = measured(|| framing::inflate(&input.pieces) as u64);
    assert_eq!(plain, input.plain.len() as u64);
    input.hits
}

fn split(input: &Input) -> u64 {
    let mut splitter = framing::splitter();
    let whole = measured(|| framing::split(&mut splitter, &input.plain).0 as u64);
    assert_eq!(whole, input.plain.len() as u64);
    input.hits
}

fn connection(input: &Input) -> u64 {
    let mut open = connection::Open::answered(&input.answer());
    let whole = measured(|| open.read(|run| drop(black_box(run))) as u64);
    assert_eq!(whole, input.plain.len() as u64);
    input.hits
}

fn journal_append(input: &Input) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut store = journal::store(dir.path());
    let entries: Vec<_> = input.batches().into_iter().map(journal::entry).collect();
    measured(|| {
        entries
            .iter()
            .map(|entry| journal::append(&mut store, std::slice::from_ref(entry)).len() as u64)
            .sum()
    });
    input.hits
}

fn journal_read(input: &Input) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut store = journal::store(dir.path());
    for batch in input.batches() {
        journal::append(&mut store, &[journal::entry(batch)]);
    }
    let mut read = 0;
    measured(|| {
        journal::read_back(&mut store, |batch| read += batch.bytes.len());
        read as u64
    });
    assert_eq!(read, input.plain.len());
    input.hits
}

fn ids(input: &Input) -> u64 {
    let batches = input.batches();
    let hits = measured(|| batches.iter().map(|batch| forwarding::ids(batch) as u64).sum());
    assert_eq!(hits, input.hits);
    hits
}

fn dedup(input: &Input) -> u64 {
    let mut window = forwarding::seasoned_window(input.hits);
    let known: Vec<_> = forwarding::known(&input.plain).collect();
    let firsts = measured(|| {
        let mut firsts = 0;
        for (position, (id, record)) in known.iter().enumerate() {
            let entry = forwarding::entry(*id, record, position as u64);
            firsts += u64::from(window.judge(entry) == Verdict::First);
        }
        firsts
    });
    assert_eq!(firsts, input.hits);
    firsts
}

fn id_store(input: &Input) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        window_ms: u64::MAX,
        max_ids: 4 * HITS as usize,
    };
    let (mut ids, _) = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, limits, Position(0), drop).unwrap();
    let entries: Vec<_> = forwarding::known(&input.plain)
        .zip(0..)
        .map(|((id, record), position)| forwarding::entry(id, record, position))
        .collect();
    measured(|| {
        // About as many as are delivered between two syncs, at a few thousand hits a second.
        for some in entries.chunks(500) {
            ids.append(some).unwrap();
        }
        entries.len() as u64
    })
}

fn whole(input: &Input) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut behind = whole::Behind::new(dir.path(), input.hits);
    let mut open = connection::Open::answered(&input.answer());
    measured(|| open.read(|run| behind.take(run)) as u64);
    assert_eq!(behind.firsts(), input.hits);
    input.hits
}

fn lifecycle(_: &Input) -> u64 {
    let mut course = lifecycle::Course::new();
    course.reconnect();
    measured(|| (0..RECONNECTS).map(|_| course.reconnect() as u64).sum());
    RECONNECTS
}

/// The features for which some crate or the C library has code of its own, to be chosen at run time.
fn machine() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! seen {
            ($($name:tt)*) => {
                [$(($name, std::arch::is_x86_feature_detected!($name))),*]
            };
        }
        let seen = seen!("sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "pclmulqdq" "avx" "avx2" "bmi1" "bmi2" "lzcnt" "avx512f" "avx512bw" "avx512vl" "vpclmulqdq");
        seen.into_iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| name)
            .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}
