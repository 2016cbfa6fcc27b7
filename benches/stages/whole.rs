//! From the socket to a verdict on every hit, by way of the journal's file and its tail: all of it but the threads and Kafka.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use livestreamd::dedup::{Verdict, Window};
use livestreamd::hit::{inspect, records};
use livestreamd::journal::store::Store;
use livestreamd::journal::tail::Tail;

use super::{forwarding, journal};

/// What a stream's journal keeps in memory at the most.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;

/// What is behind a connection.
pub struct Behind {
    store: Store,
    tail: Tail,
    window: Window,
    firsts: u64,
}

impl Behind {
    /// An empty journal under `dir`, and a window for about as many hits.
    pub fn new(dir: &Path, hits: u64) -> Self {
        Self {
            store: journal::store(dir),
            tail: Tail::new(TAIL_BYTES),
            window: forwarding::seasoned_window(hits),
            firsts: 0,
        }
    }

    /// One run of records: appended, shared, taken again, split and judged.
    pub fn take(&mut self, run: Bytes) {
        let entry = journal::entry(run);
        let position = journal::append(&mut self.store, std::slice::from_ref(&entry))[0];
        self.tail.push(Arc::new(entry.batch.at(position)));
        let Some(batch) = self.tail.find(position).cloned() else {
            unreachable!("it was appended last");
        };
        for record in records(&batch.bytes) {
            let Some(id) = inspect(record.bytes).ok().and_then(|hit| hit.hit_id) else {
                unreachable!("every hit has ids");
            };
            let place = batch.position_of(record.offset);
            let verdict = self.window.judge(forwarding::entry(id, record.bytes, place.0));
            self.firsts += u64::from(verdict == Verdict::First);
        }
        self.tail.forget_before(batch.end());
    }

    /// How many hits came for the first time.
    pub const fn firsts(&self) -> u64 {
        self.firsts
    }
}
