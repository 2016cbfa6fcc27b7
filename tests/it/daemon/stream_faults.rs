//! What can happen to an open stream, each thing alone and in each style of body: whole records are forwarded, cut ones are not, the
//! reason is shown, and the cooldown is waited out.

use std::time::Duration;

use livestreamd::lifecycle::{EndReason, State, Why};
use livestreamd::simulator::{
    BodyStyle, EndedBy, Garbage, Handle, LineEnd, Rate, RecordKind, SimulatedStream, StreamFault,
};

use livestreamd::telemetry::counters::StreamSnapshot;

use super::judge::Found;
use super::trial::{
    COOLDOWN, Config, Observed, all_at_once, assert_ordered, assert_waited, assert_waited_after_our_end, attempt,
    quiet, simulate,
};

/// Hits before the fault, and after the reconnect.
const BEFORE: u64 = 20;
const AFTER: u64 = 5;

const CHUNKED: BodyStyle = BodyStyle {
    chunked: true,
    line_end: LineEnd::CrLf,
    empty_every: 0,
    member_every: 0,
    batch: 24,
};
const UNTIL_CLOSE: BodyStyle = BodyStyle {
    chunked: false,
    ..CHUNKED
};
const MEMBERS_AND_LF: BodyStyle = BodyStyle {
    member_every: 3,
    line_end: LineEnd::Lf,
    batch: 4,
    ..CHUNKED
};
const MEMBERS_UNTIL_CLOSE: BodyStyle = BodyStyle {
    chunked: false,
    line_end: LineEnd::Mixed,
    ..MEMBERS_AND_LF
};

/// What ends a stream, what it is shown as, and whether a record is cut off by it.
struct Case {
    name: &'static str,
    body: BodyStyle,
    fault: StreamFault,
    reason: &'static str,
    cuts: bool,
}

const fn case(name: &'static str, body: BodyStyle, fault: StreamFault, reason: &'static str, cuts: bool) -> Case {
    Case {
        name,
        body,
        fault,
        reason,
        cuts,
    }
}

const CLOSE: StreamFault = StreamFault::Close { trailer: true };
const CLOSE_WITHOUT: StreamFault = StreamFault::Close { trailer: false };

const CASES: &[Case] = &[
    case("close", CHUNKED, CLOSE, "closed", false),
    case("close-without-trailer", CHUNKED, CLOSE_WITHOUT, "closed", false),
    case("cut", CHUNKED, StreamFault::Cut, "cut", true),
    case("cut-between", CHUNKED, StreamFault::CutBetween, "cut", false),
    case("reset", CHUNKED, StreamFault::Reset, "reset", true),
    case("corrupt-gzip", CHUNKED, StreamFault::CorruptGzip, "corrupt_gzip", true),
    case(
        "wrong-trailer",
        CHUNKED,
        StreamFault::WrongTrailer,
        "corrupt_gzip",
        false,
    ),
    case("truncated-gzip", CHUNKED, StreamFault::TruncatedGzip, "closed", true),
    case(
        "corrupt-chunk",
        CHUNKED,
        StreamFault::CorruptChunk,
        "corrupt_framing",
        false,
    ),
    case("until-close", UNTIL_CLOSE, CLOSE, "closed", false),
    // Nothing but the trailer tells an end from a cut there.
    case("until-close-without-trailer", UNTIL_CLOSE, CLOSE_WITHOUT, "cut", false),
    case("until-close-cut", UNTIL_CLOSE, StreamFault::Cut, "cut", true),
    case(
        "until-close-cut-between",
        UNTIL_CLOSE,
        StreamFault::CutBetween,
        "cut",
        false,
    ),
    case("until-close-reset", UNTIL_CLOSE, StreamFault::Reset, "reset", true),
    case(
        "until-close-corrupt-gzip",
        UNTIL_CLOSE,
        StreamFault::CorruptGzip,
        "corrupt_gzip",
        true,
    ),
    case(
        "until-close-wrong-trailer",
        UNTIL_CLOSE,
        StreamFault::WrongTrailer,
        "corrupt_gzip",
        false,
    ),
    case(
        "until-close-truncated-gzip",
        UNTIL_CLOSE,
        StreamFault::TruncatedGzip,
        "cut",
        true,
    ),
    case(
        "until-close-corrupt-chunk",
        UNTIL_CLOSE,
        StreamFault::CorruptChunk,
        "cut",
        true,
    ),
    case("members-close", MEMBERS_AND_LF, CLOSE, "closed", false),
    case("members-cut", MEMBERS_AND_LF, StreamFault::Cut, "cut", true),
    case(
        "members-corrupt-gzip",
        MEMBERS_AND_LF,
        StreamFault::CorruptGzip,
        "corrupt_gzip",
        true,
    ),
    case("members-until-close", MEMBERS_UNTIL_CLOSE, CLOSE, "closed", false),
    case(
        "members-until-close-truncated-gzip",
        MEMBERS_UNTIL_CLOSE,
        StreamFault::TruncatedGzip,
        "cut",
        true,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_shown_with_its_reason_and_only_whole_records_are_forwarded() {
    let simulator = simulate(CASES.iter().map(|case| SimulatedStream {
        body: case.body,
        ..quiet(case.name)
    }))
    .await;
    let mut config = Config::new().await;
    for case in CASES {
        config.stream(&simulator, case.name);
    }
    let trial = config.start().await;
    all_at_once(
        CASES
            .iter()
            .map(|case| ended(simulator.handle(), trial.stream(case.name), case)),
    )
    .await;
    let arrived = trial.finish().await;
    for case in CASES {
        let found = arrived.judge(&simulator, case.name);
        let hits = (BEFORE + AFTER) as usize;
        assert_eq!(
            found,
            Found {
                hits,
                again: 0,
                dead_letters: 0
            },
            "{}",
            case.name
        );
        let begun = simulator.ledger().written(case.name).len();
        let whole = simulator.ledger().whole(case.name).len();
        assert_eq!(
            (begun - whole, whole),
            (usize::from(case.cuts), hits),
            "{}: not the fault that was meant",
            case.name
        );
    }
}

async fn ended(simulator: Handle, stream: Observed, case: &Case) {
    let name = case.name;
    stream.streams().await;
    simulator.burst(name, BEFORE).unwrap();
    stream.has_hits(BEFORE).await;
    simulator.fault(name, case.fault.clone()).unwrap();
    let (why, left) = stream.waits().await;
    let Why::Ended(reason) = &why else {
        panic!("{name}: {why:?}")
    };
    assert_eq!(reason.name(), case.reason, "{name}: {reason}");
    assert!(!why.is_failing(), "{name}: a disconnect is in the order of things");
    assert_ordered(left, COOLDOWN);
    let first = attempt(&simulator, name, 0).await;
    assert_eq!(
        first.end.map(|end| end.by),
        Some(EndedBy::Fault(case.fault.name())),
        "{name}"
    );
    assert_waited(&attempt(&simulator, name, 1).await, COOLDOWN);
    stream.streams().await;
    simulator.burst(name, AFTER).unwrap();
    stream.has_hits(BEFORE + AFTER).await;
    let counts = stream.counts();
    // The half that came of a record can be inflated there. Of a cut or a reset half of its compressed bytes came, which may hold nothing.
    let at_least = u64::from(matches!(
        case.fault,
        StreamFault::CorruptGzip | StreamFault::TruncatedGzip
    ));
    assert!(
        (at_least..=u64::from(case.cuts)).contains(&counts.cut_records),
        "{name}: {counts:?}"
    );
    assert_eq!((counts.disconnects, counts.connects), (1, 2), "{name}");
}

/// What a stream may hold besides hits, none of which ends it: what it is, and how many hits and dead letters it makes.
const ODDITIES: &[(&str, StreamFault, u64, u64)] = &[
    (
        "text",
        StreamFault::Garbage {
            kind: Garbage::Text,
            times: 2,
        },
        0,
        2,
    ),
    (
        "array",
        StreamFault::Garbage {
            kind: Garbage::Array,
            times: 2,
        },
        0,
        2,
    ),
    (
        "broken-off",
        StreamFault::Garbage {
            kind: Garbage::Truncated,
            times: 2,
        },
        0,
        2,
    ),
    (
        "not-utf8",
        StreamFault::Garbage {
            kind: Garbage::InvalidUtf8,
            times: 2,
        },
        0,
        2,
    ),
    ("empty", StreamFault::Empty { times: 7 }, 0, 0),
    ("large", StreamFault::Oversized { bytes: 60_000 }, 1, 0),
    ("too-long", StreamFault::Oversized { bytes: 100_000 }, 0, 1),
    ("far-too-long", StreamFault::Oversized { bytes: 3_000_000 }, 0, 1),
    ("odd-ids", StreamFault::OddIds { times: 4 }, 4, 0),
    ("twin", StreamFault::Twin, 1, 0),
    (
        "slow",
        StreamFault::Slow {
            records: 2,
            pause: Duration::ZERO,
        },
        2,
        0,
    ),
    (
        "pause",
        StreamFault::Stall {
            lasts: Some(Duration::from_millis(700)),
        },
        0,
        0,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_strange_in_a_stream_does_not_end_it_and_what_is_no_hit_is_a_dead_letter() {
    let simulator = simulate(ODDITIES.iter().map(|(name, ..)| quiet(name))).await;
    let mut config = Config::new().await;
    config.upstream.push_str("max_record_bytes = \"64KiB\"\n");
    for (name, ..) in ODDITIES {
        config.stream(&simulator, name);
    }
    let trial = config.start().await;
    let checks = ODDITIES.iter().map(|(name, fault, hits, dead_letters)| {
        let (simulator, stream) = (simulator.handle(), trial.stream(name));
        async move {
            stream.streams().await;
            simulator.burst(name, BEFORE).unwrap();
            stream.has_hits(BEFORE).await;
            simulator.fault(name, fault.clone()).unwrap();
            let all_there = |counts: &StreamSnapshot| {
                counts.hits == BEFORE + hits
                    && counts.dead_letters.total() == *dead_letters
                    && (*name != "empty" || counts.empty_records == 7)
            };
            stream.counted("what is strange has come", all_there).await;
            simulator.burst(name, AFTER).unwrap();
            stream.has_hits(BEFORE + hits + AFTER).await;
            let counts = stream.counts();
            assert_eq!(
                (counts.hits, counts.dead_letters.total()),
                (BEFORE + hits + AFTER, *dead_letters),
                "{name}"
            );
            assert_eq!((counts.disconnects, counts.connects), (0, 1), "{name}");
        }
    });
    all_at_once(checks).await;
    let counts = |name: &str| trial.stream(name).counts();
    let kinds = [
        counts("text").dead_letters.not_json,
        counts("array").dead_letters.not_an_object,
        counts("broken-off").dead_letters.not_json,
        counts("not-utf8").dead_letters.not_utf8,
        counts("too-long").dead_letters.too_long,
        counts("far-too-long").dead_letters.too_long,
    ];
    assert_eq!(kinds, [2, 2, 2, 2, 1, 1]);
    assert_eq!(
        (counts("empty").empty_records, counts("odd-ids").hits_without_ids),
        (7, 4)
    );

    let arrived = trial.finish().await;
    for (name, _, hits, dead_letters) in ODDITIES {
        let hits = (BEFORE + hits + AFTER) as usize;
        let dead_letters = *dead_letters as usize;
        // The connection was still open at the stop, so nothing is owed; all that was counted must be there.
        assert_eq!(
            arrived.judge(&simulator, name),
            Found {
                hits,
                again: 0,
                dead_letters
            },
            "{name}"
        );
    }
    for (name, reason) in [
        ("text", "not_json"),
        ("array", "not_an_object"),
        ("not-utf8", "not_utf8"),
        ("far-too-long", "too_long"),
    ] {
        for record in arrived.dead_letters_of(name) {
            assert_eq!(record.header("livestream.dead_letter.reason"), Some(reason), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_that_the_service_repeats_are_forwarded_at_least_once() {
    let simulator = simulate([quiet("repeats")]).await;
    let mut config = Config::new().await;
    config.stream(&simulator, "repeats");
    let trial = config.start().await;
    let stream = trial.stream("repeats");
    stream.streams().await;
    simulator.burst("repeats", BEFORE).unwrap();
    stream.has_hits(BEFORE).await;
    simulator.fault("repeats", StreamFault::Repeat { records: 10 }).unwrap();
    simulator.burst("repeats", AFTER).unwrap();
    stream.has_hits(BEFORE + 10 + AFTER).await;
    simulator.fault("repeats", CLOSE).unwrap();
    stream.waits().await;
    let arrived = trial.finish().await;
    let repeats = simulator
        .ledger()
        .whole("repeats")
        .iter()
        .filter(|entry| entry.kind == RecordKind::Repeat)
        .count();
    assert_eq!(repeats, 10);
    assert_eq!(arrived.judge(&simulator, "repeats").hits, (BEFORE + AFTER) as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_falls_silent_for_good_is_ended_at_the_stall_limit() {
    let limit = Duration::from_secs(2);
    // Steady hits: no silence that the stream breaks by itself stretches the limit by much.
    let stall = |name| SimulatedStream {
        rate: Rate::PerSecond(50.0),
        ..quiet(name)
    };
    let simulator = simulate([
        stall("stalls"),
        SimulatedStream {
            body: MEMBERS_UNTIL_CLOSE,
            ..stall("stalls-until-close")
        },
    ])
    .await;
    let mut config = Config::new().await;
    config.upstream.push_str("stall_timeout = \"2s\"\n");
    for name in ["stalls", "stalls-until-close"] {
        config.stream(&simulator, name);
    }
    let trial = config.start().await;
    let checks = ["stalls", "stalls-until-close"].map(|name| {
        let (simulator, stream) = (simulator.handle(), trial.stream(name));
        async move {
            stream.streams().await;
            stream.has_hits(BEFORE).await;
            simulator.fault(name, StreamFault::Stall { lasts: None }).unwrap();
            let (why, left) = stream.waits().await;
            let Why::Ended(EndReason::Stalled(silence)) = why else {
                panic!("{name}: {why:?}")
            };
            assert!(silence >= limit && silence < 10 * limit, "{name}: {silence:?}");
            assert_ordered(left, COOLDOWN);
            let first = attempt(&simulator, name, 0).await;
            assert_eq!(first.end.unwrap().by, EndedBy::Client, "{name}");
            let second = attempt(&simulator, name, 1).await;
            assert_waited_after_our_end(&second, COOLDOWN);
            stream.streams().await;
            let before = stream.counts().hits;
            stream.has_hits(before + AFTER).await;
            simulator.fault(name, CLOSE).unwrap();
            stream
                .slot(0, "has ended", |state| {
                    matches!(
                        state,
                        State::Waiting {
                            why: Why::Ended(EndReason::Closed),
                            ..
                        }
                    )
                })
                .await;
        }
    });
    all_at_once(checks).await;
    let arrived = trial.finish().await;
    for name in ["stalls", "stalls-until-close"] {
        arrived.judge(&simulator, name);
        // Silent from then on: all that was written before has come too.
        let first: Vec<_> = simulator
            .ledger()
            .records(attempt(&simulator, name, 0).await.connection);
        let there: Vec<u64> = arrived
            .hits_of(name)
            .map(|record| livestreamd::simulator::fingerprint(&record.value))
            .collect();
        assert!(
            first.iter().all(|(entry, _)| there.contains(&entry.fingerprint)),
            "{name}"
        );
    }
}
