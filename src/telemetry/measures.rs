//! What is measured of one stream's hits on their way: how old they are when they are read, and how long Kafka takes to have them.
//!
//! Ages are differences of wall time, because a record may be older than this boot. A clock that is set makes a few of them wrong, and
//! none of them fails anything: what makes no sense is not measured.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::counters::Count;
use super::histogram::Measure;

/// Upper bounds for [`StreamMeasures::upstream_lag`], in seconds. As a rule the service takes 20 s to 5 min, and 10 min more for some
/// report suites (protocol notes, section 6): there they are dense. Smoothing delays by up to two hours (`smoothing_bucket_size`).
pub static UPSTREAM_LAG_BOUNDS: [f64; 14] = [
    1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
];

/// Upper bounds for [`StreamMeasures::delivery_latency`], in seconds. Below a second for a cluster that is well (`linger.ms` alone is
/// 200 ms); minutes for a change of leaders; hours for what waited in the journal while Kafka was away.
pub static DELIVERY_LATENCY_BOUNDS: [f64; 15] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

/// The first second of the year 2000: before Live Stream, so that a hit's time before it is none.
const FIRST_SECOND: u64 = 946_684_800;
/// A hit may seem to come from the future by so much, because its clock and ours differ. By more it has no time.
const MOST_AHEAD_MS: u64 = 5_000;

/// The measures of one stream, made by its forwarder.
#[derive(Debug)]
pub struct StreamMeasures {
    /// How old hits are when they are read, in seconds.
    pub upstream_lag: Measure<14>,
    /// How long it takes from reading a record until Kafka has acknowledged it, and all before it, in seconds.
    pub delivery_latency: Measure<15>,
    /// Bytes of the records that the cursor has passed because Kafka has them.
    delivered_bytes: Count,
    last_delivery: Mutex<Option<Instant>>,
}

impl Default for StreamMeasures {
    fn default() -> Self {
        Self {
            upstream_lag: Measure::new(&UPSTREAM_LAG_BOUNDS),
            delivery_latency: Measure::new(&DELIVERY_LATENCY_BOUNDS),
            delivered_bytes: Count::default(),
            last_delivery: Mutex::default(),
        }
    }
}

impl StreamMeasures {
    /// A hit that Adobe collected at `collected`, in seconds since the Unix epoch, was read at `read_ms`, in milliseconds since then.
    pub fn hit_read(&self, collected: Option<u64>, read_ms: u64) {
        if let Some(lag) = collected.and_then(|collected| lag(collected, read_ms)) {
            self.upstream_lag.observe(lag, 1);
        }
    }

    /// It is `now_ms`, and Kafka has so many records that were read at `read_ms`; again in milliseconds since the Unix epoch.
    pub fn delivered(&self, records: u64, read_ms: u64, now_ms: u64) {
        let latency = now_ms.saturating_sub(read_ms) as f64 / 1000.0;
        self.delivery_latency.observe(latency, records);
    }

    /// Records of so many bytes were delivered just now.
    pub fn delivered_just_now(&self, bytes: u64) {
        self.delivered_bytes.add(bytes);
        let mut last = self.last_delivery.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Instant::now());
    }

    /// When something was delivered last, in this run of the daemon.
    pub fn last_delivery(&self) -> Option<Instant> {
        *self.last_delivery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// About how many records are in `bytes` of the journal, by the mean length of those that were delivered; none if none were.
    pub fn records_in(&self, bytes: u64, delivered: u64) -> Option<u64> {
        let of_delivered = self.delivered_bytes.get();
        if delivered == 0 || of_delivered == 0 {
            return None;
        }
        let records = u128::from(bytes) * u128::from(delivered) / u128::from(of_delivered);
        // Something is not nothing.
        Some((records as u64).max(u64::from(bytes > 0)))
    }
}

/// How old a hit was when it was read, in seconds; `None` if its time makes no sense.
fn lag(collected: u64, read_ms: u64) -> Option<f64> {
    let collected_ms = collected.checked_mul(1000)?;
    let sensible = collected >= FIRST_SECOND && collected_ms <= read_ms.saturating_add(MOST_AHEAD_MS);
    sensible.then(|| read_ms.saturating_sub(collected_ms) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000_500;

    #[test]
    fn a_hit_is_as_old_as_its_time_says_and_one_with_a_senseless_time_has_no_age() {
        let measures = StreamMeasures::default();
        for (collected, age) in [
            (1_749_999_960, Some(40.5)),
            (1_750_000_000, Some(0.5)),
            // Its clock is a little ahead.
            (1_750_000_003, Some(0.0)),
            (1_750_000_006, None),
            (FIRST_SECOND - 1, None),
            (0, None),
            // In milliseconds, and worse.
            (1_750_000_000_000, None),
            (u64::MAX, None),
        ] {
            assert_eq!(lag(collected, NOW), age, "{collected}");
            measures.hit_read(Some(collected), NOW);
        }
        measures.hit_read(None, NOW);
        assert_eq!(measures.upstream_lag.snapshot().count, 3);
        assert_eq!(measures.upstream_lag.last(), Some(0.0));
    }

    #[test]
    fn a_latency_counts_for_all_records_of_its_batch_and_a_clock_that_was_set_back_for_none() {
        let measures = StreamMeasures::default();
        measures.delivered(3, NOW - 2_000, NOW);
        measures.delivered(2, NOW + 5_000, NOW);
        let latency = measures.delivery_latency.snapshot();
        assert_eq!((latency.count, latency.sum.round() as u64), (5, 6));
        assert_eq!(measures.delivery_latency.last(), Some(0.0));
    }

    #[test]
    fn a_backlog_is_so_many_records_of_the_mean_length_and_unknown_before_there_is_one() {
        let measures = StreamMeasures::default();
        assert_eq!((measures.records_in(1000, 0), measures.last_delivery()), (None, None));
        measures.delivered_just_now(2_000);
        assert_eq!(
            [0, 10, 1_000, u64::MAX].map(|bytes| measures.records_in(bytes, 10)),
            [Some(0), Some(1), Some(5), Some(u64::MAX / 200)]
        );
        assert!(measures.last_delivery().is_some());
    }

    #[test]
    fn bounds_grow() {
        assert!(UPSTREAM_LAG_BOUNDS.is_sorted() && DELIVERY_LATENCY_BOUNDS.is_sorted());
    }
}
