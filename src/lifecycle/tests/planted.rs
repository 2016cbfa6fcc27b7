//! Faults planted around the machine: what the judge must find, or it proves nothing.
//!
//! Promise: production code is untouched. An adapter between the world and the slot lies to it, or carries out something else than
//! it said. Each test plays random histories until the judge objects, and wants the right rule named.

use std::time::Duration;

use super::super::lease::{FirstWait, Found, Lease, Phase};
use super::super::outcome::{EndReason, RefusalClass};
use super::super::slot::{Action, Event, Slot, State};
use super::super::time::{BootId, Moment};
use super::super::wait::{Policy, Why};
use super::random::first_violation;
use super::truth::Rule;

/// What is wrong with the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
    /// Nothing.
    Sound,
    /// The connect does not wait for the store.
    ConnectBeforeTheLeaseIsDurable,
    /// A store that failed is taken for one that succeeded.
    ConnectWithoutALease,
    /// A stream that ended is connected anew at once.
    NoWaitAfterTheEnd,
    /// The wait is counted from the beginning of the connection.
    WaitCountedFromTheBeginning,
    /// A cooldown a little too short.
    ShortCooldown,
    /// No lease is looked for at a start.
    LeaseIgnored,
    /// A lease of another boot is read in the time of this one.
    ForeignBootBelieved,
    /// An open lease is read as a closed one.
    OpenLeaseTakenForClosed,
    /// While the stream streams the lease is closed already.
    LeaseClosedWhileStreaming,
    /// A stop closes the lease as if nothing were owed.
    StopOwesNothing,
    /// A long wait is kept in memory, and not in the lease.
    LongWaitNotInTheLease,
    /// `Retry-After` is not heard.
    RetryAfterForgotten,
    /// A second 401 is answered with one more retry.
    TokenRetriedTwice,
    /// Jitter takes away from a wait.
    JitterSubtracts,
    /// A backoff replaces what is owed since an earlier attempt.
    BackoffForgetsTheCooldown,
    /// A cooldown is stretched without an end.
    StretchWithoutEnd,
    /// A connect goes out beside an open connection.
    SecondConnect,
    /// After a failed store nobody sets the timer.
    DeadEnd,
    /// What a damaged lease says is believed, however long it is.
    DamagedLeaseBelieved,
    /// An event that does not fit is acted on.
    StrayTickBelieved,
}

/// The slot under test, and whatever is planted around it.
pub struct Subject {
    slot: Slot,
    plant: Plant,
    policy: Policy,
    /// Where the plant has made the end of a wait earlier: that, and what the slot calls its end.
    made_earlier: Option<(Moment, Moment)>,
}

impl Subject {
    pub fn start(
        plant: Plant,
        mut policy: Policy,
        found: &Found,
        now: Moment,
        boot: &BootId,
        seed: u64,
    ) -> (Self, Vec<Action>) {
        if plant == Plant::ShortCooldown {
            policy.cooldown -= policy.cooldown / 20;
        }
        let first = first_wait(plant, &policy, found, now, boot);
        let (slot, actions) = Slot::start(policy.clone(), first, now, seed);
        let subject = Self {
            slot,
            plant,
            policy,
            made_earlier: None,
        };
        (subject, actions)
    }

    pub const fn state(&self) -> &State {
        self.slot.state()
    }

    /// Hands the event to the slot, as the plant has it.
    pub fn handle(&mut self, now: Moment, event: Event) -> Vec<Action> {
        match (self.plant, event) {
            (Plant::ConnectBeforeTheLeaseIsDurable, Event::TokenReady) => {
                let store = self.slot.handle(now, Event::TokenReady);
                let connect = self.slot.handle(now, Event::LeaseStored);
                connect.into_iter().chain(store).collect()
            }
            (Plant::ConnectWithoutALease, Event::LeaseNotStored) => self.slot.handle(now, Event::LeaseStored),
            (Plant::NoWaitAfterTheEnd, Event::Ended(_)) => self.forget_wait(now, now),
            (Plant::WaitCountedFromTheBeginning, Event::Ended(reason)) => {
                let State::Streaming { since } = *self.slot.state() else {
                    return self.slot.handle(now, Event::Ended(reason));
                };
                self.forget_wait(now, now.max(since + self.policy.cooldown))
            }
            (Plant::LeaseClosedWhileStreaming, Event::Streaming) => {
                let mut actions = self.slot.handle(now, Event::Streaming);
                for action in &mut actions {
                    if let Action::StoreLease(lease) = action {
                        lease.phase = Phase::Closed;
                        lease.not_before = now + self.policy.cooldown;
                    }
                }
                actions
            }
            (Plant::StopOwesNothing, Event::Stop) => {
                let mut actions = self.slot.handle(now, Event::Stop);
                each_closed(&mut actions, |lease| lease.not_before = now);
                actions
            }
            (Plant::LongWaitNotInTheLease, event) => {
                let mut actions = self.slot.handle(now, event);
                let most = now + self.policy.cooldown;
                each_closed(&mut actions, |lease| lease.not_before = lease.not_before.min(most));
                actions
            }
            (Plant::RetryAfterForgotten, Event::Answered(mut refusal)) => {
                refusal.retry_after = None;
                self.slot.handle(now, Event::Answered(refusal))
            }
            (Plant::StretchWithoutEnd, Event::Answered(mut refusal)) => {
                if refusal.class() == RefusalClass::Busy && refusal.retry_after.is_none() {
                    let refusals = self.slot.failures() + 1;
                    refusal.retry_after = Some(self.policy.cooldown * refusals);
                }
                self.slot.handle(now, Event::Answered(refusal))
            }
            (Plant::TokenRetriedTwice, Event::Answered(refusal))
                if refusal.status == 401 && matches!(self.slot.state(), State::Connecting { retry: true, .. }) =>
            {
                self.forget_wait(now, now);
                self.slot.handle(now, Event::Tick)
            }
            (
                Plant::BackoffForgetsTheCooldown,
                event @ (Event::Unreached(_) | Event::TokenFailed(_) | Event::LeaseNotStored),
            ) => {
                self.slot.handle(now, event);
                self.forget_wait(now, now + Duration::from_secs(1))
            }
            (Plant::JitterSubtracts, event) => self.with_less_jitter(now, event),
            (Plant::SecondConnect, Event::Streaming) => {
                let mut actions = self.slot.handle(now, Event::Streaming);
                actions.push(Action::Connect);
                actions
            }
            (Plant::DeadEnd, Event::LeaseNotStored) => {
                let mut actions = self.slot.handle(now, Event::LeaseNotStored);
                actions.retain(|action| !matches!(action, Action::WaitUntil(_)));
                actions
            }
            (Plant::StrayTickBelieved, Event::Tick) if matches!(self.slot.state(), State::Streaming { .. }) => {
                self.slot.handle(now, Event::Ended(EndReason::Cut))
            }
            (_, event) => self.slot.handle(now, event),
        }
    }

    /// Puts a slot in place of this one that waits until `until` and owes nothing.
    fn forget_wait(&mut self, now: Moment, until: Moment) -> Vec<Action> {
        let first = FirstWait {
            until,
            rewrite: true,
            failures: self.slot.failures(),
            ..FirstWait::none(now)
        };
        let (slot, actions) = Slot::start(self.policy.clone(), first, now, 0);
        self.slot = slot;
        actions
    }

    /// Makes each wait shorter by what jitter may add to it, and shows the slot a later time when the wait is over.
    fn with_less_jitter(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let shown = match self.made_earlier {
            Some((early, until)) if event == Event::Tick && now >= early => until.max(now),
            _ => now,
        };
        let mut actions = self.slot.handle(shown, event);
        for action in &mut actions {
            match action {
                Action::WaitUntil(until) | Action::StoreLease(Lease { not_before: until, .. }) => {
                    let less = Policy::jitter_limit(until.since(now));
                    let early = Moment(until.0.saturating_sub(less));
                    self.made_earlier = Some((early, *until));
                    *until = early;
                }
                Action::FetchToken { .. } | Action::Connect | Action::Report(_) => {}
            }
        }
        actions
    }
}

/// The first wait, as the plant has it.
pub fn first_wait(plant: Plant, policy: &Policy, found: &Found, now: Moment, boot: &BootId) -> FirstWait {
    let mut found = found.clone();
    if let Found::Lease(lease) = &mut found {
        if plant == Plant::ForeignBootBelieved {
            lease.boot = boot.clone();
        }
        if plant == Plant::OpenLeaseTakenForClosed {
            lease.lease.phase = Phase::Closed;
        }
        if plant == Plant::LeaseIgnored {
            return FirstWait::none(now);
        }
        if plant == Plant::DamagedLeaseBelieved && lease.lease.phase == Phase::Closed {
            return FirstWait {
                until: lease.lease.not_before.max(now),
                why: Why::LeaseClosed,
                failures: 0,
                rewrite: false,
            };
        }
    }
    FirstWait::from_found(&found, now, boot, policy)
}

fn each_closed(actions: &mut [Action], change: impl Fn(&mut Lease)) {
    for action in actions {
        if let Action::StoreLease(lease) = action
            && lease.phase == Phase::Closed
        {
            change(lease);
        }
    }
}

/// Plays histories with `plant` until the judge objects, and wants one of `rules` to be the reason.
#[track_caller]
fn is_found_out(plant: Plant, rules: &[Rule]) {
    let Some((seed, violation)) = first_violation(plant, 20_000, rules) else {
        panic!("{plant:?} goes unnoticed, or not as one of {rules:?}");
    };
    println!("{plant:?}: found in history {seed}: {violation}");
}

#[test]
fn a_connect_before_its_lease_is_durable_is_found_out() {
    is_found_out(Plant::ConnectBeforeTheLeaseIsDurable, &[Rule::LeaseFirst]);
    is_found_out(Plant::ConnectBeforeTheLeaseIsDurable, &[Rule::Spacing]);
    is_found_out(Plant::ConnectWithoutALease, &[Rule::LeaseFirst]);
}

#[test]
fn a_forgotten_wait_is_found_out() {
    is_found_out(Plant::NoWaitAfterTheEnd, &[Rule::Spacing]);
    is_found_out(Plant::WaitCountedFromTheBeginning, &[Rule::Spacing]);
    is_found_out(Plant::ShortCooldown, &[Rule::Spacing]);
    is_found_out(Plant::RetryAfterForgotten, &[Rule::WaitLength]);
    is_found_out(Plant::RetryAfterForgotten, &[Rule::WaitKept]);
}

#[test]
fn a_lease_ignored_or_misread_at_a_start_is_found_out() {
    is_found_out(Plant::LeaseIgnored, &[Rule::Spacing]);
    is_found_out(Plant::ForeignBootBelieved, &[Rule::Spacing]);
    is_found_out(Plant::OpenLeaseTakenForClosed, &[Rule::Spacing]);
}

#[test]
fn a_lease_that_says_too_little_is_found_out() {
    is_found_out(Plant::LeaseClosedWhileStreaming, &[Rule::Spacing]);
    is_found_out(Plant::StopOwesNothing, &[Rule::Spacing]);
    is_found_out(Plant::LongWaitNotInTheLease, &[Rule::WaitKept]);
}

#[test]
fn a_token_retry_too_many_is_found_out() {
    is_found_out(Plant::TokenRetriedTwice, &[Rule::Spacing, Rule::OneTokenRetry]);
}

#[test]
fn jitter_that_subtracts_is_found_out() {
    is_found_out(Plant::JitterSubtracts, &[Rule::Spacing]);
    is_found_out(Plant::JitterSubtracts, &[Rule::WaitLength]);
}

#[test]
fn a_backoff_that_touches_an_earlier_wait_is_found_out() {
    is_found_out(Plant::BackoffForgetsTheCooldown, &[Rule::Spacing]);
}

#[test]
fn a_stretch_without_an_end_is_found_out() {
    is_found_out(Plant::StretchWithoutEnd, &[Rule::WaitLength]);
}

#[test]
fn a_second_connect_is_found_out() {
    is_found_out(Plant::SecondConnect, &[Rule::OneAtATime]);
}

#[test]
fn a_dead_end_is_found_out() {
    is_found_out(Plant::DeadEnd, &[Rule::Alive]);
    is_found_out(Plant::DamagedLeaseBelieved, &[Rule::WaitLength, Rule::Alive]);
}

#[test]
fn a_stray_event_that_is_believed_is_found_out() {
    is_found_out(Plant::StrayTickBelieved, &[Rule::StraysIgnored]);
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    assert!(first_violation(Plant::Sound, 2_000, &[]).is_none());
}
