//! A step of the machine of a connection slot.

use criterion::{Criterion, Throughput};

use crate::stages::lifecycle::{Course, STEPS};

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lifecycle");
    group.throughput(Throughput::Elements(STEPS));
    group.bench_function("reconnect", |bencher| {
        let mut course = Course::new();
        bencher.iter(|| course.reconnect());
    });
    group.finish();
}
