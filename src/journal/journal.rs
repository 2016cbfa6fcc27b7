//! One stream's journal as its connection slots and its forwarder have it: on disk; in memory in some tests and for one
//! benchmark.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::durable::Durable;
use super::faults::JournalFaults;
use super::memory::Memory;
use super::{Batch, CursorGuard, NewBatch, Position};

/// Why a batch was not appended. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// [`Journal::close`] was called.
    #[error("the journal is closed")]
    Closed,
}

/// Whether a journal takes batches, and if not, why. It goes on by itself when it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Good,
    /// It has no room, because deliveries do not keep up.
    Full,
    /// The disk has no room.
    DiskFull(String),
    /// The disk does not work.
    DiskFailing(String),
}

/// A journal at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalStatus {
    /// Whether it takes batches.
    pub condition: Condition,
    /// The position that the next append gets.
    pub end: Position,
    /// What the slowest cursor has before it, in bytes, headers included.
    pub backlog_bytes: u64,
    /// When the oldest batch came that the slowest cursor has not passed, in milliseconds since the Unix epoch. Behind what is in memory
    /// it may be up to a second off, to the older side. `None` if there is none, or if it was not read yet since the start.
    pub oldest_ms: Option<u64>,
    /// What it takes up, in bytes: the backlog, and what was passed and is not removed yet.
    pub held_bytes: u64,
    /// What of that is held in memory as well, in bytes.
    pub shared_bytes: u64,
    /// For how long something has been waiting to be made durable.
    pub sync_lag: Duration,
    /// What the system says, while what is on disk cannot be read back. It is tried again all the time; until it can, nothing behind
    /// that place is delivered.
    pub read_trouble: Option<String>,
    /// What was found wrong since the journal was opened.
    pub faults: JournalFaults,
}

/// One stream's journal, shared by its connection slots, which append, and by one forwarder for each cursor.
#[derive(Debug)]
pub struct Journal(Kind);

#[derive(Debug)]
enum Kind {
    Memory(Memory),
    Durable(Arc<Durable>),
}

impl Journal {
    /// An empty journal that holds up to `max_bytes`, headers included; at least enough for one batch, whatever its size.
    pub fn in_memory(max_bytes: u64) -> Self {
        Self(Kind::Memory(Memory::new(max_bytes)))
    }

    pub(super) const fn on_disk(journal: Arc<Durable>) -> Self {
        Self(Kind::Durable(journal))
    }

    /// What is behind it on disk.
    pub(super) const fn durable(&self) -> Option<&Arc<Durable>> {
        match &self.0 {
            Kind::Memory(_) => None,
            Kind::Durable(journal) => Some(journal),
        }
    }

    /// Appends a batch, and says where it stands: when this returns, a kill of the daemon does not lose it. While the journal is
    /// full, or the disk takes nothing, this waits, and those who wait take turns in the order in which they came. A batch larger
    /// than the whole journal waits until that is empty.
    ///
    /// Dropping the future is safe: then either all of the batch is appended, or nothing.
    ///
    /// # Errors
    /// [`AppendError::Closed`], also for those who wait when the journal is closed.
    pub async fn append(&self, batch: NewBatch) -> Result<Position, AppendError> {
        match &self.0 {
            Kind::Memory(journal) => journal.append(batch).await,
            Kind::Durable(journal) => journal.append(batch).await,
        }
    }

    /// True while an append waits for room, or for the disk.
    pub fn is_full(&self) -> bool {
        match &self.0 {
            Kind::Memory(journal) => journal.is_full(),
            Kind::Durable(journal) => journal.is_full(),
        }
    }

    /// How many bytes, headers included, the slowest cursor has before it.
    pub fn backlog_bytes(&self) -> u64 {
        match &self.0 {
            Kind::Memory(journal) => journal.backlog_bytes(),
            Kind::Durable(journal) => journal.status().backlog_bytes,
        }
    }

    /// The position that the next append gets.
    pub fn end(&self) -> Position {
        match &self.0 {
            Kind::Memory(journal) => journal.end(),
            Kind::Durable(journal) => journal.status().end,
        }
    }

    /// How it is.
    pub fn status(&self) -> JournalStatus {
        match &self.0 {
            Kind::Memory(journal) => {
                let backlog_bytes = journal.backlog_bytes();
                JournalStatus {
                    condition: if journal.is_full() {
                        Condition::Full
                    } else {
                        Condition::Good
                    },
                    end: journal.end(),
                    backlog_bytes,
                    oldest_ms: journal.oldest_ms(),
                    held_bytes: backlog_bytes,
                    shared_bytes: backlog_bytes,
                    sync_lag: Duration::ZERO,
                    read_trouble: None,
                    faults: JournalFaults::default(),
                }
            }
            Kind::Durable(journal) => journal.status(),
        }
    }

    /// The batch that holds `from`, or the first one after it. Waits for it to be appended; `None` once the journal is closed and
    /// there is no such batch.
    pub async fn next(&self, from: Position) -> Option<Arc<Batch>> {
        match &self.0 {
            Kind::Memory(journal) => journal.next(from).await,
            Kind::Durable(journal) => journal.next(from).await,
        }
    }

    /// Where the named cursor stands: everything before is delivered. A new name starts at the oldest batch still here, and one whose
    /// file could not be read at 0. Names are of `a` to `z`, digits, `-` and `_`.
    pub fn cursor(&self, name: &str) -> Position {
        match &self.0 {
            Kind::Memory(journal) => journal.cursor(name),
            Kind::Durable(journal) => journal.cursor(name),
        }
    }

    /// Moves the named cursor on to `position`, and frees what every cursor has passed: on disk a little later, whole segments, and not
    /// before that position is durable. A cursor never goes back, nor beyond what was appended.
    pub fn advance(&self, name: &str, position: Position) {
        match &self.0 {
            Kind::Memory(journal) => journal.advance(name, position),
            Kind::Durable(journal) => journal.advance(name, position),
        }
    }

    /// Has `guard` called before a cursor goes to disk, from now on, in place of the one before, which is returned.
    pub fn guard_cursors(&self, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        match &self.0 {
            Kind::Memory(journal) => journal.guard_cursors(guard),
            Kind::Durable(journal) => journal.guard_cursors(guard),
        }
    }

    /// Refuses further appends. What is here can still be read, and the readers learn when they have come to the end.
    pub fn close(&self) {
        match &self.0 {
            Kind::Memory(journal) => journal.close(),
            Kind::Durable(journal) => journal.close(),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Full => f.write_str("the journal is full: deliveries do not keep up"),
            Self::DiskFull(text) => write!(f, "the disk is full: {text}"),
            Self::DiskFailing(text) => write!(f, "the disk fails: {text}"),
        }
    }
}
