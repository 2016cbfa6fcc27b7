//! Readings from disk, for those who lag behind what is in memory: on a blocking thread, a chunk at a time.

use std::sync::Arc;
use std::time::Instant;

use super::super::walk::CHUNK_BYTES;
use super::super::{Batch, Position};
use super::Durable;

enum ReadEnd {
    Batches(Vec<Arc<Batch>>),
    /// Nothing up to here.
    Nothing(Position),
}

impl Durable {
    /// Reads what stands at or after `from`, and leaves it for [`Self::next`].
    pub(super) fn read(&self, from: Position) {
        let result = self.read_from(from);
        let mut front = self.front();
        front.reading.remove(&from);
        let read_to = match result {
            Ok(ReadEnd::Batches(batches)) => {
                let to = batches.last().map_or(from, |last| last.end());
                let cursors: Vec<Position> = front.cursors.values().map(|cursor| cursor.position).collect();
                front.readings.keep(from, batches, &cursors);
                Ok(to)
            }
            Ok(ReadEnd::Nothing(to)) => {
                // At least one position further, or nobody would get anywhere.
                let to = to.max(from.plus(1));
                front.voids.note(from, to);
                Ok(to)
            }
            Err(error) => Err(error),
        };
        let stream = self.name.as_str();
        match read_to {
            Ok(to) => {
                front.read_failed = None;
                if front.read_trouble.read(from, to) {
                    tracing::info!(stream, position = %from, "the journal can be read again");
                }
            }
            Err(error) => {
                front.read_failed = Some(Instant::now());
                if front.read_trouble.failed(from, &error) {
                    tracing::error!(stream, position = %from, %error, "the journal cannot be read: it is tried again");
                }
            }
        }
        drop(front);
        self.news.notify_waiters();
    }

    fn read_from(&self, from: Position) -> std::io::Result<ReadEnd> {
        let mut at = from;
        loop {
            let plan = {
                let store = self.store();
                match store.plan_read(at) {
                    Some(plan) => plan,
                    None => return Ok(ReadEnd::Nothing(store.end())),
                }
            };
            let out = match plan.run(&*self.files, CHUNK_BYTES) {
                Ok(out) => out,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let mut store = self.store();
                    if self.is_retired() {
                        return Ok(ReadEnd::Nothing(store.end()));
                    }
                    store.missing(&plan);
                    let faults = store.take_faults();
                    drop(store);
                    self.report(faults);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let faults = {
                let mut store = self.store();
                if self.is_retired() {
                    return Ok(ReadEnd::Nothing(store.end()));
                }
                store.after_read(&out);
                store.take_faults()
            };
            self.report(faults);
            if !out.batches.is_empty() {
                return Ok(ReadEnd::Batches(out.batches));
            }
            at = out.resume;
        }
    }
}
