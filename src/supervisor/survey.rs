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
use crate::settings::{Output, Settings};
use crate::status::{self, ConnectionState, DeliveryState, JournalState, LastReload, RateWatch};
use crate::stream::Stop;
use crate::telemetry::events::Event;
use crate::telemetry::status::Ended;
use crate::telemetry::{Delivery, OutputStatus, Shown, SlotStatus, TokenStatus, logs};

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
        let outputs = settings.outputs.iter().map(|output| {
            let backlog_bytes = journal.backlog_of(output.name());
            output_of(output, &status.output_of(output.name()), backlog_bytes, now)
        });
        let outputs: Vec<_> = outputs.collect();
        let rates = self.rates.entry(settings.name.clone()).or_default();
        rates.look(now.at.0, counts.records);
        let tally = status.outcomes.tally();
        let named =
            |counts: BTreeMap<&'static str, u64>| counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        status::Stream {
            name: settings.name.clone(),
            report_suite: settings.report_suite.clone(),
            topic: settings.outputs[0].settings().topic.to_string(),
            dead_letter_topic: settings.outputs[0].dead_letter_topic().to_owned(),
            connections: (0..)
                .zip(&status.slots)
                .map(|(nth, slot)| connection(nth, slot, settings.backfill_horizon, now))
                .collect(),
            delivery: worst(&outputs),
            outputs,
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

/// `backlog_bytes` of an output that has no cursor yet are none.
fn output_of(output: &Output, status: &OutputStatus, backlog_bytes: Option<u64>, now: &Now) -> status::Output {
    // What was held up may have gone another way, such as into the quarantine: where nothing waits, nothing is held up.
    let faring = if backlog_bytes == Some(0) {
        Delivery::Well
    } else {
        status.delivery.now()
    };
    let (counts, measures) = (status.counters.snapshot(), &status.measures);
    status::Output {
        name: output.name().to_owned(),
        topic: output.settings().topic.to_string(),
        delivery: status::Delivery {
            last_seconds: measures
                .last_delivery()
                .map(|at| seconds(now.instant.saturating_duration_since(at))),
            ..delivery(&faring, now)
        },
        backlog_bytes: backlog_bytes.unwrap_or_default(),
        delivered: counts.delivered,
        delivery_failures: counts.delivery_failures,
        rewinds: counts.rewinds,
        duplicates: counts.duplicates,
        filtered: counts.filtered,
        incomplete: counts.incomplete,
        dead_letters: counts.dead_letters,
        quarantined: counts.quarantined,
        quarantine_failures: counts.quarantine_failures,
        delivery_latency: measures.delivery_latency.snapshot(),
    }
}

/// The delivery that has not been well for the longest, which says of which output it is if there are several; else that of the first. When Kafka last took something is of that output, too.
fn worst(outputs: &[status::Output]) -> status::Delivery {
    let since = |output: &&status::Output| output.delivery.since_seconds.unwrap_or(-1.0);
    let worst = outputs
        .iter()
        .rev()
        .max_by(|one, other| since(one).total_cmp(&since(other)));
    let Some(output) = worst else {
        return status::Delivery::default();
    };
    let mut delivery = output.delivery.clone();
    if outputs.len() > 1 && delivery.state != DeliveryState::Well {
        let of = format!("output {}", output.name);
        delivery.reason = Some(match delivery.reason {
            Some(reason) => format!("{of}: {reason}"),
            None => of,
        });
    }
    delivery
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
#[path = "survey_tests.rs"]
mod tests;
