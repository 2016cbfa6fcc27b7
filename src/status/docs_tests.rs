//! docs/status.md from the doc comments of the model and an example: each field is in it, in the words that stand beside it in the code.
//!
//! Renew it by `LIVESTREAMD_RENEW_DOCS=1 cargo test --lib status::docs_tests`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::readiness::HindranceKind;
use super::*;
use crate::telemetry::events::Event;
use crate::telemetry::histogram::{Bucket, Histogram};

const SOURCES: [&str; 6] = [
    include_str!("model.rs"),
    include_str!("readiness.rs"),
    include_str!("rate.rs"),
    include_str!("../telemetry/events.rs"),
    include_str!("../telemetry/histogram.rs"),
    include_str!("../telemetry/counters.rs"),
];
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.md");
/// What stands before this was written by hand.
const BEGINS: &str = "<!-- What follows is made by src/status/docs_tests.rs -->\n";

/// What a type is, by the source.
struct Described<'s> {
    is_enum: bool,
    /// Name, type and description.
    members: Vec<(&'s str, &'s str, String)>,
}

#[test]
fn the_page_about_the_status_says_what_the_model_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (by_hand, made) = page.split_once(BEGINS).unwrap();
    let now = tables() + &example_as_text();
    if std::env::var_os("LIVESTREAMD_RENEW_DOCS").is_some() {
        std::fs::write(PAGE, format!("{by_hand}{BEGINS}{now}")).unwrap();
    } else {
        assert_eq!(
            made, now,
            "docs/status.md is old: the head of this file says how to renew it"
        );
    }
}

#[test]
fn the_page_names_every_field_of_the_example() {
    let tables = tables();
    let mut keys = Vec::new();
    collect_keys(&serde_json::to_value(example()).unwrap(), &mut keys);
    assert!(keys.len() > 100, "{keys:?}");
    for key in keys
        .iter()
        .filter(|key| !["streaming", "503", "reset", "damaged", "gap_s", "bots"].contains(&key.as_str()))
    {
        assert!(tables.contains(&format!("| `{key}` |")), "{key} is not described");
    }
}

#[test]
fn the_example_can_be_read_back() {
    let text = example_as_text();
    let json = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(serde_json::from_str::<Daemon>(json).unwrap(), example());
}

fn collect_keys(value: &serde_json::Value, keys: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        keys.push(key.clone());
        collect_keys(value, keys);
    }
    for value in value.as_array().into_iter().flatten() {
        collect_keys(value, keys);
    }
}

/// A table for each type, the daemon's first, then in the order in which they are met.
fn tables() -> String {
    let types: BTreeMap<&str, Described<'_>> = SOURCES.iter().flat_map(|source| describe(source)).collect();
    let (mut text, mut names, mut nth) = (String::new(), vec!["Daemon"], 0);
    while let Some(name) = names.get(nth).copied() {
        nth += 1;
        let described = &types[name];
        let head = if described.is_enum {
            "| value | |\n| --- | --- |"
        } else {
            "| field | | |\n| --- | --- | --- |"
        };
        writeln!(text, "\n### {name}\n\n{head}").unwrap();
        for (member, of_type, says) in &described.members {
            if described.is_enum {
                writeln!(text, "| `{member}` | {says} |").unwrap();
                continue;
            }
            let met = types.keys().find(|known| words(of_type).any(|word| word == **known));
            if let Some(met) = met
                && !names.contains(met)
            {
                names.push(met);
            }
            writeln!(text, "| `{member}` | {} | {says} |", in_words(of_type, met.copied())).unwrap();
        }
    }
    text
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
}

/// A type for people.
fn in_words(of_type: &str, met: Option<&str>) -> String {
    let inner = |outer: &str| of_type.strip_prefix(outer)?.strip_suffix('>');
    if let Some(of_type) = inner("Option<") {
        return in_words(of_type, met) + ", or absent";
    }
    if let Some(of_type) = inner("Vec<") {
        return format!("list of {}", in_words(of_type, met));
    }
    if let Some(of_type) = inner("BTreeMap<String, ") {
        return format!("object of {}", in_words(of_type, met));
    }
    match (met, of_type) {
        (Some(met), _) => format!("[{met}](#{})", met.to_lowercase()),
        (None, "String") => "text".to_owned(),
        (None, "bool") => "true or false".to_owned(),
        (None, "u8" | "u32" | "u64" | "f64") => "number".to_owned(),
        (None, other) => panic!("what is {other} in JSON?"),
    }
}

/// Every type of a source that JSON has, by its name.
fn describe(source: &str) -> Vec<(&str, Described<'_>)> {
    let mut found = Vec::new();
    let mut lines = source.lines().map(str::trim_start);
    while let Some(line) = lines.next() {
        let (is_enum, name) = match line {
            "counters! {" => (false, "StreamSnapshot"),
            "dead_letter_counters! {" => (false, "DeadLetterSnapshot"),
            _ => {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["pub", "struct", name, "{"] => (false, name),
                    ["pub", "enum", name, "{"] => (true, name),
                    _ => continue,
                }
            }
        };
        let is_macro = line.ends_with("! {");
        if !is_macro && line.contains('$') {
            continue;
        }
        let (mut members, mut says) = (Vec::new(), String::new());
        for line in lines.by_ref().take_while(|line| *line != "}") {
            if let Some(doc) = line.strip_prefix("///") {
                says.push_str(doc);
                continue;
            }
            let member = line.trim_end_matches(',');
            if member.is_empty() || member.starts_with('#') {
                continue;
            }
            let (name, of_type) = if is_macro {
                (member.split(':').next().unwrap(), "u64")
            } else if is_enum {
                (member, "")
            } else if let Some((name, of_type)) = member.strip_prefix("pub ").and_then(|member| member.split_once(": "))
            {
                (name, of_type)
            } else {
                says.clear();
                continue;
            };
            members.push((name, of_type, plain(&std::mem::take(&mut says))));
        }
        if name == "StreamSnapshot" && is_macro {
            let says = "Records that went to the dead-letter topic, by reason.".to_owned();
            members.push(("dead_letters", "DeadLetterSnapshot", says));
            let says = "Hits that a filter has held back, by its name.".to_owned();
            members.push(("filtered", "BTreeMap<String, u64>", says));
        }
        if is_macro || !name.ends_with("Snapshot") {
            found.push((name, Described { is_enum, members }));
        }
    }
    for (_, described) in found.iter_mut().filter(|(_, described)| described.is_enum) {
        for (name, _, _) in &mut described.members {
            *name = Box::leak(snake_case(name).into_boxed_str());
        }
    }
    found
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// A doc comment without links into the code.
fn plain(says: &str) -> String {
    says.trim()
        .trim_end_matches('.')
        .replace("[`FORMAT`]", &format!("The version of this format, {FORMAT} now"))
        .replace("[`STEP`]", &humantime::format_duration(rate::STEP).to_string())
        .replace("[`NotAHit::", "`")
        .replace("[`DeadLetterReason::", "`")
        .replace("[`", "`")
        .replace("`]", "`")
        .replace('|', "\\|")
}

fn example_as_text() -> String {
    let json = serde_json::to_string_pretty(&example()).unwrap();
    format!(
        "\n## An example\n\nEach field once, whether or not all of it could be at the same time.\n\n```json\n{json}\n```\n"
    )
}

/// A daemon with every field.
fn example() -> Daemon {
    let text = str::to_owned;
    let histogram = || Histogram {
        buckets: vec![Bucket { le: 0.5, count: 90 }, Bucket { le: 1.0, count: 99 }],
        count: 100,
        sum: 31.5,
    };
    let reason = || Reason {
        name: text("503"),
        title: text("503 Service Unavailable"),
        text: text("status 503"),
        means: text("the service has not noticed yet that an earlier connection is gone"),
        daemon: text("waits a cooldown (60 s)"),
        operator: text("nothing, unless it goes on"),
    };
    let connection = Connection {
        slot: 0,
        state: ConnectionState::Waiting,
        since: text("2026-03-01T12:00:00.000Z"),
        since_seconds: 20.0,
        until: Some(text("2026-03-01T12:01:00.000Z")),
        remaining_seconds: Some(40.0),
        reason: Some(reason()),
        failing: true,
        failures: 2,
        tries: 0,
        last_byte_seconds: Some(80.5),
        last_disconnect: Some(Disconnect {
            at: text("2026-03-01T11:59:00.000Z"),
            ago_seconds: 80.0,
            lasted_seconds: 86_400.0,
            reason: reason(),
        }),
        gap: Some(Gap {
            from: text("2026-03-01T11:59:00.000Z"),
            seconds: 80.0,
            probable: false,
        }),
    };
    let stream = Stream {
        name: text("web"),
        report_suite: text("examplecomprod"),
        topic: text("livestream.web"),
        dead_letter_topic: text("livestream.dead-letter"),
        connections: vec![connection],
        delivery: Delivery {
            state: DeliveryState::SetBack,
            since_seconds: Some(3.0),
            retry_seconds: Some(1.5),
            reason: Some(text("Broker: Not enough in-sync replicas")),
            advice: Some(text("see to the brokers")),
            failures: 1,
            last_seconds: Some(3.2),
        },
        journal: Journal {
            state: JournalState::DiskFull,
            trouble: Some(text("No space left on device")),
            read_trouble: Some(text("Input/output error")),
            backlog_bytes: 120_000,
            backlog_records: Some(80),
            oldest_seconds: Some(3.3),
            held_bytes: 67_108_864,
            max_bytes: 21_474_836_480,
            sync_lag_seconds: 0.02,
            faults: [(text("damaged"), 1)].into(),
        },
        outputs: vec![Output {
            name: text("default"),
            topic: text("livestream.web"),
            delivery: Delivery {
                last_seconds: Some(3.2),
                ..Delivery::default()
            },
            backlog_bytes: 120_000,
            delivered: 999_920,
            delivery_failures: 0,
            rewinds: 0,
            duplicates: 12,
            filtered: [(text("bots"), 7_000)].into(),
            incomplete: 0,
            dead_letters: crate::telemetry::counters::DeadLetterSnapshot {
                too_large_for_kafka: 2,
                ..Default::default()
            },
            quarantined: 2,
            quarantine_failures: 0,
            delivery_latency: histogram(),
        }],
        counts: crate::telemetry::counters::StreamSnapshot {
            connects: 3,
            hits: 1_000_000,
            delivered: 999_920,
            ..Default::default()
        },
        connects: [(text("streaming"), 1), (text("503"), 2)].into(),
        disconnects: [(text("reset"), 1)].into(),
        rates: Rates {
            now: 12.5,
            step_seconds: 10.0,
            history: vec![12.1, 12.9],
        },
        upstream_lag: histogram(),
        upstream_lag_seconds: Some(41.0),
        delivery_latency: histogram(),
        delivery_latency_seconds: Some(0.3),
    };
    let mut daemon = Daemon {
        format: FORMAT,
        version: text("0.1.0"),
        at: text("2026-03-01T12:00:20.000Z"),
        started: text("2026-02-28T11:00:00.000Z"),
        uptime_seconds: 90_020.0,
        stopping: false,
        ready: false,
        hindrances: Vec::new(),
        streams: vec![stream],
        kafka: Kafka {
            brokers: text("kafka-1:9092,kafka-2:9092"),
            brokers_up: 2,
            brokers_known: 3,
            producers: 1,
            rebuilds: 0,
            queue_records: 80,
            queue_bytes: 120_000,
            request_errors: 1,
            connection_errors: 1,
            round_trip_seconds: Some(0.004),
        },
        journals: Journals {
            held_bytes: 67_108_864,
            max_bytes: 107_374_182_400,
            sync_seconds: histogram(),
        },
        quarantine: Quarantine {
            files: 1,
            bytes: 2_000_000,
            max_bytes: 1_073_741_824,
            oldest_seconds: 3_600,
            kept: 1,
            not_kept: 0,
            removed_files: 0,
        },
        credentials: vec![Credential {
            name: text("default"),
            token_age_seconds: Some(3_600.0),
            token_expires_seconds: Some(82_800.0),
            fetches: 2,
            failures: 0,
        }],
        last_reload: Some(LastReload {
            at: text("2026-03-01T11:00:00.000Z"),
            ok: false,
            summary: text("refused: nothing was changed"),
            needs_restart: vec![text("admin.listen")],
            faults: vec![text("log.format = \"xml\": is none of auto, text, json")],
        }),
        events: vec![Event {
            seq: 17,
            at: text("2026-03-01T11:59:00.000Z"),
            level: text("WARN"),
            stream: Some(text("web")),
            slot: Some(0),
            text: text("disconnected"),
            fields: [(text("gap_s"), text("80"))].into(),
        }],
    };
    daemon.hindrances = hindrances(&daemon);
    daemon.hindrances.push(Hindrance {
        kind: HindranceKind::Upstream,
        stream: Some(text("web")),
        slot: Some(0),
        text: text("one of several connections would be named by its slot"),
        advice: Some(text("what to do about it")),
    });
    daemon
}
