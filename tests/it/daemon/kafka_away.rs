//! A real broker that is away, a topic that is missing, a record that is too large: nothing is lost, and the stream stays connected.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use livestreamd::lifecycle::{EndReason, State, Why};
use livestreamd::simulator::{EndedBy, Rate, RecordEntry, RecordKind, SimulatedStream, StreamFault, fingerprint};
use livestreamd::telemetry::counters::StreamSnapshot;

use super::judge::Found;
use super::outsider::closed_port;
use super::trial::{Config, Observed, Trial, blocking, eventually, quiet, simulate};
use crate::support::broker::Broker;
use crate::support::kafka::{self, Kafka};
use crate::support::logs;

const STALL: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_the_reading_stops_and_the_connection_stays_and_nothing_is_lost() {
    let mut broker = blocking(Broker::start).await;
    let simulator = simulate([SimulatedStream {
        rate: Rate::PerSecond(300.0),
        ..quiet("steady")
    }])
    .await;
    let mut config = Config::on(broker.kafka().clone()).await;
    // A journal that is full within half a second; no reconnect after the end.
    config.upstream = format!("cooldown = \"59s\"\nmax_record_bytes = \"64KiB\"\nstall_timeout = \"{STALL:?}\"\n");
    config.sections.push_str("[journal]\nmax_bytes = \"256KiB\"\n");
    config.stream(&simulator, "steady");
    let trial = config.start().await;
    let stream = trial.stream("steady");
    stream.has_hits(200).await;

    for outage in ["stop", "kill"] {
        let mut gone = blocking(move || {
            if outage == "stop" {
                broker.stop();
            } else {
                broker.kill();
            }
            broker
        })
        .await;
        // The service goes on sending, and we have stopped reading.
        let read = reading_has_stopped(&stream).await;
        // That nothing happens is what is looked at: for some stall limits.
        tokio::time::sleep(3 * STALL).await;
        let written: u64 = simulator
            .ledger()
            .written("steady")
            .iter()
            .map(RecordEntry::bytes)
            .sum();
        assert!(
            written > read,
            "the service has sent more: {written} bytes, of which {read} are read"
        );
        assert_eq!(stream.counts().bytes, read, "a full journal stops the reading");
        assert!(
            matches!(stream.state(), State::Streaming { .. }),
            "{:?}",
            stream.state()
        );
        broker = blocking(move || {
            gone.start_again();
            gone
        })
        .await;
        stream
            .counted("the reading goes on", |counts| counts.bytes > 2 * read)
            .await;
    }

    simulator.set_rate("steady", Rate::Silent).unwrap();
    simulator.fault("steady", StreamFault::Close { trailer: true }).unwrap();
    let ended = |state: &State| {
        matches!(
            state,
            State::Waiting {
                why: Why::Ended(EndReason::Closed),
                ..
            }
        )
    };
    stream.slot(0, "ends in good order", ended).await;
    stream.has_delivered().await;
    let arrived = trial.finish().await;
    let accepts = simulator.ledger().accepts();
    assert_eq!(accepts.len(), 1, "one connection all the time: {accepts:#?}");
    assert_eq!(accepts[0].end.as_ref().unwrap().by, EndedBy::Fault("close"));
    assert_eq!(simulator.overrun("steady").unwrap(), 0);
    let found = arrived.judge(&simulator, "steady");
    assert!(
        found.hits > 1_000 && found.hits == simulator.ledger().owed("steady").len(),
        "{found:?}"
    );
    drop(broker);
}

/// Waits until nothing was read for half a second; tells how many bytes were read in all.
async fn reading_has_stopped(stream: &Observed) -> u64 {
    let (mut bytes, mut since) = (stream.counts().bytes, Instant::now());
    eventually("the reading has stopped", || {
        let now = stream.counts().bytes;
        if now != bytes {
            (bytes, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_millis(500) {
            Ok(now)
        } else {
            Err(now)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_is_told_and_holds_up_its_own_stream_only() {
    let kafka = blocking(kafka::shared).await.clone();
    let simulator = simulate([quiet("with-topic"), quiet("without-topic")]).await;
    let missing = Kafka::fresh_name("missing");
    let mut config = Config::new().await;
    config
        .properties
        .push_str("\"topic.metadata.propagation.max.ms\" = 500\n\"topic.metadata.refresh.fast.interval.ms\" = 100\n");
    config.stream(&simulator, "with-topic");
    let topic = format!("topic = \"{missing}\"\n");
    config.stream_at(
        "without-topic",
        &simulator.url("without-topic"),
        &simulator.token_url(),
        &topic,
    );
    let trial = config.start().await;
    let (with, without) = (trial.stream("with-topic"), trial.stream("without-topic"));
    for (name, stream) in [("with-topic", &with), ("without-topic", &without)] {
        stream.streams().await;
        simulator.burst(name, 30).unwrap();
    }
    without
        .counted("kafka has refused", |counts| {
            counts.rewinds >= 1 && counts.delivery_failures >= 30
        })
        .await;
    simulator.burst("with-topic", 30).unwrap();
    with.has_hits(60).await;
    with.has_delivered().await;
    assert_eq!((with.counts().rewinds, without.counts().delivered), (0, 0));
    let lines = logs::lines_with(&["kafka did not take a record", "without-topic"]);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("WARN") && line.contains("UnknownTopic")),
        "{lines:#?}"
    );

    let created = missing.clone();
    let at = kafka.clone();
    blocking(move || at.create_topic(&created, 3, &[])).await;
    without.has_delivered().await;
    simulator.burst("without-topic", 30).unwrap();
    without.has_hits(60).await;
    let mut arrived = trial.finish().await;
    arrived.hits.extend(blocking(move || kafka.records(&missing)).await);
    for name in ["with-topic", "without-topic"] {
        assert_eq!(
            arrived.judge(&simulator, name),
            Found {
                hits: 60,
                again: 0,
                dead_letters: 0
            },
            "{name}"
        );
        assert_eq!(simulator.ledger().accepts_of(name).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_above_the_topic_s_limit_is_a_dead_letter_and_its_neighbours_are_not() {
    let kafka = blocking(kafka::shared).await.clone();
    let simulator = simulate([quiet("large")]).await;
    let (topic, dead_letters) = (Kafka::fresh_name("small-messages"), Kafka::fresh_name("dead-letters"));
    let (at, names) = (kafka.clone(), (topic.clone(), dead_letters.clone()));
    blocking(move || {
        at.create_topic(&names.0, 1, &[("max.message.bytes", "50000")]);
        at.create_topic(&names.1, 1, &[]);
    })
    .await;
    let mut config = Config::with_topics(kafka, topic, dead_letters);
    config.properties.push_str("\"compression.type\" = \"none\"\n");
    config.stream(&simulator, "large");
    let trial = config.start().await;
    let stream = trial.stream("large");
    stream.streams().await;
    // 100 hits of 2 KB are more than one batch may have, and none of them is too large.
    simulator.burst("large", 100).unwrap();
    stream.has_hits(100).await;
    stream.has_delivered().await;
    assert_eq!(stream.counts().dead_letters.total(), 0);
    // The large one comes in the place of a hit that is due.
    simulator.burst("large", 60).unwrap();
    simulator
        .fault("large", StreamFault::Oversized { bytes: 200_000 })
        .unwrap();
    stream
        .counted("all is delivered", |counts| counts.delivered >= 160)
        .await;
    // All of them are waited for, wherever the large one came.
    simulator.burst("large", 20).unwrap();
    stream
        .counted("all is delivered", |counts| counts.delivered >= 180)
        .await;
    let counts = stream.counts();
    assert_eq!(
        (counts.dead_letters.too_large_for_kafka, counts.dead_letters.total()),
        (1, 1)
    );
    assert!(counts.rewinds >= 1, "{counts:?}");
    let written = simulator.ledger().written("large");
    let kept = assert_keeps_the_large_one(&trial, &written, &counts);
    let arrived = trial.finish().await;
    let found = arrived.judge(&simulator, "large");
    assert_eq!((found.hits, found.dead_letters), (written.len() - 1, 1));
    let [letter] = arrived.dead_letters.as_slice() else {
        panic!("{:?}", arrived.dead_letters)
    };
    assert_eq!(
        letter.header("livestream.dead_letter.reason"),
        Some("too_large_for_kafka")
    );
    let large = written
        .iter()
        .find(|entry| entry.kind == RecordKind::Oversized)
        .unwrap();
    assert_eq!(
        letter.header("livestream.hit_id"),
        Some(&*format!("{}_{}", large.id.high, large.id.low))
    );
    assert_eq!(
        letter.header("livestream.dead_letter.length"),
        Some(&*large.bytes().to_string())
    );
    assert!(letter.value == kept[..16 * 1024], "not its first bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_which_not_even_a_description_fits_is_in_the_quarantine_and_the_stream_goes_on() {
    let kafka = blocking(kafka::shared).await.clone();
    let simulator = simulate([quiet("nothing-fits")]).await;
    let (topic, dead_letters) = (Kafka::fresh_name("small-messages"), Kafka::fresh_name("no-messages"));
    let (at, names) = (kafka.clone(), (topic.clone(), dead_letters.clone()));
    blocking(move || {
        at.create_topic(&names.0, 1, &[("max.message.bytes", "50000")]);
        at.create_topic(&names.1, 1, &[("max.message.bytes", "60")]);
    })
    .await;
    let mut config = Config::with_topics(kafka, topic, dead_letters);
    config.properties.push_str("\"compression.type\" = \"none\"\n");
    config.stream(&simulator, "nothing-fits");
    let trial = config.start().await;
    let stream = trial.stream("nothing-fits");
    stream.streams().await;
    simulator.burst("nothing-fits", 30).unwrap();
    simulator
        .fault("nothing-fits", StreamFault::Oversized { bytes: 200_000 })
        .unwrap();
    stream.counted("30 hits are read", |counts| counts.hits >= 30).await;
    // All of them are waited for, wherever the large one came.
    simulator.burst("nothing-fits", 20).unwrap();
    let counts = stream
        .counted("the rest is delivered", |counts| {
            counts.delivered >= 49 && counts.undescribed >= 1
        })
        .await;
    assert_eq!((counts.hits, counts.delivered, counts.undescribed), (50, 49, 1));
    let written = simulator.ledger().written("nothing-fits");
    assert_keeps_the_large_one(&trial, &written, &counts);
    // Nothing is left behind: that it is in the quarantine counts as delivered.
    let arrived = trial.finish().await;
    assert!(arrived.dead_letters.is_empty(), "{:?}", arrived.dead_letters);
    let hits: BTreeSet<u64> = arrived.hits.iter().map(|hit| fingerprint(&hit.value)).collect();
    let small = written.iter().filter(|entry| entry.kind != RecordKind::Oversized);
    assert_eq!(hits, small.map(|entry| entry.fingerprint).collect());
}

/// The one record that was too large is in the quarantine, byte for byte, for the daemon's user alone.
#[track_caller]
fn assert_keeps_the_large_one(trial: &Trial, written: &[RecordEntry], counts: &StreamSnapshot) -> Vec<u8> {
    let large: Vec<_> = written
        .iter()
        .filter(|entry| entry.kind == RecordKind::Oversized)
        .collect();
    let (kept, [large]) = (trial.quarantined(), &large[..]) else {
        panic!("{large:?}")
    };
    assert_eq!((counts.quarantined, counts.quarantine_failures), (1, 0));
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    let content = std::fs::read(kept).unwrap();
    assert_eq!(
        (content.len() as u64, fingerprint(&content)),
        (large.bytes(), large.fingerprint)
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(kept), mode(kept.parent().unwrap())), (0o600, 0o700));
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_kafka_ends_in_time_and_says_what_is_left() {
    let simulator = simulate([quiet("left")]).await;
    let nobody = Kafka::at(format!("127.0.0.1:{}", closed_port()));
    let mut config = Config::with_topics(nobody, "hits".to_owned(), "dead-letters".to_owned());
    config.top = "shutdown_timeout = \"2s\"\n".to_owned();
    config.stream(&simulator, "left");
    let trial = config.start().await;
    let stream = trial.stream("left");
    stream.streams().await;
    simulator.burst("left", 50).unwrap();
    stream.counted("50 hits are read", |counts| counts.hits == 50).await;
    let read = stream.counts().bytes;
    let started = Instant::now();
    let (leftover, _) = trial.stop().await;
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(6),
        "{took:?}"
    );
    assert!(
        leftover.bytes >= read && leftover.streams == 1,
        "{leftover:?} of {read}"
    );
    assert_eq!(stream.state(), State::Stopped);
    let accepts = simulator.ledger().accepts();
    assert_eq!(
        accepts[0].end.as_ref().unwrap().by,
        EndedBy::Client,
        "the connection was closed all the same"
    );
}
