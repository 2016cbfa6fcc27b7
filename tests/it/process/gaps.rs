//! Gaps and frozen processes: what the log says of the times in which nothing was read, and that a process which did not run for a while
//! goes on where it was.

use std::time::{Duration, SystemTime};

use livestreamd::simulator::{Accept, Rate, SimulatedStream, SimulatorSettings, StreamFault};
use rustix::process::Signal;
use serde_json::Value;

use super::child::Livestreamd;
use super::judge::Rules;
use super::trial::Trial;

const COOLDOWN: Duration = Duration::from_secs(2);
/// Less than a freeze, so that a freeze which counted as silence would be a stall.
const SHORT_STALL: (&str, &str) = ("LIVESTREAMD__UPSTREAM__STALL_TIMEOUT", "5s");
/// Long enough for the reading to be overdue, even if a busy machine has made the service pause for some seconds: that teaches the
/// stall watch to wait 4 times as long.
const FREEZE: Duration = Duration::from_secs(16);
const RATE: Rate = Rate::PerSecond(300.0);

async fn trial(name: &str) -> Trial {
    let stream = SimulatedStream {
        rate: RATE,
        ..SimulatedStream::new(name)
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

/// The line that tells of a gap that is over.
fn gap(daemon: &Livestreamd) -> Value {
    daemon.logged("a gap is over", |line| line.get("gap").is_some())
}

fn time(line: &Value, key: &str) -> SystemTime {
    humantime::parse_rfc3339(line[key].as_str().unwrap()).unwrap()
}

/// When the service accepted it.
fn accepted(accept: &Accept) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(accept.wall_ms)
}

/// It began between these two, and was over between the accept of the next connection and now. Logs have milliseconds.
#[track_caller]
fn assert_bounds(gap: &Value, began: (SystemTime, SystemTime), next: &Accept) {
    let millisecond = Duration::from_millis(1);
    let is_between = |at: SystemTime, (from, to): (SystemTime, SystemTime)| at + millisecond >= from && at <= to;
    let (from, to) = (time(gap, "from"), time(gap, "to"));
    assert!(is_between(from, began), "{gap}, not from {began:?}");
    let over = (accepted(next), SystemTime::now());
    assert!(is_between(to, over), "{gap}, not to {over:?}");
    // The length is by another clock.
    let length = to.duration_since(from).unwrap().as_secs_f64();
    assert!((gap["gap_s"].as_f64().unwrap() - length).abs() < 2.0, "{gap}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_logged_with_its_bounds_over_a_stop_and_a_kill_9() {
    let trial = trial("gaps").await;
    let daemon = trial.run();
    trial.streaming("gaps", 100).await;
    let stopping = SystemTime::now();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let stopped = SystemTime::now();

    let daemon = trial.run();
    let accept = trial.streaming("gaps", 100).await;
    let over = gap(&daemon);
    // A stop may find a batch on its way to the journal; then the one before it shows life.
    let kept_last = stopping.checked_sub(Duration::from_secs(2)).unwrap();
    assert_bounds(&over, (kept_last, stopped), &accept);
    assert_eq!((&over["gap"], &over["level"]), (&"possible".into(), &"INFO".into()));
    assert_eq!(
        (&over["reason"], &over["known_by"]),
        (&"restart".into(), &"clock".into())
    );
    let streaming = SystemTime::now();
    daemon.kill();

    // The lease was written when it began to stream, and is touched every 30 s: that is how exactly it is known.
    let daemon = trial.run_with(&[("LIVESTREAMD__UPSTREAM__BACKFILL_HORIZON", "1s")]);
    let overdue = daemon.logged("no connection for too long", |line| line.get("horizon_s").is_some());
    assert_eq!(
        (&overdue["level"], &overdue["reason"]),
        (&"WARN".into(), &"crash".into())
    );
    assert!(overdue["gap_s"].as_u64().is_some_and(|gap| gap >= 1), "{overdue}");
    let next = trial.streaming("gaps", 100).await;
    let over = gap(&daemon);
    assert_eq!((&over["gap"], &over["level"]), (&"probable".into(), &"WARN".into()));
    assert_eq!(
        (&over["reason"], &over["known_by"]),
        (&"crash".into(), &"heartbeat".into())
    );
    assert_bounds(&over, (accepted(&accept), streaming), &next);
    let ended = daemon.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("\"gaps_probable\":1"), "{}", ended.stderr);
    trial.assert_none_was_early();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_frozen_goes_on_reading_on_the_same_connection() {
    let trial = trial("frozen").await;
    let daemon = trial.run_with(&[SHORT_STALL]);
    trial.streaming("frozen", 100).await;
    // Nothing lies in the socket when it goes on: only its timer wakes it.
    trial.simulator.set_rate("frozen", Rate::Silent).unwrap();
    trial.arrived();
    daemon.freeze();
    tokio::time::sleep(FREEZE).await;
    daemon.signal(Signal::CONT);
    daemon.logged("it noticed", |line| {
        line["level"] == "WARN" && line["lapse_s"].as_u64().is_some_and(|lapse| (1..60).contains(&lapse))
    });
    let made = trial.simulator.made("frozen").unwrap();
    trial.simulator.set_rate("frozen", RATE).unwrap();
    trial.streaming("frozen", made as usize + 100).await;
    trial.close("frozen", 100).await;
    trial.arrived();
    assert_eq!(trial.ledger().accepts().len(), 1, "{:#?}", trial.ledger().accepts());
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.judge(trial.stream(), Rules::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_ended_while_the_process_was_frozen_owes_its_cooldown_from_when_that_is_noticed() {
    let trial = trial("icebound").await;
    let daemon = trial.run_with(&[SHORT_STALL]);
    let accept = trial.streaming("icebound", 100).await;
    daemon.freeze();
    let frozen = SystemTime::now();
    trial
        .simulator
        .fault("icebound", StreamFault::Close { trailer: true })
        .unwrap();
    tokio::time::sleep(FREEZE).await;
    let thawed = trial.ledger().now();
    daemon.signal(Signal::CONT);
    let next = trial.attempt("icebound", 2).await;
    assert!(next.at >= thawed + COOLDOWN, "{next:?}, went on at {thawed:?}");
    trial.streaming("icebound", 1).await;
    // It may have ended at any time while nobody read.
    let over = gap(&daemon);
    assert_eq!(over["reason"], "closed", "{over}");
    assert_bounds(&over, (accepted(&accept), frozen), &next);
    assert!(
        over["gap_s"].as_f64().unwrap() >= (FREEZE + COOLDOWN).as_secs_f64(),
        "{over}"
    );
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    trial.arrived();
    trial.judge(trial.stream(), Rules::default());
}
