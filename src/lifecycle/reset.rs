//! A reset on purpose: where the operator wants a stream to start, sent once and never on an automatic reconnect (protocol notes, section 2).
//!
//! A wish comes with a start of the daemon and goes along with each attempt of a slot until the service answers one that carried it with
//! a 200. Then it is *done*: the slot's lease remembers that. It takes effect only while no connection of the stream is open. So it is
//! over for all slots of the stream when the connection of one that had its 200 has ended: whatever connects after that is an automatic
//! reconnect. For the same reason a restart with the same wish sends nothing if any slot remembers it. A start with another wish, or
//! with none, forgets it. Pure: what to send, and what to remember.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Where a stream should start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetTo {
    /// `smallest`: the oldest that upstream still keeps.
    Smallest,
    /// `largest`: now, and what was missed is thrown away.
    Largest,
    /// `earliest`: another name for the oldest.
    Earliest,
    /// `latest`: another name for now.
    Latest,
}

impl ResetTo {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Smallest, Self::Largest, Self::Earliest, Self::Latest];

    /// The value of the parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smallest => "smallest",
            Self::Largest => "largest",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        }
    }

    /// Whether what upstream still keeps for us is thrown away.
    pub const fn throws_away(self) -> bool {
        match self {
            Self::Largest | Self::Latest => true,
            Self::Smallest | Self::Earliest => false,
        }
    }
}

impl fmt::Display for ResetTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ResetTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|to| to.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no place to reset to: use smallest, earliest, largest or latest"))
    }
}

/// A wish that the service has answered with a 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetDone {
    /// What was sent.
    pub to: ResetTo,
    /// When it was answered, in wall time: for people to read.
    pub wall: String,
}

/// What the slots of one stream do about a reset in one run of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    wish: Option<ResetTo>,
    /// What was answered in this run, by slots.
    answered: BTreeMap<u8, ResetDone>,
    /// The answer that ended it for the slots that had none.
    over: Option<ResetDone>,
}

impl Reset {
    /// At a start with this wish, or none, and with what the slots of the stream remember from before.
    pub fn at_start(wish: Option<ResetTo>, remembered: impl IntoIterator<Item = ResetDone>) -> Self {
        Self {
            wish,
            answered: BTreeMap::new(),
            over: remembered.into_iter().find(|done| wish == Some(done.to)),
        }
    }

    /// What goes along with the next attempt of `slot`.
    pub fn to_send(&self, slot: u8) -> Option<ResetTo> {
        if self.done(slot).is_some() { None } else { self.wish }
    }

    /// What `slot` is to remember from here on.
    pub fn done(&self, slot: u8) -> Option<&ResetDone> {
        self.answered.get(&slot).or(self.over.as_ref())
    }

    /// The service answered an attempt of `slot` that carried [`Self::to_send`] with a 200, at this wall time.
    pub fn answered(&mut self, slot: u8, wall: String) {
        if let Some(to) = self.to_send(slot) {
            self.answered.insert(slot, ResetDone { to, wall });
        }
    }

    /// `slot` has no connection any more: the reset is over for all, if this slot had its 200.
    pub fn ended(&mut self, slot: u8) {
        if self.over.is_none() {
            self.over = self.answered.get(&slot).cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn done(to: ResetTo) -> ResetDone {
        let wall = "2026-11-21T09:00:00Z".to_owned();
        ResetDone { to, wall }
    }

    #[test]
    fn a_wish_goes_along_until_it_is_answered_and_then_no_more() {
        let mut reset = Reset::at_start(Some(ResetTo::Smallest), None);
        assert_eq!(reset.to_send(0), Some(ResetTo::Smallest));
        reset.ended(0);
        assert_eq!((reset.to_send(0), reset.done(0)), (Some(ResetTo::Smallest), None));
        reset.answered(0, "then".to_owned());
        assert_eq!(reset.to_send(0), None);
        reset.answered(0, "later".to_owned());
        assert_eq!(reset.done(0).map(|done| done.wall.as_str()), Some("then"));
    }

    #[test]
    fn the_same_wish_again_is_done_another_is_new_and_none_forgets() {
        let before = || Some(done(ResetTo::Latest));
        let same = Reset::at_start(Some(ResetTo::Latest), before());
        assert_eq!((same.to_send(0), same.done(0)), (None, before().as_ref()));
        let another = Reset::at_start(Some(ResetTo::Largest), before());
        assert_eq!((another.to_send(0), another.done(0)), (Some(ResetTo::Largest), None));
        let none = Reset::at_start(None, before());
        assert_eq!((none.to_send(0), none.done(0)), (None, None));
    }

    #[test]
    fn each_slot_sends_its_own_until_the_connection_of_one_that_had_its_200_ends() {
        let mut reset = Reset::at_start(Some(ResetTo::Largest), None);
        reset.answered(0, "then".to_owned());
        assert_eq!((reset.to_send(0), reset.to_send(1)), (None, Some(ResetTo::Largest)));
        reset.ended(1);
        assert_eq!(reset.to_send(1), Some(ResetTo::Largest), "a refusal ends nothing");
        reset.answered(2, "soon".to_owned());
        reset.ended(0);
        assert_eq!([0, 1, 2, 3].map(|slot| reset.to_send(slot)), [None; 4]);
        let remembered = [0, 1, 2, 3].map(|slot| reset.done(slot).map(|done| done.wall.as_str()));
        assert_eq!(remembered, [Some("then"), Some("then"), Some("soon"), Some("then")]);
    }

    #[test]
    fn what_one_slot_remembers_is_done_for_all_after_a_restart() {
        let remembered = || [done(ResetTo::Smallest), done(ResetTo::Latest)];
        let same = Reset::at_start(Some(ResetTo::Latest), remembered());
        assert_eq!((same.to_send(0), same.to_send(5)), (None, None));
        let another = Reset::at_start(Some(ResetTo::Largest), remembered());
        assert_eq!(another.to_send(0), Some(ResetTo::Largest));
    }

    #[test]
    fn only_the_four_values_of_the_protocol_are_known() {
        for to in ResetTo::ALL {
            assert_eq!(to.as_str().parse(), Ok(to));
        }
        for text in ["", "Smallest", "newest", "largest "] {
            let error = text.parse::<ResetTo>().unwrap_err();
            assert!(
                error.contains("earliest") && error.contains(&format!("{text:?}")),
                "{error}"
            );
        }
    }

    /// What happens to a slot.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Start(Option<ResetTo>),
        /// An attempt, answered 200 or not, whose memory reaches the disk or not.
        Attempt {
            streams: bool,
            stored: bool,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let wish = prop_oneof![
            2 => Just(None),
            3 => Just(Some(ResetTo::Smallest)),
            3 => Just(Some(ResetTo::Largest)),
        ];
        prop_oneof![
            2 => wish.prop_map(Step::Start),
            3 => (any::<bool>(), any::<bool>()).prop_map(|(streams, stored)| Step::Attempt { streams, stored }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() })]

        /// The judge counts answers to each order: starts in a row with the same wish. One more is granted for each start that found the
        /// answer before it forgotten by the disk.
        #[test]
        fn a_wish_is_answered_once_however_often_the_daemon_starts(steps in prop::collection::vec(step(), 1..40)) {
            let mut disk: Option<ResetDone> = None;
            let mut reset = Reset::at_start(None, None);
            let (mut order, mut allowed, mut answers) = (None, 0, 0);
            for step in steps {
                match step {
                    Step::Start(wish) => {
                        if wish == order {
                            allowed += usize::from(reset.done(0) != disk.as_ref());
                        } else {
                            (order, allowed, answers) = (wish, usize::from(wish.is_some()), 0);
                        }
                        reset = Reset::at_start(wish, disk.clone());
                        // A start that forgets does so on disk.
                        disk = reset.done(0).cloned();
                    }
                    Step::Attempt { streams, stored } => {
                        let sent = reset.to_send(0);
                        prop_assert!(sent.is_none() || sent == order);
                        prop_assert!(sent.is_some() || order.is_none() || answers > 0, "it goes along until it is answered");
                        if streams {
                            answers += usize::from(sent.is_some());
                            reset.answered(0, "now".to_owned());
                        }
                        prop_assert!(answers <= allowed, "{answers} of {allowed}");
                        if stored {
                            disk = reset.done(0).cloned();
                        }
                    }
                }
            }
        }
    }
}
