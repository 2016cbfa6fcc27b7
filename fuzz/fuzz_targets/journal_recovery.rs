//! Whatever a journal's directory holds: it opens or says why not, all of it can be read to an end, and what is appended then is found
//! again at a position that nothing before had.
//!
//! The input is files: a byte for the name, two for the length, then the content. Content goes in parts of 32 bytes, and a part that begins with a line feed becomes a
//! whole batch, so that the fuzzer need not guess checksums.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use livestreamd::journal::files::SystemFiles;
use livestreamd::journal::room::Charge;
use livestreamd::journal::store::{Entry, Store, StoreSettings};
use livestreamd::journal::{BatchKind, DEFAULT_CURSOR, NewBatch, Position, format};

fuzz_target!(|input: &[u8]| {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = StoreSettings {
        dir: dir.path().join("web"),
        quarantine: dir.path().join("quarantine"),
        segment_bytes: 4096,
        if_unknown: Position(1 << 50),
    };
    std::fs::create_dir(&settings.dir).expect("made");
    lay_out(&settings.dir, input);
    let open = || Store::open(Arc::new(SystemFiles), settings.clone());
    let Ok(mut store) = open() else { return };
    read_all(&mut store, None);
    let mark = batch(b"the mark\n");
    let entry = Entry {
        batch: mark.clone(),
        charge: Charge::default(),
    };
    let end = store.end();
    let (positions, outcome) = store.append(&[entry]);
    outcome.expect("a good disk");
    assert!(positions[0] >= end);
    let cursor = store.cursors().get(DEFAULT_CURSOR).copied().unwrap_or_default();
    assert!(positions[0] >= cursor);
    drop(store);
    let mut store = open().expect("what was opened once opens again");
    assert!(read_all(&mut store, Some(positions[0])) == Some(mark), "what was appended is not there");
});

/// Reads to the end, and gives back the batch at `wanted`.
fn read_all(store: &mut Store, wanted: Option<Position>) -> Option<NewBatch> {
    let (mut at, mut found) = (Position(0), None);
    while let Some(plan) = store.plan_read(at) {
        let out = plan.run(&SystemFiles, 1024).expect("a good disk");
        for batch in &out.batches {
            assert!(batch.end() > at, "batches come in order");
            if Some(batch.position) == wanted {
                found = Some(NewBatch {
                    kind: batch.kind,
                    received_ms: batch.received_ms,
                    slot: batch.slot,
                    bytes: batch.bytes.clone(),
                });
            }
        }
        assert!(out.resume > at, "reading gets on");
        at = out.resume;
        store.after_read(&out);
    }
    found
}

fn lay_out(dir: &Path, mut input: &[u8]) {
    const NAMES: [&str; 8] = [
        "00000000000000000000.seg",
        "00000000000000000100.seg",
        "00000000000000000100.damaged.seg",
        "00000000000000004096.seg",
        "04611686018427387904.seg",
        "cursor.default",
        "cursor.audit",
        "other",
    ];
    while let [name, low, high, rest @ ..] = input {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (content, rest) = rest.split_at(length);
        input = rest;
        let path = dir.join(NAMES[usize::from(*name) % NAMES.len()]);
        let mut bytes = Vec::new();
        for part in content.chunks(32) {
            if part[0] == 10 {
                let batch = batch(part);
                bytes.extend_from_slice(&format::header(&batch));
                bytes.extend_from_slice(&batch.bytes);
            } else {
                bytes.extend_from_slice(part);
            }
        }
        std::fs::write(path, bytes).expect("written");
    }
}

fn batch(bytes: &[u8]) -> NewBatch {
    NewBatch {
        kind: BatchKind::Records,
        received_ms: 1,
        slot: 0,
        bytes: bytes.to_vec().into(),
    }
}
