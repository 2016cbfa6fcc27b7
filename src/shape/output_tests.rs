//! What an output makes of hits, from its settings to topic, key, time and headers.

use super::super::Filter;
use super::super::condition::Condition;
use super::super::privacy::{Action, HashKey};
use super::super::template::Template;
use super::super::topic::{self, Glob};
use super::*;
use crate::hit::inspect;

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme",
};
const HIT: &str = r#"{"hitIdHigh":11,"hitIdLow":12,"visIdHigh":21,"visIdLow":22,"mcVisIdHigh":31,"mcVisIdLow":"32","timeGMT":1700000000,"receivedTimeGMT":1700000060,"geoCountry":"deu","ip":"203.0.113.77"}"#;
const RECEIVED_MS: u64 = 1_700_000_120_500;

fn settings() -> OutputSettings {
    OutputSettings::to("hits", "dead")
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

/// What an output says of a hit.
#[derive(Debug, PartialEq)]
struct Said {
    topic: String,
    key: Option<String>,
    hit_id: Option<String>,
    ms: u64,
    headers: Vec<(String, String)>,
    bytes: String,
}

fn said(settings: &OutputSettings, hit: &str) -> Said {
    let output = Output::new(settings.clone()).unwrap();
    let (mut scratch, mut buffer) = (Scratch::default(), "left over".to_owned());
    let shaped = match output.apply(hit.as_bytes(), &mut scratch) {
        Verdict::Forward(shaped) | Verdict::Incomplete { shaped, .. } => shaped,
        verdict @ (Verdict::Dropped { .. } | Verdict::Unshapable(_)) => panic!("{verdict:?}"),
    };
    let inspected = inspect(hit.as_bytes()).unwrap();
    let add = |mut headers: Vec<_>, name: &str, value: &str| {
        headers.push((name.to_owned(), value.to_owned()));
        headers
    };
    let headers = output.headers(&shaped, NAMES, &mut String::new(), Vec::new(), add);
    Said {
        topic: output.topic(&shaped, NAMES, &mut buffer).to_owned(),
        key: output.key(inspected, &shaped, NAMES, &mut buffer).map(str::to_owned),
        hit_id: output.hit_id(inspected, &shaped, &mut buffer).map(str::to_owned),
        ms: output.timestamp_ms(&shaped, RECEIVED_MS),
        headers,
        bytes: String::from_utf8_lossy(shaped.bytes()).into_owned(),
    }
}

#[test]
fn an_output_that_asks_for_nothing_says_what_is_known_without_a_shape() {
    let output = Output::new(settings()).unwrap();
    assert!(output.shape.is_none());
    assert_eq!(
        said(&settings(), HIT),
        Said {
            topic: "hits".to_owned(),
            key: Some("21_22".to_owned()),
            hit_id: Some("11_12".to_owned()),
            ms: RECEIVED_MS,
            headers: vec![],
            bytes: HIT.to_owned(),
        }
    );
}

#[test]
fn keys_are_of_what_the_configuration_names() {
    for (key, expected) in [
        (MessageKey::Visitor, Some("21_22")),
        (MessageKey::ExperienceCloud, Some("31_32")),
        (MessageKey::Hit, Some("11_12")),
        (MessageKey::ReportSuite, Some("acme")),
        (MessageKey::None, None),
        (MessageKey::Field(pointer("/geoCountry")), Some("deu")),
        (MessageKey::Field(pointer("/geoCity")), None),
    ] {
        let settings = OutputSettings {
            key: key.clone(),
            ..settings()
        };
        assert_eq!(said(&settings, HIT).key.as_deref(), expected, "{key}");
    }
    for key in [MessageKey::Visitor, MessageKey::ExperienceCloud, MessageKey::Hit] {
        let settings = OutputSettings { key, ..settings() };
        assert_eq!(said(&settings, r#"{"mcVisIdHigh":1}"#).key, None);
    }
    // Empty is no key: an empty key would be one that many have.
    let empty = r#"{"mcVisIdHigh":"","mcVisIdLow":"","geoCountry":""}"#;
    for key in [MessageKey::ExperienceCloud, MessageKey::Field(pointer("/geoCountry"))] {
        let settings = OutputSettings { key, ..settings() };
        assert_eq!(said(&settings, empty).key, None);
    }
}

#[test]
fn what_privacy_hides_in_a_hit_is_hidden_in_key_header_and_topic_too() {
    let hash = || Action::Hash(HashKey::new(b"a key of enough bytes").unwrap());
    let shown = |name: &str, key: MessageKey, action: Action| {
        let template = Template::parse("{field:/ip}").unwrap();
        let settings = OutputSettings {
            key,
            topic: Topics::ByHit {
                template: topic::parse("hits.{field:/ip}").unwrap(),
                allowed: vec![Glob::parse("*").unwrap()],
                fallback: "other".to_owned(),
            },
            shape: ShapeSettings {
                privacy: vec![(pointer(name), action)],
                headers: vec![("from".to_owned(), template)],
                ..ShapeSettings::default()
            },
            ..settings()
        };
        said(&settings, HIT)
    };
    let removed = shown("/visIdHigh", MessageKey::Visitor, Action::Remove);
    assert_eq!((removed.key, removed.hit_id.as_deref()), (None, Some("11_12")));
    let removed = shown("/hitIdLow", MessageKey::Hit, Action::Remove);
    assert_eq!((removed.key, removed.hit_id), (None, None));
    let hashed = shown("/visIdHigh", MessageKey::Visitor, hash());
    let (high, low) = hashed.key.as_deref().unwrap().split_once('_').unwrap();
    assert_eq!((high.len(), low), (64, "22"));
    assert!(
        hashed.bytes.contains(&format!("\"visIdHigh\":\"{high}\"")),
        "{hashed:?}"
    );
    let hashed = shown("/hitIdHigh", MessageKey::Visitor, hash());
    assert!(hashed.hit_id.unwrap().ends_with("_12") && !hashed.bytes.contains(":11,"));
    let coarse = shown("/ip", MessageKey::Field(pointer("/ip")), Action::TruncateIp);
    assert_eq!(
        (coarse.key.as_deref(), coarse.topic.as_str()),
        (Some("203.0.113.0"), "hits.203.0.113.0")
    );
    assert_eq!(coarse.headers, [("from".to_owned(), "203.0.113.0".to_owned())]);
    let removed = shown("/ip", MessageKey::Field(pointer("/ip")), Action::Remove);
    assert_eq!(
        (removed.key, removed.topic.as_str(), removed.headers),
        (None, "other", vec![])
    );
}

#[test]
fn the_time_is_that_of_the_field_unless_it_makes_no_sense() {
    let ms = |timestamp, hit: &str| {
        said(
            &OutputSettings {
                timestamp,
                ..settings()
            },
            hit,
        )
        .ms
    };
    assert_eq!(ms(MessageTime::Received, HIT), RECEIVED_MS);
    assert_eq!(ms(MessageTime::TimeGmt, HIT), 1_700_000_000_000);
    assert_eq!(ms(MessageTime::ReceivedTimeGmt, HIT), 1_700_000_060_000);
    for hit in [
        "{}",
        r#"{"timeGMT":"soon"}"#,
        r#"{"timeGMT":-5}"#,
        r#"{"timeGMT":0}"#,
        r#"{"timeGMT":1.5}"#,
        r#"{"timeGMT":1700000121}"#,
        r#"{"timeGMT":18446744073709551615}"#,
    ] {
        assert_eq!(ms(MessageTime::TimeGmt, hit), RECEIVED_MS, "{hit}");
    }
}

#[test]
fn headers_are_fixed_or_from_fields_and_left_out_without_their_field() {
    let template = |text| Template::parse(text).unwrap();
    let mut settings = settings();
    settings.shape.headers = vec![
        ("team".to_owned(), template("growth / {stream}")),
        (
            "country".to_owned(),
            template("{report_suite}:{field:/geoCountry|none}"),
        ),
        ("city".to_owned(), template("{field:/geoCity}")),
    ];
    let headers = said(&settings, HIT).headers;
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(headers, [("team", "growth / web"), ("country", "acme:deu")]);
    assert!(
        said(&settings, "{}")
            .headers
            .contains(&("country".to_owned(), "acme:none".to_owned()))
    );
}

#[test]
fn a_route_knows_its_topics_without_a_hit() {
    let route = Topics::ByHit {
        template: topic::parse("hits.{field:/c}").unwrap(),
        allowed: ["hits.deu", "hits.f*"].map(|glob| Glob::parse(glob).unwrap()).to_vec(),
        fallback: "other".to_owned(),
    };
    assert_eq!(route.known(), ["hits.deu", "other"]);
    for (name, may_be) in [
        ("hits.deu", true),
        ("hits.fra", true),
        ("other", true),
        ("hits.usa", false),
    ] {
        assert_eq!(route.may_be(name), may_be, "{name}");
    }
}

#[test]
fn settings_are_the_same_if_they_were_written_the_same() {
    let drop_if = |text| Filter::DropIf(Condition::parse(text).unwrap());
    assert_eq!(drop_if("/a == 1"), drop_if("/a == 1"));
    assert_ne!(drop_if("/a == 1"), drop_if("/a == 2"));
    assert_ne!(drop_if("/a == 1"), Filter::KeepIf(Condition::parse("/a == 1").unwrap()));
    let hash = |key: &[u8]| Action::Hash(HashKey::new(key).unwrap());
    assert_eq!(hash(b"0123456789abcdef"), hash(b"0123456789abcdef"));
    assert_ne!(hash(b"0123456789abcdef"), hash(b"0123456789abcdee"));
    assert_ne!(Action::Mask { leaves: 1 }, Action::Mask { leaves: 2 });
    assert_ne!(Action::Remove, Action::TruncateIp);
}
