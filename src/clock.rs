//! The clocks that the rest is given: time since boot and the boot's name for decisions, wall time for people to read.

use std::time::{Duration, SystemTime};

use crate::lifecycle::{BootId, Moment};

/// Where the kernel names the present boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Tells the time. A trait so that tests can run hours in virtual time.
pub trait Clock: Send + Sync + 'static {
    /// The time since boot, suspend included. Never goes back.
    fn now(&self) -> Moment;
    /// The present boot.
    fn boot(&self) -> &BootId;
    /// Wall time. For logs and files that people read, for nothing that decides.
    fn wall(&self) -> SystemTime;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
}

impl SystemClock {
    /// Reads the boot id. Where there is none (a container without `/proc`), the boot is unknown, and every found lease asks for a
    /// whole cooldown.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).map_or_else(|_| BootId::unknown(), |id| BootId::known(&id));
        Self { boot }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Time since boot is neither negative nor has a second more than 999,999,999 ns.
        Moment(Duration::new(
            time.tv_sec.unsigned_abs(),
            time.tv_nsec.unsigned_abs() as u32,
        ))
    }

    fn boot(&self) -> &BootId {
        &self.boot
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// `at` as wall time, for people: right as long as the wall clock does not leap.
pub fn as_wall(clock: &dyn Clock, at: Moment) -> SystemTime {
    let (now, wall) = (clock.now(), clock.wall());
    let there = if at >= now {
        wall.checked_add(at.since(now))
    } else {
        wall.checked_sub(now.since(at))
    };
    there.unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_boot_goes_on_and_the_boot_has_a_name() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(first > Moment::default());
        assert!(clock.now() >= first);
        assert!(clock.boot().is_same_boot(SystemClock::new().boot()));
    }

    #[test]
    fn a_moment_ahead_is_shown_as_a_wall_time_ahead() {
        let clock = SystemClock::new();
        let shown = as_wall(&clock, clock.now() + Duration::from_mins(1));
        let ahead = shown.duration_since(SystemTime::now()).unwrap();
        assert!(ahead > Duration::from_secs(50) && ahead <= Duration::from_mins(1));
    }
}
