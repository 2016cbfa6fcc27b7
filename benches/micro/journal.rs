//! A run of records into the journal and out again: the whole of it with its threads, on disk; and its parts.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use livestreamd::journal::store::Entry;
use livestreamd::journal::tail::Tail;
use livestreamd::journal::{Batch, DEFAULT_CURSOR, Journals, JournalsSettings, Position, format};
use livestreamd::settings::defaults::SYNC_INTERVAL;
use tokio::runtime::Builder;

use crate::stages::input::Input;
use crate::stages::journal;

const GIB: u64 = 1 << 30;
const TAIL_BYTES: u64 = 4 << 20;

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let in_a_burst = input.batches();
    let one_by_one: Vec<Bytes> = input.lines().map(Bytes::copy_from_slice).collect();
    let mut group = crate::group(criterion, "journal", input);
    for (name, runs) in [("in_a_burst", &in_a_burst), ("one_by_one", &one_by_one)] {
        group.bench_function(BenchmarkId::new("append_and_take", name), |bencher| {
            let there_and_back = ThereAndBack::new();
            bencher.iter(|| there_and_back.run(runs));
        });
    }
    group.bench_function("store_append", |bencher| {
        let dir = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = in_a_burst.iter().cloned().map(journal::entry).collect();
        let fresh = || {
            let _ = std::fs::remove_dir_all(dir.path());
            std::fs::create_dir(dir.path()).unwrap();
            journal::store(dir.path())
        };
        bencher.iter_batched_ref(fresh, |store| journal::append(store, &entries), BatchSize::PerIteration);
    });
    group.bench_function("store_read", |bencher| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = journal::store(dir.path());
        let entries: Vec<Entry> = in_a_burst.iter().cloned().map(journal::entry).collect();
        journal::append(&mut store, &entries);
        bencher.iter(|| {
            let mut read = 0;
            journal::read_back(&mut store, |batch| read += batch.bytes.len());
            read
        });
    });
    group.bench_function("header_with_checksum", |bencher| {
        let batches: Vec<_> = in_a_burst.iter().cloned().map(journal::new_batch).collect();
        bencher.iter(|| {
            for batch in &batches {
                black_box(format::header(batch));
            }
        });
    });
    let batches = placed(&in_a_burst);
    group.throughput(Throughput::Elements(batches.len() as u64));
    group.bench_function("tail", |bencher| {
        bencher.iter(|| {
            let mut tail = Tail::new(TAIL_BYTES);
            for batch in &batches {
                tail.push(Arc::clone(batch));
                black_box(tail.find(batch.position));
            }
        });
    });
    group.finish();
}

fn placed(runs: &[Bytes]) -> Vec<Arc<Batch>> {
    let mut end = Position(0);
    let mut place = |run: &Bytes| {
        let batch = journal::new_batch(run.clone()).at(end);
        end = batch.end();
        Arc::new(batch)
    };
    runs.iter().map(&mut place).collect()
}

/// A stream's journal with the threads that write and sync it. All that is appended is taken and passed at once.
struct ThereAndBack {
    runtime: tokio::runtime::Runtime,
    journal: livestreamd::journal::Journal,
    /// Stops the threads when it goes.
    _journals: Journals,
    _dir: tempfile::TempDir,
}

impl ThereAndBack {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::start(JournalsSettings {
            state_dir: dir.path().to_owned(),
            sync_interval: SYNC_INTERVAL,
            max_bytes: GIB,
            max_bytes_in_all: GIB,
            streams: 1,
        });
        let journals = journals.unwrap();
        Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            journal: journals.open("web", &[]).unwrap(),
            _journals: journals,
            _dir: dir,
        }
    }

    fn run(&self, runs: &[Bytes]) {
        let journal = &self.journal;
        self.runtime.block_on(async {
            for run in runs {
                let position = journal.append(journal::new_batch(run.clone())).await.unwrap();
                let batch = journal.next(position).await.unwrap();
                journal.advance(DEFAULT_CURSOR, batch.end());
            }
        });
    }
}
