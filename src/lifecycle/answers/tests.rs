//! The table against the machine: each entry is put to a slot, and what the slot does must be what the table says.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::lifecycle::lease::{Found, FoundLease, Lease, Phase};
use crate::lifecycle::outcome::{RefusalClass, Unreached};
use crate::lifecycle::slot::{Event, Slot, State};
use crate::lifecycle::time::{BootId, Moment};
use crate::lifecycle::wait::Policy;
use crate::lifecycle::{FirstWait, Refusal};

const NOW: Moment = Moment::from_secs(1_000);
const POLICY: Policy = Policy {
    cooldown: Duration::from_secs(60),
    backfill_horizon: Duration::from_secs(180),
    long_retry: Duration::from_secs(600),
};
/// So many times in a row.
const TIMES: usize = 8;

/// What the table says about the wait after each of [`TIMES`] in a row, in seconds; nothing where no wait follows at once.
fn promised(deed: Deed) -> Option<[u64; TIMES]> {
    match deed {
        Deed::Read | Deed::Follow | Deed::Connect | Deed::Rest => None,
        Deed::Cooldown | Deed::FreshToken => Some([60; TIMES]),
        Deed::Stretch => Some([60, 90, 135, 180, 180, 180, 180, 180]),
        Deed::LongRetry => Some([600; TIMES]),
        Deed::Backoff => Some([1, 2, 4, 8, 16, 32, 60, 60]),
        Deed::TokenBackoff => Some([60, 120, 240, 480, 600, 600, 600, 600]),
    }
}

fn refused(status: u16, description: Option<&str>) -> Why {
    Why::Refused(Refusal {
        status,
        description: description.map(str::to_owned),
        retry_after: None,
    })
}

/// Every reason but those of a start, each with texts as they come.
fn reasons() -> Vec<Why> {
    let text = || "x".to_owned();
    let ends = [
        EndReason::Closed,
        EndReason::Cut,
        EndReason::Reset(text()),
        EndReason::CorruptGzip(text()),
        EndReason::CorruptFraming(text()),
        EndReason::Stalled(Duration::from_secs(120)),
        EndReason::JournalFailed(text()),
    ];
    let losses = [
        Lost::HeadTimeout,
        Lost::Broken(text()),
        Lost::RedirectHop(text()),
        Lost::RedirectRefused(text()),
        Lost::Unreadable(text()),
    ];
    let tokens = [
        TokenFailure::Unavailable(text()),
        TokenFailure::Refused {
            description: text(),
            retry_after: None,
        },
    ];
    let refusals = (100..=999)
        .filter(|status| !matches!(status, 200 | 301 | 302 | 307 | 308))
        .map(|status| refused(status, None))
        .chain([
            refused(409, Some("maximum number of connections reached")),
            refused(409, Some("maxConnections differs from that of another client")),
        ]);
    (ends.into_iter().map(Why::Ended))
        .chain(losses.into_iter().map(Why::Lost))
        .chain(tokens.into_iter().map(Why::Token))
        .chain([Why::Unreached(Unreached(text())), Why::LeaseNotStored])
        .chain(refusals)
        .collect()
}

fn connected(then: Event) -> Vec<Event> {
    vec![Event::TokenReady, Event::LeaseStored, then]
}

/// Lets a slot come to where `why` can befall it, and lets it. Returns its state after that, and when that was.
fn befall(slot: &mut Slot, now: Moment, why: &Why) -> (State, Moment) {
    let now = if let State::Waiting { until, .. } = slot.state() {
        now.max(*until)
    } else {
        now
    };
    let events = match why {
        Why::Token(failure) => vec![Event::TokenFailed(failure.clone())],
        Why::LeaseNotStored => vec![Event::TokenReady, Event::LeaseNotStored],
        Why::Refused(refusal) => connected(Event::Answered(refusal.clone())),
        Why::Lost(lost) => connected(Event::Lost(lost.clone())),
        Why::Unreached(unreached) => connected(Event::Unreached(unreached.clone())),
        Why::Ended(reason) => [connected(Event::Streaming), vec![Event::Ended(reason.clone())]].concat(),
        Why::Start | Why::LeaseClosed | Why::LeaseOpen | Why::LeaseUnclear => {
            panic!("{why:?} befalls no slot that runs")
        }
    };
    slot.handle(now, Event::Tick);
    for event in events {
        slot.handle(now, event);
    }
    (slot.state().clone(), now)
}

#[test]
fn the_waits_of_the_machine_are_those_of_the_table() {
    for why in reasons() {
        let explanation = why.explanation();
        let waits = promised(explanation.deed).unwrap_or_else(|| panic!("{why}: {:?}", explanation.deed));
        let (mut slot, _) = Slot::start(POLICY, FirstWait::none(NOW), NOW, 0);
        let mut now = NOW;
        for (time, wait) in (1..).zip(waits) {
            let (mut state, mut at) = befall(&mut slot, now, &why);
            if let State::Authorizing { retry, .. } = state {
                assert!(retry && explanation.deed == Deed::FreshToken, "{why}");
                (state, at) = befall(&mut slot, at, &why);
            } else {
                assert_ne!(explanation.deed, Deed::FreshToken, "{why}: no second attempt at once");
            }
            let State::Waiting { until, why: shown } = state else {
                panic!("{why}: {state:?}")
            };
            assert_eq!(shown, why);
            let (wait, ordered) = (Duration::from_secs(wait), until.since(at));
            assert!(
                ordered >= wait && ordered <= wait + Policy::jitter_limit(wait),
                "{why}, {time} in a row: {ordered:?}, and the table says {wait:?}"
            );
            now = at;
        }
    }
}

#[test]
fn the_table_says_failing_where_the_stream_is_shown_so() {
    for why in reasons() {
        let says = why.explanation().daemon().contains("failing");
        assert_eq!(says, why.is_failing(), "{why}");
        if why.is_failing() {
            assert!(
                why.advice(false).is_some(),
                "{why}: a person must mend it and is not told how"
            );
        }
    }
}

#[test]
fn the_table_agrees_with_the_classes_of_refusals() {
    for why in reasons() {
        let Why::Refused(refusal) = &why else { continue };
        let deed = match refusal.class() {
            RefusalClass::Unauthorized => Deed::FreshToken,
            RefusalClass::Busy => Deed::Stretch,
            RefusalClass::Trouble => Deed::Cooldown,
            RefusalClass::Fault => Deed::LongRetry,
        };
        assert_eq!(why.explanation().deed, deed, "{why}");
    }
}

#[test]
fn a_longer_retry_after_is_kept_to_where_the_table_says_so() {
    for why in reasons() {
        let asks = Some(Duration::from_secs(1_800));
        let why = match why {
            Why::Refused(refusal) => Why::Refused(Refusal {
                retry_after: asks,
                ..refusal
            }),
            Why::Token(TokenFailure::Refused { description, .. }) => Why::Token(TokenFailure::Refused {
                description,
                retry_after: asks,
            }),
            Why::Start
            | Why::LeaseClosed
            | Why::LeaseOpen
            | Why::LeaseUnclear
            | Why::Ended(_)
            | Why::Lost(_)
            | Why::Unreached(_)
            | Why::Token(TokenFailure::Unavailable(_))
            | Why::LeaseNotStored => why,
        };
        let (mut slot, _) = Slot::start(POLICY, FirstWait::none(NOW), NOW, 0);
        let (mut state, mut at) = befall(&mut slot, NOW, &why);
        if let State::Authorizing { .. } = state {
            (state, at) = befall(&mut slot, at, &why);
        }
        let State::Waiting { until, .. } = state else {
            panic!("{why}: {state:?}")
        };
        let kept_to = until.since(at) >= Duration::from_secs(1_800);
        let says = why.explanation().detail.contains("Retry-After");
        assert_eq!(kept_to, says, "{why}");
    }
}

/// The first wait that a lease asks for, and its line of the table.
fn first(found: &Found) -> (u64, &'static Explanation) {
    let first = FirstWait::from_found(found, NOW, &BootId::known("this"), &POLICY);
    (first.until.since(NOW).as_secs(), first.why.explanation())
}

#[test]
fn the_first_waits_are_those_of_the_table() {
    let lease = |phase, boot| {
        Found::Lease(FoundLease {
            lease: Lease {
                phase,
                not_before: NOW + Duration::from_secs(40),
                failures: 0,
            },
            boot: BootId::known(boot),
            written: Moment::from_secs(980),
        })
    };
    for (found, name, deed, wait) in [
        (Found::Nothing, "start", Deed::Connect, 0),
        (lease(Phase::Closed, "this"), "lease_closed", Deed::Rest, 40),
        (lease(Phase::Streaming, "this"), "lease_open", Deed::Cooldown, 60),
        (lease(Phase::Closed, "other"), "lease_unclear", Deed::Cooldown, 60),
        (Found::Unreadable, "lease_unclear", Deed::Cooldown, 60),
    ] {
        let (waits, explanation) = first(&found);
        assert_eq!((explanation.name, explanation.deed, waits), (name, deed, wait));
    }
}

#[test]
fn every_entry_is_reached_by_something_and_has_a_name_of_its_own() {
    let mut reached: BTreeSet<&str> = reasons().iter().map(|why| why.explanation().name).collect();
    reached.extend(["200", "30x", "start", "lease_closed", "lease_open", "lease_unclear"]);
    let names: Vec<&str> = all().map(|one| one.name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len(), "{names:?}");
    assert_eq!(unique, reached);
}

#[test]
fn an_entry_names_the_reason_that_the_log_gives_and_is_found_by_it() {
    for why in reasons() {
        let explanation = why.explanation();
        assert_eq!(explanation.reason, why.name(), "{why}");
        assert!(find(why.name()).contains(&explanation), "{why}");
        assert!(find(explanation.name).contains(&explanation), "{why}");
    }
    for reason in reasons() {
        if let Why::Ended(reason) = reason {
            assert_eq!(find(reason.name())[0].name, reason.name());
        }
    }
}

#[test]
fn a_word_is_found_by_status_name_or_reason_and_nonsense_is_not() {
    let names = |word| find(word).iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names("409"), ["409", "409-reached", "409-differs"]);
    assert_eq!(names("409_DIFFERS"), ["409-differs"]);
    assert_eq!(names("302"), ["30x"]);
    assert_eq!(names("504"), ["502"]);
    assert_eq!(names("418"), ["other"]);
    assert_eq!(names("599"), ["5xx"]);
    assert_eq!(names("Corrupt-Gzip"), ["corrupt_gzip"]);
    assert_eq!(names("token"), ["token_unavailable", "token_refused"]);
    assert_eq!(names("ended").len(), 7);
    for nonsense in ["", " ", "99", "1000", "-409", "teapot", "40x"] {
        assert_eq!(names(nonsense), [""; 0], "{nonsense:?}");
    }
}

#[test]
fn texts_fit_a_cell_of_a_table_and_are_written_as_messages_are() {
    for one in all() {
        for text in [one.title, one.means, one.operator, one.source, &one.daemon()] {
            assert!(
                !text.is_empty() && !text.contains(['|', '\n', '`']),
                "{}: {text}",
                one.name
            );
            assert!(
                !text.contains("  ") && !text.ends_with(['.', ' ']),
                "{}: {text}",
                one.name
            );
        }
        assert!(one.title.len() <= 80, "{}: {}", one.name, one.title);
        assert!(one.operator.len() <= 260, "{}: a log line stays short", one.name);
    }
}

#[test]
fn a_reset_is_spoken_of_only_when_503_persists() {
    let why = Why::Refused(Refusal::status(503));
    assert_eq!(why.advice(false), None);
    assert!(
        why.advice(true)
            .is_some_and(|advice| advice.contains("--reset NAME=latest"))
    );
}

#[test]
fn a_409_says_what_to_do_about_the_kind_that_it_is() {
    let advice = |text| refused(409, Some(text)).advice(false).unwrap_or_default();
    assert!(advice("maxConnections differs: this client sent 3, another one 2").contains("same value"));
    assert!(advice("maximum number of connections reached").contains("passes by itself"));
    assert!(advice("busy").contains("same maxConnections"));
}
