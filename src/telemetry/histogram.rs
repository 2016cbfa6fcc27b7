//! Counts of measured values by size: cheap enough for the hot path, and a snapshot of them for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Values come in millionths: whole numbers add up without a lock, and a sum of seconds lasts for half a million years.
const UNIT: f64 = 1e-6;

/// No value counts as more: three years in seconds. A clock that was wrong by decades must not use up the sum.
const LARGEST: f64 = 1e8;

/// Measures. `BOUNDS` are the upper bounds of the buckets, growing; values beyond the last one are counted too.
#[derive(Debug)]
pub struct Measure<const N: usize> {
    bounds: &'static [f64; N],
    buckets: [AtomicU64; N],
    beyond: AtomicU64,
    sum_micros: AtomicU64,
    /// The bits of the value that was measured last; those of NaN before there is one.
    last: AtomicU64,
}

impl<const N: usize> Measure<N> {
    /// Nothing measured yet.
    pub const fn new(bounds: &'static [f64; N]) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; N],
            beyond: AtomicU64::new(0),
            sum_micros: AtomicU64::new(0),
            last: AtomicU64::new(f64::NAN.to_bits()),
        }
    }

    /// `times` values of `value` each. What is negative, such as by a clock that was set, counts as 0.
    pub fn observe(&self, value: f64, times: u64) {
        let value = if value > 0.0 { value.min(LARGEST) } else { 0.0 };
        let nth = self.bounds.partition_point(|bound| *bound < value);
        self.buckets
            .get(nth)
            .unwrap_or(&self.beyond)
            .fetch_add(times, Ordering::Relaxed);
        let micros = ((value / UNIT) as u64).saturating_mul(times);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.last.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value that was measured last.
    pub fn last(&self) -> Option<f64> {
        Some(f64::from_bits(self.last.load(Ordering::Relaxed))).filter(|value| !value.is_nan())
    }

    /// As it is now.
    pub fn snapshot(&self) -> Histogram {
        let mut count = 0;
        let buckets = self
            .bounds
            .iter()
            .zip(&self.buckets)
            .map(|(le, bucket)| {
                count += bucket.load(Ordering::Relaxed);
                Bucket { le: *le, count }
            })
            .collect();
        Histogram {
            buckets,
            count: count + self.beyond.load(Ordering::Relaxed),
            sum: self.sum_micros.load(Ordering::Relaxed) as f64 * UNIT,
        }
    }
}

/// What was measured up to a moment. Empty where nothing is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// By growing bounds. What lies beyond the last is in `count` only.
    pub buckets: Vec<Bucket>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// How many values were not above a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The bound.
    pub le: f64,
    /// How many values were not above it, those of the buckets before included.
    pub count: u64,
}

impl Histogram {
    /// About the value that a share of `q` (0 to 1) of all do not exceed: within its bucket as if values lay evenly there. The last
    /// bound for what lies beyond it. `None` while nothing was measured.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = q.clamp(0.0, 1.0) * self.count as f64;
        let (mut below, mut counted) = (0.0, 0.0);
        for bucket in &self.buckets {
            let count = bucket.count as f64;
            if count >= wanted && count > counted {
                return Some((bucket.le - below) * ((wanted - counted) / (count - counted)).max(0.0) + below);
            }
            (below, counted) = (bucket.le, count);
        }
        Some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: [f64; 3] = [0.1, 1.0, 10.0];

    #[test]
    fn a_value_on_a_bound_belongs_below_it_and_one_beyond_all_is_counted_too() {
        let measure = Measure::new(&BOUNDS);
        assert_eq!(measure.last(), None);
        for value in [0.1, 0.5, 1.0, 11.0, -3.0, f64::NAN] {
            measure.observe(value, 1);
        }
        measure.observe(2.0, 4);
        assert_eq!(measure.last(), Some(2.0));
        let counts: Vec<u64> = measure.snapshot().buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!((counts, measure.snapshot().count), (vec![3, 5, 9], 10));
        assert!(
            (measure.snapshot().sum - 20.6).abs() < 1e-3,
            "{}",
            measure.snapshot().sum
        );
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_value() {
        let measure = Measure::new(&BOUNDS);
        assert_eq!(measure.snapshot().quantile(0.5), None);
        measure.observe(0.05, 50);
        measure.observe(5.0, 49);
        measure.observe(1e9, 1);
        let quantile = |q| measure.snapshot().quantile(q).unwrap();
        assert!(quantile(0.4) <= 0.1, "{}", quantile(0.4));
        assert!((1.0..=10.0).contains(&quantile(0.9)), "{}", quantile(0.9));
        assert_eq!((quantile(1.0), quantile(7.0)), (10.0, 10.0));
    }
}
