//! The last few MiB that were appended, shared with whoever reads them: nothing is read back while a forwarder keeps up. And how old the
//! oldest batch is that is not delivered.

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

/// When those batches came that were handed out and that the slowest cursor has not passed: so is known how old the oldest record is that
/// is not delivered, however far behind what is in memory. Several readers take turns, and one that goes back to its cursor changes nothing.
#[derive(Debug, Default)]
pub struct Ahead(VecDeque<Span>);

/// Batches that came within [`SPAN_MS`], one after another: so a backlog of any size is few spans, if most of it is read and none of it
/// passed. They are in order, and do not overlap.
#[derive(Debug)]
struct Span {
    /// Where a reader stood that found nothing before the first of them.
    begin: Position,
    end: Position,
    received_ms: u64,
}

const SPAN_MS: u64 = 1000;

impl Ahead {
    /// To a reader at `from` this batch was handed out, perhaps not for the first time.
    pub fn note(&mut self, from: Position, batch: &Batch) {
        let begin = from.min(batch.position);
        let index = self.0.partition_point(|span| span.end < batch.end());
        if self.0.get(index).is_some_and(|span| span.begin <= batch.position) {
            return;
        }
        let before = index.checked_sub(1).and_then(|before| self.0.get_mut(before));
        match before {
            Some(before) if before.end >= begin && batch.received_ms.abs_diff(before.received_ms) < SPAN_MS => {
                before.end = batch.end();
            }
            Some(_) | None => self.0.insert(
                index,
                Span {
                    begin,
                    end: batch.end(),
                    received_ms: batch.received_ms,
                },
            ),
        }
    }

    /// Forgets what lies before `position`.
    pub fn forget_before(&mut self, position: Position) {
        while self.0.front().is_some_and(|span| span.end <= position) {
            self.0.pop_front();
        }
    }

    /// When the first batch came that a cursor at `slowest` has not passed, in milliseconds since the Unix epoch, if anybody has read that
    /// one. What lies before `slowest` is forgotten.
    pub fn oldest_ms(&self, slowest: Position) -> Option<u64> {
        let first = self.0.front().filter(|span| span.begin <= slowest)?;
        Some(first.received_ms)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{BatchKind, NewBatch};
    use super::*;

    /// A batch that takes up 100 bytes.
    pub(in crate::journal) fn batch(position: u64) -> Arc<Batch> {
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
    fn what_is_ahead_is_as_old_as_its_first_batch_that_is_not_passed() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.oldest_ms(Position(0)), None);
        let came = |position, received_ms| Batch {
            received_ms,
            ..(*batch(position)).clone()
        };
        for (position, received_ms) in [(0, 5_000), (100, 5_999), (200, 6_000), (300, 60_000)] {
            ahead.note(Position(position), &came(position, received_ms));
        }
        // Once more, after a rewind.
        ahead.note(Position(0), &came(0, 5_000));
        ahead.note(Position(100), &came(100, 5_999));
        assert_eq!(ahead.0.len(), 3);
        for (passed, oldest) in [
            (0, Some(5_000)),
            (199, Some(5_000)),
            (200, Some(6_000)),
            (399, Some(60_000)),
            (400, None),
        ] {
            ahead.forget_before(Position(passed));
            assert_eq!(ahead.oldest_ms(Position(passed)), oldest, "{passed}");
        }
    }

    #[test]
    fn what_is_ahead_of_a_slow_reader_is_not_taken_for_what_a_fast_one_has_read() {
        let came = |position| Batch {
            received_ms: position * 10,
            ..(*batch(position)).clone()
        };
        let mut ahead = Ahead::default();
        // The fast one is at 500, where a segment is missing before 600.
        for position in [500, 700] {
            let batch = came(position.max(600));
            ahead.note(Position(position), &batch);
        }
        assert_eq!(ahead.oldest_ms(Position(0)), None, "nobody has read that yet");
        assert_eq!(ahead.oldest_ms(Position(500)), Some(6_000));
        // They take turns.
        for (slow, fast) in [(0, 800), (100, 900), (200, 1_000)] {
            ahead.note(Position(slow), &came(slow));
            ahead.note(Position(fast), &came(fast));
            assert_eq!(ahead.oldest_ms(Position(0)), Some(0), "{slow}");
        }
        for (slowest, oldest) in [(100, Some(1_000)), (200, Some(2_000)), (300, None), (600, Some(6_000))] {
            ahead.forget_before(Position(slowest));
            assert_eq!(ahead.oldest_ms(Position(slowest)), oldest, "{slowest}");
        }
        // The slow one gets to where the other one was.
        for position in [600, 700, 800, 900, 1_000] {
            let spans = ahead.0.len();
            ahead.note(Position(position), &came(position));
            assert_eq!(ahead.0.len(), spans, "{position}");
        }
    }
}
