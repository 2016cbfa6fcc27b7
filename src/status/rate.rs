//! Hits a second: now, and over the last quarter of an hour for a curve.
//!
//! Made from a count that only grows, which is looked at about once a second. Looks that come late spread what they find evenly over
//! the time since the one before, so that a pause of the daemon is no peak.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The curve goes back so far.
pub const SPAN: Duration = Duration::from_mins(15);
/// One of its points stands for so long.
pub const STEP: Duration = Duration::from_secs(10);
const POINTS: usize = (SPAN.as_secs() / STEP.as_secs()) as usize;

/// Hits a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Over the last seconds: [`STEP`] at most.
    pub now: f64,
    /// For how many seconds one point of `history` stands.
    pub step_seconds: f64,
    /// Oldest first; the last one is the step before the present one. Shorter in the first quarter of an hour.
    pub history: Vec<f64>,
}

/// Watches one count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateWatch {
    last: Option<Look>,
    /// Up to when the present step has been filled, from its beginning.
    filled: Duration,
    /// What was counted in it so far.
    counted: f64,
    history: VecDeque<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    at: Duration,
    count: u64,
}

impl RateWatch {
    /// The count is `count` at `at`, by any clock that does not go back.
    pub fn look(&mut self, at: Duration, count: u64) {
        let Some(last) = self.last.replace(Look { at, count }) else {
            return;
        };
        let passed = at.saturating_sub(last.at);
        let grown = count.saturating_sub(last.count) as f64;
        if passed.is_zero() {
            self.counted += grown;
            return;
        }
        let per_second = grown / passed.as_secs_f64();
        // Beyond the span everything is forgotten anyway.
        let mut left = passed.min(SPAN + STEP);
        while !left.is_zero() {
            let part = left.min(STEP.saturating_sub(self.filled));
            self.counted += per_second * part.as_secs_f64();
            self.filled += part;
            left = left.saturating_sub(part);
            if self.filled == STEP {
                self.history.push_back(self.counted / STEP.as_secs_f64());
                (self.filled, self.counted) = (Duration::ZERO, 0.0);
            }
        }
        while self.history.len() > POINTS {
            self.history.pop_front();
        }
    }

    /// What is known by the last look.
    pub fn rates(&self) -> Rates {
        // A step that has only just begun says little: the one before then counts with it, as far as it reaches back a whole step.
        let before = self.history.back().copied().unwrap_or_default();
        let rest = if self.history.is_empty() {
            0.0
        } else {
            STEP.saturating_sub(self.filled).as_secs_f64()
        };
        let seconds = self.filled.as_secs_f64() + rest;
        Rates {
            now: if seconds > 0.0 {
                before.mul_add(rest, self.counted) / seconds
            } else {
                0.0
            },
            step_seconds: STEP.as_secs_f64(),
            history: self.history.iter().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn a_steady_rate_is_the_same_everywhere() {
        let mut watch = RateWatch::default();
        for second in 0..2000_u64 {
            watch.look(Duration::from_secs(100 + second), 500 + second * 7);
            if second > 0 {
                assert!(close(watch.rates().now, 7.0), "{second}: {:?}", watch.rates().now);
            }
        }
        let history = watch.rates().history;
        assert_eq!(history.len(), 90);
        assert!(history.iter().all(|rate| close(*rate, 7.0)));
    }

    #[test]
    fn a_burst_is_over_after_two_steps_and_stands_in_the_curve() {
        let mut watch = RateWatch::default();
        watch.look(Duration::ZERO, 0);
        watch.look(Duration::from_secs(1), 100);
        assert!(close(watch.rates().now, 100.0));
        for second in 2..=30 {
            watch.look(Duration::from_secs(second), 100);
        }
        let rates = watch.rates();
        assert!(close(rates.now, 0.0), "{rates:?}");
        assert!(close(rates.history[0], 10.0) && rates.history[1..].iter().all(|rate| *rate == 0.0));
    }

    #[test]
    fn a_pause_of_the_daemon_is_no_peak() {
        let mut watch = RateWatch::default();
        watch.look(Duration::ZERO, 0);
        watch.look(Duration::from_secs(100), 1000);
        assert!(watch.rates().history.iter().all(|rate| close(*rate, 10.0)));
        watch.look(Duration::from_secs(1_000_000), 1000);
        assert_eq!(watch.rates().history.len(), 90);
        assert!(watch.rates().history.iter().all(|rate| *rate < 1.0));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_counted_twice_within_the_span(looks in prop::collection::vec((0..20_000_u64, 0..1000_u64), 1..40)) {
            let mut watch = RateWatch::default();
            let (mut at, mut count) = (Duration::ZERO, 0);
            watch.look(at, count);
            for (millis, hits) in looks {
                at += Duration::from_millis(millis);
                count += hits;
                watch.look(at, count);
                let rates = watch.rates();
                prop_assert!(rates.now >= 0.0 && rates.now.is_finite());
                let sum: f64 = rates.history.iter().map(|rate| rate * STEP.as_secs_f64()).sum::<f64>() + watch.counted;
                prop_assert!(close(sum, count as f64), "{} of {}", sum, count);
            }
        }
    }
}
