//! `run --reset`: sent once, whatever restarts, kills and reconnects follow with the same command line.

use std::time::Duration;

use livestreamd::simulator::{
    AttemptFault, Backfill, Rate, RecordKind, SimulatedStream, SimulatorSettings, StreamFault,
};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Ended, Livestreamd};
use super::trial::Trial;

const COOLDOWN: Duration = Duration::from_secs(1);

async fn trial(name: &str) -> Trial {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(100.0),
        backfill: Backfill::both(5),
        ..SimulatedStream::new(name)
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

fn run(trial: &Trial, reset: &[&str]) -> Livestreamd {
    let arguments = [&["run", "--config", trial.config()], reset].concat();
    Livestreamd::start(&trial.scratch, &arguments, &[])
}

/// What each attempt so far asked for as `reset`.
fn resets(trial: &Trial) -> Vec<Option<String>> {
    let accepts = trial.ledger().accepts();
    accepts.iter().map(|accept| accept.parameter("reset")).collect()
}

/// Waits for the attempt with this number, counted from 1, and until it has streamed.
async fn streams(trial: &Trial, number: usize) {
    let stream = trial.stream().name.as_str();
    trial.attempt(stream, number).await;
    trial.streaming(stream, 20).await;
}

/// Waits until the lease says that the connection is open.
async fn lease_is_open(trial: &Trial) -> Value {
    let deadline = tokio::time::Instant::now() + super::child::LIMIT;
    loop {
        if let Some(lease) = trial.lease().filter(|lease| lease["phase"] == "streaming") {
            return lease;
        }
        assert!(tokio::time::Instant::now() < deadline, "{:?}", trial.lease());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_sent_once_over_reconnects_restarts_and_kill_9_and_again_when_it_is_asked_for_again() {
    let trial = trial("again").await;
    let smallest = &["--reset", "again=smallest"];
    let daemon = run(&trial, smallest);
    streams(&trial, 1).await;
    let told = daemon.logged("that it was answered", |line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains("answered 200"))
    });
    assert_eq!((&told["stream"], &told["reset"]), (&"again".into(), &"smallest".into()));
    // An automatic reconnect.
    trial.close("again", 20).await;
    streams(&trial, 2).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    // A restart, and a kill in the middle of it.
    let daemon = run(&trial, smallest);
    let told = daemon.logged("that it was done", |line| line["at"].is_string());
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|text| text.contains("start without it")),
        "{told}"
    );
    streams(&trial, 3).await;
    assert_eq!(lease_is_open(&trial).await["reset"]["to"], "smallest");
    daemon.kill();
    let daemon = run(&trial, smallest);
    streams(&trial, 4).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let first = Some("smallest".to_owned());
    assert_eq!(resets(&trial), [first.clone(), None, None, None]);

    // Once without it, and it is a new wish.
    let daemon = run(&trial, &[]);
    streams(&trial, 5).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let daemon = run(&trial, smallest);
    streams(&trial, 6).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    // As is another place.
    let daemon = run(&trial, &["--reset", "again=latest"]);
    streams(&trial, 7).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(resets(&trial)[4..], [None, first, Some("latest".to_owned())]);
    trial.assert_none_was_early();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_to_the_smallest_brings_what_was_sent_before_and_one_to_the_latest_does_not() {
    let trial = trial("where").await;
    let daemon = run(&trial, &[]);
    streams(&trial, 1).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let repeats = |number: usize| {
        let accepts = trial.ledger().accepts();
        let written = trial.ledger().records(accepts[number - 1].connection);
        written
            .iter()
            .filter(|(entry, _)| entry.kind == RecordKind::Repeat)
            .count()
    };
    for (number, reset) in [(2, "where=smallest"), (3, "where=latest")] {
        let daemon = run(&trial, &["--reset", reset]);
        streams(&trial, number).await;
        assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    }
    assert!(repeats(2) >= 20, "{}", repeats(2));
    assert_eq!(repeats(3), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_is_refused_goes_along_until_it_is_answered() {
    let trial = trial("patience").await;
    trial.simulator.fault("patience", AttemptFault::status(503)).unwrap();
    let daemon = run(&trial, &["--reset", "patience=earliest"]);
    streams(&trial, 2).await;
    trial.simulator.fault("patience", StreamFault::Reset).unwrap();
    streams(&trial, 3).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let earliest = Some("earliest".to_owned());
    assert_eq!(resets(&trial), [earliest.clone(), earliest, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_cannot_be_meant_is_refused_with_what_can() {
    let trial = trial("meant").await;
    let refused = |reset: &[&str]| -> Ended { run(&trial, reset).ended() };
    for (reset, told) in [
        (&["--reset", "mean=latest"][..], "use one of meant"),
        (&["--reset", "meant=newest"], "smallest, earliest, largest or latest"),
        (&["--reset", "meant"], "NAME=WHERE"),
        (
            &["--reset", "meant=latest", "--reset", "meant=smallest"],
            "use one of them",
        ),
    ] {
        let ended = refused(reset);
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    let help = Livestreamd::run(&trial.scratch, &["run", "--help"], &[]);
    assert!(help.stdout.contains("THROWS AWAY"), "{help:?}");
    assert!(trial.ledger().accepts().is_empty());
}
