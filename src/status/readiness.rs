//! Does it work? Ready means: every stream streams or is in a cooldown in the normal course of things, every journal takes batches, and
//! Kafka takes records. A daemon that is up but moves nothing is not ready.
//!
//! Promise: pure, and decided from the same model that people see, so that each hindrance can be found on the page.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::{Connection, ConnectionState, Daemon, DeliveryState, JournalState, Output, Stream};

/// So long may Kafka refuse or be silent before that is a hindrance: a change of leaders, or a broker that is restarted, passes by itself.
pub const KAFKA_GRACE_SECONDS: f64 = 30.0;
/// So long may it take after a start until the backlog is first read.
pub const UNREAD_GRACE_SECONDS: f64 = 300.0;
/// An attempt to connect takes no longer than this, or something is stuck. (Its own limits are `connect_timeout`, three times at most.)
pub const ATTEMPT_GRACE_SECONDS: f64 = 15.0 * 60.0;

/// Something that keeps the daemon from being ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hindrance {
    /// Which kind: a short fixed name.
    pub kind: HindranceKind,
    /// Which stream, if it is one stream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Which of the stream's connections, if it is one connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u8>,
    /// What is the matter.
    pub text: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The kinds of hindrances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HindranceKind {
    /// The daemon was told to stop.
    #[default]
    Stopping,
    /// A connection does not come about.
    Upstream,
    /// A journal takes no batches, or cannot be read back.
    Journal,
    /// Kafka takes no records, or not fast enough.
    Kafka,
}

impl HindranceKind {
    /// As JSON and people have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Upstream => "upstream",
            Self::Journal => "journal",
            Self::Kafka => "kafka",
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.stream, self.slot) {
            (Some(stream), Some(slot)) => write!(f, "stream {stream}, connection {slot}: {}", self.text)?,
            (Some(stream), None) => write!(f, "stream {stream}: {}", self.text)?,
            (None, _) => f.write_str(&self.text)?,
        }
        match &self.advice {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

/// Everything that keeps the daemon from being ready. Looks at all but `ready` and `hindrances`.
pub fn hindrances(daemon: &Daemon) -> Vec<Hindrance> {
    let mut found = Vec::new();
    if daemon.stopping {
        found.push(Hindrance {
            kind: HindranceKind::Stopping,
            text: "stopping: connections are closed, and what was read is delivered".to_owned(),
            ..Hindrance::default()
        });
        // Connections that are closed on purpose are no trouble.
        return found;
    }
    for stream in &daemon.streams {
        let several = stream.connections.len() > 1;
        found.extend(stream.connections.iter().filter_map(|connection| {
            upstream(connection).map(|(text, advice)| Hindrance {
                kind: HindranceKind::Upstream,
                stream: Some(stream.name.clone()),
                slot: several.then_some(connection.slot),
                text,
                advice,
            })
        }));
        found.extend(journal(stream));
        found.extend(kafka(stream, daemon.uptime_seconds));
    }
    found
}

fn upstream(connection: &Connection) -> Option<(String, Option<String>)> {
    match connection.state {
        ConnectionState::Streaming => None,
        ConnectionState::Authorizing | ConnectionState::Connecting
            if connection.since_seconds > ATTEMPT_GRACE_SECONDS =>
        {
            let text = format!(
                "an attempt to connect has been out for {:.0} s",
                connection.since_seconds
            );
            Some((text, Some("restart the daemon, and report this".to_owned())))
        }
        ConnectionState::Waiting | ConnectionState::Authorizing | ConnectionState::Connecting
            if !connection.failing =>
        {
            None
        }
        ConnectionState::Waiting | ConnectionState::Authorizing | ConnectionState::Connecting => {
            let attempts = match connection.failures.max(connection.tries) {
                1 => "1 attempt".to_owned(),
                n => format!("{n} attempts"),
            };
            let (text, advice) = connection.reason.as_ref().map_or_else(Default::default, |reason| {
                (reason.text.as_str(), Some(reason.operator.clone()))
            });
            Some((format!("no connection after {attempts}: {text}"), advice))
        }
        ConnectionState::Stopped => Some(("its connection was stopped".to_owned(), None)),
    }
}

fn journal(stream: &Stream) -> Option<Hindrance> {
    let journal = &stream.journal;
    let said = journal.trouble.as_deref().unwrap_or("no details");
    let (text, advice) = match (journal.state, &journal.read_trouble) {
        (JournalState::Good, None) => return None,
        (JournalState::Good, Some(said)) => (
            format!("the journal cannot be read back: {said}"),
            "see to the disk under state_dir; nothing behind that place is delivered until it can be read",
        ),
        (JournalState::Full, _) => match slowest(stream).next() {
            None => (
                "the journal is full: reading has paused".to_owned(),
                "see why Kafka does not take records, or give the journal more room (journal.max_bytes)",
            ),
            Some(Output { name, .. }) => (
                format!("the journal is full, because of output {name}: reading has paused, for all outputs"),
                "see why Kafka does not take its records; a further output that cannot be mended soon may be taken out of the configuration (reload): what it has not got is then given up for it",
            ),
        },
        (JournalState::DiskFull, _) => (
            format!("the disk is full: reading has paused: {said}"),
            "make room on the file system of state_dir",
        ),
        (JournalState::DiskFailing, _) => (
            format!("the disk fails: reading has paused: {said}"),
            "see to the disk under state_dir",
        ),
    };
    Some(Hindrance {
        kind: HindranceKind::Journal,
        stream: Some(stream.name.clone()),
        slot: None,
        text,
        advice: Some(advice.to_owned()),
    })
}

fn kafka(stream: &Stream, uptime_seconds: f64) -> Option<Hindrance> {
    let delivery = &stream.delivery;
    let since = delivery.since_seconds.unwrap_or_default();
    let reason = delivery.reason.as_deref().unwrap_or("no reason was given");
    let (waited, whose) = waited(stream, uptime_seconds);
    let (text, advice) = match delivery.state {
        DeliveryState::SetBack if since > KAFKA_GRACE_SECONDS => (
            format!("Kafka has not taken records for {since:.0} s: {reason}"),
            delivery.advice.clone(),
        ),
        DeliveryState::Stalled if since > KAFKA_GRACE_SECONDS => {
            let text = waits_in_vain(since);
            // Which output's, if there are several.
            let text = match &delivery.reason {
                Some(whose) => format!("{whose}: {text}"),
                None => text,
            };
            (text, Some(SEE_TO_KAFKA.to_owned()))
        }
        DeliveryState::Well | DeliveryState::SetBack | DeliveryState::Stalled if waited > KAFKA_GRACE_SECONDS => {
            let text = waits_in_vain(waited);
            let text = match whose {
                Some(output) => format!("output {output}: {text}"),
                None => text,
            };
            (text, Some(SEE_TO_KAFKA.to_owned()))
        }
        DeliveryState::Well | DeliveryState::SetBack | DeliveryState::Stalled => return None,
    };
    Some(Hindrance {
        kind: HindranceKind::Kafka,
        stream: Some(stream.name.clone()),
        slot: None,
        text,
        advice,
    })
}

/// The outputs that are furthest behind, if there are several: the oldest record is what they wait with.
fn slowest(stream: &Stream) -> impl Iterator<Item = &Output> {
    let has_several = stream.outputs.len() > 1;
    let is_slowest = move |output: &&Output| has_several && output.backlog_bytes >= stream.journal.backlog_bytes;
    stream.outputs.iter().filter(is_slowest)
}

/// For how long records have waited while nothing was delivered to their output, and which that is if there are several.
fn waited(stream: &Stream, uptime_seconds: f64) -> (f64, Option<&str>) {
    let of = |last_seconds: Option<f64>| {
        // However old the records are: while deliveries go on, a backlog is being worked off.
        let quiet = last_seconds.unwrap_or(uptime_seconds);
        match stream.journal.oldest_seconds {
            Some(oldest) => oldest.min(quiet),
            // Nobody has come to read the backlog yet. The ids on disk come before it, which takes a while.
            None if stream.journal.backlog_bytes > 0 && quiet > UNREAD_GRACE_SECONDS => quiet,
            None => 0.0,
        }
    };
    if stream.outputs.len() < 2 {
        return (of(stream.delivery.last_seconds), None);
    }
    let waits = slowest(stream).map(|output| (of(output.delivery.last_seconds), Some(output.name.as_str())));
    waits
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .unwrap_or_default()
}

fn waits_in_vain(seconds: f64) -> String {
    format!("records have waited for {seconds:.0} s without any delivery report")
}

const SEE_TO_KAFKA: &str = "see whether the brokers are up and reachable, and whether the topic's leader is";

#[cfg(test)]
mod tests {
    use super::super::model::{Delivery, Journal, Reason};
    use super::*;

    fn streaming() -> Connection {
        Connection {
            state: ConnectionState::Streaming,
            ..Connection::default()
        }
    }

    fn daemon(stream: Stream) -> Daemon {
        let healthy = Stream {
            name: "well".to_owned(),
            connections: vec![streaming()],
            ..Stream::default()
        };
        Daemon {
            uptime_seconds: 10_000.0,
            streams: vec![
                healthy,
                Stream {
                    name: "web".to_owned(),
                    ..stream
                },
            ],
            ..Daemon::default()
        }
    }

    fn with_connection(connection: Connection) -> Vec<Hindrance> {
        hindrances(&daemon(Stream {
            connections: vec![connection],
            ..Stream::default()
        }))
    }

    fn with(delivery: Delivery, journal: Journal) -> Vec<Hindrance> {
        hindrances(&daemon(Stream {
            connections: vec![streaming()],
            delivery,
            journal,
            ..Stream::default()
        }))
    }

    fn the_one(found: &[Hindrance], kind: HindranceKind) -> String {
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].kind, found[0].stream.as_deref()), (kind, Some("web")));
        found[0].to_string()
    }

    #[test]
    fn who_streams_or_waits_in_the_normal_course_of_things_is_ready() {
        assert_eq!(with_connection(streaming()), []);
        for state in [
            ConnectionState::Waiting,
            ConnectionState::Authorizing,
            ConnectionState::Connecting,
        ] {
            let connection = Connection {
                state,
                since_seconds: 60.0,
                failures: 2,
                ..Connection::default()
            };
            assert_eq!(with_connection(connection), [], "{state:?}");
        }
    }

    #[test]
    fn a_failing_connection_is_told_of_with_what_to_do() {
        let found = with_connection(Connection {
            failing: true,
            failures: 4,
            reason: Some(Reason {
                text: "the service answered 404".to_owned(),
                operator: "check the url".to_owned(),
                ..Reason::default()
            }),
            ..Connection::default()
        });
        assert_eq!(
            the_one(&found, HindranceKind::Upstream),
            "stream web: no connection after 4 attempts: the service answered 404 (check the url)"
        );
    }

    #[test]
    fn an_attempt_that_never_ends_and_a_connection_that_was_stopped_are_hindrances() {
        for (state, since_seconds) in [
            (ConnectionState::Connecting, 1000.0),
            (ConnectionState::Authorizing, 1000.0),
            (ConnectionState::Stopped, 0.0),
        ] {
            let found = with_connection(Connection {
                state,
                since_seconds,
                ..Connection::default()
            });
            the_one(&found, HindranceKind::Upstream);
        }
    }

    #[test]
    fn a_journal_that_takes_nothing_or_cannot_be_read_is_a_hindrance() {
        for (state, read_trouble) in [
            (JournalState::Full, None),
            (JournalState::DiskFull, None),
            (JournalState::DiskFailing, None),
            (JournalState::Good, Some("input/output error".to_owned())),
        ] {
            let journal = Journal {
                state,
                read_trouble,
                ..Journal::default()
            };
            the_one(&with(Delivery::default(), journal), HindranceKind::Journal);
        }
    }

    #[test]
    fn kafka_is_a_hindrance_only_after_a_while() {
        for state in [DeliveryState::SetBack, DeliveryState::Stalled] {
            let since = |seconds| Delivery {
                state,
                since_seconds: Some(seconds),
                ..Delivery::default()
            };
            assert_eq!(with(since(29.0), Journal::default()), []);
            the_one(&with(since(31.0), Journal::default()), HindranceKind::Kafka);
            let of_an_output = Delivery {
                reason: Some("output sold".to_owned()),
                ..since(31.0)
            };
            let found = with(of_an_output, Journal::default());
            assert!(found[0].text.contains("output sold"), "{found:?}");
        }
    }

    #[test]
    fn an_old_backlog_is_none_while_deliveries_go_on() {
        let found = |oldest, last_seconds| {
            let journal = Journal {
                oldest_seconds: Some(oldest),
                ..Journal::default()
            };
            let delivery = Delivery {
                last_seconds,
                ..Delivery::default()
            };
            with(delivery, journal)
        };
        assert_eq!(found(100_000.0, Some(2.0)), [], "it is being worked off");
        assert_eq!(found(5.0, Some(1000.0)), [], "a quiet stream has just had a hit");
        the_one(&found(40.0, Some(40.0)), HindranceKind::Kafka);
        the_one(&found(40.0, None), HindranceKind::Kafka);
    }

    /// A stream with two outputs: how far behind each is, in bytes, and how long ago it had a delivery.
    fn of_two(state: JournalState, oldest: f64, default: (u64, f64), sold: (u64, f64)) -> Vec<Hindrance> {
        let output = |name: &str, (backlog_bytes, last_seconds)| Output {
            name: name.to_owned(),
            backlog_bytes,
            delivery: Delivery {
                last_seconds: Some(last_seconds),
                ..Delivery::default()
            },
            ..Output::default()
        };
        hindrances(&daemon(Stream {
            connections: vec![streaming()],
            delivery: Delivery {
                last_seconds: Some(default.1),
                ..Delivery::default()
            },
            journal: Journal {
                state,
                oldest_seconds: Some(oldest),
                backlog_bytes: default.0.max(sold.0),
                ..Journal::default()
            },
            outputs: vec![output("default", default), output("sold", sold)],
            ..Stream::default()
        }))
    }

    #[test]
    fn each_output_is_asked_for_its_own_deliveries() {
        let good = JournalState::Good;
        let works_it_off = of_two(good, 1_200.0, (0, 3_600.0), (1 << 30, 0.1));
        assert_eq!(works_it_off, [], "the other one is quiet");
        let found = the_one(&of_two(good, 1_200.0, (0, 0.1), (1 << 30, 900.0)), HindranceKind::Kafka);
        assert!(found.contains("output sold: records have waited for 900 s"), "{found}");
    }

    #[test]
    fn a_full_journal_names_the_output_that_has_filled_it() {
        let full = of_two(JournalState::Full, 5.0, (10, 0.1), (1 << 30, 0.1));
        let found = the_one(&full, HindranceKind::Journal);
        assert!(
            found.contains("because of output sold") && found.contains("taken out"),
            "{found}"
        );
    }

    #[test]
    fn a_backlog_that_nobody_reads_is_one() {
        let mut daemon = daemon(Stream {
            connections: vec![streaming()],
            journal: Journal {
                backlog_bytes: 1,
                ..Journal::default()
            },
            ..Stream::default()
        });
        daemon.uptime_seconds = 200.0;
        assert_eq!(hindrances(&daemon), []);
        daemon.uptime_seconds = 400.0;
        the_one(&hindrances(&daemon), HindranceKind::Kafka);
    }

    #[test]
    fn a_stop_is_one_hindrance_and_hides_what_it_causes() {
        let mut daemon = daemon(Stream {
            connections: vec![Connection {
                state: ConnectionState::Stopped,
                ..Connection::default()
            }],
            ..Stream::default()
        });
        daemon.stopping = true;
        let found = hindrances(&daemon);
        assert_eq!((found.len(), found[0].kind), (1, HindranceKind::Stopping));
    }
}
