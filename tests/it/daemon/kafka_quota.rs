//! A real broker that slows us down: all arrives, in order and once, and a stream with little to send is not held up by one with much.

use std::fmt::Write as _;
use std::time::Duration;

use super::judge::Found;
use super::trial::{Config, blocking, quiet, simulate};
use crate::support::operator::Operator;

/// The quota is this client's own: other tests use the same broker.
const CLIENT: &str = "livestreamd-under-quota";
/// In bytes a second. The broker looks at ten seconds, so ten times as much passes at once.
const QUOTA: u32 = 20_000;
/// Of 2.5 KB each, so several times of what passes at once.
const MUCH: u64 = 300;
const LITTLE: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_costs_time_and_nothing_else() {
    let operator = blocking(Operator::shared).await;
    let topic = blocking(|| {
        operator.set_quota(CLIENT, QUOTA);
        operator.kafka().fresh_topic("little", 3)
    })
    .await;
    let simulator = simulate([quiet("much"), quiet("little")]).await;
    let mut config = Config::on(operator.kafka().clone()).await;
    // Small requests, of which the broker holds back one after the other.
    write!(
        config.properties,
        "\"client.id\" = \"{CLIENT}\"\n\"compression.type\" = \"none\"\n\"batch.size\" = 20000\n"
    )
    .unwrap();
    config.stream(&simulator, "much");
    // In the same partitions it would stand behind the other.
    let of_its_own = format!("topic = \"{topic}\"\n");
    config.stream_at("little", &simulator.url("little"), &simulator.token_url(), &of_its_own);
    let trial = config.start().await;
    let (much, little) = (trial.stream("much"), trial.stream("little"));
    much.streams().await;
    little.streams().await;

    simulator.burst("much", MUCH).unwrap();
    much.has_hits(MUCH).await;
    much.counted("what passes at once is delivered", |counts| counts.delivered > 0)
        .await;
    simulator.burst("little", LITTLE).unwrap();
    little.has_hits(LITTLE).await;
    little.has_delivered().await;
    // That it is not all delivered yet is what is looked at: without a quota it would be in a fraction of this.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let delivered = much.counts().delivered;
    assert!(
        delivered < MUCH,
        "{delivered} are delivered: the quota holds nothing back"
    );

    blocking(|| operator.lift_quota(CLIENT)).await;
    much.has_delivered().await;
    for stream in [&much, &little] {
        let counts = stream.counts();
        assert_eq!((counts.rewinds, counts.delivery_failures), (0, 0), "{counts:?}");
    }
    let mut arrived = trial.finish().await;
    let little = blocking(move || operator.kafka().records(&topic)).await;
    arrived.hits.extend(little);
    for (name, hits) in [("much", MUCH), ("little", LITTLE)] {
        let found = Found {
            hits: hits as usize,
            again: 0,
            dead_letters: 0,
        };
        assert_eq!(arrived.judge(&simulator, name), found, "{name}");
    }
}
