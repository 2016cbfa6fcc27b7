//! What a daemon leaves on disk for the next one: which hits were there, and journals that belong to nobody.

use std::time::Duration;

use livestreamd::simulator::{Backfill, Rate, RecordKind, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;

use super::child::LIMIT;
use super::trial::Trial;
use crate::support::kafka::Record;

const COOLDOWN: Duration = Duration::from_secs(2);
const REPEATED: usize = 50;

/// A stream that repeats the last hits of each connection on the next one.
async fn trial(name: &str) -> Trial {
    let stream = SimulatedStream {
        rate: Rate::Silent,
        backfill: Backfill::both(REPEATED),
        ..SimulatedStream::new(name)
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_kill_9_forget_no_hit_that_was_delivered() {
    for kill in [false, true] {
        let name = if kill { "kill" } else { "restart" };
        let trial = trial(name).await;
        let drop = [("LIVESTREAMD__DEDUP__MODE", "drop")];
        let daemon = trial.run_with(&drop);
        trial.streaming(name, 0).await;
        trial.simulator.burst(name, 200).unwrap();
        let topic = &trial.stream().topic;
        trial.kafka.consume_all(topic, |records| records.len() >= 200, LIMIT);
        if kill {
            // The cursor is noted at a sync, a tenth of a second after the delivery: then the next daemon replays nothing.
            trial.delivered_is_noted(LIMIT).await;
            daemon.kill();
        } else {
            assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
        }

        let daemon = trial.run_with(&drop);
        trial.streaming(name, REPEATED).await;
        trial.simulator.burst(name, 10).unwrap();
        trial.kafka.consume_all(topic, |records| records.len() >= 210, LIMIT);
        assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
        let repeated = trial
            .ledger()
            .written(name)
            .iter()
            .filter(|entry| entry.kind == RecordKind::Repeat)
            .count();
        assert_eq!(repeated, REPEATED, "the service repeated hits");
        let values: Vec<Vec<u8>> = trial
            .hits(trial.stream())
            .into_iter()
            .map(|Record { value, .. }| value)
            .collect();
        let different: std::collections::HashSet<&Vec<u8>> = values.iter().collect();
        assert_eq!((values.len(), different.len()), (210, 210), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_of_no_stream_is_kept_and_told_of() {
    let trial = trial("renamed").await;
    let orphan = trial.scratch.path().join("state/journal/former");
    std::fs::create_dir_all(&orphan).unwrap();
    let segment = orphan.join("00000000000000000000.seg");
    std::fs::write(&segment, b"whatever it holds").unwrap();
    let daemon = trial.run();
    let told = daemon.logged("the orphan", |line| line["stream"] == "former");
    assert_eq!(told["level"], "WARN", "{told}");
    assert_eq!(told["bytes"], 17, "{told}");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(std::fs::read(&segment).unwrap(), b"whatever it holds");
}
