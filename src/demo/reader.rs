//! Reads topics from their beginning, all the time, and notes what arrives, where, and of which visitor.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::simulator::{fingerprint, visitor_of};

/// How long the reader waits for a record before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);
/// How long a question to Kafka may take.
const ASK: Duration = Duration::from_secs(5);

/// What arrived in one topic: how often each record came, by its fingerprint.
pub type Arrived = HashMap<u64, u32>;

/// One record that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// [`fingerprint`] of its value.
    pub fingerprint: u64,
    /// Whose hit it is, by the record itself and not by its key.
    pub visitor: Option<u64>,
    /// The partition that it stands in.
    pub partition: i32,
}

/// A reader of some topics. Dropping it ends it.
pub struct Reader {
    brokers: String,
    partitions: i32,
    notes: Arc<Mutex<HashMap<String, Notes>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is noted of one topic.
#[derive(Default)]
struct Notes {
    arrivals: Vec<Arrival>,
    counts: Arrived,
    /// The offset after the last record, by partition.
    next: HashMap<i32, i64>,
    skipped: u64,
}

impl Reader {
    /// Reads these topics, of so many partitions each, from now on.
    pub fn start(brokers: &str, topics: &[String], partitions: i32) -> anyhow::Result<Self> {
        let consumer = client(brokers)?;
        let mut all = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                all.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&all)?;
        let notes = topics.iter().map(|topic| (topic.clone(), Notes::default())).collect();
        let notes = Arc::new(Mutex::new(notes));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("demo-reader".to_owned()).spawn({
            let (notes, ended) = (notes.clone(), ended.clone());
            move || read(&consumer, &notes, &ended)
        })?;
        Ok(Self {
            brokers: brokers.to_owned(),
            partitions,
            notes,
            ended,
            thread: Some(thread),
        })
    }

    /// What has arrived in a topic so far.
    pub fn arrived(&self, topic: &str) -> Arrived {
        self.look(topic, |notes| notes.counts.clone())
    }

    /// What has arrived in a topic so far; the records of a partition are in their order.
    pub fn arrivals(&self, topic: &str) -> Vec<Arrival> {
        self.look(topic, |notes| notes.arrivals.clone())
    }

    /// How many records have arrived in a topic so far, those that came twice counted twice.
    pub fn count(&self, topic: &str) -> u64 {
        self.look(topic, |notes| notes.arrivals.len() as u64)
    }

    /// How many records have arrived in all topics so far.
    pub fn total(&self) -> u64 {
        lock(&self.notes)
            .values()
            .map(|notes| notes.arrivals.len() as u64)
            .sum()
    }

    /// Whether all of these have arrived in a topic.
    pub fn has_all<'a>(&self, topic: &str, mut prints: impl Iterator<Item = &'a u64>) -> bool {
        self.look(topic, |notes| prints.all(|print| notes.counts.contains_key(print)))
    }

    /// How many offsets of a topic had nothing to be read at them: Kafka had thrown records away before they were read, and nothing can
    /// be said of what was lost.
    pub fn skipped(&self, topic: &str) -> u64 {
        self.look(topic, |notes| notes.skipped)
    }

    /// Asks Kafka for the ends of a topic's partitions, and says whether all was read up to them. Blocks for some seconds at the most.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub fn is_at_the_end(&self, topic: &str) -> anyhow::Result<bool> {
        let client = client(&self.brokers)?;
        for partition in 0..self.partitions {
            let (low, high) = client
                .fetch_watermarks(topic, partition, ASK)
                .with_context(|| format!("cannot ask Kafka for the end of partition {partition} of {topic}"))?;
            let read_to = self.look(topic, |notes| notes.next.get(&partition).copied());
            if read_to.unwrap_or(low) < high {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn look<T: Default>(&self, topic: &str, look: impl FnOnce(&Notes) -> T) -> T {
        lock(&self.notes).get(topic).map(look).unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A reader that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

/// A reader whose Kafka may go away at any time: librdkafka's complaints are for those who look closely.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "the reader's client: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "the reader's client: {reason}");
    }
}

impl ConsumerContext for Quiet {}

fn client(brokers: &str) -> anyhow::Result<BaseConsumer<Quiet>> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Demanded by librdkafka; no group is joined, as partitions are assigned by hand.
        .set("group.id", "livestreamd-demo")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .create_with_context(Quiet)
        .context("cannot make a reader for Kafka")
}

fn read(consumer: &BaseConsumer<Quiet>, notes: &Mutex<HashMap<String, Notes>>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        // Errors are passing ones, such as a broker that is not up yet: librdkafka goes on by itself.
        let Some(Ok(message)) = consumer.poll(POLL) else {
            continue;
        };
        if let Some(notes) = lock(notes).get_mut(message.topic()) {
            notes.add(&message);
        }
    }
}

impl Notes {
    fn add(&mut self, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let next = self.next.entry(partition).or_default();
        self.skipped += u64::try_from(offset - *next).unwrap_or_default();
        *next = offset + 1;
        let record = message.payload().unwrap_or_default();
        let print = fingerprint(record);
        *self.counts.entry(print).or_default() += 1;
        self.arrivals.push(Arrival {
            fingerprint: print,
            visitor: visitor_of(record),
            partition,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
