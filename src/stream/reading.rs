//! Reads one open connection into the journal until it ends. It parses nothing, and waits for nothing but the socket, unless the
//! journal takes nothing: then the socket is read no further until it does.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::journal::{AppendError, BatchKind, Journal, JournalStatus, NewBatch, Position};
use crate::lifecycle::{EndReason, Event, Moment, StallWatch};
use crate::telemetry::StreamCounters;
use crate::upstream::{Activity, Body, Drained};

use super::Stop;

/// A journal that is full for less is not worth a log line.
const FIRST_NOTICE: Duration = Duration::from_secs(1);
const NEXT_NOTICE: Duration = Duration::from_mins(1);

/// What one slot's reading needs, connection after connection.
pub struct Reading {
    /// The stream's name, for log lines.
    pub stream: String,
    /// The connection slot, noted with each batch.
    pub slot: u8,
    /// Where the batches go.
    pub journal: Arc<Journal>,
    /// What is counted.
    pub counters: Arc<StreamCounters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Watches the silence; it learns from one connection for the next.
    pub stall: StallWatch,
}

type Append = Pin<Box<dyn Future<Output = Result<Position, AppendError>> + Send>>;

/// The append of what was read last, not over yet. Dropping it gives that up, which is worth a line in the log.
pub struct PendingAppend {
    append: Append,
    bytes: usize,
    stream: String,
    slot: u8,
    taken: bool,
}

impl PendingAppend {
    /// Waits until the journal has taken it, or is closed.
    pub async fn finish(mut self) {
        self.taken = (&mut self.append).await.is_ok();
    }
}

impl Drop for PendingAppend {
    fn drop(&mut self) {
        if !self.taken {
            tracing::error!(
                stream = self.stream,
                slot = self.slot,
                bytes = self.bytes,
                "what was read last found no room in the journal until the end, and is lost"
            );
        }
    }
}

/// How a reading ended. The connection is closed.
pub struct Ended {
    /// For the slot's machine.
    pub event: Event,
    /// The append of what was read last, not over yet because the journal took nothing when we were told to stop.
    pub pending: Option<PendingAppend>,
    /// Bytes of a line that was cut off: no record, and lost.
    pub cut_bytes: u64,
}

impl Reading {
    /// Reads `body` until it ends or stalls, the journal fails, or `stop` is requested. Whole records only go into the journal, exactly as
    /// they came. Dropping the body closes the socket, so it is closed when this returns.
    pub async fn read<Io>(&mut self, mut body: Box<Body<Io>>, stop: &Stop) -> Ended
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let mut heard = Heard::new(body.activity().clone());
        self.stall.opened(self.clock.now());
        loop {
            let now = self.clock.now();
            let deadline = self.stall.deadline(now);
            let drained = tokio::select! {
                biased;
                () = stop.requested() => return Ended::now(Event::Stop),
                drained = body.next() => drained,
                () = tokio::time::sleep(deadline.since(now)) => {
                    self.note(heard.news());
                    if let Some(silence) = self.stall.stalled(self.clock.now()) {
                        return Ended::now(Event::Ended(EndReason::Stalled(silence)));
                    }
                    continue;
                }
            };
            let news = heard.news();
            let (kind, bytes) = match drained {
                Drained::Records(bytes) => (BatchKind::Records, bytes),
                Drained::TooLong(record) => (BatchKind::TooLong { length: record.length }, record.first_bytes),
                Drained::End { reason, cut_bytes } => {
                    return Ended {
                        cut_bytes,
                        ..Ended::now(Event::Ended(reason))
                    };
                }
            };
            // What came together with the response head is no news to the socket's own count.
            self.note(Some(news.unwrap_or_default()));
            let batch = NewBatch {
                kind,
                received_ms: self.wall_ms(),
                slot: self.slot,
                bytes,
            };
            self.counters.batches.one();
            self.counters.bytes.add(batch.bytes.len() as u64);
            let (journal, bytes) = (self.journal.clone(), batch.bytes.len());
            let mut append: Append = Box::pin(async move { journal.append(batch).await });
            // As a rule there is room, and this is no wait at all.
            let mut pause = Pause::default();
            let appended = loop {
                tokio::select! {
                    biased;
                    appended = &mut append => break appended,
                    () = stop.requested() => {
                        let (stream, slot) = (self.stream.clone(), self.slot);
                        let pending = PendingAppend { append, bytes, stream, slot, taken: false };
                        return Ended { pending: Some(pending), ..Ended::now(Event::Stop) };
                    }
                    waited_s = pause.notice() => {
                        let JournalStatus { condition, backlog_bytes, .. } = self.journal.status();
                        tracing::warn!(
                            stream = self.stream, slot = self.slot, waited_s, backlog_bytes, journal = %condition,
                            "the journal takes nothing: reading pauses until it does"
                        );
                    }
                }
            };
            if let Some(paused_s) = pause.noticed() {
                tracing::info!(
                    stream = self.stream,
                    slot = self.slot,
                    paused_s,
                    "the journal takes batches again: reading goes on"
                );
            }
            if let Err(error) = appended {
                return Ended::now(Event::Ended(EndReason::JournalFailed(error.to_string())));
            }
            self.stall.resumed(self.clock.now());
        }
    }

    /// Bytes came, so long ago.
    fn note(&mut self, news: Option<Duration>) {
        if let Some(ago) = news {
            self.stall.heard(Moment(self.clock.now().0.saturating_sub(ago)));
        }
    }

    fn wall_ms(&self) -> u64 {
        let since_epoch = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A wait for room in the journal, worth a log line soon, and then ever more seldom.
#[derive(Default)]
struct Pause {
    notices: u32,
    began: Option<Instant>,
}

impl Pause {
    /// After 1 s, and then after 1, 2, 4, ... up to 16 minutes more: how many seconds it has been.
    async fn notice(&mut self) -> u64 {
        let began = *self.began.get_or_insert_with(Instant::now);
        let next = match self.notices {
            0 => FIRST_NOTICE,
            n => NEXT_NOTICE * (1 << (n - 1).min(4)),
        };
        tokio::time::sleep(next).await;
        self.notices += 1;
        began.elapsed().as_secs()
    }

    /// How many seconds it was, if anything was said of it.
    fn noticed(&self) -> Option<u64> {
        self.began
            .filter(|_| self.notices > 0)
            .map(|began| began.elapsed().as_secs())
    }
}

/// Tells whether a socket brought anything since it was last asked.
struct Heard {
    activity: Activity,
    bytes: u64,
}

impl Heard {
    fn new(activity: Activity) -> Self {
        let bytes = activity.bytes_read();
        Self { activity, bytes }
    }

    /// How long ago the last of the new bytes came, if there are any.
    fn news(&mut self) -> Option<Duration> {
        let bytes = self.activity.bytes_read();
        let more = bytes > std::mem::replace(&mut self.bytes, bytes);
        more.then(|| self.activity.last_read().elapsed())
    }
}

impl Ended {
    fn now(event: Event) -> Self {
        Self {
            event,
            pending: None,
            cut_bytes: 0,
        }
    }
}
