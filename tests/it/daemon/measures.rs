//! A run with a real broker, as the page for Prometheus shows it.

use livestreamd::admin::metrics::page;

use super::trial::{Config, quiet, simulate};

const HITS: u64 = 300;

/// Whole numbers up to 2^53 are what they seem to be.
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// The value of a sample, by its name and labels as they stand on the page.
fn value(page: &str, sample: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {sample} in\n{page}"));
    line.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_and_delivered_is_measured_hit_by_hit() {
    let simulator = simulate([quiet("web")]).await;
    let mut config = Config::new().await;
    config.properties += "\"statistics.interval.ms\" = 1000\n";
    config.stream(&simulator, "web");
    let trial = config.start().await;
    let stream = trial.stream("web");
    stream.streams().await;

    // A round trip is one of the last second, so something has to be under way.
    let mut bursts = 0;
    let busy = trial
        .posted("a round trip to the broker", |daemon| {
            bursts += 1;
            simulator.burst("web", HITS).unwrap();
            daemon.kafka.round_trip_seconds.is_some()
        })
        .await;
    let round_trip = value(&page(&busy), "livestreamd_kafka_round_trip_seconds");
    assert!(round_trip > 0.0 && round_trip < 30.0, "{round_trip}");

    let hits = bursts * HITS;
    let done = trial
        .posted("all of it delivered", |daemon| {
            let stream = &daemon.streams[0];
            stream.counts.delivered == hits && stream.journal.backlog_bytes == 0 && daemon.kafka.queue_records == 0
        })
        .await;
    let page = page(&done);
    let of_stream = |name: &str| value(&page, &format!("livestreamd_{name}{{stream=\"web\"}}"));
    let of_all = |name: &str| value(&page, &format!("livestreamd_{name}"));
    for name in [
        "hits_total",
        "delivered_records_total",
        "upstream_lag_seconds_count",
        "delivery_latency_seconds_count",
    ] {
        assert_eq!(whole(of_stream(name)), hits, "{name}");
    }
    // The simulator's hits are new, and its clock is ours.
    let lag = of_stream("upstream_lag_seconds_sum") / hits as f64;
    assert!((0.0..30.0).contains(&lag), "{lag}");
    let latency = of_stream("delivery_latency_seconds_sum") / hits as f64;
    assert!(latency > 0.0 && latency < 30.0, "{latency}");
    assert_eq!(
        (
            of_stream("journal_oldest_record_age_seconds"),
            of_stream("journal_backlog_records")
        ),
        (0.0, 0.0)
    );
    assert!(of_stream("last_delivery_age_seconds") < 60.0);
    assert!(of_all("journal_sync_seconds_count") >= 1.0);
    assert_eq!(
        (of_all("kafka_producers"), of_all("kafka_producer_rebuilds_total")),
        (1.0, 0.0)
    );
    assert_eq!((of_all("kafka_queue_records"), of_all("kafka_queue_bytes")), (0.0, 0.0));
    assert!(of_all("kafka_brokers_up") >= 1.0 && of_all("kafka_brokers_known") >= of_all("kafka_brokers_up"));
    let token = |name: &str| value(&page, &format!("livestreamd_token_{name}{{credential=\"web\"}}"));
    assert_eq!((token("fetches_total"), token("failures_total")), (1.0, 0.0));
    assert!(token("age_seconds") < 300.0 && token("expires_seconds") > 0.0);
    trial.finish().await;
}
