//! A slot as it would be at another time: what lets the exhaustive search see that two histories have come to the same point.

use super::{Jitter, Moment, Slot, State, Why};

impl Slot {
    /// This slot, with `now` called `to`. What is past, and can make no difference any more, is forgotten: when a state was
    /// entered, and why; refusals and tries in a row beyond `most`. From here on jitter comes from `seed`.
    #[must_use]
    pub fn rebased(&self, now: Moment, to: Moment, seed: u64, most: u32) -> Self {
        let moved = |moment: Moment| to + moment.since(now);
        let state = match &self.state {
            State::Waiting { until, .. } => State::Waiting {
                until: moved(*until),
                why: Why::Start,
            },
            State::Authorizing { retry, .. } => State::Authorizing {
                since: to,
                retry: *retry,
            },
            State::Leasing { retry, .. } => State::Leasing {
                since: to,
                retry: *retry,
            },
            State::Connecting { retry, .. } => State::Connecting {
                since: to,
                retry: *retry,
            },
            State::Streaming { .. } => State::Streaming { since: to },
            State::Stopped => State::Stopped,
        };
        Self {
            policy: self.policy.clone(),
            state,
            not_before: moved(self.not_before),
            failures: self.failures.min(most),
            tries: self.tries.min(most),
            token_refusals: self.token_refusals.min(most),
            latest: to,
            jitter: Jitter(seed),
        }
    }

    /// A seed whose first jitter is none at all, for every limit that divides a second: the machine at its hastiest.
    pub fn hastiest_seed() -> u64 {
        let second = std::time::Duration::from_secs(1);
        let hasty = |seed: &u64| Jitter(*seed).next(second).is_zero();
        (0..u64::MAX).find(hasty).unwrap_or_default()
    }
}
