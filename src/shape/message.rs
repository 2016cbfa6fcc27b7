//! What a record becomes in Kafka: topic, key, time, headers and value. The daemon and `livestreamd shape` both ask here, so they cannot differ.
//!
//! Promise: pure, and without an allocation of its own in the steady state. What headers are kept in is the caller's.

use super::output::Output;
use super::parcel::Parcel;
use super::template::Names;

/// The name of the stream.
pub const STREAM: &str = "livestream.stream";
/// Its report suite.
pub const REPORT_SUITE: &str = "livestream.report_suite";
/// The id of the hit, if it has one.
pub const HIT_ID: &str = "livestream.hit_id";
/// The id of the key that fields are hashed with, if any are.
pub const HASH_KEY: &str = "livestream.hash_key";
/// `true` on a copy of a hit before it.
pub const DUPLICATE: &str = "livestream.duplicate";
/// The required field that an incomplete hit lacks.
pub const INCOMPLETE: &str = "livestream.incomplete";
/// Why it is a dead letter.
pub const DEAD_LETTER_REASON: &str = "livestream.dead_letter.reason";
/// The length of the whole record, in bytes, if a dead letter is not all of it.
pub const DEAD_LETTER_LENGTH: &str = "livestream.dead_letter.length";

/// The names of all headers of ours.
pub const HEADERS: [&str; 8] = [
    STREAM,
    REPORT_SUITE,
    HIT_ID,
    HASH_KEY,
    DUPLICATE,
    INCOMPLETE,
    DEAD_LETTER_REASON,
    DEAD_LETTER_LENGTH,
];

/// A message, with its headers in whatever `H` is. No `Debug`: it holds what is the visitor's.
#[derive(Clone, PartialEq, Eq)]
pub struct Message<'a, H> {
    /// Where it goes.
    pub topic: &'a str,
    /// Its key, if it has one.
    pub key: Option<&'a str>,
    /// Its timestamp, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Ours and those of the configuration.
    pub headers: H,
    /// The hit, or the dead letter.
    pub value: &'a [u8],
}

/// Buffers for the texts of one message, used again for the next.
#[derive(Default)]
pub struct Texts {
    key: String,
    topic: String,
    header: String,
}

impl Texts {
    /// The message for a parcel that came off the wire at `received_ms`. `add` puts a header to the others.
    pub fn message<'a, H>(
        &'a mut self,
        output: &'a Output,
        names: Names<'a>,
        parcel: Parcel<'a>,
        received_ms: u64,
        headers: H,
        add: impl Fn(H, &str, &str) -> H + Copy,
    ) -> Message<'a, H> {
        let Self { key, topic, header } = self;
        let mut headers = add(headers, STREAM, names.stream);
        headers = add(headers, REPORT_SUITE, names.report_suite);
        if let Some((hit, shaped)) = parcel.of() {
            if let Some(id) = output.hit_id(hit, &shaped, header) {
                headers = add(headers, HIT_ID, id);
            }
            if let Some(id) = output.hash_key_id() {
                headers = add(headers, HASH_KEY, id);
            }
        }
        let (topic, key, timestamp_ms) = match parcel {
            Parcel::Hit {
                hit,
                shaped,
                duplicate,
                lacks,
            } => {
                if duplicate {
                    headers = add(headers, DUPLICATE, "true");
                }
                if let Some(field) = lacks {
                    headers = add(headers, INCOMPLETE, field);
                }
                headers = output.headers(&shaped, names, header, headers, add);
                let topic = match output.incomplete_topic() {
                    Some(topic) if lacks.is_some() => topic,
                    Some(_) | None => output.topic(&shaped, names, topic),
                };
                let timestamp_ms = output.timestamp_ms(&shaped, received_ms);
                (topic, output.key(hit, &shaped, names, key), timestamp_ms)
            }
            Parcel::DeadLetter { reason, length, .. } => {
                headers = add(headers, DEAD_LETTER_REASON, reason.name());
                if let Some(length) = length {
                    headers = add(headers, DEAD_LETTER_LENGTH, itoa::Buffer::new().format(length));
                }
                (output.dead_letter_topic(), None, received_ms)
            }
        };
        Message {
            topic,
            key,
            timestamp_ms,
            headers,
            value: parcel.bytes(),
        }
    }
}

/// Without what the last message has left in it.
impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}
