//! Looks at everything that runs, and makes the one model of it that people see ([`crate::status`]).
//!
//! Promise: looks only. It takes no lock for longer than it takes to copy what is behind it, touches no disk, and is made on the threads
//! that do the work: a look that does not come says that they are stuck.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::roster::{Roster, Running};
use crate::clock::{Clock, as_wall, since_epoch};
use crate::journal::{Condition, JournalFaults, JournalStatus, SyncRounds};
use crate::kafka::KafkaStatus;
use crate::lifecycle::gap::OpenGap;
use crate::lifecycle::{Moment, State, Why};
use crate::quarantine::Quarantine;
use crate::settings::Settings;
use crate::status::{self, ConnectionState, DeliveryState, JournalState, LastReload, RateWatch};
use crate::stream::Stop;
use crate::telemetry::events::Event;
use crate::telemetry::status::Ended;
use crate::telemetry::{Delivery, Shown, SlotStatus, TokenStatus, logs};

/// So many of the latest events are shown.
const EVENTS: usize = 50;

/// Looks again and again.
pub struct Survey {
    roster: Roster,
    around: Around,
    clock: Arc<dyn Clock>,
    started: Moment,
    /// The same as people read it: written once, because it is what tells one run from another.
    started_at: String,
    rates: BTreeMap<String, RateWatch>,
}

/// What all streams share, as far as it is shown.
pub struct Around {
    /// `kafka.brokers`.
    pub brokers: String,
    /// `journal.max_bytes`.
    pub journal_max_bytes: u64,
    /// The same of all streams together.
    pub journals_max_bytes: u64,
    /// The quarantine, and how much it may hold.
    pub quarantine: Quarantine,
    /// `quarantine.max_bytes`.
    pub quarantine_max_bytes: u64,
    /// What tells of itself, whichever streams run.
    pub instruments: Instruments,
    /// Whether the daemon was told to stop.
    pub stop: Stop,
    /// What came of the last reload.
    pub last_reload: watch::Receiver<Option<LastReload>>,
}

/// What tells of itself, whichever streams run.
#[derive(Clone, Debug, Default)]
pub struct Instruments {
    /// librdkafka.
    pub kafka: KafkaStatus,
    /// The journals' syncer thread.
    pub sync_rounds: SyncRounds,
}

impl Around {
    /// As `settings` have it.
    pub fn new(settings: &Settings, quarantine: Quarantine, instruments: Instruments, stop: Stop) -> Self {
        Self {
            brokers: settings.kafka.brokers.clone(),
            journal_max_bytes: settings.journal.max_bytes,
            journals_max_bytes: settings.journal.max_bytes_in_all,
            quarantine,
            quarantine_max_bytes: settings.quarantine.max_bytes,
            instruments,
            stop,
            last_reload: watch::channel(None).1,
        }
    }
}

impl Survey {
    /// A survey of `roster`, by a daemon that starts now.
    pub fn new(roster: Roster, around: Around, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now();
        Self {
            roster,
            around,
            started_at: shown(clock.wall()),
            clock,
            started,
            rates: BTreeMap::new(),
        }
    }

    /// How everything is now.
    pub fn look(&mut self) -> status::Daemon {
        let now = self.now();
        let running = self.roster.all();
        self.rates
            .retain(|name, _| running.iter().any(|stream| stream.settings.name == *name));
        let streams: Vec<_> = running.iter().map(|stream| self.stream(stream, &now)).collect();
        let kept = self.around.quarantine.status();
        let mut daemon = status::Daemon {
            format: status::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: shown(now.wall),
            started: self.started_at.clone(),
            uptime_seconds: seconds(now.at.since(self.started)),
            stopping: self.around.stop.is_requested(),
            journals: status::Journals {
                held_bytes: streams.iter().map(|stream| stream.journal.held_bytes).sum(),
                max_bytes: self.around.journals_max_bytes,
                sync_seconds: self.around.instruments.sync_rounds.snapshot(),
            },
            kafka: status::Kafka {
                brokers: self.around.brokers.clone(),
                ..self.around.instruments.kafka.now()
            },
            quarantine: status::Quarantine {
                files: kept.files,
                bytes: kept.bytes,
                max_bytes: self.around.quarantine_max_bytes,
                oldest_seconds: kept.oldest_s,
                kept: kept.kept,
                not_kept: kept.not_kept,
                removed_files: kept.removed_files,
            },
            last_reload: self.around.last_reload.borrow().clone(),
            events: recent_events(),
            credentials: credentials(&running, &now),
            streams,
            ..status::Daemon::default()
        };
        daemon.hindrances = status::hindrances(&daemon);
        daemon.ready = daemon.hindrances.is_empty();
        daemon
    }

    fn now(&self) -> Now {
        Now {
            started: self.started,
            clock: self.clock.clone(),
            at: self.clock.now(),
            wall: self.clock.wall(),
            instant: Instant::now(),
        }
    }

    fn stream(&mut self, running: &Running, now: &Now) -> status::Stream {
        let Running {
            settings,
            status,
            journal,
            token: _,
        } = running;
        let measures = &status.measures;
        let counts = status.counters.snapshot();
        let held = journal.status();
        // What was held up may have gone another way, such as into the quarantine: where nothing waits, nothing is held up.
        let faring = if held.backlog_bytes == 0 {
            Delivery::Well
        } else {
            status.delivery.now()
        };
        let rates = self.rates.entry(settings.name.clone()).or_default();
        rates.look(now.at.0, counts.records);
        let tally = status.outcomes.tally();
        let named =
            |counts: BTreeMap<&'static str, u64>| counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        status::Stream {
            name: settings.name.clone(),
            report_suite: settings.report_suite.clone(),
            topic: settings.topic.clone(),
            dead_letter_topic: settings.dead_letter_topic.clone(),
            connections: (0..)
                .zip(&status.slots)
                .map(|(nth, slot)| connection(nth, slot, settings.backfill_horizon, now))
                .collect(),
            delivery: status::Delivery {
                last_seconds: measures
                    .last_delivery()
                    .map(|at| seconds(now.instant.saturating_duration_since(at))),
                ..delivery(&faring, now)
            },
            journal: {
                let journal = journal_of(held, self.around.journal_max_bytes, now);
                status::Journal {
                    backlog_records: measures.records_in(journal.backlog_bytes, counts.delivered),
                    ..journal
                }
            },
            upstream_lag: measures.upstream_lag.snapshot(),
            upstream_lag_seconds: measures.upstream_lag.last(),
            delivery_latency: measures.delivery_latency.snapshot(),
            delivery_latency_seconds: measures.delivery_latency.last(),
            counts,
            connects: named(tally.connects),
            disconnects: named(tally.disconnects),
            rates: rates.rates(),
        }
    }
}

/// The moment of a look, by all clocks.
struct Now {
    started: Moment,
    clock: Arc<dyn Clock>,
    at: Moment,
    wall: SystemTime,
    instant: Instant,
}

impl Now {
    fn wall_at(&self, at: Moment) -> String {
        shown(as_wall(&*self.clock, at))
    }
}

fn connection(slot: u8, status: &SlotStatus, horizon: Duration, now: &Now) -> status::Connection {
    let shown = status.shown();
    let until = match &shown.state {
        // A slot whose driver has shown nothing yet waits for nothing that is known.
        State::Waiting { until, .. } => (*until > now.started).then_some(*until),
        State::Authorizing { .. }
        | State::Leasing { .. }
        | State::Connecting { .. }
        | State::Streaming { .. }
        | State::Stopped => None,
    };
    // A slot whose driver has shown nothing yet has waited since the start.
    let since = shown.since.max(now.started);
    status::Connection {
        slot,
        state: state(&shown),
        since: now.wall_at(since),
        since_seconds: seconds(now.at.since(since)),
        until: until.map(|until| now.wall_at(until)),
        remaining_seconds: until.map(|until| seconds(until.since(now.at))),
        reason: shown.why.as_ref().map(Into::into),
        failing: shown.is_failing(),
        failures: shown.failures,
        tries: shown.tries,
        last_byte_seconds: status.last_byte().map(|at| seconds(now.at.since(at))),
        last_disconnect: shown.last_ended.map(|ended| disconnect(ended, now)),
        gap: status.gap().map(|gap| open_gap(&gap, horizon, now)),
    }
}

const fn state(shown: &Shown) -> ConnectionState {
    match shown.state {
        State::Waiting { .. } => ConnectionState::Waiting,
        State::Authorizing { .. } => ConnectionState::Authorizing,
        State::Leasing { .. } | State::Connecting { .. } => ConnectionState::Connecting,
        State::Streaming { .. } => ConnectionState::Streaming,
        State::Stopped => ConnectionState::Stopped,
    }
}

fn disconnect(Ended { at, lasted, reason }: Ended, now: &Now) -> status::Disconnect {
    status::Disconnect {
        at: now.wall_at(at),
        ago_seconds: seconds(now.at.since(at)),
        lasted_seconds: seconds(lasted),
        reason: (&Why::Ended(reason)).into(),
    }
}

fn open_gap(gap: &OpenGap, horizon: Duration, now: &Now) -> status::Gap {
    let length = gap.length(now.at);
    status::Gap {
        from: crate::leases::trace::shown(gap.from),
        seconds: seconds(length),
        probable: length > horizon,
    }
}

fn delivery(delivery: &Delivery, now: &Now) -> status::Delivery {
    let since_seconds = delivery
        .since()
        .map(|since| seconds(now.instant.saturating_duration_since(since)));
    match delivery {
        Delivery::Well => status::Delivery::default(),
        Delivery::SetBack {
            since: _,
            retry_at,
            reason,
            advice,
            failures,
        } => status::Delivery {
            state: DeliveryState::SetBack,
            since_seconds,
            retry_seconds: Some(seconds(retry_at.saturating_duration_since(now.instant))),
            reason: Some(reason.clone()),
            advice: advice.map(str::to_owned),
            failures: *failures,
            ..status::Delivery::default()
        },
        Delivery::Stalled { since: _ } => status::Delivery {
            state: DeliveryState::Stalled,
            since_seconds,
            ..status::Delivery::default()
        },
    }
}

fn journal_of(journal: JournalStatus, max_bytes: u64, now: &Now) -> status::Journal {
    let (state, trouble) = match journal.condition {
        Condition::Good => (JournalState::Good, None),
        Condition::Full => (JournalState::Full, None),
        Condition::DiskFull(text) => (JournalState::DiskFull, Some(text)),
        Condition::DiskFailing(text) => (JournalState::DiskFailing, Some(text)),
    };
    status::Journal {
        state,
        trouble,
        read_trouble: journal.read_trouble,
        backlog_bytes: journal.backlog_bytes,
        oldest_seconds: match journal.backlog_bytes {
            0 => Some(0.0),
            _ => journal.oldest_ms.map(|oldest| {
                let age = since_epoch(now.wall).saturating_sub(Duration::from_millis(oldest));
                seconds(age)
            }),
        },
        held_bytes: journal.held_bytes,
        max_bytes,
        sync_lag_seconds: seconds(journal.sync_lag),
        faults: faults(&journal.faults),
        ..status::Journal::default()
    }
}

/// By name; streams may share one.
fn credentials(running: &[Running], now: &Now) -> Vec<status::Credential> {
    let by_name: BTreeMap<&str, &TokenStatus> = running
        .iter()
        .map(|stream| (stream.settings.credential.name.as_str(), &stream.token))
        .collect();
    let credentials = by_name.into_iter().map(|(name, token)| {
        let token = token.now();
        status::Credential {
            name: name.to_owned(),
            token_age_seconds: token.age(now.instant).map(seconds),
            token_expires_seconds: token.rest(now.instant).map(seconds),
            fetches: token.fetches,
            failures: token.failures,
        }
    });
    credentials.collect()
}

fn faults(faults: &JournalFaults) -> BTreeMap<String, u64> {
    let found = faults.named().into_iter().filter(|(_, n)| *n > 0);
    found.map(|(kind, n)| (kind.to_owned(), n)).collect()
}

fn recent_events() -> Vec<Event> {
    let recent = logs::events().recent(EVENTS);
    recent.into_iter().map(Arc::unwrap_or_clone).collect()
}

/// With milliseconds, which is as exact as people need it.
fn seconds(length: Duration) -> f64 {
    length.as_millis() as f64 / 1000.0
}

fn shown(wall: SystemTime) -> String {
    crate::leases::trace::shown(since_epoch(wall))
}

#[cfg(test)]
mod tests {
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
}
