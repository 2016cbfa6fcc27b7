//! The terms of the exhaustive search: its small settings, what may be on disk, and what may happen.

use std::time::Duration;

use crate::lifecycle::lease::Phase;
use crate::lifecycle::outcome::{EndReason, Lost, Refusal, TokenFailure, Unreached};
use crate::lifecycle::slot::{Action, Event, State};
use crate::lifecycle::time::Moment;
use crate::lifecycle::wait::Policy;

/// What the present moment is called, in every point.
pub const NOW: Moment = Moment::from_secs(1_000);
pub const COOLDOWN: u8 = 6;
pub const HORIZON: u8 = 12;
pub const LONG_RETRY: u8 = 10;
pub const RETRY_AFTER: u8 = 11;
/// Refusals and tries in a row beyond this make no difference: 6, 9, 12, 12 and 1, 2, 4, 6, 6 s.
pub const MOST_IN_A_ROW: u32 = 3;
/// What a whole wait on disk is cut to in here; longer ones do not occur.
pub const LONGEST: u8 = HORIZON;

pub fn policy() -> Policy {
    Policy {
        cooldown: Duration::from_secs(COOLDOWN.into()),
        backfill_horizon: Duration::from_secs(HORIZON.into()),
        long_retry: Duration::from_secs(LONG_RETRY.into()),
    }
}

/// What is on disk, seen from the present moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnDisk {
    Nothing,
    Garbage,
    Open {
        phase: Phase,
        failures: u32,
    },
    /// `remembered`: it tells of the wait that was announced last.
    Closed {
        left: u8,
        whole: u8,
        failures: u32,
        foreign: bool,
        remembered: bool,
    },
}

/// Whether an attempt may go out early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    No,
    /// A 401 has granted it.
    Granted,
    /// The attempt under way is it.
    Used,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lands,
    Fails,
    IsSlow,
}

/// Whether what the driver was told to do gets done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Luck {
    /// What becomes of a write that nobody waits for.
    pub write: Fate,
    /// The daemon dies before this action.
    pub dies_before: Option<usize>,
}

impl Luck {
    /// Everything is done, and every write lands.
    pub const FINE: Self = Self {
        write: Fate::Lands,
        dies_before: None,
    };

    /// All that may become of these actions.
    pub fn with(actions: &[Action]) -> Vec<Self> {
        let unwatched =
            |action: &Action| matches!(action, Action::StoreLease(lease) if lease.phase != Phase::Connecting);
        let fates: &[Fate] = if actions.iter().any(unwatched) {
            &[Fate::Lands, Fate::Fails, Fate::IsSlow]
        } else {
            &[Fate::Lands]
        };
        let deaths = (0..actions.len()).map(Some).chain([None]);
        let luck = |dies_before| {
            fates.iter().map(move |write| Self {
                write: *write,
                dies_before,
            })
        };
        deaths.flat_map(luck).collect()
    }
}

/// How one point comes from another.
#[expect(dead_code, reason = "read by people, in the path to a point that breaks a rule")]
#[derive(Clone, Debug)]
pub enum Step {
    TimePasses,
    Start(Luck),
    Reboot {
        named: bool,
    },
    LeaseSpoilt,
    SlowWriteLands,
    SlowWriteFails,
    Panic,
    Death {
        written: bool,
    },
    OpenLeaseLandsAndDeath,
    /// `landed`: the open lease is on disk, whatever the event says.
    Event {
        event: Event,
        landed: bool,
        luck: Luck,
    },
}

/// The events that a driver may report in `state`, but for those that say that the open lease is on disk.
pub fn events(state: &State) -> Vec<Event> {
    let text = String::new;
    let status = |status| Event::Answered(Refusal::status(status));
    let mut events = match state {
        State::Waiting { .. } => vec![Event::Tick],
        State::Authorizing { .. } => vec![
            Event::TokenReady,
            Event::TokenFailed(TokenFailure::Unavailable(text())),
            Event::TokenFailed(TokenFailure::Refused {
                description: text(),
                retry_after: None,
            }),
        ],
        State::Leasing { .. } => vec![Event::LeaseNotStored],
        State::Connecting { .. } => vec![
            Event::Unreached(Unreached(text())),
            Event::Lost(Lost::HeadTimeout),
            status(401),
            status(503),
            status(404),
            Event::Answered(Refusal {
                retry_after: Some(Duration::from_secs(RETRY_AFTER.into())),
                ..Refusal::status(429)
            }),
            Event::Streaming,
        ],
        State::Streaming { .. } => vec![Event::Ended(EndReason::Cut)],
        State::Stopped => return Vec::new(),
    };
    events.push(Event::Stop);
    events
}
