//! Clients that share one stream: several daemons, several slots, and the two kinds of 409.

use livestreamd::lifecycle::{ResetTo, State, Why};
use livestreamd::simulator::{Running, SimulatedStream, Simulator, SimulatorSettings, StreamFault};

use super::trial::{COOLDOWN, Config, Observed, Trial, attempt, eventually, quiet, simulate};
use crate::support::logs;

fn is_streaming(state: &State) -> bool {
    matches!(state, State::Streaming { .. })
}

/// A daemon with a `state_dir` of its own.
async fn daemon(simulator: &Running, name: &str, lines: &str) -> Trial {
    let mut config = Config::new().await;
    config.stream_at(name, &simulator.url(name), &simulator.token_url(), lines);
    config.start().await
}

/// Waits until the first slot has been refused with a 409.
async fn is_refused(stream: &Observed) -> Why {
    let refused = |state: &State| {
        matches!(
            state,
            State::Waiting {
                why: Why::Refused(_),
                ..
            }
        )
    };
    let State::Waiting { why, .. } = stream.slot(0, "is refused", refused).await else {
        unreachable!()
    };
    let Why::Refused(refusal) = &why else { unreachable!() };
    assert_eq!(refusal.status, 409, "{why}");
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_share_a_stream_if_they_agree_on_max_connections_and_a_third_is_told_why_not() {
    const NAME: &str = "shared-by-two";
    let simulator = simulate([SimulatedStream {
        visitors: 64,
        ..quiet(NAME)
    }])
    .await;
    let one = daemon(&simulator, NAME, "max_connections = 2\n").await;
    let two = daemon(&simulator, NAME, "max_connections = 2\n").await;
    for daemon in [&one, &two] {
        daemon.stream(NAME).streams().await;
    }
    simulator.burst(NAME, 200).unwrap();
    eventually("both have their share of all hits", || {
        let hits = [&one, &two].map(|daemon| daemon.stream(NAME).counts().hits);
        let shared = hits.iter().sum::<u64>() == 200 && hits.iter().all(|hits| *hits >= 20);
        if shared { Ok(()) } else { Err(hits) }
    })
    .await;

    let differs = daemon(&simulator, NAME, "max_connections = 3\n").await;
    let why = is_refused(&differs.stream(NAME)).await;
    assert_eq!(why.explanation().name, "409-differs", "{why}");
    let told = logs::lines_with(&[NAME, "409", "same value for every client"]);
    assert!(!told.is_empty(), "the log says what to do");
    differs.finish().await;
    let full = daemon(&simulator, NAME, "max_connections = 2\n").await;
    let why = is_refused(&full.stream(NAME)).await;
    assert_eq!(why.explanation().name, "409-reached", "{why}");
    assert!(!logs::lines_with(&[NAME, "409", "passes by itself"]).is_empty());
    full.finish().await;

    for daemon in [&one, &two] {
        assert!(is_streaming(&daemon.stream(NAME).state()), "nobody was disturbed");
    }
    let (one, two) = (one.finish().await, two.finish().await);
    assert_eq!(one.hits.len() + two.hits.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_whose_lost_connection_is_still_counted_gets_409_while_the_other_streams() {
    const NAME: &str = "one-of-two";
    let settings = SimulatorSettings::with_stream(SimulatedStream {
        visitors: 64,
        ..quiet(NAME)
    })
    .with_cooldown(COOLDOWN);
    let settings = SimulatorSettings {
        // The service notices late: at least one attempt comes in vain.
        linger: COOLDOWN.mul_f64(2.5),
        ..settings
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let trial = daemon(&simulator, NAME, "connections = 2\n").await;
    let stream = trial.stream(NAME);
    for slot in [0, 1] {
        stream.slot(slot, "streams", is_streaming).await;
    }
    simulator.fault(NAME, StreamFault::Cut).unwrap();
    let refused = attempt(&simulator, NAME, 2).await;
    assert_eq!((refused.status, refused.early), (Some(409), false), "{refused:?}");
    // Meanwhile the other has all hits.
    simulator.burst(NAME, 50).unwrap();
    stream.has_hits(50).await;
    for slot in [0, 1] {
        stream.slot(slot, "streams again", is_streaming).await;
    }
    simulator.burst(NAME, 100).unwrap();
    stream.has_hits(150).await;
    let accepts = simulator.ledger().accepts_of(NAME);
    let refusals = accepts.iter().filter(|accept| accept.status == Some(409)).count();
    assert!((1..=3).contains(&refusals), "{accepts:#?}");
    assert_eq!(
        accepts.len(),
        3 + refusals,
        "the other slot has connected once: {accepts:#?}"
    );
    assert!(simulator.ledger().early_accepts().is_empty());
    assert!(trial.finish().await.hits.len() >= 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_slot_sends_a_reset_once() {
    const NAME: &str = "reset-by-two";
    let simulator = simulate([quiet(NAME)]).await;
    let mut config = Config::new().await;
    config.stream_at(NAME, &simulator.url(NAME), &simulator.token_url(), "connections = 2\n");
    let trial = config
        .start_resetting([(NAME.to_owned(), ResetTo::Latest)].into())
        .await;
    let stream = trial.stream(NAME);
    for slot in [0, 1] {
        stream.slot(slot, "streams", is_streaming).await;
    }
    simulator.fault(NAME, StreamFault::Close { trailer: true }).unwrap();
    attempt(&simulator, NAME, 2).await;
    for slot in [0, 1] {
        stream.slot(slot, "streams again", is_streaming).await;
    }
    let accepts = simulator.ledger().accepts_of(NAME);
    let resets: Vec<Option<String>> = accepts.iter().map(|accept| accept.parameter("reset")).collect();
    let latest = Some("latest".to_owned());
    assert_eq!(resets, [latest.clone(), latest, None]);
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoothing_is_asked_for_as_configured_at_each_connect() {
    let simulator = simulate(["smooth", "smooth-120"].map(quiet)).await;
    let mut config = Config::new().await;
    for (name, lines) in [
        ("smooth", "smoothing = true\n"),
        ("smooth-120", "smoothing = true\nsmoothing_bucket_size = 120\n"),
    ] {
        config.stream_at(name, &simulator.url(name), &simulator.token_url(), lines);
    }
    let trial = config.start().await;
    for (name, bucket) in [("smooth", None), ("smooth-120", Some("120"))] {
        let stream = trial.stream(name);
        stream.streams().await;
        simulator.fault(name, StreamFault::Close { trailer: true }).unwrap();
        attempt(&simulator, name, 1).await;
        stream.streams().await;
        simulator.burst(name, 20).unwrap();
        stream.has_hits(20).await;
        for accept in simulator.ledger().accepts_of(name) {
            assert_eq!(accept.status, Some(200), "{accept:?}");
            assert_eq!(accept.parameter("smoothing").as_deref(), Some("1"));
            assert_eq!(accept.parameter("smoothingBucketSize").as_deref(), bucket);
        }
    }
    trial.finish().await;
}
