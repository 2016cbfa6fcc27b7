//! `kill -9`: whatever happens to the process, no attempt comes early, and nothing that was read is lost.

use std::time::Duration;

use livestreamd::simulator::{AttemptFault, Backfill, Rate, SimulatedStream, SimulatorSettings, TokenFault};
use rustix::process::Signal;

use super::child::LIMIT;
use super::judge::Rules;
use super::trial::Trial;

const COOLDOWN: Duration = Duration::from_secs(2);

async fn trial(name: &str) -> Trial {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(300.0),
        backfill: Backfill::both(5),
        ..SimulatedStream::new(name)
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

/// Starts the daemon on an open lease, and sees it wait a whole cooldown from this start and then stream.
async fn restart_waits_a_whole_cooldown(trial: &Trial) {
    let stream = trial.stream().name.as_str();
    let attempts = trial.ledger().accepts_of(stream).len();
    let restarted = trial.ledger().now();
    let daemon = trial.run();
    let waits = daemon.logged("what the first wait is", |line| line["state"] == "waiting");
    assert_eq!(waits["reason"], "lease_open", "{waits}");
    assert!(
        waits["wait_s"]
            .as_f64()
            .is_some_and(|wait| wait <= COOLDOWN.as_secs_f64()),
        "{waits}"
    );
    let next = trial.attempt(stream, attempts + 1).await;
    assert!(next.at >= restarted + COOLDOWN, "{next:?}, restarted at {restarted:?}");
    trial.streaming(stream, 1).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    let rules = Rules {
        was_killed: true,
        ..Rules::default()
    };
    trial.judge(trial.stream(), rules);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_in_mid_stream_a_restart_waits_a_whole_cooldown() {
    let trial = trial("killed").await;
    let daemon = trial.run();
    trial.streaming("killed", 200).await;
    daemon.kill();
    assert_eq!(trial.lease().expect("there is a lease")["phase"], "streaming");
    restart_waits_a_whole_cooldown(&trial).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_while_connecting_a_restart_waits_a_whole_cooldown() {
    let trial = trial("dialling").await;
    trial.simulator.fault("dialling", AttemptFault::NoAnswer).unwrap();
    let daemon = trial.run();
    let accept = trial.attempt("dialling", 1).await;
    daemon.kill();
    assert_eq!(trial.ledger().accept(accept.connection).unwrap().status, None);
    assert_eq!(trial.lease().expect("there is a lease")["phase"], "connecting");
    restart_waits_a_whole_cooldown(&trial).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_before_anything_was_sent_to_the_stream_nothing_is_owed() {
    let trial = trial("asking").await;
    trial.simulator.token_fault(TokenFault::Slow(Duration::from_mins(1)), 1);
    let daemon = trial.run_with(&[("LIVESTREAMD__LOG__FILTER", "debug")]);
    daemon.logged("it fetches a token", |line| line["state"] == "authorizing");
    daemon.kill();
    assert_eq!(trial.lease(), None);
    let daemon = trial.run_with(&[("LIVESTREAMD__LOG__FILTER", "debug")]);
    let waits = daemon.logged("what the first wait is", |line| line["state"] == "waiting");
    assert_eq!(waits["reason"], "start", "{waits}");
    trial.streaming("asking", 1).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

/// Pauses between a start and the `kill -9` that ends it, in milliseconds: about a second, and in all sorts of places within a cooldown.
const LIVES: [u64; 9] = [1000, 700, 1300, 450, 900, 250, 1150, 800, 600];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_crash_loop_no_attempt_comes_early_and_the_stream_connects_all_the_same() {
    let trial = trial("loop").await;
    let mut starts = Vec::new();
    let mut lives = LIVES.iter().cycle();
    let limit = trial.ledger().now() + Duration::from_secs(60);
    while trial.ledger().accepts().len() < 5 {
        assert!(
            trial.ledger().now() < limit,
            "too few attempts: {:#?}",
            trial.ledger().accepts()
        );
        starts.push(trial.ledger().now());
        let daemon = trial.run();
        tokio::time::sleep(Duration::from_millis(*lives.next().unwrap())).await;
        daemon.kill();
    }
    trial.assert_none_was_early();
    assert!(starts.len() >= 8, "{starts:?}");
    // Every connection was ended by a kill, and the start after it owed a whole cooldown.
    for pair in trial.ledger().accepts().windows(2) {
        let restarted = *starts
            .iter()
            .find(|start| **start > pair[0].at)
            .expect("it was started again");
        assert!(
            pair[1].at >= restarted + COOLDOWN,
            "{pair:#?}, restarted at {restarted:?}"
        );
    }
    // What the last one left in its journal goes out with the next.
    let daemon = trial.run();
    trial.delivered_is_noted(LIMIT).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    let rules = Rules {
        was_killed: true,
        ..Rules::default()
    };
    trial.judge(trial.stream(), rules);
}
