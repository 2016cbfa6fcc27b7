//! A run of records to disk, and back. On real files: what the kernel does is in times, and not in counts of instructions.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use livestreamd::journal::files::{Files as _, SystemFiles};
use livestreamd::journal::room::Charge;
use livestreamd::journal::store::{Entry, SEGMENT_BYTES, Store, StoreSettings};
use livestreamd::journal::walk::CHUNK_BYTES;
use livestreamd::journal::{Batch, BatchKind, NewBatch, Position};

use super::input::RECEIVED_MS;

/// A run of records as it goes into the journal.
pub const fn new_batch(bytes: Bytes) -> NewBatch {
    NewBatch {
        kind: BatchKind::Records,
        received_ms: RECEIVED_MS,
        slot: 0,
        bytes,
    }
}

/// The same, as the writer thread gets it.
pub fn entry(bytes: Bytes) -> Entry {
    Entry {
        batch: new_batch(bytes),
        charge: Charge::default(),
    }
}

/// An empty journal under `dir`, without the threads that go with it.
pub fn store(dir: &Path) -> Store {
    let settings = StoreSettings {
        dir: dir.join("journal"),
        quarantine: dir.join("quarantine"),
        segment_bytes: SEGMENT_BYTES,
        if_unknown: Position(0),
    };
    SystemFiles
        .make_dir(&settings.quarantine)
        .expect("the directory is ours");
    Store::open(Arc::new(SystemFiles), settings).expect("it is empty")
}

/// Appends `entries`, and says where each stands.
pub fn append(store: &mut Store, entries: &[Entry]) -> Vec<Position> {
    let (positions, outcome) = store.append(entries);
    outcome.expect("there is room on the disk");
    positions
}

/// Reads all there is, as a forwarder that lags does.
pub fn read_back(store: &mut Store, mut take: impl FnMut(&Batch)) {
    let mut at = Position(0);
    while let Some(plan) = store.plan_read(at) {
        let out = plan.run(&SystemFiles, CHUNK_BYTES).expect("the disk works");
        store.after_read(&out);
        for batch in &out.batches {
            take(batch);
        }
        at = out.resume;
    }
    assert_eq!(store.take_faults().len(), 0, "nothing is damaged");
}
