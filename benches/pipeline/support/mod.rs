//! The real broker that the integration tests use, for measurements against one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "written for tests: they use more of it, and fail by panicking"
)]

use std::time::{Duration, Instant};

#[path = "../../../tests/it/support/broker.rs"]
pub mod broker;
#[path = "../../../tests/it/support/guarded.rs"]
mod guarded;
#[path = "../../../tests/it/support/jars.rs"]
mod jars;
#[path = "../../../tests/it/support/kafka.rs"]
pub mod kafka;

/// What those modules find in their parent.
fn wait_until(what: &str, limit: Duration, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
