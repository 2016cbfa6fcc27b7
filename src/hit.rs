//! Is this record a hit, what are its ids, and when was it collected? And: where are the records in a batch?
//!
//! Promise: whatever the bytes, [`inspect`] ends without a panic and in bounded stack. Any one JSON object is a hit, whatever is in
//! it, because the service adds, drops and retypes fields without notice (protocol notes, sections 5 and 8). Ids are read as
//! unsigned 64-bit integers or not at all; they never pass through a float. The bytes themselves are never changed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is known of a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hit {
    /// `(hitIdHigh, hitIdLow)`, if each stands there once and is an unsigned 64-bit integer.
    pub hit_id: Option<(u64, u64)>,
    /// `(visIdHigh, visIdLow)`, likewise.
    pub visitor_id: Option<(u64, u64)>,
    /// `receivedTimeGMT`, likewise: when Adobe collected it, in seconds since the Unix epoch (protocol notes, section 8). Not checked for
    /// sense.
    pub received: Option<u64>,
}

/// Why a record is not a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotAHit {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text is not JSON, or breaks off.
    NotJson,
    /// The text is JSON, but not an object.
    NotAnObject,
    /// Something follows the object.
    TrailingBytes,
}

impl NotAHit {
    /// A short fixed name, for headers, labels and counts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

impl fmt::Display for NotAHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the ids and the time of a record, whose line ending is stripped; or says why it is not exactly one JSON object in UTF-8.
///
/// Text between the quotes of a string is checked for JSON's grammar only: a lone surrogate (`"\ud800"`) passes, as does a
/// number that no machine type holds, because the grammar allows both.
pub fn inspect(record: &[u8]) -> Result<Hit, NotAHit> {
    let text = simdutf8::basic::from_utf8(record).map_err(|_| NotAHit::NotUtf8)?;
    if !text.trim_start_matches(JSON_SPACE).starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => NotAHit::NotAnObject,
            Err(_) => NotAHit::NotJson,
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let hit = json.deserialize_map(HitVisitor).map_err(|_| NotAHit::NotJson)?;
    json.end().map_err(|_| NotAHit::TrailingBytes)?;
    Ok(hit)
}

/// One record of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins, in bytes from the start of the batch.
    pub offset: usize,
    /// Where the next one begins: past the line ending.
    pub end: usize,
    /// The record without its line ending.
    pub bytes: &'a [u8],
}

impl Record<'_> {
    /// True for a record that is nothing but its line ending; the service sends such now and then (protocol notes, section 5).
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where it stands, and not what it holds.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}..{}, {} bytes)", self.offset, self.end, self.bytes.len())
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} of {} bytes)", self.offset, self.batch.len())
    }
}

/// The records of a batch in their order, empty ones included. They end in LF, with or without one CR before it; the last one may
/// lack its line ending.
pub const fn records(batch: &[u8]) -> Records<'_> {
    Records { batch, offset: 0 }
}

/// The iterator that [`records`] returns.
#[derive(Clone)]
pub struct Records<'a> {
    batch: &'a [u8],
    offset: usize,
}

impl Records<'_> {
    /// The same records, but only those that begin at `offset` or after it.
    #[must_use]
    pub fn starting_at(self, offset: usize) -> Self {
        Self {
            offset: offset.min(self.batch.len()),
            ..self
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let rest = self.batch.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let offset = self.offset;
        let (line, length) = match memchr::memchr(b'\n', rest) {
            Some(newline) => (&rest[..newline], newline + 1),
            None => (rest, rest.len()),
        };
        self.offset += length;
        Some(Record {
            offset,
            end: self.offset,
            bytes: line.strip_suffix(b"\r").unwrap_or(line),
        })
    }
}

/// What JSON counts as space between tokens.
const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The keys that we look for.
const WANTED: [&str; 5] = ["hitIdHigh", "hitIdLow", "visIdHigh", "visIdLow", "receivedTimeGMT"];

/// Walks the top level of the object, and skips every value but those of the wanted keys. `serde_json` skips without recursion.
struct HitVisitor;

impl<'de> Visitor<'de> for HitVisitor {
    type Value = Hit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hit, A::Error> {
        let mut found = [Found::Missing; WANTED.len()];
        while let Some(Key(key)) = map.next_key()? {
            match key {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(wanted) => found[wanted] = found[wanted].and(map.next_value::<&RawValue>()?.get()),
            }
        }
        let [hit_high, hit_low, visitor_high, visitor_low, received] = found.map(Found::number);
        Ok(Hit {
            hit_id: hit_high.zip(hit_low),
            visitor_id: visitor_high.zip(visitor_low),
            received,
        })
    }
}

/// What was seen of one wanted key.
#[derive(Clone, Copy)]
enum Found {
    Missing,
    Once(u64),
    /// Twice, or not an unsigned 64-bit integer.
    Unusable,
}

impl Found {
    /// Takes the JSON text of one more value of the key.
    fn and(self, value: &str) -> Self {
        match self {
            // JSON allows no sign but `-` and no leading zeros, so what parses here is exactly the unsigned integers.
            Self::Missing => value.parse().map_or(Self::Unusable, Self::Once),
            Self::Once(_) | Self::Unusable => Self::Unusable,
        }
    }

    const fn number(self) -> Option<u64> {
        match self {
            Self::Once(number) => Some(number),
            Self::Missing | Self::Unusable => None,
        }
    }
}

/// A key of the object: which of the wanted ones it is. It is compared as it stands; only a key with escapes is decoded first.
struct Key(Option<usize>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let quoted = <&RawValue>::deserialize(deserializer)?.get();
        let raw = quoted
            .strip_prefix('"')
            .and_then(|key| key.strip_suffix('"'))
            .unwrap_or(quoted);
        let key = if raw.contains('\\') {
            // A lone surrogate cannot be decoded; no wanted key holds one.
            serde_json::from_str(quoted).map_or(Cow::Borrowed(""), Cow::<str>::Owned)
        } else {
            Cow::Borrowed(raw)
        };
        Ok(Self(WANTED.iter().position(|wanted| *wanted == key)))
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn what_a_record_holds_is_not_shown() {
        let mut batch = records(b"secret\r\n");
        assert_eq!(format!("{batch:?}"), "Records(0 of 8 bytes)");
        assert_eq!(format!("{:?}", batch.next().unwrap()), "Record(0..8, 6 bytes)");
    }

    #[test]
    fn records_are_split_at_lf_and_lose_one_cr() {
        let found: Vec<_> = records(b"a\r\n\r\nbc\n\n\rd\r\r\ne\r")
            .map(|r| (r.offset, r.end, r.bytes))
            .collect();
        let expected: Vec<(usize, usize, &[u8])> = vec![
            (0, 3, b"a"),
            (3, 5, b""),
            (5, 8, b"bc"),
            (8, 9, b""),
            (9, 14, b"\rd\r"),
            (14, 16, b"e"),
        ];
        assert_eq!(found, expected);
        assert_eq!(records(b"").count(), 0);
        assert_eq!(
            records(b"a\nb\n").starting_at(2).map(|r| r.offset).collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(records(b"a\n").starting_at(99).count(), 0);
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

        #[test]
        fn records_cover_the_batch_without_gap(batch in "[ab\r\n]{0,40}") {
            let mut at = 0;
            for record in records(batch.as_bytes()) {
                prop_assert_eq!(record.offset, at);
                prop_assert!(record.end > at);
                prop_assert!(!record.bytes.contains(&b'\n'));
                prop_assert!(batch.as_bytes()[record.offset..].starts_with(record.bytes));
                at = record.end;
            }
            prop_assert_eq!(at, batch.len());
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
}
