//! Waits, first waits and stall limits against naive models, with numbers that nobody would choose.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::lease::{FirstWait, Found, FoundLease, Lease, Phase};
use super::super::outcome::{EndReason, Lost, Refusal, TokenFailure, Unreached};
use super::super::slot::{Event, Slot};
use super::super::stall::{LONG_LIMIT, StallWatch};
use super::super::time::{BootId, Moment};
use super::super::wait::{Policy, Why};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const DEFAULT: Policy = Policy {
    cooldown: Duration::from_secs(60),
    backfill_horizon: Duration::from_secs(180),
    long_retry: Duration::from_secs(600),
};

/// The same cases in each run.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        rng_seed: RngSeed::Fixed(60),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..20_000_u64).prop_map(Duration::from_secs),
        4 => any::<u32>().prop_map(|nanos| Duration::from_nanos(nanos.into())),
        2 => any::<u64>().prop_map(Duration::from_secs),
        1 => Just(Duration::MAX),
        1 => Just(Duration::ZERO),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (any_duration(), any_duration(), any_duration()).prop_map(|(cooldown, backfill_horizon, long_retry)| Policy {
        cooldown,
        backfill_horizon,
        long_retry,
    })
}

fn sane_policy() -> impl Strategy<Value = Policy> {
    (1..300_u64, 0..1_000_u64, 0..10_000_u64).prop_map(|(cooldown, horizon, long_retry)| Policy {
        cooldown: Duration::from_secs(cooldown),
        backfill_horizon: Duration::from_secs(horizon),
        long_retry: Duration::from_secs(long_retry),
    })
}

fn in_a_row() -> impl Strategy<Value = u32> {
    prop_oneof![0..12_u32, any::<u32>(), Just(u32::MAX)]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    let statuses = prop_oneof![Just(401), Just(409), Just(503), 400..600_u16, any::<u16>()];
    (statuses, proptest::option::of(any_duration())).prop_map(|(status, retry_after)| Refusal {
        retry_after,
        ..Refusal::status(status)
    })
}

fn any_loss() -> impl Strategy<Value = Lost> {
    prop_oneof![
        Just(Lost::HeadTimeout),
        Just(Lost::Broken(String::new())),
        Just(Lost::RedirectHop(String::new())),
        Just(Lost::RedirectRefused(String::new())),
        Just(Lost::Unreadable(String::new())),
    ]
}

fn any_token_failure() -> impl Strategy<Value = TokenFailure> {
    prop_oneof![
        Just(TokenFailure::Unavailable(String::new())),
        proptest::option::of(any_duration()).prop_map(|retry_after| TokenFailure::Refused {
            description: String::new(),
            retry_after,
        }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Tick),
        4 => Just(Event::TokenReady),
        4 => Just(Event::LeaseStored),
        2 => any_refusal().prop_map(Event::Answered),
        2 => Just(Event::Streaming),
        1 => Just(Event::LeaseNotStored),
        1 => any_token_failure().prop_map(Event::TokenFailed),
        1 => Just(Event::Unreached(Unreached(String::new()))),
        1 => any_loss().prop_map(Event::Lost),
        1 => Just(Event::Ended(EndReason::Closed)),
    ]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    any_duration().prop_map(Moment)
}

fn any_found() -> impl Strategy<Value = Found> {
    let phase = prop_oneof![Just(Phase::Closed), Just(Phase::Connecting), Just(Phase::Streaming)];
    let boot = prop_oneof![Just("this"), Just("other"), Just("")];
    let lease = (phase, any_moment(), in_a_row(), boot, any_moment());
    let lease = lease.prop_map(|(phase, not_before, failures, boot, written)| {
        Found::Lease(FoundLease {
            lease: Lease {
                phase,
                not_before,
                failures,
            },
            boot: BootId::known(boot),
            written,
        })
    });
    prop_oneof![1 => Just(Found::Nothing), 1 => Just(Found::Unreadable), 8 => lease]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_wait_for_the_service_is_never_under_the_cooldown_nor_over_the_longest_wait(
        policy in any_policy(), refusal in any_refusal(), lost in any_loss(), failures in in_a_row(),
    ) {
        for wait in [policy.after_refusal(&refusal, failures), policy.after_loss(&lost)] {
            prop_assert!(wait >= policy.cooldown);
            prop_assert!(wait <= policy.longest_wait());
        }
    }

    #[test]
    fn a_stretch_only_grows_and_stays_within_three_cooldowns_and_the_backfill_window(
        policy in any_policy(), failures in in_a_row(),
    ) {
        let stretched = policy.stretched(failures);
        prop_assert!(stretched >= policy.cooldown);
        prop_assert!(stretched <= policy.cooldown.saturating_mul(3));
        prop_assert!(stretched <= policy.backfill_horizon.max(policy.cooldown));
        prop_assert!(stretched <= policy.stretched(failures.saturating_add(1)));
    }

    #[test]
    fn a_stretch_follows_the_powers_of_three_halves(policy in sane_policy(), failures in 1..40_u32) {
        let limit = (policy.cooldown * 3).min(policy.backfill_horizon).max(policy.cooldown).as_secs_f64();
        let naive = (policy.cooldown.as_secs_f64() * 1.5_f64.powi(failures.cast_signed() - 1)).min(limit);
        prop_assert!((policy.stretched(failures).as_secs_f64() - naive).abs() < 1e-6);
    }

    #[test]
    fn at_the_defaults_a_busy_service_waits_three_minutes_at_most(failures in in_a_row(), busy in prop_oneof![Just(409), Just(503)]) {
        let wait = DEFAULT.after_refusal(&Refusal::status(busy), failures);
        prop_assert!(wait <= Duration::from_secs(180));
        prop_assert!(Policy::jitter_limit(wait) <= SECOND);
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour(policy in sane_policy(), mut refusal in any_refusal(), wait in any_duration()) {
        refusal.retry_after = None;
        let without = policy.after_refusal(&refusal, 1);
        refusal.retry_after = Some(wait);
        prop_assert_eq!(policy.after_refusal(&refusal, 1), without.max(wait.min(HOUR)));
    }

    #[test]
    fn a_backoff_doubles_from_a_second_to_the_cooldown(policy in sane_policy(), tries in in_a_row()) {
        let naive = (0..tries.saturating_sub(1).min(64)).fold(1_u64, |wait, _| wait.saturating_mul(2));
        prop_assert_eq!(policy.backoff(tries), Duration::from_secs(naive).min(policy.cooldown));
    }

    #[test]
    fn a_token_is_asked_for_no_more_often_than_the_network_bears_nor_later_than_the_longest_wait(
        policy in any_policy(), failure in any_token_failure(), times in in_a_row(),
    ) {
        let wait = policy.after_token_failure(&failure, times);
        prop_assert!(wait >= SECOND.min(policy.cooldown));
        prop_assert!(wait <= policy.longest_wait());
        prop_assert!(wait <= policy.after_token_failure(&failure, times.saturating_add(1)));
    }

    #[test]
    fn jitter_adds_at_most_a_quarter_and_a_second(wait in any_duration()) {
        prop_assert!(Policy::jitter_limit(wait) <= wait / 4);
        prop_assert!(Policy::jitter_limit(wait) <= SECOND);
    }

    #[test]
    fn whatever_a_lease_says_the_first_wait_begins_now_and_has_an_end(
        found in any_found(), now in any_moment(), policy in sane_policy(),
    ) {
        let first = FirstWait::from_found(&found, now, &BootId::known("this"), &policy);
        prop_assert!(first.until >= now);
        prop_assert!(first.until <= now + policy.longest_wait() + SECOND);
        if matches!(first.why, Why::LeaseOpen | Why::LeaseUnclear) {
            prop_assert!(first.until >= now + policy.cooldown);
            prop_assert!(first.rewrite);
        }
        match found {
            Found::Nothing => prop_assert_eq!(first, FirstWait::none(now)),
            Found::Unreadable => prop_assert_eq!(first.why, Why::LeaseUnclear),
            Found::Lease(found) => prop_assert_eq!(first.failures, found.lease.failures),
        }
    }

    #[test]
    fn an_honest_lease_is_waited_out(
        policy in sane_policy(),
        closed in 0..10_000_000_u64,
        wait in 0..3_600_u64,
        later in 0..20_000_u64,
        uptime in 0..10_000_000_u64,
        boot in prop_oneof![Just("this"), Just("other"), Just("")],
    ) {
        let written = Moment::from_secs(closed);
        let not_before = Moment::from_secs(closed + wait);
        let lease = Lease { phase: Phase::Closed, not_before, failures: 0 };
        let found = Found::Lease(FoundLease { lease, boot: BootId::known(boot), written });
        let same_boot = boot == "this";
        let now = Moment::from_secs(if same_boot { closed + later } else { uptime });
        let first = FirstWait::from_found(&found, now, &BootId::known("this"), &policy);
        if same_boot {
            prop_assert_eq!(first.until, not_before.max(now));
        } else {
            let whole = Duration::from_secs(wait).max(policy.cooldown);
            prop_assert_eq!(first.until, now + whole);
        }
    }

    #[test]
    fn no_setting_moment_or_lease_makes_a_slot_panic_or_stop_by_itself(
        policy in any_policy(),
        found in any_found(),
        start in any_moment(),
        events in proptest::collection::vec((any_moment(), any_event()), 0..40),
        seed in any::<u64>(),
    ) {
        let first = FirstWait::from_found(&found, start, &BootId::known("this"), &policy);
        let (mut slot, actions) = Slot::start(policy, first, start, seed);
        prop_assert!(!actions.is_empty());
        for (at, event) in events {
            slot.handle(at, event);
            prop_assert_ne!(slot.state().name(), "stopped");
        }
        prop_assert!(!slot.handle(Moment(Duration::MAX), Event::Stop).is_empty());
        prop_assert!(slot.handle(Moment(Duration::MAX), Event::Tick).is_empty());
    }
}

/// What a stream does next, some time after what it did before.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Byte,
    Reconnect,
    /// We stop reading, and go on after this long.
    Pause(u64),
}

fn doings() -> impl Strategy<Value = Vec<(u64, Doing)>> {
    let gap = prop_oneof![6 => 0..200_u64, 3 => 0..4_000_u64, 1 => 0..90_000_u64];
    let doing = prop_oneof![
        6 => Just(Doing::Byte),
        1 => Just(Doing::Reconnect),
        1 => (0..5_000_u64).prop_map(Doing::Pause),
    ];
    proptest::collection::vec((gap, doing), 1..60)
}

/// Every silence that a byte has broken, for ever.
#[derive(Default)]
struct NaiveSilences {
    broken: Vec<(Moment, Duration)>,
    listening_since: Moment,
}

impl NaiveSilences {
    /// The longest silence that ended within `span` before `now`.
    fn longest(&self, now: Moment, span: Duration) -> Duration {
        let recent = self.broken.iter().filter(|(at, _)| now.since(*at) <= span);
        recent.map(|(_, silence)| *silence).max().unwrap_or_default()
    }

    fn play(doings: &[(u64, Doing)], stall_timeout: Duration, start: Moment) -> (StallWatch, Self, Moment) {
        let mut watch = StallWatch::new(stall_timeout);
        let mut naive = Self::default();
        let mut now = start;
        watch.opened(now);
        naive.listening_since = now;
        for (gap, doing) in doings {
            now = now + Duration::from_secs(*gap);
            match doing {
                Doing::Byte => {
                    naive.broken.push((now, now.since(naive.listening_since)));
                    naive.listening_since = now;
                    watch.heard(now);
                }
                Doing::Reconnect => {
                    watch.stalled(now);
                    watch.opened(now);
                    naive.listening_since = now;
                }
                Doing::Pause(secs) => {
                    now = now + Duration::from_secs(*secs);
                    watch.resumed(now);
                    naive.listening_since = now;
                }
            }
        }
        (watch, naive, now)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_stall_limit_is_never_under_the_stall_timeout_nor_four_silences_of_the_day(
        doings in doings(), stall_timeout in 1..4_000_u64, start in 0..1_000_000_u64, later in 0..100_000_u64,
    ) {
        let stall_timeout = Duration::from_secs(stall_timeout);
        let (watch, naive, now) = NaiveSilences::play(&doings, stall_timeout, Moment::from_secs(start));
        let now = now + Duration::from_secs(later);
        let limit = watch.limit(now);
        prop_assert!(limit >= stall_timeout);
        prop_assert!(limit >= naive.longest(now, DAY) * 4, "{limit:?} of {:?}", naive.broken);
        let most = naive.longest(now, DAY + HOUR) * 4;
        prop_assert!(limit <= most.max(stall_timeout).max(LONG_LIMIT));
        prop_assert_eq!(watch.deadline(now), naive.listening_since + limit);
    }

    #[test]
    fn a_dead_connection_always_ends(
        doings in doings(), stall_timeout in 1..4_000_u64, start in 0..1_000_000_u64,
    ) {
        let stall_timeout = Duration::from_secs(stall_timeout);
        let (mut watch, naive, now) = NaiveSilences::play(&doings, stall_timeout, Moment::from_secs(start));
        let most = (naive.longest(now, DAY + HOUR) * 4).max(stall_timeout).max(LONG_LIMIT);
        let end = naive.listening_since + most;
        let silence = watch.stalled(end.max(now));
        prop_assert_eq!(silence, Some(end.max(now).since(naive.listening_since)));
    }

    #[test]
    fn a_healthy_stream_is_never_ended_once_it_was_heard(
        gaps in proptest::collection::vec((any::<u32>(), any::<bool>()), 1..200),
        stall_timeout in 1..4_000_u64,
        start in 0..1_000_000_u64,
    ) {
        // Healthy: shorter than the stall timeout, or than four times what the stream broke by itself in the last day.
        let stall_timeout = Duration::from_secs(stall_timeout);
        let mut now = Moment::from_secs(start);
        let mut watch = StallWatch::new(stall_timeout);
        watch.opened(now);
        watch.heard(now);
        let mut naive = NaiveSilences::default();
        for (share, daring) in gaps {
            let known = if daring { naive.longest(now, HOUR * 20) * 4 } else { Duration::ZERO };
            let most = stall_timeout.max(known.min(HOUR * 4));
            let gap = most.mul_f64(f64::from(share) / (f64::from(u32::MAX) + 1.0));
            now = now + gap;
            prop_assert_eq!(watch.stalled(now), None, "after {:?}", gap);
            naive.broken.push((now, gap));
            watch.heard(now);
        }
    }

    #[test]
    fn no_moment_makes_a_stall_watch_panic(
        moments in proptest::collection::vec((any_moment(), 0..5_u8), 0..40), stall_timeout in any_duration(),
    ) {
        let mut watch = StallWatch::new(stall_timeout);
        for (at, what) in moments {
            match what {
                0 => watch.opened(at),
                1 => watch.heard(at),
                2 => watch.resumed(at),
                3 => drop(watch.stalled(at)),
                _ => {}
            }
            prop_assert!(watch.limit(at) >= stall_timeout);
            watch.deadline(at);
        }
    }
}
