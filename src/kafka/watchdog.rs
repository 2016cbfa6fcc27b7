//! When do records wait in vain? A lost leader, or a fault of the producer, may leave a stream without any delivery report for good.
//!
//! Promise: pure, `now` is an argument. Reports are counted and not timed, because the time of each would cost more than the report:
//! so whoever waits looks now and then, and is told when to look next.

use std::time::{Duration, Instant};

/// How long a stream may be without a report while it waits for one, before its producer is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first time.
    pub first: Duration,
    /// It doubles each time that nothing was delivered since, up to this.
    pub most: Duration,
}

impl Patience {
    /// A minute is beyond what librdkafka's own retries and a change of leaders take. A broker that is away for hours needs no new
    /// producer, and one costs threads and connections: so seldom after a while.
    pub const USUAL: Self = Self {
        first: Duration::from_mins(1),
        most: Duration::from_mins(15),
    };

    /// How long the reports of other streams may be waited for on a producer that is left, after the last that came.
    pub fn quiet(self) -> Duration {
        self.first / 12
    }

    /// The patience after `stalls` times in a row that nothing was delivered.
    pub fn after(self, stalls: u32) -> Duration {
        self.first
            .saturating_mul(2_u32.saturating_pow(stalls))
            .min(self.most.max(self.first))
    }
}

/// What a stream that waits counts: its own delivery reports, and the deliveries of all that use its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Reports of any kind that this stream got; only that the number changes counts.
    pub reports: u64,
    /// Successful reports of all streams on the same producer, this one among them.
    pub delivered_by_all: u64,
}

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is waited for.
    Idle,
    /// Look again then, or sooner.
    Again(Instant),
    /// No report has come for long: this producer is to be left.
    Stalled(Stall),
}

/// A stream that got no report for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Since when, at the latest.
    pub since: Instant,
    /// Other streams on the same producer have had deliveries lately: the trouble is this stream's own.
    pub others_deliver: bool,
}

/// Watches one stream on one producer.
#[derive(Debug)]
pub struct Watchdog {
    patience: Duration,
    not_before: Instant,
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    seen: Counts,
    /// When the deliveries of all were last seen to grow.
    all_grew: Option<Instant>,
}

/// Looks within one patience: a stall is found at most a quarter later than it could be.
const LOOKS: u32 = 4;

impl Watchdog {
    /// A stall is one after `patience`, and not before `not_before`.
    pub const fn new(patience: Duration, not_before: Instant) -> Self {
        Self {
            patience,
            not_before,
            wait: None,
        }
    }

    /// A look: whether the stream waits for anything, and what was counted so far. `now` must not go back.
    pub fn look(&mut self, now: Instant, waits: bool, counts: Counts) -> Look {
        if !waits {
            self.wait = None;
            return Look::Idle;
        }
        let wait = match &mut self.wait {
            Some(wait) if wait.seen.reports == counts.reports => wait,
            begins => begins.insert(Wait {
                since: now,
                seen: counts,
                all_grew: None,
            }),
        };
        if wait.seen.delivered_by_all != counts.delivered_by_all {
            wait.seen.delivered_by_all = counts.delivered_by_all;
            wait.all_grew = Some(now);
        }
        let due = (wait.since + self.patience).max(self.not_before);
        if now < due {
            return Look::Again(due.min(now + self.patience / LOOKS));
        }
        Look::Stalled(Stall {
            since: wait.since,
            // A broker that went away for all had deliveries at the beginning of the wait.
            others_deliver: wait.all_grew.is_some_and(|grew| now < grew + self.patience / 2),
        })
    }

    /// As patient as this one, with a wait of its own.
    pub const fn fresh(&self) -> Self {
        Self::new(self.patience, self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn counts(reports: u64, delivered_by_all: u64) -> Counts {
        Counts {
            reports,
            delivered_by_all,
        }
    }

    #[test]
    fn patience_doubles_up_to_its_bound() {
        let minutes: Vec<_> = (0..6)
            .map(|stalls| Patience::USUAL.after(stalls).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 15, 15]);
        assert_eq!(Patience::USUAL.after(u32::MAX), Patience::USUAL.most);
    }

    #[test]
    fn a_minute_without_a_report_is_a_stall_and_who_waits_for_nothing_has_none() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(PATIENCE, start);
        assert_eq!(watchdog.look(at(0), true, counts(0, 0)), Look::Again(at(15)));
        assert_eq!(watchdog.look(at(50), true, counts(0, 0)), Look::Again(at(60)));
        let stall = Look::Stalled(Stall {
            since: start,
            others_deliver: false,
        });
        assert_eq!(watchdog.look(at(60), true, counts(0, 0)), stall);
        // A report of any kind begins it anew.
        assert_eq!(watchdog.look(at(61), true, counts(1, 0)), Look::Again(at(76)));
        assert_eq!(watchdog.look(at(100), false, counts(1, 0)), Look::Idle);
        assert_eq!(watchdog.look(at(130), true, counts(1, 0)), Look::Again(at(145)));
    }

    #[test]
    fn a_producer_that_was_just_built_is_not_left_before_its_time() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(PATIENCE, start + 4 * PATIENCE);
        let mut now = start;
        while let Look::Again(next) = watchdog.look(now, true, counts(0, 0)) {
            assert!(next > now && next <= now + PATIENCE / LOOKS);
            now = next;
        }
        assert_eq!(now, start + 4 * PATIENCE);
    }

    #[test]
    fn whether_others_deliver_is_told_by_what_came_lately() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (last_delivery, others_deliver) in [(1, false), (20, false), (31, true), (59, true)] {
            let mut watchdog = Watchdog::new(PATIENCE, start);
            for second in 0..60 {
                let by_all = u64::min(second, last_delivery);
                let look = watchdog.look(at(second), true, counts(7, by_all));
                assert!(matches!(look, Look::Again(_)), "{second}: {look:?}");
            }
            let stall = Stall {
                since: start,
                others_deliver,
            };
            assert_eq!(
                watchdog.look(at(60), true, counts(7, last_delivery)),
                Look::Stalled(stall),
                "{last_delivery}"
            );
        }
    }

    proptest! {
        /// Reports come at any times; whoever looks when told, and now and then besides, finds each silence that is long enough, in
        /// time, and no other.
        #[test]
        fn a_silence_is_found_in_time_and_a_shorter_one_is_none(
            gaps in prop::collection::vec(1..200_000_u64, 1..40),
            besides in prop::collection::vec(1..30_000_u64, 0..200),
        ) {
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
            let mut reports = Vec::new();
            let mut last = 0;
            for gap in &gaps {
                last += gap;
                reports.push(last);
            }
            let mut watchdog = Watchdog::new(PATIENCE, start);
            let mut besides = besides.into_iter();
            let mut now = 0;
            loop {
                let came = reports.iter().take_while(|report| **report <= now).count();
                let silent_since = if came == 0 { 0 } else { reports[came - 1] };
                let silent = now - silent_since;
                match watchdog.look(at(now), true, counts(came as u64, came as u64)) {
                    Look::Stalled(stall) => {
                        prop_assert!(silent >= 60_000, "after {} ms", silent);
                        prop_assert!(!stall.others_deliver, "all deliveries are this stream's own");
                        break;
                    }
                    Look::Again(next) => {
                        prop_assert!(silent < 75_000, "nothing was found after {} ms", silent);
                        let told = (next - start).as_millis() as u64;
                        prop_assert!(told > now);
                        now = besides.next().map_or(told, |step| told.min(now + step));
                    }
                    Look::Idle => prop_assert!(false, "it waits"),
                }
            }
        }
    }
}
