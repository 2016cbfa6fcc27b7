//! A real broker, and a topic that is in trouble for long, or gets more partitions, or whose last batch would linger.

use std::time::{Duration, Instant};

use livestreamd::supervisor::Leftover;

use super::judge::Found;
use super::trial::{Config, blocking, eventually, quiet, simulate};
use crate::support::kafka::{self, Kafka};
use crate::support::logs;

/// Longer than librdkafka gives a topic by default to come into being.
const TROUBLE: Duration = Duration::from_secs(32);
/// What a delivery may take while another stream fails, on a machine that does much else.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_stream_fails_for_long_the_other_keeps_its_pace() {
    let simulator = simulate([quiet("paced"), quiet("topicless")]).await;
    let mut config = Config::new().await;
    config.top = "shutdown_timeout = \"3s\"\n".to_owned();
    config
        .properties
        .push_str("\"topic.metadata.propagation.max.ms\" = 500\n\"topic.metadata.refresh.fast.interval.ms\" = 100\n");
    config.stream(&simulator, "paced");
    let topic = format!("topic = \"{}\"\n", Kafka::fresh_name("never-made"));
    config.stream_at("topicless", &simulator.url("topicless"), &simulator.token_url(), &topic);
    let trial = config.start().await;
    let (paced, failing) = (trial.stream("paced"), trial.stream("topicless"));
    paced.streams().await;
    failing.streams().await;
    simulator.burst("topicless", 500).unwrap();
    failing.counted("kafka has refused", |counts| counts.rewinds >= 1).await;
    let (since, mut hits, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while since.elapsed() < TROUBLE {
        simulator.burst("topicless", 20).unwrap();
        simulator.burst("paced", 20).unwrap();
        let started = Instant::now();
        hits += 20;
        paced.has_hits(hits).await;
        paced.has_delivered().await;
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < SOON, "{slowest:?} for 20 of {hits} hits");
    let counts = failing.counts();
    assert!(counts.rewinds >= 3 && counts.delivered == 0, "{counts:?}");
    assert_eq!((paced.counts().rewinds, paced.counts().reproduced), (0, 0));
    let apart = logs::lines_with(&["goes on apart from the others", "topicless"]);
    assert_eq!(apart.len(), 1, "{apart:#?}");
    let (leftover, topics) = trial.stop().await;
    assert_eq!(leftover.streams, 1, "{leftover:?}");
    let found = Found {
        hits: hits as usize,
        again: 0,
        dead_letters: 0,
    };
    assert_eq!(topics.read().await.judge(&simulator, "paced"), found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_gets_more_partitions_is_told_of_once() {
    let kafka = blocking(kafka::shared).await.clone();
    let simulator = simulate([quiet("growing")]).await;
    let (at, dead_letters) = (kafka.clone(), Kafka::fresh_name("dead-letters"));
    let made = dead_letters.clone();
    let topic = blocking(move || {
        at.create_topic(&made, 1, &[]);
        at.fresh_topic("grows", 2)
    })
    .await;
    let mut config = Config::with_topics(kafka.clone(), topic.clone(), dead_letters);
    config
        .properties
        .push_str("\"topic.metadata.refresh.interval.ms\" = 200\n\"statistics.interval.ms\" = 50\n");
    config.stream(&simulator, "growing");
    let trial = config.start().await;
    let stream = trial.stream("growing");
    stream.streams().await;
    simulator.burst("growing", 50).unwrap();
    stream.has_hits(50).await;
    stream.has_delivered().await;
    let lines = || logs::lines_with(&["number of partitions has changed", &topic]);
    let (mut partitions, mut since) = (2, Instant::now());
    let grow = async |partitions| {
        let (at, name) = (kafka.clone(), topic.clone());
        blocking(move || at.grow_topic(&name, partitions)).await;
    };
    // The statistics may not have told of the first number before it grew: then it grows again.
    while lines().is_empty() {
        if partitions == 2 || since.elapsed() > Duration::from_secs(5) {
            partitions += 1;
            assert!(partitions < 10, "nothing is told");
            grow(partitions).await;
            since = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    grow(partitions + 3).await;
    let told = eventually("the second change is told", || {
        let found = lines();
        if found.len() > 1 { Ok(found) } else { Err(found) }
    })
    .await;
    for (line, before, after) in [
        (&told[0], partitions - 1, partitions),
        (&told[1], partitions, partitions + 3),
    ] {
        assert!(line.contains("WARN") && line.contains("growing"), "{line}");
        assert!(line.contains(&format!("before={before} after={after}")), "{line}");
    }
    simulator.burst("growing", 50).unwrap();
    stream.has_hits(100).await;
    stream.has_delivered().await;
    assert_eq!(lines(), told, "each is told once");
    assert_eq!(trial.finish().await.hits.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_batch_to_fill() {
    let simulator = simulate([quiet("lingering")]).await;
    let mut config = Config::new().await;
    config.top = "shutdown_timeout = \"5s\"\n".to_owned();
    config.properties = "\"linger.ms\" = 20000\n".to_owned();
    config.stream(&simulator, "lingering");
    let trial = config.start().await;
    let stream = trial.stream("lingering");
    stream.streams().await;
    simulator.burst("lingering", 40).unwrap();
    stream.has_hits(40).await;
    assert_eq!(stream.counts().delivered, 0, "they linger");
    let (leftover, topics) = trial.stop().await;
    assert_eq!(leftover, Leftover::default());
    let found = Found {
        hits: 40,
        again: 0,
        dead_letters: 0,
    };
    assert_eq!(topics.read().await.judge(&simulator, "lingering"), found);
}
