//! What counts as a hit, and what is read of it.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const IDS: Hit = Hit {
    hit_id: Some((2_948_027_281_753_079_808, 4_948_646_782_672_799_561)),
    visitor_id: Some((u64::MAX, 0)),
    received: None,
};
const NO_IDS: Hit = Hit {
    hit_id: None,
    visitor_id: None,
    received: None,
};

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!(
        "{{\"a\":{}1{},\"hitIdHigh\":1,\"hitIdLow\":2}}",
        open.repeat(depth),
        close.repeat(depth)
    )
}

#[test]
fn ids_above_the_range_of_a_double_are_read_exactly() {
    let record = br#"{"hitIdHigh":2948027281753079808,"x":{"hitIdLow":1},"hitIdLow":4948646782672799561,"visIdHigh":18446744073709551615,"visIdLow":0}"#;
    assert_eq!(inspect(record), Ok(IDS));
}

#[test]
fn the_time_of_a_hit_is_read_if_it_is_there_once_and_a_whole_number() {
    for (time, read) in [
        ("1372782179", Some(1_372_782_179)),
        ("0", Some(0)),
        ("\"1372782179\"", None),
        ("-5", None),
        ("1.5e9", None),
        ("null", None),
        ("1,\"receivedTimeGMT\":1", None),
    ] {
        let record = format!("{{\"x\":{{\"receivedTimeGMT\":9}},\"receivedTimeGMT\":{time},\"timeGMT\":7}}");
        assert_eq!(inspect(record.as_bytes()).unwrap().received, read, "{record}");
    }
}

#[test]
fn an_object_is_a_hit_whatever_its_ids_are_like() {
    for high in [
        "\"7\"",
        "-1",
        "-0",
        "1.0",
        "1.5",
        "1e3",
        "1E400",
        "-1e400",
        "null",
        "true",
        "[1]",
        "{\"a\":1}",
        "\"\\ud800\"",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
    ] {
        let record = format!("{{\"hitIdHigh\":{high},\"hitIdLow\":2,\"visIdHigh\":3,\"visIdLow\":4}}");
        assert_eq!(
            inspect(record.as_bytes()),
            Ok(Hit {
                hit_id: None,
                visitor_id: Some((3, 4)),
                received: None
            }),
            "{record}"
        );
    }
    for record in [
        "{}",
        " { } ",
        "{\"hitIdLow\":2}",
        "{\"hitIdHigh\":1}",
        "{\"\":0}",
        "{\"a\":1e999}",
        "{\"\\ud800\":1}",
    ] {
        assert_eq!(inspect(record.as_bytes()), Ok(NO_IDS), "{record}");
    }
}

#[test]
fn an_id_that_stands_there_twice_is_no_id() {
    for record in [
        r#"{"hitIdHigh":1,"hitIdLow":2,"hitIdHigh":1}"#,
        r#"{"hitIdHigh":1,"hitIdLow":2,"hitIdHigh":"x"}"#,
        r#"{"hitIdHigh":"x","hitIdLow":2,"hitIdHigh":1}"#,
        r#"{"hitIdHigh":1,"hitIdLow":2,"hitId\u0048igh":1}"#,
        r#"{"hitIdHigh":1,"hitIdLow":2,"hitIdHigh":1,"hitIdHigh":1}"#,
    ] {
        assert_eq!(inspect(record.as_bytes()), Ok(NO_IDS), "{record}");
    }
}

#[test]
fn keys_with_escapes_are_decoded_before_they_are_compared() {
    let record =
        br#"{"hitId\u0048igh":1,"\u0068itIdLow":2,"visIdHigh\u0000":3,"visIdHigh":4,"\"visIdLow":5,"visIdLow":6}"#;
    assert_eq!(
        inspect(record),
        Ok(Hit {
            hit_id: Some((1, 2)),
            visitor_id: Some((4, 6)),
            received: None
        })
    );
}

#[test]
fn ids_of_nested_objects_are_not_the_hit_s() {
    assert_eq!(
        inspect(br#"{"a":{"hitIdHigh":1,"hitIdLow":2},"b":"\"hitIdHigh\":1"}"#),
        Ok(NO_IDS)
    );
}

#[test]
fn what_is_not_one_object_is_refused_with_its_reason() {
    use NotAHit::{NotAnObject, NotJson, NotUtf8, TrailingBytes};
    let table: &[(&[u8], NotAHit)] = &[
        (b"", NotJson),
        (b"   ", NotJson),
        (b"{", NotJson),
        (b"{\"a\":1", NotJson),
        (b"{\"a\"}", NotJson),
        (b"{\"a\":}", NotJson),
        (b"{\"a\":1,}", NotJson),
        (b"{a:1}", NotJson),
        (b"{1:1}", NotJson),
        (b"{'a':1}", NotJson),
        (b"{\"a\":01}", NotJson),
        (b"{\"a\":+1}", NotJson),
        (b"{\"a\":NaN}", NotJson),
        (b"{\"a\":\"\x01\"}", NotJson),
        (b"{\"a\x01\":1}", NotJson),
        (b"{\"a\":\"\\x\"}", NotJson),
        (b"{\"a\\u00g0\":1}", NotJson),
        (b"{\"hitIdHigh\":}", NotJson),
        (b"{\"hitIdHigh\":01}", NotJson),
        (b"\xef\xbb\xbf{}", NotJson),
        (b"{}\0", TrailingBytes),
        (b"{}}", TrailingBytes),
        (b"{}{}", TrailingBytes),
        (b"{} x", TrailingBytes),
        (b"[]", NotAnObject),
        (b"[{}]", NotAnObject),
        (b"\"{}\"", NotAnObject),
        (b"17", NotAnObject),
        (b"null", NotAnObject),
        (b"[", NotJson),
        (b"<html>503</html>", NotJson),
        (b"{\"a\":\"\xff\"}", NotUtf8),
        (b"{\"\xc3\":1}", NotUtf8),
        (b"{\"a\":\"\xed\xa0\x80\"}", NotUtf8),
        (b"\x1f\x8b\x08", NotUtf8),
    ];
    for (record, reason) in table {
        assert_eq!(inspect(record), Err(*reason), "{}", record.escape_ascii());
    }
}

#[test]
fn a_million_nested_brackets_neither_overflow_the_stack_nor_hide_the_ids() {
    // A small stack, so that one frame a bracket could not pass by luck.
    let deep = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
        let ids = Hit {
            hit_id: Some((1, 2)),
            visitor_id: None,
            received: None,
        };
        assert_eq!(inspect(nested("[", "]", 1_000_000).as_bytes()), Ok(ids));
        assert_eq!(inspect(nested("{\"b\":", "}", 1_000_000).as_bytes()), Ok(ids));
        assert_eq!(inspect(nested("[", "", 1_000_000).as_bytes()), Err(NotAHit::NotJson));
        assert_eq!(inspect("[".repeat(1_000_000).as_bytes()), Err(NotAHit::NotJson));
        let brackets = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(inspect(brackets.as_bytes()), Err(NotAHit::NotAnObject));
        let id = format!("{{\"hitIdHigh\":{brackets}}}");
        assert_eq!(inspect(id.as_bytes()), Ok(NO_IDS));
    });
    deep.unwrap().join().unwrap();
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        prop::sample::select(WANTED.to_vec()).prop_map(String::from),
        any::<String>()
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn id_of(value: &Value, high: &str, low: &str) -> Option<(u64, u64)> {
    value.get(high)?.as_u64().zip(value.get(low)?.as_u64())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn inspect_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = inspect(&bytes);
    }

    #[test]
    fn inspect_agrees_with_a_full_parse(value in any_json()) {
        let text = value.to_string();
        let expected = if value.is_object() {
            Ok(Hit {
                hit_id: id_of(&value, "hitIdHigh", "hitIdLow"),
                visitor_id: id_of(&value, "visIdHigh", "visIdLow"),
                received: value.get("receivedTimeGMT").and_then(Value::as_u64),
            })
        } else {
            Err(NotAHit::NotAnObject)
        };
        prop_assert_eq!(inspect(text.as_bytes()), expected);
    }

    /// Arbitrary text made of JSON's own pieces, mostly broken: what a full parse accepts is accepted, and what it refuses is
    /// refused, but for numbers and surrogates that only a full parse minds, which these pieces cannot form.
    #[test]
    fn inspect_and_a_full_parse_accept_the_same_text(
        pieces in prop::collection::vec(
            prop::sample::select(vec!["{", "}", "[", "]", ":", ",", "\"a\"", "\"hitIdHigh\"", "1", "-", " ", "null", "\"", "\\n", "0", ".5", "e2", "tru"]),
            0..12,
        )
    ) {
        let text = format!("{{{}", pieces.concat());
        let full = serde_json::from_str::<Value>(&text);
        prop_assert_eq!(inspect(text.as_bytes()).is_ok(), full.is_ok(), "{}", text);
    }
}

#[test]
fn the_sample_of_the_protocol_notes_is_a_hit() {
    let sample = json!({"bot": "<Not a bot>", "hitIdHigh": 2_948_027_281_753_079_808_u64, "hitIdLow": 4_948_646_782_672_799_561_u64,
        "visIdHigh": 1_944_017_885_723_175_213_u64, "visIdLow": 2_512_895_455_560_210_216_u64, "revenue": 1799});
    let hit = inspect(sample.to_string().as_bytes()).unwrap();
    assert_eq!(hit.hit_id, IDS.hit_id);
    assert_eq!(
        hit.visitor_id,
        Some((1_944_017_885_723_175_213, 2_512_895_455_560_210_216))
    );
}

/// A hit in small, with one of each thing that JSON has, and strings of all lengths around a step of the scan.
fn sample() -> String {
    let strings: Vec<_> = [0, 1, 14, 15, 16, 17, 30, 31, 32, 33, 64, 65]
        .into_iter()
        .map(|length| format!("{:?}:{:?}", "k".repeat(length), "v".repeat(length)))
        .collect();
    format!(
        r#"{{"hitIdHigh":12,"a":[],"b":{{}},"c":[1,-2.5e+3,[[{{"d":[true,false,null]}}]],"x"],{},"u":"\u00e9\n\/\\\"é🚲","hitIdLow":34,"end":0.1}}"#,
        strings.join(",")
    )
}

/// By the grammar alone, as another parser reads it.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[test]
fn every_character_of_a_hit_counts() {
    let sample = sample();
    assert_eq!(inspect(sample.as_bytes()).unwrap().hit_id, Some((12, 34)));
    for (at, old) in sample.char_indices() {
        let (before, after) = (&sample[..at], &sample[at + old.len_utf8()..]);
        for new in [
            "", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", "e", ".", " ", "\n", "\u{1}", "\u{7f}", "é",
        ] {
            let text = format!("{before}{new}{after}");
            if text.starts_with('{') {
                assert_eq!(
                    inspect(text.as_bytes()).is_ok(),
                    is_json(&text),
                    "{at}: {old:?} -> {new:?}: {text}"
                );
            }
        }
        assert!(inspect(before.as_bytes()).is_err(), "cut at {at}");
    }
}

#[test]
fn what_ends_a_string_is_found_wherever_it_stands() {
    for length in 0..100 {
        let plain = "x".repeat(length);
        for (end, ok) in [
            ("\"}", true),
            ("\\\"\"}", true),
            ("\\u0041\"}", true),
            ("\u{1f}\"}", false),
            ("\t\"}", false),
            ("\\x\"}", false),
            ("\\u004\"}", false),
            ("\\", false),
            ("", false),
        ] {
            let text = format!("{{\"a\":\"{plain}{end}");
            assert_eq!(inspect(text.as_bytes()).is_ok(), ok, "{text}");
            assert_eq!(is_json(&text), ok, "{text}");
        }
    }
}

#[test]
fn brackets_are_told_apart_at_every_depth() {
    // Around the 64 levels that one word of the scan holds.
    for depth in 1..200 {
        let (mut open, mut close) = (String::new(), String::new());
        for level in 0..depth {
            let (opening, closing) = if level % 3 == 1 {
                ("[", ']')
            } else {
                ("{\"hitIdHigh\":", '}')
            };
            open += opening;
            close.insert(0, closing);
        }
        let text = format!("{{\"a\":{open}7{close},\"hitIdHigh\":1,\"hitIdLow\":2}}");
        assert_eq!(inspect(text.as_bytes()).unwrap().hit_id, Some((1, 2)), "{depth}");
        for at in 0..close.len() {
            let mut wrong = close.clone();
            let other = if close.as_bytes()[at] == b']' { "}" } else { "]" };
            wrong.replace_range(at..=at, other);
            let text = format!("{{\"a\":{open}7{wrong}}}");
            assert_eq!(inspect(text.as_bytes()), Err(NotAHit::NotJson), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn a_hit_with_several_wrong_bytes_is_judged_as_another_parser_judges_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"\"\\{}[],:0-+eE.tn \n\ta"[..])), 1..4),
    ) {
        let mut text = sample().into_bytes();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Ok(text) = std::str::from_utf8(&text) && text.starts_with('{') {
            prop_assert_eq!(inspect(text.as_bytes()).is_ok(), is_json(text), "{}", text);
        }
    }
}
