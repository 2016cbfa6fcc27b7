//! Several connections of one stream, and several streams.

use std::collections::HashSet;
use std::time::Duration;

use livestreamd::lifecycle::{EndReason, State, Why};
use livestreamd::simulator::{Rate, SimulatedStream, StreamFault};

use super::trial::{COOLDOWN, Config, LONG_RETRY, assert_ordered, assert_waited, attempt, quiet, simulate, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_connections_of_a_stream_bring_hits_and_one_s_end_leaves_the_other_alone() {
    let simulator = simulate([SimulatedStream {
        visitors: 64,
        ..quiet("two")
    }])
    .await;
    let mut config = Config::new().await;
    config.stream_at(
        "two",
        &simulator.url("two"),
        &simulator.token_url(),
        "connections = 2\n",
    );
    let trial = config.start().await;
    let stream = trial.stream("two");
    for slot in [0, 1] {
        stream
            .slot(slot, "streams", |state| matches!(state, State::Streaming { .. }))
            .await;
    }
    simulator.burst("two", 200).unwrap();
    stream.has_hits(200).await;
    let accepts = simulator.ledger().accepts_of("two");
    assert_eq!(accepts.len(), 2);
    for accept in &accepts {
        assert_eq!(accept.parameter("maxConnections").as_deref(), Some("2"));
        assert!(accept.whole >= 20, "its share: {accept:?}");
    }

    simulator.fault("two", StreamFault::Close { trailer: true }).unwrap();
    let ended = within(
        "one has ended",
        simulator
            .ledger()
            .wait_until(|ledger| ledger.accepts_of("two").into_iter().find(|accept| accept.end.is_some())),
    )
    .await;
    // Meanwhile the other has all hits.
    simulator.burst("two", 50).unwrap();
    stream.has_hits(250).await;
    let third = attempt(&simulator, "two", 2).await;
    assert_waited(&third, COOLDOWN);
    for slot in [0, 1] {
        stream
            .slot(slot, "streams again", |state| matches!(state, State::Streaming { .. }))
            .await;
    }
    simulator.burst("two", 100).unwrap();
    stream.has_hits(350).await;
    let accepts = simulator.ledger().accepts_of("two");
    assert_eq!(accepts.len(), 3, "the other one stays");
    let open: HashSet<u64> = accepts
        .iter()
        .filter(|accept| accept.is_streaming())
        .map(|accept| accept.connection)
        .collect();
    assert_eq!(
        open,
        [1, 2, 3]
            .into_iter()
            .filter(|number| *number != ended.connection)
            .collect()
    );
    assert_eq!(trial.finish().await.judge(&simulator, "two").hits, 350);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_for_good_leaves_the_other_untouched() {
    let simulator = simulate([SimulatedStream {
        rate: Rate::PerSecond(100.0),
        ..quiet("good")
    }])
    .await;
    let mut config = Config::new().await;
    config.stream(&simulator, "good");
    // The simulator has no such stream.
    config.stream(&simulator, "mistyped");
    let trial = config.start().await;
    let (good, mistyped) = (trial.stream("good"), trial.stream("mistyped"));
    good.streams().await;
    for number in 0..2 {
        let accept = attempt(&simulator, "mistyped", number).await;
        assert_eq!(accept.status, Some(404));
        let (why, left) = mistyped.waits().await;
        assert!(
            why.is_failing() && why.to_string().starts_with("the service answered 404"),
            "{why}"
        );
        assert_ordered(left, LONG_RETRY);
    }
    // Not of the simulator's streams, so it does not note who waited how long for it.
    let attempts = simulator.ledger().accepts_of("mistyped");
    assert!(attempts[1].at >= attempts[0].at + LONG_RETRY, "{attempts:#?}");

    good.has_hits(200).await;
    assert_eq!((good.counts().connects, good.counts().disconnects), (1, 0));
    simulator.set_rate("good", Rate::Silent).unwrap();
    simulator.fault("good", StreamFault::Close { trailer: true }).unwrap();
    good.slot(0, "has ended", |state| {
        matches!(
            state,
            State::Waiting {
                why: Why::Ended(EndReason::Closed),
                ..
            }
        )
    })
    .await;
    let arrived = trial.finish().await;
    let found = arrived.judge(&simulator, "good");
    assert!(found.hits >= 200 && found.again == 0, "{found:?}");
    assert_eq!(arrived.hits.len(), found.hits);
    assert_eq!(simulator.ledger().accepts_of("good").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_start_one_after_another_and_stop_together() {
    let names: Vec<String> = (0..12).map(|number| format!("many-{number:02}")).collect();
    let simulator = simulate(names.iter().map(|name| SimulatedStream {
        rate: Rate::PerSecond(50.0),
        ..quiet(name)
    }))
    .await;
    let mut config = Config::new().await;
    for name in &names {
        config.stream(&simulator, name);
    }
    let started = simulator.ledger().now();
    let trial = config.start().await;
    for name in &names {
        trial.stream(name).has_hits(5).await;
    }
    let mut times: Vec<Duration> = simulator.ledger().accepts().iter().map(|accept| accept.at).collect();
    times.sort_unstable();
    // 100 ms from one to the next by the timers; whatever holds an attempt up only adds to that.
    for (number, time) in (0..).zip(&times) {
        assert!(
            *time >= started + Duration::from_millis(100) * number,
            "started at {started:?}: {times:?}"
        );
    }
    let arrived = trial.finish().await;
    for name in &names {
        assert!(arrived.judge(&simulator, name).hits >= 5);
        let accepts = simulator.ledger().accepts_of(name);
        assert_eq!(accepts.len(), 1, "{name}");
    }
}
