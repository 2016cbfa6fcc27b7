//! What the forwarder keeps in the quarantine, against librdkafka's mock cluster.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::hit::Hit;
use crate::shape::Shaped;
use crate::shape::parcel::Parcel;

const TOO_LARGE: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;

/// A hit that the producer itself finds too large.
fn large_hit(number: u64) -> String {
    format!(
        "{{\"hitIdHigh\":1,\"hitIdLow\":{number},\"a\":\"{}\"}}",
        "x".repeat(50_000)
    )
}

/// How often it is refused until nothing is left of it: the hit, and its dead letters with first bytes of the hit, and without any.
fn refusals_until_nothing_is_left(hit: &str) -> usize {
    let mut parcel = Parcel::Hit {
        shaped: Shaped::untouched(hit.as_bytes()),
        hit: Hit::default(),
        duplicate: false,
        lacks: None,
    };
    let mut refusals = 1;
    while let Some(smaller) = parcel.smaller() {
        (parcel, refusals) = (smaller, refusals + 1);
    }
    refusals
}

impl Stream {
    /// Name and content of what is in the quarantine, sorted by name.
    fn quarantined(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.quarantine_dir()).unwrap();
        let read = |path: PathBuf| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        };
        let mut kept: Vec<_> = entries.map(|entry| read(entry.unwrap().path())).collect();
        kept.sort();
        kept
    }

    fn quarantine_dir(&self) -> PathBuf {
        self.state_dir.path().join("quarantine")
    }

    /// Nothing can be kept from now on, until [`Stream::mend_the_quarantine`].
    fn break_the_quarantine(&self) {
        let _ = self.quarantine();
        fs::remove_dir(self.quarantine_dir()).unwrap();
        fs::write(self.quarantine_dir(), "in the way").unwrap();
    }

    fn mend_the_quarantine(&self) {
        fs::remove_file(self.quarantine_dir()).unwrap();
        fs::create_dir(self.quarantine_dir()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_kept_whole_and_its_dead_letter_goes_out() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[("message.max.bytes", "30000")]));
    let no_hit = format!("not json {}", "x".repeat(40_000));
    stream.append(hit(1)).await;
    stream.append(format!("{}\r\n{no_hit}\n{}", large_hit(7), hit(2))).await;
    let first_bytes = NewBatch {
        kind: BatchKind::TooLong { length: 9_000_000 },
        received_ms: 7,
        slot: 0,
        bytes: Bytes::from(vec![b'y'; 35_000]),
    };
    stream.journal.append(first_bytes).await.unwrap();
    let forwarder = stream.start();
    finish(&stream, forwarder).await;
    assert_eq!([read(&mut hits).await.number(), read(&mut hits).await.number()], [1, 2]);
    let letters = [read(&mut dead).await, read(&mut dead).await, read(&mut dead).await];
    let lengths = letters
        .each_ref()
        .map(|letter| letter.headers["livestream.dead_letter.length"].as_str());
    assert_eq!(lengths, [&large_hit(7).len().to_string(), "40009", "9000000"]);

    let kept = stream.quarantined();
    let whole = [large_hit(7).into_bytes(), no_hit.into_bytes(), vec![b'y'; 35_000]];
    for ((name, content), (reason, whole)) in kept
        .iter()
        .zip(["too_large_for_kafka", "not_json", "too_long"].iter().zip(&whole))
    {
        assert!(
            name.starts_with("a.0000") && name.contains(&format!(".{reason}.")),
            "{name}"
        );
        assert!(content == whole, "{name}");
    }
    let counts = stream.counters.snapshot();
    assert_eq!((kept.len(), counts.quarantined, counts.quarantine_failures), (3, 3, 0));
    assert_eq!((counts.undescribed, counts.delivered), (0, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_durable_in_the_quarantine_before_its_dead_letter_is_out() {
    let kafka = Kafka::start();
    let (_hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    // Dead letters do not go out for the time being.
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("a-dead", missing).unwrap();
    let properties = [
        ("message.max.bytes", "30000"),
        ("topic.metadata.propagation.max.ms", "200"),
    ];
    let stream = Stream::new("a", &kafka.producer(&properties));
    stream.append(large_hit(7) + "\n").await;
    let forwarder = stream.start();
    until("two rewinds", || stream.counters.rewinds.get() >= 2).await;
    assert_eq!(stream.quarantined().len(), 1, "each replay finds the file of the first");
    assert_eq!(stream.counters.quarantined.get(), 1);
    assert_eq!(
        (stream.cursor(), stream.counters.undescribed.get()),
        (Position(0), 0),
        "a missing topic is no reason to go on"
    );
    assert!(dead.try_recv().is_err());
    kafka
        .cluster
        .topic_error("a-dead", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
        .unwrap();
    finish(&stream, forwarder).await;
    assert_eq!(read(&mut dead).await.value, &large_hit(7).as_bytes()[..16_384]);
    assert_eq!((stream.quarantined().len(), stream.counters.quarantined.get()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_fits_the_quarantine_counts_as_delivery() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[]));
    let record = hit(0).trim_end().to_owned();
    // First the batch; then the record alone until nothing is left of it.
    kafka.fail_produce(&vec![TOO_LARGE; 1 + refusals_until_nothing_is_left(&record)]);
    stream.append_hits(0..20).await;
    let forwarder = stream.start();
    finish(&stream, forwarder).await;
    assert_eq!(read_until(&mut hits, 19).await, (1..20).collect::<Vec<_>>());
    assert!(dead.try_recv().is_err());
    let kept = stream.quarantined();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].1, record.as_bytes());
    let counts = stream.counters.snapshot();
    assert_eq!((counts.quarantined, counts.undescribed, counts.delivered), (1, 1, 19));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_that_fails_stops_no_dead_letter() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[("message.max.bytes", "30000")]));
    stream.append(large_hit(7) + "\n" + &hit(1)).await;
    let forwarding = stream.forward();
    stream.break_the_quarantine();
    finish(&stream, tokio::spawn(forwarding)).await;
    assert_eq!(read(&mut dead).await.value.len(), 16_384);
    assert_eq!(read(&mut hits).await.number(), 1);
    let counts = stream.counters.snapshot();
    assert_eq!(
        (counts.quarantined, counts.quarantine_failures, counts.delivered),
        (0, 1, 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_fits_and_nothing_can_be_kept_the_stream_waits() {
    let kafka = Kafka::start();
    let (mut hits, _dead) = (kafka.topic("a-hits"), kafka.topic("a-dead"));
    let stream = Stream::new("a", &kafka.producer(&[]));
    let record = hit(0).trim_end().to_owned();
    let alone = refusals_until_nothing_is_left(&record);
    kafka.fail_produce(&vec![TOO_LARGE; 1 + 2 * alone]);
    stream.append(hit(0)).await;
    stream.append(hit(1)).await;
    let forwarding = stream.forward();
    stream.break_the_quarantine();
    let forwarder = tokio::spawn(forwarding);
    // The first too large; then in vain.
    until("two rewinds", || stream.counters.rewinds.get() >= 2).await;
    assert_eq!((stream.cursor(), stream.counters.undescribed.get()), (Position(0), 0));
    assert_eq!(
        stream.counters.quarantine_failures.get(),
        2,
        "at the first refusal, and when nothing was left"
    );
    stream.mend_the_quarantine();
    finish(&stream, forwarder).await;
    assert_eq!(stream.quarantined()[0].1, record.as_bytes());
    let counts = stream.counters.snapshot();
    assert_eq!((counts.undescribed, counts.quarantined, counts.delivered), (1, 1, 1));
    assert_eq!(read(&mut hits).await.number(), 1);
}

/// Reads until `n` different numbers were there; which, sorted.
async fn read_until(topic: &mut mpsc::UnboundedReceiver<Read>, n: usize) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < n {
        seen.insert(read(topic).await.number());
    }
    seen.into_iter().collect()
}
