//! The ids of what is delivered, to disk and back.

use criterion::{BatchSize, Criterion, Throughput};
use livestreamd::dedup::{Entry, Limits};
use livestreamd::id_store::IdStore;
use livestreamd::journal::{DEFAULT_CURSOR, Position};

use crate::stages::forwarding;
use crate::stages::input::Input;

const LIMITS: Limits = Limits {
    window_ms: u64::MAX,
    max_ids: 1_750_000,
};

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let known = forwarding::known(&input.plain).zip(0..);
    let entries: Vec<Entry> = known
        .map(|((id, record), position)| forwarding::entry(id, record, position))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let mut read = 0;
        let opened = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, LIMITS, Position(u64::MAX), |_| {
            read += 1;
        });
        (opened.unwrap().0, read)
    };
    let mut group = criterion.benchmark_group("id_store");
    group.throughput(Throughput::Elements(input.hits));
    group.bench_function("append", |bencher| {
        let fresh = || {
            let _ = std::fs::remove_dir_all(dir.path().join("dedup"));
            open().0
        };
        let append = |ids: &mut IdStore| ids.append(&entries).unwrap();
        bencher.iter_batched_ref(fresh, append, BatchSize::PerIteration);
    });
    group.bench_function("open", |bencher| {
        let _ = std::fs::remove_dir_all(dir.path().join("dedup"));
        open().0.append(&entries).unwrap();
        bencher.iter(|| assert_eq!(open().1, entries.len()));
    });
    group.finish();
}
