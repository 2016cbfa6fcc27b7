//! De-duplication of one output of a stream, as its forwarder uses it: the window, and the ids on their way to disk.
//!
//! ```text
//! judge --> window, not_passed --the cursor moves--> DeliveredIds::queue --syncer thread of the journal--> id store --> cursor file
//! ```
//!
//! Promise: an entry goes to disk when its record is delivered and before the cursor on disk passes it. So whatever is on disk is
//! true, and what is lost of it costs a duplicate and never a hit. No file is touched on an async thread.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{debug, info, warn};

use crate::dedup::{Entry, Limits, Verdict, Window, hash};
use crate::id_store::{Found, IdStore, IdStoreError, IdSync, forget};
use crate::journal::{CursorGuard, DEFAULT_CURSOR, Journal, Position};
use crate::settings::{DedupMode, DedupSettings};
use crate::telemetry::counters::StreamCounters;

/// Where the ids of what is delivered are kept.
#[derive(Clone, Debug)]
pub enum IdsKept {
    /// Under this `state_dir`, so that a restart forgets none.
    OnDisk(PathBuf),
    /// In memory only.
    #[cfg(test)]
    InMemory,
}

/// Finds the duplicates of one output of a stream, across all its connections.
#[derive(Debug)]
pub struct Repeats {
    whose: Whose,
    marked: bool,
    limits: Limits,
    window: Window,
    shortened: u64,
    disk: Option<Disk>,
}

/// Whose ids these are, as log lines say it.
#[derive(Clone, Debug)]
struct Whose {
    stream: String,
    /// By its cursor's name, if it is not the default one.
    output: Option<String>,
}

#[derive(Debug)]
struct Disk {
    /// Entries whose records the cursor has not passed yet, in the order of the journal.
    not_passed: VecDeque<Entry>,
    delivered: Arc<DeliveredIds>,
}

/// The ids of what the cursor has passed, on their way to disk.
#[derive(Debug)]
struct DeliveredIds {
    whose: Whose,
    most: usize,
    /// What is not stored yet. The journal's syncer takes it many times a second.
    queue: Mutex<VecDeque<Entry>>,
    store: Mutex<Stored>,
    sync: IdSync,
}

#[derive(Debug)]
struct Stored {
    ids: IdStore,
    failing: bool,
}

impl Repeats {
    /// Reads which hits this output, by its cursor's name, has delivered before; off the async threads. Nothing of it may be in flight.
    pub(super) async fn read(
        kept: &IdsKept,
        stream: &str,
        output: &str,
        settings: &DedupSettings,
        journal: &Arc<Journal>,
    ) -> Option<Self> {
        let state_dir = match kept {
            IdsKept::OnDisk(state_dir) => state_dir.clone(),
            #[cfg(test)]
            IdsKept::InMemory => return Self::in_memory(Whose::of(stream, output), settings),
        };
        let (stream, output) = (stream.to_owned(), output.to_owned());
        let (settings, journal) = (settings.clone(), Arc::clone(journal));
        let read = move || Self::on_disk(&stream, &output, &settings, &state_dir, &journal);
        match tokio::task::spawn_blocking(read).await {
            Ok(repeats) => repeats,
            Err(failed) => match failed.try_into_panic() {
                // As if it had failed here: the forwarder is started again.
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// With a window in memory only. `None` if the mode is `off`.
    fn in_memory(whose: Whose, settings: &DedupSettings) -> Option<Self> {
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
            whose,
            marked,
            limits,
            window: Window::new(limits),
            shortened: 0,
            disk: None,
        })
    }

    /// With the ids that are on disk for the output, before anything of it is produced; and from then on the guard of its cursor sees to
    /// it that ids are there before the cursor is. If the mode is `off`, the ids are forgotten. Blocks on the disk; what is wrong
    /// there is reported, and then there is a window in memory only.
    fn on_disk(
        stream: &str,
        output: &str,
        settings: &DedupSettings,
        state_dir: &Path,
        journal: &Journal,
    ) -> Option<Self> {
        let whose = Whose::of(stream, output);
        if let Some(before) = journal.guard_cursor(output, None) {
            // A forwarder that failed has left ids behind. The cursor does not move until there is another one.
            before.store();
        }
        let Some(mut repeats) = Self::in_memory(whose.clone(), settings) else {
            if let Err(error) = forget(state_dir, stream, output) {
                warn!(stream, output = whose.output, %error, "ids that are not needed stay on disk");
            }
            return None;
        };
        let Some(cursor) = journal.cursor(output) else {
            // It was removed, and so are its ids: there is nothing to forward, nor to keep.
            return Some(repeats);
        };
        let remember = |entry| {
            repeats.window.judge(entry);
        };
        match IdStore::open(state_dir, stream, output, repeats.limits, cursor, remember) {
            Ok((store, found)) => {
                report_found(&whose, found);
                let delivered = Arc::new(DeliveredIds {
                    whose,
                    most: settings.max_ids,
                    queue: Mutex::default(),
                    sync: store.syncer(),
                    store: Mutex::new(Stored {
                        ids: store,
                        failing: false,
                    }),
                });
                journal.guard_cursor(output, Some(delivered.clone()));
                repeats.disk = Some(Disk {
                    not_passed: VecDeque::new(),
                    delivered,
                });
            }
            Err(error) => warn!(stream, output = whose.output, %error, "no ids are kept on disk"),
        }
        Some(repeats)
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
                    disk.not_passed.push_back(entry);
                    // An output whose filters hold back nearly all walks far ahead of the one record that Kafka does not take. The window holds no more, either.
                    if disk.not_passed.len() > self.limits.max_ids {
                        disk.not_passed.pop_front();
                    }
                }
            }
            Verdict::Duplicate { .. } => {}
        }
        verdict
    }

    /// The stream goes back to its cursor: what lies beyond will be asked about again.
    pub(super) fn rewind(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.not_passed.clear();
        }
    }

    /// The cursor is about to move to `cursor`, over records that are delivered.
    pub(super) fn before_the_cursor_moves(&mut self, cursor: Position, counters: &StreamCounters) {
        self.report_shortening(counters);
        let Some(disk) = &mut self.disk else { return };
        let passed = disk.not_passed.partition_point(|entry| entry.position < cursor.0);
        if passed > 0 {
            disk.delivered.push(disk.not_passed.drain(..passed));
        }
    }

    fn report_shortening(&mut self, counters: &StreamCounters) {
        let new = self.window.shortened() - self.shortened;
        if new == 0 {
            return;
        }
        if self.shortened == 0 {
            warn!(
                stream = self.whose.stream,
                output = self.whose.output,
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

impl Whose {
    fn of(stream: &str, output: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            output: (output != DEFAULT_CURSOR).then(|| output.to_owned()),
        }
    }
}

impl DeliveredIds {
    fn push(&self, entries: impl Iterator<Item = Entry>) {
        let mut queue = lock(&self.queue);
        queue.extend(entries);
        // A disk that hangs holds up the syncer, and not us: more than the window holds would be forgotten anyway.
        let too_many = queue.len().saturating_sub(self.most);
        queue.drain(..too_many);
    }
}

impl CursorGuard for DeliveredIds {
    fn store(&self) {
        // Held while the queue is emptied, so that two callers keep the order.
        let mut stored = lock(&self.store);
        let mut entries = std::mem::take(&mut *lock(&self.queue));
        if !entries.is_empty() {
            let outcome = stored.ids.append(entries.make_contiguous());
            stored.report(&self.whose, outcome);
        }
    }

    fn sync(&self) {
        let outcome = self.sync.sync();
        if outcome.is_err() {
            lock(&self.store).report(&self.whose, outcome);
        }
    }
}

impl Stored {
    /// One line when it begins to fail, and one when it works again.
    fn report(&mut self, whose: &Whose, outcome: Result<(), IdStoreError>) {
        let Whose { stream, output } = whose;
        let failed_before = std::mem::replace(&mut self.failing, outcome.is_err());
        match outcome {
            Ok(()) if failed_before => info!(stream, output, "ids are kept on disk again"),
            Err(error) if !failed_before => warn!(stream, output, %error, "ids are not kept on disk"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// A line only if there is something to tell.
fn report_found(whose: &Whose, found: Found) {
    let Whose { stream, output } = whose;
    let Found {
        kept,
        not_delivered,
        too_old,
        damaged,
        torn_bytes,
    } = found;
    if damaged > 0 {
        warn!(
            stream,
            output, kept, damaged, "some ids of delivered hits cannot be read: copies of theirs may be forwarded"
        );
    }
    if kept > 0 {
        info!(stream, output, kept, "remembers hits that were delivered before");
    }
    debug!(
        stream,
        output, kept, not_delivered, too_old, damaged, torn_bytes, "read the ids of delivered hits"
    );
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds a lock here, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
