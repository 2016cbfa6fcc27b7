//! The queue between reading and forwarding: one for each stream.
//!
//! | module | holds |
//! | --- | --- |
//! | [`position`] | [`Position`]: where a batch or a record stands, for good |
//! | [`batch`] | [`NewBatch`] and [`Batch`]: what one drain of the socket brought |
//! | [`memory`] | [`Journal`]: append, read from a position, move a cursor |
//!
//! The connections of a stream append; a forwarder reads from its cursor on, and moves the cursor over what is delivered. Promise:
//! what was appended is handed out unchanged and in order until every cursor has passed it; a full journal makes its writers wait
//! and drops nothing; a position is never used twice, and a cursor never goes back.

pub mod batch;
pub mod files;
pub mod format;
pub mod memory;
pub mod position;

pub use batch::{Batch, BatchKind, NewBatch};
pub use memory::{AppendError, Journal};
pub use position::Position;

/// The cursor of the one output that a stream has today. Cursors have names because several outputs will come.
pub const DEFAULT_CURSOR: &str = "default";
