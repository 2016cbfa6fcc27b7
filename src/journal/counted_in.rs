//! How many appends are waiting, told right even when a wait is given up.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts its owner in for as long as it lives, so that a wait that is given up is counted out again.
pub(super) struct CountedIn<'a>(&'a AtomicUsize);

impl<'a> CountedIn<'a> {
    pub(super) fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for CountedIn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
