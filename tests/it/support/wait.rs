//! Waiting for what has no wake-up to offer.

use std::time::{Duration, Instant};

/// Waits until `happened` says yes, for what has no wake-up to offer (a port that closes, a foreign process that ends).
/// Panics at `limit`, naming `what`.
pub fn wait_until(what: &str, limit: Duration, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
