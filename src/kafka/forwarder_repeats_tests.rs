//! How the forwarder treats hits that were there before, against librdkafka's mock cluster.

use super::*;

/// Hits with these numbers; then 3 again, 4 with other bytes, one without ids twice, and a last one.
async fn append_repeats(stream: &Stream) {
    stream.append_hits(0..10).await;
    let twin = hit(4).replace("\"p\"", "\"other\"");
    let without_ids = "{\"hitIdLow\":1000}\n";
    stream
        .append(format!("{}{twin}{without_ids}{without_ids}{twin}{}", hit(3), hit(10)))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_left_out_and_twins_and_hits_without_ids_are_not() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    append_repeats(&stream).await;
    finish(&stream, forwarder).await;
    let mut seen = Vec::new();
    for _ in 0..14 {
        seen.push(read(&mut hits).await.number());
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4, 1000, 1000, 10]);
    let counted = stream.counters.snapshot();
    assert_eq!((counted.hits, counted.duplicates, counted.twins), (16, 2, 1));
    assert_eq!((counted.delivered, counted.reproduced), (14, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_marked_or_not_looked_for_as_the_mode_says() {
    let kafka = Kafka::start();
    for (name, mode, marks) in [("a", DedupMode::Mark, 2), ("b", DedupMode::Off, 0)] {
        let mut hits = kafka.topic(&format!("{name}-hits"));
        let stream = Stream {
            dedup: mode,
            ..Stream::new(name, &kafka.producer(&[]))
        };
        let forwarder = stream.start();
        append_repeats(&stream).await;
        finish(&stream, forwarder).await;
        let mut marked = Vec::new();
        for index in 0..16 {
            if read(&mut hits)
                .await
                .headers
                .get("livestream.duplicate")
                .is_some_and(|value| value == "true")
            {
                marked.push(index);
            }
        }
        assert_eq!(marked, [10, 14][..marks]);
        let counted = stream.counters.snapshot();
        assert_eq!((counted.delivered, counted.duplicates), (16, marks as u64));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewind_leaves_out_no_hit_that_was_not_delivered() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[("batch.num.messages", "10")]));
    // Every hit and a copy of it, in one batch after another, some of which fail for good.
    for number in 0..100 {
        stream.append_hits(number..number + 1).await;
        stream.append(hit(number)).await;
    }
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail_produce(&[refused, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, refused]);
    let forwarder = stream.start();
    let seen = read_all(&mut hits, 100).await;
    finish(&stream, forwarder).await;
    let counted = stream.counters.snapshot();
    assert!(counted.rewinds > 0, "nothing was rewound: {seen:?}");
    assert_eq!((counted.hits, counted.duplicates), (200, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarder_that_starts_again_knows_what_the_one_before_it_delivered() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream {
        ids: Some(TempDir::new().unwrap()),
        ..Stream::new("a", &kafka.producer(&[]))
    };
    let first = stream.start();
    stream.append_hits(0..50).await;
    until("all is delivered", || stream.cursor() == stream.journal.end()).await;
    first.abort();
    let _ = first.await;
    let second = stream.start();
    stream.append_hits(20..60).await;
    finish(&stream, second).await;
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push(read(&mut hits).await.number());
    }
    assert!(seen.iter().copied().eq(0..60), "{seen:?}");
    assert_eq!(stream.counters.duplicates.get(), 30);
}
