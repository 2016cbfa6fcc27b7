//! How long to wait after which outcome, and why: pure arithmetic over a [`Policy`].
//!
//! Two kinds of waits, never mixed up: a *cooldown* follows an attempt that reached the service, and is owed to it; a *backoff*
//! follows one that did not, and only spares the network. Jitter is added by the machine, and only ever adds.

use std::fmt;
use std::time::Duration;

use super::outcome::{EndReason, Lost, Refusal, RefusalClass, TokenFailure, Unreached};

/// A cooldown is stretched to at most this many times itself: 60 s to 3 minutes, beyond which upstream stops backfilling
/// (protocol notes, section 6).
const STRETCH_LIMIT: u32 = 3;
/// After this many refusals in a row the limit is reached: each further one stretches the cooldown by half, 60, 90, 135, 180 s.
const REFUSALS_TO_THE_LIMIT: u32 = 4;
/// The first backoff after an attempt that did not reach the service.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// A `Retry-After` beyond this is taken for a mistake: an hour loses the backfill many times over already.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_hours(1);
/// The most that jitter adds to a wait: enough to part streams that were cut off together, little against the backfill window.
const JITTER_LIMIT: Duration = Duration::from_secs(1);

/// The waits of one slot, from the settings of its stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The least time between the end of one connection or attempt that reached the service and the next.
    pub cooldown: Duration,
    /// Beyond this gap upstream is not thought to backfill: a stretched cooldown stays below it.
    pub backfill_horizon: Duration,
    /// The wait where a person must mend something first.
    pub long_retry: Duration,
}

impl Policy {
    /// The cooldown after the `failures`-th refusal in a row (1 is the first), stretched but never past the backfill window.
    pub fn stretched(&self, failures: u32) -> Duration {
        let limit = self
            .cooldown
            .saturating_mul(STRETCH_LIMIT)
            .min(self.backfill_horizon)
            .max(self.cooldown);
        let mut wait = self.cooldown;
        for _ in 1..failures.min(REFUSALS_TO_THE_LIMIT) {
            wait = wait.saturating_add(wait / 2);
        }
        wait.min(limit)
    }

    /// The wait after an answer other than 200 or a redirect: never under the cooldown. `failures` counts this one.
    pub fn after_refusal(&self, refusal: &Refusal, failures: u32) -> Duration {
        let wait = match refusal.class() {
            RefusalClass::Unauthorized | RefusalClass::Trouble => self.cooldown,
            RefusalClass::Busy => self.stretched(failures),
            RefusalClass::Fault => self.long_retry.max(self.cooldown),
        };
        wait.max(bounded(refusal.retry_after))
    }

    /// The wait after an attempt that reached the service, or may have, without an answer: never under the cooldown.
    pub fn after_loss(&self, lost: &Lost) -> Duration {
        match lost {
            Lost::HeadTimeout | Lost::Broken(_) | Lost::RedirectHop(_) => self.cooldown,
            Lost::RedirectRefused(_) | Lost::Unreadable(_) => self.long_retry.max(self.cooldown),
        }
    }

    /// The backoff after the `tries`-th attempt in a row that did not reach the service: 1 s, doubling up to the cooldown.
    pub fn backoff(&self, tries: u32) -> Duration {
        doubled(FIRST_BACKOFF.min(self.cooldown), tries, self.cooldown)
    }

    /// The backoff after a token failure, the `times`-th of its kind in a row. A refusal needs a person, as a rule: from a cooldown
    /// up to the long retry. Adobe throttles who asks too often (protocol notes, section 7).
    pub fn after_token_failure(&self, failure: &TokenFailure, times: u32) -> Duration {
        match failure {
            TokenFailure::Unavailable(_) => self.backoff(times),
            TokenFailure::Refused { retry_after, .. } => {
                doubled(self.cooldown, times, self.long_retry.max(self.cooldown)).max(bounded(*retry_after))
            }
        }
    }

    /// No wait that we ask for is longer than this.
    pub fn longest_wait(&self) -> Duration {
        let longest = self.long_retry.max(self.stretched(u32::MAX)).max(RETRY_AFTER_LIMIT);
        longest.saturating_add(Self::jitter_limit(longest))
    }

    /// The most that may be added to a wait of this length.
    pub fn jitter_limit(wait: Duration) -> Duration {
        (wait / 4).min(JITTER_LIMIT)
    }
}

/// Why a slot waits. Carries what an operator needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Nothing is owed: the start only.
    Start,
    /// A lease was found whose wait is not over: this daemon, or the one before, was connected a moment ago.
    LeaseClosed,
    /// A lease was found open: a connection may have ended just now (protocol notes, section 1).
    LeaseOpen,
    /// A lease was found that cannot be read, or that speaks of another boot: a whole cooldown.
    LeaseUnclear,
    /// The stream ended.
    Ended(EndReason),
    /// The service refused.
    Refused(Refusal),
    /// The attempt reached the service, or may have, and got no usable answer.
    Lost(Lost),
    /// The service was not reached.
    Unreached(Unreached),
    /// There is no access token.
    Token(TokenFailure),
    /// The lease could not be made durable, so no connect may go out.
    LeaseNotStored,
}

impl Why {
    /// Whether the stream counts as failing, rather than as waiting in the normal course of things: somebody should look.
    pub fn is_failing(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.class() {
                RefusalClass::Unauthorized | RefusalClass::Fault => true,
                RefusalClass::Busy | RefusalClass::Trouble => false,
            },
            Self::Lost(Lost::RedirectRefused(_) | Lost::Unreadable(_))
            | Self::Token(TokenFailure::Refused { .. })
            | Self::LeaseNotStored => true,
            Self::Start
            | Self::LeaseClosed
            | Self::LeaseOpen
            | Self::LeaseUnclear
            | Self::Ended(_)
            | Self::Lost(Lost::HeadTimeout | Lost::Broken(_) | Lost::RedirectHop(_))
            | Self::Unreached(_)
            | Self::Token(TokenFailure::Unavailable(_)) => false,
        }
    }

    /// A short fixed name, for labels and counts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::LeaseClosed => "lease_closed",
            Self::LeaseOpen => "lease_open",
            Self::LeaseUnclear => "lease_unclear",
            Self::Ended(_) => "ended",
            Self::Refused(_) => "refused",
            Self::Lost(_) => "lost",
            Self::Unreached(_) => "unreached",
            Self::Token(_) => "token",
            Self::LeaseNotStored => "lease_not_stored",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("starting"),
            Self::LeaseClosed => f.write_str("the cooldown of an earlier connection is not over"),
            Self::LeaseOpen => f.write_str("an earlier run may have been connected until a moment ago"),
            Self::LeaseUnclear => f.write_str("it is not known when an earlier connection ended"),
            Self::Ended(reason) => reason.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Lost(lost) => lost.fmt(f),
            Self::Unreached(Unreached(why)) => write!(f, "the service could not be reached: {why}"),
            Self::Token(failure) => failure.fmt(f),
            Self::LeaseNotStored => f.write_str("the lease could not be written to state_dir"),
        }
    }
}

/// `first`, doubled with each try after the first, up to `limit`.
fn doubled(first: Duration, tries: u32, limit: Duration) -> Duration {
    let factor = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(limit)
}

fn bounded(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            cooldown: Duration::from_secs(60),
            backfill_horizon: Duration::from_secs(180),
            long_retry: Duration::from_secs(600),
        }
    }

    fn secs(wait: Duration) -> u64 {
        wait.as_secs()
    }

    #[test]
    fn repeated_409_and_503_stretch_the_cooldown_up_to_three_minutes() {
        for status in [409, 503] {
            let refusal = Refusal::status(status);
            let waits: Vec<u64> = (1..=6).map(|n| secs(policy().after_refusal(&refusal, n))).collect();
            assert_eq!(waits, [60, 90, 135, 180, 180, 180], "{status}");
        }
        assert_eq!(secs(policy().stretched(u32::MAX)), 180);
    }

    #[test]
    fn a_short_backfill_horizon_never_cuts_into_the_cooldown() {
        let policy = Policy {
            backfill_horizon: Duration::from_secs(10),
            ..policy()
        };
        assert_eq!(secs(policy.stretched(9)), 60);
    }

    #[test]
    fn retry_after_counts_only_where_it_is_longer_and_sane() {
        let after = |status, retry| {
            let retry_after = Some(Duration::from_secs(retry));
            secs(policy().after_refusal(
                &Refusal {
                    status,
                    description: None,
                    retry_after,
                },
                1,
            ))
        };
        assert_eq!(after(503, 5), 60);
        assert_eq!(after(503, 240), 240);
        assert_eq!(after(429, 90), 90);
        assert_eq!(after(503, u64::MAX), 3600);
    }

    #[test]
    fn what_a_person_must_mend_is_retried_slowly() {
        for status in [400, 404, 405, 406, 424, 505] {
            assert_eq!(
                secs(policy().after_refusal(&Refusal::status(status), 1)),
                600,
                "{status}"
            );
        }
        let short = Policy {
            long_retry: Duration::from_secs(1),
            ..policy()
        };
        assert_eq!(
            secs(short.after_refusal(&Refusal::status(404), 1)),
            60,
            "never under the cooldown"
        );
    }

    #[test]
    fn backoff_doubles_from_one_second_up_to_the_cooldown() {
        let waits: Vec<u64> = (1..=8).map(|n| secs(policy().backoff(n))).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(secs(policy().backoff(u32::MAX)), 60);
    }

    #[test]
    fn a_refused_token_is_asked_for_ever_more_slowly() {
        let refused = TokenFailure::Refused {
            description: String::new(),
            retry_after: None,
        };
        let waits: Vec<u64> = (1..=6)
            .map(|n| secs(policy().after_token_failure(&refused, n)))
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 600, 600]);
    }
}
