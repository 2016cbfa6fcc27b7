//! The broker of the integration tests, tested: what is produced is read back, what is stopped is stopped, and nothing is left running.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::{Pid, test_kill_process};

use crate::support::broker::{Broker, port_is_open};
use crate::support::guarded::Guarded;
use crate::support::kafka::{self, Kafka};
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_record_is_read_back_as_it_was_produced() {
    let kafka = kafka::shared();
    let topic = kafka.fresh_topic("as-produced", 3);
    let producer = producer(kafka);
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "livestream.stream",
            value: Some("suite"),
        })
        .insert(Header {
            key: "livestream.hit_id",
            value: Some("1_2"),
        });
    producer
        .send(
            BaseRecord::to(&topic)
                .partition(2)
                .key("7_8")
                .payload("{\"a\":1}")
                .timestamp(1_700_000_000_123)
                .headers(headers),
        )
        .unwrap();
    producer.flush(LIMIT).unwrap();

    let records = kafka.consume_all(&topic, |records| !records.is_empty(), LIMIT);
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!((record.partition, record.offset), (2, 0));
    assert_eq!(record.timestamp, Some(1_700_000_000_123));
    assert_eq!(record.key.as_deref(), Some(b"7_8".as_slice()));
    assert_eq!(record.value, b"{\"a\":1}");
    assert_eq!(record.headers.len(), 2);
    assert_eq!(record.header("livestream.hit_id"), Some("1_2"));
    assert_eq!(record.header("livestream.reason"), None);
}

#[test]
fn a_topic_is_read_to_the_end_of_every_partition_even_when_less_is_enough() {
    let kafka = kafka::shared();
    let topic = kafka.fresh_topic("to-the-end", 4);
    assert_eq!(kafka.records(&topic), []);

    produce(kafka, &topic, 0..1000);

    let records = kafka.consume_all(&topic, |records| !records.is_empty(), LIMIT);
    assert_eq!(records.len(), 1000);
    let mut ends = HashMap::new();
    for record in &records {
        let end = ends.entry(record.partition).or_insert(0);
        assert_eq!(record.offset, *end, "partition {} is out of order", record.partition);
        *end += 1;
    }
    assert_eq!(ends.len(), 4);
}

#[test]
fn tests_that_run_at_once_share_one_broker_and_have_topics_of_their_own() {
    let brokers = std::thread::scope(|scope| {
        let tests = [0..10, 10..30].map(|numbers| {
            scope.spawn(move || {
                let kafka = kafka::shared();
                let topic = kafka.fresh_topic("at-once", 1);
                produce(kafka, &topic, numbers.clone());
                let values: Vec<_> = kafka.records(&topic).into_iter().map(|record| record.value).collect();
                assert_eq!(values, numbers.map(value).collect::<Vec<_>>());
                kafka
            })
        });
        tests.map(|test| test.join().unwrap())
    });
    assert!(std::ptr::eq(brokers[0], brokers[1]));
}

#[test]
fn a_missing_topic_stays_missing_and_a_topic_can_have_settings_of_its_own() {
    let kafka = kafka::shared();
    let topic = Kafka::fresh_name("small-messages");
    kafka.create_topic(&topic, 1, &[("max.message.bytes", "1000")]);
    let refused = |topic: &str, bytes: usize| {
        let producer = producer(kafka);
        producer
            .send(BaseRecord::<(), _>::to(topic).payload(&vec![b'x'; bytes]))
            .unwrap();
        producer.flush(LIMIT).unwrap();
        kafka.records(topic).is_empty()
    };
    assert!(refused(&topic, 2000));
    assert!(!refused(&topic, 100));
}

#[test]
fn a_broker_that_is_stopped_or_killed_and_started_again_keeps_its_records() {
    let mut broker = Broker::start();
    let addr = broker.addr().to_owned();
    let port = addr.rsplit(':').next().unwrap().parse().unwrap();
    let topic = broker.kafka().fresh_topic("kept", 1);
    produce(broker.kafka(), &topic, 0..100);

    let first = broker.pid();
    broker.restart();
    assert_ne!(broker.pid(), first);
    assert_eq!(broker.addr(), addr);
    assert_eq!(broker.kafka().records(&topic).len(), 100, "{}", broker.log());

    produce(broker.kafka(), &topic, 100..200);
    broker.kill();
    assert_eq!(broker.pid(), None);
    assert!(!port_is_open(port));
    broker.start_again();
    let values: Vec<_> = broker
        .kafka()
        .records(&topic)
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(values, (0..200).map(value).collect::<Vec<_>>());

    drop(broker);
    assert!(!port_is_open(port));
}

/// Set for a copy of this test program that plays a test process to be ended in one way or another.
const ENDING: &str = "LIVESTREAMD_TEST_ENDING";

/// A stand-in for the JVM, because how it is guarded does not depend on what it is.
#[test]
fn no_child_process_outlives_the_test_process_however_that_ends() {
    const NAME: &str = "broker::no_child_process_outlives_the_test_process_however_that_ends";
    if let Ok(ending) = std::env::var(ENDING) {
        play_a_test_process(&ending);
        return;
    }
    for ending in ["killed", "panics", "ends"] {
        let mut test_process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env(ENDING, ending)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(test_process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let child = lines
            .find_map(|line| line.split_once("child ")?.1.parse().ok())
            .and_then(Pid::from_raw)
            .unwrap();
        if ending == "killed" {
            assert!(test_kill_process(child).is_ok(), "the child runs");
            test_process.kill().unwrap();
        }
        let status = test_process.wait().unwrap();
        assert_eq!(status.success(), ending == "ends", "{ending}: {status}");
        wait_until("the child is gone", LIMIT, || test_kill_process(child).is_err());
        let dir = stand_in_dir(test_process.id());
        wait_until("the child's directory is gone", LIMIT, || !dir.exists());
    }
}

fn play_a_test_process(ending: &str) {
    let dir = stand_in_dir(std::process::id());
    std::fs::create_dir_all(dir.join("deep")).unwrap();
    let guarded = Guarded::spawn(&dir, &dir.join("log"), ["sleep", "1000"]);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "child {}", guarded.pid()).unwrap();
    // As a static: never dropped.
    std::mem::forget(guarded);
    match ending {
        "panics" => panic!("as told"),
        "killed" => std::thread::park(),
        _ => {}
    }
}

fn stand_in_dir(test_process: u32) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guarded-{test_process}"))
}

fn producer(kafka: &Kafka) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.addr())
        .create()
        .unwrap()
}

fn value(number: i32) -> Vec<u8> {
    format!("record {number}").into_bytes()
}

fn produce(kafka: &Kafka, topic: &str, numbers: std::ops::Range<i32>) {
    let producer = producer(kafka);
    for number in numbers {
        // A key of its own each: they spread over the partitions.
        producer
            .send(BaseRecord::to(topic).key(&number.to_string()).payload(&value(number)))
            .unwrap();
    }
    producer.flush(LIMIT).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}
