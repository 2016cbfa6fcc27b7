//! Each stream fault: what a plain client gets, and that the ledger says the same.

use std::time::Duration;

use super::super::*;
use super::client::{Body, ended, open, quiet};

/// Ten hits, then the fault; the body, and what the ledger has of it.
async fn meet(fault: StreamFault, chunked: bool) -> (Running, Body, Accept) {
    let simulator = quiet(|settings| settings.streams[0].body.chunked = chunked).await;
    let mut stream = open(&simulator).await;
    simulator.burst("s", 10).unwrap();
    stream.records(10).await;
    simulator.fault("s", fault).unwrap();
    let body = stream.body().await;
    let accept = ended(&simulator, 1).await;
    (simulator, body, accept)
}

#[expect(clippy::struct_excessive_bools, reason = "a table of what each ending leaves")]
struct Expected {
    fault: StreamFault,
    /// Whether half a record is left over.
    rest: bool,
    last_chunk: bool,
    trailer: bool,
    orderly: bool,
}

fn endings() -> Vec<Expected> {
    let ending = |fault, rest, last_chunk, trailer, orderly| Expected {
        fault,
        rest,
        last_chunk,
        trailer,
        orderly,
    };
    vec![
        ending(StreamFault::Close { trailer: true }, false, true, true, true),
        ending(StreamFault::Close { trailer: false }, false, true, false, true),
        ending(StreamFault::Cut, true, false, false, false),
        ending(StreamFault::CutBetween, false, false, false, false),
        ending(StreamFault::CorruptGzip, true, false, false, false),
        ending(StreamFault::WrongTrailer, false, true, false, false),
        ending(StreamFault::TruncatedGzip, true, true, false, false),
        ending(StreamFault::CorruptChunk, false, false, false, false),
    ]
}

#[tokio::test]
async fn every_ending_leaves_what_the_ledger_calls_whole() {
    for Expected {
        fault,
        rest,
        last_chunk,
        trailer,
        orderly,
    } in endings()
    {
        let name = fault.name();
        let (simulator, body, accept) = meet(fault, true).await;
        assert_eq!(body.error, None, "{name}");
        assert_eq!(!body.rest.is_empty(), rest, "{name}");
        assert_eq!((body.last_chunk, body.trailer), (last_chunk, trailer), "{name}");
        let end = accept.end.clone().unwrap();
        assert_eq!(
            (&end.by, end.orderly, end.taken),
            (&EndedBy::Fault(name), orderly, Some(true)),
            "{name}"
        );
        let records = simulator.ledger().records(1);
        let whole: Vec<u64> = records
            .iter()
            .filter(|(_, whole)| *whole)
            .map(|(record, _)| record.fingerprint)
            .collect();
        assert_eq!(body.fingerprints(), whole, "{name}");
        assert_eq!(whole.len(), 10);
        assert_eq!(records.len(), 10 + usize::from(rest), "{name}");
        let owed = simulator.ledger().owed("s").len();
        assert_eq!(owed, if orderly { 10 } else { 0 }, "{name}");
    }
}

#[tokio::test]
async fn without_chunks_only_a_trailer_makes_an_orderly_end() {
    for Expected { fault, .. } in endings() {
        let name = fault.name();
        let (simulator, body, accept) = meet(fault.clone(), false).await;
        assert_eq!(body.records.len(), 10, "{name}");
        assert_eq!(
            accept.end.unwrap().orderly,
            fault == StreamFault::Close { trailer: true },
            "{name}"
        );
        assert_eq!(simulator.ledger().whole("s").len(), 10, "{name}");
    }
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (simulator, body, accept) = meet(StreamFault::Reset, true).await;
    assert_eq!(body.error, Some(io::ErrorKind::ConnectionReset));
    let end = accept.end.unwrap();
    assert_eq!(
        (end.by, end.orderly, end.taken),
        (EndedBy::Fault("reset"), false, Some(false))
    );
    let written: Vec<u64> = simulator
        .ledger()
        .written("s")
        .iter()
        .map(|record| record.fingerprint)
        .collect();
    assert!(written.starts_with(&body.fingerprints()));
    assert_eq!(simulator.ledger().owed("s"), []);
}

#[tokio::test]
async fn strange_records_are_what_the_ledger_says_they_are() {
    let simulator = quiet(|_| {}).await;
    let stream = open(&simulator).await;
    simulator.burst("s", 4).unwrap();
    for kind in Garbage::ALL {
        simulator.fault("s", StreamFault::Garbage { kind, times: 2 }).unwrap();
    }
    for text in [
        "empty:times=3",
        "odd-ids:times=4",
        "twin",
        "repeat:records=2",
        "oversized:bytes=300000",
    ] {
        simulator.fault("s", text.parse::<Fault>().unwrap()).unwrap();
    }
    simulator
        .fault(
            "s",
            StreamFault::Slow {
                records: 1,
                pause: Duration::ZERO,
            },
        )
        .unwrap();
    simulator
        .fault(
            "s",
            StreamFault::Stall {
                lasts: Some(Duration::from_millis(1)),
            },
        )
        .unwrap();
    simulator.fault("s", StreamFault::Close { trailer: true }).unwrap();
    let body = stream.body().await;
    assert!(ended(&simulator, 1).await.ended_cleanly());
    let owed = simulator.ledger().owed("s");
    assert_eq!(
        body.fingerprints(),
        owed.iter().map(|record| record.fingerprint).collect::<Vec<_>>()
    );
    assert_eq!(body.empty, 3);
    let objects = |kind: RecordKind| -> Vec<&[u8]> {
        let of_kind = owed.iter().zip(&body.records).filter(|(record, _)| record.kind == kind);
        of_kind.map(|(_, bytes)| bytes.as_slice()).collect()
    };
    let is_object = |bytes: &[u8]| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes).is_ok();
    assert_eq!(objects(RecordKind::Garbage).len(), 8);
    assert!(!objects(RecordKind::Garbage).into_iter().any(is_object));
    assert!(
        objects(RecordKind::Garbage)
            .iter()
            .any(|bytes| std::str::from_utf8(bytes).is_err())
    );
    for (kind, count) in [
        (RecordKind::OddId, 4),
        (RecordKind::Twin, 1),
        (RecordKind::Repeat, 2),
        (RecordKind::Oversized, 1),
    ] {
        assert_eq!(objects(kind).len(), count, "{kind:?}");
        assert!(objects(kind).into_iter().all(is_object), "{kind:?}");
    }
    assert!(objects(RecordKind::Oversized)[0].len() >= 300_000);
    let twin = owed.iter().find(|record| record.kind == RecordKind::Twin).unwrap();
    let same_id: Vec<_> = owed.iter().filter(|record| record.id == twin.id).collect();
    assert!(same_id.len() > 1 && same_id.iter().any(|record| record.fingerprint != twin.fingerprint));
    let all_fingerprints: std::collections::HashSet<_> = owed
        .iter()
        .filter(|record| record.kind != RecordKind::Repeat)
        .map(|record| record.fingerprint)
        .collect();
    assert_eq!(
        all_fingerprints.len(),
        owed.len() - 2,
        "every record can be told from the others"
    );
}

#[tokio::test]
async fn a_stall_without_an_end_lasts_until_the_client_goes() {
    let simulator = quiet(|_| {}).await;
    let stream = open(&simulator).await;
    simulator.fault("s", StreamFault::Stall { lasts: None }).unwrap();
    simulator.burst("s", 3).unwrap();
    stream.close();
    let accept = ended(&simulator, 1).await;
    assert_eq!(accept.end.unwrap().by, EndedBy::Client);
}

#[tokio::test]
async fn members_line_ends_and_empty_records_vary_and_everything_arrives() {
    let simulator = quiet(|settings| {
        settings.streams[0].rate = Rate::Unlimited;
        settings.streams[0].total = Some(2_000);
        settings.streams[0].at_total = AtTotal::Close;
        settings.streams[0].body = BodyStyle {
            line_end: LineEnd::Mixed,
            empty_every: 10,
            member_every: 100,
            ..BodyStyle::default()
        };
    })
    .await;
    let body = open(&simulator).await.body().await;
    assert!(body.trailer && body.last_chunk);
    assert_eq!(body.records.len(), 2_000);
    assert!(body.empty > 100);
    assert_eq!(simulator.ledger().summary().empty, body.empty as u64);
}

/// The golden list in small: faults at random, reconnects, repeats; the client keeps what it got whole.
#[tokio::test]
async fn in_a_run_full_of_faults_the_ledger_and_the_client_agree() {
    let mut endings = 0;
    for seed in 1..=4 {
        let simulator = quiet(|settings| {
            settings.seed = seed;
            settings.linger = Duration::ZERO;
            settings.cooldown = Duration::ZERO;
            settings.streams[0].rate = Rate::Unlimited;
            settings.streams[0].backfill = Backfill::both(7);
            let faults = StreamFault::usual()
                .into_iter()
                .filter(|fault| !matches!(fault, StreamFault::Stall { .. }))
                .collect();
            settings.streams[0].chaos = Some(Chaos {
                mean_interval: Duration::from_millis(3),
                faults,
            });
        })
        .await;
        for connection in 1..=12 {
            let body = open(&simulator).await.body().await;
            let accept = ended(&simulator, connection).await;
            let records: Vec<_> = simulator.ledger().records(connection);
            let of = |wanted: fn(&bool) -> bool| -> Vec<u64> {
                let chosen = records
                    .iter()
                    .filter(|(it, whole)| it.kind != RecordKind::Empty && wanted(whole));
                chosen.map(|(record, _)| record.fingerprint).collect()
            };
            let (whole, written) = (of(|whole| *whole), of(|_| true));
            let got = body.fingerprints();
            if accept.end.as_ref().is_some_and(|end| end.by == EndedBy::Fault("reset")) {
                assert!(written.starts_with(&got));
            } else {
                assert_eq!(got, whole, "seed {seed}, {:?}", accept.end);
            }
            endings += usize::from(accept.ended_cleanly());
        }
        assert_eq!(simulator.ledger().summary().early, 0);
    }
    assert!(endings > 0, "some connections ended cleanly");
}

#[tokio::test]
async fn a_stream_that_is_calmed_meets_no_more_faults() {
    let simulator = quiet(|settings| {
        let stream = &mut settings.streams[0];
        stream.rate = Rate::PerSecond(2_000.0);
        stream.chaos = Some(Chaos {
            mean_interval: Duration::from_millis(1),
            faults: vec![StreamFault::Close { trailer: true }],
        });
    })
    .await;
    simulator.fault("s", AttemptFault::status(503)).unwrap();
    simulator.fault("s", StreamFault::Cut).unwrap();
    simulator.calm("s").unwrap();
    let reply = open(&simulator).await;
    assert_eq!(reply.status, 200);
    let has_enough = |ledger: &Ledger| ledger.last_of("s").filter(|accept| accept.whole >= 400);
    let accept = simulator.ledger().wait_until(has_enough).await;
    assert_eq!(accept.end, None, "200 faults' time has passed");
    drop(reply);
}
