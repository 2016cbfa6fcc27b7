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
//! Only time in which we were reading counts: a full journal stops the reading, and that is no fault of the peer.

use std::time::Duration;

use super::time::Moment;

/// The limit of a stream that never sent a byte, and the most that doubling reaches.
pub const LONG_LIMIT: Duration = Duration::from_mins(30);
/// How many times the longest silence that was broken by itself must pass.
const SAFETY: u32 = 4;
const HOUR: u64 = 3600;
/// A day, and the hour that is not over yet: a silence counts for a whole day at least, whenever in its hour it ended.
const HOURS: usize = 25;

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
        }
    }

    /// The service has answered 200.
    pub fn opened(&mut self, now: Moment) {
        self.listening_since = now;
        self.heard_on_this_connection = false;
    }

    /// The last byte came at `at`. Calling it again with the same moment changes nothing.
    pub fn heard(&mut self, at: Moment) {
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

    #[test]
    fn the_same_byte_reported_twice_changes_nothing() {
        let mut watch = heard_once();
        watch.heard(at(10));
        let before = watch.clone();
        watch.heard(at(10));
        assert_eq!(watch, before);
    }
}
