//! One stream's journal as its connection slots and its forwarder have it: on disk; in memory in some tests and for one
//! benchmark.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::durable::Durable;
use super::faults::JournalFaults;
use super::memory::Memory;
use super::segment::is_cursor_name;
use super::store::Trouble;
use super::{Batch, CursorGuard, DEFAULT_CURSOR, NewBatch, Position};

/// Why a batch was not appended. Nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// [`Journal::close`] was called.
    #[error("the journal is closed")]
    Closed,
}

/// Why a cursor was not added, or may come back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// [`Journal::close`] was called.
    #[error("the journal is closed")]
    Closed,
    /// [`DEFAULT_CURSOR`] is always there, and other names are no cursor's.
    #[error("{0:?} is no name for a further cursor: use a to z, digits, - and _, at most 64 of them")]
    Name(String),
    /// What the disk says.
    #[error(transparent)]
    Disk(#[from] Trouble),
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
        Self::in_memory_for(max_bytes, &[])
    }

    /// The same, with these cursors besides [`DEFAULT_CURSOR`].
    pub fn in_memory_for(max_bytes: u64, outputs: &[&str]) -> Self {
        Self(Kind::Memory(Memory::new(max_bytes, outputs)))
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

    /// Where the named cursor stands: everything before is delivered. One whose file could not be read stands at 0. `None` if there is no
    /// such cursor: it was not asked for when the journal was opened, nor added, or it was removed.
    pub fn cursor(&self, name: &str) -> Option<Position> {
        match &self.0 {
            Kind::Memory(journal) => journal.cursor(name),
            Kind::Durable(journal) => journal.cursor(name),
        }
    }

    /// How many bytes, headers included, the named cursor has before it. `None` if there is no such cursor.
    pub fn backlog_of(&self, name: &str) -> Option<u64> {
        match &self.0 {
            Kind::Memory(journal) => journal.backlog_of(name),
            Kind::Durable(journal) => journal.backlog_of(name),
        }
    }

    /// Adds a cursor, where [`DEFAULT_CURSOR`] stands: its output gets what the default one has not delivered yet, and all that comes later.
    /// Durable when this returns, and until then nothing is removed that it needs. Says where it stands; one that is there already stays as
    /// it is. Blocks on the disk, for as long as a round of syncing takes.
    ///
    /// # Errors
    /// Those of the disk, a name that cannot be one, and a closed journal. Then there is no such cursor.
    pub fn add_cursor(&self, name: &str) -> Result<Position, CursorError> {
        check_name(name)?;
        match &self.0 {
            Kind::Memory(journal) => journal.add_cursor(name),
            Kind::Durable(journal) => journal.add_cursor(name),
        }
    }

    /// Removes a cursor and its guard. From now on it holds nothing back, and what still moves it moves nothing. Says how many bytes it had
    /// not passed; nothing if it was not there. Its file is gone for good when this returns. Blocks on the disk, as [`Self::add_cursor`] does.
    ///
    /// # Errors
    /// Those of the disk, and a journal that was let go of: the file may still be there. The cursor is removed all the same, and the next
    /// [`super::Journals::open`] that does not ask for it removes the file.
    pub fn remove_cursor(&self, name: &str) -> Result<u64, CursorError> {
        check_name(name)?;
        match &self.0 {
            Kind::Memory(journal) => Ok(journal.remove_cursor(name)),
            Kind::Durable(journal) => journal.remove_cursor(name),
        }
    }

    /// Moves the named cursor on to `position`, and frees what every cursor has passed: on disk a little later, whole segments, and not
    /// before that position is durable. A cursor never goes back, nor beyond what was appended; one that is not there does not come to be.
    pub fn advance(&self, name: &str, position: Position) {
        match &self.0 {
            Kind::Memory(journal) => journal.advance(name, position),
            Kind::Durable(journal) => journal.advance(name, position),
        }
    }

    /// Has `guard` called before the named cursor goes to disk, from now on, in place of the one before, which is returned. It is dropped
    /// with the cursor, and at once if there is no such cursor.
    pub fn guard_cursor(&self, name: &str, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        match &self.0 {
            Kind::Memory(journal) => journal.guard_cursor(name, guard),
            Kind::Durable(journal) => journal.guard_cursor(name, guard),
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

/// Whether a cursor of this name may come and go.
fn check_name(name: &str) -> Result<(), CursorError> {
    if name != DEFAULT_CURSOR && is_cursor_name(name) {
        Ok(())
    } else {
        Err(CursorError::Name(name.to_owned()))
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
