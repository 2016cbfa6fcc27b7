//! What one slot must remember across restarts, and the first wait that a remembered lease asks for.
//!
//! The lease is what makes the cooldown outlive the process: it is *open* on disk before a connect may go out, and closed, with
//! the moment from which the next connect may go out, at the disconnect. Found open at a start it says that a connection may have
//! ended just now, so the whole cooldown is owed (protocol notes, section 1).

use std::time::Duration;

use super::time::{BootId, Moment};
use super::wait::{Policy, Why};

/// What a store may add to a wait that it keeps in round numbers, at the most.
const ROUNDING: Duration = Duration::from_secs(1);

/// Which part of a connection's life a lease was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Open: a connect may be on its way.
    Connecting,
    /// Open: the service streams to us.
    Streaming,
    /// Closed: no connection of this slot exists.
    Closed,
}

/// What the machine asks to be stored; the store adds URL, slot, boot and wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Open or closed.
    pub phase: Phase,
    /// The moment, in the time of the present boot, from which a connect may go out.
    pub not_before: Moment,
    /// Refusals in a row so far: what a stretched cooldown goes on from.
    pub failures: u32,
}

/// A lease as it was found at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLease {
    /// What was stored.
    pub lease: Lease,
    /// The boot that its moments belong to.
    pub boot: BootId,
    /// When it was written, in the time of that boot.
    pub written: Moment,
}

/// What was found on disk for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No lease: this slot of this URL was never connected from here.
    Nothing,
    /// A lease.
    Lease(FoundLease),
    /// Something that cannot be read as a lease.
    Unreadable,
}

/// What a new [`super::Slot`] begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirstWait {
    /// No connect before this.
    pub until: Moment,
    /// Why.
    pub why: Why,
    /// Refusals in a row, from the lease.
    pub failures: u32,
    /// Whether the lease on disk should be closed anew, because what it says now belongs to this boot and this start.
    pub rewrite: bool,
}

impl FirstWait {
    /// Nothing is owed: connect at once.
    pub const fn none(now: Moment) -> Self {
        Self {
            until: now,
            why: Why::Start,
            failures: 0,
            rewrite: false,
        }
    }

    /// The first wait that `found` asks for, at a start at `now` in `boot`.
    ///
    /// | found | wait |
    /// | --- | --- |
    /// | nothing | none |
    /// | closed, same boot, written in the past | the rest of its wait |
    /// | the same, with a wait longer than any that we ask for | the rest of our longest wait, at least a cooldown |
    /// | closed, another or unknown boot, or written in the future | its whole wait, at least a cooldown |
    /// | open, or unreadable | a whole cooldown |
    pub fn from_found(found: &Found, now: Moment, boot: &BootId, policy: &Policy) -> Self {
        let FoundLease {
            lease,
            boot: its_boot,
            written,
        } = match found {
            Found::Nothing => return Self::none(now),
            Found::Unreadable => {
                return Self {
                    until: now + policy.cooldown,
                    why: Why::LeaseUnclear,
                    failures: 0,
                    rewrite: true,
                };
            }
            Found::Lease(found) => found,
        };
        let failures = lease.failures;
        // Bounded, so that a damaged file cannot silence a stream for good.
        let longest = policy.longest_wait();
        let whole_wait = lease.not_before.since(*written).min(longest);
        match lease.phase {
            Phase::Connecting | Phase::Streaming => Self {
                until: now + policy.cooldown,
                why: Why::LeaseOpen,
                failures,
                rewrite: true,
            },
            Phase::Closed if its_boot.is_same_boot(boot) && *written <= now => {
                let until = lease.not_before;
                if until.since(*written) > longest.saturating_add(ROUNDING) {
                    // Nor can it make us hasty: one wrong digit in `written`, and this bound alone would lie in the past.
                    return Self {
                        until: (*written + longest).max(now + policy.cooldown),
                        why: Why::LeaseUnclear,
                        failures,
                        rewrite: true,
                    };
                }
                if until <= now {
                    return Self {
                        until: now,
                        why: Why::Start,
                        failures,
                        rewrite: false,
                    };
                }
                Self {
                    until,
                    why: Why::LeaseClosed,
                    failures,
                    rewrite: false,
                }
            }
            Phase::Closed => Self {
                until: now + whole_wait.max(policy.cooldown),
                why: Why::LeaseUnclear,
                failures,
                rewrite: true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_secs(1_000);

    fn policy() -> Policy {
        Policy {
            cooldown: Duration::from_secs(60),
            backfill_horizon: Duration::from_secs(180),
            long_retry: Duration::from_secs(600),
        }
    }

    fn wait(phase: Phase, written: u64, not_before: u64, boot: &str) -> (u64, Why) {
        let lease = Lease {
            phase,
            not_before: Moment::from_secs(not_before),
            failures: 2,
        };
        let found = Found::Lease(FoundLease {
            lease,
            boot: BootId::known(boot),
            written: Moment::from_secs(written),
        });
        let first = FirstWait::from_found(&found, NOW, &BootId::known("this"), &policy());
        assert_eq!(first.failures, 2);
        (first.until.since(NOW).as_secs(), first.why)
    }

    #[test]
    fn a_closed_lease_of_this_boot_asks_for_the_rest_of_its_wait() {
        assert_eq!(wait(Phase::Closed, 980, 1_040, "this"), (40, Why::LeaseClosed));
        assert_eq!(wait(Phase::Closed, 900, 960, "this"), (0, Why::Start));
        assert_eq!(
            wait(Phase::Closed, 990, 1_590, "this"),
            (590, Why::LeaseClosed),
            "a long retry is remembered whole"
        );
    }

    #[test]
    fn a_lease_of_another_or_unknown_boot_asks_for_a_whole_cooldown() {
        assert_eq!(wait(Phase::Closed, 100, 160, "other"), (60, Why::LeaseUnclear));
        assert_eq!(wait(Phase::Closed, 100, 100, "other"), (60, Why::LeaseUnclear));
        assert_eq!(wait(Phase::Closed, 100, 160, ""), (60, Why::LeaseUnclear));
        assert_eq!(
            wait(Phase::Closed, 100, 700, "other"),
            (600, Why::LeaseUnclear),
            "and for its whole wait if longer"
        );
    }

    #[test]
    fn an_open_lease_asks_for_a_whole_cooldown_from_the_start_whatever_else_it_says() {
        for phase in [Phase::Connecting, Phase::Streaming] {
            for boot in ["this", "other", ""] {
                assert_eq!(wait(phase, 10, 20, boot), (60, Why::LeaseOpen));
            }
        }
    }

    #[test]
    fn a_lease_written_in_the_future_is_not_believed() {
        assert_eq!(wait(Phase::Closed, 2_000, 2_060, "this"), (60, Why::LeaseUnclear));
    }

    #[test]
    fn a_damaged_lease_cannot_silence_a_stream_for_good() {
        assert_eq!(
            wait(Phase::Closed, 1_000, u64::MAX, "this").0,
            policy().longest_wait().as_secs()
        );
        assert_eq!(
            wait(Phase::Closed, 0, u64::MAX, "other").0,
            policy().longest_wait().as_secs()
        );
    }

    #[test]
    fn what_cannot_be_read_asks_for_a_whole_cooldown_and_nothing_found_for_none() {
        let first = |found| FirstWait::from_found(&found, NOW, &BootId::known("this"), &policy());
        assert_eq!(first(Found::Unreadable).until, Moment::from_secs(1_060));
        assert_eq!(first(Found::Nothing), FirstWait::none(NOW));
    }
}
