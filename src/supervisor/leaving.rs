//! A stream that a reload has removed, on its way out: its connections are closed, what they brought is delivered for as long as a stop of
//! the daemon may take, and its journal is let go of. Nobody waits for it, but for a stream of the same name that is to start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::tasks::Ending;
use crate::journal::{Journal, Journals};
use crate::stream::revival::AbortOnDrop;
use crate::stream::{Stop, StopSwitch, stop_switch};

/// A removed stream. Dropping it leaves the journal to who stops them all.
pub(super) struct Leaving {
    /// It is wanted back.
    wanted: StopSwitch,
    journal: Arc<Journal>,
    task: AbortOnDrop,
}

impl Leaving {
    /// Sees a stream out.
    pub(super) fn see_out(stream: Ending, within: Duration, journals: Arc<Journals>) -> Self {
        let (wanted, is_wanted) = stop_switch();
        Self {
            wanted,
            journal: stream.journal().clone(),
            task: AbortOnDrop::spawn(leave(stream, within, is_wanted, journals)),
        }
    }

    /// What it has read and not delivered.
    pub(super) const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Whether it is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.task.is_finished()
    }

    /// Returns when it is gone.
    pub(super) async fn gone(&mut self) {
        self.task.ended().await;
    }

    /// Has it be gone soon, and returns when it is: what is not delivered goes out when the stream starts again. Cancel-safe.
    pub(super) async fn gone_soon(&mut self) {
        self.wanted.stop();
        self.gone().await;
    }
}

async fn leave(mut stream: Ending, within: Duration, wanted: Stop, journals: Arc<Journals>) {
    let deadline = Instant::now() + within;
    tokio::select! {
        biased;
        _ = timeout_at(deadline, stream.ended()) => {}
        () = wanted.requested() => {
            // What connections have in hand belongs into the journal all the same, and what is in flight should not be sent twice.
            let _ = timeout_at(deadline, stream.ended_soon()).await;
        }
    }
    let (name, journal) = stream.abandoned();
    let (of, held) = (name.clone(), journal.clone());
    let released = tokio::task::spawn_blocking(move || journals.release(&of, &held)).await;
    let (stream, bytes) = (name, journal.backlog_bytes());
    if !released.unwrap_or(false) {
        tracing::error!(
            stream,
            bytes,
            "removed, but what is in its journal may not be durable, see to the disk: a power loss now may take some of it"
        );
    } else if wanted.is_requested() {
        tracing::info!(stream, bytes, "removed and wanted again: it goes on from its cursor");
    } else if bytes == 0 {
        tracing::info!(stream, "removed: all that was read is delivered");
    } else {
        tracing::warn!(
            stream,
            bytes,
            "removed before all that was read was delivered: its journal belongs to no stream of the configuration now, and is kept: name a \
             stream so to have it delivered, or see livestreamd journal --help"
        );
    }
}
