//! The machine of a connection slot, from one connect to the next.

use std::time::Duration;

use livestreamd::lifecycle::slot::{Action, Event, Slot, State};
use livestreamd::lifecycle::wait::Policy;
use livestreamd::lifecycle::{EndReason, FirstWait, Moment};

/// The steps of [`Course::reconnect`].
pub const STEPS: u64 = 5;

/// A slot, and the time that passes for it.
pub struct Course {
    slot: Slot,
    now: Moment,
}

impl Course {
    /// A slot that may connect at once.
    pub fn new() -> Self {
        let now = Moment::from_secs(1_000);
        let policy = Policy {
            cooldown: Duration::from_mins(1),
            backfill_horizon: Duration::from_mins(3),
            long_retry: Duration::from_mins(10),
        };
        let (slot, _) = Slot::start(policy, FirstWait::none(now), now, 7);
        Self { slot, now }
    }

    /// A wait that is over, a token, a lease, an answer, and the end of the stream. How many actions that asked for.
    pub fn reconnect(&mut self) -> usize {
        let State::Waiting { until, .. } = self.slot.state() else {
            unreachable!("every course ends in a wait");
        };
        self.now = *until;
        let mut asked = 0;
        for event in [
            Event::Tick,
            Event::TokenReady,
            Event::LeaseStored,
            Event::Streaming,
            Event::Ended(EndReason::Closed),
        ] {
            let actions = self.slot.handle(self.now, event);
            asked += actions.len();
            assert!(
                actions.iter().any(|action| matches!(action, Action::Report(_))),
                "every step shows a new state"
            );
        }
        asked
    }
}
