//! Ten thousand histories, judged; what occurred in them; and faults that the judge must find.

use std::path::PathBuf;

use super::judge::{Rule, Violation, judge};
use super::tally::Tally;
use super::world::{Past, Plant, live};
use crate::leases::AT_ONCE;

/// Unless `LIVESTREAMD_TEST_EMULATIONS` says otherwise.
const HISTORIES: u64 = 10_000;
/// The histories are shared out among threads.
const THREADS: u64 = 2;
/// A kind of thing that occurs in fewer than one of so many histories says nothing.
const SELDOM: u64 = 200;
/// With fewer histories than this chance has too large a part in what occurs.
const ENOUGH: u64 = 2_000;

/// What has to occur.
const OCCURS: &[&str] = &[
    "network: connect refused",
    "network: connect hangs",
    "network: slow head",
    "network: single bytes",
    "network: partial",
    "network: full",
    "network: lost by Reset",
    "network: lost by Close",
    "network: lost by Silence",
    "service: tokens revoked",
    "service: trouble with tokens",
    "daemon: restarted",
    "daemon: killed",
    "journal: not emptied for a while",
    "ended: closed",
    "ended: cut",
    "ended: reset",
    "ended: corrupt_gzip",
    "ended: corrupt_framing",
    "ended: stalled",
    "lost: HeadTimeout",
    "lost: Broken",
    "lost: RedirectHop",
    "lost: Unreadable",
    "refused: 400",
    "refused: 401",
    "refused: 404",
    "refused: 409",
    "refused: 424",
    "refused: 429",
    "refused: 500",
    "refused: 502",
    "refused: 503",
    "refused: 504",
    "retry after a 401",
    "waiting: unreached",
    "waiting: token",
    "waiting: lease_open",
    "waiting: lease_closed",
    "streaming",
    "stopped",
];

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Where leases are written for nothing, if there is such a place.
fn scratch() -> tempfile::TempDir {
    let in_memory = PathBuf::from("/dev/shm");
    tempfile::tempdir_in(&in_memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn past(seed: u64, plant: Plant, tally: &Tally) -> Past {
    AT_ONCE.set(true);
    let dir = scratch();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, plant, dir.path(), tally))
}

fn first_violation(seeds: impl Iterator<Item = u64>, plant: Plant, tally: &Tally) -> Option<(u64, Violation)> {
    for seed in seeds {
        if let Err(violation) = judge(&past(seed, plant, tally)) {
            return Some((seed, violation));
        }
    }
    None
}

#[test]
fn no_emulated_history_breaks_a_rule_and_every_fault_occurs() {
    if let Some(seed) = number_from("LIVESTREAMD_TEST_SEED") {
        let past = past(seed, Plant::Nothing, &Tally::default());
        for connection in &past.connections {
            println!("{connection}");
        }
        return judge(&past).unwrap_or_else(|violation| panic!("history {seed}: {violation}"));
    }
    let histories = number_from("LIVESTREAMD_TEST_EMULATIONS").unwrap_or(HISTORIES);
    let tally = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let tally = tally.clone();
                scope.spawn(move || {
                    let own = Tally::default();
                    let seeds = (0..histories).filter(|seed| seed % THREADS == thread);
                    let found = first_violation(seeds, Plant::Nothing, &own);
                    tally.add(&own);
                    found
                })
            })
            .collect();
        for thread in threads {
            if let Some((seed, violation)) = thread.join().unwrap() {
                panic!(
                    "history {seed}: {violation}\nto see it alone: LIVESTREAMD_TEST_SEED={seed} cargo test --lib emulat -- --nocapture"
                );
            }
        }
    });
    if histories >= ENOUGH {
        for what in OCCURS {
            assert!(
                tally.count(what) >= histories / SELDOM,
                "{what} is too seldom: {:#?}",
                tally.table()
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [3, 17] {
        let [one, other] = [(), ()].map(|()| past(seed, Plant::Nothing, &Tally::default()));
        assert!(one.batches == other.batches);
        let wires = |past: &Past| {
            past.connections
                .iter()
                .map(|it| (it.accepted, it.read.clone()))
                .collect::<Vec<_>>()
        };
        assert!(wires(&one) == wires(&other) && !one.batches.is_empty());
    }
}

#[test]
fn faults_planted_in_emulated_histories_are_found() {
    for (plant, rule) in [
        (Plant::ShortCooldown, Rule::Cooldown),
        (Plant::LeaseForgotten, Rule::Cooldown),
        (Plant::BatchDropped, Rule::Journal),
        (Plant::BatchDoubled, Rule::Journal),
        (Plant::BatchesSwapped, Rule::Journal),
        (Plant::BytesChanged, Rule::Journal),
        (Plant::CutRecordKept, Rule::Journal),
        (Plant::NeverComesBack, Rule::ComesBack),
        (Plant::LeaseLeftOpen, Rule::LeaseClosed),
    ] {
        let (seed, violation) =
            first_violation(0..40, plant, &Tally::default()).unwrap_or_else(|| panic!("{plant:?} is not found"));
        assert_eq!(violation.rule, rule, "{plant:?} in history {seed}: {violation}");
    }
}
