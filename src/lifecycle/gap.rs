//! When was a slot without a connection, and what does that mean for completeness? For people only: no gap has a say in when we connect.
//!
//! A gap of a slot begins when its connection last lived, as far as is known, and ends when the slot's next connection streams. Every gap
//! is a possible small loss; one longer than `backfill_horizon` is a probable one, because the service repeats only some minutes
//! (protocol notes, section 6).

use std::fmt;
use std::time::Duration;

use super::lease::Phase;
use super::life::{KnownBy, Trace};
use super::outcome::EndReason;
use super::time::{BootId, Moment};

/// Why there was no connection any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The stream ended.
    Ended(EndReason),
    /// An earlier run of the daemon had closed the connection, or lost it and not got another.
    Restart,
    /// An earlier run of the daemon, or of this slot's task, ended without closing the connection.
    Crash,
}

impl Parting {
    /// A short fixed name, for log lines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ended(reason) => reason.name(),
            Self::Restart => "restart",
            Self::Crash => "crash",
        }
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(reason) => reason.fmt(f),
            Self::Restart => f.write_str("the daemon was stopped, and started again"),
            Self::Crash => f.write_str("the daemon ended without closing its connection"),
        }
    }
}

/// A gap that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGap {
    /// When it began, by the wall clock as it was then: the time since the Unix epoch.
    pub from: Duration,
    /// Why it began.
    pub parting: Parting,
    /// How its beginning is known.
    pub known_by: KnownBy,
    /// It was `age` long at `at`: it may have begun before this boot, where no [`Moment`] reaches.
    at: Moment,
    age: Duration,
}

impl OpenGap {
    /// A gap after a connection of this process, which last lived at `last_alive`; `from` is what the wall clock said then.
    pub const fn new(last_alive: Moment, from: Duration, reason: EndReason) -> Self {
        Self {
            from,
            parting: Parting::Ended(reason),
            known_by: KnownBy::Clock,
            at: last_alive,
            age: Duration::ZERO,
        }
    }

    /// The gap that an earlier run has left open, by its lease, at a start at `now` when the wall clock says `wall`.
    pub fn found(trace: &Trace, now: Moment, wall: Duration, boot: &BootId) -> Option<Self> {
        let last_alive = trace.last_life(now, wall, boot)?;
        let (age, by_wall) = last_alive.age(now, wall, boot);
        let (parting, known_by) = match trace.phase {
            Phase::Streaming => (Parting::Crash, KnownBy::Heartbeat),
            Phase::Connecting | Phase::Closed => (Parting::Restart, KnownBy::Clock),
        };
        Some(Self {
            from: last_alive.wall,
            parting,
            known_by: if by_wall { KnownBy::WallClock } else { known_by },
            at: now,
            age,
        })
    }

    /// How long it is by `now`.
    pub fn length(&self, now: Moment) -> Duration {
        self.age.saturating_add(now.since(self.at))
    }
}

/// A gap that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// As it was open.
    pub gap: OpenGap,
    /// When it ended, by the wall clock: the time since the Unix epoch.
    pub to: Duration,
    /// How long it was; not by the wall clock, unless its beginning is known by nothing else.
    pub length: Duration,
    /// Longer than `backfill_horizon`: what was missed is probably lost. Otherwise a small loss is possible.
    pub is_probable: bool,
}

/// Watches the gaps of one slot, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapWatch {
    horizon: Duration,
    open: Option<OpenGap>,
}

impl GapWatch {
    /// A watch that begins with what an earlier run has left open.
    pub const fn new(horizon: Duration, open: Option<OpenGap>) -> Self {
        Self { horizon, open }
    }

    /// Goes by another horizon from now on.
    pub const fn set_horizon(&mut self, horizon: Duration) {
        self.horizon = horizon;
    }

    /// The connection is gone. A gap that is open already goes on.
    pub fn began(&mut self, gap: OpenGap) {
        self.open.get_or_insert(gap);
    }

    /// The gap that is open.
    pub const fn open(&self) -> Option<&OpenGap> {
        self.open.as_ref()
    }

    /// When the open gap will be, or was, as long as the horizon. The end of time if that is beyond it.
    pub fn overdue_at(&self) -> Option<Moment> {
        self.open
            .as_ref()
            .map(|gap| gap.at + self.horizon.saturating_sub(gap.age))
    }

    /// The service streams again.
    pub fn ended(&mut self, now: Moment, wall: Duration) -> Option<Gap> {
        self.open.take().map(|gap| {
            let length = gap.length(now);
            Gap {
                to: wall,
                length,
                is_probable: length > self.horizon,
                gap,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::life::Stamp;

    const HORIZON: Duration = Duration::from_mins(3);
    const WALL: Duration = Duration::from_secs(1_800_000_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const fn at(secs: u64) -> Moment {
        Moment::from_secs(1_000 + secs)
    }

    fn after_an_end() -> GapWatch {
        let mut watch = GapWatch::new(HORIZON, None);
        watch.began(OpenGap::new(at(0), WALL, EndReason::Cut));
        watch
    }

    #[test]
    fn a_gap_up_to_the_horizon_is_possible_and_a_longer_one_probable() {
        for (length, is_probable) in [(0, false), (62, false), (180, false), (181, true), (90_000, true)] {
            let gap = after_an_end().ended(at(length), WALL + secs(length)).unwrap();
            assert_eq!((gap.length, gap.is_probable), (secs(length), is_probable));
            assert_eq!((gap.gap.from, gap.to), (WALL, WALL + secs(length)));
        }
    }

    #[test]
    fn a_gap_is_as_long_as_it_was_whatever_the_wall_clock_does() {
        for wall in [WALL.saturating_sub(secs(86_400)), WALL + secs(86_400)] {
            let gap = after_an_end().ended(at(62), wall).unwrap();
            assert_eq!((gap.length, gap.is_probable), (secs(62), false));
        }
    }

    #[test]
    fn a_gap_is_told_once_and_an_open_one_goes_on() {
        let mut watch = after_an_end();
        watch.began(OpenGap::new(at(100), WALL, EndReason::Closed));
        assert_eq!(watch.open().unwrap().parting, Parting::Ended(EndReason::Cut));
        assert_eq!(watch.ended(at(200), WALL).unwrap().length, secs(200));
        assert_eq!(watch.open(), None);
        assert_eq!(watch.ended(at(300), WALL), None);
        assert_eq!(watch.overdue_at(), None);
    }

    #[test]
    fn an_open_gap_is_overdue_at_the_horizon() {
        assert_eq!(after_an_end().overdue_at(), Some(at(180)));
        let mut watch = GapWatch::new(Duration::MAX, None);
        watch.began(OpenGap::new(at(0), WALL, EndReason::Cut));
        assert_eq!(watch.overdue_at(), Some(Moment(Duration::MAX)));
    }

    #[test]
    fn a_gap_goes_on_over_a_restart_and_a_reboot() {
        let stamp = |boot: &str, ago| Stamp {
            boot: BootId::known(boot),
            at: Moment(at(0).0.saturating_sub(secs(ago))),
            wall: WALL.saturating_sub(secs(ago)),
        };
        let found = |phase, boot, ago| {
            let trace = Trace {
                phase,
                written: stamp(boot, ago),
                touched: None,
                last_alive: Some(stamp(boot, ago)),
            };
            OpenGap::found(&trace, at(0), WALL, &BootId::known("this")).unwrap()
        };
        // A boot may be younger than the gap: 5,000 s ago is before this one.
        for (phase, boot, ago, known_by, overdue_at) in [
            (Phase::Closed, "this", 70, KnownBy::Clock, at(110)),
            (Phase::Connecting, "this", 70, KnownBy::Clock, at(110)),
            (Phase::Streaming, "this", 70, KnownBy::Heartbeat, at(110)),
            (Phase::Closed, "other", 5_000, KnownBy::WallClock, at(0)),
            (Phase::Streaming, "", 5_000, KnownBy::WallClock, at(0)),
        ] {
            let gap = found(phase, boot, ago);
            assert_eq!(
                (gap.length(at(0)), gap.known_by),
                (secs(ago), known_by),
                "{phase:?} {boot}"
            );
            assert_eq!(gap.from, WALL.saturating_sub(secs(ago)));
            let crashed = gap.parting == Parting::Crash;
            assert_eq!(crashed, phase == Phase::Streaming);
            let mut watch = GapWatch::new(HORIZON, Some(gap));
            assert_eq!(watch.overdue_at(), Some(overdue_at));
            let closed = watch.ended(at(60), WALL + secs(60)).unwrap();
            assert_eq!((closed.length, closed.is_probable), (secs(ago + 60), ago == 5_000));
        }
    }

    #[test]
    fn a_slot_that_never_streamed_has_no_gap() {
        for phase in [Phase::Connecting, Phase::Closed] {
            let written = Stamp {
                boot: BootId::known("this"),
                at: at(0),
                wall: WALL,
            };
            let trace = Trace {
                phase,
                written,
                touched: Some(WALL),
                last_alive: None,
            };
            assert_eq!(OpenGap::found(&trace, at(9), WALL, &BootId::known("this")), None);
        }
    }
}
