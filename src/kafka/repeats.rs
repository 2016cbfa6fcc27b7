//! A stream's de-duplication as its forwarder uses it: the window, and the ids on their way to disk.
//!
//! Promise: an entry goes to disk when its record is delivered and before the cursor passes it. So whatever is on disk is true, and
//! what is lost of it costs a duplicate and never a hit.

use std::collections::VecDeque;
use std::path::Path;

use tracing::{info, warn};

use crate::dedup::{Entry, Limits, Verdict, Window, hash};
use crate::id_store::{IdStore, IdStoreError, IdSync, forget};
use crate::journal::Position;
use crate::settings::{DedupMode, DedupSettings};
use crate::telemetry::counters::StreamCounters;

/// Finds the duplicates of one stream, across all its connections.
#[derive(Debug)]
pub struct Repeats {
    stream: String,
    marked: bool,
    limits: Limits,
    window: Window,
    shortened: u64,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    store: IdStore,
    /// Entries whose records the cursor has not passed yet, in the order of the journal.
    not_stored: VecDeque<Entry>,
    failing: bool,
}

impl Repeats {
    /// With a window in memory only: for a journal whose positions begin anew with each start. `None` if the mode is `off`.
    pub fn in_memory(stream: &str, settings: &DedupSettings) -> Option<Self> {
        let marked = match settings.mode {
            DedupMode::Drop => false,
            DedupMode::Mark => true,
            DedupMode::Off => return None,
        };
        let limits = Limits {
            window_ms: u64::try_from(settings.window.as_millis()).unwrap_or(u64::MAX),
            max_ids: settings.max_ids,
        };
        Some(Self {
            stream: stream.to_owned(),
            marked,
            limits,
            window: Window::new(limits),
            shortened: 0,
            disk: None,
        })
    }

    /// With the ids that are on disk for a journal on disk whose cursor stands at `cursor`. If the mode is `off`, those are
    /// forgotten. Blocks on the disk; what is wrong there is reported, and then there is a window in memory only.
    pub fn on_disk(stream: &str, settings: &DedupSettings, state_dir: &Path, cursor: Position) -> Option<Self> {
        let Some(mut repeats) = Self::in_memory(stream, settings) else {
            if let Err(error) = forget(state_dir, stream) {
                warn!(stream, %error, "ids that are not needed stay on disk");
            }
            return None;
        };
        let remember = |entry| {
            repeats.window.judge(entry);
        };
        match IdStore::open(state_dir, stream, repeats.limits, cursor, remember) {
            Ok((store, found)) => {
                info!(stream, ?found, "read the ids of what is delivered");
                repeats.disk = Some(Disk {
                    store,
                    not_stored: VecDeque::new(),
                    failing: false,
                });
            }
            Err(error) => warn!(stream, %error, "no ids are kept on disk"),
        }
        Some(repeats)
    }

    /// What makes the ids on disk durable, if there are any; to be called at the journal's sync points.
    pub fn syncer(&self) -> Option<IdSync> {
        self.disk.as_ref().map(|disk| disk.store.syncer())
    }

    /// Whether duplicates are forwarded, with a mark.
    pub(super) const fn are_marked(&self) -> bool {
        self.marked
    }

    /// What the record at `start` is. See [`Window::judge`].
    pub(super) fn judge(&mut self, id: (u64, u64), record: &[u8], start: Position, received_ms: u64) -> Verdict {
        let entry = Entry {
            id,
            hash: hash(record),
            position: start.0,
            received_ms,
        };
        let verdict = self.window.judge(entry);
        match verdict {
            Verdict::First | Verdict::Twin => {
                if let Some(disk) = &mut self.disk {
                    disk.not_stored.push_back(entry);
                }
            }
            Verdict::Duplicate { .. } => {}
        }
        verdict
    }

    /// The stream goes back to its cursor: what lies beyond will be asked about again.
    pub(super) fn rewind(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.not_stored.clear();
        }
    }

    /// The cursor is about to move to `cursor`, over records that are delivered.
    pub(super) fn before_the_cursor_moves(&mut self, cursor: Position, counters: &StreamCounters) {
        self.report_shortening(counters);
        let Some(disk) = &mut self.disk else { return };
        let passed = disk.not_stored.partition_point(|entry| entry.position < cursor.0);
        disk.not_stored.make_contiguous();
        let stored = disk.store.append(&disk.not_stored.as_slices().0[..passed]);
        disk.not_stored.drain(..passed);
        if passed > 0 {
            disk.report(&self.stream, stored);
        }
    }

    fn report_shortening(&mut self, counters: &StreamCounters) {
        let new = self.window.shortened() - self.shortened;
        if new == 0 {
            return;
        }
        if self.shortened == 0 {
            warn!(
                stream = self.stream,
                reach_s = self.window.reach_ms() / 1000,
                window_s = self.limits.window_ms / 1000,
                max_ids = self.limits.max_ids,
                "hits are remembered for a shorter time than dedup.window: raise dedup.max_ids"
            );
        }
        self.shortened += new;
        counters.dedup_window_shortened.add(new);
    }
}

impl Disk {
    /// The cursor moves on all the same: a stream that waited for a full disk would never empty its journal.
    fn report(&mut self, stream: &str, stored: Result<(), IdStoreError>) {
        let failed_before = std::mem::replace(&mut self.failing, stored.is_err());
        match stored {
            Ok(()) if failed_before => info!(stream, "ids are kept on disk again"),
            Err(error) if !failed_before => warn!(stream, %error, "ids are not kept on disk"),
            Ok(()) | Err(_) => {}
        }
    }
}
