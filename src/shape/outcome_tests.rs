//! What becomes of records, told by one output with all that a shape may have.

use super::super::condition::Condition;
use super::super::condition::IS_BOT;
use super::super::message;
use super::super::output::OutputSettings;
use super::super::pointer::Pointer;
use super::super::privacy::{Action, HashKey};
use super::super::template::Template;
use super::super::{Fields, Filter, output::ShapeSettings};
use super::*;

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme",
};
const RECEIVED_MS: u64 = 1_700_000_120_500;

fn output(incomplete_topic: Option<&str>) -> Output {
    let pointer = |text: &str| Pointer::parse(text).unwrap();
    let key = HashKey::new(b"a key of enough bytes").unwrap();
    let mut settings = OutputSettings::to("hits", "dead");
    settings.shape = ShapeSettings {
        filters: vec![("bots".to_owned(), Filter::DropIf(Condition::parse(IS_BOT).unwrap()))],
        required: vec![pointer("/pageName")],
        incomplete_topic: incomplete_topic.map(str::to_owned),
        privacy: vec![(pointer("/ip"), Action::Hash(key))],
        headers: vec![("page".to_owned(), Template::parse("{field:/pageName}").unwrap())],
        ..ShapeSettings::default()
    };
    Output::new(settings).unwrap()
}

fn headers(message: &Message<'_, Headers>) -> Vec<String> {
    let headers = message.headers.iter();
    headers.map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn a_hit_that_goes_out_is_a_message_with_the_headers_of_the_daemon() {
    let (output, mut room) = (output(None), Room::default());
    let hit = r#"{"hitIdHigh":1,"hitIdLow":2,"visIdHigh":3,"visIdLow":4,"pageName":"home"}"#;
    let Outcome::Forwarded(message) = outcome(&output, NAMES, hit.as_bytes(), RECEIVED_MS, &mut room) else {
        panic!("it goes out")
    };
    assert_eq!(
        (message.topic, message.key, message.timestamp_ms, message.value),
        ("hits", Some("3_4"), RECEIVED_MS, hit.as_bytes())
    );
    assert_eq!(
        headers(&message),
        [
            "livestream.stream=web".to_owned(),
            "livestream.report_suite=acme".to_owned(),
            "livestream.hit_id=1_2".to_owned(),
            format!("livestream.hash_key={}", output.hash_key_id().unwrap()),
            "page=home".to_owned(),
        ]
    );
}

#[test]
fn what_does_not_go_out_is_told_with_its_reason() {
    let mut room = Room::default();
    let (dropping, sorting) = (output(None), output(Some("incomplete")));
    let held_back = outcome(&dropping, NAMES, br#"{"bot":"Googlebot"}"#, RECEIVED_MS, &mut room);
    assert!(matches!(held_back, Outcome::HeldBack("bots")) && held_back.message().is_none());
    let dropped = outcome(&dropping, NAMES, br#"{"ip":"::1"}"#, RECEIVED_MS, &mut room);
    assert!(matches!(
        dropped,
        Outcome::Incomplete {
            field: "/pageName",
            message: None
        }
    ));
    let sorted = outcome(&sorting, NAMES, br#"{"ip":"::1"}"#, RECEIVED_MS, &mut room);
    let (true, Some(message)) = (matches!(sorted, Outcome::Incomplete { .. }), sorted.message()) else {
        panic!("it goes to a topic of its own")
    };
    assert_eq!(message.topic, "incomplete");
    assert!(headers(message).contains(&"livestream.incomplete=/pageName".to_owned()));
    assert!(
        !message.value.windows(3).any(|part| part == b"::1"),
        "it is shaped all the same"
    );
}

#[test]
fn what_is_no_hit_or_too_long_is_a_dead_letter() {
    let (output, mut room) = (output(None), Room::default());
    for (record, reason) in [
        (&b"no"[..], "not_json"),
        (b"{}{}", "trailing_bytes"),
        (b"7", "not_an_object"),
        (b"{\"\xff\":1}", "not_utf8"),
    ] {
        let told = outcome(&output, NAMES, record, RECEIVED_MS, &mut room);
        let Outcome::DeadLetter {
            reason: told,
            message: Some(message),
        } = told
        else {
            panic!("{reason}")
        };
        assert_eq!((told.name(), message.topic, message.value), (reason, "dead", record));
        assert!(headers(&message).contains(&format!("livestream.dead_letter.reason={reason}")));
    }
    let told = outcome_of_too_long(&output, NAMES, b"{\"a\"", 1_000_000, RECEIVED_MS, &mut room);
    let message = told.message().unwrap();
    assert_eq!((message.key, message.value), (None, &b""[..]), "nobody has shaped it");
    assert_eq!(
        headers(message)[2..],
        [
            "livestream.dead_letter.reason=too_long",
            "livestream.dead_letter.length=1000000"
        ]
    );
}

#[test]
fn of_what_was_too_long_nothing_is_told_where_hits_are_changed() {
    let pointer = || Pointer::parse("/ip").unwrap();
    let privacy = ShapeSettings {
        privacy: vec![(pointer(), Action::Remove)],
        ..ShapeSettings::default()
    };
    let dropped = ShapeSettings {
        fields: Fields::Drop(vec![pointer()]),
        ..ShapeSettings::default()
    };
    for (shape, told) in [(ShapeSettings::default(), true), (privacy, false), (dropped, false)] {
        let output = Output::new(OutputSettings {
            shape,
            ..OutputSettings::to("hits", "dead")
        });
        let (output, mut room) = (output.unwrap(), Room::default());
        let first = br#"{"ip":"203.0.113.77","#;
        let letter = outcome_of_too_long(&output, NAMES, first, 1_000_000, RECEIVED_MS, &mut room);
        let message = letter.message().unwrap();
        assert_eq!(message.value, if told { &first[..] } else { b"" });
        assert!(headers(message).contains(&"livestream.dead_letter.length=1000000".to_owned()));
        // What is no hit is no hit of anybody's.
        let letter = outcome(&output, NAMES, &first[..], RECEIVED_MS, &mut room);
        assert_eq!(letter.message().unwrap().value, first);
    }
}

#[test]
fn all_headers_that_are_set_have_names_that_are_known() {
    let (output, mut texts) = (output(Some("incomplete")), Texts::default());
    let (hit, mut scratch) = (br#"{"hitIdHigh":1,"hitIdLow":2}"#, Scratch::default());
    let Verdict::Incomplete { shaped, .. } = output.apply(hit, &mut scratch) else {
        panic!("it lacks a field")
    };
    let hit = inspect(hit).unwrap();
    let everything = [
        Parcel::Hit {
            shaped,
            hit,
            duplicate: true,
            lacks: Some("/pageName"),
        },
        Parcel::DeadLetter {
            bytes: b"",
            length: Some(1),
            reason: DeadLetterReason::TooLargeForKafka,
            of: Some((hit, shaped)),
        },
    ];
    let mut names: Vec<String> = Vec::new();
    for parcel in everything {
        let message = texts.message(&output, NAMES, parcel, RECEIVED_MS, Headers::new(), with);
        names.extend(message.headers.into_iter().map(|(name, _)| name));
    }
    names.sort();
    names.dedup();
    let mut known = message::HEADERS.to_vec();
    known.sort_unstable();
    assert_eq!(names, known);
}
