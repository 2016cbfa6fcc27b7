//! First waits: connections that start together do not connect together.

use std::time::Duration;

/// The time between the first attempts of two connections at a start.
const STAGGER: Duration = Duration::from_millis(100);
/// The last connection starts no later than this after the first, however many there are.
const LONGEST_STAGGER: Duration = Duration::from_secs(10);

/// Hands out first waits.
pub(super) struct Stagger {
    step: Duration,
    next: Duration,
}

impl Stagger {
    /// For so many connections.
    pub(super) fn new(connections: impl IntoIterator<Item = u8>) -> Self {
        let connections: u32 = connections.into_iter().map(u32::from).sum();
        Self {
            step: STAGGER.min(LONGEST_STAGGER / connections.max(1)),
            next: Duration::ZERO,
        }
    }

    /// The next one's.
    pub(super) fn next(&mut self) -> Duration {
        let stagger = self.next;
        self.next += self.step;
        stagger
    }
}
