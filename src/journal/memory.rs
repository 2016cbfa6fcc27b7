//! The journal of one stream, held in memory and bounded by bytes. A restart forgets it; everything else is as the durable one has it. For
//! tests, which need neither a disk nor threads beside their virtual time, and for the benchmark that shows what the durable one costs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::counted_in::CountedIn;
use super::{AppendError, Batch, CursorError, CursorGuard, DEFAULT_CURSOR, NewBatch, Position};

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
}

#[derive(Debug, Default)]
struct Cursor {
    position: Position,
    guard: Option<Arc<dyn CursorGuard>>,
}

#[derive(Debug)]
struct State {
    /// What some cursor has not passed yet, in order and without gaps.
    batches: VecDeque<Arc<Batch>>,
    /// The position of the next append.
    end: Position,
    /// At least [`DEFAULT_CURSOR`].
    cursors: BTreeMap<String, Cursor>,
    closed: bool,
}

impl Memory {
    /// An empty journal that holds up to `max_bytes`, headers included; at least enough for one batch, whatever its size.
    pub fn new(max_bytes: u64, outputs: &[&str]) -> Self {
        let names = outputs.iter().chain(&[DEFAULT_CURSOR]);
        let max_bytes = max_bytes.clamp(1, MOST_BYTES);
        Self {
            max_bytes,
            room: Semaphore::new(max_bytes as usize),
            waiting: AtomicUsize::new(0),
            appended: Notify::new(),
            state: Mutex::new(State {
                batches: VecDeque::new(),
                end: Position::default(),
                cursors: names.map(|name| ((*name).to_owned(), Cursor::default())).collect(),
                closed: false,
            }),
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
    pub fn cursor(&self, name: &str) -> Option<Position> {
        self.state().cursors.get(name).map(|cursor| cursor.position)
    }

    /// See [`super::Journal::backlog_of`].
    pub fn backlog_of(&self, name: &str) -> Option<u64> {
        let state = self.state();
        let cursor = state.cursors.get(name)?;
        Some(state.end.since(cursor.position))
    }

    /// See [`super::Journal::add_cursor`].
    pub fn add_cursor(&self, name: &str) -> Result<Position, CursorError> {
        let mut state = self.state();
        if let Some(cursor) = state.cursors.get(name) {
            return Ok(cursor.position);
        }
        let default = state.cursors.get(DEFAULT_CURSOR).filter(|_| !state.closed);
        let position = default.ok_or(CursorError::Closed)?.position;
        let cursor = Cursor { position, guard: None };
        state.cursors.insert(name.to_owned(), cursor);
        Ok(position)
    }

    /// See [`super::Journal::remove_cursor`].
    pub fn remove_cursor(&self, name: &str) -> u64 {
        let mut state = self.state();
        let Some(cursor) = state.cursors.remove(name) else {
            return 0;
        };
        let backlog_bytes = state.end.since(cursor.position);
        self.free_passed(state);
        backlog_bytes
    }

    /// See [`super::Journal::advance`].
    pub fn advance(&self, name: &str, position: Position) {
        // There is no disk for the cursor to go to; if there were, it would be here.
        let guard = self.state().cursors.get(name).and_then(|cursor| cursor.guard.clone());
        if let Some(guard) = guard {
            guard.store();
        }
        let mut state = self.state();
        let position = position.min(state.end);
        let Some(cursor) = state.cursors.get_mut(name) else {
            return;
        };
        cursor.position = position.max(cursor.position);
        self.free_passed(state);
    }

    /// See [`super::Journal::guard_cursor`].
    pub fn guard_cursor(&self, name: &str, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        let mut state = self.state();
        let cursor = state.cursors.get_mut(name)?;
        std::mem::replace(&mut cursor.guard, guard)
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

    /// Gives back the room of what every cursor has passed.
    fn free_passed(&self, mut state: MutexGuard<'_, State>) {
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

    fn state(&self) -> MutexGuard<'_, State> {
        // No method panics while it holds the lock, so a poisoned one is as good as any.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slowest(&self) -> Position {
        let positions = self.cursors.values().map(|cursor| cursor.position);
        positions.min().unwrap_or(self.end)
    }
}

/// A semaphore hands out at most `u32::MAX` permits at a time, so a memory journal is no larger than that.
const MOST_BYTES: u64 = u32::MAX as u64;

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
