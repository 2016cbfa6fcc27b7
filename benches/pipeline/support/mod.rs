//! The real broker that the integration tests use, for measurements against one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "written for tests: they use more of it, and fail by panicking"
)]

#[path = "../../../tests/it/support/broker.rs"]
pub mod broker;
#[path = "../../../tests/it/support/guarded.rs"]
mod guarded;
#[path = "../../../tests/it/support/jars.rs"]
mod jars;
#[path = "../../../tests/it/support/kafka.rs"]
pub mod kafka;
#[path = "../../../tests/it/support/wait.rs"]
mod wait;

/// Those modules look for it in their parent.
use wait::wait_until;
