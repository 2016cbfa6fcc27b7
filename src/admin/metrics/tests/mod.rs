//! The page is held to a golden one, which `promtool check metrics` has approved of (`.ci/run promtool`), and to the model: no number of it
//! may be forgotten.

mod full;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::status::{Connection, Credential, Stream};

/// Numbers of the model that are not on the page, and why not.
const LEFT_OUT: &[(&str, &str)] = &[
    ("format", "it is that of the JSON"),
    ("uptime_seconds", "start_time_seconds tells it"),
    (
        "hindrances.slot",
        "they are counted by kind; connection_failing has the slot",
    ),
    (
        "streams.connections.since_seconds",
        "Prometheus knows how long a connection_state lasts",
    ),
    ("streams.connections.failures", "connects_total counts them by outcome"),
    ("streams.connections.tries", "connects_total counts them by outcome"),
    (
        "streams.connections.last_disconnect.ago_seconds",
        "Prometheus knows when disconnects_total grew",
    ),
    (
        "streams.connections.last_disconnect.lasted_seconds",
        "Prometheus knows how long a connection_state lasts",
    ),
    (
        "streams.delivery.since_seconds",
        "Prometheus knows how long a delivery_state lasts",
    ),
    ("streams.delivery.retry_seconds", "seconds to minutes, for people"),
    (
        "streams.delivery.failures",
        "delivery_failures_total counts all of them",
    ),
    (
        "streams.outputs.delivery.failures",
        "output_delivery_failures_total counts all of them",
    ),
    (
        "streams.counts.incomplete",
        "output_incomplete_hits_total counts them by output",
    ),
    ("streams.counts.connects", "connects_total counts them by outcome"),
    ("streams.counts.disconnects", "disconnects_total counts them by reason"),
    ("streams.rates.now", "Prometheus makes rates of hits_total"),
    ("streams.rates.step_seconds", "Prometheus makes rates of hits_total"),
    ("streams.rates.history", "Prometheus makes rates of hits_total"),
    ("streams.upstream_lag_seconds", "it is in the histogram"),
    ("streams.delivery_latency_seconds", "it is in the histogram"),
    ("quarantine.kept", "quarantined_records_total counts them by stream"),
    ("quarantine.not_kept", "quarantine_failures_total counts them by stream"),
    ("events.seq", "events are for people"),
    ("events.slot", "events are for people"),
];

#[test]
fn the_page_is_the_golden_one() {
    let page = page(&full::daemon());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/metrics/golden.txt");
    if std::env::var_os("RENEW_GOLDEN").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    let differs = page.lines().zip(golden.lines()).find(|(now, then)| now != then);
    assert!(
        page == golden,
        "first difference, now and then: {differs:?}\nif that is meant: RENEW_GOLDEN=1 cargo test --lib admin::metrics, look at the \
         difference, and .ci/run promtool"
    );
}

#[test]
fn every_number_of_the_model_is_on_the_page_or_left_out_for_a_reason() {
    let daemon = full::daemon();
    let before = page(&daemon);
    let json = serde_json::to_value(&daemon).unwrap();
    let mut places = Vec::new();
    full::each_number(&mut json.clone(), &mut String::new(), &mut |way, _| {
        places.push(way.to_owned());
    });
    let mut not_shown = BTreeSet::new();
    for (nth, way) in places.iter().enumerate() {
        let (mut changed, mut seen) = (json.clone(), 0);
        full::each_number(&mut changed, &mut String::new(), &mut |_, value| {
            if seen == nth {
                *value = full::more(value.as_number().unwrap());
            }
            seen += 1;
        });
        if page(&serde_json::from_value(changed).unwrap()) == before {
            not_shown.insert(way.as_str());
        }
    }
    let left_out: BTreeSet<&str> = LEFT_OUT.iter().map(|(way, _)| *way).collect();
    assert_eq!(
        not_shown, left_out,
        "what the page does not show, and what it may leave out"
    );
    assert!(places.len() > 100, "{}", places.len());
}

#[test]
fn states_and_flags_are_shown() {
    let full = full::daemon();
    let before = page(&full);
    let flips: [fn(&mut Daemon); 8] = [
        |daemon| daemon.ready = false,
        |daemon| daemon.stopping = false,
        |daemon| daemon.last_reload.as_mut().unwrap().ok = false,
        |daemon| daemon.streams[0].connections[0].state = crate::status::ConnectionState::Stopped,
        |daemon| daemon.streams[0].connections[0].failing = false,
        |daemon| daemon.streams[0].delivery.state = crate::status::DeliveryState::Stalled,
        |daemon| daemon.streams[0].outputs[1].delivery.state = crate::status::DeliveryState::Stalled,
        |daemon| daemon.streams[0].journal.state = crate::status::JournalState::DiskFailing,
    ];
    for (nth, flip) in flips.into_iter().enumerate() {
        let mut daemon = full.clone();
        flip(&mut daemon);
        let page = page(&daemon);
        let moved = page.lines().zip(before.lines()).filter(|(now, then)| now != then);
        assert!((1..=2).contains(&moved.count()), "change {nth}");
    }
}

#[test]
fn what_is_not_known_is_left_out_and_never_a_zero() {
    let mut daemon = full::daemon();
    (daemon.last_reload, daemon.kafka.round_trip_seconds) = (None, None);
    daemon.credentials = vec![Credential::default()];
    let stream = &mut daemon.streams[0];
    (
        stream.delivery.last_seconds,
        stream.journal.backlog_records,
        stream.journal.oldest_seconds,
    ) = (None, None, None);
    stream.connections = vec![Connection::default()];
    let page = page(&daemon);
    for absent in [
        "config_last_reload_ok",
        "config_last_reload_timestamp_seconds",
        "kafka_round_trip_seconds",
        "token_age_seconds",
        "token_expires_seconds",
        "last_delivery_age_seconds",
        "journal_backlog_records",
        "journal_oldest_record_age_seconds",
        "last_byte_age_seconds",
    ] {
        assert!(!page.contains(&format!("{PREFIX}{absent}")), "{absent}");
    }
    assert!(page.contains("livestreamd_token_failures_total{credential=\"\"} 0"));
}

/// The samples of a page: name, labels by name, and value. Written anew here, from the format's description.
fn parse(page: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let parse_line = |line: &str| {
        let name_end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(name_end);
        let mut labels = BTreeMap::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            while !inside.starts_with('}') {
                let (label, after) = inside.trim_start_matches(',').split_once("=\"").unwrap();
                let (mut value, mut chars) = (String::new(), after.char_indices());
                let end = loop {
                    match chars.next().unwrap() {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().unwrap().1 {
                            'n' => '\n',
                            c @ ('\\' | '"') => c,
                            other => panic!("\\{other} in {line}"),
                        }),
                        (_, c) => value.push(c),
                    }
                };
                assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
                inside = &after[end + 1..];
            }
            rest = &inside[1..];
        }
        let value = rest.strip_prefix(' ').unwrap();
        (
            name.to_owned(),
            labels,
            value.parse().unwrap_or_else(|_| panic!("{line}")),
        )
    };
    lines.map(parse_line).collect()
}

#[test]
fn hostile_values_are_escaped_and_make_no_time_series_of_their_own() {
    const HOSTILE: &str = "a\"} 1\nlivestreamd_evil 1\n# \\\"x\\n\u{e9}";
    let mut daemon = full::daemon();
    let harmless = parse(&page(&daemon)).len();
    daemon.version = HOSTILE.to_owned();
    daemon.credentials[0].name = HOSTILE.to_owned();
    let stream = &mut daemon.streams[0];
    stream.name = HOSTILE.to_owned();
    for nth in 0..1_000 {
        for counts in [
            &mut stream.connects,
            &mut stream.disconnects,
            &mut stream.journal.faults,
        ] {
            counts.insert(format!("{HOSTILE}{nth}"), 2);
        }
    }
    let samples = parse(&page(&daemon));
    assert_eq!(samples.len(), harmless + 3, "one more each: other");
    let mut others = 0;
    for (name, labels, value) in &samples {
        assert!(name.starts_with(PREFIX) && !name.contains("evil"), "{name}");
        for (label, text) in labels {
            match label.as_str() {
                "stream" | "credential" | "version" => assert_eq!(text, HOSTILE),
                _ => assert!(!text.contains('"'), "{label}: {text:?}"),
            }
            if text == "other" {
                others += 1;
                assert_eq!(value.to_string(), "2000");
            }
        }
    }
    assert_eq!(others, 3);
}

#[test]
fn no_two_samples_have_the_same_labels_and_families_have_the_labels_they_say() {
    let mut daemon = full::daemon();
    daemon.streams.push(Stream {
        name: "app".to_owned(),
        ..daemon.streams[0].clone()
    });
    let samples = parse(&page(&daemon));
    let distinct: BTreeSet<_> = samples.iter().map(|(name, labels, _)| (name, labels)).collect();
    assert_eq!(distinct.len(), samples.len());
    let names: BTreeSet<_> = families().map(|family| family.name).collect();
    assert_eq!(names.len(), families().count(), "each name once");
    for family in families() {
        let name = format!("{PREFIX}{}", family.name);
        let of_family = samples.iter().filter(|(sample, ..)| {
            let rest = sample.strip_prefix(&name);
            rest.is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        });
        let (said, mut some) = (family.labels().collect::<BTreeSet<_>>(), false);
        for (_, labels, _) in of_family {
            let labels: BTreeSet<&str> = labels
                .keys()
                .map(String::as_str)
                .filter(|label| *label != "le")
                .collect();
            assert_eq!(labels, said, "{name}");
            some = true;
        }
        assert!(some, "{name}");
    }
}

#[test]
fn a_stream_has_as_many_time_series_as_docs_say() {
    let mut daemon = full::daemon();
    let measure = crate::telemetry::StreamMeasures::default();
    let stream = &mut daemon.streams[0];
    stream.connections.truncate(1);
    stream.upstream_lag = measure.upstream_lag.snapshot();
    stream.delivery_latency = measure.delivery_latency.snapshot();
    stream.outputs.truncate(1);
    stream.outputs[0].delivery_latency = measure.delivery_latency.snapshot();
    let of_stream = parse(&page(&daemon))
        .iter()
        .filter(|(_, labels, _)| labels.contains_key("stream"))
        .count();
    assert!((125..=145).contains(&of_stream), "{of_stream}");
}
