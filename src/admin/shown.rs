//! A posted status as the bytes that are sent: made when first asked for, and once for all who ask.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::metrics;
use crate::status::{Board, Post};

/// The last post, as bytes.
pub(super) struct Showcase {
    board: Board,
    last: Mutex<Arc<Shown>>,
}

/// One post.
pub(super) struct Shown {
    pub(super) post: Post,
    status: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl Showcase {
    pub(super) fn new(board: Board) -> Self {
        let last = Mutex::new(Arc::new(Shown::of(board.last())));
        Self { board, last }
    }

    /// What is posted now.
    pub(super) fn now(&self) -> Arc<Shown> {
        let post = self.board.last();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&last.post.daemon, &post.daemon) {
            *last = Arc::new(Shown::of(post));
        }
        last.clone()
    }
}

impl Shown {
    fn of(post: Post) -> Self {
        Self {
            post,
            status: OnceLock::new(),
            metrics: OnceLock::new(),
        }
    }

    /// The status as JSON, on one line.
    pub(super) fn status(&self) -> Bytes {
        let write = || match serde_json::to_vec(&*self.post.daemon) {
            Ok(json) => json.into(),
            // Its keys are texts and its values plain: this cannot be.
            Err(_) => Bytes::from_static(b"{}"),
        };
        self.status.get_or_init(write).clone()
    }

    /// The status as Prometheus reads it.
    pub(super) fn metrics(&self) -> Bytes {
        self.metrics
            .get_or_init(|| metrics::page(&self.post.daemon).into())
            .clone()
    }

    /// How long ago the daemon gave its last sign of life, if that is too long.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        (!self.post.is_fresh()).then(|| self.post.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Daemon;

    #[test]
    fn a_post_is_made_into_bytes_once_for_all_who_ask() {
        let board = Board::new(Daemon::default());
        let showcase = Showcase::new(board.clone());
        let (one, other) = (showcase.now().status(), showcase.now().status());
        assert_eq!(one.as_ptr(), other.as_ptr(), "the same bytes, not their like");
        board.post(Daemon {
            ready: true,
            ..Daemon::default()
        });
        let next = showcase.now().status();
        assert!(serde_json::from_slice::<Daemon>(&next).unwrap().ready);
    }
}
