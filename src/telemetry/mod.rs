//! What people see of the daemon: logs, counts, and what each stream does, why, and until when.
//!
//! | module | holds |
//! | --- | --- |
//! | [`counters`] | one set of counts a stream |
//! | [`delivery`] | how Kafka takes a stream's records, kept up to date by its forwarder |
//! | [`digest`] | pure: which of many log lines that are alike is written |
//! | [`events`] | the log's latest lines, kept to be shown |
//! | [`histogram`] | measured values by size |
//! | [`logs`] | how log lines are written: text, JSON, or into the journal of systemd |
//! | [`measures`] | what is measured of one stream's hits on their way |
//! | [`status`] | what each stream does: its connection slots, and its delivery |
//! | [`token`] | how a credential's access token fares |

pub mod counters;
pub mod delivery;
pub mod digest;
pub mod events;
mod fields;
pub mod histogram;
pub mod logs;
pub mod measures;
pub mod status;
#[cfg(test)]
pub mod testing;
pub mod token;

pub use counters::StreamCounters;
pub use delivery::{Delivery, DeliveryStatus};
pub use digest::Digest;
pub use events::Events;
pub use measures::StreamMeasures;
pub use status::{Ended, OutputStatus, Shown, SlotStatus, StreamStatus};
pub use token::TokenStatus;
