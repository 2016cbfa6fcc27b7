//! What people see of the daemon: logs, counts, and what each stream does, why, and until when.
//!
//! | module | holds |
//! | --- | --- |
//! | [`counters`] | one set of counts a stream |
//! | [`delivery`] | how Kafka takes a stream's records, kept up to date by its forwarder |
//! | [`events`] | what happened lately |
//! | [`histogram`] | measured values by size |
//! | [`logs`] | how log lines are written |
//! | [`status`] | what each stream does: its connection slots, and its delivery |

pub mod counters;
pub mod delivery;
pub mod events;
pub mod histogram;
pub mod logs;
pub mod status;

pub use counters::StreamCounters;
pub use delivery::{Delivery, DeliveryStatus};
pub use status::{Ended, Shown, SlotStatus, StreamStatus};
