//! When does silence on an open connection mean that the peer is gone?
//!
//! A quiet report suite gives 200 and then silence, and a limit that cycles a healthy quiet connection is the very fault that the
//! cooldown exists for; no limit at all leaves a dead one for days. So the limit learns from the stream (protocol notes, section 5):
//!
//! - never under `stall_timeout`;
//! - never under 4 times the longest silence that this stream has broken by itself in the last day;
//! - doubled, up to 30 minutes, each time that a connection after a stall stays silent too, until a byte comes;
//! - 30 minutes as long as no byte ever came.
//!
//! Only time in which we were reading counts: a full journal stops the reading, and so does a machine that is suspended; neither is a
//! fault of the peer. After either it is given the time in which TCP tries again.

use std::time::Duration;

use super::time::Moment;

/// The limit of a stream that never sent a byte, and the most that doubling reaches.
pub const LONG_LIMIT: Duration = Duration::from_mins(30);
/// How many times the longest silence that was broken by itself must pass.
const SAFETY: u32 = 4;
/// The longest that TCP waits before it tries again (Linux: `TCP_RTO_MAX`).
pub const LONGEST_TCP_PAUSE: Duration = Duration::from_mins(2);
const HOUR: u64 = 3600;
/// A day, and the hour that is not over yet: a silence counts for a whole day at least, whenever in its hour it ended.
const HOURS: usize = 25;

/// A peer whose data met no answer for as long as we were `away` sends it again within about as long: TCP doubles its pauses, up to
/// [`LONGEST_TCP_PAUSE`].
pub fn tries_again_within(away: Duration) -> Duration {
    away.min(LONGEST_TCP_PAUSE)
}

/// Watches the silence on one slot's connections, one after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StallWatch {
    stall_timeout: Duration,
    silences: SilencesOfADay,
    ever_heard: bool,
    /// How often in a row a connection was silent from its beginning until it stalled.
    silent_stalls: u32,
    /// Silence is counted from here: the last byte, the beginning, or the end of a pause.
    listening_since: Moment,
    heard_on_this_connection: bool,
    /// What this silence was given for TCP to try again, in all.
    granted: Duration,
}

impl StallWatch {
    /// A watch for a slot whose stream was never heard.
    pub fn new(stall_timeout: Duration) -> Self {
        Self {
            stall_timeout,
            silences: SilencesOfADay::default(),
            ever_heard: false,
            silent_stalls: 0,
            listening_since: Moment::default(),
            heard_on_this_connection: false,
            granted: Duration::ZERO,
        }
    }

    /// Goes by another `stall_timeout` from now on, and keeps what it has learnt.
    pub const fn set_stall_timeout(&mut self, stall_timeout: Duration) {
        self.stall_timeout = stall_timeout;
    }

    /// The service has answered 200.
    pub fn opened(&mut self, now: Moment) {
        self.listening_since = now;
        self.heard_on_this_connection = false;
        self.granted = Duration::ZERO;
    }

    /// The last byte came at `at`. Calling it again with the same moment changes nothing.
    pub fn heard(&mut self, at: Moment) {
        self.granted = Duration::ZERO;
        if at <= self.listening_since && self.heard_on_this_connection {
            return;
        }
        self.silences.note(at, at.since(self.listening_since));
        self.listening_since = self.listening_since.max(at);
        self.heard_on_this_connection = true;
        self.ever_heard = true;
        self.silent_stalls = 0;
    }

    /// We read again after we had stopped: what passed in between is not silence.
    pub fn resumed(&mut self, now: Moment) {
        self.listening_since = self.listening_since.max(now);
    }

    /// The process did not run for `lapse`, until `now`. That is no silence, nor is the time in which TCP tries again; what was silent
    /// before still is. Short lapses, which may come one after another, are together granted no more than TCP's longest pause: a dead
    /// peer is found on a machine whose timers are always late, too.
    pub fn did_not_run(&mut self, now: Moment, lapse: Duration) {
        let tries_again = tries_again_within(lapse);
        let granted = if lapse < LONGEST_TCP_PAUSE {
            tries_again.min(LONGEST_TCP_PAUSE.saturating_sub(self.granted))
        } else {
            tries_again
        };
        self.granted += granted;
        let shifted = self.listening_since + lapse + granted;
        // No byte is due later than that; what was granted before stays.
        self.listening_since = self.listening_since.max(shifted.min(now + granted));
    }

    /// The silence after which the connection counts as dead.
    pub fn limit(&self, now: Moment) -> Duration {
        if !self.ever_heard {
            return LONG_LIMIT.max(self.stall_timeout);
        }
        let doubled = self
            .stall_timeout
            .saturating_mul(1_u32.checked_shl(self.silent_stalls).unwrap_or(u32::MAX));
        let doubled = doubled.min(LONG_LIMIT.max(self.stall_timeout));
        doubled.max(self.silences.longest(now).saturating_mul(SAFETY))
    }

    /// When the connection will count as dead, if no byte comes until then.
    pub fn deadline(&self, now: Moment) -> Moment {
        self.listening_since + self.limit(now)
    }

    /// If the connection has stalled by now: for how long nothing came. The connection must then be closed.
    pub fn stalled(&mut self, now: Moment) -> Option<Duration> {
        if now < self.deadline(now) {
            return None;
        }
        if !self.heard_on_this_connection {
            self.silent_stalls = self.silent_stalls.saturating_add(1);
        }
        Some(now.since(self.listening_since))
    }
}

/// The longest silence of each of the last 25 hours of uptime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct SilencesOfADay {
    /// `(hour since boot, longest silence that ended in it)`, at `hour % HOURS`.
    hours: [(u64, Duration); HOURS],
}

impl SilencesOfADay {
    fn note(&mut self, at: Moment, silence: Duration) {
        let hour = at.0.as_secs() / HOUR;
        let entry = &mut self.hours[(hour % HOURS as u64) as usize];
        if entry.0 == hour {
            entry.1 = entry.1.max(silence);
        } else {
            *entry = (hour, silence);
        }
    }

    fn longest(&self, now: Moment) -> Duration {
        let hour = now.0.as_secs() / HOUR;
        let recent = self.hours.iter().filter(|(at, _)| *at + HOURS as u64 > hour);
        recent.map(|(_, silence)| *silence).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_MINUTES: Duration = Duration::from_secs(120);
    const fn at(secs: u64) -> Moment {
        Moment::from_secs(1_000_000 + secs)
    }

    fn heard_once() -> StallWatch {
        let mut watch = StallWatch::new(TWO_MINUTES);
        watch.opened(at(0));
        watch.heard(at(0));
        watch
    }

    #[test]
    fn a_stream_that_never_sent_a_byte_has_the_long_limit() {
        let mut watch = StallWatch::new(TWO_MINUTES);
        watch.opened(at(0));
        assert_eq!(watch.stalled(at(1799)), None);
        assert_eq!(watch.stalled(at(1800)), Some(LONG_LIMIT));
    }

    #[test]
    fn silence_after_bytes_ends_a_connection_at_the_stall_timeout() {
        let mut watch = heard_once();
        assert_eq!(watch.deadline(at(1)), at(120));
        assert_eq!(watch.stalled(at(119)), None);
        assert_eq!(watch.stalled(at(120)), Some(TWO_MINUTES));
    }

    #[test]
    fn a_stream_that_broke_long_silences_by_itself_is_given_four_times_as_long() {
        let mut watch = heard_once();
        watch.heard(at(100));
        assert_eq!(watch.limit(at(100)), Duration::from_secs(400));
        watch.heard(at(101));
        assert_eq!(watch.limit(at(101)), Duration::from_secs(400), "a day long");
        assert_eq!(watch.limit(at(100 + 25 * 3600)), TWO_MINUTES, "and no longer");
    }

    #[test]
    fn the_silence_before_the_first_byte_of_a_connection_counts_as_broken_by_itself() {
        let mut watch = heard_once();
        watch.opened(at(200));
        watch.heard(at(290));
        assert_eq!(watch.limit(at(290)), Duration::from_secs(360));
    }

    #[test]
    fn connections_that_stay_silent_after_a_stall_double_the_limit_until_a_byte_comes() {
        let mut watch = heard_once();
        assert!(watch.stalled(at(120)).is_some());
        let mut limits = Vec::new();
        let mut now = at(180);
        for _ in 0..7 {
            watch.opened(now);
            limits.push(watch.limit(now).as_secs());
            now = watch.deadline(now);
            assert!(watch.stalled(now).is_some());
        }
        assert_eq!(limits, [120, 240, 480, 960, 1800, 1800, 1800]);
        watch.opened(now);
        watch.heard(now + Duration::from_secs(1));
        assert_eq!(watch.limit(now), TWO_MINUTES);
    }

    #[test]
    fn time_in_which_we_did_not_read_is_not_silence() {
        let mut watch = heard_once();
        watch.resumed(at(500));
        assert_eq!(watch.stalled(at(619)), None);
        watch.heard(at(501));
        assert_eq!(watch.limit(at(501)), TWO_MINUTES, "nor a silence that the stream broke");
    }

    /// Lets the process be away for `away` seconds of each `cycle`, while the peer is silent, until it stalls: how many cycles it took.
    fn cycles_until_a_stall(watch: &mut StallWatch, away: u64, cycle: u64) -> u64 {
        for n in 1..10_000 {
            let now = at(n * cycle);
            watch.did_not_run(now, Duration::from_secs(away));
            if watch.stalled(now).is_some() {
                return n;
            }
        }
        panic!("it never stalls");
    }

    #[test]
    fn a_dead_peer_is_found_however_often_the_process_does_not_run_for_a_moment() {
        for (away, cycle) in [(2, 32), (2, 3), (29, 30), (90, 100)] {
            let cycles = cycles_until_a_stall(&mut heard_once(), away, cycle);
            let ran = cycles * (cycle - away);
            // The limit, and once what TCP may take. It looks up once a cycle.
            assert!((120..=240 + cycle).contains(&ran), "{away} s of {cycle} s: {ran} s");
        }
    }

    #[test]
    fn a_long_lapse_grants_the_whole_pause_of_tcp_each_time_and_forgets_no_silence_before_it() {
        let hours = Duration::from_hours(8);
        let mut watch = heard_once();
        watch.did_not_run(at(100) + hours, hours);
        let pause = LONGEST_TCP_PAUSE;
        assert_eq!(watch.deadline(at(100) + hours), at(120) + hours + pause);
        watch.did_not_run(at(200) + hours * 2, hours);
        assert_eq!(watch.deadline(at(200) + hours * 2), at(120) + (hours + pause) * 2);
        // Never more than a whole limit after TCP's pause.
        let mut watch = heard_once();
        watch.did_not_run(at(10), hours);
        assert_eq!(watch.deadline(at(10)), at(10) + pause + TWO_MINUTES);
    }

    #[test]
    fn a_byte_earns_short_lapses_their_pauses_anew() {
        let mut watch = heard_once();
        let minute = Duration::from_mins(1);
        for n in 1..=10 {
            let now = at(n * 60);
            watch.did_not_run(now, minute);
            watch.heard(now);
            assert_eq!(watch.granted, Duration::ZERO, "{n}");
        }
        watch.did_not_run(at(660), minute);
        assert_eq!(watch.deadline(at(660)), at(660) + minute + TWO_MINUTES);
        assert_eq!(watch.limit(at(660)), TWO_MINUTES, "and none of them was a silence");
    }

    #[test]
    fn the_same_byte_reported_twice_changes_nothing() {
        let mut watch = heard_once();
        watch.heard(at(10));
        let before = watch.clone();
        watch.heard(at(10));
        assert_eq!(watch, before);
    }
}
