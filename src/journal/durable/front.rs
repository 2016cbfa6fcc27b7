//! What the async side of a journal needs to know at once, held under a lock for moments.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::faults::{JournalFaults, ReadTrouble};
use super::super::readings::{Readings, Voids};
use super::super::store::{Entry, Trouble};
use super::super::tail::{Ahead, Tail};
use super::super::{AppendError, Condition, CursorGuard, Position};
use super::told::Told;

#[derive(Debug)]
pub(super) struct Front {
    pub(super) queue: VecDeque<Queued>,
    /// How many of the queue the writer thread has in hand.
    pub(super) in_hand: usize,
    pub(super) tail: Tail,
    pub(super) readings: Readings,
    /// What was read back and handed out, and is not passed.
    pub(super) ahead: Ahead,
    /// Where readings are under way.
    pub(super) reading: BTreeSet<Position>,
    /// Where readings found nothing.
    pub(super) voids: Voids,
    pub(super) read_failed: Option<Instant>,
    pub(super) read_trouble: ReadTrouble,
    pub(super) faults: JournalFaults,
    /// What is there: (begin, end), without what every cursor has passed.
    pub(super) ranges: VecDeque<(Position, Position)>,
    pub(super) end: Position,
    /// At least [`super::super::DEFAULT_CURSOR`].
    pub(super) cursors: BTreeMap<String, Cursor>,
    pub(super) closed: bool,
    /// Nothing touches the files any more.
    pub(super) retired: bool,
    pub(super) trouble: Option<Trouble>,
    /// Since when there is something that is not durable, apart from what is being synced.
    pub(super) unsynced_since: Option<Instant>,
    pub(super) syncing_since: Option<Instant>,
    pub(super) cursors_synced: Option<Instant>,
    /// What was logged.
    pub(super) told: Told,
    /// When the journal was opened.
    pub(super) began: Instant,
    pub(super) waited: Option<Instant>,
}

/// A cursor as it is known here. What is on disk of it comes after.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) position: Position,
    /// What is called before that position goes to disk.
    pub(super) guard: Option<Arc<dyn CursorGuard>>,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) entry: Entry,
    pub(super) reply: oneshot::Sender<Result<Position, AppendError>>,
    /// Its place in the queue, free again when this is dropped.
    pub(super) place: OwnedSemaphorePermit,
}

impl Front {
    pub(super) fn slowest(&self) -> Position {
        let positions = self.cursors.values().map(|cursor| cursor.position);
        positions.min().unwrap_or(self.end)
    }

    /// What lies before a cursor that stands there, in bytes.
    pub(super) fn backlog_from(&self, position: Position) -> u64 {
        self.ranges
            .iter()
            .map(|(begin, end)| end.since(position.max(*begin)))
            .sum()
    }

    /// See [`super::super::JournalStatus::backlog_bytes`].
    pub(super) fn backlog(&self) -> u64 {
        self.backlog_from(self.slowest())
    }

    /// A cursor has moved, or is gone: nobody needs what lies before the slowest one.
    pub(super) fn forget_passed(&mut self) {
        let slowest = self.slowest();
        self.tail.forget_before(slowest);
        self.readings.forget_before(slowest);
        self.ahead.forget_before(slowest);
        self.voids.forget_before(slowest);
    }

    /// See [`super::super::JournalStatus::oldest_ms`].
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let slowest = self.slowest();
        let in_memory = self.tail.find(slowest);
        in_memory.map_or_else(|| self.ahead.oldest_ms(slowest), |batch| Some(batch.received_ms))
    }

    pub(super) fn condition(&self, waiting: bool) -> Condition {
        match &self.trouble {
            Some(Trouble::DiskFull(text)) => Condition::DiskFull(text.clone()),
            Some(Trouble::DiskFailing(text)) => Condition::DiskFailing(text.clone()),
            None if waiting => Condition::Full,
            None => Condition::Good,
        }
    }

    /// The segments before `first` are gone; all are, if there is none.
    pub(super) fn forget_before(&mut self, first: Option<Position>) {
        let first = first.unwrap_or(self.end);
        while let Some((begin, end)) = self.ranges.front_mut() {
            if *end > first {
                *begin = first.max(*begin);
                break;
            }
            self.ranges.pop_front();
        }
    }
}

/// Adds what was appended to what is there.
pub(super) fn extend(ranges: &mut VecDeque<(Position, Position)>, (begin, end): (Position, Position)) {
    match ranges.back_mut() {
        Some(last) if last.1 == begin => last.1 = end,
        Some(_) | None => ranges.push_back((begin, end)),
    }
}
