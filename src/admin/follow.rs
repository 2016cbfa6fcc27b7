//! `/events`, for one reader: statuses and log lines as server-sent events, as they come.
//!
//! ```text
//! retry: 3000                     how soon a browser asks again after a loss, in ms
//!
//! event: status                   the whole daemon, as /status has it; first at once, then paced by its length
//! data: {"format":1,...}
//!
//! event: log                      each new entry of the daemon's "events", at once; those before stand in the first status
//! data: {"seq":18,...}
//!
//! : alive                         when there was nothing else for a while
//! ```
//!
//! Promise: nothing is queued. An event is made when the connection has room for it, from what is posted then; a reader that lags
//! skips statuses.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::serve::Shared;
use super::shown::Shown;
use crate::status::Post;

/// How soon a browser asks again after a loss.
const RETRY: Duration = Duration::from_secs(3);
/// A status is sent no more often than this, however short it is. A little less than a post takes, so that none is left out because it
/// came early.
const SHORTEST_PAUSE: Duration = Duration::from_millis(900);
/// So many bytes of statuses are sent a second, on the average: a daemon of a few streams is shown each second, one of hundreds
/// every few.
const BYTES_A_SECOND: usize = 256 * 1024;
/// A reader of `/events`, who has one of the places for such.
pub(super) struct Follower {
    shared: Arc<Shared>,
    posts: watch::Receiver<Post>,
    stopping: watch::Receiver<bool>,
    tokens: watch::Receiver<u64>,
    /// Before the first event.
    is_new: bool,
    /// The `seq` of the newest log line that was sent.
    seq: u64,
    /// There is a status that was not sent.
    has_news: bool,
    /// When the next status may be sent.
    due: Instant,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// Takes a place, if one is free.
    pub(super) fn new(shared: Arc<Shared>) -> Option<Self> {
        let place = shared.followers.clone().try_acquire_owned().ok()?;
        Some(Self {
            posts: shared.board.watch(),
            stopping: shared.stopping.clone(),
            tokens: shared.access.tokens(),
            is_new: true,
            seq: 0,
            has_news: false,
            due: Instant::now(),
            shared,
            _place: place,
        })
    }

    /// The events. The place is free again when this is dropped.
    pub(super) fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        futures_util::stream::unfold(self, |mut follower| async move {
            let events = follower.next().await?;
            Some((Ok(events), follower))
        })
    }

    /// What is to be sent next, one or more events; `None` when the server ends.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.is_new) {
            self.posts.mark_unchanged();
            let shown = self.shared.showcase.now();
            self.seq = newest(&shown);
            let mut events = format!("retry: {}\n\n", RETRY.as_millis());
            self.write_status(&mut events, &shown);
            return Some(events.into());
        }
        let quiet_until = Instant::now() + self.shared.limits.keep_alive;
        let mut events = String::new();
        while events.is_empty() {
            match self.woken(quiet_until).await {
                Woken::Ending => return None,
                Woken::Posted => {
                    self.has_news = true;
                    self.write_log(&mut events);
                }
                Woken::Due => {
                    self.write_log(&mut events);
                    let shown = self.shared.showcase.now();
                    self.write_status(&mut events, &shown);
                }
                Woken::Quiet => events.push_str(": alive\n\n"),
            }
        }
        Some(events.into())
    }

    async fn woken(&mut self, quiet_until: Instant) -> Woken {
        tokio::select! {
            // A sender that is gone asks for the end too.
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Ending,
            // Who was let in by a token that holds no more, too.
            _ = self.tokens.changed() => Woken::Ending,
            changed = self.posts.changed() => if changed.is_ok() { Woken::Posted } else { Woken::Ending },
            () = sleep_until(self.due), if self.has_news => Woken::Due,
            () = sleep_until(quiet_until) => Woken::Quiet,
        }
    }

    fn write_status(&mut self, events: &mut String, shown: &Shown) {
        let status = shown.status();
        write_event(events, "status", &String::from_utf8_lossy(&status));
        self.has_news = false;
        self.due = Instant::now() + pause(status.len());
    }

    fn write_log(&mut self, events: &mut String) {
        let shown = self.shared.showcase.now();
        for event in shown.post.daemon.events.iter().filter(|event| event.seq > self.seq) {
            // Its keys are texts: it can be written.
            if let Ok(json) = serde_json::to_string(event) {
                write_event(events, "log", &json);
            }
        }
        self.seq = self.seq.max(newest(&shown));
    }
}

/// What a follower waited for.
enum Woken {
    /// The server ends.
    Ending,
    /// There is a new post.
    Posted,
    /// A status that was put off may be sent.
    Due,
    /// There was nothing for a while.
    Quiet,
}

/// One event; `json` is on one line.
fn write_event(events: &mut String, name: &str, json: &str) {
    // Writing to a String cannot fail.
    let _ = write!(events, "event: {name}\ndata: {json}\n\n");
}

fn newest(shown: &Shown) -> u64 {
    shown
        .post
        .daemon
        .events
        .iter()
        .map(|event| event.seq)
        .max()
        .unwrap_or(0)
}

/// How long to wait after a status of this length, in bytes.
fn pause(length: usize) -> Duration {
    SHORTEST_PAUSE.max(Duration::from_secs_f64(length as f64 / BYTES_A_SECOND as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_status_is_sent_more_seldom() {
        assert_eq!(pause(0), SHORTEST_PAUSE);
        assert_eq!(pause(20_000), SHORTEST_PAUSE);
        assert_eq!(pause(4 * BYTES_A_SECOND), Duration::from_secs(4));
    }
}
