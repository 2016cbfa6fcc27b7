//! What must not be said at any level: secrets, and personal data.

use std::collections::HashSet;
use std::time::Duration;

use livestreamd::simulator::{
    AttemptFault, Garbage, Rate, SimulatedStream, SimulatorSettings, StreamFault, TokenFault,
};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Ended, log_lines};
use super::hush::HitContent;
use super::trial::{CLIENT_SECRET, Trial};

const COOLDOWN: Duration = Duration::from_secs(2);
const SASL_PASSWORD: &str = "quiet-please-4711";

/// A run that meets all that makes a daemon talk.
async fn eventful_run(filter: &str) -> (Trial, Ended) {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(200.0),
        ..SimulatedStream::new("talks")
    };
    let trial = Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await;
    trial.simulator.token_fault(
        TokenFault::Status {
            code: 500,
            retry_after: None,
        },
        1,
    );
    trial.simulator.fault("talks", AttemptFault::status(401)).unwrap();
    let daemon = trial.run_with(&[
        ("LIVESTREAMD__LOG__FILTER", filter),
        ("LIVESTREAMD__UPSTREAM__MAX_RECORD_BYTES", "64KiB"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_PASSWORD", SASL_PASSWORD),
        ("LIVESTREAMD__KAFKA__PROPERTIES__DEBUG", "all"),
    ]);
    trial.streaming("talks", 100).await;
    for kind in Garbage::ALL {
        trial
            .simulator
            .fault("talks", StreamFault::Garbage { kind, times: 1 })
            .unwrap();
    }
    trial
        .simulator
        .fault("talks", StreamFault::Oversized { bytes: 100_000 })
        .unwrap();
    trial
        .simulator
        .fault("talks", StreamFault::OddIds { times: 4 })
        .unwrap();
    trial.simulator.fault("talks", StreamFault::Twin).unwrap();
    trial.simulator.fault("talks", StreamFault::CorruptGzip).unwrap();
    trial.attempt("talks", 3).await;
    trial.streaming("talks", 50).await;
    trial.simulator.fault("talks", StreamFault::Cut).unwrap();
    trial.ended(3).await;
    let records = trial
        .kafka
        .consume_all(&trial.dead_letters, |records| records.len() >= 5, super::child::LIMIT);
    assert_eq!(records.len(), 5);
    let ended = daemon.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    (trial, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_level_trace_neither_a_secret_nor_content_of_a_hit_is_said() {
    let (trial, ended) = eventful_run("trace").await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    let lines = log_lines(&ended.stderr);
    for level in ["TRACE", "DEBUG", "INFO"] {
        assert!(
            lines.iter().any(|line| line["level"] == level),
            "nothing was said at level {level}"
        );
    }
    assert!(said.contains("librdkafka"), "librdkafka talks through our log");
    // As it is, in a form, and in the parts that a form leaves as they are.
    let in_a_form = "hush-7Q%2Bz%2F9%3Dx%26mum";
    for secret in [CLIENT_SECRET, in_a_form, "hush-7Q", SASL_PASSWORD] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is said");
    }
    assert_eq!(trial.token_in(&said), None, "an access token is said");
    let token = trial.simulator.issue_token();
    assert_eq!(
        trial.token_in(&format!("x={}", &token[..30])),
        Some(&token[..30]),
        "a part of one would be found"
    );

    let hits = trial.hits(trial.stream());
    let dead_letters = trial.kafka.records(&trial.dead_letters);
    let content = HitContent::of(&hits, &dead_letters);
    assert!(content.len() > 500, "{}", content.len());
    assert_eq!(content.in_log(&said), None, "content of a hit is said");
    let needles = personal_data(&trial);
    assert!(needles.len() > 150, "{}", needles.len());
    for line in &lines {
        let text = line.to_string();
        for needle in &needles {
            assert!(
                !text.contains(needle.as_str()),
                "{needle:?} is content of a hit: {text}"
            );
        }
    }
    let plain: Vec<&str> = said
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_err())
        .collect();
    assert!(plain.is_empty(), "everything goes through the log: {plain:?}");
}

/// Values that stand in the trial's hits and nowhere else.
fn personal_data(trial: &Trial) -> HashSet<String> {
    let mut needles: HashSet<String> = ["userAgent", "pageName", "visIdHigh", "upstream connect error"]
        .map(str::to_owned)
        .into();
    for record in trial.hits(trial.stream()) {
        let hit: Value = serde_json::from_slice(&record.value).unwrap();
        needles.insert(hit["ip"].as_str().expect("a hit has an address").to_owned());
        for id in ["visIdHigh", "visIdLow"] {
            needles.insert(hit[id].as_u64().expect("a hit has a visitor").to_string());
        }
    }
    needles
}
