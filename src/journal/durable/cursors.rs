//! Cursors of a journal that is open: they move, and come and go while the threads run.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::super::{CursorError, CursorGuard, DEFAULT_CURSOR, Position};
use super::Durable;
use super::front::Cursor;

impl Durable {
    /// See [`super::super::Journal::cursor`].
    pub fn cursor(&self, name: &str) -> Option<Position> {
        self.front().cursors.get(name).map(|cursor| cursor.position)
    }

    /// See [`super::super::Journal::backlog_of`].
    pub fn backlog_of(&self, name: &str) -> Option<u64> {
        let front = self.front();
        let cursor = front.cursors.get(name)?;
        Some(front.backlog_from(cursor.position))
    }

    /// See [`super::super::Journal::advance`].
    pub fn advance(&self, name: &str, position: Position) {
        let mut front = self.front();
        let position = position.min(front.end);
        let Some(cursor) = front.cursors.get_mut(name) else {
            return;
        };
        cursor.position = position.max(cursor.position);
        front.forget_passed();
        drop(front);
        self.hurry_if_awaited();
    }

    /// See [`super::super::Journal::guard_cursor`].
    pub fn guard_cursor(&self, name: &str, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        let mut front = self.front();
        let cursor = front.cursors.get_mut(name)?;
        std::mem::replace(&mut cursor.guard, guard)
    }

    /// See [`super::super::Journal::add_cursor`].
    pub fn add_cursor(&self, name: &str) -> Result<Position, CursorError> {
        let _turn = self.turn();
        if let Some(position) = self.cursor(name) {
            return Ok(position);
        }
        let (birth, dir, at) = {
            let mut store = self.store();
            let at = self.default_cursor()?;
            (store.begin_cursor(name, at)?, store.dir().to_owned(), at)
        };
        // From here on it holds back everything.
        let outcome = birth.run(&*self.files, &dir);
        self.store().end_birth(&birth, outcome)?;
        let cursor = Cursor {
            position: at,
            guard: None,
        };
        self.front().cursors.insert(name.to_owned(), cursor);
        Ok(at)
    }

    /// See [`super::super::Journal::remove_cursor`].
    pub fn remove_cursor(&self, name: &str) -> Result<u64, CursorError> {
        let _turn = self.turn();
        let removed = {
            let mut front = self.front();
            let removed = front.cursors.remove(name);
            front.forget_passed();
            removed.map(|cursor| front.backlog_from(cursor.position))
        };
        let Some(backlog_bytes) = removed else { return Ok(0) };
        let (removal, dir) = {
            let mut store = self.store();
            if self.is_retired() {
                return Err(CursorError::Closed);
            }
            (store.remove_cursor(name)?, store.dir().to_owned())
        };
        let outcome = removal.run(&*self.files, &dir);
        self.hurry_if_awaited();
        outcome?;
        Ok(backlog_bytes)
    }

    /// Held for a round of the syncer, and while a cursor comes or goes: so a round knows all cursors that there are, and never moves one
    /// that has come back under its name. Taken before the other locks.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn default_cursor(&self) -> Result<Position, CursorError> {
        let front = self.front();
        let cursor = front.cursors.get(DEFAULT_CURSOR);
        match cursor {
            Some(cursor) if !front.closed => Ok(cursor.position),
            Some(_) | None => Err(CursorError::Closed),
        }
    }

    fn hurry_if_awaited(&self) {
        if self.is_waiting() {
            self.engine.hurry();
        }
    }
}
