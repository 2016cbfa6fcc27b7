//! What was read and is on its way into the journal: as a rule it is there at once, and at a stop perhaps not.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::journal::{AppendError, Journal, NewBatch, Position};

/// An append. Nothing happens before it is polled.
pub struct Append {
    answer: Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>,
    bytes: usize,
}

impl Append {
    /// Appends `batch`.
    pub fn new(journal: Arc<Journal>, batch: NewBatch) -> Self {
        Self {
            bytes: batch.bytes.len(),
            answer: Box::pin(async move { journal.append(batch).await }),
        }
    }

    /// Waits for the journal's answer. Not to be asked for again.
    pub async fn answer(&mut self) -> Result<Position, AppendError> {
        self.answer.as_mut().await
    }
}

/// What was read last before a stop, in order. Dropping it gives up what the journal has not taken, which is worth a line in the log.
pub struct PendingAppends {
    appends: VecDeque<Append>,
    refused_bytes: usize,
    stream: String,
    slot: u8,
}

impl PendingAppends {
    /// Of this stream and slot, with one that has begun, perhaps.
    pub fn new(stream: String, slot: u8, begun: Option<Append>) -> Self {
        Self {
            appends: begun.into_iter().collect(),
            refused_bytes: 0,
            stream,
            slot,
        }
    }

    /// What came after those.
    pub fn push(&mut self, append: Append) {
        self.appends.push_back(append);
    }

    /// Hands them to the journal, without a wait: what it has room for is written next. True if all of it is there already.
    pub async fn begin(&mut self) -> bool {
        let Self {
            appends, refused_bytes, ..
        } = self;
        poll_fn(|cx| {
            appends.retain_mut(|append| match append.answer.as_mut().poll(cx) {
                Poll::Ready(Ok(_)) => false,
                Poll::Ready(Err(_)) => {
                    *refused_bytes += append.bytes;
                    false
                }
                Poll::Pending => true,
            });
            Poll::Ready(())
        })
        .await;
        self.appends.is_empty() && self.refused_bytes == 0
    }

    /// Waits until the journal has taken them, or is closed.
    pub async fn finish(mut self) {
        while let Some(append) = self.appends.front_mut() {
            if append.answer().await.is_err() {
                self.refused_bytes += append.bytes;
            }
            self.appends.pop_front();
        }
    }
}

impl Drop for PendingAppends {
    fn drop(&mut self) {
        let bytes = self.refused_bytes + self.appends.iter().map(|append| append.bytes).sum::<usize>();
        if bytes > 0 {
            tracing::error!(
                stream = self.stream,
                slot = self.slot,
                bytes,
                "what was read last was not in the journal when the end came, and may be lost"
            );
        }
    }
}
