//! The last few MiB that were appended, shared with whoever reads them: nothing is read back while a forwarder keeps up. And what
//! was read from disk last, of which a forwarder that lags takes one batch after another.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Batch, Position};

/// Batches in order. Those at the front go when there are too many bytes.
#[derive(Debug)]
pub struct Tail {
    most_bytes: u64,
    bytes: u64,
    batches: VecDeque<Arc<Batch>>,
}

impl Tail {
    /// Holds up to `most_bytes`, and the last batch whatever its size.
    pub const fn new(most_bytes: u64) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            batches: VecDeque::new(),
        }
    }

    /// Adds what was appended last.
    pub fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += batch.end().since(batch.position);
        self.batches.push_back(batch);
        while self.bytes > self.most_bytes && self.batches.len() > 1 {
            self.pop();
        }
    }

    /// Forgets what lies before `position`.
    pub fn forget_before(&mut self, position: Position) {
        while self.batches.front().is_some_and(|batch| batch.end() <= position) {
            self.pop();
        }
    }

    /// The batch that holds `from`, or the first after it, if all from there on is here.
    pub fn find(&self, from: Position) -> Option<&Arc<Batch>> {
        let first = self.batches.front()?;
        if from < first.position {
            return None;
        }
        let index = self.batches.partition_point(|batch| batch.end() <= from);
        self.batches.get(index)
    }

    /// How many bytes are held.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn pop(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.end().since(batch.position);
        }
    }
}

/// What single readings from disk brought, the latest few.
#[derive(Debug, Default)]
pub struct Readings(VecDeque<Reading>);

#[derive(Debug)]
struct Reading {
    from: Position,
    batches: VecDeque<Arc<Batch>>,
}

/// One for each of as many cursors, as a rule.
const MOST_READINGS: usize = 2;

impl Readings {
    /// Keeps the batches that were read from `from` on.
    pub fn keep(&mut self, from: Position, batches: Vec<Arc<Batch>>) {
        if self.0.len() >= MOST_READINGS {
            self.0.pop_front();
        }
        self.0.push_back(Reading {
            from,
            batches: batches.into(),
        });
    }

    /// The batch that holds `from`, or the first after it, if it was read. What lies before it in the same reading is forgotten.
    pub fn find(&mut self, from: Position) -> Option<Arc<Batch>> {
        let holds =
            |reading: &Reading| reading.from <= from && reading.batches.back().is_some_and(|last| last.end() > from);
        let index = self.0.iter().position(holds)?;
        let reading = self.0.get_mut(index)?;
        while reading.batches.front().is_some_and(|batch| batch.end() <= from) {
            reading.batches.pop_front();
        }
        reading.from = from;
        let found = reading.batches.front().cloned();
        if reading.batches.len() <= 1 {
            self.0.remove(index);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BatchKind, NewBatch};
    use super::*;

    fn batch(position: u64) -> Arc<Batch> {
        let new = NewBatch {
            kind: BatchKind::Records,
            received_ms: 0,
            slot: 0,
            bytes: vec![0; 68].into(),
        };
        Arc::new(new.at(Position(position)))
    }

    #[test]
    fn the_tail_holds_the_last_bytes_and_answers_only_for_them() {
        let mut tail = Tail::new(250);
        for position in [0, 100, 300, 400] {
            tail.push(batch(position));
        }
        assert_eq!(tail.bytes(), 200);
        let found = |from| tail.find(Position(from)).map(|batch| batch.position.0);
        assert_eq!(
            [250, 300, 399, 400, 499, 500].map(found),
            [None, Some(300), Some(300), Some(400), Some(400), None]
        );
        tail.forget_before(Position(400));
        assert_eq!(tail.bytes(), 100);
    }

    #[test]
    fn a_reading_is_handed_out_batch_by_batch_and_forgotten() {
        let mut readings = Readings::default();
        readings.keep(Position(50), vec![batch(0), batch(100), batch(300)]);
        assert!(readings.find(Position(49)).is_none());
        for (from, found) in [(50, 0), (100, 100), (200, 300)] {
            assert_eq!(readings.find(Position(from)).map(|batch| batch.position.0), Some(found));
        }
        assert!(readings.find(Position(300)).is_none(), "the last one was handed out");
    }
}
