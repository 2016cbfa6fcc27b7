//! How the forwarder goes over to other settings, against librdkafka's mock cluster.

use super::*;

/// The next `n` hits.
pub(super) async fn numbers(topic: &mut mpsc::UnboundedReceiver<Read>, n: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < n {
        seen.push(read(topic).await.number());
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topic_in_mid_stream_gets_all_later_hits_and_none_is_lost_or_doubled() {
    let kafka = Kafka::start();
    let (mut before, mut after) = (kafka.topic("a-hits"), kafka.topic("b-hits"));
    kafka
        .cluster
        .broker_round_trip_time(-1, Duration::from_millis(50))
        .unwrap();
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..500).await;
    until("some are in flight", || stream.counters.hits.get() > 0).await;
    stream.change_output(|output| {
        output.topic = Topics::One("b-hits".to_owned());
        output.key = MessageKey::None;
    });
    stream.append_hits(500..1000).await;
    finish(&stream, forwarder).await;
    let first_after = read(&mut after).await;
    assert_eq!(first_after.key, None, "the key changes with the topic");
    let turn = first_after.number();
    assert!(turn <= 500, "what came after the change goes to the new topic: {turn}");
    assert_eq!(numbers(&mut before, turn as usize).await, (0..turn).collect::<Vec<_>>());
    let rest = numbers(&mut after, 999 - turn as usize).await;
    assert_eq!(rest, (turn + 1..1000).collect::<Vec<_>>());
    let counts = stream.counters.snapshot();
    assert_eq!((counts.hits, counts.delivered, counts.reproduced), (1000, 1000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_takes_other_settings_at_once_and_many_changes_are_one() {
    let kafka = Kafka::start();
    let (mut hits, mut dead) = (kafka.topic("d-hits"), kafka.topic("d-dead"));
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    for name in ["b", "c", "d"] {
        stream.change(|settings| {
            settings.output = output(OutputSettings::to(format!("{name}-hits"), format!("{name}-dead")));
            settings.report_suite = format!("{name}-suite");
        });
    }
    stream.append(format!("{}no hit\n", hit(7))).await;
    let hit = read(&mut hits).await;
    assert_eq!(
        (hit.number(), hit.headers["livestream.report_suite"].as_str()),
        (7, "d-suite")
    );
    assert_eq!(read(&mut dead).await.value, b"no hit");
    finish(&stream, forwarder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_waits_after_a_failure_tries_other_settings_at_once() {
    let kafka = Kafka::start();
    let mut mended = kafka.topic("mended");
    let _hits = kafka.topic("a-hits");
    kafka.fail_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 40]);
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..10).await;
    let retry_at = within("a long wait", async {
        let mut last = None;
        loop {
            if let Delivery::SetBack { retry_at, .. } = stream.status.delivery.now()
                && retry_at > std::time::Instant::now() + Duration::from_secs(2)
            {
                last.get_or_insert(retry_at);
                break retry_at;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    kafka.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    stream.change_output(|output| output.topic = Topics::One("mended".to_owned()));
    assert_eq!(numbers(&mut mended, 10).await, (0..10).collect::<Vec<_>>());
    assert!(std::time::Instant::now() < retry_at, "nobody waits for what was mended");
    finish(&stream, forwarder).await;
    assert_eq!(stream.counters.hits.get(), 10, "each is counted once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_mode_of_dedup_goes_by_the_ids_of_what_was_delivered() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream {
        ids: Some(tempfile::tempdir().unwrap()),
        ..Stream::new("a", &kafka.producer(&[]))
    };
    let forwarder = stream.start();
    stream.append_hits(0..10).await;
    stream.append(hit(3)).await;
    assert_eq!(numbers(&mut hits, 10).await, (0..10).collect::<Vec<_>>());
    until("the copy is left out", || stream.counters.duplicates.get() == 1).await;
    stream.change(|settings| settings.dedup.mode = DedupMode::Mark);
    stream.append(hit(4)).await;
    let marked = read(&mut hits).await;
    assert_eq!(marked.number(), 4);
    assert_eq!(marked.headers["livestream.duplicate"], "true");
    stream.change(|settings| settings.dedup.mode = DedupMode::Off);
    stream.append(hit(5)).await;
    let plain = read(&mut hits).await;
    assert_eq!((plain.number(), plain.headers.get("livestream.duplicate")), (5, None));
    finish(&stream, forwarder).await;
    let counts = stream.counters.snapshot();
    assert_eq!((counts.hits, counts.duplicates, counts.reproduced), (13, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_is_left_to_give_settings_it_ends_with_nothing_in_flight() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    kafka
        .cluster
        .broker_round_trip_time(-1, Duration::from_millis(100))
        .unwrap();
    let mut stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..500).await;
    until("some are in flight", || stream.counters.hits.get() > 0).await;
    stream.settings.take();
    let end = within("the end", forwarder).await.unwrap();
    assert_eq!(end.cursor, stream.cursor());
    let first = stream.counters.delivered.get() as usize;
    let rest = stream.start();
    finish(&stream, rest).await;
    assert_eq!(numbers(&mut hits, 500).await, (0..500).collect::<Vec<_>>());
    let counts = stream.counters.snapshot();
    assert_eq!((counts.delivered, counts.reproduced), (500, 0), "{first} at first");
}
