//! The faults that the histories, the search and the naive models have found in the machine, one by one, each with its cause.

use std::time::Duration;

use crate::lifecycle::lease::{FirstWait, Found, FoundLease, Lease, Phase};
use crate::lifecycle::outcome::{EndReason, Refusal, TokenFailure, Unreached};
use crate::lifecycle::slot::{Event, Slot, State};
use crate::lifecycle::stall::StallWatch;
use crate::lifecycle::time::{BootId, Moment};
use crate::lifecycle::wait::{Policy, Why};

const START: Moment = Moment::from_secs(100_000);

const POLICY: Policy = Policy {
    cooldown: Duration::from_secs(60),
    backfill_horizon: Duration::from_secs(180),
    long_retry: Duration::from_secs(600),
};

/// A slot under test, and its time.
struct Story {
    slot: Slot,
    now: Moment,
}

impl Story {
    fn new() -> Self {
        let (slot, _) = Slot::start(POLICY, FirstWait::none(START), START, 0);
        Self { slot, now: START }
    }

    /// Waits as long as the slot wants to, then tells it of `events`, all at once. How many seconds it wants to wait then.
    fn tell(&mut self, events: impl IntoIterator<Item = Event>) -> u64 {
        if let State::Waiting { until, .. } = self.slot.state() {
            self.now = *until;
            self.slot.handle(self.now, Event::Tick);
        }
        for event in events {
            self.slot.handle(self.now, event);
        }
        let State::Waiting { until, .. } = self.slot.state() else {
            panic!("{:?}", self.slot.state());
        };
        until.since(self.now).as_secs()
    }
}

fn unavailable() -> Event {
    Event::TokenFailed(TokenFailure::Unavailable(String::new()))
}

fn refused() -> Event {
    Event::TokenFailed(TokenFailure::Refused {
        description: String::new(),
        retry_after: None,
    })
}

/// Cause: one count for all failures before the service was reached, so that a single "no" after an outage waited ten minutes.
#[test]
fn a_token_refused_for_the_first_time_waits_a_cooldown_whatever_failed_before() {
    let mut story = Story::new();
    for _ in 0..12 {
        story.tell([unavailable()]);
    }
    assert_eq!(story.tell([refused()]), 60);
    story.tell([unavailable()]);
    assert_eq!(story.tell([refused()]), 120, "a row of refusals goes on over an outage");
    story.tell([Event::TokenReady, Event::LeaseNotStored]);
    assert_eq!(story.tell([refused()]), 60, "but not over a token");
}

/// Cause: a 401 that was granted its retry did not count as an attempt that had reached the service.
#[test]
fn a_401_ends_the_row_of_attempts_that_did_not_reach_the_service() {
    let mut story = Story::new();
    let unreached = || Event::Unreached(Unreached(String::new()));
    for _ in 0..6 {
        story.tell([Event::TokenReady, Event::LeaseStored, unreached()]);
    }
    let unauthorized = Event::Answered(Refusal::status(401));
    let retried = [Event::TokenReady, Event::LeaseStored, unauthorized, unavailable()];
    assert_eq!(story.tell(retried), 60, "owed to the 401");
    assert_eq!(story.tell([unavailable()]), 2, "the second try of a new row");
}

/// Cause: the bound on what a lease may ask for was also taken as the end of its wait, counted from a moment that was wrong too.
#[test]
fn a_wrong_digit_in_a_lease_does_not_make_us_hasty() {
    let now = Moment::from_secs(81_174);
    let lease = Lease {
        phase: Phase::Closed,
        not_before: Moment::from_secs(81_234),
        failures: 0,
    };
    let found = Found::Lease(FoundLease {
        lease,
        boot: BootId::known("this"),
        written: Moment::from_secs(11_174),
    });
    let first = FirstWait::from_found(&found, now, &BootId::known("this"), &POLICY);
    assert_eq!(first.until, now + POLICY.cooldown);
    assert_eq!(first.why, Why::LeaseUnclear);
}

/// Cause: the bound on what a lease may ask for left the stretch out.
#[test]
fn a_stretched_cooldown_of_more_than_an_hour_is_remembered_whole() {
    let policy = Policy {
        cooldown: Duration::from_secs(1_500),
        backfill_horizon: Duration::from_secs(6_000),
        ..POLICY
    };
    let lease = Lease {
        phase: Phase::Closed,
        not_before: START + policy.stretched(9),
        failures: 9,
    };
    let boot = BootId::known("this");
    let found = Found::Lease(FoundLease {
        lease,
        boot: boot.clone(),
        written: START,
    });
    let first = FirstWait::from_found(&found, START, &boot, &policy);
    assert_eq!(first.until.since(START).as_secs(), 4_500);
}

/// Cause: the bound left no room for a store that rounds up, and cut a wait of that very length.
#[test]
fn the_longest_wait_is_remembered_whole_in_round_numbers_too() {
    let lease = Lease {
        phase: Phase::Closed,
        not_before: START + POLICY.longest_wait() + Duration::from_millis(1),
        failures: 1,
    };
    let boot = BootId::known("this");
    let found = Found::Lease(FoundLease {
        lease,
        boot: boot.clone(),
        written: START,
    });
    let first = FirstWait::from_found(&found, START, &boot, &POLICY);
    assert_eq!((first.until, first.why), (lease.not_before, Why::LeaseClosed));
}

/// Cause: a sum that did not saturate, and a loop that counted refusals one by one.
#[test]
fn an_absurd_setting_or_count_neither_panics_nor_takes_for_ever() {
    let absurd = Policy {
        cooldown: Duration::from_nanos(1),
        backfill_horizon: Duration::MAX,
        long_retry: Duration::MAX,
    };
    assert_eq!(absurd.longest_wait(), Duration::MAX);
    assert_eq!(absurd.stretched(u32::MAX), absurd.cooldown);
    let long = Policy {
        cooldown: Duration::MAX / 2,
        ..absurd
    };
    assert_eq!(long.stretched(u32::MAX), Duration::MAX);
}

/// No history shows it: the clock that we count in cannot go back.
#[test]
fn time_that_seems_to_go_back_stands_still() {
    let mut story = Story::new();
    let early = Moment::from_secs(1);
    for event in [Event::Tick, Event::TokenReady, Event::LeaseStored, Event::Streaming] {
        story.slot.handle(early, event);
    }
    story.slot.handle(early, Event::Ended(EndReason::Closed));
    let State::Waiting { until, .. } = story.slot.state() else {
        panic!("{:?}", story.slot.state());
    };
    assert!(*until >= START + POLICY.cooldown);
}

/// Cause: 24 hours by the clock are between 23 and 24 hours of time.
#[test]
fn a_silence_is_remembered_for_a_whole_day() {
    let mut watch = StallWatch::new(Duration::from_secs(120));
    let opened = Moment::from_secs(24 * 3_600);
    watch.opened(opened);
    watch.heard(opened + Duration::from_secs(1_000));
    let almost_a_day = Duration::from_secs(1_000 + 23 * 3_600 + 3_500);
    assert_eq!(watch.limit(opened + almost_a_day).as_secs(), 4_000);
}
