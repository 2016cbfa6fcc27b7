//! An open stream, handed out as whole records in the order in which they came (protocol notes, section 5).
//!
//! Promise: a record leaves as soon as its bytes can be inflated; what came whole before a fault is handed out before the fault is
//! told; a line without its end is never a record. The socket is read only while somebody waits in [`Body::next`], and dropping the
//! body closes it at once.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::task::coop;

use super::activity::Activity;
use super::connector::Transport;
use super::exchange::Link;
use crate::framing::{CorruptGzip, Gunzip, Piece, RecordSplitter, TooLong};
use crate::lifecycle::EndReason;

/// After so many bytes that filled no batch (an endless record, inflated from next to nothing) others get a turn. What is whole by then
/// is handed out first, so that a stop in that moment loses none of it.
const YIELD_AFTER: usize = 1024 * 1024;

/// What a step of the inflater counts for at least: one of which nothing comes takes its time too (an empty gzip member).
const LEAST_WORK: usize = 4 * 1024;

/// The body of a 200.
pub struct Body<Io: Transport> {
    link: Link<Io>,
    framing: Framing,
    gunzip: Gunzip,
    splitter: RecordSplitter,
    /// Bytes of the body that the inflater has not taken in yet.
    input: Bytes,
    /// The inflater has more to say even without input.
    again: bool,
    /// The socket had nothing more when it was last looked at.
    dry: bool,
    ended: Option<EndReason>,
}

/// What came.
#[derive(Clone, PartialEq, Eq)]
pub enum Drained {
    /// Whole records, as they came, line endings included: about 128 KiB, or less if no more was at hand.
    Records(Bytes),
    /// A record longer than `max_record_bytes`, in its place among the others.
    TooLong(TooLong),
    /// The stream is over, and its socket closed.
    End {
        /// Why.
        reason: EndReason,
        /// How many bytes of an unfinished record were dropped.
        cut_bytes: u64,
    },
}

/// Of hits only lengths are shown.
impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(run) => write!(f, "Records({} bytes)", run.len()),
            Self::TooLong(too_long) => too_long.fmt(f),
            Self::End { reason, cut_bytes } => f
                .debug_struct("End")
                .field("reason", reason)
                .field("cut_bytes", cut_bytes)
                .finish(),
        }
    }
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A last chunk ends it.
    Chunked,
    /// `Content-Length`.
    Length,
    /// The end of the connection: whether on purpose or not, only the gzip trailer can tell.
    UntilClose,
}

impl<Io: Transport> Body<Io> {
    pub(super) fn new(link: Link<Io>, framing: Framing, max_record_bytes: usize) -> Self {
        Self {
            link,
            framing,
            gunzip: Gunzip::new(),
            splitter: RecordSplitter::new(max_record_bytes),
            input: Bytes::new(),
            again: false,
            dry: false,
            ended: None,
        }
    }

    /// Waits until something has come, then takes all that is at hand, up to about 128 KiB of records. After the end it says so
    /// again. Cancel-safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Drained {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Who calls this does not wait for the next records just now, but comes for them before long: until then nothing that arrives wakes
    /// anybody.
    pub fn leave_alone(&self) {
        self.link.wakeups().suspend();
    }

    /// What the socket did. Clones stay valid when the body is gone.
    pub const fn activity(&self) -> &Activity {
        self.link.activity()
    }

    /// Whether all whole records that were read off the socket have been handed out, and the socket had no more when it was last looked at:
    /// who does not look for a while then keeps nothing back but what the socket holds.
    pub const fn is_dry(&self) -> bool {
        self.dry && !self.splitter.holds_whole_records()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Drained> {
        let mut worked = 0;
        self.dry = false;
        loop {
            if (self.splitter.is_due() || self.ended.is_some())
                && let Some(drained) = self.take()
            {
                return Poll::Ready(drained);
            }
            if let Some(reason) = &self.ended {
                return Poll::Ready(Drained::End {
                    reason: reason.clone(),
                    cut_bytes: self.splitter.unfinished_bytes(),
                });
            }
            if self.again || !self.input.is_empty() {
                if worked >= YIELD_AFTER {
                    if let Some(drained) = self.take() {
                        return Poll::Ready(drained);
                    }
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                match self.decode() {
                    Ok(produced) => worked += produced.max(LEAST_WORK),
                    Err(damage) => self.end(EndReason::CorruptGzip(damage.to_string())),
                }
                continue;
            }
            match self.link.poll_frame(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.input = bytes,
                // TLS calls it a fault when a peer closes without its goodbye; many do.
                Poll::Ready(Some(Err(EndReason::Cut))) if self.framing == Framing::UntilClose => {
                    self.end(self.reason_of_an_orderly_end());
                }
                Poll::Ready(Some(Err(reason))) => self.end(reason),
                Poll::Ready(None) => self.end(self.reason_of_an_orderly_end()),
                Poll::Pending => {
                    // A task that has used up its turn (tokio's budget) knows nothing of the socket.
                    self.dry = coop::has_budget_remaining();
                    if let Some(drained) = self.take() {
                        return Poll::Ready(drained);
                    }
                    if self.link.wakeups().resume() {
                        // This time we do wait.
                        continue;
                    }
                    self.splitter.rest();
                    return Poll::Pending;
                }
            }
        }
    }

    /// One step: plain bytes into the splitter. How many.
    fn decode(&mut self) -> Result<usize, CorruptGzip> {
        let room = self.splitter.room();
        let step = self.gunzip.step(&self.input, room)?;
        self.input.advance(step.consumed);
        if self.input.is_empty() {
            // It would keep hyper's buffer, and make it take another one for the next read.
            self.input = Bytes::new();
        }
        self.again = step.again;
        self.splitter.filled(step.produced);
        Ok(step.produced)
    }

    fn take(&mut self) -> Option<Drained> {
        Some(match self.splitter.take()? {
            Piece::Records(run) => Drained::Records(run),
            Piece::TooLong(too_long) => Drained::TooLong(too_long),
        })
    }

    fn end(&mut self, reason: EndReason) {
        self.link.close();
        (self.input, self.again) = (Bytes::new(), false);
        self.ended = Some(reason);
    }

    /// The framing says that the body is complete. The last chunk is the service's word, in the middle of a gzip member too: it
    /// flushes and ends. Without chunks a gzip stream that lacks its trailer was cut.
    fn reason_of_an_orderly_end(&self) -> EndReason {
        let whole = match self.framing {
            Framing::Chunked => true,
            Framing::Length | Framing::UntilClose => self.gunzip.is_between_members(),
        };
        if whole { EndReason::Closed } else { EndReason::Cut }
    }
}

impl<Io: Transport> fmt::Debug for Body<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("framing", &self.framing)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
