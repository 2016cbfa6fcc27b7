//! What the random histories went through: every state, every transition, every first wait and every fault, counted.
//!
//! Promise: a kind that is missing from the expected lists, or that came up too seldom, fails the suite. Numbers of things that
//! cannot happen are not asked for; if they do happen, that fails too.

use std::fmt;

use super::super::lease::Found;
use super::super::outcome::{EndReason, Lost, RefusalClass, TokenFailure};
use super::super::slot::{Event, State};
use super::super::wait::Why;

/// Declares a fieldless enum together with the list of all its variants.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant),+ }
        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];
        }
    };
}

kinds! {
    /// A state, without the moments it carries.
    StateKind {
        Waiting, Authorizing, AuthorizingAgain, Leasing, LeasingAgain, Connecting, ConnectingAgain, Streaming, Stopped,
    }
}

kinds! {
    /// An event, told apart as far as the machine tells them apart.
    EventKind {
        EarlyTick, Tick, TokenReady, TokenUnavailable, TokenRefused, LeaseStored, LeaseNotStored, Unreached, HeadTimeout, Broken,
        RedirectHop, RedirectRefused, Unreadable, Unauthorized, Busy, Trouble, Fault, Streaming, Closed, Cut, Reset, CorruptGzip,
        CorruptFraming, Stalled, JournalFailed, Stop,
    }
}

kinds! {
    /// How a slot begins.
    StartKind { Nothing, Over, LeaseClosed, LeaseOpen, LeaseUnclear }
}

kinds! {
    /// What the world does to us, beyond the events themselves.
    FaultKind {
        Killed, KilledBetweenActions, Frozen, FrozenBetweenActions, PowerLost, MovedToAnotherHost, BootWithoutName,
        WallClockJumped, TaskPanicked, Stopped, KilledWhileStopping, SlotTakenAndGivenBack, TickTooEarly, StrayEvent,
        WriteFailed, WriteFailedButLanded, WriteLostWithTheDaemon, WriteLostWithThePower, LeaseUnreadable, LeaseDamaged,
        AbsurdFailures, RedirectHops, SlowHead, SlowToken, SlowDisk, LongRetryAfter, AbsurdRetryAfter,
        WaitRememberedAcrossRestart, LongRetryRememberedAcrossRestart, KilledWhileRetryingTheToken, HeadLateAfterFreeze,
    }
}

impl StateKind {
    pub const fn of(state: &State) -> Self {
        match state {
            State::Waiting { .. } => Self::Waiting,
            State::Authorizing { retry: false, .. } => Self::Authorizing,
            State::Authorizing { retry: true, .. } => Self::AuthorizingAgain,
            State::Leasing { retry: false, .. } => Self::Leasing,
            State::Leasing { retry: true, .. } => Self::LeasingAgain,
            State::Connecting { retry: false, .. } => Self::Connecting,
            State::Connecting { retry: true, .. } => Self::ConnectingAgain,
            State::Streaming { .. } => Self::Streaming,
            State::Stopped => Self::Stopped,
        }
    }
}

impl EventKind {
    pub fn of(event: &Event, early: bool) -> Self {
        match event {
            Event::Tick if early => Self::EarlyTick,
            Event::Tick => Self::Tick,
            Event::TokenReady => Self::TokenReady,
            Event::TokenFailed(TokenFailure::Unavailable(_)) => Self::TokenUnavailable,
            Event::TokenFailed(TokenFailure::Refused { .. }) => Self::TokenRefused,
            Event::LeaseStored => Self::LeaseStored,
            Event::LeaseNotStored => Self::LeaseNotStored,
            Event::Unreached(_) => Self::Unreached,
            Event::Lost(Lost::HeadTimeout) => Self::HeadTimeout,
            Event::Lost(Lost::Broken(_)) => Self::Broken,
            Event::Lost(Lost::RedirectHop(_)) => Self::RedirectHop,
            Event::Lost(Lost::RedirectRefused(_)) => Self::RedirectRefused,
            Event::Lost(Lost::Unreadable(_)) => Self::Unreadable,
            Event::Answered(refusal) => match refusal.class() {
                RefusalClass::Unauthorized => Self::Unauthorized,
                RefusalClass::Busy => Self::Busy,
                RefusalClass::Trouble => Self::Trouble,
                RefusalClass::Fault => Self::Fault,
            },
            Event::Streaming => Self::Streaming,
            Event::Ended(EndReason::Closed) => Self::Closed,
            Event::Ended(EndReason::Cut) => Self::Cut,
            Event::Ended(EndReason::Reset(_)) => Self::Reset,
            Event::Ended(EndReason::CorruptGzip(_)) => Self::CorruptGzip,
            Event::Ended(EndReason::CorruptFraming(_)) => Self::CorruptFraming,
            Event::Ended(EndReason::Stalled(_)) => Self::Stalled,
            Event::Ended(EndReason::JournalFailed(_)) => Self::JournalFailed,
            Event::Stop => Self::Stop,
        }
    }
}

impl StartKind {
    /// None for a reason to wait that no start may give.
    pub const fn of(found: &Found, why: &Why) -> Option<Self> {
        match (found, why) {
            (Found::Nothing, Why::Start) => Some(Self::Nothing),
            (_, Why::Start) => Some(Self::Over),
            (_, Why::LeaseClosed) => Some(Self::LeaseClosed),
            (_, Why::LeaseOpen) => Some(Self::LeaseOpen),
            (_, Why::LeaseUnclear) => Some(Self::LeaseUnclear),
            (
                _,
                Why::Ended(_)
                | Why::Refused(_)
                | Why::Lost(_)
                | Why::Unreached(_)
                | Why::Token(_)
                | Why::LeaseNotStored,
            ) => None,
        }
    }
}

/// From, through, to.
pub type Transition = (StateKind, EventKind, StateKind);

/// Every transition that the machine has: the picture in `slot.rs`, event by event.
pub fn transitions() -> Vec<Transition> {
    use EventKind as E;
    use StateKind as S;
    let mut all = vec![
        (S::Waiting, E::EarlyTick, S::Waiting),
        (S::Waiting, E::Tick, S::Authorizing),
        (S::Connecting, E::Unauthorized, S::AuthorizingAgain),
        (S::ConnectingAgain, E::Unauthorized, S::Waiting),
    ];
    for (authorizing, leasing, connecting) in [
        (S::Authorizing, S::Leasing, S::Connecting),
        (S::AuthorizingAgain, S::LeasingAgain, S::ConnectingAgain),
    ] {
        all.push((authorizing, E::TokenReady, leasing));
        all.push((leasing, E::LeaseStored, connecting));
        all.push((connecting, E::Streaming, S::Streaming));
        all.extend([E::TokenUnavailable, E::TokenRefused].map(|event| (authorizing, event, S::Waiting)));
        all.push((leasing, E::LeaseNotStored, S::Waiting));
        let refusals = [E::Busy, E::Trouble, E::Fault];
        let losses = [
            E::HeadTimeout,
            E::Broken,
            E::RedirectHop,
            E::RedirectRefused,
            E::Unreadable,
        ];
        all.extend(
            refusals
                .iter()
                .chain(&losses)
                .map(|event| (connecting, *event, S::Waiting)),
        );
        all.push((connecting, E::Unreached, S::Waiting));
    }
    let ends = [
        E::Closed,
        E::Cut,
        E::Reset,
        E::CorruptGzip,
        E::CorruptFraming,
        E::Stalled,
        E::JournalFailed,
    ];
    all.extend(ends.map(|event| (S::Streaming, event, S::Waiting)));
    let stoppable = S::ALL.iter().filter(|state| **state != S::Stopped);
    all.extend(stoppable.map(|state| (*state, E::Stop, S::Stopped)));
    all
}

/// The counts of a run.
pub struct Coverage {
    states: Vec<u64>,
    transitions: Vec<u64>,
    starts: Vec<u64>,
    faults: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            states: vec![0; StateKind::ALL.len()],
            transitions: vec![0; StateKind::ALL.len() * StateKind::ALL.len() * EventKind::ALL.len()],
            starts: vec![0; StartKind::ALL.len()],
            faults: vec![0; FaultKind::ALL.len()],
        }
    }
}

impl Coverage {
    pub fn transition(&mut self, transition: Transition) {
        self.states[transition.2 as usize] += 1;
        self.transitions[index(transition)] += 1;
    }

    pub fn start(&mut self, kind: StartKind) {
        self.starts[kind as usize] += 1;
    }

    pub fn fault(&mut self, kind: FaultKind) {
        self.faults[kind as usize] += 1;
    }

    /// The counts of two runs together.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.states, &other.states),
            (&mut self.transitions, &other.transitions),
            (&mut self.starts, &other.starts),
            (&mut self.faults, &other.faults),
        ];
        for (mine, theirs) in pairs {
            for (count, more) in mine.iter_mut().zip(theirs) {
                *count += more;
            }
        }
    }

    /// What came up fewer than `least` times, and what came up and should not exist.
    pub fn faults_of_the_suite(&self, least: u64) -> Vec<String> {
        let rare = self.rows().into_iter().filter(|(_, count)| *count < least);
        let rare = rare.map(|(name, count)| format!("{name}: only {count} times"));
        let expected = transitions();
        let mut unknown = Vec::new();
        for from in StateKind::ALL {
            for event in EventKind::ALL {
                for to in StateKind::ALL {
                    let transition = (*from, *event, *to);
                    let count = self.transitions[index(transition)];
                    if count > 0 && !expected.contains(&transition) {
                        unknown.push(format!(
                            "{from:?} --{event:?}--> {to:?} is not in the picture: {count} times"
                        ));
                    }
                }
            }
        }
        rare.chain(unknown).collect()
    }

    fn rows(&self) -> Vec<(String, u64)> {
        let states = StateKind::ALL
            .iter()
            .map(|kind| (format!("state {kind:?}"), self.states[*kind as usize]));
        let moves = transitions().into_iter().map(|transition| {
            let (from, event, to) = transition;
            (
                format!("{from:?} --{event:?}--> {to:?}"),
                self.transitions[index(transition)],
            )
        });
        let starts = StartKind::ALL
            .iter()
            .map(|kind| (format!("start {kind:?}"), self.starts[*kind as usize]));
        let faults = FaultKind::ALL
            .iter()
            .map(|kind| (format!("fault {kind:?}"), self.faults[*kind as usize]));
        states.chain(moves).chain(starts).chain(faults).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows() {
            writeln!(f, "{count:>9}  {name}")?;
        }
        Ok(())
    }
}

const fn index((from, event, to): Transition) -> usize {
    (from as usize * EventKind::ALL.len() + event as usize) * StateKind::ALL.len() + to as usize
}

#[test]
fn what_never_happened_and_what_must_not_happen_are_both_faults_of_the_suite() {
    let mut coverage = Coverage::default();
    let rows = coverage.rows().len();
    assert_eq!(coverage.faults_of_the_suite(1).len(), rows);
    for kind in FaultKind::ALL {
        coverage.fault(*kind);
    }
    assert_eq!(coverage.faults_of_the_suite(1).len(), rows - FaultKind::ALL.len());
    coverage.transition((StateKind::Stopped, EventKind::Tick, StateKind::Connecting));
    let faults = coverage.faults_of_the_suite(1);
    assert!(
        faults.iter().any(|fault| fault.contains("not in the picture")),
        "{faults:?}"
    );
}
