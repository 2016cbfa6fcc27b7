//! One stream's way into a [link](super::link): what it has in flight there, and whether that gets any reports.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::BaseRecord;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::failure::Failure;
use super::in_flight::{Admission, InFlight, Limits, Passed, Progress, Ticket};
use super::link::{Link, Shared};
use super::watchdog::{Counts, Look, Stall, Watchdog};
use crate::journal::Position;
use crate::settings::Topics;

/// A record as rdkafka takes it.
pub(super) type Message<'a> = BaseRecord<'a, [u8], [u8], usize>;

/// However many streams there are, each may have this much in flight.
const LEAST: Limits = Limits {
    records: 64,
    bytes: 256 * 1024,
};

/// A stream waits so long for room before it is in a hurry. While batches fill up, reports come more often than that; and making librdkafka
/// send keeps two threads busy, which beside a slow broker took a tenth of the processor.
const BEFORE_A_HURRY: Duration = Duration::from_millis(20);

/// Whose lane it is to be, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand<'a> {
    /// The stream's name.
    pub(super) stream: &'a str,
    /// Where its hits go.
    pub(super) topic: &'a Topics,
    /// Where its cursor is.
    pub(super) cursor: Position,
    /// How long to wait for a report.
    pub(super) patience: Duration,
}

/// One stream's way into a link. Dropping it, at any time, gives it back once the last of its reports is in.
pub(super) struct Lane {
    link: Arc<Link>,
    state: Arc<LaneState>,
    watchdog: Mutex<Watchdog>,
}

/// What the lane shares with librdkafka's callbacks.
pub(super) struct LaneState {
    index: u16,
    stream: Box<str>,
    topic: Topics,
    in_flight: Mutex<InFlight>,
    changed: Notify,
    /// The stream is gone. Read and written under the lock of `in_flight`, so that either the stream's end or the last report
    /// gives the lane back, and not both.
    abandoned: AtomicBool,
}

/// What came of handing a record to librdkafka.
pub(super) enum Sent<'a> {
    /// It is in librdkafka's queue.
    Queued,
    /// This stream has as much in flight as it may. Wait for [`Lane::room`].
    NoRoom(Message<'a>),
    /// librdkafka's queue is full.
    QueueFull(Message<'a>),
    /// librdkafka refused this very record.
    Refused(Failure),
    /// A report told of a failure: this generation is over.
    Failed(Failure),
}

impl Link {
    /// Takes a lane; `None` if all 65,536 are taken.
    pub(super) fn lane(self: &Arc<Self>, errand: Errand<'_>) -> Option<Lane> {
        let mut lanes = self.shared.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let free = lanes.iter().position(Option::is_none).unwrap_or(lanes.len());
        let state = Arc::new(LaneState {
            index: u16::try_from(free).ok()?,
            stream: errand.stream.into(),
            topic: errand.topic.clone(),
            in_flight: Mutex::new(InFlight::new(errand.cursor, Limits::ALONE)),
            changed: Notify::new(),
            abandoned: AtomicBool::new(false),
        });
        if free == lanes.len() {
            lanes.push(None);
        }
        lanes[free] = Some(Arc::clone(&state));
        drop(lanes);
        self.shared.taken.fetch_add(1, Ordering::Relaxed);
        // It may have become unusable since somebody looked.
        if let Some(failure) = self.shared.failure() {
            state.fail(failure);
        }
        Some(Lane {
            watchdog: Mutex::new(Watchdog::new(errand.patience, self.shared.not_before())),
            link: Arc::clone(self),
            state,
        })
    }
}

impl Lane {
    /// Hands a record to librdkafka. `end` is where the next record begins, `bytes` what this one counts for, and `received_ms` when it
    /// came.
    pub(super) fn send<'a>(&self, mut message: Message<'a>, end: Position, bytes: usize, received_ms: u64) -> Sent<'a> {
        match self.state.lock().admit(end, bytes, received_ms) {
            Admission::Admitted(generation, sequence) => {
                message.delivery_opaque = Ticket {
                    lane: self.state.index,
                    generation,
                    sequence,
                }
                .pack();
            }
            Admission::NoRoom => return Sent::NoRoom(message),
            Admission::Failed(failure) => return Sent::Failed(failure),
        }
        let Err((error, message)) = self.link.producer.send(message) else {
            return Sent::Queued;
        };
        self.state.lock().retract();
        match Failure::from(&error) {
            Failure {
                code: RDKafkaErrorCode::QueueFull,
                ..
            } => Sent::QueueFull(message),
            Failure {
                code: RDKafkaErrorCode::Fatal,
                ..
            } => {
                self.link
                    .shared
                    .fail_for_good("librdkafka refuses records after a fatal error");
                Sent::Failed(Failure::FATAL)
            }
            failure => Sent::Refused(failure),
        }
    }

    /// Says that this stream waits for room in librdkafka's queue, for as long as the value lives.
    pub(super) fn queue_is_full(&self) -> QueueIsFull<'_> {
        let shared = &self.link.shared;
        shared.waiting_for_room.fetch_add(1, Ordering::Relaxed);
        QueueIsFull {
            shared,
            watchdog: Mutex::new(self.fresh_watchdog()),
        }
    }

    /// Says that nothing more is produced until reports come, for as long as the value lives: librdkafka need not wait for more
    /// to fill a batch with.
    pub(super) fn hurry(&self) -> Hurry<'_> {
        self.link.shared.in_a_hurry.fetch_add(1, Ordering::Relaxed);
        Hurry(&self.link.shared)
    }

    /// Waits until something happened that is worth a look: see [`InFlight::report`]. When no report comes for long, it has all
    /// streams leave the producer, which is such a thing.
    pub(super) async fn changed(&self) {
        let look_at = self.look();
        or_at(look_at, self.state.changed.notified()).await;
    }

    /// Waits the same while this stream has as much in flight as it may. If that is less than fills a batch, no report comes before
    /// librdkafka has lingered, so after a while it is made to send.
    pub(super) async fn room(&self) {
        tokio::select! {
            biased;
            () = self.changed() => return,
            () = sleep(BEFORE_A_HURRY) => {}
        }
        let _hurry = self.hurry();
        self.changed().await;
    }

    /// True once every report of this generation is in, or none can be expected because the producer has failed for good.
    pub(super) fn is_drained(&self) -> bool {
        let in_flight = self.state.lock();
        in_flight.unreported() == 0 || in_flight.failure() == Some(Failure::FATAL)
    }

    /// Declares the producer to be of no more use, to all its streams.
    pub(super) fn condemn(&self, why: &str) {
        self.link.shared.fail_for_good(why);
    }

    /// The stall because of which its producer is left.
    pub(super) fn stall(&self) -> Option<Stall> {
        self.link.shared.stall()
    }

    /// See [`InFlight::skip`].
    pub(super) fn skip(&self, end: Position) {
        self.state.lock().skip(end);
    }

    /// See [`InFlight::rewind`].
    pub(super) fn rewind(&self) {
        self.state.lock().rewind();
    }

    /// See [`InFlight::progress`].
    pub(super) fn progress(&self, passed: &mut Vec<Passed>) -> Progress {
        self.state.lock().progress(passed)
    }

    /// See [`InFlight::failure`].
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state.lock().failure()
    }

    /// See [`InFlight::too_large_to`] and, where there is none, [`InFlight::refused_to`].
    pub(super) fn one_by_one_to(&self) -> Option<Position> {
        let in_flight = self.state.lock();
        in_flight.too_large_to().or(in_flight.refused_to())
    }

    /// See [`InFlight::undelivered`].
    pub(super) fn undelivered(&self) -> usize {
        self.state.lock().undelivered()
    }

    /// Lets this stream have its share of librdkafka's queue in flight: so much that even if all the others are stuck, there is
    /// a share left.
    pub(super) fn take_share(&self) {
        let streams = self.link.shared.taken.load(Ordering::Relaxed);
        let Limits { records, bytes } = self.link.shared.queue;
        let share = Limits {
            records: (records / (streams + 1)).max(LEAST.records),
            bytes: (bytes / (streams + 1)).max(LEAST.bytes),
        };
        self.state.lock().set_limits(share);
    }

    /// Looks whether reports come. Returns when to look again.
    fn look(&self) -> Option<Instant> {
        let (waits, reports) = {
            let in_flight = self.state.lock();
            (in_flight.unreported() > 0, in_flight.reports())
        };
        let shared = &self.link.shared;
        let counts = Counts {
            reports,
            delivered_by_all: shared.delivered.load(Ordering::Relaxed),
        };
        act_on(lock(&self.watchdog).look(Instant::now(), waits, counts), shared)
    }

    fn fresh_watchdog(&self) -> Watchdog {
        lock(&self.watchdog).fresh()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // The lane keeps its number for as long as a report may come that bears it.
        let in_flight = self.state.lock();
        self.state.abandoned.store(true, Ordering::Relaxed);
        let idle = in_flight.unreported() == 0;
        drop(in_flight);
        if idle {
            self.link.shared.give_back(self.state.index);
        }
    }
}

impl LaneState {
    /// Takes a delivery report. True if the lane is to be given back.
    pub(super) fn report(&self, ticket: Ticket, result: Result<(), Failure>) -> bool {
        let mut in_flight = self.lock();
        let wake = in_flight.report(ticket.generation, ticket.sequence, result);
        let last_of_an_abandoned_lane = in_flight.unreported() == 0 && self.abandoned.load(Ordering::Relaxed);
        drop(in_flight);
        if wake {
            self.changed.notify_one();
        }
        last_of_an_abandoned_lane
    }

    /// See [`InFlight::fail`].
    pub(super) fn fail(&self, failure: Failure) {
        self.lock().fail(failure);
        self.changed.notify_one();
    }

    /// Whether somebody waits for reports here.
    pub(super) fn waits(&self) -> bool {
        self.lock().unreported() > 0 && !self.abandoned.load(Ordering::Relaxed)
    }

    /// Its name.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Whether its hits may go to this topic.
    pub(super) fn goes_to(&self, topic: &str) -> bool {
        self.topic.may_be(topic)
    }

    /// A topic as the log may show it: not one that a hit has named.
    pub(super) fn topic_shown(&self, topic: &str) -> String {
        if self.topic.known().contains(&topic) {
            topic.to_owned()
        } else {
            self.topic.to_string()
        }
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        lock(&self.in_flight)
    }
}

/// A stream's wait for room in librdkafka's queue.
pub(super) struct QueueIsFull<'a> {
    shared: &'a Shared,
    watchdog: Mutex<Watchdog>,
}

impl QueueIsFull<'_> {
    /// Waits until a delivery may have made room. A wake-up that was missed is made up for at the end of the poll. When there is
    /// no delivery for long, it has all streams leave the producer.
    pub(super) async fn room(&self) {
        let delivered = self.shared.delivered.load(Ordering::Relaxed);
        let counts = Counts {
            reports: delivered,
            delivered_by_all: delivered,
        };
        let look_at = act_on(lock(&self.watchdog).look(Instant::now(), true, counts), self.shared);
        or_at(look_at, self.shared.room.notified()).await;
    }
}

impl Drop for QueueIsFull<'_> {
    fn drop(&mut self) {
        self.shared.waiting_for_room.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Lane::hurry`].
pub(super) struct Hurry<'a>(&'a Shared);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.in_a_hurry.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Leaves the producer if a look says so; otherwise tells when to look again.
fn act_on(look: Look, shared: &Shared) -> Option<Instant> {
    match look {
        Look::Idle => None,
        Look::Again(at) => Some(at),
        Look::Stalled(stall) => {
            // Once is enough: it wakes all who use it.
            if shared.failure().is_none() {
                shared.leave(stall);
            }
            None
        }
    }
}

/// Waits for `event`, or until `at` if there is such a time.
async fn or_at(at: Option<Instant>, event: impl Future<Output = ()>) {
    let Some(at) = at else { return event.await };
    tokio::select! {
        biased;
        () = event => {}
        () = sleep_until(at.into()) => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
