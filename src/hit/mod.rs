//! Is this record a hit, what are its ids, and when was it collected? And: where are the records in a batch?
//!
//! Promise: whatever the bytes, [`inspect`] ends without a panic and in bounded stack. Any one JSON object is a hit, whatever is in
//! it, because the service adds, drops and retypes fields without notice (protocol notes, sections 5 and 8). Ids are read as
//! unsigned 64-bit integers or not at all; they never pass through a float. The bytes themselves are never changed.

use std::fmt;

use serde::de::IgnoredAny;

mod records;
pub(crate) mod scan;

pub use records::{Record, Records, records};
use scan::Member;

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

/// Why a record went to the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// It is not a hit.
    NotAHit(NotAHit),
    /// It is longer than `max_record_bytes`, so only its first bytes were kept.
    TooLong,
    /// Kafka refused it, alone in its batch, for its size.
    TooLargeForKafka,
}

impl DeadLetterReason {
    /// A short fixed name: the value of the header `livestream.dead_letter.reason`, and a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAHit(reason) => reason.name(),
            Self::TooLong => "too_long",
            Self::TooLargeForKafka => "too_large_for_kafka",
        }
    }
}

/// Reads the ids and the time of a record, whose line ending is stripped; or says why it is not exactly one JSON object in UTF-8.
///
/// Text between the quotes of a string is checked for JSON's grammar only: a lone surrogate (`"\ud800"`) passes, as does a
/// number that no machine type holds, because the grammar allows both.
pub fn inspect(record: &[u8]) -> Result<Hit, NotAHit> {
    let text = simdutf8::basic::from_utf8(record).map_err(|_| NotAHit::NotUtf8)?;
    let start = scan::space(record);
    if record.get(start) != Some(&b'{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => NotAHit::NotAnObject,
            Err(_) => NotAHit::NotJson,
        });
    }
    let mut found = [Found::Missing; WANTED.len()];
    let end = scan::members(record, start, |member| {
        if let Some(wanted) = wanted(&member) {
            found[wanted] = found[wanted].and(member.value);
        }
    });
    let rest = &record[end.map_err(|_| NotAHit::NotJson)?..];
    if scan::space(rest) < rest.len() {
        return Err(NotAHit::TrailingBytes);
    }
    let [hit_high, hit_low, visitor_high, visitor_low, received] = found.map(Found::number);
    Ok(Hit {
        hit_id: hit_high.zip(hit_low),
        visitor_id: visitor_high.zip(visitor_low),
        received,
    })
}

/// The keys that we look for.
const WANTED: [&str; 5] = ["hitIdHigh", "hitIdLow", "visIdHigh", "visIdLow", "receivedTimeGMT"];

/// Which of the wanted keys it is. A key is compared as it stands; only one with escapes is decoded first.
fn wanted(member: &Member<'_>) -> Option<usize> {
    let is = |key: &[u8]| WANTED.iter().position(|wanted| wanted.as_bytes() == key);
    if !member.is_escaped {
        return is(member.key);
    }
    let quoted = [b"\"", member.key, b"\""].concat();
    // A lone surrogate cannot be decoded; no wanted key holds one.
    serde_json::from_slice::<String>(&quoted)
        .ok()
        .and_then(|key| is(key.as_bytes()))
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
    fn and(self, value: &[u8]) -> Self {
        match self {
            Self::Missing => unsigned(value).map_or(Self::Unusable, Self::Once),
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

/// The number that a JSON value is, if it is all digits and fits. JSON allows no leading zeros, so these are exactly the unsigned integers.
fn unsigned(value: &[u8]) -> Option<u64> {
    value.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
