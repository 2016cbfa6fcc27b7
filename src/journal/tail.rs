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

/// When those batches came that were handed out and that the slowest cursor has not passed: so is known how old the oldest record is that
/// is not delivered, however far behind what is in memory. A reader that goes back to its cursor changes nothing in it.
#[derive(Debug, Default)]
pub struct Ahead(VecDeque<Span>);

/// Batches that came within [`SPAN_MS`]: so a backlog of any size is few spans, if most of it is read and none of it passed.
#[derive(Debug)]
struct Span {
    end: Position,
    received_ms: u64,
}

const SPAN_MS: u64 = 1000;

impl Ahead {
    /// A batch was handed out, perhaps not for the first time.
    pub fn note(&mut self, batch: &Batch) {
        match self.0.back_mut() {
            Some(last) if last.end >= batch.end() => {}
            Some(last) if batch.received_ms.abs_diff(last.received_ms) < SPAN_MS => last.end = batch.end(),
            Some(_) | None => self.0.push_back(Span {
                end: batch.end(),
                received_ms: batch.received_ms,
            }),
        }
    }

    /// Forgets what lies before `position`.
    pub fn forget_before(&mut self, position: Position) {
        while self.0.front().is_some_and(|span| span.end <= position) {
            self.0.pop_front();
        }
    }

    /// When the first of them came, in milliseconds since the Unix epoch.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.0.front().map(|span| span.received_ms)
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

    #[test]
    fn what_is_ahead_is_as_old_as_its_first_batch_that_is_not_passed() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.oldest_ms(), None);
        let came = |position, received_ms| Batch {
            received_ms,
            ..(*batch(position)).clone()
        };
        for (position, received_ms) in [(0, 5_000), (100, 5_999), (200, 6_000), (300, 60_000)] {
            ahead.note(&came(position, received_ms));
        }
        // Once more, after a rewind.
        ahead.note(&came(0, 5_000));
        assert_eq!(ahead.0.len(), 3);
        for (passed, oldest) in [
            (0, Some(5_000)),
            (199, Some(5_000)),
            (200, Some(6_000)),
            (399, Some(60_000)),
            (400, None),
        ] {
            ahead.forget_before(Position(passed));
            assert_eq!(ahead.oldest_ms(), oldest, "{passed}");
        }
    }
}
