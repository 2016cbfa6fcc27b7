//! The queue between reading and forwarding: one for each stream.
//!
//! | module | holds |
//! | --- | --- |
//! | [`position`] | [`Position`]: where a batch or a record stands, for good |
//! | [`batch`] | [`NewBatch`] and [`Batch`]: what one drain of the socket brought |
//! | [`journal`] | [`Journal`]: append, read from a position, move a cursor |
//! | [`directory`] | [`Journals`]: the journals of all streams on disk |
//! | [`durable`], [`tail`], [`readings`] | a journal on disk, as the async side sees it; what of it is in memory |
//! | [`engine`] | the threads that write and sync |
//! | [`faults`] | what is wrong on disk, one by one and as numbers: [`JournalFaults`] |
//! | [`room`] | how much may be appended |
//! | [`cursor_guard`] | [`CursorGuard`]: what must be on disk before a cursor is |
//! | [`newer`] | what a newer livestreamd has written is refused |
//! | [`store`], [`recovery`], [`work`] | segments and cursors, without threads or waiting; how they are opened |
//! | [`segment`], [`cursor`], [`walk`] | a segment, a cursor file, and the way through a segment |
//! | [`format`] | a batch as bytes on disk |
//! | [`files`] | the file operations that all this needs |
//! | [`inspect`] | a look into journals from outside |
//! | [`memory`] | a journal in memory, for tests and for the benchmark that shows what the one on disk costs |
//!
//! The connections of a stream append; one forwarder for each cursor reads from its cursor on, and moves the cursor over what is delivered.
//! Promise: what was appended is handed out unchanged and in order until every cursor has passed it; a full journal makes its writers wait
//! and drops nothing; a position is never used twice, and a cursor never goes back.
//!
//! The slowest cursor keeps what it has not passed, for as long as it is there: so one comes to be only when it is asked for, and is durable
//! before anybody relies on it; and one that nobody asks for any more is removed.

pub mod batch;
mod counted_in;
pub mod cursor;
pub mod cursor_guard;
pub mod directory;
pub mod durable;
pub mod engine;
pub mod faults;
pub mod files;
pub mod format;
pub mod inspect;
#[expect(clippy::module_inception, reason = "it holds the type of that name")]
pub mod journal;
pub mod memory;
pub mod newer;
pub mod position;
pub mod readings;
pub mod recovery;
pub mod room;
pub mod segment;
pub mod store;
pub mod tail;
pub mod walk;
pub mod work;

pub use batch::{Batch, BatchKind, NewBatch};
pub use cursor_guard::CursorGuard;
pub use directory::{Journals, JournalsSettings, cursors};
pub use engine::SyncRounds;
pub use faults::JournalFaults;
pub use journal::{AppendError, Condition, CursorError, Journal, JournalStatus};
pub use newer::newer;
pub use position::Position;
pub use recovery::OpenError;

/// The cursor of the output that every stream has. It is always there; those of further outputs come and go, by their names.
pub const DEFAULT_CURSOR: &str = "default";

#[cfg(test)]
mod tests;
