//! What a record goes out as: a hit, or a dead letter; and how a dead letter becomes smaller until Kafka takes it.

use std::fmt;

use super::Shaped;
use crate::hit::{DeadLetterReason, Hit};

/// The first bytes that a dead letter keeps of a record that Kafka found too large.
const FIRST_BYTES: usize = 16 * 1024;

/// What a record is produced as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Parcel<'a> {
    /// A hit.
    Hit {
        /// What of it goes out.
        shaped: Shaped<'a>,
        /// Its ids, as they came.
        hit: Hit,
        /// True for a copy of a hit before it.
        duplicate: bool,
        /// A field that it should have and has not: it goes to the topic for such hits.
        lacks: Option<&'a str>,
    },
    /// What is not a hit, or does not fit.
    DeadLetter {
        /// The record, or its first bytes.
        bytes: &'a [u8],
        /// The length of the whole record if `bytes` are not all of it.
        length: Option<u64>,
        /// Why.
        reason: DeadLetterReason,
        /// The hit, if it is one that does not fit.
        of: Option<(Hit, Shaped<'a>)>,
    },
}

impl<'a> Parcel<'a> {
    /// What to produce instead, after Kafka found this too large: less and less of it. `None` if there is nothing left to leave
    /// out.
    pub fn smaller(self) -> Option<Self> {
        match self {
            Self::Hit { shaped, hit, .. } => Some(Self::DeadLetter {
                bytes: first(shaped.bytes(), FIRST_BYTES),
                length: Some(shaped.bytes().len() as u64),
                reason: DeadLetterReason::TooLargeForKafka,
                of: Some((hit, shaped)),
            }),
            Self::DeadLetter { bytes: [], .. } => None,
            Self::DeadLetter {
                bytes,
                length,
                reason,
                of,
            } => Some(Self::DeadLetter {
                bytes: first(bytes, FIRST_BYTES.min(bytes.len() / 4)),
                length: Some(length.unwrap_or(bytes.len() as u64)),
                reason,
                of,
            }),
        }
    }

    /// Why it is a dead letter, if it is one.
    pub const fn dead_letter_reason(&self) -> Option<DeadLetterReason> {
        match self {
            Self::Hit { .. } => None,
            Self::DeadLetter { reason, .. } => Some(*reason),
        }
    }

    /// The hit that it is of, if it is.
    pub(super) const fn of(&self) -> Option<(Hit, Shaped<'a>)> {
        match self {
            Self::Hit { hit, shaped, .. } => Some((*hit, *shaped)),
            Self::DeadLetter { of, .. } => *of,
        }
    }

    /// What it counts for in the stream's share of the queue.
    pub const fn size(&self) -> usize {
        self.bytes().len()
    }

    /// What goes out.
    pub const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Hit { shaped, .. } => shaped.bytes(),
            Self::DeadLetter { bytes, .. } => bytes,
        }
    }
}

/// Without the bytes and the ids: they are the visitor's.
impl fmt::Debug for Parcel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { shaped, .. } => f
                .debug_struct("Hit")
                .field("length", &shaped.bytes().len())
                .finish_non_exhaustive(),
            Self::DeadLetter {
                bytes,
                length,
                reason,
                of: _,
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
        let shaped = Shaped::untouched(&record);
        let mut parcel = Parcel::Hit {
            shaped,
            hit,
            duplicate: false,
            lacks: None,
        };
        let mut sizes = vec![parcel.size()];
        while let Some(smaller) = parcel.smaller() {
            let Parcel::DeadLetter { length, reason, of, .. } = smaller else {
                panic!("{smaller:?}")
            };
            assert_eq!(
                (length, reason, of),
                (Some(100_000), DeadLetterReason::TooLargeForKafka, Some((hit, shaped)))
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
            of: None,
        };
        let once = whole.smaller().unwrap();
        let twice = once.smaller().unwrap();
        let expected = Parcel::DeadLetter {
            bytes: &vec![0; 2500],
            length: Some(40_000),
            reason,
            of: None,
        };
        assert_eq!((once.size(), twice), (10_000, expected));
    }
}
