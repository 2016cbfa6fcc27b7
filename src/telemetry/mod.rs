//! What people see of the daemon: logs, counts, and what each stream does, why, and until when.
//!
//! | module | holds |
//! | --- | --- |
//! | [`counters`] | one set of counts a stream |
//! | [`logs`] | how log lines are written |
//! | [`status`] | the state of every connection slot, kept up to date by its driver |

pub mod counters;
pub mod logs;
pub mod status;

pub use counters::StreamCounters;
pub use status::{SlotStatus, StreamStatus};
