//! What a look shows of streams that do this and that.

use std::path::Path;

use super::*;
use crate::clock::SystemClock;
use crate::journal::{BatchKind, Journal, NewBatch};
use crate::lifecycle::{EndReason, Refusal};
use crate::settings::{Format, load_str};
use crate::stream::{StopSwitch, stop_switch};
use crate::telemetry::StreamStatus;

struct Trial {
    survey: Survey,
    status: StreamStatus,
    journal: Arc<Journal>,
    clock: Arc<SystemClock>,
    switch: StopSwitch,
    _dir: tempfile::TempDir,
}

fn trial() -> Trial {
    let text = r#"
        [credentials.default]
        access_token = "not-for-anybody"
        [streams.web]
        url = "https://livestream.adobe.net/api/1/stream/web"
    "#;
    let settings = load_str(text, Format::Toml, [], Path::new("/")).unwrap().settings;
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), settings.quarantine).unwrap();
    let (switch, stop) = stop_switch();
    let (roster, status) = (Roster::default(), StreamStatus::new("web", 1));
    let journal = Arc::new(Journal::in_memory(1 << 20));
    roster.set(vec![Running {
        settings: Arc::new(settings.streams[0].clone()),
        status: status.clone(),
        journal: journal.clone(),
        token: TokenStatus::default(),
    }]);
    let clock = Arc::new(SystemClock::new());
    let survey = Survey::new(
        roster,
        Around::new(&settings, quarantine, Instruments::default(), stop),
        clock.clone(),
    );
    Trial {
        survey,
        status,
        journal,
        clock,
        switch,
        _dir: dir,
    }
}

fn waits(trial: &Trial, why: Why, secs: u64) {
    let now = trial.clock.now();
    let until = now + Duration::from_secs(secs);
    trial.status.slots[0].show(State::Waiting { until, why }, now, 1, 0, false);
}

#[test]
fn a_cooldown_is_shown_with_its_reason_and_its_rest_and_is_no_hindrance() {
    let mut trial = trial();
    let since = trial.clock.now();
    let slot = &trial.status.slots[0];
    slot.show(State::Streaming { since }, since, 0, 0, false);
    slot.heard(since);
    waits(&trial, Why::Ended(EndReason::Closed), 60);
    let daemon = trial.survey.look();
    let connection = &daemon.streams[0].connections[0];
    assert_eq!(connection.state, ConnectionState::Waiting);
    let rest = connection.remaining_seconds.unwrap();
    assert!(rest > 50.0 && rest <= 60.0, "{rest}");
    assert_eq!(connection.reason.as_ref().unwrap().name, "closed");
    assert_eq!(connection.last_disconnect.as_ref().unwrap().reason.name, "closed");
    assert!(connection.last_byte_seconds.is_some() && !connection.failing);
    assert!(daemon.ready, "{:?}", daemon.hindrances);
}

#[test]
fn a_slot_that_has_shown_nothing_yet_waits_until_no_time() {
    let connection = trial().survey.look().streams[0].connections[0].clone();
    assert_eq!(connection.state, ConnectionState::Waiting);
    assert_eq!((connection.until, connection.remaining_seconds), (None, None));
}

#[test]
fn what_wants_a_person_is_a_hindrance() {
    let mut trial = trial();
    waits(&trial, Why::Refused(Refusal::status(404)), 600);
    let daemon = trial.survey.look();
    assert!(!daemon.ready && daemon.streams[0].connections[0].failing);
    assert_eq!(daemon.hindrances[0].stream.as_deref(), Some("web"));
}

#[tokio::test]
async fn kafka_s_refusal_is_shown_with_its_words_as_long_as_something_waits() {
    let mut trial = trial();
    let now = Instant::now();
    trial.status.delivery.show(Delivery::SetBack {
        since: now,
        retry_at: now + Duration::from_secs(20),
        reason: "unknown topic".to_owned(),
        advice: Some("create it"),
        failures: 3,
    });
    assert_eq!(trial.survey.look().streams[0].delivery.state, DeliveryState::Well);
    let batch = NewBatch {
        kind: BatchKind::Records,
        received_ms: 0,
        slot: 0,
        bytes: "{}\n".into(),
    };
    trial.journal.append(batch).await.unwrap();
    let daemon = trial.survey.look();
    let delivery = &daemon.streams[0].delivery;
    assert_eq!(delivery.state, DeliveryState::SetBack);
    assert_eq!(delivery.reason.as_deref(), Some("unknown topic"));
    assert!(delivery.retry_seconds.unwrap() > 10.0);
    assert!(daemon.ready, "it may pass by itself");
}

#[test]
fn what_is_shown_survives_json_and_holds_no_secret() {
    let mut trial = trial();
    trial.status.counters.hits.add(7);
    trial.switch.stop();
    let daemon = trial.survey.look();
    assert!(daemon.stopping && !daemon.ready);
    let json = serde_json::to_string(&daemon).unwrap();
    assert!(!json.contains("not-for-anybody"));
    assert_eq!(serde_json::from_str::<status::Daemon>(&json).unwrap(), daemon);
}

#[tokio::test]
async fn a_backlog_is_as_old_as_its_first_record_and_as_long_as_the_mean_says() {
    let mut trial = trial();
    let journal = |daemon: &status::Daemon| {
        let journal = &daemon.streams[0].journal;
        (journal.oldest_seconds, journal.backlog_records)
    };
    assert_eq!(journal(&trial.survey.look()), (Some(0.0), None));
    let read = trial.clock.wall() - Duration::from_secs(600);
    let batch = NewBatch {
        kind: BatchKind::Records,
        received_ms: since_epoch(read).as_millis() as u64,
        slot: 0,
        bytes: vec![b'x'; 1000].into(),
    };
    trial.survey.roster.all()[0].journal.append(batch).await.unwrap();
    trial.status.counters.delivered.add(10);
    trial.status.measures.delivered_just_now(2_000);
    let daemon = trial.survey.look();
    let (oldest, records) = journal(&daemon);
    assert!((600.0..700.0).contains(&oldest.unwrap()), "{oldest:?}");
    assert_eq!(records, Some(5));
    assert!(daemon.streams[0].delivery.last_seconds.unwrap() < 100.0);
}

#[test]
fn a_credential_that_streams_share_is_shown_once() {
    let mut trial = trial();
    let running = trial.survey.roster.all()[0].clone();
    running
        .token
        .fetched(Instant::now(), Some(Instant::now() + Duration::from_secs(3_600)));
    running.token.failed();
    trial.survey.roster.set(vec![running.clone(), running]);
    let credentials = trial.survey.look().credentials;
    assert_eq!(credentials.len(), 1);
    let one = &credentials[0];
    assert_eq!((one.name.as_str(), one.fetches, one.failures), ("default", 1, 1));
    assert!(one.token_age_seconds.unwrap() < 100.0);
    assert!((3_500.0..3_600.0).contains(&one.token_expires_seconds.unwrap()));
}

#[test]
fn a_slot_that_has_shown_nothing_yet_waits_since_the_start() {
    let mut trial = trial();
    let daemon = trial.survey.look();
    let connection = &daemon.streams[0].connections[0];
    assert_eq!(connection.state, ConnectionState::Waiting);
    assert!(connection.since_seconds < 60.0, "{}", connection.since_seconds);
}
