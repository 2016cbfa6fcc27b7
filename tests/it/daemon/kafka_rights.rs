//! A real broker that does not know us, or does not let us write: nothing is lost or doubled, nothing becomes a dead letter, whoever
//! may write goes on, and once a person has mended it, all flows without a restart.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use livestreamd::simulator::Running;

use super::judge::{Arrived, Found};
use super::trial::{Config, Observed, Trial, blocking, eventually, quiet, simulate};
use crate::support::broker::Account;
use crate::support::kafka::Kafka;
use crate::support::logs;
use crate::support::operator::{Operator, PARTLY_ALLOWED, POWERLESS};

const HITS: u64 = 30;
/// Far above what a delivery takes, on a busy machine too.
const QUICK: Duration = Duration::from_secs(10);

/// Streams with a topic each, and a daemon that has an account at the shared operator's broker.
struct Signed {
    operator: &'static Operator,
    simulator: Running,
    trial: Trial,
    topics: Vec<String>,
}

impl Signed {
    /// The topics exist; `before` is told their names, that of the topic for dead letters last.
    async fn start<const N: usize>(
        names: [&str; N],
        account: Account<'static>,
        before: impl FnOnce(&Operator, &[String]) + Send + 'static,
    ) -> Self {
        let operator = blocking(Operator::shared).await;
        let stems: Vec<String> = names.iter().chain(&["dead-letters"]).map(ToString::to_string).collect();
        let mut topics = blocking(move || {
            let topics: Vec<String> = stems.iter().map(|stem| operator.kafka().fresh_topic(stem, 2)).collect();
            before(operator, &topics);
            topics
        })
        .await;
        let simulator = simulate(names.map(quiet)).await;
        let dead_letters = topics.pop().unwrap();
        let mut config = Config::with_topics(operator.kafka().clone(), topics[0].clone(), dead_letters);
        config.brokers = Some(operator.accounts_addr().to_owned());
        let (user, password) = account;
        write!(
            config.properties,
            "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\"sasl.username\" = \"{user}\"\n\
             \"sasl.password\" = \"{password}\"\n\"reconnect.backoff.max.ms\" = 500\n"
        )
        .unwrap();
        for (name, topic) in names.iter().zip(&topics) {
            let topic = format!("topic = \"{topic}\"\n");
            config.stream_at(name, &simulator.url(name), &simulator.token_url(), &topic);
        }
        let trial = config.start().await;
        for name in names {
            trial.stream(name).streams().await;
        }
        Self {
            operator,
            simulator,
            trial,
            topics,
        }
    }

    fn stream(&self, name: &str) -> Observed {
        self.trial.stream(name)
    }

    fn burst(&self, name: &str) {
        self.simulator.burst(name, HITS).unwrap();
    }

    /// Sends some hits through, which does not take long.
    #[track_caller]
    fn flows(&self, name: &str) -> impl Future<Output = ()> {
        let (stream, started) = (self.stream(name), Instant::now());
        let hits = stream.counts().hits + HITS;
        self.burst(name);
        async move {
            stream.has_hits(hits).await;
            stream.has_delivered().await;
            let took = started.elapsed();
            assert!(took < QUICK, "{took:?}");
        }
    }

    /// Stops everything and holds each stream against what it should have.
    async fn finish(self, expected: &[(&str, u64)]) {
        let Self {
            operator,
            simulator,
            trial,
            topics,
        } = self;
        let kafka: Kafka = operator.kafka().clone();
        let mut arrived: Arrived = trial.finish().await;
        let others = blocking(move || {
            let others = topics[1..].iter();
            others.flat_map(|topic| kafka.records(topic)).collect::<Vec<_>>()
        })
        .await;
        arrived.hits.extend(others);
        for &(name, hits) in expected {
            let found = Found {
                hits: hits as usize,
                again: 0,
                dead_letters: 0,
            };
            assert_eq!(arrived.judge(&simulator, name), found, "{name}");
            assert_eq!(simulator.ledger().accepts_of(name).len(), 1, "{name} stayed connected");
        }
        for (_, password) in [PARTLY_ALLOWED, POWERLESS, UNKNOWN] {
            assert_eq!(
                logs::lines_with(&[password]),
                Vec::<String>::new(),
                "a secret was logged"
            );
        }
    }
}

/// No account from the start.
const UNKNOWN: Account<'_> = ("unknown", "trout-of-the-broker");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_the_broker_does_not_know_is_told_and_waited_for() {
    let signed = Signed::start(["unknown"], UNKNOWN, |operator, topics| {
        operator.allow(UNKNOWN, "write", &[&topics[0], &topics[1]]);
    })
    .await;
    let stream = signed.stream("unknown");
    signed.burst("unknown");
    stream.has_hits(HITS).await;
    let told = ["SASL authentication error", signed.operator.accounts_addr()];
    eventually("the log says so", || {
        let lines = logs::lines_with(&told);
        if lines.is_empty() { Err(()) } else { Ok(()) }
    })
    .await;
    assert_eq!(stream.counts().delivered, 0);

    let operator = signed.operator;
    blocking(move || operator.create_account(UNKNOWN)).await;
    stream.has_delivered().await;
    signed.flows("unknown").await;
    signed.finish(&[("unknown", 2 * HITS)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_may_not_write_are_retried_and_the_one_that_may_is_not_held_up() {
    const MAY: &str = "may-write";
    // One topic may be seen and not written; the other may not even be seen.
    const MAY_NOT: [&str; 2] = ["may-describe", "may-nothing"];
    let signed = Signed::start([MAY, MAY_NOT[0], MAY_NOT[1]], PARTLY_ALLOWED, |operator, topics| {
        operator.allow(PARTLY_ALLOWED, "write", &[&topics[0], &topics[3]]);
        operator.allow(PARTLY_ALLOWED, "describe", &[&topics[1]]);
    })
    .await;
    for name in MAY_NOT {
        signed.burst(name);
    }
    signed.flows(MAY).await;
    for name in MAY_NOT {
        let stream = signed.stream(name);
        let counts = stream
            .counted("kafka has refused twice", |counts| counts.rewinds >= 2)
            .await;
        assert_eq!((counts.delivered, counts.dead_letters.total()), (0, 0), "{name}");
        signed.flows(MAY).await;
    }
    for (name, topic) in MAY_NOT.iter().zip(&signed.topics[1..]) {
        let told = [
            "WARN",
            name,
            topic,
            "grant this account the right to write to the topic",
        ];
        // At once; further refusals of the same kind are summed up.
        assert!(!logs::lines_with(&told).is_empty(), "{name} {topic}");
    }
    let counts = signed.stream(MAY).counts();
    assert_eq!((counts.rewinds, counts.delivery_failures), (0, 0), "{counts:?}");

    let (operator, topics) = (signed.operator, signed.topics.clone());
    blocking(move || operator.allow(PARTLY_ALLOWED, "write", &[&topics[1], &topics[2]])).await;
    for name in MAY_NOT {
        signed.stream(name).has_delivered().await;
        signed.flows(name).await;
    }
    signed
        .finish(&[(MAY, 3 * HITS), (MAY_NOT[0], 2 * HITS), (MAY_NOT[1], 2 * HITS)])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_any_right_gets_a_producer_as_soon_as_it_has_one() {
    let signed = Signed::start(["powerless"], POWERLESS, |_, _| ()).await;
    let stream = signed.stream("powerless");
    signed.burst("powerless");
    // Nobody who may write nothing is given a producer id.
    stream
        .counted("kafka has refused twice", |counts| counts.rewinds >= 2)
        .await;
    assert_eq!(stream.counts().delivered, 0);
    // Regression: the event of a fatal error was not taken for one, and it showed only when the next record was refused.
    let told = [
        "the kafka producer failed for good",
        "Cluster authorization failed",
        signed.operator.accounts_addr(),
    ];
    assert!(!logs::lines_with(&told).is_empty());
    let (operator, topic) = (signed.operator, signed.topics[0].clone());
    blocking(move || operator.allow(POWERLESS, "write", &[&topic])).await;
    stream.has_delivered().await;
    signed.flows("powerless").await;
    signed.finish(&[("powerless", 2 * HITS)]).await;
}
