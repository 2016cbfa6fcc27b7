//! The clocks that the rest is given: time since boot and the boot's name for decisions, wall time for people to read.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alarm::Alarm;

use crate::lifecycle::{BootId, Moment};

mod alarm;

/// Where the kernel names the present boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Where it says by how much the clocks of our time namespace are off, which some containers have. Absent where there is no such thing.
const CLOCK_OFFSETS: &str = "/proc/self/timens_offsets";

/// Tells the time. A trait so that tests can run hours in virtual time.
pub trait Clock: Send + Sync + 'static {
    /// The time since boot, suspend included. Never goes back.
    fn now(&self) -> Moment;
    /// The present boot.
    fn boot(&self) -> &BootId;
    /// Wall time. For logs and files that people read, for nothing that decides.
    fn wall(&self) -> SystemTime;
    /// Ends at `at`, or as soon as the machine is awake again after it. Whoever must not be early looks at [`Self::now`] then.
    fn sleep_until(&self, at: Moment) -> Sleep<'_>;
}

/// A wait for a moment.
pub type Sleep<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
    alarm: OnceLock<Result<Alarm, String>>,
}

impl SystemClock {
    /// Reads the boot id. Where there is none (a container without `/proc`), the boot is unknown, and every found lease asks for a
    /// whole cooldown.
    pub fn new() -> Self {
        let offsets = std::fs::read_to_string(CLOCK_OFFSETS).unwrap_or_default();
        let boot = std::fs::read_to_string(BOOT_ID)
            .map_or_else(|_| BootId::unknown(), |id| BootId::known(&name_of_boot(&id, &offsets)));
        Self {
            boot,
            alarm: OnceLock::new(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        boottime()
    }

    fn boot(&self) -> &BootId {
        &self.boot
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, at: Moment) -> Sleep<'_> {
        Box::pin(async move {
            if at <= self.now() {
                return;
            }
            let woken = match self.alarm().and_then(|alarm| alarm.at(at)) {
                Ok(wait) => wait.await.map_err(io::Error::other),
                Err(error) => Err(error),
            };
            if let Err(error) = woken {
                tracing::debug!(%error, "this wait does not count suspended time, and may last longer");
                tokio::time::sleep(at.since(self.now())).await;
            }
        })
    }
}

impl SystemClock {
    /// Started by the first who waits.
    fn alarm(&self) -> io::Result<&Alarm> {
        let alarm = self.alarm.get_or_init(|| {
            Alarm::start().map_err(|error| {
                tracing::warn!(%error, "no timer that counts suspended time: after a suspend, waits last longer");
                error.to_string()
            })
        });
        alarm.as_ref().map_err(|error| io::Error::other(error.as_str()))
    }
}

/// The boot's name. Where time since boot is another than the machine's, it counts as another boot: a moment of one means nothing in the other.
fn name_of_boot(id: &str, offsets: &str) -> String {
    let of_boottime = offsets.lines().find_map(|line| line.trim().strip_prefix("boottime"));
    let offset: Vec<&str> = of_boottime.unwrap_or_default().split_whitespace().collect();
    if id.trim().is_empty() || offset.iter().all(|part| *part == "0") {
        id.to_owned()
    } else {
        format!("{}+{}", id.trim(), offset.join("."))
    }
}

fn boottime() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Time since boot is neither negative nor has a second more than 999,999,999 ns.
    Moment(Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    ))
}

/// A wall time as time since the Unix epoch; zero before it.
pub fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `at` as wall time, for people: by the wall clock as it is now. If that leaps, what was shown before is off by the leap, and nothing else
/// changes.
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

    #[tokio::test]
    async fn a_wait_ends_at_its_moment_and_not_before() {
        let clock = SystemClock::new();
        for wait in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(50)] {
            let until = clock.now() + wait;
            clock.sleep_until(until).await;
            assert!(clock.now() >= until);
            clock.sleep_until(until).await;
        }
        // The end of time is a moment too.
        let mut never = clock.sleep_until(Moment(Duration::MAX));
        tokio::select! {
            biased;
            () = &mut never => panic!("it ended"),
            () = clock.sleep_until(clock.now() + Duration::from_millis(20)) => {}
        }
    }

    #[test]
    fn a_time_namespace_whose_clock_is_off_is_a_boot_of_its_own() {
        let offsets = |secs: &str| format!("monotonic           7         0\nboottime {secs:>12}         0\n");
        assert_eq!(name_of_boot("id\n", ""), "id\n");
        assert_eq!(name_of_boot("id\n", &offsets("0")), "id\n");
        assert_eq!(name_of_boot("id\n", &offsets("-1000")), "id+-1000.0");
        assert_eq!(name_of_boot("id\n", &offsets("100000")), "id+100000.0");
        assert_eq!(
            name_of_boot("\n", &offsets("100000")),
            "\n",
            "an unknown boot stays unknown"
        );
    }

    #[test]
    fn a_moment_ahead_is_shown_as_a_wall_time_ahead() {
        let clock = SystemClock::new();
        let shown = as_wall(&clock, clock.now() + Duration::from_mins(1));
        let ahead = shown.duration_since(SystemTime::now()).unwrap();
        assert!(ahead > Duration::from_secs(50) && ahead <= Duration::from_mins(1));
    }
}
