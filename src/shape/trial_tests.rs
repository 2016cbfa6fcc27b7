//! What tests of a configuration find, and how they say it.

use super::super::condition::{Condition, IS_BOT};
use super::super::output::OutputSettings;
use super::super::pointer::Pointer;
use super::super::{Fields, Filter};
use super::*;

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme",
};

fn output() -> Output {
    let mut settings = OutputSettings::to("hits", "dead");
    let bots = Filter::DropIf(Condition::parse(IS_BOT).unwrap());
    settings.shape.filters = vec![("bots".to_owned(), bots)];
    settings.shape.required = vec![Pointer::parse("/pageName").unwrap()];
    settings.shape.fields = Fields::Drop(vec![Pointer::parse("/ip").unwrap()]);
    Output::new(settings).unwrap()
}

fn trial(record: &str, fate: Fate, message: Expected) -> Trial {
    Trial {
        record: record.to_owned(),
        received_ms: 5,
        fate,
        message,
    }
}

/// What differs, a line each.
fn differences(trial: &Trial) -> Vec<String> {
    match trial.run(&output(), NAMES) {
        Ok(()) => vec![],
        Err(differences) => differences.iter().map(ToString::to_string).collect(),
    }
}

const HIT: &str = r#"{"visIdHigh":1,"visIdLow":2,"ip":"::1","pageName":"home"}"#;

#[test]
fn what_is_as_expected_has_no_differences() {
    let message = Expected {
        topic: Some("hits".into()),
        key: Some("1_2".into()),
        timestamp_ms: Some(5),
        headers: vec![
            ("livestream.stream".to_owned(), "web".to_owned()),
            ("livestream.hit_id".to_owned(), String::new()),
        ],
        value: Some(r#"{"visIdHigh":1,"visIdLow":2,"pageName":"home"}"#.into()),
    };
    for trial in [
        trial(HIT, Fate::Forwarded, message),
        trial(
            r#"{"pageName":1}"#,
            Fate::Forwarded,
            Expected {
                key: Some(String::new()),
                ..Expected::default()
            },
        ),
        trial(
            r#"{"bot":"Googlebot"}"#,
            Fate::HeldBack("bots".to_owned()),
            Expected::default(),
        ),
        trial("{}", Fate::Incomplete("/pageName".to_owned()), Expected::default()),
        trial("{", Fate::DeadLetter("not_json".to_owned()), Expected::default()),
        trial(
            "{",
            Fate::DeadLetter("not_json".to_owned()),
            Expected {
                topic: Some("dead".into()),
                ..Expected::default()
            },
        ),
    ] {
        assert_eq!(differences(&trial), [""; 0]);
    }
}

#[test]
fn each_thing_that_differs_is_told_with_both_sides() {
    let message = Expected {
        topic: Some("other".into()),
        key: Some(String::new()),
        timestamp_ms: Some(6),
        headers: vec![
            ("livestream.stream".to_owned(), String::new()),
            ("livestream.hit_id".to_owned(), "1_2".to_owned()),
        ],
        value: Some("{}".into()),
    };
    assert_eq!(
        differences(&trial(HIT, Fate::Forwarded, message)),
        [
            r#"topic is "hits" where "other" was expected"#,
            r#"key is "1_2" where none was expected"#,
            r#"header livestream.stream is "web" where none was expected"#,
            r#"header livestream.hit_id is none where "1_2" was expected"#,
            "timestamp is 5 where 6 was expected",
            r#"value is "{\"visIdHigh\":1,\"visIdLow\":2,\"pageName\":\"home\"}" where "{}" was expected"#,
        ]
    );
}

#[test]
fn another_fate_is_the_one_difference() {
    let topic = Expected {
        topic: Some("other".into()),
        ..Expected::default()
    };
    for (record, fate, message, told) in [
        (
            r#"{"bot":"x"}"#,
            Fate::Forwarded,
            topic.clone(),
            "the hit is held back by bots where forwarded was expected",
        ),
        (
            HIT,
            Fate::HeldBack("bots".to_owned()),
            Expected::default(),
            "the hit is forwarded where held back by bots was expected",
        ),
        (
            "{}{}",
            Fate::DeadLetter("not_json".to_owned()),
            Expected::default(),
            "the hit is a dead letter (trailing_bytes) where a dead letter (not_json) was expected",
        ),
        (
            "{}",
            Fate::Incomplete("/pageName".to_owned()),
            topic,
            "the hit is dropped where a message was expected",
        ),
    ] {
        assert_eq!(differences(&trial(record, fate, message)), [told]);
    }
}

#[test]
fn long_values_are_shown_where_they_differ() {
    let record = format!("{{\"pageName\":\"{}b\"}}", "a".repeat(500));
    let value = Some(record.replace('b', "c"));
    let told = differences(&trial(
        &record,
        Fate::Forwarded,
        Expected {
            value,
            ..Expected::default()
        },
    ));
    assert_eq!(
        told,
        [r#"value, at character 514, is …"aaaaaaaaaaaaaaaaaaaab\"}" where …"aaaaaaaaaaaaaaaaaaaac\"}" was expected"#]
    );
}
