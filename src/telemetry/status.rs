//! What each stream does: the state of every connection slot, kept up to date by its driver, and of its delivery; read by whoever shows it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{DeliveryStatus, StreamCounters, StreamMeasures};
use crate::lifecycle::gap::OpenGap;
use crate::lifecycle::{EndReason, Moment, State, Why};
use crate::shape::output::DEFAULT_OUTPUT;

/// One stream, as people see it.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// The stream's name.
    pub name: Arc<str>,
    /// One for each connection slot.
    pub slots: Vec<SlotStatus>,
    /// How Kafka takes its records: of the output that every stream has.
    pub delivery: DeliveryStatus,
    /// What was counted: of that output, and of the connections.
    pub counters: Arc<StreamCounters>,
    /// What was measured, likewise.
    pub measures: Arc<StreamMeasures>,
    /// Its further outputs, in the order of their names.
    pub further: Vec<OutputStatus>,
    /// How attempts and connections ended.
    pub outcomes: Outcomes,
}

/// How a stream's records are forwarded to one output, as people see it. Clones share it.
#[derive(Clone, Debug)]
pub struct OutputStatus {
    /// The output's name.
    pub name: Arc<str>,
    /// How Kafka takes its records.
    pub delivery: DeliveryStatus,
    /// What was counted.
    pub counters: Arc<StreamCounters>,
    /// What was measured.
    pub measures: Arc<StreamMeasures>,
}

impl OutputStatus {
    /// The status of an output to which nothing was forwarded yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            delivery: DeliveryStatus::default(),
            counters: Arc::default(),
            measures: Arc::default(),
        }
    }
}

impl StreamStatus {
    /// The status of a stream that has not started yet.
    pub fn new(name: &str, connections: u8) -> Self {
        let outcomes = Outcomes::default();
        let slots = (0..connections).map(|_| SlotStatus::new(outcomes.clone())).collect();
        Self {
            name: name.into(),
            slots,
            delivery: DeliveryStatus::default(),
            counters: Arc::default(),
            measures: Arc::default(),
            further: Vec::new(),
            outcomes,
        }
    }

    /// The status of the same stream with so many connections. What stays of it goes on, counts too.
    #[must_use]
    pub fn with_connections(&self, connections: u8) -> Self {
        let mut status = self.clone();
        let slot = || SlotStatus::new(self.outcomes.clone());
        status.slots.resize_with(usize::from(connections), slot);
        status
    }
}

impl StreamStatus {
    /// That of the output that every stream has.
    pub fn output(&self) -> OutputStatus {
        OutputStatus {
            name: DEFAULT_OUTPUT.into(),
            delivery: self.delivery.clone(),
            counters: self.counters.clone(),
            measures: self.measures.clone(),
        }
    }

    /// That of the output of this name, anew if there was none.
    pub fn output_of(&self, name: &str) -> OutputStatus {
        if name == DEFAULT_OUTPUT {
            return self.output();
        }
        let known = self.further.iter().find(|output| *output.name == *name);
        known.cloned().unwrap_or_else(|| OutputStatus::new(name))
    }
}

/// One connection slot, as people see it. Clones share it.
#[derive(Clone, Debug)]
pub struct SlotStatus {
    shown: watch::Sender<Shown>,
    gap: watch::Sender<Option<OpenGap>>,
    /// As a [`Moment`] in nanoseconds; 0 before the first byte.
    last_byte: Arc<AtomicU64>,
    outcomes: Outcomes,
}

/// What a slot shows: its state, and how it came to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Moment,
    /// Attempts in a row that reached the service and did not stream.
    pub failures: u32,
    /// Attempts in a row that reached nobody.
    pub tries: u32,
    /// Trouble that passes by itself as a rule has not ([`crate::lifecycle::Slot::persists`]).
    pub persists: bool,
    /// Why it waited last, until it streams: an attempt that is out has mended nothing yet.
    pub why: Option<Why>,
    /// The last connection that ended, in this run of the daemon.
    pub last_ended: Option<Ended>,
}

/// A connection that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Moment,
    /// How long it had been open.
    pub lasted: Duration,
    /// Why.
    pub reason: EndReason,
}

impl Shown {
    /// The slot does not get what it wants, and somebody should look.
    pub fn is_failing(&self) -> bool {
        match &self.state {
            State::Waiting { .. } | State::Authorizing { .. } | State::Leasing { .. } | State::Connecting { .. } => {
                self.persists || self.why.as_ref().is_some_and(Why::is_failing)
            }
            State::Streaming { .. } | State::Stopped => false,
        }
    }
}

impl SlotStatus {
    fn new(outcomes: Outcomes) -> Self {
        Self {
            shown: watch::Sender::new(Shown {
                state: State::Waiting {
                    until: Moment::default(),
                    why: Why::Start,
                },
                since: Moment::default(),
                failures: 0,
                tries: 0,
                persists: false,
                why: None,
                last_ended: None,
            }),
            gap: watch::Sender::new(None),
            last_byte: Arc::default(),
            outcomes,
        }
    }

    /// Shows a new state, that of a slot with so many `failures` and `tries` in a row, and counts what it tells of an attempt that is over.
    pub fn show(&self, state: State, since: Moment, failures: u32, tries: u32, persists: bool) {
        self.shown.send_modify(|shown| {
            let before = std::mem::replace(&mut shown.state, state);
            match (&before, &shown.state) {
                (State::Streaming { since: opened }, State::Waiting { why, .. }) => {
                    self.outcomes.disconnected(why);
                    if let Why::Ended(reason) = why {
                        shown.last_ended = Some(Ended {
                            at: since,
                            lasted: since.since(*opened),
                            reason: reason.clone(),
                        });
                    }
                }
                (State::Connecting { .. }, State::Waiting { why, .. }) => {
                    self.outcomes.connected(why.explanation().name);
                }
                (State::Connecting { .. }, State::Authorizing { .. }) => self.outcomes.connected(UNAUTHORIZED),
                (State::Connecting { .. }, State::Streaming { .. }) => self.outcomes.connected(STREAMING),
                _ => {}
            }
            match &shown.state {
                State::Waiting { why, .. } => shown.why = Some(why.clone()),
                State::Streaming { .. } | State::Stopped => shown.why = None,
                State::Authorizing { .. } | State::Leasing { .. } | State::Connecting { .. } => {}
            }
            (shown.since, shown.failures, shown.tries, shown.persists) = (since, failures, tries, persists);
        });
    }

    /// What the slot shows now.
    pub fn shown(&self) -> Shown {
        self.shown.borrow().clone()
    }

    /// What the slot does now.
    pub fn state(&self) -> State {
        self.shown.borrow().state.clone()
    }

    /// To wait for what it does next.
    pub fn watch(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Shows that a gap is open, or that none is.
    pub fn show_gap(&self, gap: Option<OpenGap>) {
        self.gap.send_replace(gap);
    }

    /// The gap that is open: since when there is no connection, and why. None before the first connection ever.
    pub fn gap(&self) -> Option<OpenGap> {
        self.gap.borrow().clone()
    }

    /// A byte came at `at`.
    pub fn heard(&self, at: Moment) {
        let nanos = u64::try_from(at.0.as_nanos()).unwrap_or(u64::MAX);
        self.last_byte.store(nanos, Ordering::Relaxed);
    }

    /// When the last byte came, in this run of the daemon.
    pub fn last_byte(&self) -> Option<Moment> {
        match self.last_byte.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Moment(Duration::from_nanos(nanos))),
        }
    }
}

/// The outcome of an attempt that got a stream.
const STREAMING: &str = "streaming";
/// That of one which is tried once more with a fresh token: its entry in the table of answers.
const UNAUTHORIZED: &str = "401";

/// How the attempts and connections of a stream ended, counted by the names of the table of answers ([`crate::lifecycle::answers`]): so
/// there are no more names than it has lines. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Arc<Mutex<Tally>>);

/// [`Outcomes`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that are over: `streaming`, or why not.
    pub connects: BTreeMap<&'static str, u64>,
    /// Open streams that ended: why.
    pub disconnects: BTreeMap<&'static str, u64>,
}

impl Outcomes {
    /// As they are now.
    pub fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn connected(&self, name: &'static str) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.connects.entry(name).or_default() += 1;
    }

    fn disconnected(&self, why: &Why) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.disconnects.entry(why.explanation().name).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::answers;
    use crate::lifecycle::{Lost, Refusal};

    fn at(secs: u64) -> Moment {
        Moment::from_secs(secs)
    }

    #[test]
    fn attempts_and_ends_are_counted_by_the_names_of_the_table() {
        let status = StreamStatus::new("web", 1);
        let slot = &status.slots[0];
        let show = |state, secs| slot.show(state, at(secs), 0, 0, false);
        let (since, until) = (at(0), at(0));
        let connecting = State::Connecting { since, retry: false };
        for (secs, why) in [
            (10, Why::Refused(Refusal::status(503))),
            (20, Why::Refused(Refusal::status(503))),
            (30, Why::Lost(Lost::HeadTimeout)),
        ] {
            show(connecting.clone(), secs);
            show(State::Waiting { until, why }, secs + 1);
        }
        show(connecting.clone(), 40);
        show(State::Authorizing { since, retry: true }, 41);
        show(connecting, 42);
        show(State::Streaming { since: at(43) }, 43);
        let why = Why::Ended(EndReason::Closed);
        show(State::Waiting { until, why }, 100);
        let tally = status.outcomes.tally();
        assert_eq!(
            tally.connects,
            BTreeMap::from([("401", 1), ("503", 2), ("head_timeout", 1), ("streaming", 1)])
        );
        assert_eq!(tally.disconnects, BTreeMap::from([("closed", 1)]));
        let ended = Ended {
            at: at(100),
            lasted: Duration::from_secs(57),
            reason: EndReason::Closed,
        };
        assert_eq!(slot.shown().last_ended, Some(ended));
        assert!(!slot.shown().is_failing());
        for name in tally.connects.keys().filter(|name| **name != STREAMING) {
            assert!(answers::all().any(|line| line.name == *name), "{name}");
        }
    }

    #[test]
    fn a_slot_is_failing_when_its_trouble_persists_or_wants_a_person() {
        let status = StreamStatus::new("web", 1);
        let failing = |status_code, persists| {
            let why = Why::Refused(Refusal::status(status_code));
            status.slots[0].show(State::Waiting { until: at(1), why }, at(0), 1, 0, persists);
            status.slots[0].shown().is_failing()
        };
        assert_eq!(
            (failing(404, false), failing(503, false), failing(503, true)),
            (true, false, true)
        );
    }

    #[test]
    fn a_slot_that_tries_again_is_failing_until_it_streams() {
        let status = StreamStatus::new("web", 1);
        let slot = &status.slots[0];
        let (since, until, retry) = (at(0), at(0), false);
        let why = Why::Refused(Refusal::status(404));
        let mut failing = Vec::new();
        for state in [
            State::Waiting { until, why },
            State::Authorizing { since, retry },
            State::Connecting { since, retry },
            State::Streaming { since },
        ] {
            slot.show(state, at(0), 1, 0, false);
            failing.push(slot.shown().is_failing());
        }
        assert_eq!(failing, [true, true, true, false]);
    }

    #[test]
    fn before_the_first_byte_nothing_is_said_of_one() {
        let status = StreamStatus::new("web", 1);
        assert_eq!(status.slots[0].last_byte(), None);
        status.slots[0].heard(at(5));
        assert_eq!(status.slots[0].last_byte(), Some(at(5)));
    }
}
