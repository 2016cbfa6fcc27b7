//! How fast each stage of the hot path is, alone: see benches/README.md.
//!
//! Times are of this machine in this minute: compare two runs on one that has nothing else to do. What CI holds are instructions
//! (`benches/instructions`) and allocations (`tests/allocations.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fault here is a fault of the benchmark"
)]

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../stages/mod.rs"]
mod stages;

mod dedup;
mod framing;
mod id_store;
mod ids;
mod journal;
mod lifecycle;
mod shaping;
mod whole;

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use stages::input::Input;

/// Some 5 MB: more than the caches near a core, as in a burst.
const HITS: u64 = 2_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(30)
        .configure_from_args();
    let input = Input::of(HITS);
    framing::bench(&mut criterion, &input);
    ids::bench(&mut criterion);
    shaping::bench(&mut criterion, &input);
    dedup::bench(&mut criterion, &input);
    journal::bench(&mut criterion, &input);
    id_store::bench(&mut criterion, &input);
    lifecycle::bench(&mut criterion);
    whole::bench(&mut criterion, &input);
    criterion.final_summary();
}

/// A group whose figures are for the whole input: plain bytes and hits.
fn group<'a>(criterion: &'a mut Criterion, name: &str, input: &Input) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::ElementsAndBytes {
        elements: input.hits,
        bytes: input.plain.len() as u64,
    });
    group
}
