//! The journal of one stream, held in memory and bounded by bytes. A restart forgets it; everything else is as the durable one has it. For
//! tests, which need neither a disk nor threads beside their virtual time, and for the benchmark that shows what the durable one costs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::counted_in::CountedIn;
use super::{AppendError, Batch, CursorGuard, DEFAULT_CURSOR, NewBatch, Position};

/// One stream's journal in memory.
#[derive(Debug)]
pub struct Memory {
    max_bytes: u64,
    /// A permit for each byte that may still be appended. Its queue is what makes waiting writers take turns.
    room: Semaphore,
    /// How many appends are waiting for room.
    waiting: AtomicUsize,
    appended: Notify,
    state: Mutex<State>,
    guard: Mutex<Option<Arc<dyn CursorGuard>>>,
}

#[derive(Debug)]
struct State {
    /// What some cursor has not passed yet, in order and without gaps.
    batches: VecDeque<Arc<Batch>>,
    /// The position of the next append.
    end: Position,
    /// At least [`DEFAULT_CURSOR`].
    cursors: BTreeMap<String, Position>,
    closed: bool,
}

impl Memory {
    /// An empty journal that holds up to `max_bytes`, headers included; at least enough for one batch, whatever its size.
    pub fn new(max_bytes: u64) -> Self {
        let max_bytes = max_bytes.clamp(1, MOST_BYTES);
        Self {
            max_bytes,
            room: Semaphore::new(max_bytes as usize),
            waiting: AtomicUsize::new(0),
            appended: Notify::new(),
            state: Mutex::new(State {
                batches: VecDeque::new(),
                end: Position::default(),
                cursors: BTreeMap::from([(DEFAULT_CURSOR.to_owned(), Position::default())]),
                closed: false,
            }),
            guard: Mutex::default(),
        }
    }

    /// See [`super::Journal::append`].
    pub async fn append(&self, batch: NewBatch) -> Result<Position, AppendError> {
        let permits = self.permits(batch.size());
        let permit = if let Ok(permit) = self.room.try_acquire_many(permits) {
            permit
        } else {
            let _waiting = CountedIn::new(&self.waiting);
            self.room.acquire_many(permits).await.map_err(|_| AppendError::Closed)?
        };
        let mut state = self.state();
        if state.closed {
            return Err(AppendError::Closed);
        }
        // Given back by `advance`, when every cursor has passed the batch.
        permit.forget();
        let batch = batch.at(state.end);
        let position = batch.position;
        state.end = batch.end();
        state.batches.push_back(Arc::new(batch));
        drop(state);
        self.appended.notify_waiters();
        Ok(position)
    }

    /// See [`super::Journal::is_full`].
    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// See [`super::Journal::backlog_bytes`].
    pub fn backlog_bytes(&self) -> u64 {
        let state = self.state();
        state.end.since(state.slowest())
    }

    /// See [`super::JournalStatus::oldest_ms`].
    pub fn oldest_ms(&self) -> Option<u64> {
        let state = self.state();
        let slowest = state.slowest();
        let first = state.batches.iter().find(|batch| batch.end() > slowest);
        first.map(|batch| batch.received_ms)
    }

    /// See [`super::Journal::end`].
    pub fn end(&self) -> Position {
        self.state().end
    }

    /// See [`super::Journal::next`].
    pub async fn next(&self, from: Position) -> Option<Arc<Batch>> {
        loop {
            // Made before looking, so that no append goes unnoticed between looking and waiting.
            let appended = self.appended.notified();
            {
                let state = self.state();
                let index = state.batches.partition_point(|batch| batch.end() <= from);
                if let Some(batch) = state.batches.get(index) {
                    return Some(Arc::clone(batch));
                }
                if state.closed {
                    return None;
                }
            }
            appended.await;
        }
    }

    /// See [`super::Journal::cursor`].
    pub fn cursor(&self, name: &str) -> Position {
        let mut state = self.state();
        if let Some(cursor) = state.cursors.get(name) {
            return *cursor;
        }
        let oldest = state.batches.front().map_or(state.end, |batch| batch.position);
        state.cursors.insert(name.to_owned(), oldest);
        oldest
    }

    /// See [`super::Journal::advance`].
    pub fn advance(&self, name: &str, position: Position) {
        // There is no disk for the cursor to go to; if there were, it would be here.
        if let Some(guard) = &*self.guard() {
            guard.store();
        }
        let mut state = self.state();
        let position = position.min(state.end);
        match state.cursors.get_mut(name) {
            Some(cursor) => *cursor = position.max(*cursor),
            None => drop(state.cursors.insert(name.to_owned(), position)),
        }
        let slowest = state.slowest();
        let passed = state.batches.partition_point(|batch| batch.end() <= slowest);
        let freed: usize = state
            .batches
            .drain(..passed)
            .map(|batch| self.permits(batch.end().since(batch.position)) as usize)
            .sum();
        drop(state);
        self.room.add_permits(freed);
    }

    /// See [`super::Journal::guard_cursors`].
    pub fn guard_cursors(&self, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        std::mem::replace(&mut *self.guard(), guard)
    }

    /// See [`super::Journal::close`].
    pub fn close(&self) {
        self.state().closed = true;
        self.room.close();
        self.appended.notify_waiters();
    }

    /// What a batch of this size takes of the room. Never more than there is, so that a larger one can be admitted at all.
    fn permits(&self, size: u64) -> u32 {
        size.min(self.max_bytes) as u32
    }

    fn guard(&self) -> MutexGuard<'_, Option<Arc<dyn CursorGuard>>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No method panics while it holds the lock, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slowest(&self) -> Position {
        self.cursors.values().min().copied().unwrap_or(self.end)
    }
}

/// A semaphore hands out at most `u32::MAX` permits at a time, so a memory journal is no larger than that.
const MOST_BYTES: u64 = u32::MAX as u64;

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
