//! All stages in their order, on one thread: from the socket to a verdict on every hit.

use criterion::{BatchSize, Criterion};

use crate::stages::connection::Open;
use crate::stages::input::Input;
use crate::stages::whole::Behind;

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let mut group = crate::group(criterion, "whole", input);
    group.bench_function("socket_to_verdict", |bencher| {
        let dir = tempfile::tempdir().unwrap();
        let answer = input.answer();
        let prepare = || {
            let _ = std::fs::remove_dir_all(dir.path());
            std::fs::create_dir(dir.path()).unwrap();
            (Open::answered(&answer), Behind::new(dir.path(), input.hits))
        };
        let run = |(open, behind): &mut (Open, Behind)| open.read(|run| behind.take(run));
        bencher.iter_batched_ref(prepare, run, BatchSize::PerIteration);
    });
    group.finish();
}
