//! What people and programs see of a hit.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::*;
use crate::shape::outcome::{Room, outcome, outcome_of_too_long};
use crate::shape::output::{MessageKey, Output, OutputSettings};
use crate::shape::pointer::Pointer;
use crate::shape::template::{Names, Template};
use crate::upstream::is_unprintable;

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme",
};
const RECEIVED_MS: u64 = 1_700_000_000_000;

fn output() -> Output {
    let mut settings = OutputSettings::to("hits", "dead");
    settings.key = MessageKey::Field(Pointer::parse("/a").unwrap());
    let page = Template::parse("{field:/a}").unwrap();
    settings.shape.headers = vec![("page".to_owned(), page)];
    Output::new(settings).unwrap()
}

fn shown(form: Form, place: &Place<'_>, record: &[u8]) -> String {
    let (output, mut room) = (output(), Room::default());
    form.of(place, &outcome(&output, NAMES, record, RECEIVED_MS, &mut room))
}

const fn at(line: u64) -> Place<'static> {
    Place {
        file: None,
        line,
        stream: "web",
        output: "default",
        is_one_of_several: false,
    }
}

#[test]
fn people_see_a_few_lines_for_a_hit() {
    assert_eq!(
        shown(Form::Text, &at(7), b"{\"a\":\"x\\u001b[2Jy\"}"),
        "line 7: forwarded
  topic      hits
  key        x\\u001b[2Jy
  timestamp  1700000000000 (2023-11-14T22:13:20.000Z)
  header     livestream.stream: web
  header     livestream.report_suite: acme
  header     page: x\\u001b[2Jy
  value      {\"a\":\"x\\u001b[2Jy\"}
"
    );
    let place = Place {
        file: Some(Path::new("a\nb")),
        is_one_of_several: true,
        ..at(1)
    };
    let text = shown(Form::Text, &place, b"no");
    assert!(
        text.starts_with(
            "a\\u000ab, line 1, output default: a dead letter, not_json\n  topic      dead\n  key        (none)\n"
        ),
        "{text}"
    );
    let held_back = Form::Text.of(&at(2), &Outcome::HeldBack("bots"));
    assert_eq!(held_back, "line 2: held back by the filter bots\n");
    let dropped = Outcome::Incomplete {
        field: "/a",
        message: None,
    };
    assert_eq!(
        Form::Text.of(&at(3), &dropped),
        "line 3: incomplete, without /a, and dropped\n"
    );
}

#[test]
fn programs_see_one_object_for_a_hit() {
    let found: Value = serde_json::from_str(&shown(Form::Json, &at(7), b"{\"a\":\"x\"}")).unwrap();
    let expected = json!({
        "line": 7, "stream": "web", "output": "default", "outcome": "forwarded",
        "topic": "hits", "key": "x", "timestamp": RECEIVED_MS,
        "headers": {"livestream.stream": "web", "livestream.report_suite": "acme", "page": "x"},
        "value": "{\"a\":\"x\"}",
    });
    assert_eq!(found, expected);
    let (output, mut room) = (output(), Room::default());
    let told = outcome_of_too_long(&output, NAMES, b"\xffx", 9_000_000, RECEIVED_MS, &mut room);
    let found: Value = serde_json::from_str(&Form::Json.of(&at(8), &told)).unwrap();
    assert_eq!(
        (&found["outcome"], &found["dead_letter"]),
        (&"dead_letter".into(), &"too_long".into())
    );
    assert_eq!((&found["key"], &found["value"]), (&Value::Null, &"\u{fffd}x".into()));
    assert!(found.as_object().unwrap().contains_key("key"), "{found}");
    let held_back: Value = serde_json::from_str(&Form::Json.of(&at(9), &Outcome::HeldBack("bots"))).unwrap();
    assert_eq!(
        held_back,
        json!({"line": 9, "stream": "web", "output": "default", "outcome": "held_back", "held_back_by": "bots"})
    );
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_a_hit_steers_a_terminal_or_is_lost_in_json(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        text in "[\\x00-\\x20\\x7f-\\u{a0}\\u{200b}-\\u{202e}a\"\\\\]{0,30}",
    ) {
        let hit = serde_json::to_vec(&json!({ "a": text })).unwrap();
        for record in [&bytes[..], text.as_bytes(), &hit[..]] {
            for form in [Form::Text, Form::Json] {
                let shown = shown(form, &at(1), record);
                prop_assert!(shown.ends_with('\n'));
                prop_assert!(!shown.replace('\n', "").contains(is_unprintable), "{:?}", shown);
                if form == Form::Json {
                    prop_assert_eq!(shown.lines().count(), 1);
                    let found: Value = serde_json::from_str(&shown).unwrap();
                    prop_assert_eq!(found["value"].as_str(), Some(&*String::from_utf8_lossy(record)));
                }
            }
        }
    }
}
