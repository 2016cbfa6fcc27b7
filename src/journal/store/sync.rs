//! What is made durable when.

use super::super::faults::Fault;
use super::super::work::{SegmentSync, SyncWork, Synced};
use super::{Store, Trouble, trouble};

impl Store {
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
