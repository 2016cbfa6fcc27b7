//! What the log says of one slot: each change of its state once, with its reason, what comes next and when; and trouble that comes again and
//! again summed up (`telemetry::digest`).

use std::sync::Arc;

use crate::clock::{Clock, as_wall};
use crate::lifecycle::{Moment, Slot, State, Why};
use crate::telemetry::Digest;
use crate::telemetry::digest::{Told, likeness};

/// So many kinds of trouble of a slot are told apart: more than it meets in one outage.
const MOST_KINDS: usize = 32;

/// Trouble is of one kind if it is as bad, has the same name in the table of answers, and the same words but for numbers.
type Kind = (bool, &'static str, String);

/// Tells what one slot does.
pub(super) struct Telling {
    stream: String,
    slot: u8,
    clock: Arc<dyn Clock>,
    trouble: Digest<Kind>,
}

impl Telling {
    pub(super) fn new(stream: &str, slot: u8, clock: Arc<dyn Clock>) -> Self {
        Self {
            stream: stream.to_owned(),
            slot,
            clock,
            trouble: Digest::new(MOST_KINDS),
        }
    }

    /// The slot's state is `state` from now on.
    pub(super) fn tell(&mut self, state: &State, machine: &Slot) {
        let (stream, slot, now) = (self.stream.clone(), self.slot, self.clock.now());
        match state {
            State::Waiting { until, why } => self.waits(*until, why, machine),
            // People see a slot whose lease is on its way to disk as connecting.
            State::Leasing { .. } => {}
            State::Authorizing { retry: true, .. } => {
                let kind = (true, "fresh token", String::new());
                let text = "the service answered 401: trying once more at once, with a fresh token";
                if let Some(told) = self.trouble.note(kind, now.0) {
                    let (times, since) = (told.repeated(), told.since(self.clock.wall()));
                    tracing::warn!(stream, slot, state = state.name(), times, since, "{text}");
                } else {
                    tracing::debug!(stream, slot, state = state.name(), "{text}");
                }
            }
            State::Authorizing { retry: false, .. } => {
                tracing::debug!(stream, slot, state = state.name(), "getting a token");
            }
            // How it ends is told, within the time limits of an attempt.
            State::Connecting { .. } => tracing::debug!(stream, slot, state = state.name(), "connecting"),
            State::Streaming { .. } => {
                let over = self.trouble.over(now.0);
                let failed_attempts = over.map(|over| over.times);
                let trouble_s = over.map(|over| over.lasted.as_secs());
                tracing::info!(
                    stream,
                    slot,
                    state = state.name(),
                    failed_attempts,
                    trouble_s,
                    "streaming"
                );
            }
            State::Stopped => tracing::info!(stream, slot, state = state.name(), "stopped"),
        }
    }

    fn waits(&mut self, until: Moment, why: &Why, machine: &Slot) {
        let (stream, slot, now) = (self.stream.clone(), self.slot, self.clock.now());
        let wait_s = until.since(now).as_millis() as f64 / 1000.0;
        let next_connect = humantime::format_rfc3339_seconds(as_wall(&*self.clock, until));
        let (failures, tries, persists) = (machine.failures(), machine.tries(), machine.persists());
        let (reason, advice, state) = (why.name(), why.advice(persists), "waiting");
        let is_failing = why.is_failing() || persists;
        let told = if is_trouble(why) {
            let kind = (is_failing, why.explanation().name, likeness(&why.to_string()));
            self.trouble.note(kind, now.0)
        } else {
            Some(Told::once())
        };
        let Some(told) = told else {
            let text = "waiting before the next attempt, as told before";
            tracing::debug!(stream, slot, state, reason, %why, failures, tries, wait_s, %next_connect, "{text}");
            return;
        };
        let (times, since) = (told.repeated(), told.since(self.clock.wall()));
        let text = match (is_failing, times) {
            (true, None) => "failing: waiting before the next attempt",
            (true, Some(_)) => "still failing: waiting before the next attempt",
            (false, None) => "waiting before the next connect",
            (false, Some(_)) => "still waiting before the next connect",
        };
        if *why == Why::Start {
            // Nothing is owed to anybody, and how the first attempt ends is told.
            tracing::debug!(stream, slot, state, reason, wait_s, %next_connect, "{text}");
        } else if is_failing {
            tracing::warn!(stream, slot, state, reason, %why, advice, times, since, failures, tries, wait_s, %next_connect, "{text}");
        } else {
            tracing::info!(stream, slot, state, reason, %why, advice, times, since, failures, tries, wait_s, %next_connect, "{text}");
        }
    }
}

/// Whether it is an attempt that failed. The others happen once each, at a start or at the end of a connection.
fn is_trouble(why: &Why) -> bool {
    match why {
        Why::Refused(_) | Why::Lost(_) | Why::Unreached(_) | Why::Token(_) | Why::LeaseNotStored => true,
        Why::Start | Why::LeaseClosed | Why::LeaseOpen | Why::LeaseUnclear | Why::Ended(_) => false,
    }
}
