//! Which hits a stream's connections get, and when: rate, totals, backfill, and the spread over several connections.
//!
//! A pure machine that is given the time. It holds numbers of hits and not the hits themselves ([`super::hits`] makes them
//! again from their number), so that even a long backlog is small.

use std::collections::VecDeque;
use std::time::Duration;

use super::hits::HitMaker;
use super::settings::{Backfill, Rate, SimulatedStream};

/// The most hits remembered to be sent once more.
const MOST_REMEMBERED: usize = 100_000;
/// The least time between two looks at the rate, so that a fast stream is written in batches and not hit by hit.
const TICK: Duration = Duration::from_millis(5);

/// A hit that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Its number within the stream.
    pub(super) number: u64,
    /// When it was made, in Unix seconds.
    pub(super) time: u64,
    /// Whether it was sent before.
    pub(super) repeat: bool,
}

/// The hits of one stream.
#[derive(Debug)]
pub(super) struct Source {
    maker: HitMaker,
    rate: Rate,
    total: Option<u64>,
    backfill: Backfill,
    buffer: usize,
    epoch: u64,
    made: u64,
    looked: Option<Duration>,
    accrued: f64,
    wanted: u64,
    members: Vec<Member>,
    sent: VecDeque<Due>,
    away: Option<Away>,
    overrun: u64,
}

#[derive(Debug)]
struct Member {
    connection: u64,
    waiting: VecDeque<Due>,
}

/// Nobody has been connected since.
#[derive(Debug)]
struct Away {
    since: Duration,
    first: u64,
    undelivered: VecDeque<Due>,
}

impl Source {
    /// Nothing made yet. `epoch` is the Unix time at which the simulator's clock began.
    pub(super) fn new(stream: &SimulatedStream, maker: HitMaker, epoch: u64) -> Self {
        Self {
            maker,
            rate: stream.rate,
            total: stream.total,
            backfill: stream.backfill,
            buffer: stream.buffer.max(1),
            epoch,
            made: 0,
            looked: None,
            accrued: 0.0,
            wanted: 0,
            members: Vec::new(),
            sent: VecDeque::new(),
            away: None,
            overrun: 0,
        }
    }

    /// From now on at this rate.
    pub(super) fn set_rate(&mut self, now: Duration, rate: Rate) {
        self.advance(now, 0);
        self.rate = rate;
        self.accrued = 0.0;
    }

    /// So many hits more, at once.
    pub(super) fn burst(&mut self, hits: u64) {
        self.wanted = self.wanted.saturating_add(hits);
    }

    /// How many hits were made.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// How many hits were lost because a client read too slowly.
    pub(super) fn overrun(&self) -> u64 {
        self.overrun
    }

    /// Whether every hit was made and nothing waits for this connection.
    pub(super) fn is_exhausted(&self, connection: u64) -> bool {
        self.total.is_some_and(|total| self.made >= total)
            && self
                .members
                .iter()
                .all(|member| member.connection != connection || member.waiting.is_empty())
    }

    /// A connection begins. `reset` is the parameter, which takes effect only when no other connection is open
    /// (protocol notes, section 2).
    pub(super) fn join(&mut self, now: Duration, connection: u64, reset: Option<&str>) {
        self.advance(now, 0);
        let mut waiting = VecDeque::new();
        if self.members.is_empty()
            && let Some(away) = self.away.take()
        {
            let repeat_last = match reset {
                Some("largest" | "latest") => 0,
                Some("smallest" | "earliest") => self.sent.len(),
                _ => self.backfill.repeat_last,
            };
            waiting.extend(self.last_sent(repeat_last));
            let within = self
                .backfill
                .missed_within
                .is_some_and(|most| now.saturating_sub(away.since) <= most);
            if within && !matches!(reset, Some("largest" | "latest")) {
                waiting.extend(self.missed(now, away));
            }
        }
        self.members.push(Member { connection, waiting });
    }

    /// A connection ended. What waited for it goes to the others, or is missed.
    pub(super) fn leave(&mut self, now: Duration, connection: u64) {
        self.advance(now, 0);
        let Some(place) = self.members.iter().position(|member| member.connection == connection) else {
            return;
        };
        let left = self.members.remove(place).waiting;
        if self.members.is_empty() {
            let undelivered = left.into_iter().filter(|due| !due.repeat).collect();
            self.away = Some(Away {
                since: now,
                first: self.made,
                undelivered,
            });
        } else {
            for due in left {
                self.assign(due);
            }
        }
    }

    /// Moves up to `most` hits that are due for this connection to `out`.
    pub(super) fn pull(&mut self, now: Duration, connection: u64, most: usize, out: &mut Vec<Due>) {
        let waiting = self
            .members
            .iter()
            .find(|member| member.connection == connection)
            .map_or(0, |it| it.waiting.len());
        self.advance(now, most.saturating_sub(waiting) as u64);
        let Some(member) = self.members.iter_mut().find(|member| member.connection == connection) else {
            return;
        };
        let some = member.waiting.len().min(most);
        let before = out.len();
        out.extend(member.waiting.drain(..some));
        self.remember(out.len() - before, out);
    }

    /// Makes one hit for this connection, whatever the rate: a fault needs one to strike.
    pub(super) fn victim(&mut self, now: Duration, connection: u64) -> Due {
        let mut one = Vec::with_capacity(1);
        self.pull(now, connection, 1, &mut one);
        one.pop().unwrap_or_else(|| {
            let due = Due {
                number: self.made,
                time: self.time(now),
                repeat: false,
            };
            self.made += 1;
            self.remember(1, &[due]);
            due
        })
    }

    /// The last hits that were sent, to be sent once more.
    pub(super) fn last_sent(&self, records: usize) -> Vec<Due> {
        let skip = self.sent.len().saturating_sub(records);
        self.sent
            .iter()
            .skip(skip)
            .map(|due| Due { repeat: true, ..*due })
            .collect()
    }

    /// How long until a hit is due, if the rate says so. Never a busy wait.
    pub(super) fn next_due(&self) -> Option<Duration> {
        if self.total.is_some_and(|total| self.made >= total) {
            return None;
        }
        match self.rate {
            Rate::Unlimited => Some(TICK),
            Rate::PerSecond(rate) if rate > 0.0 => {
                let secs = ((1.0 - self.accrued) / rate).clamp(0.0, 3_600.0);
                Some(Duration::from_secs_f64(secs).max(TICK))
            }
            Rate::Silent | Rate::PerSecond(_) => None,
        }
    }

    fn remember(&mut self, last: usize, out: &[Due]) {
        for due in out.iter().rev().take(last).rev().filter(|due| !due.repeat) {
            if self.sent.len() == MOST_REMEMBERED {
                self.sent.pop_front();
            }
            self.sent.push_back(*due);
        }
    }

    fn time(&self, now: Duration) -> u64 {
        self.epoch + now.as_secs()
    }

    /// Makes what is due by now; `asked` is how many hits a connection would take if the rate is unlimited.
    fn advance(&mut self, now: Duration, asked: u64) {
        if self.members.is_empty() && self.away.is_none() {
            // Nobody was ever here: hits are made from the first connection on.
            self.looked = Some(now);
            return;
        }
        let passed = now.saturating_sub(self.looked.unwrap_or(now));
        self.looked = Some(self.looked.unwrap_or(now).max(now));
        let mut hits = match self.rate {
            Rate::Silent => 0,
            Rate::PerSecond(rate) => {
                self.accrued += passed.as_secs_f64() * rate.max(0.0);
                let whole = self.accrued.floor();
                self.accrued -= whole;
                whole as u64
            }
            Rate::Unlimited => asked,
        };
        if !self.members.is_empty() {
            hits = hits.saturating_add(std::mem::take(&mut self.wanted));
        }
        if let Some(total) = self.total {
            hits = hits.min(total.saturating_sub(self.made));
        }
        let first = self.made;
        self.made += hits;
        if self.members.is_empty() {
            return;
        }
        // More than could ever wait is lost without being looked at one by one.
        let most = (self.buffer as u64).saturating_mul(self.members.len() as u64);
        let lost = hits.saturating_sub(most);
        self.overrun += lost;
        let time = self.time(now);
        for number in first + lost..self.made {
            self.assign(Due {
                number,
                time,
                repeat: false,
            });
        }
    }

    /// Hits are spread by visitor (protocol notes, section 6).
    fn assign(&mut self, due: Due) {
        let members = self.members.len() as u64;
        let place = if members > 1 {
            self.maker.visitor(due.number) % members
        } else {
            0
        };
        let Some(member) = self.members.get_mut(place as usize) else {
            return;
        };
        if member.waiting.len() >= self.buffer {
            member.waiting.pop_front();
            self.overrun += 1;
        }
        member.waiting.push_back(due);
    }

    /// What was made while nobody was there: at most a buffer full of it, the newest.
    fn missed(&mut self, now: Duration, away: Away) -> Vec<Due> {
        let made = self.made - away.first;
        let fresh = made.min(self.buffer as u64);
        let room = self.buffer - fresh as usize;
        let kept = away.undelivered.len().min(room);
        self.overrun += (made - fresh) + (away.undelivered.len() - kept) as u64;
        let gone = now.saturating_sub(away.since);
        let skip = away.undelivered.len() - kept;
        let mut missed: Vec<Due> = away.undelivered.into_iter().skip(skip).collect();
        missed.extend((self.made - fresh..self.made).map(|number| {
            let share = (number - away.first) as f64 / made as f64;
            Due {
                number,
                time: self.time(away.since + gone.mul_f64(share)),
                repeat: false,
            }
        }));
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(stream: &SimulatedStream) -> Source {
        Source::new(stream, HitMaker::new(1, "s", "s", 16), 1_000)
    }

    fn stream() -> SimulatedStream {
        SimulatedStream {
            rate: Rate::PerSecond(10.0),
            ..SimulatedStream::new("s")
        }
    }

    fn pull(source: &mut Source, now: u64, connection: u64) -> Vec<Due> {
        let mut out = Vec::new();
        source.pull(Duration::from_secs(now), connection, 10_000, &mut out);
        out
    }

    fn numbers(due: &[Due]) -> Vec<u64> {
        due.iter().map(|due| due.number).collect()
    }

    #[test]
    fn hits_come_at_the_rate_from_the_first_connection_on() {
        let mut source = source(&stream());
        source.join(Duration::from_secs(50), 1, None);
        assert_eq!(pull(&mut source, 50, 1), []);
        let due = pull(&mut source, 52, 1);
        assert_eq!(numbers(&due), (0..20).collect::<Vec<_>>());
        assert_eq!(due[0].time, 1_052);
        source.set_rate(Duration::from_secs(52), Rate::Silent);
        source.burst(3);
        assert_eq!(numbers(&pull(&mut source, 99, 1)), [20, 21, 22]);
        assert_eq!(source.next_due(), None);
    }

    #[test]
    fn what_was_made_while_away_is_lost_or_sent_as_the_backfill_says() {
        let missed = |backfill, away: u64| {
            let mut source = source(&SimulatedStream { backfill, ..stream() });
            source.join(Duration::ZERO, 1, None);
            assert_eq!(pull(&mut source, 1, 1).len(), 10);
            source.leave(Duration::from_secs(1), 1);
            source.join(Duration::from_secs(1 + away), 2, None);
            pull(&mut source, 1 + away, 2)
        };
        assert_eq!(missed(Backfill::NOTHING, 5), []);
        let both = missed(Backfill::both(3), 5);
        assert_eq!(numbers(&both[..3]), [7, 8, 9]);
        assert!(
            both[..3].iter().all(|due| due.repeat && due.time == 1_001),
            "a repeat is the same to the byte"
        );
        assert_eq!(numbers(&both[3..]), (10..60).collect::<Vec<_>>());
        assert!(both[3..].is_sorted_by_key(|due| due.time) && both[3..].iter().all(|due| !due.repeat));
        let late = missed(Backfill::both(3), 200);
        assert_eq!(numbers(&late), [7, 8, 9], "past the horizon what was missed is gone");
    }

    #[test]
    fn a_reset_chooses_where_to_start() {
        for (reset, first) in [
            ("largest", None),
            ("latest", None),
            ("smallest", Some(0)),
            ("earliest", Some(0)),
        ] {
            let mut source = source(&SimulatedStream {
                backfill: Backfill::both(3),
                ..stream()
            });
            source.join(Duration::ZERO, 1, None);
            pull(&mut source, 1, 1);
            source.leave(Duration::from_secs(1), 1);
            source.join(Duration::from_secs(2), 2, Some(reset));
            assert_eq!(pull(&mut source, 2, 2).first().map(|due| due.number), first, "{reset}");
        }
    }

    #[test]
    fn connections_share_hits_by_visitor_and_inherit_them() {
        let mut source = source(&stream());
        source.join(Duration::ZERO, 1, None);
        source.join(Duration::ZERO, 2, None);
        let visitors = |due: &[Due]| due.iter().map(|due| source_visitor(due.number)).collect::<Vec<_>>();
        let (one, two) = (pull(&mut source, 10, 1), pull(&mut source, 10, 2));
        assert_eq!(one.len() + two.len(), 100);
        assert!(visitors(&one).iter().all(|visitor| !visitors(&two).contains(visitor)));
        source.advance(Duration::from_secs(20), 0);
        source.leave(Duration::from_secs(20), 2);
        let mut rest = numbers(&pull(&mut source, 20, 1));
        rest.sort_unstable();
        assert_eq!(rest, (100..200).collect::<Vec<_>>());
    }

    fn source_visitor(number: u64) -> u64 {
        HitMaker::new(1, "s", "s", 16).visitor(number)
    }

    #[test]
    fn a_slow_reader_loses_the_oldest_and_memory_stays_bounded() {
        let mut source = source(&SimulatedStream {
            buffer: 100,
            ..stream()
        });
        source.join(Duration::ZERO, 1, None);
        let due = pull(&mut source, 3_600, 1);
        assert_eq!(numbers(&due), (35_900..36_000).collect::<Vec<_>>());
        assert_eq!(source.overrun(), 35_900);
    }

    #[test]
    fn a_total_ends_the_making() {
        let mut source = source(&SimulatedStream {
            total: Some(25),
            rate: Rate::Unlimited,
            ..stream()
        });
        source.join(Duration::ZERO, 1, None);
        let mut out = Vec::new();
        source.pull(Duration::ZERO, 1, 20, &mut out);
        assert!(!source.is_exhausted(1));
        source.pull(Duration::ZERO, 1, 20, &mut out);
        assert_eq!(out.len(), 25);
        assert!(source.is_exhausted(1));
        assert_eq!(source.next_due(), None);
    }
}
