//! A stream in trouble, beside others that are not, against librdkafka's mock cluster; with a patience of a second instead of a minute.

use super::*;
use crate::kafka::watchdog::Patience;

fn impatient(kafka: &Kafka, first: Duration, properties: &[(&str, &str)]) -> Arc<Producer> {
    let patience = Patience { first, most: 4 * first };
    let fast = [
        ("topic.metadata.refresh.fast.interval.ms", "50"),
        ("topic.metadata.refresh.interval.ms", "200"),
        ("reconnect.backoff.max.ms", "200"),
        ("retry.backoff.ms", "50"),
    ];
    let settings = kafka.settings(&[&fast, properties].concat());
    Arc::new(Producer::with_patience(&settings, patience).unwrap())
}

/// Numbers as they arrived, of a topic in which nothing stands twice.
async fn read_once(topic: &mut mpsc::UnboundedReceiver<Read>, n: u64) {
    let seen = read_all(topic, n).await;
    assert!(seen.iter().copied().eq(0..n), "something stands twice: {seen:?}");
    assert!(topic.try_recv().is_err(), "something comes late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_gets_no_reports_goes_apart_and_the_others_lose_and_double_nothing() {
    // The leader of one topic goes away, and no other takes its place.
    let cluster = MockCluster::new(2).unwrap();
    let kafka = Kafka { cluster };
    let (mut good, mut stuck) = (kafka.topic("good-hits"), kafka.topic("stuck-hits"));
    kafka.cluster.partition_leader("good-hits", 0, Some(1)).unwrap();
    kafka.cluster.partition_leader("stuck-hits", 0, Some(2)).unwrap();
    let producer = impatient(&kafka, Duration::from_secs(2), &[]);
    let (healthy, stalled) = (Stream::new("good", &producer), Stream::new("stuck", &producer));
    let (healthy_forwarder, stalled_forwarder) = (healthy.start(), stalled.start());
    stalled.append_hits(0..50).await;
    until("50 delivered", || stalled.counters.delivered.get() == 50).await;
    kafka.cluster.broker_down(2).unwrap();
    stalled.append_hits(50..300).await;
    // The first producer, and then one that nobody else uses.
    let mut sent = 0;
    while stalled.counters.rewinds.get() < 2 {
        healthy.append_hits(sent..sent + 5).await;
        sent += 5;
        let before = std::time::Instant::now();
        until("the others' records are delivered", || {
            healthy.counters.delivered.get() == sent
        })
        .await;
        assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    }
    until("it is apart", || producer.has_one_for_the_troubled()).await;
    assert_eq!(stalled.counters.delivered.get(), 50);
    assert_eq!(
        (healthy.status.delivery.now(), stalled.status.delivery.now().name()),
        (Delivery::Well, "stalled")
    );
    kafka.cluster.broker_up(2).unwrap();
    until("all is delivered", || stalled.counters.delivered.get() == 300).await;
    assert_eq!(stalled.status.delivery.now(), Delivery::Well);
    until("the stream is back with the others", || {
        !producer.has_one_for_the_troubled()
    })
    .await;
    // The producers that were left have taken nothing with them that could come now.
    read_once(&mut stuck, 300).await;
    stalled.append_hits(300..310).await;
    finish(&stalled, stalled_forwarder).await;
    finish(&healthy, healthy_forwarder).await;
    read_once(&mut good, sent).await;
    let counts = healthy.counters.snapshot();
    assert_eq!(
        (counts.rewinds, counts.reproduced, counts.delivery_failures),
        (0, 0, 0),
        "{counts:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_is_delivered_producers_are_built_anew_more_and_more_seldom_and_at_once_for_all() {
    let kafka = Kafka::start();
    let mut topics = [kafka.topic("a-hits"), kafka.topic("b-hits")];
    let first = Duration::from_millis(500);
    let producer = impatient(&kafka, first, &[]);
    let streams = ["a", "b"].map(|name| Stream::new(name, &producer));
    let forwarders = [streams[0].start(), streams[1].start()];
    for stream in &streams {
        stream.append_hits(0..50).await;
        until("50 delivered", || stream.counters.delivered.get() == 50).await;
    }
    kafka.cluster.broker_down(-1).unwrap();
    let down = std::time::Instant::now();
    for stream in &streams {
        stream.append_hits(50..500).await;
    }
    for stream in &streams {
        until("four producers were left", || stream.counters.rewinds.get() >= 4).await;
    }
    // Each waits twice as long as the one before, up to four times the first.
    assert!(down.elapsed() >= 11 * first, "{:?}", down.elapsed());
    let rewinds = [&streams[0], &streams[1]].map(|stream| stream.counters.rewinds.get());
    assert!(rewinds.iter().all(|count| *count <= 5), "{rewinds:?}");
    assert!(
        !producer.has_one_for_the_troubled(),
        "where nobody is served, nobody goes apart"
    );
    kafka.cluster.broker_up(-1).unwrap();
    for (stream, forwarder) in streams.iter().zip(forwarders) {
        finish(stream, forwarder).await;
    }
    for topic in &mut topics {
        read_once(topic, 500).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_waits_for_nothing_is_left_in_peace() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let first = Duration::from_secs(2);
    let stream = Stream::new("a", &impatient(&kafka, first, &[]));
    let forwarder = stream.start();
    for n in 0..2 {
        stream.append_hits(n * 10..(n + 1) * 10).await;
        until("all is delivered", || stream.cursor() == stream.journal.end()).await;
        // That nothing happens is what is looked at.
        tokio::time::sleep(first * 3 / 2).await;
    }
    finish(&stream, forwarder).await;
    read_once(&mut hits, 20).await;
    assert_eq!(stream.counters.rewinds.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_refused_goes_alone_until_it_has_caught_up() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let producer = kafka.producer(&[("topic.metadata.propagation.max.ms", "200")]);
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("a-hits", missing).unwrap();
    let stream = Stream::new("a", &producer);
    let forwarder = stream.start();
    stream.append_hits(0..100).await;
    until("the first failure", || stream.counters.rewinds.get() == 1).await;
    until("it was refused again", || stream.counters.rewinds.get() >= 2).await;
    let before = stream.counters.delivery_failures.get();
    until("and again", || stream.counters.rewinds.get() >= 4).await;
    let since = stream.counters.delivery_failures.get() - before;
    assert!((1..=4).contains(&since), "one at a time: {since}");
    let found = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka.cluster.topic_error("a-hits", found).unwrap();
    until("all is delivered", || stream.counters.delivered.get() == 100).await;
    until("it has come back", || !producer.has_one_for_the_troubled()).await;
    stream.append_hits(100..150).await;
    until("more is delivered", || stream.counters.delivered.get() == 150).await;
    assert!(!producer.has_one_for_the_troubled());
    finish(&stream, forwarder).await;
    read_all(&mut hits, 150).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_of_a_lost_leader_is_left_and_its_streams_go_on() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let queue = [("queue.buffering.max.messages", "10")];
    let stream = Stream::new("a", &impatient(&kafka, Duration::from_millis(500), &queue));
    let forwarder = stream.start();
    kafka.cluster.broker_down(-1).unwrap();
    stream.append_hits(0..200).await;
    until("a producer was left", || stream.counters.rewinds.get() >= 1).await;
    kafka.cluster.broker_up(-1).unwrap();
    finish(&stream, forwarder).await;
    read_once(&mut hits, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lingers_goes_out_when_the_journal_has_ended() {
    let kafka = Kafka::start();
    let (mut hits, mut others) = (kafka.topic("a-hits"), kafka.topic("b-hits"));
    let producer = kafka.producer(&[("linger.ms", "50000")]);
    let (stream, other) = (Stream::new("a", &producer), Stream::new("b", &producer));
    let (forwarder, other_forwarder) = (stream.start(), other.start());
    stream.append_hits(0..20).await;
    until("all is produced", || stream.counters.hits.get() == 20).await;
    assert_eq!(stream.counters.delivered.get(), 0);
    let started = std::time::Instant::now();
    finish(&stream, forwarder).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    read_once(&mut hits, 20).await;
    // And again, on a connection that has been idle.
    other.append_hits(0..3).await;
    until("all is produced", || other.counters.hits.get() == 3).await;
    let started = std::time::Instant::now();
    finish(&other, other_forwarder).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    read_once(&mut others, 3).await;
}
