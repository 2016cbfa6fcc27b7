//! What a forwarder measures, against librdkafka's mock cluster.

use super::*;
use crate::journal::{Journals, JournalsSettings};

fn now_ms() -> u64 {
    since_epoch(SystemTime::now()).as_millis() as u64
}

fn hit_of(number: u64, received: &str) -> String {
    format!("{{\"hitIdHigh\":1,\"hitIdLow\":{number},\"receivedTimeGMT\":{received}}}\n")
}

fn came(received_ms: u64, bytes: String) -> NewBatch {
    NewBatch {
        kind: BatchKind::Records,
        received_ms,
        slot: 0,
        bytes: bytes.into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latencies_are_counted_once_a_record_with_its_true_age_and_lags_once_a_hit() {
    let kafka = Kafka::start();
    let (_hits, _dead) = (kafka.topic("m-hits"), kafka.topic("m-dead"));
    // The first attempts fail, so that all is produced again.
    kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let stream = Stream::new("m", &kafka.producer(&[]));
    let now = now_ms();
    let forwarder = stream.start();
    let second = |ago: u64| (now / 1000 - ago).to_string();
    // From before a restart, an hour ago: one without a usable time, one that was 2,000 s old when it was read, and a copy of it.
    let old = [
        hit_of(1, "\"soon\""),
        hit_of(2, &second(5_600)),
        hit_of(2, &second(5_600)),
        "{cut\n\n".to_owned(),
    ];
    stream
        .journal
        .append(came(now - 3_600_000, old.concat()))
        .await
        .unwrap();
    stream.journal.append(came(now, hit_of(3, &second(40)))).await.unwrap();
    finish(&stream, forwarder).await;

    let counts = stream.counters.snapshot();
    assert!(counts.rewinds > 0, "the replay is what this is about");
    assert_eq!((counts.hits, counts.duplicates, counts.delivered), (4, 1, 4));
    let lag = stream.status.measures.upstream_lag.snapshot();
    assert_eq!(lag.count, 3, "the copy too, and the replay not");
    assert!((lag.sum - 4_040.0).abs() < 3.0, "{}", lag.sum);
    let last = stream.status.measures.upstream_lag.last().unwrap();
    assert!((40.0..42.0).contains(&last), "{last}");

    let latency = stream.status.measures.delivery_latency.snapshot();
    assert_eq!(latency.count, counts.delivered);
    let of = |le: f64| latency.buckets.iter().find(|bucket| bucket.le >= le).unwrap().count;
    assert_eq!((of(900.0), of(14_400.0)), (1, 4), "{latency:?}");
    assert!(stream.status.measures.last_delivery().is_some());
    let a_record = stream
        .status
        .measures
        .records_in(counts.delivered * 1000, counts.delivered);
    assert!(
        a_record.unwrap() > counts.delivered,
        "a record is shorter than 1000 bytes"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_record_keeps_its_age_while_kafka_refuses_it_and_after_a_restart() {
    let kafka = Kafka::start();
    let _hits = kafka.topic("o-hits");
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalsSettings {
        state_dir: dir.path().to_owned(),
        sync_interval: Duration::from_millis(5),
        max_bytes: JOURNAL_BYTES,
        max_bytes_in_all: JOURNAL_BYTES,
        streams: 1,
    };
    for run in 0..2 {
        let journals = Journals::start(settings.clone()).unwrap();
        let journal = Arc::new(journals.open("o", &[]).unwrap());
        let mut stream = Stream::new("o", &kafka.producer(&[]));
        stream.journal = Arc::clone(&journal);
        if run == 0 {
            assert_eq!(journal.status().oldest_ms, None);
            for (nth, received_ms) in [(1, 5_000), (2, 90_000)] {
                journal.append(came(received_ms, hit_of(nth, "1"))).await.unwrap();
            }
            kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
        }
        let forwarder = stream.start();
        if run == 0 {
            until("a setback", || stream.counters.rewinds.get() > 0).await;
            assert_eq!(journal.status().oldest_ms, Some(5_000));
            // A kill.
            forwarder.abort();
            let _ = forwarder.await;
            drop(stream);
            // The threads end with the journal as it is.
            drop(journal);
            journals.stop();
            continue;
        }
        finish(&stream, forwarder).await;
        let status = journal.status();
        assert_eq!((status.oldest_ms, status.backlog_bytes), (None, 0));
        // Their age counts from when they were read, not from the restart.
        let latency = stream.status.measures.delivery_latency.snapshot();
        assert_eq!((latency.count, latency.buckets.last().unwrap().count), (2, 0));
        assert!(latency.sum > 1.9e8, "as much as counts at most: {}", latency.sum);
    }
}
