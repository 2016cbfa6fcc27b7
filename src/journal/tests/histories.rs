//! A hundred thousand random histories, judged; and the faults that the judge must find, or it proves nothing.

use super::disk::{Counts, FaultKind};
use super::world::{Plant, Rule, Violation, World};

const HISTORIES: u64 = 100_000;
/// How often each fault must have been made, so that "nothing went wrong" says something about it.
const LEAST: u64 = 100;
/// The histories are shared out among threads.
const THREADS: u64 = 2;

fn play(seed: u64, plant: Plant) -> (Result<(), Violation>, Counts) {
    let mut world = World::new(seed, plant);
    let outcome = world.live();
    (outcome, world.counts())
}

/// The history of `seed`, for people to read.
fn explain(seed: u64, plant: Plant) -> String {
    let mut world = World::new(seed, plant);
    world.trace = Some(Vec::new());
    let outcome = world.live();
    let trace = world.trace.take().unwrap_or_default().join("\n");
    format!("history {seed}:\n{trace}\n{outcome:?}")
}

#[test]
fn no_random_history_breaks_a_promise_and_every_fault_occurs() {
    let runs: Vec<Result<Counts, u64>> = std::thread::scope(|scope| {
        let run = |thread| {
            move || {
                let mut counts = Counts::new();
                let mut seed = thread;
                while seed < HISTORIES {
                    let (outcome, made) = play(seed, Plant::Sound);
                    if outcome.is_err() {
                        return Err(seed);
                    }
                    for (kind, count) in made {
                        *counts.entry(kind).or_default() += count;
                    }
                    seed += THREADS;
                }
                Ok(counts)
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut counts = Counts::new();
    for run in runs {
        match run {
            Ok(part) => {
                for (kind, count) in part {
                    *counts.entry(kind).or_default() += count;
                }
            }
            Err(seed) => panic!("{}", explain(seed, Plant::Sound)),
        }
    }
    println!("{HISTORIES} histories: {counts:?}");
    for kind in FaultKind::ALL {
        let count = counts.get(kind).copied().unwrap_or_default();
        assert!(count >= LEAST, "{kind:?} occurred {count} times only");
    }
}

/// Plays histories with `plant` until the judge objects because of `rule`.
#[track_caller]
fn is_found_out(plant: Plant, rule: Rule) {
    let found = (0..20_000).find_map(|seed| {
        let violation = play(seed, plant).0.err()?;
        (violation.rule == rule).then_some((seed, violation))
    });
    let Some((seed, violation)) = found else {
        panic!("{plant:?} goes unnoticed, or not as {rule:?}");
    };
    println!("{plant:?}: found in history {seed}: {violation}");
}

#[test]
fn a_position_used_twice_is_found_out() {
    is_found_out(Plant::PositionTwice, Rule::PositionTwice);
}

#[test]
fn a_segment_unlinked_before_its_cursor_is_durable_is_found_out() {
    is_found_out(Plant::UnlinkBeforeTheCursorIsDurable, Rule::UnlinkedTooEarly);
}

#[test]
fn a_sync_that_was_not_done_is_found_out() {
    is_found_out(Plant::SyncNotDone, Rule::Lost);
}

#[test]
fn a_batch_that_the_disk_refused_and_nobody_kept_is_found_out() {
    is_found_out(Plant::RefusalForgotten, Rule::Lost);
}

#[test]
fn a_damaged_segment_that_is_not_set_aside_is_found_out() {
    is_found_out(Plant::DamageForgotten, Rule::SetAside);
}

#[test]
fn a_cursor_that_is_added_and_not_durable_is_found_out() {
    is_found_out(Plant::AddedNotDurable, Rule::Cursor);
}

#[test]
fn a_removed_cursor_that_holds_the_journal_back_is_found_out() {
    is_found_out(Plant::RemovedHoldsBack, Rule::Room);
}

#[test]
fn positions_that_only_a_removed_cursor_had_passed_and_that_are_used_again_are_found_out() {
    is_found_out(Plant::RemovedEndForgotten, Rule::PositionTwice);
}

#[test]
fn a_segment_that_goes_before_one_of_the_cursors_has_passed_it_is_found_out() {
    is_found_out(Plant::CursorNotAsked, Rule::UnlinkedTooEarly);
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    for seed in 0..1_000 {
        assert!(play(seed, Plant::Sound).0.is_ok(), "{}", explain(seed, Plant::Sound));
    }
}
