//! How a stream fares with Kafka from one generation to the next: how long it waits, and which producer it is to use.
//!
//! Promise: pure. A stream in trouble goes apart from the others, because a producer that meets errors holds up all who use it: after
//! a refused batch an idempotent one stops sending until everything it has in flight is settled, and then asks for a new id.
//!
//! ```text
//! with all --two failures in a row, or no reports while others get theirs--> apart --caught up--> with all
//! ```

use std::time::Duration;

use super::failure::FailureClass;
use super::producer::Company;
use super::watchdog::Patience;
use crate::journal::Position;

/// Failures in a row, with nothing delivered between them, that send a stream apart. The first may be a matter of a moment.
const FAILURES_TO_GO_APART: u32 = 2;

/// What a stream remembers of its trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Failures in a row, without any delivery between them.
    failures: u32,
    /// Those among them that were its own, and not another stream's on the same producer.
    own_failures: u32,
    /// Times in a row that a producer was left because of records that got no report.
    stalls: u32,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    WithAll,
    /// Nothing was delivered since it went apart.
    Stuck,
    /// Back when the cursor gets here.
    CatchesUp(Position),
}

/// Trouble that has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// How many failures in a row there were.
    pub failures: u32,
    /// How many times a producer was left.
    pub stalls: u32,
}

impl Trouble {
    /// A generation failed, with a record of this stream (`is_own`) or through no fault of its own. Returns how many failures in a
    /// row these are.
    pub fn failed(&mut self, class: FailureClass, is_own: bool) -> u32 {
        self.failures = self.failures.saturating_add(1);
        match class {
            // Has a cure of its own, and a producer of its own for it.
            FailureClass::TooLarge => {}
            FailureClass::NeedsAPerson | FailureClass::Passing | FailureClass::Fatal | FailureClass::Stalled => {
                self.own_failures = self.own_failures.saturating_add(u32::from(is_own));
                if self.own_failures >= FAILURES_TO_GO_APART {
                    self.standing = Standing::Stuck;
                }
            }
        }
        self.failures
    }

    /// Its producer was left, with records of this stream undelivered. Returns whether this is the first time in a row.
    pub fn stalled(&mut self, others_deliver: bool) -> bool {
        self.stalls = self.stalls.saturating_add(1);
        // Where nobody gets reports, all are as well off together.
        if others_deliver || self.standing != Standing::WithAll {
            self.standing = Standing::Stuck;
        }
        self.stalls == 1
    }

    /// Whether a delivery would change anything here. So that nobody asks for the end of the journal at each.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Records were delivered: the cursor stands at `cursor`, and the journal ends at `end`.
    pub fn delivered(&mut self, cursor: Position, end: Position) -> Option<Over> {
        let over = Over {
            failures: std::mem::take(&mut self.failures),
            stalls: std::mem::take(&mut self.stalls),
        };
        self.own_failures = 0;
        self.standing = match self.standing {
            Standing::Stuck if cursor < end => Standing::CatchesUp(end),
            Standing::CatchesUp(back_at) if cursor < back_at => Standing::CatchesUp(back_at),
            Standing::WithAll | Standing::Stuck | Standing::CatchesUp(_) => Standing::WithAll,
        };
        (over.failures > 0 || over.stalls > 0).then_some(over)
    }

    /// Whose company is to be kept.
    pub const fn company(&self) -> Company {
        match self.standing {
            Standing::WithAll => Company::All,
            Standing::Stuck | Standing::CatchesUp(_) => Company::Troubled,
        }
    }

    /// How long to wait for reports before a producer is left.
    pub fn patience(&self, patience: Patience) -> Duration {
        patience.after(self.stalls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_failures_in_a_row_send_a_stream_apart_until_it_has_caught_up() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(FailureClass::NeedsAPerson, true), 1);
        assert_eq!(trouble.company(), Company::All);
        assert_eq!(trouble.failed(FailureClass::Passing, true), 2);
        assert_eq!(trouble.company(), Company::Troubled);
        let over = Over { failures: 2, stalls: 0 };
        assert_eq!(trouble.delivered(Position(10), Position(100)), Some(over));
        assert_eq!(trouble.company(), Company::Troubled, "what waited is not delivered yet");
        // The journal has grown, but that is no reason to stay.
        assert_eq!(trouble.delivered(Position(99), Position(500)), None);
        assert_eq!(trouble.company(), Company::Troubled);
        assert_eq!(trouble.delivered(Position(100), Position(600)), None);
        assert_eq!(trouble.company(), Company::All);
        assert!(!trouble.is_any());
    }

    #[test]
    fn a_delivery_between_two_failures_keeps_a_stream_with_the_others() {
        let mut trouble = Trouble::default();
        for n in 0..10 {
            assert_eq!(trouble.failed(FailureClass::Passing, true), 1);
            trouble.delivered(Position(n), Position(100));
            assert_eq!(trouble.company(), Company::All);
        }
    }

    #[test]
    fn who_failed_with_others_or_had_a_large_record_only_does_not_go_apart() {
        let mut trouble = Trouble::default();
        for n in 1..10 {
            assert_eq!(trouble.failed(FailureClass::Fatal, false), 2 * n - 1);
            assert_eq!(trouble.failed(FailureClass::TooLarge, true), 2 * n);
        }
        assert_eq!(trouble.company(), Company::All);
    }

    #[test]
    fn a_stall_sends_apart_only_if_others_deliver_and_makes_more_patient() {
        let mut trouble = Trouble::default();
        assert!(trouble.stalled(false));
        assert_eq!(trouble.company(), Company::All);
        assert!(!trouble.stalled(true));
        assert_eq!(trouble.company(), Company::Troubled);
        assert!(!trouble.stalled(false));
        assert_eq!(
            trouble.company(),
            Company::Troubled,
            "nothing was delivered there either"
        );
        assert_eq!(trouble.patience(Patience::USUAL), Duration::from_mins(8));
        assert!(trouble.delivered(Position(5), Position(5)).is_some());
        assert_eq!(
            (trouble.patience(Patience::USUAL), trouble.company()),
            (Patience::USUAL.first, Company::All)
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Failed(FailureClass, bool),
        Stalled(bool),
        Delivered(u64),
        Appended(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let class = prop_oneof![
            Just(FailureClass::TooLarge),
            Just(FailureClass::NeedsAPerson),
            Just(FailureClass::Passing),
            Just(FailureClass::Fatal),
        ];
        prop_oneof![
            2 => (class, any::<bool>()).prop_map(|(class, is_own)| Step::Failed(class, is_own)),
            1 => any::<bool>().prop_map(Step::Stalled),
            3 => (1..50_u64).prop_map(Step::Delivered),
            3 => (1..50_u64).prop_map(Step::Appended),
        ]
    }

    proptest! {
        #[test]
        fn whoever_delivers_all_that_waited_is_back_with_the_others(steps in prop::collection::vec(step(), 1..60)) {
            let mut trouble = Trouble::default();
            let (mut cursor, mut end) = (0, 0);
            // The end of the journal at the first delivery since the last trouble.
            let mut first_delivery = None;
            for step in steps {
                match step {
                    Step::Failed(class, is_own) => {
                        let before = trouble.company();
                        trouble.failed(class, is_own);
                        if before == Company::Troubled {
                            prop_assert_eq!(trouble.company(), before);
                        }
                        first_delivery = None;
                    }
                    Step::Stalled(others_deliver) => {
                        trouble.stalled(others_deliver);
                        first_delivery = None;
                    }
                    Step::Appended(bytes) => end += bytes,
                    Step::Delivered(bytes) if cursor < end => {
                        cursor = end.min(cursor + bytes);
                        let first = *first_delivery.get_or_insert(end);
                        trouble.delivered(Position(cursor), Position(end));
                        prop_assert_eq!(trouble.patience(Patience::USUAL), Patience::USUAL.first);
                        if cursor >= first {
                            prop_assert_eq!(trouble.company(), Company::All);
                        }
                    }
                    Step::Delivered(_) => {}
                }
            }
            // However bad it was: two deliveries, the second of which passes all that the journal had at the first.
            trouble.delivered(Position(cursor), Position(end + 1));
            trouble.delivered(Position(end + 1), Position(end + 100));
            prop_assert!(!trouble.is_any());
        }
    }
}
