//! A reset on purpose: where the operator wants a stream to start, sent once and never on an automatic reconnect (protocol notes, section 2).
//!
//! A wish comes with a start of the daemon and goes along with each attempt of a slot until the service answers one that carried it with
//! a 200. Then it is *done*: the slot's lease remembers that, so that a restart with the same wish sends nothing. A start with another
//! wish, or with none, forgets it. Pure: what to send, and what to remember.

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

/// What one slot does about a reset in one run of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    wish: Option<ResetTo>,
    done: Option<ResetDone>,
}

impl Reset {
    /// At a start with this wish, or none, and with what the slot remembers from before.
    pub fn at_start(wish: Option<ResetTo>, remembered: Option<ResetDone>) -> Self {
        let done = remembered.filter(|done| wish == Some(done.to));
        Self { wish, done }
    }

    /// What goes along with the next attempt.
    pub const fn to_send(&self) -> Option<ResetTo> {
        if self.done.is_some() { None } else { self.wish }
    }

    /// What the slot is to remember from here on.
    pub const fn done(&self) -> Option<&ResetDone> {
        self.done.as_ref()
    }

    /// The service answered an attempt that carried [`Self::to_send`] with a 200, at this wall time.
    pub fn answered(&mut self, wall: String) {
        if let Some(to) = self.to_send() {
            self.done = Some(ResetDone { to, wall });
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
        assert_eq!(reset.to_send(), Some(ResetTo::Smallest));
        assert_eq!(reset.done(), None);
        reset.answered("then".to_owned());
        assert_eq!(reset.to_send(), None);
        reset.answered("later".to_owned());
        assert_eq!(reset.done().map(|done| done.wall.as_str()), Some("then"));
    }

    #[test]
    fn the_same_wish_again_is_done_another_is_new_and_none_forgets() {
        let before = || Some(done(ResetTo::Latest));
        let same = Reset::at_start(Some(ResetTo::Latest), before());
        assert_eq!((same.to_send(), same.done()), (None, before().as_ref()));
        let another = Reset::at_start(Some(ResetTo::Largest), before());
        assert_eq!((another.to_send(), another.done()), (Some(ResetTo::Largest), None));
        let none = Reset::at_start(None, before());
        assert_eq!((none.to_send(), none.done()), (None, None));
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
                            allowed += usize::from(reset.done() != disk.as_ref());
                        } else {
                            (order, allowed, answers) = (wish, usize::from(wish.is_some()), 0);
                        }
                        reset = Reset::at_start(wish, disk.clone());
                        // A start that forgets does so on disk.
                        disk = reset.done().cloned();
                    }
                    Step::Attempt { streams, stored } => {
                        let sent = reset.to_send();
                        prop_assert!(sent.is_none() || sent == order);
                        prop_assert!(sent.is_some() || order.is_none() || answers > 0, "it goes along until it is answered");
                        if streams {
                            answers += usize::from(sent.is_some());
                            reset.answered("now".to_owned());
                        }
                        prop_assert!(answers <= allowed, "{answers} of {allowed}");
                        if stored {
                            disk = reset.done().cloned();
                        }
                    }
                }
            }
        }
    }
}
