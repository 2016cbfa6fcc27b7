//! What is worth a log line of a journal's condition: each change, but for one that comes and goes all the time, which is summed up.
//!
//! Promise: pure. A journal that is full while Kafka is a little too slow has room again every few seconds, for hours.

use std::time::Duration;

use super::super::Condition;
use crate::telemetry::Digest;
use crate::telemetry::digest::{Over, Told as Repeats, likeness};

/// How many conditions are told apart: full, and what disks say.
const MOST_KINDS: usize = 8;

/// What was told of one journal. Times are of any clock that does not go back.
#[derive(Debug)]
pub(super) struct Told {
    last: Condition,
    /// Whether people know of the last condition, or need not.
    is_known: bool,
    conditions: Digest<String>,
    not_synced: Digest<()>,
}

/// A line that is to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It takes nothing.
    TakesNothing,
    /// It takes batches again, after this.
    TakesAgain {
        /// What it was before.
        before: Condition,
        /// Of the trouble that is over.
        over: Over,
    },
}

impl Default for Told {
    fn default() -> Self {
        Self {
            last: Condition::Good,
            is_known: true,
            conditions: Digest::new(MOST_KINDS),
            not_synced: Digest::without_end(1),
        }
    }
}

impl Told {
    /// The journal is in this condition. Called often: at a change, and now and then while it lasts.
    pub(super) fn look(&mut self, condition: &Condition, now: Duration) -> Option<News> {
        let before = (*condition != self.last).then(|| std::mem::replace(&mut self.last, condition.clone()));
        if before.is_none() && self.is_known {
            return None;
        }
        match condition {
            Condition::Good => {
                self.is_known = true;
                let over = self.conditions.over(now)?;
                before.map(|before| News::TakesAgain { before, over })
            }
            Condition::Full | Condition::DiskFull(_) | Condition::DiskFailing(_) => {
                let kind = likeness(&condition.to_string());
                // A look is no event: what lasts counts once.
                if before.is_none() && self.conditions.is_quiet(&kind, now) {
                    return None;
                }
                let told = self.conditions.note(kind, now);
                self.is_known = told.is_some();
                told.map(|_| News::TakesNothing)
            }
        }
    }

    /// A sync has failed. If that is worth a line: how often it did.
    pub(super) fn not_synced(&mut self, now: Duration) -> Option<Repeats> {
        self.not_synced.note((), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// The times of lines on a journal whose condition is looked at each second.
    fn lines(seconds: u64, condition: impl Fn(u64) -> Condition) -> Vec<(u64, bool)> {
        let mut told = Told::default();
        let look = |now| {
            let news = told.look(&condition(now), at(now))?;
            Some((now, news == News::TakesNothing))
        };
        (0..seconds).filter_map(look).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let lines = lines(10_000, |now| match now {
            2000..3000 => Condition::DiskFull("no space left (os error 28)".to_owned()),
            100..2000 | 5000..5001 => Condition::Full,
            _ => Condition::Good,
        });
        assert_eq!(
            lines,
            [(100, true), (2000, true), (3000, false), (5000, true), (5001, false)]
        );
    }

    #[test]
    fn one_that_is_full_every_few_seconds_is_told_every_few_minutes() {
        let day = 86_400;
        let flaps = lines(day, |now| if now % 12 < 6 { Condition::Full } else { Condition::Good });
        assert!((400..700).contains(&flaps.len()), "{}", flaps.len());
        // Whatever was said last is so: a beginning has its end.
        assert!(flaps.windows(2).all(|two| two[0].1 != two[1].1));
    }

    #[test]
    fn what_lasts_after_it_came_and_went_is_told_within_five_minutes() {
        let lines = lines(2000, |now| {
            let flaps = now < 1000 && now % 12 >= 6;
            if flaps { Condition::Good } else { Condition::Full }
        });
        let (last, is_full) = *lines.last().unwrap();
        assert!(is_full && last < 1300, "{lines:?}");
    }

    #[test]
    fn a_sync_that_fails_ten_times_a_second_is_no_line_each() {
        let mut told = Told::default();
        let lines = (0..36_000).filter(|tenth| told.not_synced(Duration::from_millis(100 * tenth)).is_some());
        assert_eq!(lines.count(), 4);
    }
}
