//! A made-up daemon in which nothing is missing and no number occurs twice.

use std::collections::BTreeMap;

use serde_json::{Number, Value, json};

use crate::status::readiness::HindranceKind;
use crate::status::{
    Connection, ConnectionState, Credential, Daemon, Delivery, DeliveryState, Disconnect, Gap, Hindrance, Journal,
    JournalState, LastReload, Output, Stream,
};
use crate::telemetry::events::Event;
use crate::telemetry::histogram::{Bucket, Histogram};

/// The daemon.
pub fn daemon() -> Daemon {
    let daemon = Daemon {
        version: "1.2.3".to_owned(),
        at: "2026-01-02T03:04:06.000Z".to_owned(),
        started: "2026-01-02T03:04:05.250Z".to_owned(),
        ready: true,
        stopping: true,
        hindrances: vec![
            Hindrance {
                kind: HindranceKind::Journal,
                stream: Some("web".to_owned()),
                slot: Some(0),
                ..Hindrance::default()
            },
            Hindrance {
                kind: HindranceKind::Kafka,
                ..Hindrance::default()
            },
        ],
        streams: vec![stream()],
        journals: crate::status::Journals {
            sync_seconds: histogram(),
            ..crate::status::Journals::default()
        },
        kafka: crate::status::Kafka {
            brokers: "kafka:9092".to_owned(),
            round_trip_seconds: Some(0.0),
            ..crate::status::Kafka::default()
        },
        credentials: vec![Credential {
            name: "default".to_owned(),
            token_age_seconds: Some(0.0),
            token_expires_seconds: Some(0.0),
            ..Credential::default()
        }],
        last_reload: Some(LastReload {
            at: "2026-02-03T04:05:06.500Z".to_owned(),
            ok: true,
            ..LastReload::default()
        }),
        events: vec![Event {
            slot: Some(0),
            stream: Some("web".to_owned()),
            ..Event::default()
        }],
        ..Daemon::default()
    };
    let mut json = serde_json::to_value(daemon).unwrap();
    number(&mut json, &mut 0);
    serde_json::from_value(json).unwrap()
}

fn stream() -> Stream {
    let counted = |name: &str| BTreeMap::from([(name.to_owned(), 0)]);
    Stream {
        name: "web".to_owned(),
        report_suite: "examplecomprod".to_owned(),
        topic: "livestream.web".to_owned(),
        dead_letter_topic: "livestream.dead-letter".to_owned(),
        connections: vec![
            Connection {
                state: ConnectionState::Waiting,
                remaining_seconds: Some(0.0),
                last_byte_seconds: Some(0.0),
                last_disconnect: Some(Disconnect::default()),
                gap: Some(Gap::default()),
                failing: true,
                ..Connection::default()
            },
            Connection {
                state: ConnectionState::Streaming,
                ..Connection::default()
            },
        ],
        delivery: Delivery {
            state: DeliveryState::SetBack,
            since_seconds: Some(0.0),
            retry_seconds: Some(0.0),
            last_seconds: Some(0.0),
            ..Delivery::default()
        },
        journal: Journal {
            state: JournalState::DiskFull,
            trouble: Some("no room".to_owned()),
            read_trouble: Some("no such place".to_owned()),
            backlog_records: Some(0),
            oldest_seconds: Some(0.0),
            faults: counted("cuts"),
            ..Journal::default()
        },
        outputs: ["default", "purchases"].map(output).to_vec(),
        connects: [counted("streaming"), counted("503")].into_iter().flatten().collect(),
        disconnects: counted("closed"),
        rates: crate::status::Rates {
            history: vec![0.0],
            ..crate::status::Rates::default()
        },
        upstream_lag: histogram(),
        upstream_lag_seconds: Some(0.0),
        delivery_latency: histogram(),
        delivery_latency_seconds: Some(0.0),
        ..Stream::default()
    }
}

fn output(name: &str) -> Output {
    Output {
        name: name.to_owned(),
        topic: name.to_owned(),
        delivery: Delivery {
            last_seconds: Some(0.0),
            ..Delivery::default()
        },
        filtered: ["bots", "internal"].map(|name| (name.to_owned(), 0)).into(),
        delivery_latency: histogram(),
        ..Output::default()
    }
}

fn histogram() -> Histogram {
    Histogram {
        buckets: vec![Bucket::default(); 2],
        ..Histogram::default()
    }
}

/// Gives each number one of its own, in their order: whole ones stay whole.
fn number(json: &mut Value, next: &mut u32) {
    each_number(json, &mut String::new(), &mut |_, value| {
        *next += 1;
        *value = match value.as_u64() {
            Some(_) => json!(*next),
            None => json!(f64::from(*next) + 0.5),
        };
    });
}

/// Every number, with the way to it: names, and nothing for a place in a list.
pub fn each_number(json: &mut Value, way: &mut String, see: &mut impl FnMut(&str, &mut Value)) {
    match json {
        Value::Number(_) => see(way, json),
        Value::Array(all) => all.iter_mut().for_each(|one| each_number(one, way, see)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let length = way.len();
                if length > 0 {
                    way.push('.');
                }
                way.push_str(name);
                each_number(value, way, see);
                way.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The same number and a bit.
pub fn more(number: &Number) -> Value {
    match number.as_u64() {
        Some(whole) => json!(whole + 1),
        None => json!(number.as_f64().unwrap() + 1.0),
    }
}
