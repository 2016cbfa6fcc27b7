//! One librdkafka producer with its poll thread, and a lane on it for each stream.
//!
//! Nothing here blocks the caller: librdkafka's events, its delivery reports among them, are taken by the poll thread; and that
//! thread is the one that drops the producer, which may take a second, once nobody else holds it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, error, info, warn};

use super::config::queue_limits;
use super::failure::Failure;
use super::in_flight::{Admission, InFlight, Limits, Progress, Ticket};
use super::log_digest::LogDigest;
use super::producer::ProducerError;
use crate::journal::Position;

/// A record as rdkafka takes it.
pub(super) type Message<'a> = BaseRecord<'a, [u8], [u8], usize>;

/// How long the poll thread waits for events in one go. It only decides how soon a producer that nobody holds is dropped.
const POLL: Duration = Duration::from_millis(250);

/// The same while somebody waits for room in librdkafka's queue. librdkafka frees a message only after its report was taken, so
/// the wake-up in the report comes too early for the last one, and the one at the end of a poll must be near.
const POLL_WHILE_FULL: Duration = Duration::from_millis(2);

/// However many streams there are, each may have this much in flight.
const LEAST: Limits = Limits {
    records: 64,
    bytes: 256 * 1024,
};

/// One librdkafka producer.
pub(super) struct Link {
    producer: Arc<BaseProducer<Reports>>,
    shared: Arc<Shared>,
}

/// What the link, its lanes and librdkafka's callbacks share.
struct Shared {
    lanes: RwLock<Vec<Option<Arc<LaneState>>>>,
    /// How many lanes are taken.
    taken: AtomicUsize,
    queue: Limits,
    /// Told when librdkafka's queue may have room again.
    room: Notify,
    waiting_for_room: AtomicUsize,
    /// Why the producer is of no more use.
    fatal: OnceLock<String>,
    digest: Mutex<LogDigest>,
    born: Instant,
}

impl Link {
    /// Builds a producer and starts its poll thread. Blocks for some milliseconds.
    ///
    /// `alive` is dropped when the thread has ended and the producer is gone.
    pub(super) fn open(config: &ClientConfig, alive: mpsc::Sender<()>) -> Result<Self, ProducerError> {
        let shared = Arc::new(Shared {
            lanes: RwLock::default(),
            taken: AtomicUsize::new(0),
            queue: queue_limits(config),
            room: Notify::new(),
            waiting_for_room: AtomicUsize::new(0),
            fatal: OnceLock::new(),
            digest: Mutex::default(),
            born: Instant::now(),
        });
        let reports = Reports {
            shared: Arc::clone(&shared),
        };
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

    /// Why this producer is of no more use, if it is not.
    pub(super) fn fatal(&self) -> Option<&str> {
        self.shared.fatal.get().map(String::as_str)
    }

    /// Takes a lane for a stream whose cursor is at `cursor`; `None` if all 65,536 are taken.
    pub(super) fn lane(self: &Arc<Self>, cursor: Position) -> Option<Lane> {
        let mut lanes = self.shared.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let free = lanes.iter().position(Option::is_none).unwrap_or(lanes.len());
        let state = Arc::new(LaneState {
            index: u16::try_from(free).ok()?,
            in_flight: Mutex::new(InFlight::new(cursor, Limits::ALONE)),
            changed: Notify::new(),
            abandoned: AtomicBool::new(false),
        });
        if free == lanes.len() {
            lanes.push(None);
        }
        lanes[free] = Some(Arc::clone(&state));
        drop(lanes);
        self.shared.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(why) = self.fatal() {
            debug!(why, "a lane was taken on a producer that has failed");
            state.fail(Failure::FATAL);
        }
        Some(Lane {
            link: Arc::clone(self),
            state,
        })
    }
}

/// One stream's way into a link. Dropping it, at any time, gives it back once the last of its reports is in.
pub(super) struct Lane {
    link: Arc<Link>,
    state: Arc<LaneState>,
}

struct LaneState {
    index: u16,
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
    /// This stream has as much in flight as it may. Wait for [`Lane::changed`].
    NoRoom(Message<'a>),
    /// librdkafka's queue is full.
    QueueFull(Message<'a>),
    /// librdkafka refused this very record.
    Refused(Failure),
    /// A report told of a failure: this generation is over.
    Failed(Failure),
}

impl Lane {
    /// Hands a record to librdkafka. `end` is where the next record begins, and `bytes` what this one counts for.
    pub(super) fn send<'a>(&self, mut message: Message<'a>, end: Position, bytes: usize) -> Sent<'a> {
        match self.state.lock().admit(end, bytes) {
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
        self.link.shared.waiting_for_room.fetch_add(1, Ordering::Relaxed);
        QueueIsFull(&self.link.shared)
    }

    /// Waits until something happened that is worth a look: see [`InFlight::report`].
    pub(super) async fn changed(&self) {
        self.state.changed.notified().await;
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

    /// See [`InFlight::skip`].
    pub(super) fn skip(&self, end: Position) {
        self.state.lock().skip(end);
    }

    /// See [`InFlight::rewind`].
    pub(super) fn rewind(&self) {
        self.state.lock().rewind();
    }

    /// See [`InFlight::progress`].
    pub(super) fn progress(&self) -> Progress {
        self.state.lock().progress()
    }

    /// See [`InFlight::failure`].
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state.lock().failure()
    }

    /// See [`InFlight::too_large_to`].
    pub(super) fn too_large_to(&self) -> Option<Position> {
        self.state.lock().too_large_to()
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
    fn lock(&self) -> MutexGuard<'_, InFlight> {
        // No method panics while it holds the lock, so a poisoned one is as good as any.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, failure: Failure) {
        self.lock().fail(failure);
        self.changed.notify_one();
    }
}

impl Shared {
    fn report(&self, ticket: Ticket, result: Result<(), Failure>) {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Some(lane)) = lanes.get(usize::from(ticket.lane)) else {
            return;
        };
        let mut in_flight = lane.lock();
        let wake = in_flight.report(ticket.generation, ticket.sequence, result);
        let last_of_an_abandoned_lane = in_flight.unreported() == 0 && lane.abandoned.load(Ordering::Relaxed);
        drop(in_flight);
        if wake {
            lane.changed.notify_one();
        }
        drop(lanes);
        if last_of_an_abandoned_lane {
            self.give_back(ticket.lane);
        }
        if self.waiting_for_room.load(Ordering::Relaxed) > 0 {
            self.room.notify_waiters();
        }
    }

    fn give_back(&self, index: u16) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot @ Some(_)) = lanes.get_mut(usize::from(index)) {
            *slot = None;
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn fail_for_good(&self, why: &str) {
        if self.fatal.set(why.to_owned()).is_ok() {
            error!(why, "the kafka producer failed for good, and is built anew");
        }
        for lane in self
            .lanes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .flatten()
        {
            lane.fail(Failure::FATAL);
        }
        self.room.notify_waiters();
    }

    /// Whether a line like this was written lately.
    fn was_just_written(&self, line: &str) -> bool {
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        digest.is_known(line, self.born.elapsed())
    }

    /// How often a line like this was held back, if it is to be written now.
    fn worth_writing(&self, line: &str) -> Option<u64> {
        self.digest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(line, self.born.elapsed())
    }
}

/// Takes librdkafka's events until nobody else holds the producer, so that it is dropped here, where blocking harms nobody.
fn poll_until_alone(producer: &Arc<BaseProducer<Reports>>, shared: &Shared) {
    while Arc::strong_count(producer) > 1 {
        let full = shared.waiting_for_room.load(Ordering::Relaxed) > 0;
        producer.poll(if full { POLL_WHILE_FULL } else { POLL });
        shared.room.notify_waiters();
    }
}

/// Receives what librdkafka has to say, on the poll thread.
struct Reports {
    shared: Arc<Shared>,
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(Failure::from(error)),
        };
        self.shared.report(Ticket::unpack(ticket), result);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        let Some(repeated) = self.shared.worth_writing(text) else {
            return;
        };
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                error!(target: "librdkafka", facility, repeated, "{text}");
            }
            RDKafkaLogLevel::Warning => warn!(target: "librdkafka", facility, repeated, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(target: "librdkafka", facility, repeated, "{text}");
            }
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.shared.fail_for_good(reason);
        } else if !self.shared.was_just_written(reason)
            && let Some(repeated) = self.shared.worth_writing(reason)
        {
            warn!(target: "librdkafka", repeated, "{reason}");
        }
    }
}

/// A stream's wait for room in librdkafka's queue.
pub(super) struct QueueIsFull<'a>(&'a Shared);

impl QueueIsFull<'_> {
    /// Waits until a delivery may have made room. A wake-up that was missed is made up for at the end of the poll.
    pub(super) async fn room(&self) {
        self.0.room.notified().await;
    }
}

impl Drop for QueueIsFull<'_> {
    fn drop(&mut self) {
        self.0.waiting_for_room.fetch_sub(1, Ordering::Relaxed);
    }
}
