//! A real broker that is away for long and has forgotten us, or has lost a topic: what waits comes once and in order, and only what is
//! concerned waits.

use std::fmt::Write as _;

use livestreamd::simulator::Running;

use super::judge::{Arrived, Found};
use super::trial::{Config, Observed, blocking, eventually, quiet, simulate};
use crate::support::broker::Broker;
use crate::support::kafka::{self, Kafka};
use crate::support::logs;

const HITS: u64 = 30;
/// What librdkafka's queue holds, and what comes while the broker is away.
const QUEUE: u64 = 1000;
const BACKLOG: u64 = 8000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_many_queues_waits_in_the_journal_through_a_long_outage() {
    // What takes a broker a day, in seconds: after so long without a word it forgets a producer.
    let forgetful = [
        ("producer.id.expiration.ms", "2000"),
        ("producer.id.expiration.check.interval.ms", "200"),
    ];
    let broker = blocking(move || Broker::start_with(&forgetful)).await;
    let simulator = simulate([quiet("much"), quiet("little")]).await;
    let mut config = Config::on(broker.kafka().clone()).await;
    // What takes librdkafka a quarter of an hour, in seconds: after so long without an answer it takes no topic for known.
    writeln!(
        config.properties,
        "\"queue.buffering.max.messages\" = {QUEUE}\n\"topic.metadata.refresh.interval.ms\" = 500\n\
         \"metadata.max.age.ms\" = 1500\n\"reconnect.backoff.max.ms\" = 500"
    )
    .unwrap();
    config.stream(&simulator, "much");
    config.stream(&simulator, "little");
    let trial = config.start().await;
    let (much, little) = (trial.stream("much"), trial.stream("little"));
    for (name, stream) in [("much", &much), ("little", &little)] {
        stream.streams().await;
        flows(&simulator, name, stream).await;
    }

    // Nothing is in flight now, so that what comes twice would be our doing.
    let mut broker = blocking(move || {
        let mut broker = broker;
        broker.kill();
        broker
    })
    .await;
    simulator.burst("much", BACKLOG).unwrap();
    is_read(&simulator, "much", &much, HITS + BACKLOG).await;
    // The queue is shared, and the long backlog does not take it all.
    simulator.burst("little", HITS).unwrap();
    little.has_hits(2 * HITS).await;
    let counts = much.counts();
    // One more is found than fits.
    assert!(counts.hits - counts.delivered <= QUEUE + 1, "{counts:?}");
    assert_eq!(counts.delivered, HITS);
    let broker = blocking(move || {
        broker.start_again();
        broker
    })
    .await;
    for (name, stream) in [("much", &much), ("little", &little)] {
        stream.has_delivered().await;
        flows(&simulator, name, stream).await;
        let counts = stream.counts();
        assert_eq!((counts.rewinds, counts.delivery_failures), (0, 0), "{name}: {counts:?}");
    }
    let arrived = trial.finish().await;
    all_once(&arrived, &simulator, "much", 2 * HITS + BACKLOG);
    all_once(&arrived, &simulator, "little", 3 * HITS);
    drop(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_and_made_anew_gets_what_came_meanwhile() {
    let kafka = blocking(kafka::shared).await.clone();
    let simulator = simulate([quiet("kept-topic"), quiet("deleted-topic")]).await;
    let mut config = Config::new().await;
    config
        .properties
        .push_str("\"topic.metadata.propagation.max.ms\" = 500\n\"topic.metadata.refresh.fast.interval.ms\" = 100\n");
    let (topic, at) = (Kafka::fresh_name("deleted-topic"), kafka.clone());
    let name = topic.clone();
    blocking(move || at.create_topic(&name, 3, &[])).await;
    let line = format!("topic = \"{topic}\"\n");
    config.stream_at(
        "deleted-topic",
        &simulator.url("deleted-topic"),
        &simulator.token_url(),
        &line,
    );
    config.stream(&simulator, "kept-topic");
    let trial = config.start().await;
    let (kept, deleted) = (trial.stream("kept-topic"), trial.stream("deleted-topic"));
    for (name, stream) in [("kept-topic", &kept), ("deleted-topic", &deleted)] {
        stream.streams().await;
        flows(&simulator, name, stream).await;
    }

    let (at, name) = (kafka.clone(), topic.clone());
    let before = blocking(move || {
        let records = at.records(&name);
        at.delete_topic(&name);
        records
    })
    .await;
    simulator.burst("deleted-topic", HITS).unwrap();
    deleted.counted("kafka has refused", |counts| counts.rewinds >= 1).await;
    flows(&simulator, "kept-topic", &kept).await;
    assert_eq!((kept.counts().rewinds, deleted.counts().delivered), (0, HITS));
    let told = logs::lines_with(&["kafka did not take a record", "deleted-topic", "NeedsAPerson"]);
    assert!(!told.is_empty());

    let (at, name) = (kafka.clone(), topic.clone());
    blocking(move || at.create_topic(&name, 3, &[])).await;
    deleted.has_delivered().await;
    flows(&simulator, "deleted-topic", &deleted).await;
    let mut arrived = trial.finish().await;
    arrived.hits.extend(before);
    arrived.hits.extend(blocking(move || kafka.records(&topic)).await);
    all_once(&arrived, &simulator, "kept-topic", 2 * HITS);
    all_once(&arrived, &simulator, "deleted-topic", 3 * HITS);
}

/// Sends some hits through.
async fn flows(simulator: &Running, name: &str, stream: &Observed) {
    let hits = stream.counts().hits + HITS;
    simulator.burst(name, HITS).unwrap();
    stream.has_hits(hits).await;
    stream.has_delivered().await;
}

/// Waits until so many hits are read, wherever they are on their way.
async fn is_read(simulator: &Running, name: &str, stream: &Observed, hits: u64) {
    const LINE_ENDING: u64 = 2;
    eventually(&format!("{name}: {hits} hits are read"), || {
        let written = simulator.ledger().written(name);
        let bytes: u64 = written.iter().map(|entry| entry.bytes() + LINE_ENDING).sum();
        let read = stream.counts().bytes;
        if written.len() as u64 == hits && read == bytes {
            Ok(())
        } else {
            Err((written.len(), bytes, read))
        }
    })
    .await;
}

#[track_caller]
fn all_once(arrived: &Arrived, simulator: &Running, name: &str, hits: u64) {
    let found = Found {
        hits: hits as usize,
        again: 0,
        dead_letters: 0,
    };
    assert_eq!(arrived.judge(simulator, name), found, "{name}");
    assert_eq!(
        simulator.ledger().accepts_of(name).len(),
        1,
        "{name} has stayed connected"
    );
}
