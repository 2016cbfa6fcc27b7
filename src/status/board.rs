//! Where the daemon's status is posted about once a second, and read by whoever shows it.
//!
//! A post is also a sign of life: it is made on the threads that do the daemon's work, so one that is old says that they are stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Daemon;

/// So often is a status posted.
pub const EVERY: Duration = Duration::from_secs(1);
/// After so long without a post the daemon counts as stuck. A machine that is short of processors is late, but not by that much.
pub const STUCK_AFTER: Duration = Duration::from_secs(15);

/// The board. Clones share it.
#[derive(Clone, Debug)]
pub struct Board(watch::Sender<Post>);

/// A status, and when it was posted.
#[derive(Clone, Debug)]
pub struct Post {
    /// The status.
    pub daemon: Arc<Daemon>,
    /// When it was posted.
    pub at: Instant,
}

impl Board {
    /// A board with its first post.
    pub fn new(daemon: Daemon) -> Self {
        Self(watch::Sender::new(Post::now(daemon)))
    }

    /// Puts up a new status in the place of the last one.
    pub fn post(&self, daemon: Daemon) {
        self.0.send_replace(Post::now(daemon));
    }

    /// The same, as if it had been done at that time.
    #[cfg(test)]
    pub(crate) fn post_at(&self, daemon: Daemon, at: Instant) {
        let daemon = Arc::new(daemon);
        self.0.send_replace(Post { daemon, at });
    }

    /// The last post.
    pub fn last(&self) -> Post {
        self.0.borrow().clone()
    }

    /// To wait for the next one.
    pub fn watch(&self) -> watch::Receiver<Post> {
        self.0.subscribe()
    }
}

impl Post {
    fn now(daemon: Daemon) -> Self {
        Self {
            daemon: Arc::new(daemon),
            at: Instant::now(),
        }
    }

    /// Whether the threads that do the work were alive a moment ago.
    pub fn is_fresh(&self) -> bool {
        self.at.elapsed() < STUCK_AFTER
    }
}
