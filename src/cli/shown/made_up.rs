//! A made-up daemon in trouble of several kinds, for tests of what is shown.

use crate::lifecycle::answers::find;
use crate::status::{
    Connection, ConnectionState, Daemon, Delivery, DeliveryState, Disconnect, FORMAT, Gap, Journal, Journals, Kafka,
    LastReload, Quarantine, Rates, Reason, Stream, hindrances,
};
use crate::telemetry::events::Event;

const MIB: u64 = 1024 * 1024;

/// Four streams: `app` gets 404, `shop` has two connections of which one waits, `sync` cannot deliver, `web` is well.
pub(in crate::cli) fn daemon() -> Daemon {
    let mut daemon = Daemon {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        at: "2026-11-21T10:00:00Z".to_owned(),
        started: "2026-11-18T06:00:00Z".to_owned(),
        uptime_seconds: 273_600.0,
        streams: vec![app(), shop(), sync(), web()],
        kafka: Kafka {
            brokers: "kafka-1:9092,kafka-2:9092".to_owned(),
            brokers_up: 1,
            brokers_known: 2,
            producers: 2,
            queue_records: 12,
            connection_errors: 7,
            round_trip_seconds: Some(0.0024),
            ..Kafka::default()
        },
        journals: Journals {
            held_bytes: 1229 * MIB,
            max_bytes: 20 * 1024 * MIB,
            ..Journals::default()
        },
        quarantine: Quarantine {
            files: 3,
            bytes: 12 * 1024,
            max_bytes: 1024 * MIB,
            oldest_seconds: 183_600,
            ..Quarantine::default()
        },
        last_reload: Some(LastReload {
            at: "2026-11-21T09:15:00Z".to_owned(),
            ok: true,
            summary: "1 stream added".to_owned(),
            needs_restart: vec!["state_dir".to_owned()],
            faults: Vec::new(),
        }),
        events: vec![
            event(41, "INFO", "web", "streaming", &[]),
            event(42, "WARN", "sync", "Kafka did not take records", &[("failures", "5")]),
            event(
                43,
                "ERROR",
                "app",
                "the service refused the stream",
                &[("status", "404"), ("wait", "10m")],
            ),
        ],
        ..Daemon::default()
    };
    daemon.hindrances = hindrances(&daemon);
    daemon.ready = daemon.hindrances.is_empty();
    daemon
}

/// The same daemon when all is well.
pub(in crate::cli) fn well() -> Daemon {
    let mut daemon = daemon();
    daemon.streams = vec![web()];
    (daemon.hindrances, daemon.ready) = (Vec::new(), true);
    daemon
}

/// Holds `text` against the file `name` below src/cli. With `LIVESTREAMD_WRITE_SNAPSHOTS` set it writes the file instead, for a person to
/// look at before it is committed.
#[track_caller]
pub(in crate::cli) fn snapshot(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/cli")
        .join(name);
    let text = format!("{}\n", text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    if std::env::var_os("LIVESTREAMD_WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{name} has\n{wanted}\nand this is\n{text}");
}

fn app() -> Stream {
    Stream {
        connections: vec![Connection {
            remaining_seconds: Some(560.0),
            since_seconds: 40.0,
            reason: Some(reason("404", "the service answered 404 Not Found: no such endpoint")),
            failing: true,
            failures: 4,
            gap: Some(Gap {
                from: "2026-11-21T09:20:00Z".to_owned(),
                seconds: 2400.0,
                probable: true,
            }),
            ..Connection::default()
        }],
        connects: [("404".to_owned(), 4)].into(),
        ..stream("app")
    }
}

fn shop() -> Stream {
    Stream {
        connections: vec![
            streaming(11_520.0),
            Connection {
                slot: 1,
                remaining_seconds: Some(46.3),
                since_seconds: 13.7,
                reason: Some(reason("closed", "the service closed the stream")),
                last_disconnect: Some(Disconnect {
                    at: "2026-11-21T09:59:46Z".to_owned(),
                    ago_seconds: 13.7,
                    lasted_seconds: 86_400.0,
                    reason: reason("closed", "the service closed the stream"),
                }),
                ..Connection::default()
            },
        ],
        rates: rates(23.5),
        upstream_lag_seconds: Some(34.0),
        ..stream("shop")
    }
}

fn sync() -> Stream {
    Stream {
        connections: vec![streaming(90_000.0)],
        delivery: Delivery {
            state: DeliveryState::SetBack,
            since_seconds: Some(95.0),
            retry_seconds: Some(7.0),
            reason: Some("not enough in-sync replicas".to_owned()),
            advice: Some("see to the brokers that are down".to_owned()),
            failures: 5,
            last_seconds: Some(95.0),
        },
        journal: Journal {
            backlog_bytes: 1024 * MIB,
            backlog_records: Some(350_000),
            oldest_seconds: Some(95.0),
            held_bytes: 1100 * MIB,
            max_bytes: 8192 * MIB,
            ..Journal::default()
        },
        rates: rates(3680.0),
        upstream_lag_seconds: Some(41.0),
        ..stream("sync")
    }
}

fn web() -> Stream {
    Stream {
        connections: vec![streaming(1_234_567.0)],
        rates: rates(0.25),
        upstream_lag_seconds: Some(28.0),
        delivery: Delivery {
            last_seconds: Some(0.4),
            ..Delivery::default()
        },
        ..stream("web")
    }
}

fn stream(name: &str) -> Stream {
    Stream {
        name: name.to_owned(),
        report_suite: format!("example{name}prod"),
        topic: format!("livestream.{name}"),
        dead_letter_topic: "livestream.dead-letters".to_owned(),
        ..Stream::default()
    }
}

fn streaming(since_seconds: f64) -> Connection {
    Connection {
        state: ConnectionState::Streaming,
        since: "2026-11-21T06:48:00Z".to_owned(),
        since_seconds,
        last_byte_seconds: Some(0.2),
        ..Connection::default()
    }
}

/// Rises to a peak, pauses, and comes back. Whole numbers, which JSON brings back as they were.
fn rates(now: f64) -> Rates {
    let point = |nth: u32| match nth {
        0..30 => f64::from(2 * nth),
        30..36 => 0.0,
        _ => 30.0,
    };
    Rates {
        now,
        step_seconds: 10.0,
        history: (0..90).map(point).collect(),
    }
}

/// A reason in the words that the daemon itself would use.
pub(in crate::cli) fn reason(name: &str, text: &str) -> Reason {
    let one = find(name)[0];
    Reason {
        name: one.name.to_owned(),
        title: one.title.to_owned(),
        text: text.to_owned(),
        means: one.means.to_owned(),
        daemon: one.daemon(),
        operator: one.operator.to_owned(),
    }
}

fn event(seq: u64, level: &str, stream: &str, text: &str, fields: &[(&str, &str)]) -> Event {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Event {
        seq,
        at: format!("2026-11-21T09:59:{:02}.120Z", seq % 60),
        level: level.to_owned(),
        stream: Some(stream.to_owned()),
        text: text.to_owned(),
        fields: fields.collect(),
        ..Event::default()
    }
}
