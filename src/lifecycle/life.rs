//! When did a connection last show that it lived? For gap reports only: nothing here has a say in when we connect.
//!
//! Bytes that were read show it, as a rule. Those that are read right after a time in which we did not read do not: they lay in the
//! socket, and the connection may have ended at any time meanwhile. Where it cannot be known, the answer is rather too early than too
//! late.

use std::time::Duration;

use super::lease::Phase;
use super::stall::LONGEST_TCP_PAUSE;
use super::time::{BootId, Moment};

/// A timer that fires later than this was not late for want of a turn: the process, or the machine, did not run.
const LATE: Duration = Duration::from_secs(1);
/// What is shorter hardly counts: a dead peer is not found for longer anyway, and a heartbeat is older.
const SHORT: Duration = Duration::from_secs(10);
/// After a full journal, what lay in the socket, or could not leave the peer, is read within this.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// After a suspend or a freeze, what was sent meanwhile comes within this, the end of the connection too. It is also more than TCP's
/// keep-alive needs to find a dead peer, so who still seems to live then does.
const FOUND_OUT_WITHIN: Duration = LONGEST_TCP_PAUSE;

/// For how long at least the process did not run, if it did not: it was to wake at `due` at the latest, and it is `now`.
pub fn lapse(due: Moment, now: Moment) -> Option<Duration> {
    let late = now.since(due);
    (late > LATE).then_some(late)
}

/// What one open connection has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeSigns {
    last: Moment,
    /// What is read before this may be old.
    settled: Moment,
    /// What is read until the socket has nothing more may be old, too.
    drained: bool,
}

impl LifeSigns {
    /// The service has answered 200.
    pub const fn opened(now: Moment) -> Self {
        Self {
            last: now,
            settled: now,
            drained: true,
        }
    }

    /// Bytes were read at `at`.
    pub fn heard(&mut self, at: Moment) {
        if self.is_settled(at) {
            self.last = self.last.max(at);
        }
    }

    /// The socket had nothing more: what comes from now on was under way just now.
    pub const fn drained(&mut self) {
        self.drained = true;
    }

    /// The journal was full for so long, until `now`, and nothing was read. When the pause was short, what comes after the socket was
    /// drained is fresh: a journal that is full every few seconds does not hide that the connection lives.
    pub fn did_not_read(&mut self, now: Moment, paused: Duration) {
        self.unsettle(now, paused, READ_WITHIN);
    }

    /// The process was stopped, or the machine suspended, for so long until `now`. The network may have been away too.
    pub fn did_not_run(&mut self, now: Moment, lapse: Duration) {
        self.unsettle(now, lapse, FOUND_OUT_WITHIN);
    }

    fn unsettle(&mut self, now: Moment, away: Duration, settles_within: Duration) {
        self.drained = false;
        if away >= SHORT {
            self.settled = self.settled.max(now + settles_within);
        }
    }

    fn is_settled(&self, at: Moment) -> bool {
        self.drained && at >= self.settled
    }

    /// The last moment at which the connection lived for certain.
    pub const fn last(&self) -> Moment {
        self.last
    }

    /// The same for a connection that ends `now` with a goodbye, theirs or ours. Theirs comes after all that they sent; and ours ends a
    /// connection whose peer answered the kernel's probes (TCP keep-alive) just now, however quiet the stream was.
    pub fn last_before_goodbye(&self, now: Moment) -> Moment {
        if self.is_settled(now) { now } else { self.last }
    }
}

/// A moment that can be told in another process, and after another boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The boot that `at` belongs to.
    pub boot: BootId,
    /// The time since that boot.
    pub at: Moment,
    /// The wall clock at that moment: the time since the Unix epoch.
    pub wall: Duration,
}

/// What the lease of an earlier run tells of its last connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Open or closed.
    pub phase: Phase,
    /// When the lease was written.
    pub written: Stamp,
    /// When its file was touched last: the time since the Unix epoch, by the wall clock as it went when the lease was written. A streaming
    /// connection touches it now and then.
    pub touched: Option<Duration>,
    /// When a connection before this lease last lived.
    pub last_alive: Option<Stamp>,
}

/// How the beginning of a gap is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// By the time since boot, to the moment at which the last bytes were read.
    Clock,
    /// By what a process that did not end in order had noted last, so it may be half a minute earlier than it was.
    Heartbeat,
    /// By the wall clock, across boots: as right as that clock was.
    WallClock,
}

impl KnownBy {
    /// A short fixed name, for log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Heartbeat => "heartbeat",
            Self::WallClock => "wall_clock",
        }
    }
}

impl Trace {
    /// When a connection of this slot last lived, as far as is known, at a start at `now`. Nothing if none ever streamed.
    ///
    /// | lease | last life |
    /// | --- | --- |
    /// | streaming (the process did not end in order) | the last touch of its file |
    /// | the same, touched before it was written or in the future | when it was written: the 200 |
    /// | connecting, or closed | what the lease says of the connection before, if there was one |
    pub fn last_life(&self, now: Moment, wall: Duration, boot: &BootId) -> Option<Stamp> {
        match self.phase {
            Phase::Streaming => Some(self.heartbeat(now, wall, boot)),
            Phase::Connecting | Phase::Closed => self.last_alive.clone(),
        }
    }

    /// The last touch, in the time of the boot that wrote the lease: so a wall clock that leaps does no harm.
    fn heartbeat(&self, now: Moment, wall: Duration, boot: &BootId) -> Stamp {
        let since_written = |touched: Duration| Some((touched, touched.checked_sub(self.written.wall)?));
        let Some((touched, later)) = self.touched.and_then(since_written) else {
            return self.written.clone();
        };
        let stamp = Stamp {
            boot: self.written.boot.clone(),
            at: self.written.at + later,
            wall: touched,
        };
        let in_the_future = if stamp.boot.is_same_boot(boot) {
            stamp.at > now
        } else {
            stamp.wall > wall
        };
        if in_the_future { self.written.clone() } else { stamp }
    }
}

impl Stamp {
    /// How long ago this was, and whether only the wall clock knows. Nothing is in the future: that was just now.
    pub fn age(&self, now: Moment, wall: Duration, boot: &BootId) -> (Duration, bool) {
        if self.boot.is_same_boot(boot) && self.at <= now {
            (now.since(self.at), false)
        } else {
            (wall.saturating_sub(self.wall), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_secs(10_000);
    const WALL: Duration = Duration::from_secs(1_800_000_000);
    const DAY: u64 = 86_400;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn this_boot() -> BootId {
        BootId::known("this")
    }

    /// So many seconds ago.
    fn stamp(boot: &str, ago: u64) -> Stamp {
        Stamp {
            boot: BootId::known(boot),
            at: Moment(NOW.0.saturating_sub(secs(ago))),
            wall: WALL.saturating_sub(secs(ago)),
        }
    }

    /// A lease written so many seconds ago, and touched so many seconds after that.
    fn streaming(boot: &str, ago: u64, touched_after: i64) -> Trace {
        let written = stamp(boot, ago);
        let touched = written.wall.as_secs().saturating_add_signed(touched_after);
        Trace {
            phase: Phase::Streaming,
            touched: Some(secs(touched)),
            last_alive: Some(stamp(boot, 9_000)),
            written,
        }
    }

    /// How long ago the connection last lived, and whether only the wall clock knows.
    fn age(trace: &Trace) -> Option<(u64, bool)> {
        let stamp = trace.last_life(NOW, WALL, &this_boot())?;
        let (age, by_wall) = stamp.age(NOW, WALL, &this_boot());
        Some((age.as_secs(), by_wall))
    }

    #[test]
    fn an_open_lease_is_as_old_as_its_last_touch() {
        assert_eq!(age(&streaming("this", 500, 480)), Some((20, false)));
        assert_eq!(age(&streaming("other", 500, 480)), Some((20, true)));
        assert_eq!(age(&streaming("", 500, 480)), Some((20, true)), "of an unknown boot");
    }

    #[test]
    fn a_touch_that_cannot_be_believed_leaves_the_moment_of_the_200() {
        for boot in ["this", "other"] {
            let by_wall = boot == "other";
            for touched in [-3_600, -1, 501, DAY.cast_signed()] {
                assert_eq!(
                    age(&streaming(boot, 500, touched)),
                    Some((500, by_wall)),
                    "{boot} {touched}"
                );
            }
            let mut untouched = streaming(boot, 500, 0);
            untouched.touched = None;
            assert_eq!(age(&untouched), Some((500, by_wall)));
        }
    }

    #[test]
    fn a_wall_clock_that_leaps_after_the_last_touch_changes_nothing_within_a_boot() {
        let trace = streaming("this", 500, 480);
        for wall in [WALL.saturating_sub(secs(DAY)), WALL + secs(DAY)] {
            let stamp = trace.last_life(NOW, wall, &this_boot()).unwrap();
            assert_eq!(stamp.age(NOW, wall, &this_boot()), (secs(20), false));
        }
    }

    #[test]
    fn a_closed_or_connecting_lease_tells_of_the_connection_before_it() {
        for phase in [Phase::Connecting, Phase::Closed] {
            for (boot, by_wall) in [("this", false), ("other", true)] {
                let mut trace = streaming(boot, 100, 90);
                trace.phase = phase;
                assert_eq!(age(&trace), Some((9_000, by_wall)));
                trace.last_alive = None;
                assert_eq!(age(&trace), None, "and of nothing, if there was none");
            }
        }
    }

    #[test]
    fn what_lies_in_the_future_was_just_now() {
        let mut ahead = stamp("this", 0);
        ahead.at = NOW + secs(5_000);
        assert_eq!(ahead.age(NOW, WALL, &this_boot()), (Duration::ZERO, true));
        ahead.wall = WALL.saturating_sub(secs(40));
        assert_eq!(
            ahead.age(NOW, WALL, &this_boot()),
            (secs(40), true),
            "the boot's time is wrong"
        );
        let mut other = stamp("other", 0);
        other.wall = WALL + secs(DAY);
        assert_eq!(other.age(NOW, WALL, &this_boot()), (Duration::ZERO, true));
    }

    #[test]
    fn bytes_show_life_but_not_those_that_lay_in_the_socket() {
        let at = |secs: u64| Moment::from_secs(1_000 + secs);
        let mut life = LifeSigns::opened(at(0));
        assert_eq!(life.last(), at(0));
        life.heard(at(50));
        assert_eq!((life.last(), life.last_before_goodbye(at(90))), (at(50), at(90)));
        life.did_not_run(at(700), secs(600));
        for drained in [false, true] {
            if drained {
                life.drained();
            }
            life.heard(at(700));
            life.heard(at(819));
            assert_eq!((life.last(), life.last_before_goodbye(at(819))), (at(50), at(50)));
        }
        assert_eq!(life.last_before_goodbye(at(820)), at(820));
        life.heard(at(820));
        assert_eq!(life.last(), at(820));
        life.heard(at(815));
        assert_eq!(life.last(), at(820), "it never goes back");
    }

    #[test]
    fn short_pauses_in_a_row_do_not_hide_that_the_connection_lives() {
        let at = |secs: u64| Moment::from_secs(1_000 + secs);
        for suspended in [false, true] {
            let mut life = LifeSigns::opened(at(0));
            life.heard(at(1));
            for n in 1..100 {
                let now = at(3 * n);
                if suspended {
                    life.did_not_run(now, secs(2));
                } else {
                    life.did_not_read(now, secs(2));
                }
                life.heard(now);
                assert_eq!(life.last(), at(3 * n - 2), "it lay in the socket");
                life.drained();
                life.heard(at(3 * n + 1));
            }
            assert_eq!(life.last(), at(298));
        }
    }

    #[test]
    fn a_long_pause_of_the_journal_leaves_the_peer_some_time_to_send_what_it_kept() {
        let at = |secs: u64| Moment::from_secs(1_000 + secs);
        let mut life = LifeSigns::opened(at(0));
        life.did_not_read(at(700), secs(600));
        life.drained();
        assert_eq!(life.last_before_goodbye(at(709)), at(0));
        assert_eq!(life.last_before_goodbye(at(710)), at(710));
        // A suspend is not forgotten over a pause after it.
        life.did_not_run(at(720), secs(600));
        life.did_not_read(at(730), secs(10));
        life.drained();
        assert_eq!(life.last_before_goodbye(at(839)), at(0));
    }

    #[test]
    fn a_wake_up_is_a_lapse_only_if_it_comes_late() {
        assert_eq!(lapse(NOW, NOW), None);
        assert_eq!(lapse(NOW, NOW + secs(1)), None);
        assert_eq!(lapse(NOW + secs(9), NOW), None, "woken before it was due");
        assert_eq!(lapse(NOW, NOW + secs(312)), Some(secs(312)));
    }
}
