//! Whether a hit was there before: the hash of its bytes, and the window's verdict.

use std::cell::Cell;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use livestreamd::dedup::{Entry, hash};

use crate::stages::forwarding;
use crate::stages::input::{Input, RECEIVED_MS};

/// Half of the default `dedup.max_ids`: no cache holds them.
const GENERATION: u64 = 875_000;

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let mut group = crate::group(criterion, "dedup", input);
    let records = input.records();
    group.bench_function("hash", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(hash(record));
            }
        });
    });

    let mut window = forwarding::seasoned_window(GENERATION);
    let next = Cell::new(0);
    let entry = |number: u64| Entry {
        id: (1, number),
        hash: number,
        position: number,
        received_ms: RECEIVED_MS,
    };
    // From here on the length of a hit does not matter.
    group.throughput(Throughput::Elements(input.hits));
    group.bench_function("judge_first", |bencher| {
        bencher.iter(|| {
            for _ in 0..input.hits {
                black_box(window.judge(entry(next.replace(next.get() + 1))));
            }
        });
    });
    group.bench_function("judge_again", |bencher| {
        bencher.iter(|| {
            // The latest, at positions behind their first ones: duplicates.
            for back in 1..=input.hits {
                let known = entry(next.get() - back);
                black_box(window.judge(Entry {
                    position: u64::MAX,
                    ..known
                }));
            }
        });
    });
    group.finish();
}
