//! What happened to a stream, counted since the start of the daemon.
//!
//! Each count is a relaxed atomic of its own: cheap enough for the hot path, and a snapshot may be off by what happens meanwhile.
//! Counting changes nothing else: no decision is made from a count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use crate::hit::DeadLetterReason;
use crate::hit::NotAHit;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts by names that the operator has given, so there are no more than he has given.
#[derive(Debug, Default)]
pub struct NamedCounts(Mutex<BTreeMap<Box<str>, Arc<Count>>>);

impl NamedCounts {
    /// The count of this name, the same each time.
    pub fn of(&self, name: &str) -> Arc<Count> {
        Arc::clone(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(name.into())
                .or_default(),
        )
    }

    /// All of them as they are now.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(name, count)| (name.to_string(), count.get()))
            .collect()
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The counts of one stream, shared by its connections and its forwarder.
        #[derive(Debug, Default)]
        pub struct StreamCounters {
            $($(#[$doc])* pub $name: Count,)+
            /// Records that went to the dead-letter topic, by reason.
            pub dead_letters: DeadLetterCounters,
            /// Hits that a filter has held back, by its name.
            pub filtered: NamedCounts,
        }

        /// [`StreamCounters`] at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct StreamSnapshot {
            $($(#[$doc])* pub $name: u64,)+
            /// Records that went to the dead-letter topic, by reason.
            pub dead_letters: DeadLetterSnapshot,
            /// Hits that a filter has held back, by its name.
            pub filtered: BTreeMap<String, u64>,
        }

        impl StreamCounters {
            /// The counts as they are now.
            pub fn snapshot(&self) -> StreamSnapshot {
                StreamSnapshot {
                    $($name: self.$name.get(),)+
                    dead_letters: self.dead_letters.snapshot(),
                    filtered: self.filtered.snapshot(),
                }
            }
        }
    };
}

counters! {
    /// Attempts to connect that went out.
    connects,
    /// Open streams that ended, for whatever reason.
    disconnects,
    /// Gaps up to `backfill_horizon` that are over: possible small losses. As all gaps, summed over the stream's connections.
    gaps_possible,
    /// Longer gaps that are over: probable losses.
    gaps_probable,
    /// Seconds that these lasted, in all.
    probable_gap_seconds,
    /// Redirects that were not followed: to a host that is not trusted, for one.
    redirects_refused,
    /// Records that a disconnect cut off before their line ending.
    cut_records,
    /// Batches appended to the journal.
    batches,
    /// Bytes of records appended to the journal.
    bytes,
    /// Records appended to the journal, empty ones included: what hits a second are counted by, whether Kafka takes them or not.
    records,
    /// Hits that were found in the journal. A replay counts none of them again.
    hits,
    /// Hits among them without a usable hit id.
    hits_without_ids,
    /// Hits among them without a usable visitor id.
    hits_without_visitor,
    /// Hits among them of which a copy, ids and bytes, stood before them.
    duplicates,
    /// Hits among them with the ids of another one and other bytes.
    twins,
    /// Times that ids were forgotten before `dedup.window` was over, because `dedup.max_ids` was reached.
    dedup_window_shortened,
    /// Hits among them without a field that `shape.required` names.
    incomplete,
    /// Records that were nothing but a line ending.
    empty_records,
    /// Records that the cursor has passed because Kafka has them, dead letters included.
    delivered,
    /// Delivery reports, or refusals to take a record for delivery, that told of a failure.
    delivery_failures,
    /// Times that the stream went back to its cursor to produce again.
    rewinds,
    /// Records that were produced again after a rewind, and so may stand twice in their topic.
    reproduced,
    /// Records that were too large for Kafka and are kept in the quarantine. Their dead letters hold first bytes, or nothing.
    quarantined,
    /// Attempts to keep such a record that failed.
    quarantine_failures,
    /// Records that the cursor has passed because they are in the quarantine: Kafka took not even a dead letter without any bytes.
    undescribed,
}

macro_rules! dead_letter_counters {
    ($($(#[$doc:meta])* $name:ident: $reason:pat,)+) => {
        /// Dead letters by reason.
        #[derive(Debug, Default)]
        pub struct DeadLetterCounters {
            $($(#[$doc])* pub $name: Count,)+
        }

        /// [`DeadLetterCounters`] at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct DeadLetterSnapshot {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl DeadLetterCounters {
            /// The count for this reason.
            pub const fn of(&self, reason: DeadLetterReason) -> &Count {
                match reason {
                    $($reason => &self.$name,)+
                }
            }

            fn snapshot(&self) -> DeadLetterSnapshot {
                DeadLetterSnapshot { $($name: self.$name.get(),)+ }
            }
        }

        impl DeadLetterSnapshot {
            /// All reasons together.
            pub const fn total(&self) -> u64 {
                0 $(+ self.$name)+
            }
        }
    };
}

dead_letter_counters! {
    /// [`NotAHit::NotUtf8`].
    not_utf8: DeadLetterReason::NotAHit(NotAHit::NotUtf8),
    /// [`NotAHit::NotJson`].
    not_json: DeadLetterReason::NotAHit(NotAHit::NotJson),
    /// [`NotAHit::NotAnObject`].
    not_an_object: DeadLetterReason::NotAHit(NotAHit::NotAnObject),
    /// [`NotAHit::TrailingBytes`].
    trailing_bytes: DeadLetterReason::NotAHit(NotAHit::TrailingBytes),
    /// [`DeadLetterReason::TooLong`].
    too_long: DeadLetterReason::TooLong,
    /// [`DeadLetterReason::TooLargeForKafka`].
    too_large_for_kafka: DeadLetterReason::TooLargeForKafka,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_every_count_and_every_reason() {
        let counters = StreamCounters::default();
        counters.hits.add(3);
        for reason in [
            DeadLetterReason::NotAHit(NotAHit::NotUtf8),
            DeadLetterReason::NotAHit(NotAHit::NotJson),
            DeadLetterReason::NotAHit(NotAHit::NotAnObject),
            DeadLetterReason::NotAHit(NotAHit::TrailingBytes),
            DeadLetterReason::TooLong,
            DeadLetterReason::TooLargeForKafka,
        ] {
            counters.dead_letters.of(reason).one();
            let json = serde_json::to_value(counters.snapshot()).unwrap();
            assert_eq!(json["dead_letters"][reason.name()], 1, "{reason:?}");
        }
        let snapshot = counters.snapshot();
        assert_eq!(
            (snapshot.hits, snapshot.delivered, snapshot.dead_letters.total()),
            (3, 0, 6)
        );
    }
}
