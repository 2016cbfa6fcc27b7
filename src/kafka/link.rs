//! One librdkafka producer with its poll thread. Streams use it through their [lanes](super::lane).
//!
//! Nothing here blocks the caller: librdkafka's events, its delivery reports among them, are taken by the poll thread; and that
//! thread is the one that drops the producer, which may take a second, once nobody else holds it.
//!
//! Three ends, and none of them leaves a stream waiting:
//!
//! ```text
//! nobody holds it   --> dropped
//! a fatal error     --> its streams take no more reports of it, and go on from their cursors on another
//! it is left        --> its streams stop producing and take the reports that still come; what gets none is purged, and so
//!                       reported: nothing of it can be sent late, among the records that came after it
//! ```

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _, PurgeConfig};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, error, warn};

use super::config::{linger, queue_limits};
use super::failure::Failure;
use super::in_flight::{Limits, Ticket};
use super::lane::LaneState;
use super::log_digest::SharedLogDigest;
use super::partitions::{KnownPartitions, ToldPartitions};
use super::producer::{Pace, ProducerError};
use super::reports::Reports;
use super::said::Said;
use super::statistics;
use super::watchdog::Stall;

/// How long the poll thread waits for events in one go. It only decides how soon a producer that nobody holds is dropped, and how
/// soon one that is left is cleared.
const POLL: Duration = Duration::from_millis(250);

/// The same while somebody waits for room in librdkafka's queue. librdkafka frees a message only after its report was taken, so
/// the wake-up in the report comes too early for the last one, and the one at the end of a poll must be near. It doubles while no
/// report comes.
const POLL_WHILE_FULL: Duration = Duration::from_millis(2);

/// How long librdkafka is made to send what it gathers, in one go: longer than a thread that has work waits for a processor.
const FLUSH: Duration = Duration::from_millis(10);

/// The time between two of these goes, at first. It doubles: what has not gone out by then waits for a broker.
const FLUSH_AGAIN: Duration = Duration::from_millis(10);
const FLUSH_AGAIN_MOST: Duration = Duration::from_secs(5);

/// A purge makes librdkafka report all that it holds. If nothing comes for so many times [`Plan::quiet`], it will not.
const LAST_RESORT: u32 = 6;

/// One librdkafka producer.
pub(super) struct Link {
    pub(super) producer: Arc<BaseProducer<Reports>>,
    pub(super) shared: Arc<Shared>,
}

/// What a link is made of.
pub(super) struct Plan {
    pub(super) config: ClientConfig,
    pub(super) pace: Pace,
    /// A stall is no reason to leave it before it is so old.
    pub(super) patience: Duration,
    /// Once it is left, it is purged when no report has come for so long: other streams may still get theirs.
    pub(super) quiet: Duration,
    pub(super) partitions: Arc<Mutex<KnownPartitions>>,
    pub(super) digest: Arc<SharedLogDigest>,
    /// Its part of what librdkafka tells.
    pub(super) statistics: statistics::Entry,
    /// Dropped when the poll thread has ended and the producer is gone.
    pub(super) alive: mpsc::Sender<()>,
}

/// What the link, its lanes and librdkafka's callbacks share.
pub(super) struct Shared {
    pub(super) lanes: RwLock<Vec<Option<Arc<LaneState>>>>,
    /// How many lanes are taken.
    pub(super) taken: AtomicUsize,
    pub(super) queue: Limits,
    /// Told when librdkafka's queue may have room again.
    pub(super) room: Notify,
    pub(super) waiting_for_room: AtomicUsize,
    /// How many wait for reports while nothing more is produced that could fill a batch.
    pub(super) in_a_hurry: AtomicUsize,
    /// Whether librdkafka holds batches back for so long that a hurry makes a difference.
    lingers: bool,
    /// Reports of any kind.
    reports: AtomicU64,
    /// Reports that told of a delivery.
    pub(super) delivered: AtomicU64,
    /// Why the producer is of no more use.
    fatal: OnceLock<String>,
    /// It is to be left: since when, and why.
    left: OnceLock<(Instant, Stall)>,
    pub(super) pace: Pace,
    patience: Duration,
    quiet: Duration,
    pub(super) partitions: Arc<Mutex<KnownPartitions>>,
    pub(super) told_partitions: Mutex<ToldPartitions>,
    pub(super) digest: Arc<SharedLogDigest>,
    pub(super) said: Said,
    pub(super) statistics: statistics::Entry,
    born: Instant,
}

impl Link {
    /// Builds a producer and starts its poll thread. Blocks for some milliseconds.
    pub(super) fn open(plan: Plan) -> Result<Self, ProducerError> {
        let Plan {
            config,
            pace,
            patience,
            quiet,
            partitions,
            digest,
            statistics,
            alive,
        } = plan;
        let shared = Arc::new(Shared {
            lanes: RwLock::default(),
            taken: AtomicUsize::new(0),
            queue: queue_limits(&config),
            room: Notify::new(),
            waiting_for_room: AtomicUsize::new(0),
            in_a_hurry: AtomicUsize::new(0),
            lingers: linger(&config) > POLL,
            reports: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            fatal: OnceLock::new(),
            left: OnceLock::new(),
            pace,
            patience,
            quiet,
            partitions,
            told_partitions: Mutex::default(),
            digest,
            said: Said::to(&config),
            statistics,
            born: Instant::now(),
        });
        let reports = Reports::new(Arc::clone(&shared));
        let producer: BaseProducer<Reports> = config
            .create_with_context(reports)
            .map_err(|error| ProducerError::Refused(error.to_string()))?;
        let producer = Arc::new(producer);
        let polled = Arc::clone(&producer);
        let told = Arc::clone(&shared);
        thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || {
                poll_until_alone(&polled, &told);
                drop(polled);
                drop(alive);
            })
            .map_err(|error| ProducerError::Thread(error.to_string()))?;
        Ok(Self { producer, shared })
    }

    /// Whether streams may take it: it has not failed, and is not to be left.
    pub(super) fn is_usable(&self) -> bool {
        self.shared.failure().is_none()
    }

    /// How old the link that takes this one's place is to become before a stall is a reason to leave it: the same again if this
    /// one was left and has delivered nothing, not even that.
    pub(super) fn patience_of_the_next(&self, least: Duration, most: Duration) -> Duration {
        if self.shared.left.get().is_some() && self.shared.delivered.load(Ordering::Relaxed) == 0 {
            self.shared.patience.saturating_mul(2).min(most).max(least)
        } else {
            least
        }
    }
}

impl Shared {
    /// Takes a delivery report. Only ever called on the poll thread.
    pub(super) fn report(&self, ticket: Ticket, result: Result<(), Failure>) {
        if result.is_ok() {
            self.delivered.fetch_add(1, Ordering::Relaxed);
        }
        self.reports.fetch_add(1, Ordering::Relaxed);
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Some(lane)) = lanes.get(usize::from(ticket.lane)) else {
            return;
        };
        let last_of_an_abandoned_lane = lane.report(ticket, result);
        drop(lanes);
        if last_of_an_abandoned_lane {
            self.give_back(ticket.lane);
        }
        if self.waiting_for_room.load(Ordering::Relaxed) > 0 {
            self.room.notify_waiters();
        }
    }

    pub(super) fn give_back(&self, index: u16) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot @ Some(_)) = lanes.get_mut(usize::from(index)) {
            *slot = None;
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Declares the producer to be of no more use: no report of it is waited for.
    pub(super) fn fail_for_good(&self, why: &str) {
        if self.fatal.set(why.to_owned()).is_ok() {
            self.statistics.give_up();
            error!(
                producer = self.pace.name(),
                why, "the kafka producer failed for good, and is built anew"
            );
        }
        self.fail_all(Failure::FATAL);
    }

    /// Has all streams leave the producer, because one of them gets no reports.
    pub(super) fn leave(&self, stall: Stall) {
        if self.left.set((Instant::now(), stall)).is_ok() {
            self.statistics.give_up();
            warn!(
                producer = self.pace.name(),
                silent_s = stall.since.elapsed().as_secs(),
                others_deliver = stall.others_deliver,
                age_s = self.born.elapsed().as_secs(),
                "records wait and no delivery report comes: the kafka producer is built anew"
            );
        }
        self.fail_all(Failure::STALLED);
    }

    /// Why streams must not use it any more.
    pub(super) fn failure(&self) -> Option<Failure> {
        if let Some(why) = self.fatal.get() {
            debug!(why, "the producer has failed");
            return Some(Failure::FATAL);
        }
        self.left.get().map(|_| Failure::STALLED)
    }

    /// The stall because of which it is left.
    pub(super) fn stall(&self) -> Option<Stall> {
        self.left.get().map(|(_, stall)| *stall)
    }

    /// Before this, a stall is no reason to leave it.
    pub(super) fn not_before(&self) -> Instant {
        self.born + self.patience
    }

    fn fail_all(&self, failure: Failure) {
        for lane in self
            .lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .flatten()
        {
            lane.fail(failure);
        }
        self.room.notify_waiters();
    }

    fn anybody_waits(&self) -> bool {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().flatten().any(|lane| lane.waits())
    }
}

/// Takes librdkafka's events until nobody else holds the producer, so that it is dropped here, where blocking harms nobody.
fn poll_until_alone(producer: &Arc<BaseProducer<Reports>>, shared: &Shared) {
    let (mut reports, mut heard) = (0, Instant::now());
    let mut while_full = POLL_WHILE_FULL;
    let mut hurry = Hurry::default();
    while Arc::strong_count(producer) > 1 {
        let mut wait = POLL;
        if shared.waiting_for_room.load(Ordering::Relaxed) > 0 {
            wait = while_full;
        }
        if let Some(again) = hurry.flush(producer, shared) {
            wait = wait.min(again);
        }
        producer.poll(wait);
        // The event of a fatal error bears the code of what is behind it, and does not say that it is fatal.
        if shared.fatal.get().is_none()
            && let Some((_, why)) = producer.client().fatal_error()
        {
            shared.fail_for_good(&why);
        }
        shared.room.notify_waiters();
        let now_reported = shared.reports.load(Ordering::Relaxed);
        if now_reported == reports {
            while_full = (while_full * 2).min(POLL);
        } else {
            (reports, heard) = (now_reported, Instant::now());
            while_full = POLL_WHILE_FULL;
        }
        if let Some((left, _)) = shared.left.get() {
            clear(producer, shared, *left, heard);
        }
    }
}

/// When to flush again, while somebody is in a hurry.
#[derive(Default)]
struct Hurry(Option<(Instant, Duration)>);

impl Hurry {
    /// Flushes if it is time. Returns how long there is until the next time.
    fn flush(&mut self, producer: &BaseProducer<Reports>, shared: &Shared) -> Option<Duration> {
        if !shared.lingers || shared.in_a_hurry.load(Ordering::Relaxed) == 0 {
            self.0 = None;
            return None;
        }
        let (next, pause) = self.0.get_or_insert_with(|| (Instant::now(), FLUSH_AGAIN));
        if *next <= Instant::now() {
            send_what_lingers(producer);
            *next = Instant::now() + *pause;
            *pause = (*pause * 2).min(FLUSH_AGAIN_MOST);
        }
        Some(next.saturating_duration_since(Instant::now()))
    }
}

/// Has librdkafka send what it still gathers, whatever `linger.ms` says.
///
/// librdkafka lingers for nobody while its flush is under way. But rdkafka calls that with a time-out of 0, which is over before the
/// broker's thread has looked, more often than not; so many in a row, for so long that the other thread has its turn meanwhile.
fn send_what_lingers(producer: &BaseProducer<Reports>) {
    let started = Instant::now();
    while producer.flush(Duration::ZERO).is_err() && started.elapsed() < FLUSH {}
}

/// Sees to it that each record on a producer that is left gets its report, and then each lane is given back.
fn clear(producer: &BaseProducer<Reports>, shared: &Shared, left: Instant, heard: Instant) {
    if heard.elapsed() >= shared.quiet && producer.in_flight_count() > 0 {
        // With the reports that this makes, nothing is quiet any more: it is not done at each poll.
        producer.purge(PurgeConfig::default().queue().inflight().non_blocking());
    }
    if heard.max(left).elapsed() >= shared.quiet * LAST_RESORT && shared.anybody_waits() {
        shared.fail_for_good("a purge brought no delivery reports");
    }
}
