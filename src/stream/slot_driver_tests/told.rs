//! What the log says of a slot: enough to know what happened and what comes next, and not a line for each attempt.

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::telemetry::Events;
use crate::telemetry::events::Event;
use crate::telemetry::testing::hear;
use crate::upstream::testing::{Connect, answer};

/// What is logged from now on, on this thread.
fn listen() -> (Events, DefaultGuard) {
    let events = Events::new();
    let subscriber = tracing_subscriber::registry().with(events.layer());
    (events, hear(subscriber))
}

/// The lines of the slot, each with how long it was after the first.
fn lines(events: &Events) -> Vec<Arc<Event>> {
    let recent = events.recent(usize::MAX);
    recent
        .into_iter()
        .filter(|event| event.stream.as_deref() == Some("examplecomprod") && event.slot == Some(0))
        .collect()
}

fn texts(lines: &[Arc<Event>]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_ordinary_reconnect_is_told_with_its_reason_what_comes_next_and_its_gap() {
    let (events, _log) = listen();
    let mut world = World::new(1 << 20);
    let (switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.state(is_streaming).await;
    io.write_all(LAST_CHUNK).await.unwrap();
    drop(io);
    world.waits(|why| matches!(why, Why::Ended(_))).await;
    let (_, _io) = world.serve().await;
    world.state(is_streaming).await;
    switch.stop();
    driver.await.unwrap();
    let lines = lines(&events);
    let said = texts(&lines);
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!((said[0], said[1]), ("streaming", "waiting before the next connect"));
    assert!(said[2].starts_with("a gap is over"), "{said:?}");
    assert_eq!((said[3], said[4]), ("streaming", "stopped"));
    let wait = &lines[1];
    assert_eq!(wait.fields["why"], "the service ended the stream");
    for field in ["wait_s", "next_connect", "reason"] {
        assert!(wait.fields.contains_key(field), "{field}: {wait:?}");
    }
    assert!(!wait.fields.contains_key("times") && !lines[3].fields.contains_key("failed_attempts"));
}

#[tokio::test(start_paused = true)]
async fn a_503_for_hours_is_summed_up_and_its_end_is_told_with_how_long_and_how_often() {
    let (events, _log) = listen();
    let mut world = World::new(1 << 20);
    let (switch, driver) = world.start();
    let began = Instant::now();
    let mut attempts = 0;
    while began.elapsed() < Duration::from_hours(4) {
        let (_, io) = world.request().await;
        answer(io, REFUSAL).await;
        attempts += 1;
    }
    let (_, _io) = world.serve().await;
    world.state(is_streaming).await;
    switch.stop();
    driver.await.unwrap();
    assert!(attempts > 70, "{attempts}");
    let lines = lines(&events);
    let said = texts(&lines);
    // At once, and after a minute; as a warning when it persists; then after 1, 5 and 15 minutes, and hourly.
    assert!((9..=12).contains(&said.len()), "{} lines: {said:?}", said.len());
    assert_eq!(
        (said[0], lines[0].level.as_str()),
        ("waiting before the next connect", "INFO")
    );
    assert_eq!(
        (said[2], lines[2].level.as_str()),
        ("failing: waiting before the next attempt", "WARN")
    );
    let last = &lines[lines.len() - 3];
    assert_eq!(last.text, "still failing: waiting before the next attempt");
    assert!(last.fields["times"].parse::<u64>().unwrap() > 50, "{last:?}");
    for field in ["since", "next_connect", "advice", "why"] {
        assert!(last.fields.contains_key(field), "{field}: {last:?}");
    }
    let over = &lines[lines.len() - 2];
    assert_eq!((over.text.as_str(), over.level.as_str()), ("streaming", "INFO"));
    assert_eq!(over.fields["failed_attempts"], attempts.to_string());
    assert!(over.fields["trouble_s"].parse::<u64>().unwrap() > 14_000, "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn another_kind_of_trouble_is_told_at_once_in_the_midst_of_one() {
    let (events, _log) = listen();
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    for _ in 0..20 {
        let (_, io) = world.request().await;
        answer(io, REFUSAL).await;
    }
    let before = lines(&events).len();
    world
        .network
        .plan([const { Connect::Refused("no route to 10.0.0.1:443") }; 1]);
    world.waits(|why| matches!(why, Why::Unreached(_))).await;
    let (_, io) = world.request().await;
    answer(io, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    world
        .waits(|why| matches!(why, Why::Refused(refusal) if refusal.status == 404))
        .await;
    let lines = lines(&events);
    let new: Vec<&str> = lines[before..].iter().map(|line| line.fields["why"].as_str()).collect();
    assert!(new.iter().any(|why| why.contains("no route")), "{new:?}");
    assert!(new.iter().any(|why| why.contains("404")), "{new:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_for_hours_is_no_two_lines_a_minute() {
    let (events, _log) = listen();
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let began = Instant::now();
    let mut attempts = 0;
    while began.elapsed() < Duration::from_hours(4) {
        let (_, io) = world.request().await;
        answer(io, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
        attempts += 1;
    }
    let lines = lines(&events);
    assert!(
        attempts > 200 && (7..=30).contains(&lines.len()),
        "{attempts} attempts, {} lines",
        lines.len()
    );
    assert!(lines.iter().all(|line| line.level == "WARN"));
}
