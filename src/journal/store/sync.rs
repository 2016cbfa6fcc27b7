//! Cursors, and what is made durable when.

use std::io;

use super::super::Position;
use super::super::cursor::CursorFile;
use super::super::faults::Fault;
use super::super::segment::is_cursor_name;
use super::super::work::{SegmentSync, SyncWork, Synced};
use super::{Store, Trouble, trouble};

impl Store {
    /// Notes where a cursor stands. From now on it survives a kill; a power loss only when it was synced.
    pub fn write_cursor(&mut self, name: &str, position: Position) -> Result<(), Trouble> {
        if let Some(cursor) = self.cursors.get_mut(name) {
            let written = cursor.write(position);
            return written.map_err(|error| trouble("writing a cursor", &error));
        }
        if !is_cursor_name(name) {
            return Err(Trouble::DiskFailing(format!("{name:?} is no name for a cursor")));
        }
        let path = self.settings.dir.join(format!("cursor.{name}"));
        let made = match self.files.create(&path) {
            // By an attempt that failed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.files.open(&path),
            made => made,
        };
        let mut cursor = CursorFile::new(made.map_err(|error| trouble("making a cursor", &error))?);
        let written = cursor.write(position);
        self.cursors.insert(name.to_owned(), cursor);
        written.map_err(|error| trouble("writing a cursor", &error))
    }

    /// Where the slowest cursor stands after a power loss. Nothing before it is needed.
    pub fn durably_passed(&self) -> Position {
        let named = self.cursors.values().map(|cursor| {
            if cursor.named {
                cursor.durable()
            } else {
                Position::default()
            }
        });
        named.min().unwrap_or_default()
    }

    /// Collects what is not durable. Cursors are left out unless `with_cursors`: they move all the time, and are worth a sync of their
    /// own when a segment can go.
    pub fn begin_sync(&self, with_cursors: bool) -> SyncWork {
        let segments = self.segments.iter().filter(|segment| segment.synced < segment.length);
        let segments = segments.map(|segment| SegmentSync {
            base: segment.base,
            path: self.settings.dir.join(segment.file_name()),
            file: segment.file.clone(),
            from: segment.synced,
            to: segment.length,
        });
        let cursors = self.cursors.iter();
        SyncWork {
            segments: segments.collect(),
            names: self.segments.iter().any(|segment| !segment.named)
                || self.cursors.values().any(|cursor| !cursor.named),
            named_to: self.segments.back().map(|segment| segment.base),
            cursors: cursors
                .filter(|_| with_cursors)
                .filter_map(|(name, cursor)| Some((name.clone(), cursor.unsynced()?)))
                .collect(),
            named_cursors: self.cursors.keys().cloned().collect(),
        }
    }

    /// Takes note of what is durable now, and of what could not be made so.
    pub fn end_sync(&mut self, synced: Synced) -> Result<(), Trouble> {
        let mut outcome = Ok(());
        for (name, cursor, result) in synced.cursors {
            let Some(known) = self.cursors.get_mut(&name) else {
                continue;
            };
            match result {
                Ok(()) => known.synced(cursor.written),
                Err(error) => {
                    known.sync_failed();
                    outcome = Err(trouble("syncing a cursor", &error));
                }
            }
        }
        for (work, result) in synced.segments {
            let last = self.segments.back().map(|segment| segment.base);
            let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == work.base) else {
                continue;
            };
            segment.synced = segment.synced.max(work.to);
            if let Err(error) = result {
                outcome = Err(trouble("syncing a segment", &error));
                // Not tried again: a second sync would only pretend. What was written to it meanwhile is for the next.
                self.faults.push(Fault::NotSynced {
                    from: work.base.plus(work.from),
                    to: work.base.plus(work.to),
                    error: error.to_string(),
                });
                if last == Some(work.base) {
                    self.writing = false;
                }
            }
            let is_written = self.writing && last == Some(work.base);
            if !is_written && segment.synced >= segment.length {
                segment.file = None;
            }
        }
        match synced.names {
            None => {}
            Some(Ok(())) => {
                for segment in &mut self.segments {
                    segment.named |= synced.named_to.is_some_and(|last| segment.base <= last);
                }
                for name in synced.named_cursors {
                    if let Some(cursor) = self.cursors.get_mut(&name) {
                        cursor.named = true;
                    }
                }
            }
            Some(Err(error)) => outcome = Err(trouble("syncing a directory", &error)),
        }
        outcome
    }
}
