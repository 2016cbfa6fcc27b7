//! Nobody is there: a backoff, and no cooldown, until somebody is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use livestreamd::lifecycle::{EndReason, State, Unreached, Why};
use livestreamd::simulator::{EndedBy, Running, Simulator, SimulatorSettings};

use super::outsider::closed_port;
use super::trial::{COOLDOWN, Config, assert_ordered, quiet};
use crate::support::certificates::Authority;

async fn simulate_on(port: u16, stream: &str) -> Running {
    let settings = SimulatorSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        ..SimulatorSettings::with_stream(quiet(stream))
    };
    Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_late_is_found_by_a_backoff_within_its_limits() {
    let port = closed_port();
    let url = format!("http://127.0.0.1:{port}/api/1/stream/late");
    let mut config = Config::new().await;
    // A cooldown would be seen: it is longer than the test may take.
    config.upstream = "cooldown = \"10m\"\n".to_owned();
    config.stream_as("late", &url, "access_token = \"ready-made\"", "");
    let started = Instant::now();
    let trial = config.start().await;
    let stream = trial.stream("late");
    let (why, left) = stream.waits().await;
    let Why::Unreached(Unreached(text)) = &why else {
        panic!("{why:?}")
    };
    assert!(
        text.starts_with(&format!("127.0.0.1:{port}: ")) && text.contains("refused"),
        "{text}"
    );
    assert!(!why.is_failing());
    assert_ordered(left, Duration::from_secs(1));
    stream.counted("three tries", |counts| counts.connects >= 3).await;
    // 1 s and 2 s.
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
    let (_, left) = stream.waits().await;
    assert_ordered(left, Duration::from_secs(4));

    let mut settings = SimulatorSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        ..SimulatorSettings::with_stream(quiet("late"))
    };
    settings.tokens.also_valid.push("ready-made".to_owned());
    let simulator = Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap();
    stream.streams().await;
    simulator.burst("late", 5).unwrap();
    stream.has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "late").hits, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_restarted_is_owed_its_cooldown_and_then_backed_off_from() {
    let port = closed_port();
    let first = simulate_on(port, "restarted").await;
    let mut config = Config::new().await;
    config.stream(&first, "restarted");
    let trial = config.start().await;
    let stream = trial.stream("restarted");
    stream.streams().await;
    first.burst("restarted", 5).unwrap();
    stream.has_hits(5).await;
    first.stop().await;
    let (why, left) = stream.waits().await;
    assert_eq!(why, Why::Ended(EndReason::Closed));
    assert_ordered(left, COOLDOWN);
    assert_eq!(first.ledger().accepts()[0].end.as_ref().unwrap().by, EndedBy::Stop);
    stream
        .slot(0, "finds nobody", |state| {
            matches!(
                state,
                State::Waiting {
                    why: Why::Unreached(_),
                    ..
                }
            )
        })
        .await;
    let second = simulate_on(port, "restarted").await;
    // The token of the first is worth nothing to the second: one more attempt, at once.
    stream.streams().await;
    second.burst("restarted", 5).unwrap();
    stream.has_hits(10).await;
    let statuses: Vec<_> = second.ledger().accepts().iter().map(|accept| accept.status).collect();
    assert_eq!(statuses, [Some(401), Some(200)]);
    let arrived = trial.finish().await;
    assert_eq!(arrived.hits.len(), 10);
    let there: Vec<u64> = arrived
        .hits
        .iter()
        .map(|record| livestreamd::simulator::fingerprint(&record.value))
        .collect();
    for simulator in [&first, &second] {
        assert_eq!(simulator.ledger().summary().early, 0);
        assert!(
            simulator
                .ledger()
                .whole("restarted")
                .iter()
                .all(|entry| there.contains(&entry.fingerprint))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_exist_is_shown() {
    let mut config = Config::new().await;
    config.roots.push(Authority::new("known").certificate);
    config.upstream = String::new();
    config.stream_as(
        "nowhere",
        "https://nonexistent.invalid/api/1/stream/x",
        "access_token = \"ready-made\"",
        "",
    );
    let trial = config.start().await;
    let (why, left) = trial.stream("nowhere").waits().await;
    let Why::Unreached(Unreached(text)) = &why else {
        panic!("{why:?}")
    };
    assert!(
        text.starts_with("nonexistent.invalid:443: DNS has no answer for nonexistent.invalid: "),
        "{text}"
    );
    assert_ordered(left, Duration::from_secs(1));
    trial.finish().await;
}
