//! The forwarder against librdkafka's mock cluster. Real time, real threads; every wait ends when what it waits for has happened.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[path = "trouble_tests.rs"]
mod trouble;

use super::super::metadata::{MetadataError, metadata};
use super::*;
use crate::journal::{BatchKind, NewBatch};
use crate::settings::{
    DedupMode, DedupSettings, KafkaSettings, MessageKey, OutputSettings, QuarantineSettings, Topics,
};
use crate::telemetry::StreamStatus;

#[path = "forwarder_measures_tests.rs"]
mod measures;
#[path = "forwarder_quarantine_tests.rs"]
mod quarantine;
#[path = "forwarder_repeats_tests.rs"]
mod repeats;
#[path = "forwarder_settings_tests.rs"]
mod settings;
#[path = "forwarder_shape_tests.rs"]
mod shaping;

const PATIENCE: Duration = Duration::from_mins(1);
const JOURNAL_BYTES: u64 = 64 << 20;

fn output(settings: OutputSettings) -> Arc<Output> {
    Arc::new(Output::new(settings).unwrap())
}

/// A message as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    key: Option<String>,
    value: Vec<u8>,
    headers: BTreeMap<String, String>,
    timestamp: i64,
}

impl Read {
    fn number(&self) -> u64 {
        let value: serde_json::Value = serde_json::from_slice(&self.value).unwrap();
        value["hitIdLow"].as_u64().unwrap()
    }
}

struct Kafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Kafka {
    fn start() -> Self {
        Self {
            cluster: MockCluster::new(1).unwrap(),
        }
    }

    fn topic(&self, name: &str) -> mpsc::UnboundedReceiver<Read> {
        self.cluster.create_topic(name, 1, 1).unwrap();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", format!("reads-{name}"))
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(name, 0, Offset::Beginning).unwrap();
        consumer.assign(&partitions).unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        thread::spawn(move || {
            while !sender.is_closed() {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
                    continue;
                };
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let headers = message.headers().map_or_else(BTreeMap::new, |headers| {
                    headers
                        .iter()
                        .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                        .collect()
                });
                let read = Read {
                    key: message.key().map(text),
                    value: message.payload().unwrap_or_default().to_vec(),
                    headers,
                    timestamp: message.timestamp().to_millis().unwrap(),
                };
                let _ = sender.send(read);
            }
        });
        receiver
    }

    fn settings(&self, properties: &[(&str, &str)]) -> KafkaSettings {
        let mut all = BTreeMap::from([("linger.ms".to_owned(), "5".to_owned())]);
        all.extend(
            properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        KafkaSettings {
            brokers: self.cluster.bootstrap_servers(),
            properties: all,
            property_files: BTreeMap::new(),
            contents: BTreeMap::new(),
        }
    }

    fn producer(&self, properties: &[(&str, &str)]) -> Arc<Producer> {
        Arc::new(Producer::new(&self.settings(properties)).unwrap())
    }

    fn fail_produce(&self, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }
}

/// One stream: its journal, its counters and its forwarder.
struct Stream {
    name: String,
    /// What its forwarder is to go by; made at the first use.
    settings: OnceLock<watch::Sender<Arc<ForwarderSettings>>>,
    journal: Arc<Journal>,
    status: StreamStatus,
    counters: Arc<StreamCounters>,
    producer: Arc<Producer>,
    dedup: DedupMode,
    ids: Option<TempDir>,
    state_dir: TempDir,
}

impl Stream {
    fn new(name: &str, producer: &Arc<Producer>) -> Self {
        let status = StreamStatus::new(name, 1);
        Self {
            name: name.to_owned(),
            settings: OnceLock::new(),
            journal: Arc::new(Journal::in_memory(JOURNAL_BYTES)),
            counters: Arc::clone(&status.counters),
            status,
            producer: Arc::clone(producer),
            dedup: DedupMode::Drop,
            ids: None,
            state_dir: tempfile::tempdir().unwrap(),
        }
    }

    fn forward(&self) -> impl Future<Output = ForwardEnd> + Send + 'static {
        forward(
            self.settings().subscribe(),
            Arc::clone(&self.journal),
            Arc::clone(&self.producer),
            self.status.output(),
            self.ids(),
            self.quarantine(),
        )
    }

    fn settings(&self) -> &watch::Sender<Arc<ForwarderSettings>> {
        self.settings.get_or_init(|| {
            watch::Sender::new(Arc::new(ForwarderSettings {
                name: self.name.clone(),
                report_suite: format!("{}-suite", self.name),
                output: output(OutputSettings::to(
                    format!("{}-hits", self.name),
                    format!("{}-dead", self.name),
                )),
                dedup: DedupSettings {
                    mode: self.dedup,
                    window: Duration::from_mins(15),
                    max_ids: 10_000,
                },
            }))
        })
    }

    /// Has the forwarder go over to other settings.
    fn change(&self, change: impl FnOnce(&mut ForwarderSettings)) {
        self.settings().send_modify(|settings| {
            let mut other = ForwarderSettings::clone(settings);
            change(&mut other);
            *settings = Arc::new(other);
        });
    }

    /// The same for what becomes of the hits.
    fn change_output(&self, change: impl FnOnce(&mut OutputSettings)) {
        self.change(|settings| {
            let mut other = settings.output.settings().clone();
            change(&mut other);
            settings.output = output(other);
        });
    }

    fn quarantine(&self) -> Quarantine {
        let bounds = QuarantineSettings {
            max_bytes: 1 << 20,
            max_age: Duration::from_hours(24),
        };
        Quarantine::open(self.state_dir.path(), bounds).unwrap()
    }

    fn ids(&self) -> IdsKept {
        match &self.ids {
            None => IdsKept::InMemory,
            Some(dir) => IdsKept::OnDisk(dir.path().to_owned()),
        }
    }

    fn start(&self) -> JoinHandle<ForwardEnd> {
        tokio::spawn(self.forward())
    }

    async fn append(&self, bytes: impl Into<Bytes>) {
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1_700_000_000_123,
            slot: 0,
            bytes: bytes.into(),
        };
        self.journal.append(batch).await.unwrap();
    }

    /// Appends hits with these numbers for ids, several to a batch.
    async fn append_hits(&self, numbers: std::ops::Range<u64>) {
        for batch in numbers.collect::<Vec<_>>().chunks(7) {
            self.append(batch.iter().map(|number| hit(*number)).collect::<String>())
                .await;
        }
    }

    fn cursor(&self) -> Position {
        self.journal.cursor(crate::journal::DEFAULT_CURSOR).unwrap()
    }
}

fn hit(number: u64) -> String {
    format!(
        "{{\"hitIdHigh\":18446744073709551615,\"hitIdLow\":{number},\"visIdHigh\":3,\"visIdLow\":{},\"pageName\":\"p\"}}\r\n",
        number % 5
    )
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn read(topic: &mut mpsc::UnboundedReceiver<Read>) -> Read {
    within("a message", topic.recv()).await.unwrap()
}

/// Reads until every number of 0..n was there, and the last copies of all stand in their order. A batch that failed leaves a hole,
/// which the replay from the cursor makes good.
async fn read_all(topic: &mut mpsc::UnboundedReceiver<Read>, n: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut last_copy = BTreeMap::new();
    while last_copy.len() < n as usize || !last_copy.values().is_sorted() {
        let number = read(topic).await.number();
        last_copy.insert(number, seen.len());
        seen.push(number);
    }
    assert_eq!(last_copy.len(), n as usize, "nothing else is there");
    seen
}

/// How often the stream went back.
fn replays(seen: &[u64]) -> u64 {
    seen.windows(2).filter(|pair| pair[1] <= pair[0]).count() as u64
}

async fn finish(stream: &Stream, forwarder: JoinHandle<ForwardEnd>) {
    stream.journal.close();
    let end = within("the end of the journal", forwarder).await.unwrap();
    assert_eq!(end.cursor, stream.journal.end());
    assert_eq!(stream.cursor(), stream.journal.end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_arrive_unchanged_with_key_headers_and_the_time_they_came() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append("\r\n{\"hitIdHigh\":1,\"hitIdLow\":18446744073709551615,\"visIdHigh\":5,\"visIdLow\":6, \"x\":\"\\u00e9 \u{e9}\"}\r\n\n{\"hitIdHigh\":\"1\"}\n{cut\r\n\r\n").await;
    let description = NewBatch {
        kind: BatchKind::TooLong { length: 9_000_000 },
        received_ms: 7,
        slot: 1,
        bytes: Bytes::from_static(b"{\"a"),
    };
    stream.journal.append(description).await.unwrap();
    finish(&stream, forwarder).await;

    let header = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let own = [("livestream.stream", "a"), ("livestream.report_suite", "a-suite")];
        own.iter()
            .chain(pairs)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let first = read(&mut hits).await;
    assert_eq!(first.key.as_deref(), Some("5_6"));
    assert_eq!(
        first.value,
        "{\"hitIdHigh\":1,\"hitIdLow\":18446744073709551615,\"visIdHigh\":5,\"visIdLow\":6, \"x\":\"\\u00e9 \u{e9}\"}"
            .as_bytes()
    );
    assert_eq!(
        first.headers,
        header(&[("livestream.hit_id", "1_18446744073709551615")])
    );
    assert_eq!(first.timestamp, 1_700_000_000_123);
    let second = read(&mut hits).await;
    assert_eq!(
        (second.key, second.value.as_slice()),
        (None, b"{\"hitIdHigh\":\"1\"}".as_slice())
    );
    assert_eq!(second.headers, header(&[]));
    let cut = read(&mut dead).await;
    assert_eq!((cut.key, cut.value.as_slice()), (None, b"{cut".as_slice()));
    assert_eq!(cut.headers, header(&[("livestream.dead_letter.reason", "not_json")]));
    let long = read(&mut dead).await;
    assert_eq!((long.value.as_slice(), long.timestamp), (b"{\"a".as_slice(), 7));
    let reason = [
        ("livestream.dead_letter.reason", "too_long"),
        ("livestream.dead_letter.length", "9000000"),
    ];
    assert_eq!(long.headers, header(&reason));

    let counts = stream.counters.snapshot();
    assert_eq!(
        (counts.hits, counts.hits_without_ids, counts.hits_without_visitor),
        (2, 1, 1)
    );
    assert_eq!((counts.empty_records, counts.delivered, counts.rewinds), (3, 4, 0));
    assert_eq!(
        (
            counts.dead_letters.not_json,
            counts.dead_letters.too_long,
            counts.dead_letters.total()
        ),
        (1, 1, 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cursor_stands_still_while_the_broker_is_down() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..50).await;
    until("50 delivered", || stream.counters.delivered.get() == 50).await;
    let before = stream.cursor();
    assert_eq!(before, stream.journal.end());
    kafka.cluster.broker_down(-1).unwrap();
    stream.append_hits(50..500).await;
    until("all produced", || stream.counters.hits.get() == 500).await;
    assert_eq!(stream.cursor(), before);
    kafka.cluster.broker_up(-1).unwrap();
    finish(&stream, forwarder).await;
    let seen = read_all(&mut hits, 500).await;
    assert_eq!(seen.len(), 500, "an outage alone doubles nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_costs_nothing_but_time() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    kafka
        .cluster
        .broker_round_trip_time(-1, Duration::from_millis(150))
        .unwrap();
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..2000).await;
    finish(&stream, forwarder).await;
    assert_eq!(read_all(&mut hits, 2000).await.len(), 2000);
    assert_eq!(stream.counters.delivered.get(), 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_broker_lose_nothing_and_keep_the_order_apart_from_replays() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    kafka.fail_produce(&[
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ]);
    let stream = Stream::new("a", &kafka.producer(&[("batch.num.messages", "50")]));
    let forwarder = stream.start();
    stream.append_hits(0..1000).await;
    finish(&stream, forwarder).await;
    let seen = read_all(&mut hits, 1000).await;
    let counts = stream.counters.snapshot();
    assert!(replays(&seen) <= counts.rewinds, "{counts:?}");
    assert!(counts.rewinds >= 2 && counts.delivery_failures >= 2, "{counts:?}");
    assert_eq!(
        (counts.hits, counts.delivered, counts.dead_letters.total()),
        (1000, 1000, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_waits_for_a_person_and_stops_no_other_stream() {
    let kafka = Kafka::start();
    let (mut good, mut bad, mut dead) = (
        kafka.topic("good-hits"),
        kafka.topic("bad-hits"),
        kafka.topic("bad-dead"),
    );
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("bad-hits", missing).unwrap();
    let producer = kafka.producer(&[("topic.metadata.propagation.max.ms", "300")]);
    let (healthy, failing) = (Stream::new("good", &producer), Stream::new("bad", &producer));
    let (healthy_forwarder, failing_forwarder) = (healthy.start(), failing.start());
    failing.append_hits(0..200).await;
    until("two rewinds", || failing.counters.rewinds.get() >= 2).await;
    healthy.append_hits(0..500).await;
    finish(&healthy, healthy_forwarder).await;
    assert_eq!(read_all(&mut good, 500).await.len(), 500);
    assert_eq!((failing.cursor(), failing.counters.delivered.get()), (Position(0), 0));
    let Delivery::SetBack { failures, advice, .. } = failing.status.delivery.now() else {
        panic!("{:?}", failing.status.delivery.now())
    };
    assert!(
        failures >= 2 && advice.is_some_and(|advice| advice.contains("create the topic")),
        "{failures} {advice:?}"
    );
    assert_eq!(healthy.status.delivery.now(), Delivery::Well);
    kafka
        .cluster
        .topic_error("bad-hits", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
        .unwrap();
    finish(&failing, failing_forwarder).await;
    read_all(&mut bad, 200).await;
    assert_eq!(failing.status.delivery.now(), Delivery::Well);
    assert_eq!(
        (
            failing.counters.hits.get(),
            failing.counters.dead_letters.not_json.get()
        ),
        (200, 0)
    );
    assert!(dead.try_recv().is_err(), "a missing topic makes no dead letters");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_too_large_is_produced_one_by_one_and_makes_no_dead_letters() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let stream = Stream::new("a", &kafka.producer(&[]));
    stream.append_hits(0..300).await;
    let forwarder = stream.start();
    finish(&stream, forwarder).await;
    read_all(&mut hits, 300).await;
    let counts = stream.counters.snapshot();
    assert_eq!(
        (counts.rewinds, counts.dead_letters.total(), counts.delivered),
        (1, 0, 300)
    );
    assert!(counts.delivery_failures > 1, "the whole batch failed: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_begins_only_after_what_was_still_out() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    kafka
        .cluster
        .broker_round_trip_time(-1, Duration::from_millis(20))
        .unwrap();
    kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let stream = Stream::new("a", &kafka.producer(&[("batch.num.messages", "20")]));
    stream.append_hits(0..1500).await;
    let forwarder = stream.start();
    // Still open, so that the forwarder meets the failure while it waits for more.
    until("the rewind", || stream.counters.rewinds.get() == 1).await;
    finish(&stream, forwarder).await;
    let seen = read_all(&mut hits, 1500).await;
    assert_eq!((replays(&seen), stream.counters.rewinds.get()), (1, 1));
    assert_eq!(seen.first(), Some(&20), "the first batch left a hole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_fails_alone_for_its_size_becomes_a_dead_letter_that_fits() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // The batch; the first record alone; its first dead letter.
    kafka.fail_produce(&[too_large, too_large, too_large]);
    let stream = Stream::new("a", &kafka.producer(&[]));
    stream.append_hits(0..20).await;
    let forwarder = stream.start();
    finish(&stream, forwarder).await;
    let seen: Vec<_> = [read(&mut hits).await, read(&mut hits).await]
        .iter()
        .map(Read::number)
        .collect();
    assert_eq!(seen, [1, 2]);
    let letter = read(&mut dead).await;
    let whole = hit(0).trim_end().to_owned();
    assert!(
        !letter.value.is_empty() && letter.value.len() < whole.len() && whole.as_bytes().starts_with(&letter.value)
    );
    assert_eq!(letter.headers["livestream.dead_letter.reason"], "too_large_for_kafka");
    assert_eq!(letter.headers["livestream.dead_letter.length"], whole.len().to_string());
    assert_eq!(letter.headers["livestream.hit_id"], "18446744073709551615_0");
    let counts = stream.counters.snapshot();
    assert_eq!(
        (counts.hits, counts.dead_letters.total(), counts.delivered),
        (20, 1, 20)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_above_the_producer_s_own_limit_becomes_a_dead_letter_and_the_rest_goes_on() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[("message.max.bytes", "30000")]));
    let forwarder = stream.start();
    stream.append_hits(0..5).await;
    stream
        .append(format!("{{\"hitIdLow\":99,\"a\":\"{}\"}}\r\n", "x".repeat(50_000)))
        .await;
    stream.append(format!("not json {}\n", "x".repeat(40_000))).await;
    stream.append_hits(5..10).await;
    finish(&stream, forwarder).await;
    assert_eq!(read_all(&mut hits, 10).await.len(), 10);
    let first = read(&mut dead).await;
    assert_eq!(
        (
            first.value.len(),
            first.headers["livestream.dead_letter.length"].as_str()
        ),
        (16_384, "50022")
    );
    let second = read(&mut dead).await;
    assert_eq!(second.headers["livestream.dead_letter.reason"], "not_json");
    assert_eq!(second.headers["livestream.dead_letter.length"], "40009");
    let counts = stream.counters.snapshot();
    assert_eq!(
        (
            counts.dead_letters.too_large_for_kafka,
            counts.dead_letters.not_json,
            counts.rewinds
        ),
        (1, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fatal_error_a_new_producer_goes_on_from_the_cursor() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let producer = kafka.producer(&[]);
    let (stream, idle) = (Stream::new("a", &producer), Stream::new("b", &producer));
    let mut idle_hits = kafka.topic("b-hits");
    let (forwarder, idle_forwarder) = (stream.start(), idle.start());
    stream.append_hits(0..100).await;
    until("100 delivered", || stream.counters.delivered.get() == 100).await;
    kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    stream.append_hits(100..200).await;
    finish(&stream, forwarder).await;
    read_all(&mut hits, 200).await;
    assert!(stream.counters.rewinds.get() >= 1);
    // The other stream had a lane on the same producer.
    idle.append_hits(0..10).await;
    finish(&idle, idle_forwarder).await;
    read_all(&mut idle_hits, 10).await;
    assert!(idle.counters.rewinds.get() >= 1, "it was moved to the new producer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_waited_out() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[("queue.buffering.max.messages", "10")]));
    let forwarder = stream.start();
    stream.append_hits(0..2000).await;
    finish(&stream, forwarder).await;
    assert_eq!(read_all(&mut hits, 2000).await.len(), 2000);
    assert_eq!(stream.counters.rewinds.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarder_may_be_dropped_at_any_time() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let producer = kafka.producer(&[]);
    let stream = Stream::new("a", &producer);
    stream.append_hits(0..3000).await;
    for delivered in [1, 200, 900] {
        let forwarder = stream.start();
        until("some are delivered", || stream.counters.delivered.get() >= delivered).await;
        forwarder.abort();
        let _ = forwarder.await;
    }
    let forwarder = stream.start();
    finish(&stream, forwarder).await;
    let seen = read_all(&mut hits, 3000).await;
    assert!(replays(&seen) <= 3);
    assert_eq!(
        stream.counters.delivered.get(),
        3000,
        "the cursor passes each record once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_one_producer() {
    let kafka = Kafka::start();
    let producer = kafka.producer(&[]);
    let streams: Vec<_> = (0..20).map(|n| Stream::new(&format!("s{n}"), &producer)).collect();
    let mut topics: Vec<_> = streams
        .iter()
        .map(|stream| kafka.topic(&format!("{}-hits", stream.name)))
        .collect();
    let forwarders: Vec<_> = streams.iter().map(Stream::start).collect();
    for stream in &streams {
        stream.append_hits(0..200).await;
    }
    for (stream, forwarder) in streams.iter().zip(forwarders) {
        finish(stream, forwarder).await;
    }
    for topic in &mut topics {
        assert_eq!(read_all(topic, 200).await.len(), 200);
    }
}

#[test]
fn metadata_tells_brokers_and_topics_and_creates_none() {
    let kafka = Kafka::start();
    drop(kafka.topic("there"));
    for _ in 0..2 {
        let found = metadata(&kafka.settings(&[]), &["missing", "there"], PATIENCE).unwrap();
        assert_eq!(found.brokers.join(","), kafka.cluster.bootstrap_servers());
        let topics: Vec<_> = found
            .topics
            .iter()
            .map(|topic| (topic.name.as_str(), topic.partitions))
            .collect();
        assert_eq!(topics, [("missing", None), ("there", Some(1))]);
    }
}

#[test]
fn a_cluster_that_does_not_answer_is_told_with_its_reason() {
    // Bound and not listening: a connect is refused.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = socket.local_addr().unwrap().to_string();
    drop(socket);
    let settings = KafkaSettings {
        brokers: brokers.clone(),
        properties: BTreeMap::new(),
        property_files: BTreeMap::new(),
        contents: BTreeMap::new(),
    };
    let error = metadata(&settings, &[], Duration::from_millis(500)).unwrap_err();
    assert!(matches!(error, MetadataError::NoAnswer { .. }));
    assert!(error.to_string().contains(&brokers), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_until_nobody_holds_the_producer_and_librdkafka_is_gone() {
    let kafka = Kafka::start();
    let _hits = kafka.topic("a-hits");
    let producer = kafka.producer(&[]);
    let stream = Stream::new("a", &producer);
    let forwarder = stream.start();
    stream.append_hits(0..10).await;
    finish(&stream, forwarder).await;
    let mut closing = std::pin::pin!(Producer::close(producer));
    // The stream still holds it.
    assert!(is_pending(closing.as_mut()).await);
    drop(stream);
    within("the end of the poll thread", closing).await;
}

/// Polls once.
async fn is_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    let mut future = Some(future);
    std::future::poll_fn(|cx| {
        let pending = future
            .as_mut()
            .is_some_and(|future| future.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(pending)
    })
    .await
}
