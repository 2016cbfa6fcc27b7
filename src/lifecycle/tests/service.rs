//! What the world's Live Stream service, token endpoint and sockets answer, by chance; and which event fits which state.

use std::time::Duration;

use super::super::outcome::{EndReason, Lost, Refusal, TokenFailure, Unreached};
use super::super::slot::{Event, State};
use super::super::wait::Policy;
use super::chance::Chance;
use super::coverage::{Coverage, FaultKind};

const STATUSES: [u16; 22] = [
    503, 409, 401, 500, 429, 404, 204, 304, 400, 403, 405, 406, 407, 408, 424, 425, 502, 504, 505, 599, 999, 0,
];

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How an attempt ends.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, and a stream that lasts for so long.
    Streams(Duration),
    Unreached,
    Lost(Lost),
    Refuses(Refusal),
}

/// The settings of a stream: the defaults most of the time.
pub fn policy(chance: &mut Chance) -> Policy {
    let (cooldown, backfill_horizon, long_retry) = chance.pick(&[
        (60, 180, 600),
        (60, 180, 600),
        (60, 180, 600),
        (60, 100, 600),
        (90, 600, 7_200),
        (60, 10, 1),
        (2, 180, 20),
    ]);
    Policy {
        cooldown: secs(cooldown),
        backfill_horizon: secs(backfill_horizon),
        long_retry: secs(long_retry),
    }
}

/// What becomes of an attempt, and how long that takes. Redirects are part of it.
pub fn answer(chance: &mut Chance, coverage: &mut Coverage) -> (Duration, Answer) {
    let hops = chance.pick(&[0, 0, 0, 1, 3]);
    if hops > 0 {
        coverage.fault(FaultKind::RedirectHops);
    }
    let slowest = chance.pick(&[Duration::from_millis(300), secs(2), secs(10)]) * (hops + 1);
    let takes = chance.upto(slowest);
    let text = String::new;
    let answer = match chance.below(24) {
        0..=5 => {
            let longest = chance.pick(&[secs(86_400), secs(600), secs(70), secs(2), Duration::ZERO]);
            Answer::Streams(chance.upto(longest))
        }
        6..=8 => Answer::Unreached,
        9 => {
            coverage.fault(FaultKind::SlowHead);
            return (secs(10), Answer::Lost(Lost::HeadTimeout));
        }
        10 => Answer::Lost(Lost::Broken(text())),
        11 => Answer::Lost(Lost::RedirectHop(text())),
        12 => Answer::Lost(Lost::RedirectRefused(text())),
        13 => Answer::Lost(Lost::Unreadable(text())),
        14..=17 => Answer::Refuses(refusal(chance, &[401])),
        18..=20 => Answer::Refuses(refusal(chance, &[503, 409])),
        _ => Answer::Refuses(refusal(chance, &STATUSES)),
    };
    (takes, answer)
}

fn refusal(chance: &mut Chance, statuses: &[u16]) -> Refusal {
    Refusal {
        retry_after: retry_after(chance),
        ..Refusal::status(chance.pick(statuses))
    }
}

fn retry_after(chance: &mut Chance) -> Option<Duration> {
    let none = [None; 6];
    let some = [0, 5, 90, 240, 1_800, 7_200, u64::MAX].map(|wait| Some(secs(wait)));
    chance.pick(&[none.as_slice(), some.as_slice()].concat())
}

/// What the token endpoint says.
pub fn token(chance: &mut Chance) -> Result<(), TokenFailure> {
    match chance.below(10) {
        8 => Err(TokenFailure::Unavailable(String::new())),
        9 => Err(TokenFailure::Refused {
            description: String::new(),
            retry_after: retry_after(chance),
        }),
        _ => Ok(()),
    }
}

/// Why a stream ends.
pub fn end_reason(chance: &mut Chance) -> EndReason {
    let text = String::new;
    match chance.below(7) {
        1 => EndReason::Cut,
        2 => EndReason::Reset(text()),
        3 => EndReason::CorruptGzip(text()),
        4 => EndReason::CorruptFraming(text()),
        5 => EndReason::Stalled(secs(120)),
        6 => EndReason::JournalFailed(text()),
        _ => EndReason::Closed,
    }
}

/// Any event but a stop.
pub fn any_event(chance: &mut Chance) -> Event {
    match chance.below(10) {
        1 => Event::TokenReady,
        2 => Event::TokenFailed(TokenFailure::Unavailable(String::new())),
        3 => Event::LeaseStored,
        4 => Event::LeaseNotStored,
        5 => Event::Unreached(Unreached(String::new())),
        6 => Event::Lost(Lost::HeadTimeout),
        7 => Event::Answered(Refusal::status(401)),
        8 => Event::Streaming,
        9 => Event::Ended(EndReason::Closed),
        _ => Event::Tick,
    }
}

/// Whether the machine has a use for `event` in `state`, by the picture in `slot.rs`.
pub const fn fits(state: &State, event: &Event) -> bool {
    match state {
        State::Waiting { .. } => matches!(event, Event::Tick | Event::Stop),
        State::Authorizing { .. } => matches!(event, Event::TokenReady | Event::TokenFailed(_) | Event::Stop),
        State::Leasing { .. } => matches!(event, Event::LeaseStored | Event::LeaseNotStored | Event::Stop),
        State::Connecting { .. } => matches!(
            event,
            Event::Unreached(_) | Event::Lost(_) | Event::Answered(_) | Event::Streaming | Event::Stop
        ),
        State::Streaming { .. } => matches!(event, Event::Ended(_) | Event::Stop),
        State::Stopped => false,
    }
}
