//! Orderly ends: what was read is delivered, the lease is closed, and the next start waits out what is left of the cooldown.

use std::time::Duration;

use livestreamd::simulator::{
    AttemptFault, EndedBy, Garbage, Rate, RecordEntry, SimulatedStream, SimulatorSettings, StreamFault,
};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{LIMIT, Livestreamd};
use super::judge::{Rules, now_ms};
use super::trial::Trial;

const COOLDOWN: Duration = Duration::from_secs(3);

async fn trial(name: &str, rate: Rate) -> Trial {
    let stream = SimulatedStream {
        rate,
        ..SimulatedStream::new(name)
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_mid_stream_delivers_what_was_read_and_a_restart_at_once_waits_out_the_rest_of_the_cooldown() {
    stop_and_restart(Signal::TERM, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_in_mid_stream_delivers_what_was_read_and_a_late_restart_waits_out_no_more_than_the_rest_of_the_cooldown()
 {
    stop_and_restart(Signal::INT, COOLDOWN.mul_f64(0.7)).await;
}

/// Stops the daemon in mid-stream, starts it again so long after the connection's end, and stops it once more.
async fn stop_and_restart(signal: Signal, pause: Duration) {
    let trial = trial("stop", Rate::PerSecond(400.0)).await;
    let daemon = trial.run();
    let first = trial.streaming("stop", 400).await;
    let lease = trial.lease().expect("there is a lease");
    assert_eq!(lease["phase"], "streaming", "{lease}");

    let asked = trial.ledger().now();
    let ended = daemon.ended_by(signal);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("stopped: all that was read is delivered"),
        "{}",
        ended.stderr
    );
    let first_end = trial.ended(first.connection).await.end.unwrap();
    assert_eq!(first_end.by, EndedBy::Client);
    assert_closed_lease(&trial);

    tokio::time::sleep((first_end.at + pause).saturating_sub(trial.ledger().now())).await;
    let restarted = trial.ledger().now();
    let daemon = trial.run();
    let rest = (first_end.at + COOLDOWN).saturating_sub(restarted);
    let waits = daemon.logged("what the first wait is", |line| line["state"] == "waiting");
    assert_eq!(waits["reason"], "lease_closed", "{waits}");
    let wait = waits["wait_s"].as_f64().unwrap();
    assert!(wait <= rest.as_secs_f64() + 0.002, "waits {wait} s of {rest:?}");
    let second = trial.attempt("stop", 2).await;
    assert!(
        second.at >= asked + COOLDOWN,
        "not less: {second:?}, asked to end at {asked:?}"
    );
    if pause > COOLDOWN / 2 {
        assert!(
            second.at < restarted + COOLDOWN,
            "not a new one: {second:?}, restarted at {restarted:?}"
        );
    }
    trial.streaming("stop", 100).await;
    assert_eq!(daemon.ended_by(signal).code, 0);

    trial.assert_none_was_early();
    let judged = trial.judge(trial.stream(), Rules::default());
    assert!(judged.hits >= 1 && judged.connections == 2, "{judged:?}");
}

#[track_caller]
fn assert_closed_lease(trial: &Trial) {
    let lease = trial.lease().expect("there is a lease");
    let keys = [
        "url",
        "slot",
        "phase",
        "not_before",
        "failures",
        "boot_id",
        "boottime",
        "wall",
    ];
    assert!(keys.iter().all(|key| lease.get(key).is_some()), "{lease}");
    assert_eq!(lease["phase"], "closed", "{lease}");
    assert_eq!(
        lease["url"],
        trial.simulator.url(&trial.stream().name).as_str(),
        "{lease}"
    );
    assert_eq!((&lease["slot"], &lease["failures"]), (&0.into(), &0.into()), "{lease}");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(lease["boot_id"], boot.trim(), "{lease}");
    let millis = |key: &str| lease[key].as_u64().unwrap();
    let wait = Duration::from_millis(millis("not_before").checked_sub(millis("boottime")).unwrap());
    assert!(
        wait <= COOLDOWN + Duration::from_millis(2) && wait > Duration::ZERO,
        "{lease}"
    );
    let wall = humantime::parse_rfc3339(lease["wall"].as_str().unwrap()).unwrap();
    assert!(wall.elapsed().is_ok_and(|age| age < LIMIT), "{lease}");
}

/// The hits are held up by a topic that refuses them for their timestamps, while a garbage record that came after them gets through, if only
/// in the next round of the stream: so they were read, and are not delivered.
struct HeldUp {
    trial: Trial,
    daemon: Livestreamd,
}

const HELD_UP: usize = 300;

impl HeldUp {
    async fn begin(variables: &[(&str, &str)]) -> Self {
        let trial = trial("held", Rate::Silent).await;
        trial
            .kafka
            .configure_topic(&trial.stream().topic, "message.timestamp.before.max.ms", "0");
        let daemon = trial.run_with(variables);
        trial.streaming("held", 0).await;
        trial.simulator.burst("held", HELD_UP as u64).unwrap();
        trial.streaming("held", HELD_UP).await;
        let garbage = StreamFault::Garbage {
            kind: Garbage::Text,
            times: 1,
        };
        trial.simulator.fault("held", garbage).unwrap();
        trial
            .kafka
            .consume_all(&trial.dead_letters, |records| !records.is_empty(), LIMIT);
        assert!(trial.hits(trial.stream()).is_empty(), "no hit got through");
        Self { trial, daemon }
    }

    /// Asks it to end, and waits until it has closed its connection and lease and is delivering.
    async fn ask_to_end(&self) {
        self.daemon.signal(Signal::TERM);
        self.trial.ended(1).await;
        let stopped = |line: &Value| line["state"] == "stopped";
        self.daemon.logged("the connection is closed", stopped);
        assert_closed_lease(&self.trial);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_sigterm_is_delivered_after_it_with_the_time_at_which_it_was_received() {
    let HeldUp { trial, daemon } = {
        let held = HeldUp::begin(&[]).await;
        held.ask_to_end().await;
        held
    };
    let asked_ms = now_ms();
    trial
        .kafka
        .configure_topic(&trial.stream().topic, "message.timestamp.before.max.ms", "604800000");
    let ended = daemon.ended();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rules = Rules {
        went_back: true,
        ..Rules::default()
    };
    let judged = trial.judge(trial.stream(), rules);
    assert_eq!((judged.hits, judged.different), (HELD_UP, HELD_UP));
    assert!(judged.dead_letters["not_json"] >= 1);
    for record in trial.hits(trial.stream()) {
        assert!(
            record.timestamp.unwrap() <= asked_ms,
            "received before {asked_ms}: {record:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once_while_kafka_takes_nothing() {
    let held = HeldUp::begin(&[("LIVESTREAMD__SHUTDOWN_TIMEOUT", "1h")]).await;
    held.ask_to_end().await;
    let ended = held.daemon.ended_by(Signal::INT);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("second signal"), "{}", ended.stderr);
    assert_closed_lease(&held.trial);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_delivered_within_shutdown_timeout_goes_out_at_the_next_start() {
    let HeldUp { trial, daemon } = {
        let held = HeldUp::begin(&[("LIVESTREAMD__SHUTDOWN_TIMEOUT", "1s")]).await;
        held.ask_to_end().await;
        held
    };
    let told = daemon.logged("what is left", |line| {
        line["level"] == "WARN" && line["bytes"].as_u64() > Some(0)
    });
    let bytes: u64 = trial.ledger().written("held").iter().map(RecordEntry::bytes).sum();
    let left = told["bytes"].as_u64().unwrap();
    // Line ends and the like come on top.
    assert!(left >= bytes && left <= bytes * 11 / 10, "{told}, written {bytes}");
    assert_eq!(daemon.ended().code, 0);

    let asked_ms = now_ms();
    trial
        .kafka
        .configure_topic(&trial.stream().topic, "message.timestamp.before.max.ms", "604800000");
    let daemon = trial.run();
    let started = daemon.logged("what it starts with", |line| line["backlog_bytes"].as_u64() > Some(0));
    assert_eq!(started["stream"], "held", "{started}");
    let topic = &trial.stream().topic;
    trial
        .kafka
        .consume_all(topic, |records| records.len() >= HELD_UP, LIMIT);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let rules = Rules {
        went_back: true,
        ..Rules::default()
    };
    let judged = trial.judge(trial.stream(), rules);
    assert_eq!((judged.hits, judged.different), (HELD_UP, HELD_UP));
    for record in trial.hits(trial.stream()) {
        assert!(
            record.timestamp.unwrap() <= asked_ms,
            "received by the first daemon, before {asked_ms}: {record:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_of_what_was_read_and_not_delivered() {
    let HeldUp { trial, daemon } = HeldUp::begin(&[]).await;
    daemon.kill();
    trial
        .kafka
        .configure_topic(&trial.stream().topic, "message.timestamp.before.max.ms", "604800000");
    // Without its stream: nothing but the journal can bring the hits.
    let daemon = trial.run_with(&[("LIVESTREAMD__UPSTREAM__COOLDOWN", "1h")]);
    let topic = &trial.stream().topic;
    trial
        .kafka
        .consume_all(topic, |records| records.len() >= HELD_UP, LIMIT);
    assert_eq!(trial.ledger().accepts().len(), 1, "it did not connect again");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let rules = Rules {
        was_killed: true,
        ..Rules::default()
    };
    let judged = trial.judge(trial.stream(), rules);
    assert_eq!((judged.hits, judged.different), (HELD_UP, HELD_UP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_while_connecting_closes_the_lease_with_the_time_of_the_stop() {
    let trial = trial("slow", Rate::PerSecond(100.0)).await;
    trial.simulator.fault("slow", AttemptFault::NoAnswer).unwrap();
    let daemon = trial.run();
    let first = trial.attempt("slow", 1).await;
    assert_eq!(
        trial.lease().expect("a lease is on disk before a connect goes out")["phase"],
        "connecting"
    );
    let asked = trial.ledger().now();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_closed_lease(&trial);
    trial.ended(first.connection).await;
    let daemon = trial.run();
    let second = trial.attempt("slow", 2).await;
    assert!(second.at >= asked + COOLDOWN, "{second:?}, asked to end at {asked:?}");
    trial.streaming("slow", 1).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_during_a_cooldown_leave_it_as_it_is() {
    let trial = trial("waits", Rate::PerSecond(100.0)).await;
    let mut daemon = trial.run();
    let first = trial.streaming("waits", 20).await;
    trial
        .simulator
        .fault("waits", StreamFault::Close { trailer: true })
        .unwrap();
    let end = trial.ended(first.connection).await.end.unwrap().at;
    for _ in 0..4 {
        daemon.logged("that it waits", |line| {
            line["state"] == "waiting" && line["wait_s"].as_f64() > Some(0.0)
        });
        assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
        daemon = trial.run();
    }
    let second = trial.attempt("waits", 2).await;
    assert!(second.at >= end + COOLDOWN);
    trial.streaming("waits", 1).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_of_ten_minutes_does_not_hold_up_a_stop_and_is_remembered_whole() {
    let trial = trial("wrong", Rate::PerSecond(100.0)).await;
    trial.simulator.fault("wrong", AttemptFault::status(404)).unwrap();
    let waits_long = |line: &Value| line["state"] == "waiting" && line["wait_s"].as_f64() > Some(500.0);
    for reason in ["refused", "lease_closed", "lease_closed"] {
        let daemon = trial.run();
        let line = daemon.logged("that it waits for minutes", waits_long);
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    }
    assert_eq!(trial.ledger().accepts().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_state_dir_is_refused_and_leaves_the_first_alone() {
    let trial = trial("twice", Rate::PerSecond(100.0)).await;
    let first = trial.run();
    trial.streaming("twice", 10).await;
    let second = trial.run().ended();
    assert_eq!(second.code, 1, "{}", second.stderr);
    let said = format!(
        "state_dir {} is in use by another livestreamd",
        trial.scratch.path().join("state").display()
    );
    assert!(second.stderr.contains(&said), "{}", second.stderr);
    let accept = trial.streaming("twice", 100).await;
    assert_eq!(accept.connection, 1);
    assert_eq!(first.ended_by(Signal::TERM).code, 0);
    assert_eq!(trial.ledger().accepts().len(), 1);
}

/// A log that could not be written made the task panic that wrote it, and the stream stand still for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_whose_log_nobody_takes_streams_reconnects_and_ends_in_good_order() {
    let trial = trial("unheard", Rate::PerSecond(200.0)).await;
    let daemon = Livestreamd::start_unheard(&trial.scratch, &["run", "--config", trial.config()]);
    let first = trial.streaming("unheard", 100).await;
    trial
        .simulator
        .fault("unheard", StreamFault::Close { trailer: true })
        .unwrap();
    let again = trial.attempt("unheard", 2).await;
    assert!(again.connection != first.connection && !again.early, "{again:?}");
    let ended = daemon.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0);
    assert_closed_lease(&trial);
}
