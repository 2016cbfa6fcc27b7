//! The clock that the rule is counted in: time since boot, suspend included.
//!
//! Wall time plays no part in any decision: it leaps, and a leap must neither shorten a cooldown nor lengthen it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A reading of the time since boot (`CLOCK_BOOTTIME` in the daemon, a number in tests). It never goes back within one boot, and
/// means nothing in another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `secs` seconds after boot.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    /// Saturates at the end of time, so that an absurd wait read from a file or a header cannot wrap into an early connect.
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }
}

/// Names one boot of one machine (the kernel's `boot_id`). Two unknown boots are never the same boot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootId(Option<String>);

impl BootId {
    /// A boot that the kernel named. An empty name is an unknown boot.
    pub fn known(id: &str) -> Self {
        let id = id.trim();
        Self((!id.is_empty()).then(|| id.to_owned()))
    }

    /// A boot of which nothing is known (no `/proc`, for one).
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// Whether both are known, and the same.
    pub fn is_same_boot(&self, other: &Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }

    /// The name as it is stored; empty when unknown.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("unknown"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_boot_is_not_even_itself() {
        assert!(!BootId::unknown().is_same_boot(&BootId::unknown()));
        assert!(!BootId::known(" \n").is_same_boot(&BootId::known("")));
        assert!(BootId::known("a\n").is_same_boot(&BootId::known("a")));
    }

    #[test]
    fn a_wait_beyond_the_end_of_time_stays_there() {
        assert_eq!(Moment(Duration::MAX) + Duration::from_secs(1), Moment(Duration::MAX));
    }
}
