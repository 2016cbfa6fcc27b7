//! What was read from disk last, of which forwarders that lag take one batch after another; and where readings found nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Batch, Position};

/// As many readings are kept, and no more: each is a chunk of a segment. More cursors than that, all of them far behind and far apart,
/// would read some of it more than once.
const MOST_READINGS: usize = 16;

/// What single readings brought. Those that were used least lately go first.
///
/// A batch is forgotten when it was handed out as often as there were cursors before it. So cursors that lag together read everything
/// once between them, and those that lag apart once each.
#[derive(Debug, Default)]
pub struct Readings(VecDeque<Reading>);

#[derive(Debug)]
struct Reading {
    from: Position,
    batches: VecDeque<Shared>,
}

#[derive(Debug)]
struct Shared {
    batch: Arc<Batch>,
    /// So often it is still going to be asked for, unless a forwarder goes back.
    wanted: usize,
}

impl Readings {
    /// Keeps the batches that were read from `from` on, while cursors stand at `cursors`.
    pub fn keep(&mut self, from: Position, batches: Vec<Arc<Batch>>, cursors: &[Position]) {
        // One for each of them, and one more, because a forwarder that goes back leaves one behind.
        while self.0.len() >= MOST_READINGS.min(cursors.len() + 1) {
            self.0.pop_front();
        }
        let share = |batch: Arc<Batch>| {
            let before = cursors.iter().filter(|cursor| **cursor < batch.end()).count();
            let wanted = before.max(1);
            Shared { batch, wanted }
        };
        self.0.push_back(Reading {
            from,
            batches: batches.into_iter().map(share).collect(),
        });
    }

    /// The batch that holds `from`, or the first after it, if it was read.
    pub fn find(&mut self, from: Position) -> Option<Arc<Batch>> {
        let index = self.0.iter().position(|reading| reading.holds(from))?;
        let mut reading = self.0.remove(index)?;
        let found = reading.hand_out(from);
        if !reading.is_done() {
            self.0.push_back(reading);
        }
        found
    }

    /// Forgets what lies before `position`.
    pub fn forget_before(&mut self, position: Position) {
        for reading in &mut self.0 {
            while reading.first().is_some_and(|first| first.batch.end() <= position) {
                reading.forget_first();
            }
        }
        self.0.retain(|reading| !reading.batches.is_empty());
    }
}

impl Reading {
    fn holds(&self, from: Position) -> bool {
        self.from <= from && self.batches.back().is_some_and(|last| last.batch.end() > from)
    }

    fn hand_out(&mut self, from: Position) -> Option<Arc<Batch>> {
        let index = self.batches.partition_point(|shared| shared.batch.end() <= from);
        let shared = self.batches.get_mut(index)?;
        shared.wanted = shared.wanted.saturating_sub(1);
        let found = shared.batch.clone();
        // The one that was handed out last may be asked for again.
        for _ in 0..index {
            if self.first().is_some_and(|first| first.wanted > 0) {
                break;
            }
            self.forget_first();
        }
        Some(found)
    }

    fn first(&self) -> Option<&Shared> {
        self.batches.front()
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.batches.pop_front() {
            self.from = self.from.max(first.batch.end());
        }
    }

    /// Whether nobody wants what is left.
    fn is_done(&self) -> bool {
        self.batches.len() <= 1 && self.batches.iter().all(|shared| shared.wanted == 0)
    }
}

/// Where readings found nothing, the latest few: a segment that is gone, or damage up to the end.
#[derive(Debug, Default)]
pub struct Voids(VecDeque<(Position, Position)>);

impl Voids {
    /// There is nothing from `from` up to `to`.
    pub fn note(&mut self, from: Position, to: Position) {
        self.0.retain(|(begin, end)| *begin < from || *end > to);
        while self.0.len() >= MOST_READINGS {
            self.0.pop_front();
        }
        self.0.push_back((from, to));
    }

    /// Where to look for what stands at `at` or after it.
    pub fn after(&self, at: Position) -> Position {
        let mut at = at;
        while let Some((_, end)) = self.0.iter().find(|(begin, end)| (*begin..*end).contains(&at)) {
            at = *end;
        }
        at
    }

    /// Forgets what lies before `position`.
    pub fn forget_before(&mut self, position: Position) {
        self.0.retain(|(_, end)| *end > position);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tail::tests::batch;
    use super::*;

    fn found(readings: &mut Readings, from: u64) -> Option<u64> {
        readings.find(Position(from)).map(|batch| batch.position.0)
    }

    #[test]
    fn a_reading_is_handed_out_batch_by_batch_and_forgotten() {
        let mut readings = Readings::default();
        readings.keep(Position(50), vec![batch(0), batch(100), batch(300)], &[Position(50)]);
        assert_eq!(found(&mut readings, 49), None);
        for (from, wanted) in [(50, 0), (60, 0), (100, 100), (200, 300)] {
            assert_eq!(found(&mut readings, from), Some(wanted), "{from}");
        }
        assert_eq!(found(&mut readings, 300), None, "the last one was handed out");
        assert!(readings.0.is_empty());
    }

    #[test]
    fn who_lags_behind_others_finds_what_they_have_read() {
        let mut readings = Readings::default();
        // Two stand before all of it, and one has passed the first of it.
        let cursors = [0, 0, 100].map(Position);
        readings.keep(Position(0), vec![batch(0), batch(100), batch(200)], &cursors);
        for from in [0, 100, 200, 100, 200, 0, 100, 200] {
            assert_eq!(found(&mut readings, from), Some(from), "{from}");
        }
        assert!(readings.0.is_empty(), "all three had all of it");
    }

    #[test]
    fn those_who_lag_apart_do_not_throw_out_what_others_are_reading() {
        let mut readings = Readings::default();
        let begins = [0, 1_000, 2_000];
        let cursors = begins.map(Position);
        for begin in begins {
            let batches = (0..5).map(|nth| batch(begin + nth * 100)).collect();
            readings.keep(Position(begin), batches, &cursors);
        }
        for nth in 0..5 {
            for begin in begins {
                let from = begin + nth * 100;
                assert_eq!(found(&mut readings, from), Some(from));
            }
        }
    }

    #[test]
    fn readings_are_bounded_and_go_when_all_have_passed_them() {
        let mut readings = Readings::default();
        let cursors = [Position(0); 40];
        for begin in 0..100 {
            readings.keep(Position(begin * 100), vec![batch(begin * 100)], &cursors);
        }
        assert_eq!(readings.0.len(), MOST_READINGS);
        readings.forget_before(Position(9_900));
        assert_eq!(readings.0.len(), 1);
        readings.forget_before(Position(10_000));
        assert_eq!(readings.0.len(), 0);
        readings.keep(Position(0), vec![batch(0)], &[]);
        readings.keep(Position(100), vec![batch(100)], &[]);
        assert_eq!(readings.0.len(), 1, "nobody lags");
    }

    #[test]
    fn who_comes_upon_nothing_looks_behind_it() {
        let mut voids = Voids::default();
        for (from, to) in [(10, 20), (50, 60), (20, 30), (12, 18), (9, 20)] {
            voids.note(Position(from), Position(to));
        }
        let after = |voids: &Voids| [8, 9, 19, 30, 50, 60].map(|at| voids.after(Position(at)).0);
        assert_eq!(after(&voids), [8, 30, 30, 30, 60, 60]);
        voids.forget_before(Position(30));
        assert_eq!(after(&voids), [8, 9, 19, 30, 60, 60]);
        for nth in 0..1_000 {
            voids.note(Position(nth * 10), Position(nth * 10 + 1));
        }
        assert_eq!(voids.0.len(), MOST_READINGS);
    }
}
