//! Compressed bytes to runs of whole records: alone, and from the socket on.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};

use crate::stages::connection::Open;
use crate::stages::framing;
use crate::stages::input::Input;

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let mut group = crate::group(criterion, "framing", input);
    group.bench_function("inflate", |bencher| {
        bencher.iter(|| framing::inflate(&input.pieces));
    });
    group.bench_function("split", |bencher| {
        let mut splitter = framing::splitter();
        bencher.iter(|| framing::split(&mut splitter, &input.plain));
    });
    group.bench_function("connection", |bencher| {
        let answer = input.answer();
        let open = || Open::answered(&answer);
        let read = |open: &mut Open| open.read(|run| drop(black_box(run)));
        bencher.iter_batched_ref(open, read, BatchSize::PerIteration);
    });
    group.finish();
}
