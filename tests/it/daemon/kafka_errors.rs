//! What a real broker does not do on command: librdkafka's mock cluster refuses, is slow, moves its leaders. Nothing is lost, the order
//! is kept apart from replays, and the stream stays connected.

use std::time::{Duration, Instant};

use livestreamd::lifecycle::State;
use livestreamd::simulator::Running;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::judge::Found;
use super::trial::{Config, Observed, Trial, quiet, simulate};
use crate::support::kafka::Kafka;

const PARTITIONS: i32 = 2;
const HITS: u64 = 40;

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A mock cluster, and a daemon that streams into it.
struct Mocked {
    cluster: Cluster,
    simulator: Running,
    trial: Trial,
    stream: Observed,
}

impl Mocked {
    async fn start(name: &str, brokers: i32, before: impl FnOnce(&Cluster, &mut Config)) -> Self {
        let cluster = MockCluster::new(brokers).unwrap();
        cluster.create_topic("hits", PARTITIONS, brokers.min(3)).unwrap();
        cluster.create_topic("dead-letters", 1, 1).unwrap();
        let simulator = simulate([quiet(name)]).await;
        let kafka = Kafka::at(cluster.bootstrap_servers());
        let mut config = Config::with_topics(kafka, "hits".to_owned(), "dead-letters".to_owned());
        config
            .properties
            .push_str("\"retry.backoff.ms\" = 200\n\"topic.metadata.refresh.fast.interval.ms\" = 100\n");
        config.stream(&simulator, name);
        before(&cluster, &mut config);
        let trial = config.start().await;
        let stream = trial.stream(name);
        stream.streams().await;
        Self {
            cluster,
            simulator,
            trial,
            stream,
        }
    }

    /// Sends some hits through; tells how long it took until all were delivered.
    async fn send(&self, name: &str) -> Duration {
        let hits = self.stream.counts().hits + HITS;
        let started = Instant::now();
        self.simulator.burst(name, HITS).unwrap();
        self.stream.has_hits(hits).await;
        self.stream.has_delivered().await;
        started.elapsed()
    }

    async fn finish(self, name: &str) -> Found {
        let Self {
            cluster,
            simulator,
            trial,
            stream,
        } = self;
        let counts = stream.counts();
        assert_eq!((counts.connects, counts.disconnects), (1, 0), "{name}");
        let found = trial.finish().await.judge(&simulator, name);
        assert_eq!(found.hits as u64, counts.hits);
        drop(cluster);
        found
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_librdkafka_retries_cost_time_and_nothing_else() {
    use RDKafkaRespErr as E;
    let mocked = Mocked::start("retried", 1, |_, _| ()).await;
    mocked.send("retried").await;
    for errors in [
        [E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE; 2],
        [E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2],
        [E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT; 2],
        [E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 2],
        [E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR; 2],
    ] {
        mocked.cluster.request_errors(RDKafkaApiKey::Produce, &errors);
        let took = mocked.send("retried").await;
        // A back-off of 200 ms, a fifth more or less, shows that the errors were met.
        assert!(took >= Duration::from_millis(120), "{errors:?}: {took:?}");
        assert_eq!(
            (mocked.stream.counts().rewinds, mocked.stream.counts().delivery_failures),
            (0, 0),
            "{errors:?}"
        );
    }
    let found = mocked.finish("retried").await;
    assert_eq!(
        found,
        Found {
            hits: 6 * HITS as usize,
            again: 0,
            dead_letters: 0
        }
    );
}

/// Apart from the others, because the mock cluster looks at sequence numbers in transactions only: what it took of one partition just before
/// it hung up on a request for another stands there twice, which a real broker would know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_costs_time_and_sends_no_stream_back() {
    let mocked = Mocked::start("hung-up", 1, |_, _| ()).await;
    mocked.send("hung-up").await;
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT; 2];
    mocked.cluster.request_errors(RDKafkaApiKey::Produce, &errors);
    let took = mocked.send("hung-up").await;
    assert!(took >= Duration::from_millis(120), "the errors were met: {took:?}");
    let counts = mocked.stream.counts();
    assert_eq!((counts.rewinds, counts.delivery_failures), (0, 0));
    let found = mocked.finish("hung-up").await;
    assert_eq!((found.hits, found.dead_letters), (2 * HITS as usize, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_librdkafka_reports_send_the_stream_back_to_its_cursor() {
    use RDKafkaRespErr as E;
    let mocked = Mocked::start("reported", 1, |_, _| ()).await;
    mocked.send("reported").await;
    for error in [
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        E::RD_KAFKA_RESP_ERR_UNKNOWN,
        // The producer is built anew after this one.
        E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    ] {
        let before = mocked.stream.counts().rewinds;
        mocked.cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        mocked.send("reported").await;
        let counts = mocked.stream.counts();
        assert!(counts.rewinds > before, "{error:?}: {counts:?}");
        assert_eq!(
            counts.dead_letters.total(),
            0,
            "{error:?}: none of them says that a record is at fault"
        );
    }
    let found = mocked.finish("reported").await;
    assert_eq!((found.hits, found.dead_letters), (7 * HITS as usize, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_refused_its_id_is_built_anew_until_it_is_not() {
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED; 2];
    let mocked = Mocked::start("no-id", 1, |cluster, _| {
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &refused);
    })
    .await;
    mocked.send("no-id").await;
    assert!(mocked.stream.counts().rewinds >= 1, "{:?}", mocked.stream.counts());
    assert_eq!(mocked.finish("no-id").await.hits as u64, HITS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_round_trips_cost_time_and_nothing_else() {
    let mocked = Mocked::start("slow", 1, |_, _| ()).await;
    mocked.send("slow").await;
    let trip = Duration::from_millis(700);
    mocked.cluster.broker_round_trip_time(1, trip).unwrap();
    for _ in 0..3 {
        let took = mocked.send("slow").await;
        assert!(took >= trip, "{took:?}");
    }
    mocked.cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(
        mocked.finish("slow").await,
        Found {
            hits: 4 * HITS as usize,
            again: 0,
            dead_letters: 0
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_move_and_brokers_that_go_are_followed() {
    let mocked = Mocked::start("moved", 3, |_, _| ()).await;
    mocked.send("moved").await;
    for leader in 1..=3 {
        for partition in 0..PARTITIONS {
            mocked
                .cluster
                .partition_leader("hits", partition, Some(leader))
                .unwrap();
        }
        mocked.send("moved").await;
        // Hits wait while their leader is away.
        mocked.cluster.broker_down(leader).unwrap();
        let delivered = mocked.stream.counts().delivered;
        let hits = mocked.stream.counts().hits + HITS;
        mocked.simulator.burst("moved", HITS).unwrap();
        mocked.stream.has_hits(hits).await;
        assert_eq!(mocked.stream.counts().delivered, delivered);
        if leader == 2 {
            for partition in 0..PARTITIONS {
                mocked.cluster.partition_leader("hits", partition, Some(3)).unwrap();
            }
            mocked.stream.has_delivered().await;
        }
        mocked.cluster.broker_up(leader).unwrap();
        mocked.stream.has_delivered().await;
    }
    assert_eq!(mocked.finish("moved").await.hits as u64, 7 * HITS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_in_which_we_did_not_read_is_no_silence_of_the_service() {
    const JOURNAL: u64 = 64 * 1024;
    const HEADER: u64 = 32;
    let mocked = Mocked::start("paused", 1, |_, config| {
        config
            .upstream
            .push_str("max_record_bytes = \"64KiB\"\nstall_timeout = \"3s\"\n");
        config.sections.push_str("[journal]\nmax_bytes = \"64KiB\"\n");
    })
    .await;
    let Mocked {
        cluster,
        simulator,
        stream,
        ..
    } = &mocked;
    cluster.broker_down(1).unwrap();
    // Hit by hit, so that nothing waits in the socket behind the one that finds the journal full.
    loop {
        let before = stream.counts();
        if before.bytes + HEADER * before.batches > JOURNAL {
            break;
        }
        simulator.burst("paused", 1).unwrap();
        stream
            .counted("one more is read", |counts| counts.bytes > before.bytes)
            .await;
    }
    // That nothing happens is what is looked at: for more than a stall limit.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(stream.counts().delivered, 0);
    assert!(
        matches!(stream.state(), State::Streaming { .. }),
        "{:?}",
        stream.state()
    );
    cluster.broker_up(1).unwrap();
    // There is room again, and the service has not said a word since: it is given its whole limit from here.
    stream.counted("there is room", |counts| counts.delivered > 0).await;
    stream.has_delivered().await;
    mocked.send("paused").await;
    let found = mocked.finish("paused").await;
    assert_eq!((found.again, found.dead_letters), (0, 0));
}
