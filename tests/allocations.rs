//! How often memory is allocated on the way of a hit: never for a hit, a few times for a run of them.
//!
//! A program of its own, because it brings its own allocator. That one counts for the thread that asks, so that tests do not disturb each other;
//! what moves to a larger place counts as allocated again. What a test allows is what was seen, with a little room for what happens once: who
//! needs more says why in the commit.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "all of it is test"
)]

#[allow(dead_code, reason = "benchmarks use the rest")]
#[path = "../benches/stages/mod.rs"]
mod stages;

use std::hint::black_box;
use std::slice;

use livestreamd::journal::walk::CHUNK_BYTES;
use livestreamd::shape::Scratch;
use stages::connection::Open;
use stages::input::Input;
use stages::lifecycle::{Course, STEPS};
use stages::whole::Behind;
use stages::{forwarding, framing, journal, shaping};

/// Some 80 runs of records.
const HITS: u64 = 4_000;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// Fails if `found` is more than `each` for each of `count`, and `once` besides.
#[track_caller]
fn assert_at_most(found: u64, each: u64, count: u64, once: u64) {
    println!("{found} allocations; {each} for each of {count} and {once} besides would pass");
    assert!(
        found <= each * count + once,
        "{found} allocations, where {each} for each of {count} and {once} besides are allowed"
    );
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn inflating_allocates_when_it_begins_and_never_again() {
    let input = Input::of(HITS);
    let found = allocations(|| assert_eq!(framing::inflate(&input.pieces), input.plain.len()));
    assert_at_most(found, 0, HITS, 4);
}

#[test]
fn splitting_allocates_once_for_a_run_of_records() {
    let input = Input::of(HITS);
    let mut splitter = framing::splitter();
    let mut runs = 0;
    let found = allocations(|| {
        let bytes;
        (bytes, runs) = framing::split(&mut splitter, &input.plain);
        assert_eq!(bytes, input.plain.len());
    });
    assert_at_most(found, 1, runs, 4);
}

#[test]
fn a_connection_allocates_once_for_a_run_of_records() {
    let input = Input::of(HITS);
    let mut open = Open::answered(&input.answer());
    let mut runs = 0;
    let found = allocations(|| {
        open.read(|_| runs += 1);
    });
    assert!(runs < HITS / 20, "{runs} runs of {HITS} hits");
    assert_at_most(found, 1, runs, 8);
}

#[test]
fn an_append_allocates_three_times() {
    let input = Input::of(HITS);
    let dir = tempfile::tempdir().unwrap();
    let mut store = journal::store(dir.path());
    let entries: Vec<_> = input.batches().into_iter().map(journal::entry).collect();
    journal::append(&mut store, &entries[..1]);
    let found = allocations(|| {
        for entry in &entries {
            journal::append(&mut store, slice::from_ref(entry));
        }
    });
    assert_at_most(found, 3, entries.len() as u64, 8);
}

#[test]
fn reading_the_journal_back_allocates_twice_for_a_batch_and_a_few_times_for_a_chunk() {
    let input = Input::of(HITS);
    let dir = tempfile::tempdir().unwrap();
    let mut store = journal::store(dir.path());
    let entries: Vec<_> = input.batches().into_iter().map(journal::entry).collect();
    journal::append(&mut store, &entries);
    let mut batches = 0;
    let found = allocations(|| journal::read_back(&mut store, |_| batches += 1));
    let chunks = input.plain.len().div_ceil(CHUNK_BYTES as usize) as u64;
    assert_at_most(found, 2, batches, 8 * chunks);
}

#[test]
fn finding_the_ids_of_a_hit_allocates_nothing() {
    for input in [Input::of(HITS), Input::of_size(200, 1_000), Input::of_size(200, 16_000)] {
        let found = allocations(|| assert_eq!(forwarding::ids(&input.plain) as u64, input.hits));
        assert_at_most(found, 0, input.hits, 0);
    }
}

#[test]
fn shaping_a_hit_allocates_nothing_once_as_large_a_one_was_shaped() {
    let input = Input::of(HITS);
    for (name, shape) in shaping::shapes() {
        let mut scratch = Scratch::default();
        let before = shaping::shape(&shape, &input.plain, &mut scratch);
        assert!(before > 0);
        println!("{name}");
        let found = allocations(|| assert_eq!(shaping::shape(&shape, &input.plain, &mut scratch), before));
        assert_at_most(found, 0, HITS, 0);
    }
}

#[test]
fn judging_a_hit_allocates_nothing_where_as_many_came_before() {
    let input = Input::of(HITS);
    let mut window = forwarding::seasoned_window(HITS);
    let known: Vec<_> = forwarding::known(&input.plain).collect();
    let found = allocations(|| {
        for ((id, record), position) in known.iter().zip(0..) {
            window.judge(forwarding::entry(*id, record, position));
        }
    });
    assert_at_most(found, 0, HITS, 0);
}

#[test]
fn from_the_socket_to_its_verdict_a_hit_allocates_nothing_and_a_run_of_them_five_times() {
    let input = Input::of(HITS);
    let dir = tempfile::tempdir().unwrap();
    let mut behind = Behind::new(dir.path(), HITS);
    let mut open = Open::answered(&input.answer());
    let mut runs = 0;
    let found = allocations(|| {
        open.read(|run| {
            runs += 1;
            behind.take(run);
        });
    });
    assert_eq!(behind.firsts(), HITS);
    assert!(runs < HITS / 20, "{runs} runs of {HITS} hits");
    assert_at_most(found, 5, runs, 24);
}

#[test]
fn a_step_of_the_lifecycle_allocates_its_list_of_actions() {
    const RECONNECTS: u64 = 100;
    let mut course = Course::new();
    let found = allocations(|| {
        for _ in 0..RECONNECTS {
            course.reconnect();
        }
    });
    assert_at_most(found, 1, RECONNECTS * STEPS, 0);
}
