//! The state directories in `tests/state` were written by the versions so far, one for each change of a format, and are never changed
//! again: this version reads them all. `tests/state/README.md` says how another one is made.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use livestreamd::journal::inspect::inspect;

use super::super::child::{LIMIT, Livestreamd, Scratch, log_lines, path};
use super::{CONNECTIONS, STREAM, config, content, copy, writing};
use crate::support::kafka;

/// Set to anything, the state is written where the newest one should be, if there is none.
const FREEZE: &str = "LIVESTREAMD_FREEZE_STATE";
/// How many formats of a state there were so far. One more with each change of what is written.
const NEWEST: u32 = 1;

fn frozen(number: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/state")
        .join(format!("v{number}"))
}

#[tokio::test]
async fn what_is_written_is_the_newest_frozen_state_byte_for_byte() {
    let frozen = frozen(NEWEST);
    if std::env::var_os(FREEZE).is_some() && !frozen.exists() {
        writing::write(&frozen).await;
    }
    let scratch = Scratch::new();
    writing::write(scratch.path()).await;
    let (wanted, written) = (content(&frozen), content(scratch.path()));
    assert!(
        wanted.keys().eq(written.keys()),
        "other files: {:?} and {:?}",
        wanted.keys(),
        written.keys()
    );
    for (name, bytes) in wanted {
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(&written[&name]),
            "{} is written in another way than in tests/state/v{NEWEST}: see tests/state/README.md",
            name.display()
        );
    }
}

#[test]
fn every_frozen_state_is_delivered_its_leases_are_honoured_and_none_of_its_ids_is_forgotten() {
    for number in 1..=NEWEST {
        let scratch = Scratch::new();
        let state_dir = scratch.path().join("state");
        copy(&frozen(number), &state_dir);
        let before = content(&state_dir);
        let kafka = kafka::shared();
        let topic = kafka.fresh_topic("frozen", 1);
        let dead_letters = kafka.fresh_topic("frozen-dead-letters", 1);
        let config = config(&scratch, "", kafka.addr(), &topic, &dead_letters);
        let daemon = Livestreamd::start(&scratch, &["run", "--config", path(&config)], &[]);

        let waits = |slot: u8| {
            daemon.logged("a slot waits", |line| {
                line["state"] == "waiting" && line["slot"] == slot
            })
        };
        let (closed, open) = (waits(0), waits(1));
        assert_eq!(
            (&closed["reason"], &open["reason"]),
            (&"lease_unclear".into(), &"lease_open".into())
        );
        assert_waits(&closed, writing::WAIT.as_secs_f64());
        assert_waits(&open, 60.0);

        let undelivered = writing::undelivered();
        kafka.consume_all(&topic, |records| records.len() >= undelivered.len(), LIMIT);
        kafka.consume_all(&dead_letters, |records| records.len() >= writing::DEAD_LETTERS, LIMIT);
        let ended = daemon.ended_by(Signal::TERM);
        assert_eq!(ended.code, 0, "{ended:?}");

        let arrived = kafka.records(&topic);
        let values: Vec<&str> = arrived
            .iter()
            .map(|record| std::str::from_utf8(&record.value).unwrap())
            .collect();
        assert_eq!(values, undelivered, "v{number}");
        assert_eq!(kafka.count(&dead_letters), writing::DEAD_LETTERS as u64);
        let journal = inspect(&state_dir.join("journal").join(STREAM)).unwrap();
        assert_eq!(journal.backlog_bytes, 0);
        assert!(journal.kept.is_empty(), "nothing of it was damage: {:?}", journal.kept);
        let states: Vec<Value> = log_lines(&ended.stderr)
            .into_iter()
            .map(|line| line["state"].clone())
            .collect();
        assert!(
            !states
                .iter()
                .any(|state| ["authorizing", "connecting", "streaming"].iter().any(|s| state == s)),
            "{states:?}"
        );
        let after = content(&state_dir);
        for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("quarantine")) {
            assert_eq!(&after[name], bytes);
        }
        let leases = after.keys().filter(|name| name.starts_with("leases"));
        assert_eq!(leases.count(), usize::from(CONNECTIONS));
        let reset = after
            .iter()
            .filter(|(name, _)| name.starts_with("leases"))
            .any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("\"reset\":{\"to\":\"smallest\""));
        assert!(!reset, "a start without a wish forgets the reset that was done");
    }
}

#[track_caller]
fn assert_waits(line: &Value, wanted: f64) {
    let wait = line["wait_s"].as_f64().unwrap();
    // Jitter is added, a second at most.
    assert!((wanted - 0.5..wanted + 1.5).contains(&wait), "{line}");
}
