//! What is produced for a record: topic, key, headers and value.

use std::fmt;

use rdkafka::message::{Header, OwnedHeaders};

use super::forwarder::ForwarderSettings;
use super::lane::Message;
use crate::hit::Hit;
use crate::settings::MessageKey;
use crate::telemetry::counters::DeadLetterReason;

/// The first bytes that a dead letter keeps of a record that Kafka found too large.
const FIRST_BYTES: usize = 16 * 1024;

/// What a record is produced as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parcel<'a> {
    /// A hit, its bytes as they came.
    Hit {
        /// The record.
        bytes: &'a [u8],
        /// Its ids.
        hit: Hit,
        /// True for a copy of a hit before it.
        duplicate: bool,
    },
    /// What is not a hit, or does not fit.
    DeadLetter {
        /// The record, or its first bytes.
        bytes: &'a [u8],
        /// The length of the whole record if `bytes` are not all of it.
        length: Option<u64>,
        /// Why.
        reason: DeadLetterReason,
        /// The ids, if it is a hit that does not fit.
        hit: Hit,
    },
}

impl<'a> Parcel<'a> {
    /// What to produce instead, after Kafka found this too large: less and less of it. `None` if there is nothing left to leave
    /// out.
    pub(super) fn smaller(self) -> Option<Self> {
        match self {
            Self::Hit { bytes, hit, .. } => Some(Self::DeadLetter {
                bytes: first(bytes, FIRST_BYTES),
                length: Some(bytes.len() as u64),
                reason: DeadLetterReason::TooLargeForKafka,
                hit,
            }),
            Self::DeadLetter { bytes: [], .. } => None,
            Self::DeadLetter {
                bytes,
                length,
                reason,
                hit,
            } => Some(Self::DeadLetter {
                bytes: first(bytes, FIRST_BYTES.min(bytes.len() / 4)),
                length: Some(length.unwrap_or(bytes.len() as u64)),
                reason,
                hit,
            }),
        }
    }

    /// Why it is a dead letter, if it is one.
    pub(super) const fn dead_letter_reason(&self) -> Option<DeadLetterReason> {
        match self {
            Self::Hit { .. } => None,
            Self::DeadLetter { reason, .. } => Some(*reason),
        }
    }

    /// What it counts for in the stream's share of the queue.
    pub(super) const fn size(&self) -> usize {
        self.bytes().len()
    }

    const fn hit(&self) -> Hit {
        match self {
            Self::Hit { hit, .. } | Self::DeadLetter { hit, .. } => *hit,
        }
    }

    /// The record, or what is left of it.
    pub(super) const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Hit { bytes, .. } | Self::DeadLetter { bytes, .. } => bytes,
        }
    }
}

/// Without the bytes and the ids: they are the visitor's.
impl fmt::Debug for Parcel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit {
                bytes,
                hit: _,
                duplicate: _,
            } => f
                .debug_struct("Hit")
                .field("length", &bytes.len())
                .finish_non_exhaustive(),
            Self::DeadLetter {
                bytes,
                length,
                reason,
                hit: _,
            } => f
                .debug_struct("DeadLetter")
                .field("length", &bytes.len())
                .field("whole_length", length)
                .field("reason", reason)
                .finish_non_exhaustive(),
        }
    }
}

fn first(bytes: &[u8], most: usize) -> &[u8] {
    &bytes[..bytes.len().min(most)]
}

/// Buffers for the texts of one message, used again for the next.
#[derive(Default)]
pub(super) struct Texts {
    key: String,
    hit_id: String,
}

impl Texts {
    /// The message for a parcel that came off the wire at `received_ms`.
    pub(super) fn message<'a>(
        &'a mut self,
        settings: &'a ForwarderSettings,
        parcel: Parcel<'a>,
        received_ms: u64,
    ) -> Message<'a> {
        let Self { key, hit_id } = self;
        let mut headers = header(OwnedHeaders::new(), "livestream.stream", &settings.name);
        headers = header(headers, "livestream.report_suite", &settings.report_suite);
        if let Some(id) = parcel.hit().hit_id {
            headers = header(headers, "livestream.hit_id", write_id(hit_id, id));
        }
        let (topic, key) = match parcel {
            Parcel::Hit { hit, duplicate, .. } => {
                if duplicate {
                    headers = header(headers, "livestream.duplicate", "true");
                }
                let key = match settings.key {
                    MessageKey::Visitor => hit.visitor_id.map(|id| write_id(key, id)),
                    MessageKey::Hit => hit.hit_id.map(|id| write_id(key, id)),
                    MessageKey::ReportSuite => Some(settings.report_suite.as_str()),
                    MessageKey::None => None,
                };
                (&settings.topic, key)
            }
            Parcel::DeadLetter { reason, length, .. } => {
                headers = header(headers, "livestream.dead_letter.reason", reason.name());
                if let Some(length) = length {
                    headers = header(headers, "livestream.dead_letter.length", &length.to_string());
                }
                (&settings.dead_letter_topic, None)
            }
        };
        let mut message = Message::with_opaque_to(topic, 0)
            .payload(parcel.bytes())
            .timestamp(i64::try_from(received_ms).unwrap_or(i64::MAX))
            .headers(headers);
        message.key = key.map(str::as_bytes);
        message
    }
}

fn header(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header {
        key,
        value: Some(value),
    })
}

/// `high_low`, in decimal.
fn write_id(buffer: &mut String, (high, low): (u64, u64)) -> &str {
    let mut digits = itoa::Buffer::new();
    buffer.clear();
    buffer.push_str(digits.format(high));
    buffer.push('_');
    buffer.push_str(digits.format(low));
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit::NotAHit;

    #[test]
    fn a_parcel_shrinks_until_nothing_is_left_to_leave_out() {
        let record = vec![b'x'; 100_000];
        let hit = Hit {
            hit_id: Some((1, 2)),
            ..Hit::default()
        };
        let mut parcel = Parcel::Hit {
            bytes: &record,
            hit,
            duplicate: false,
        };
        let mut sizes = vec![parcel.size()];
        while let Some(smaller) = parcel.smaller() {
            let Parcel::DeadLetter {
                length,
                reason,
                hit: id,
                ..
            } = smaller
            else {
                panic!("{smaller:?}")
            };
            assert_eq!(
                (length, reason, id),
                (Some(100_000), DeadLetterReason::TooLargeForKafka, hit)
            );
            sizes.push(smaller.size());
            parcel = smaller;
        }
        assert_eq!(sizes, [100_000, 16_384, 4096, 1024, 256, 64, 16, 4, 1, 0]);
    }

    #[test]
    fn a_dead_letter_keeps_its_reason_and_its_whole_length() {
        let reason = DeadLetterReason::NotAHit(NotAHit::NotJson);
        let whole = Parcel::DeadLetter {
            bytes: &vec![0; 40_000],
            length: None,
            reason,
            hit: Hit::default(),
        };
        let once = whole.smaller().unwrap();
        let twice = once.smaller().unwrap();
        let expected = Parcel::DeadLetter {
            bytes: &vec![0; 2500],
            length: Some(40_000),
            reason,
            hit: Hit::default(),
        };
        assert_eq!((once.size(), twice), (10_000, expected));
    }
}
