//! Who may connect to a stream, and who came early: a pure machine, given the time with every call.
//!
//! Two questions are kept apart. *May it have the stream?* is what the service answers (409 or not), and counts open
//! connections and those that it has not yet noticed to be gone (its linger). *Was it early?* is what the judge notes:
//! an attempt less than a cooldown after the end of the one before it in the same slot (protocol notes, section 1).
//!
//! # What counts as early
//! - An *attempt* is a request for a stream, whatever is answered; its time is that of the TCP accept. It ends when it is
//!   refused or redirected (taken just before the answer is written), or when its connection ends (taken just before the
//!   service ends it, or when the service notices that the client did).
//! - A request does not say which slot it belongs to. The stream has as many slots as `slots` says, or else as the client
//!   asks for with `maxConnections`. An attempt is held against the *oldest* end that no attempt has followed yet; first
//!   attempts have none. With one slot that is exact; with several it errs in the client's favour, never against it.
//! - A redirect hop carries a ticket in its path, and continues the attempt that was redirected: not early, once.
//! - After a 401, one more attempt may follow at once (with a fresh token): not early, once per cooldown and slot.
//! - An end that the client made is noticed as late as this machine is busy, so `notice` is allowed for there, and only there.

use std::collections::HashMap;
use std::time::Duration;

/// The most ends kept for a stream.
const MOST_SLOTS: usize = 64;

/// What the machine goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The least time between an end and the next attempt.
    pub(super) cooldown: Duration,
    /// For how long a connection that ended is still counted.
    pub(super) linger: Duration,
    /// Allowed for when the client made the end.
    pub(super) notice: Duration,
    /// How many slots the client is known to have.
    pub(super) slots: Option<u8>,
    /// Whether an early attempt starts the linger anew.
    pub(super) prolong: bool,
}

/// How an attempt relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// Nothing: the first attempt of its slot.
    Nothing,
    /// Nothing that has ended: all slots are taken, so this is one client more than expected.
    NoEnd,
    /// An end of its slot.
    End,
    /// A redirect.
    Redirect,
    /// A 401, as the one retry with a fresh token.
    Unauthorized,
}

/// What an attempt is found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) follows: Follows,
    /// Since the end that it follows.
    pub(super) waited: Option<Duration>,
    pub(super) early: bool,
}

/// How an attempt or connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Refused with another status than 401, or ended by the service.
    Made,
    /// Refused with 401.
    Unauthorized,
    /// The client went, and the service noticed.
    Noticed,
}

/// Why a client may not have the stream: both are a 409.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// As many connections as `maxConnections` allows are counted.
    Reached(u8),
    /// Another client gave this other `maxConnections`.
    Differs(u8),
}

/// The slots of one stream.
#[derive(Debug)]
pub(super) struct Slots {
    rules: Rules,
    begun: u32,
    ends: Vec<End>,
    under_way: HashMap<u64, UnderWay>,
    counted: Vec<Counted>,
}

#[derive(Clone, Copy, Debug)]
struct End {
    number: u64,
    at: Duration,
    ending: Ending,
    was_retry: bool,
    retried: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    at: Duration,
    follows: Follows,
    retried: Option<Duration>,
    declared: u8,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    number: u64,
    declared: u8,
    until: Option<Duration>,
}

impl Slots {
    /// No attempt yet.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            begun: 0,
            ends: Vec::new(),
            under_way: HashMap::new(),
            counted: Vec::new(),
        }
    }

    /// An attempt arrived; `redirected_from` is the number of the attempt whose ticket it carries, if that was not used before.
    pub(super) fn arrive(&mut self, number: u64, now: Duration, declared: u8, redirected_from: Option<u64>) -> Arrival {
        let (arrival, retried) = self.judge(now, declared, redirected_from);
        self.under_way.insert(
            number,
            UnderWay {
                at: now,
                follows: arrival.follows,
                retried,
                declared,
            },
        );
        if arrival.early && self.rules.prolong {
            for counted in &mut self.counted {
                counted.until = counted.until.map(|until| until.max(now + self.rules.linger));
            }
        }
        arrival
    }

    /// Whether the attempt may have the stream; if so it is counted from now on.
    pub(super) fn admit(&mut self, number: u64, now: Duration, declared: u8) -> Result<(), Conflict> {
        self.counted
            .retain(|counted| counted.until.is_none_or(|until| until > now));
        if let Some(other) = self.counted.iter().find(|counted| counted.declared != declared) {
            return Err(Conflict::Differs(other.declared));
        }
        if self.counted.len() >= usize::from(declared) {
            return Err(Conflict::Reached(declared));
        }
        self.counted.push(Counted {
            number,
            declared,
            until: None,
        });
        Ok(())
    }

    /// The attempt or its connection ended. Returns the number of an attempt that is now known to have been early: one that
    /// came before the service had noticed that the client had closed.
    pub(super) fn end(&mut self, number: u64, now: Duration, ending: Ending) -> Option<u64> {
        let was = self.under_way.remove(&number)?;
        for counted in self.counted.iter_mut().filter(|counted| counted.number == number) {
            counted.until = Some(now + self.rules.linger);
        }
        if ending == Ending::Noticed
            && let Some(hasty) = self.hasty(now)
        {
            return Some(hasty);
        }
        self.ends.push(End {
            number,
            at: now,
            ending,
            was_retry: was.follows == Follows::Unauthorized,
            retried: was.retried,
        });
        // More ends than slots come from clients beyond those expected. Older ones would excuse whoever comes early.
        let most = self
            .rules
            .slots
            .map_or(usize::from(was.declared), usize::from)
            .clamp(1, MOST_SLOTS);
        if self.ends.len() > most {
            self.ends.drain(..self.ends.len() - most);
        }
        None
    }

    /// The attempt that must have followed a close which is only now noticed: it found no end to follow, a moment ago.
    fn hasty(&mut self, now: Duration) -> Option<u64> {
        let notice = self.rules.notice;
        let (number, attempt) = self
            .under_way
            .iter_mut()
            .filter(|(_, attempt)| attempt.follows == Follows::NoEnd && attempt.at + notice >= now)
            .min_by_key(|(_, attempt)| attempt.at)?;
        attempt.follows = Follows::End;
        Some(*number)
    }

    fn judge(&mut self, now: Duration, declared: u8, redirected_from: Option<u64>) -> (Arrival, Option<Duration>) {
        let redirected =
            redirected_from.and_then(|number| self.ends.iter().position(|end| end.number == number && end.at <= now));
        if let Some(place) = redirected {
            let end = self.ends.remove(place);
            return (self.arrival(Follows::Redirect, now, end), end.retried);
        }
        let waited_enough = self.ends.first().is_some_and(|end| !self.is_early(now, end));
        if !waited_enough && self.begun < u32::from(self.rules.slots.unwrap_or(declared)) {
            self.begun += 1;
            return (
                Arrival {
                    follows: Follows::Nothing,
                    waited: None,
                    early: false,
                },
                None,
            );
        }
        if !waited_enough && let Some(place) = self.ends.iter().position(|end| self.may_retry(now, end)) {
            let end = self.ends.remove(place);
            return (self.arrival(Follows::Unauthorized, now, end), Some(now));
        }
        if self.ends.is_empty() {
            return (
                Arrival {
                    follows: Follows::NoEnd,
                    waited: None,
                    early: false,
                },
                None,
            );
        }
        let end = self.ends.remove(0);
        (self.arrival(Follows::End, now, end), end.retried)
    }

    fn arrival(&self, follows: Follows, now: Duration, end: End) -> Arrival {
        let early = follows == Follows::End && self.is_early(now, &end);
        Arrival {
            follows,
            waited: Some(now.saturating_sub(end.at)),
            early,
        }
    }

    fn is_early(&self, now: Duration, end: &End) -> bool {
        let allowed = if end.ending == Ending::Noticed {
            self.rules.notice
        } else {
            Duration::ZERO
        };
        now.saturating_sub(end.at) + allowed < self.rules.cooldown
    }

    fn may_retry(&self, now: Duration, end: &End) -> bool {
        let rested = end
            .retried
            .is_none_or(|at| now.saturating_sub(at) >= self.rules.cooldown);
        end.ending == Ending::Unauthorized && !end.was_retry && rested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn slots() -> Slots {
        Slots::new(Rules {
            cooldown: secs(60),
            linger: secs(45),
            notice: secs(1),
            slots: None,
            prolong: false,
        })
    }

    fn connect(slots: &mut Slots, number: u64, now: Duration) -> (Arrival, Result<(), Conflict>) {
        let arrival = slots.arrive(number, now, 1, None);
        let admitted = slots.admit(number, now, 1);
        if admitted.is_err() {
            assert_eq!(slots.end(number, now, Ending::Made), None);
        }
        (arrival, admitted)
    }

    #[test]
    fn a_reconnect_within_the_linger_is_early_and_finds_the_stream_taken() {
        let mut slots = slots();
        let (first, admitted) = connect(&mut slots, 1, secs(0));
        assert_eq!(
            first,
            Arrival {
                follows: Follows::Nothing,
                waited: None,
                early: false
            }
        );
        assert_eq!(admitted, Ok(()));
        slots.end(1, secs(100), Ending::Made);
        let (second, admitted) = connect(&mut slots, 2, secs(144));
        assert_eq!(
            second,
            Arrival {
                follows: Follows::End,
                waited: Some(secs(44)),
                early: true
            }
        );
        assert_eq!(admitted, Err(Conflict::Reached(1)));
        // The refused attempt is what the next one is held against.
        let (third, admitted) = connect(&mut slots, 3, secs(203));
        assert_eq!((third.early, third.waited), (true, Some(secs(59))));
        assert_eq!(admitted, Ok(()));
    }

    #[test]
    fn a_reconnect_after_the_cooldown_is_in_order() {
        let mut slots = slots();
        connect(&mut slots, 1, secs(0)).1.unwrap();
        slots.end(1, secs(10), Ending::Made);
        let (second, admitted) = connect(&mut slots, 2, secs(70));
        assert_eq!(
            second,
            Arrival {
                follows: Follows::End,
                waited: Some(secs(60)),
                early: false
            }
        );
        assert_eq!(admitted, Ok(()));
    }

    #[test]
    fn the_tolerance_is_for_ends_that_the_client_made() {
        let almost = secs(70).checked_sub(Duration::from_millis(500)).unwrap();
        for (ending, early) in [(Ending::Noticed, false), (Ending::Made, true)] {
            let mut slots = slots();
            connect(&mut slots, 1, secs(0)).1.unwrap();
            slots.end(1, secs(10), ending);
            assert_eq!(connect(&mut slots, 2, almost).0.early, early, "{ending:?}");
        }
    }

    #[test]
    fn a_redirect_hop_is_not_early_but_using_the_ticket_again_is() {
        let mut slots = slots();
        slots.arrive(1, secs(0), 1, None);
        slots.end(1, secs(0), Ending::Made);
        let hop = slots.arrive(2, secs(1), 1, Some(1));
        assert_eq!(
            hop,
            Arrival {
                follows: Follows::Redirect,
                waited: Some(secs(1)),
                early: false
            }
        );
        slots.end(2, secs(2), Ending::Made);
        assert!(slots.arrive(3, secs(3), 1, Some(1)).early);
    }

    #[test]
    fn one_retry_after_a_401_is_in_order_and_a_second_is_early() {
        let mut slots = slots();
        slots.arrive(1, secs(0), 1, None);
        slots.end(1, secs(0), Ending::Unauthorized);
        let retry = slots.arrive(2, secs(1), 1, None);
        assert_eq!(
            retry,
            Arrival {
                follows: Follows::Unauthorized,
                waited: Some(secs(1)),
                early: false
            }
        );
        slots.end(2, secs(1), Ending::Unauthorized);
        assert!(slots.arrive(3, secs(2), 1, None).early, "a second 401 waits");
        slots.end(3, secs(2), Ending::Unauthorized);
        assert!(
            slots.arrive(4, secs(3), 1, None).early,
            "once per cooldown, even when the 401 is another one"
        );
        slots.end(4, secs(3), Ending::Unauthorized);
        assert!(!slots.arrive(5, secs(63), 1, None).early);
        slots.end(5, secs(63), Ending::Unauthorized);
        assert_eq!(slots.arrive(6, secs(64), 1, None).follows, Follows::Unauthorized);
    }

    #[test]
    fn a_reconnect_that_overtakes_the_notice_of_the_close_is_found_out() {
        let mut slots = slots();
        connect(&mut slots, 1, secs(0)).1.unwrap();
        let overtaking = slots.arrive(2, secs(10), 1, None);
        assert_eq!((overtaking.follows, overtaking.early), (Follows::NoEnd, false));
        assert_eq!(slots.admit(2, secs(10), 1), Err(Conflict::Reached(1)));
        assert_eq!(slots.end(1, secs(10), Ending::Noticed), Some(2));
    }

    #[test]
    fn two_slots_are_each_held_to_their_own_end() {
        let mut slots = slots();
        for number in [1, 2] {
            assert_eq!(slots.arrive(number, secs(number), 2, None).follows, Follows::Nothing);
            slots.admit(number, secs(number), 2).unwrap();
        }
        assert_eq!(slots.admit(9, secs(3), 2), Err(Conflict::Reached(2)));
        assert_eq!(slots.admit(9, secs(3), 3), Err(Conflict::Differs(2)));
        slots.end(1, secs(100), Ending::Made);
        slots.end(2, secs(150), Ending::Made);
        let first = slots.arrive(3, secs(160), 2, None);
        assert_eq!((first.waited, first.early), (Some(secs(60)), false));
        assert!(slots.arrive(4, secs(170), 2, None).early);
    }

    #[test]
    fn a_known_number_of_slots_leaves_no_first_attempt_to_hide_behind() {
        let rules = Rules {
            cooldown: secs(60),
            linger: secs(45),
            notice: secs(1),
            slots: Some(1),
            prolong: true,
        };
        let mut slots = Slots::new(rules);
        slots.arrive(1, secs(0), 4, None);
        slots.admit(1, secs(0), 4).unwrap();
        slots.end(1, secs(5), Ending::Made);
        assert!(slots.arrive(2, secs(40), 4, None).early);
        // The early attempt began the linger anew.
        assert_eq!(slots.admit(2, secs(84), 1), Err(Conflict::Differs(4)));
        assert_eq!(slots.admit(2, secs(85), 1), Ok(()));
    }
}
