//! An embedded Kafka: librdkafka's mock cluster, and a reader that notes what arrives.
//!
//! The mock keeps only the last few MiB of each partition, so the reader runs from the beginning, all the time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::simulator::fingerprint;

const PARTITIONS: i32 = 4;
/// How long the reader waits for a record before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);

/// What arrived in one topic: how often each record came, by its fingerprint.
pub type Arrived = HashMap<u64, u32>;

/// A mock cluster with topics, and its reader.
pub struct EmbeddedKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
    arrived: Arc<Mutex<HashMap<String, Arrived>>>,
    ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl EmbeddedKafka {
    /// Starts the cluster with these topics and reads them from now on.
    pub fn start(topics: &[String]) -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("cannot start librdkafka's mock cluster")?;
        for topic in topics {
            cluster
                .create_topic(topic, PARTITIONS, 1)
                .with_context(|| format!("cannot make the topic {topic}"))?;
        }
        let consumer = consumer(&cluster.bootstrap_servers(), topics)?;
        let arrived = Arc::new(Mutex::new(
            topics.iter().map(|topic| (topic.clone(), Arrived::new())).collect(),
        ));
        let ended = Arc::new(AtomicBool::new(false));
        let reader = std::thread::Builder::new().name("embedded-kafka".to_owned()).spawn({
            let (arrived, ended) = (arrived.clone(), ended.clone());
            move || read(&consumer, &arrived, &ended)
        })?;
        Ok(Self {
            cluster,
            arrived,
            ended,
            reader: Some(reader),
        })
    }

    /// For `kafka.brokers`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// What has arrived in a topic so far.
    pub fn arrived(&self, topic: &str) -> Arrived {
        lock(&self.arrived).get(topic).cloned().unwrap_or_default()
    }

    /// How many records have arrived in a topic so far, those that came twice counted twice.
    pub fn count(&self, topic: &str) -> u64 {
        lock(&self.arrived)
            .get(topic)
            .map_or(0, |arrived| arrived.values().map(|times| u64::from(*times)).sum())
    }
}

impl Drop for EmbeddedKafka {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has nothing more to say here.
            let _ = reader.join();
        }
    }
}

fn consumer(brokers: &str, topics: &[String]) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Demanded by librdkafka; no group is joined, as partitions are assigned by hand.
        .set("group.id", "livestreamd-demo")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .create()
        .context("cannot make a reader for the embedded Kafka")?;
    let mut all = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

fn read(consumer: &BaseConsumer, arrived: &Mutex<HashMap<String, Arrived>>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        // Errors are passing ones, such as a broker that is not up yet: librdkafka goes on by itself.
        let Some(Ok(message)) = consumer.poll(POLL) else {
            continue;
        };
        let print = fingerprint(message.payload().unwrap_or_default());
        if let Some(topic) = lock(arrived).get_mut(message.topic()) {
            *topic.entry(print).or_default() += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
