//! The state machine of one connection slot: events in, actions out.
//!
//! ```text
//!             Tick            TokenReady        LeaseStored        Streaming
//!  waiting ---------> authorizing ------> leasing ------> connecting ------> streaming
//!     ^                 |   ^               |               |   |                |
//!     |   TokenFailed   |   |  401, once    | LeaseNot-     |   | Unreached,     | Ended
//!     +-----------------+   +---------------|- Stored ------+   | Lost, Answered |
//!     +-------------------------------------+-------------------+----------------+
//!  any --Stop--> stopped
//! ```
//!
//! The driver calls [`Slot::start`] once, then [`Slot::handle`] with each event, and carries out the returned actions in their order.
//! [`Action::Connect`] comes only in answer to [`Event::LeaseStored`]: no connect can go out before its lease is durable.
//! An event that does not fit the state changes nothing.

use std::time::Duration;

use super::answers::{PERSISTENT, PERSISTENT_TRIES};
use super::lease::{FirstWait, Lease, Phase};
use super::outcome::{EndReason, Lost, Refusal, RefusalClass, TokenFailure, Unreached};
use super::time::Moment;
use super::wait::{Policy, Why};

#[cfg(test)]
mod rebased;

/// What a slot is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No connection, and none may be opened before `until`.
    Waiting {
        /// The moment from which a connect may go out.
        until: Moment,
        /// Why.
        why: Why,
    },
    /// An access token is being fetched.
    Authorizing {
        /// Since when.
        since: Moment,
        /// Whether this is the one retry at once that a 401 is granted.
        retry: bool,
    },
    /// The open lease is being made durable.
    Leasing {
        /// Since when.
        since: Moment,
        /// As in [`State::Authorizing`].
        retry: bool,
    },
    /// A connect is out.
    Connecting {
        /// Since when.
        since: Moment,
        /// As in [`State::Authorizing`].
        retry: bool,
    },
    /// The service streams to us.
    Streaming {
        /// Since when.
        since: Moment,
    },
    /// Told to stop; final.
    Stopped,
}

impl State {
    /// A short fixed name, for people and labels. A slot whose lease is on its way to disk is connecting, to people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Authorizing { .. } => "authorizing",
            Self::Leasing { .. } | Self::Connecting { .. } => "connecting",
            Self::Streaming { .. } => "streaming",
            Self::Stopped => "stopped",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The token that was asked for is at hand.
    TokenReady,
    /// There is no token.
    TokenFailed(TokenFailure),
    /// The open lease is durable.
    LeaseStored,
    /// The open lease could not be made durable.
    LeaseNotStored,
    /// The attempt left nothing behind upstream.
    Unreached(Unreached),
    /// The attempt reached the service, or may have, and got no usable answer. No connection is left.
    Lost(Lost),
    /// The service answered with something other than 200 or a redirect. No connection is left.
    Answered(Refusal),
    /// The service answered 200.
    Streaming,
    /// The stream ended. No connection is left.
    Ended(EndReason),
    /// Stop for good. Whatever connection there was is closed already.
    Stop,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Get an access token, then report [`Event::TokenReady`] or [`Event::TokenFailed`].
    FetchToken {
        /// The service has refused the token that was used last: get another.
        refused: bool,
    },
    /// Make this lease durable. For an open one in phase connecting report [`Event::LeaseStored`] or [`Event::LeaseNotStored`]; for others
    /// there is nothing to report: an open lease left behind only makes the next start wait longer.
    StoreLease(Lease),
    /// Connect, then report [`Event::Streaming`], [`Event::Answered`], [`Event::Lost`] or [`Event::Unreached`].
    Connect,
    /// Report [`Event::Tick`] at this moment.
    WaitUntil(Moment),
    /// Show the new state to people.
    Report(State),
}

/// One connection slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    policy: Policy,
    state: State,
    /// No attempt may reach the service before this, except for the one token retry. Only attempts that reached it move it.
    not_before: Moment,
    /// Attempts in a row that reached the service and did not stream.
    failures: u32,
    /// Attempts in a row that failed before they reached the service: what a backoff grows with.
    tries: u32,
    /// Times in a row that an access token was refused, whatever else failed in between.
    token_refusals: u32,
    /// The latest `now`: time that seems to go back stands still instead.
    latest: Moment,
    jitter: Jitter,
}

impl Slot {
    /// A slot that waits as `first` says, and the actions to begin with. `seed` is for jitter alone.
    pub fn start(policy: Policy, first: FirstWait, now: Moment, seed: u64) -> (Self, Vec<Action>) {
        let FirstWait {
            until,
            why,
            failures,
            rewrite,
        } = first;
        let slot = Self {
            policy,
            state: State::Waiting { until, why },
            not_before: until,
            failures,
            tries: 0,
            token_refusals: 0,
            latest: now,
            jitter: Jitter(seed),
        };
        let mut actions = Vec::with_capacity(3);
        if rewrite {
            actions.push(slot.closed_lease(until));
        }
        actions.push(Action::WaitUntil(until));
        actions.push(slot.report());
        (slot, actions)
    }

    /// Goes by another policy from now on. A wait that has begun stays as it is.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// What the slot is doing.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Attempts in a row that reached the service and did not stream.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Attempts in a row that failed before they reached the service.
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether trouble that passes by itself as a rule has not, so that somebody should look.
    pub const fn persists(&self) -> bool {
        self.failures >= PERSISTENT || self.tries >= PERSISTENT_TRIES
    }

    /// Takes in what happened at `now` and says what to do, in this order.
    pub fn handle(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let now = now.max(self.latest);
        self.latest = now;
        match (&self.state, event) {
            (State::Stopped, _) => Vec::new(),
            (_, Event::Stop) => self.stop(now),
            (State::Waiting { until, .. }, Event::Tick) => {
                let until = *until;
                if now < until {
                    vec![Action::WaitUntil(until)]
                } else {
                    self.authorize(now, false)
                }
            }
            (State::Authorizing { retry, .. }, Event::TokenReady) => {
                let retry = *retry;
                self.token_refusals = 0;
                self.enter(State::Leasing { since: now, retry });
                let open = Lease {
                    phase: Phase::Connecting,
                    not_before: self.not_before,
                    failures: self.failures,
                };
                vec![self.report(), Action::StoreLease(open)]
            }
            (State::Authorizing { .. }, Event::TokenFailed(failure)) => {
                self.tries = self.tries.saturating_add(1);
                // An endpoint that was away for a while and now says no has said no once.
                let times = match failure {
                    TokenFailure::Unavailable(_) => self.tries,
                    TokenFailure::Refused { .. } => {
                        self.token_refusals = self.token_refusals.saturating_add(1);
                        self.token_refusals
                    }
                };
                let wait = self.policy.after_token_failure(&failure, times);
                self.back_off(now, wait, Why::Token(failure))
            }
            (State::Leasing { retry, .. }, Event::LeaseStored) => {
                let retry = *retry;
                self.enter(State::Connecting { since: now, retry });
                vec![self.report(), Action::Connect]
            }
            (State::Leasing { .. }, Event::LeaseNotStored) => {
                self.tries = self.tries.saturating_add(1);
                self.back_off(now, self.policy.backoff(self.tries), Why::LeaseNotStored)
            }
            (State::Connecting { .. }, Event::Unreached(unreached)) => {
                self.tries = self.tries.saturating_add(1);
                self.back_off(now, self.policy.backoff(self.tries), Why::Unreached(unreached))
            }
            (State::Connecting { .. }, Event::Lost(lost)) => {
                self.failures = self.failures.saturating_add(1);
                let wait = self.policy.after_loss(&lost);
                self.cool_down(now, wait, Why::Lost(lost))
            }
            (State::Connecting { retry, .. }, Event::Answered(refusal)) => {
                let first_try = !*retry;
                if first_try && refusal.class() == RefusalClass::Unauthorized {
                    return self.retry_with_fresh_token(now);
                }
                self.failures = self.failures.saturating_add(1);
                let wait = self.policy.after_refusal(&refusal, self.failures);
                self.cool_down(now, wait, Why::Refused(refusal))
            }
            (State::Connecting { .. }, Event::Streaming) => {
                self.failures = 0;
                self.tries = 0;
                self.enter(State::Streaming { since: now });
                let open = Lease {
                    phase: Phase::Streaming,
                    not_before: self.not_before,
                    failures: 0,
                };
                vec![self.report(), Action::StoreLease(open)]
            }
            (State::Streaming { .. }, Event::Ended(reason)) => {
                self.cool_down(now, self.policy.cooldown, Why::Ended(reason))
            }
            // Nothing else can happen with a driver that keeps to the order; if it does, nothing is the safe answer.
            (
                State::Waiting { .. }
                | State::Authorizing { .. }
                | State::Leasing { .. }
                | State::Connecting { .. }
                | State::Streaming { .. },
                Event::Tick
                | Event::TokenReady
                | Event::TokenFailed(_)
                | Event::LeaseStored
                | Event::LeaseNotStored
                | Event::Unreached(_)
                | Event::Lost(_)
                | Event::Answered(_)
                | Event::Streaming
                | Event::Ended(_),
            ) => Vec::new(),
        }
    }

    fn authorize(&mut self, now: Moment, retry: bool) -> Vec<Action> {
        self.enter(State::Authorizing { since: now, retry });
        vec![self.report(), Action::FetchToken { refused: retry }]
    }

    /// A 401 may mean no more than an expired token: a fresh one is tried at once, and only once (protocol notes, section 4). That this
    /// is at most once per cooldown follows: whatever becomes of the retry, a cooldown is waited out before the next attempt.
    fn retry_with_fresh_token(&mut self, now: Moment) -> Vec<Action> {
        self.tries = 0;
        // Owed from here on, whatever becomes of the retry: the service was reached.
        self.not_before = now + self.policy.cooldown;
        self.authorize(now, true)
    }

    /// After an attempt or a connection that reached the service: the wait is owed to it.
    fn cool_down(&mut self, now: Moment, wait: Duration, why: Why) -> Vec<Action> {
        self.tries = 0;
        self.not_before = now + wait + self.jitter.next(Policy::jitter_limit(wait));
        self.wait(self.not_before, why)
    }

    /// After an attempt that did not reach the service: an earlier wait stays as it is. The lease does not remember the backoff, which is
    /// owed to nobody: who restarts the daemon after mending a secret or a network need not wait for it.
    fn back_off(&mut self, now: Moment, wait: Duration, why: Why) -> Vec<Action> {
        let until = now + wait + self.jitter.next(Policy::jitter_limit(wait));
        self.wait(until.max(self.not_before), why)
    }

    fn wait(&mut self, until: Moment, why: Why) -> Vec<Action> {
        self.enter(State::Waiting { until, why });
        vec![
            self.closed_lease(self.not_before),
            Action::WaitUntil(until),
            self.report(),
        ]
    }

    fn stop(&mut self, now: Moment) -> Vec<Action> {
        let closed = match &self.state {
            // The lease on disk says it all already.
            State::Waiting { .. } | State::Authorizing { retry: false, .. } | State::Stopped => None,
            // The lease is, or may be, open on disk, and nothing has gone out since it was owed what `not_before` says.
            State::Authorizing { retry: true, .. } | State::Leasing { .. } => Some(self.not_before),
            State::Connecting { .. } | State::Streaming { .. } => {
                self.not_before = self.not_before.max(now + self.policy.cooldown);
                Some(self.not_before)
            }
        };
        self.enter(State::Stopped);
        closed
            .map(|until| self.closed_lease(until))
            .into_iter()
            .chain([self.report()])
            .collect()
    }

    fn closed_lease(&self, not_before: Moment) -> Action {
        Action::StoreLease(Lease {
            phase: Phase::Closed,
            not_before,
            failures: self.failures,
        })
    }

    fn report(&self) -> Action {
        Action::Report(self.state.clone())
    }

    fn enter(&mut self, state: State) {
        self.state = state;
    }
}

/// A small generator (`SplitMix64`) for jitter: seeded, so that a history can be played again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Jitter(u64);

impl Jitter {
    /// A duration from zero up to, and not with, `limit`.
    fn next(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let micros = limit.as_micros() as u64;
        Duration::from_micros(if micros == 0 { 0 } else { z % micros })
    }
}
