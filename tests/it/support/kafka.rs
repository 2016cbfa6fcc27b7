//! Kafka as a test's client sees it: topics made, records read back. Whose broker it is does not matter here.
//!
//! Everything blocks. From async code call it through `tokio::task::block_in_place` or `spawn_blocking`.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::{Metadata, MetadataPartition};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::broker::Broker;

const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// The broker that the tests of this process share: the one that `LIVESTREAMD_TEST_KAFKA=host:port` names, or else one of our own,
/// started at the first call and gone with the process. Panics if there is none to be had: no test is skipped for the lack of it.
#[track_caller]
pub fn shared() -> &'static Kafka {
    static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
    SHARED.get_or_init(find).as_ref().unwrap_or_else(|why| panic!("{why}"))
}

fn find() -> Result<Kafka, String> {
    match std::env::var("LIVESTREAMD_TEST_KAFKA") {
        Ok(addr) if !addr.is_empty() => Ok(Kafka::at(addr)),
        _ => {
            let broker = Broker::try_start(&[])?;
            let kafka = broker.kafka().clone();
            // It lives as long as the process, and its guard ends it then: a static would not be dropped either.
            std::mem::forget(broker);
            Ok(kafka)
        }
    }
}

/// A Kafka to make topics in and to read from.
#[derive(Clone, Debug)]
pub struct Kafka {
    addr: String,
}

/// A record as it stands in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition it stands in.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// Milliseconds since 1970, if it has a timestamp.
    pub timestamp: Option<i64>,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; empty for a tombstone too.
    pub value: Vec<u8>,
    /// The headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The first header of that name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(std::str::from_utf8(value).expect("a header of ours is text"))
    }
}

impl Kafka {
    /// The broker at `host:port`.
    pub fn at(addr: String) -> Self {
        Self { addr }
    }

    /// `bootstrap.servers`.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Makes a topic with one copy of everything; it can be used when this returns. Panics if it cannot be made.
    #[track_caller]
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        self.create_topics(&[name], partitions, configs);
    }

    /// Makes several, all alike.
    #[track_caller]
    pub fn create_topics(&self, names: &[&str], partitions: i32, configs: &[(&str, &str)]) {
        let admin: AdminClient<_> = self.client().create().expect("an admin client can be made");
        let topic = |name| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        };
        let topics: Vec<NewTopic<'_>> = names.iter().copied().map(topic).collect();
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_LIMIT))
            .operation_timeout(Some(REQUEST_LIMIT));
        let created = block_on(admin.create_topics(&topics, &options));
        for result in created.expect("the broker can be asked for a topic") {
            result.unwrap_or_else(|(name, why)| panic!("topic {name} could not be made: {why}"));
        }
        // The controller has them now; the broker that clients ask hears of it a moment later.
        for name in names {
            let is_there = |metadata: &Metadata| {
                let topics = metadata.topics().iter();
                topics.map(|topic| topic.partitions().len()).sum::<usize>() == partitions as usize
            };
            let deadline = Instant::now() + REQUEST_LIMIT;
            while !admin
                .inner()
                .fetch_metadata(Some(name), REQUEST_LIMIT)
                .is_ok_and(|metadata| is_there(&metadata))
            {
                assert!(Instant::now() < deadline, "topic {name} was made, and is not there");
            }
        }
    }

    /// Deletes a topic; it is gone when this returns. Panics if it cannot be deleted.
    #[track_caller]
    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<_> = self.client().create().expect("an admin client can be made");
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_LIMIT))
            .operation_timeout(Some(REQUEST_LIMIT));
        let deleted = block_on(admin.delete_topics(&[name], &options));
        for result in deleted.expect("the broker can be asked to delete a topic") {
            result.unwrap_or_else(|(name, why)| panic!("topic {name} could not be deleted: {why}"));
        }
        // All topics: asking for one by its name may create it.
        let is_there = |metadata: &Metadata| metadata.topics().iter().any(|topic| topic.name() == name);
        let deadline = Instant::now() + REQUEST_LIMIT;
        while !admin
            .inner()
            .fetch_metadata(None, REQUEST_LIMIT)
            .is_ok_and(|metadata| !is_there(&metadata))
        {
            assert!(
                Instant::now() < deadline,
                "topic {name} was deleted, and is still there"
            );
        }
    }

    /// Sets a property of a topic. Panics if that cannot be done.
    #[track_caller]
    pub fn configure_topic(&self, name: &str, key: &str, value: &str) {
        let admin: AdminClient<_> = self.client().create().expect("an admin client can be made");
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        let options = AdminOptions::new().request_timeout(Some(REQUEST_LIMIT));
        let changed = block_on(admin.alter_configs([&change], &options));
        for result in changed.expect("the broker can be asked to change a topic") {
            result.unwrap_or_else(|(_, why)| panic!("{key} of topic {name} could not be set: {why}"));
        }
    }

    /// Gives a topic more partitions: so many in all. Panics if it does not get them.
    #[track_caller]
    pub fn grow_topic(&self, name: &str, partitions: usize) {
        let admin: AdminClient<_> = self.client().create().expect("an admin client can be made");
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_LIMIT))
            .operation_timeout(Some(REQUEST_LIMIT));
        let more = NewPartitions::new(name, partitions);
        for result in block_on(admin.create_partitions([&more], &options)).expect("the broker can be asked") {
            result.unwrap_or_else(|(name, why)| panic!("topic {name} did not get {partitions} partitions: {why}"));
        }
    }

    /// A topic name that no test had before, on this broker or on a given one that earlier runs used too.
    pub fn fresh_name(stem: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        format!(
            "{stem}.{since_1970}.{}.{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// A topic of a test's own, with a name that begins with `stem`.
    #[track_caller]
    pub fn fresh_topic(&self, stem: &str, partitions: i32) -> String {
        let name = Self::fresh_name(stem);
        self.create_topic(&name, partitions, &[]);
        name
    }

    /// One for each of `stems`.
    #[track_caller]
    pub fn fresh_topics(&self, stems: &[String], partitions: i32) -> Vec<String> {
        let names: Vec<String> = stems.iter().map(|stem| Self::fresh_name(stem)).collect();
        self.create_topics(&names.iter().map(String::as_str).collect::<Vec<_>>(), partitions, &[]);
        names
    }

    /// Reads a topic from its beginning until `enough` holds of what was read, and then on to the end that the partitions have at
    /// that moment, so that what should not be there is seen as well. The records of a partition are in their order.
    /// Panics after `limit`. A broker that is away for a while is waited for.
    #[track_caller]
    pub fn consume_all(&self, topic: &str, enough: impl Fn(&[Record]) -> bool, limit: Duration) -> Vec<Record> {
        let deadline = Instant::now() + limit;
        let consumer: BaseConsumer = self
            .client()
            // Assigning asks for a group, which is not joined and nothing is committed for.
            .set("group.id", "livestreamd-test")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a consumer can be made");
        let partitions = partitions(&consumer, topic, deadline);
        let mut from_the_start = TopicPartitionList::new();
        for &partition in &partitions {
            from_the_start
                .add_partition_offset(topic, partition, Offset::Beginning)
                .expect("a beginning is an offset");
        }
        consumer.assign(&from_the_start).expect("partitions can be assigned");

        let mut records = Vec::new();
        let mut trouble = None;
        while !enough(&records) {
            read_some(&consumer, &mut records, &mut trouble);
            let read = records.len();
            assert!(
                Instant::now() < deadline,
                "{topic}: {read} records within {limit:?} were not enough ({trouble:?})"
            );
        }
        for partition in partitions {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, REQUEST_LIMIT)
                .expect("a partition has an end");
            while end_of(&records, partition).unwrap_or(low) < high {
                read_some(&consumer, &mut records, &mut trouble);
                let at = end_of(&records, partition);
                assert!(
                    Instant::now() < deadline,
                    "{topic}: partition {partition} was read to {at:?} of {high} within {limit:?} ({trouble:?})"
                );
            }
        }
        records
    }

    /// How many records a topic holds, told by its ends and not by reading it.
    pub fn count(&self, topic: &str) -> u64 {
        let consumer: BaseConsumer = self.client().create().expect("a consumer can be made");
        let deadline = Instant::now() + REQUEST_LIMIT;
        let ends = partitions(&consumer, topic, deadline).into_iter().map(|partition| {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, REQUEST_LIMIT)
                .expect("a partition has ends");
            u64::try_from(high - low).expect("a partition ends after it begins")
        });
        ends.sum()
    }

    /// All that a topic holds now.
    #[track_caller]
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.consume_all(topic, |_| true, REQUEST_LIMIT)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.addr);
        config
    }
}

/// What a client asks of a broker that has just been started, or is being, may fail for a moment.
#[track_caller]
fn partitions(consumer: &BaseConsumer, topic: &str, deadline: Instant) -> Vec<i32> {
    loop {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(2));
        let found: Vec<i32> = metadata
            .iter()
            .flat_map(Metadata::topics)
            .flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id))
            .collect();
        if !found.is_empty() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "topic {topic} is not there ({:?})",
            metadata.err()
        );
    }
}

/// Waits a little for a record, and takes what else is there.
fn read_some(consumer: &BaseConsumer, records: &mut Vec<Record>, trouble: &mut Option<String>) {
    let mut wait = Duration::from_millis(100);
    while let Some(polled) = consumer.poll(wait) {
        match polled {
            Ok(message) => records.push(record(&message)),
            Err(why) => *trouble = Some(why.to_string()),
        }
        wait = Duration::ZERO;
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_owned()))
            .collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_owned),
        value: message.payload().unwrap_or_default().to_owned(),
        headers: headers.unwrap_or_default(),
    }
}

/// The offset after the last record that was read from a partition.
fn end_of(records: &[Record], partition: i32) -> Option<i64> {
    records
        .iter()
        .rev()
        .find(|record| record.partition == partition)
        .map(|record| record.offset + 1)
}

/// Runs a future on a thread of its own: the caller may be on a runtime, where blocking on another is refused.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("the future does not panic"))
}
