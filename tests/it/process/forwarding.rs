//! The main job: what the service streams is in the topics, whatever goes wrong on the way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use livestreamd::simulator::{
    AttemptFault, Backfill, Fault, Garbage, Rate, SimulatedStream, SimulatorSettings, StreamFault, fingerprint,
    sequence_of,
};
use rustix::process::Signal;

use super::child::LIMIT;
use super::judge::Rules;
use super::trial::{Stream, Trial};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hit_of_two_streams_arrives_in_its_topic_once_unchanged_and_in_order() {
    const HITS: usize = 1500;
    let stream = |name: &str, report_suite: &str| SimulatedStream {
        report_suite: report_suite.to_owned(),
        rate: Rate::PerSecond(500.0),
        total: Some(HITS as u64),
        visitors: 64,
        ..SimulatedStream::new(name)
    };
    let streams = vec![stream("web", "examplecomprod"), stream("app", "exampleappdev")];
    let settings = SimulatorSettings {
        streams,
        ..SimulatorSettings::default()
    };
    let trial = Trial::start(settings, Duration::from_secs(60)).await;
    let daemon = trial.run();

    for stream in &trial.streams {
        trial.close(&stream.name, HITS).await;
        let all = |records: &[_]| records.len() >= HITS;
        trial.kafka.consume_all(&stream.topic, all, LIMIT);
    }
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);

    for stream in &trial.streams {
        let judged = trial.judge(stream, Rules::default());
        assert_eq!((judged.hits, judged.different, judged.owed), (HITS, HITS, HITS));
        assert!(judged.dead_letters.is_empty(), "{judged:?}");
        let mut next: HashMap<Vec<u8>, (u64, i32)> = HashMap::new();
        for record in trial.hits(stream) {
            let expected = next.entry(record.key.unwrap()).or_insert((0, record.partition));
            let sequence = sequence_of(&record.value).unwrap();
            assert_eq!(
                (sequence, record.partition),
                *expected,
                "a visitor's hits are in one partition and in order"
            );
            expected.0 += 1;
        }
        assert_eq!(next.len(), 64);
        assert_eq!(trial.ledger().accepts_of(&stream.name).len(), 1);
        let partitions: HashSet<i32> = next.values().map(|(_, partition)| *partition).collect();
        assert_eq!(partitions.len(), 3);
    }
    assert_eq!(trial.ledger().token_fetches().len(), 1, "both streams share one token");
}

/// What a stream must meet in the golden list.
struct Ordeal {
    stream: SimulatedStream,
    /// Before the first connection.
    attempts: Vec<Fault>,
    /// Each once the connection has streamed for a while. Those that end it are followed by the next connection.
    faults: Vec<StreamFault>,
}

/// The golden list: every whole record on a connection that ended cleanly, and every record that it repeats, is in the topics; nothing else
/// is; and no accept came early by the service's own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_golden_list_holds_under_every_fault() {
    const COOLDOWN: Duration = Duration::from_secs(2);
    const MAX_RECORD_BYTES: u64 = 64 * 1024;
    let stream = |name: &str, backfill| SimulatedStream {
        rate: Rate::PerSecond(150.0),
        backfill,
        ..SimulatedStream::new(name)
    };
    let close = StreamFault::Close { trailer: true };
    let mut oddities: Vec<StreamFault> = Garbage::ALL.map(|kind| StreamFault::Garbage { kind, times: 3 }).into();
    oddities.extend([
        StreamFault::Empty { times: 5 },
        StreamFault::OddIds { times: 8 },
        StreamFault::Twin,
        StreamFault::Repeat { records: 25 },
        StreamFault::Slow {
            records: 2,
            pause: Duration::ZERO,
        },
        StreamFault::Oversized { bytes: 200_000 },
        StreamFault::Oversized { bytes: 40_000 },
        StreamFault::Stall {
            lasts: Some(Duration::from_millis(600)),
        },
        StreamFault::Twin,
        close.clone(),
    ]);
    let ordeals = [
        Ordeal {
            stream: stream("ends", Backfill::both(7)),
            attempts: vec![AttemptFault::status(503).times(1), AttemptFault::status(401).times(1)],
            faults: vec![StreamFault::Close { trailer: false }, StreamFault::Cut, close.clone()],
        },
        Ordeal {
            stream: stream("breaks", Backfill::NOTHING),
            attempts: vec![],
            faults: vec![
                StreamFault::Reset,
                StreamFault::CorruptGzip,
                StreamFault::CorruptChunk,
                close.clone(),
            ],
        },
        Ordeal {
            stream: stream("trailers", Backfill::both(3)),
            attempts: vec![AttemptFault::HangUp.times(1)],
            faults: vec![
                StreamFault::WrongTrailer,
                StreamFault::TruncatedGzip,
                StreamFault::CutBetween,
                close.clone(),
            ],
        },
        Ordeal {
            stream: stream("oddities", Backfill::both(10)),
            attempts: vec![],
            faults: oddities,
        },
        Ordeal {
            stream: stream("silent", Backfill::NOTHING),
            attempts: vec![],
            faults: vec![StreamFault::Stall { lasts: None }, close],
        },
    ];
    let settings = SimulatorSettings {
        streams: ordeals.iter().map(|ordeal| ordeal.stream.clone()).collect(),
        ..SimulatorSettings::default()
    };
    let trial = Trial::start(settings, COOLDOWN).await;
    for ordeal in &ordeals {
        for fault in &ordeal.attempts {
            trial.simulator.fault(&ordeal.stream.name, fault.clone()).unwrap();
        }
    }
    let daemon = trial.run_with(&[
        ("LIVESTREAMD__UPSTREAM__MAX_RECORD_BYTES", "64KiB"),
        ("LIVESTREAMD__STREAMS__SILENT__STALL_TIMEOUT", "1s"),
    ]);
    let [ends, breaks, trailers, oddities, silent] = &ordeals;
    tokio::join!(
        undergo(&trial, ends),
        undergo(&trial, breaks),
        undergo(&trial, trailers),
        undergo(&trial, oddities),
        undergo(&trial, silent)
    );
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);

    trial.assert_none_was_early();
    for (stream, ordeal) in trial.streams.iter().zip(&ordeals) {
        let rules = Rules {
            max_record_bytes: MAX_RECORD_BYTES,
            ..Rules::default()
        };
        let judged = trial.judge(stream, rules);
        assert!(judged.owed >= 50, "{}: {judged:?}", stream.name);
        let is_last = |fault: &&StreamFault| matches!(fault, StreamFault::Close { trailer: true });
        assert_eq!(ordeal.faults.iter().filter(is_last).count(), 1);
        if stream.name == "oddities" {
            let count = |reason: &str| judged.dead_letters.get(reason).copied().unwrap_or(0);
            let counts = ["not_json", "not_an_object", "not_utf8", "too_long"].map(count);
            assert_eq!(counts, [6, 3, 3, 1], "{judged:?}");
            assert!(judged.hits > judged.different, "the repeats arrived too: {judged:?}");
        } else {
            assert!(judged.dead_letters.is_empty(), "{}: {judged:?}", stream.name);
        }
    }
    // What was read before a silence is not lost with the connection that it ended.
    let [.., silent] = trial.streams.as_slice() else {
        panic!("five streams")
    };
    let there = fingerprints(&trial, silent);
    let stalled = &trial.ledger().accepts_of(&silent.name)[0];
    for (entry, _) in trial
        .ledger()
        .records(stalled.connection)
        .iter()
        .filter(|(entry, whole)| *whole && entry.bytes() > 0)
    {
        assert!(there.contains(&entry.fingerprint), "{entry:?} came before the silence");
    }
}

/// Lets a stream meet its faults, one after another; returns when the last one, which closes the stream, is done.
async fn undergo(trial: &Trial, ordeal: &Ordeal) {
    let stream = &ordeal.stream.name;
    let mut connection = 0;
    let mut records = 0;
    for fault in &ordeal.faults {
        // On each connection first a good many, and then some after each fault.
        let open = trial.streaming(stream, records + 10).await;
        if open.connection != connection {
            connection = open.connection;
            trial.streaming(stream, 50).await;
        }
        trial.simulator.fault(stream, fault.clone()).unwrap();
        records = match fault {
            StreamFault::Close { .. } => {
                trial.read_to_its_end(connection).await;
                0
            }
            StreamFault::Cut
            | StreamFault::CutBetween
            | StreamFault::Reset
            | StreamFault::CorruptGzip
            | StreamFault::WrongTrailer
            | StreamFault::TruncatedGzip
            | StreamFault::CorruptChunk
            | StreamFault::Stall { lasts: None } => {
                trial.ended(connection).await;
                0
            }
            StreamFault::Stall { lasts: Some(_) }
            | StreamFault::Garbage { .. }
            | StreamFault::Empty { .. }
            | StreamFault::Oversized { .. }
            | StreamFault::OddIds { .. }
            | StreamFault::Twin
            | StreamFault::Repeat { .. }
            | StreamFault::Slow { .. } => open.whole as usize,
        };
    }
}

/// Every value in the topic, by its fingerprint.
fn fingerprints(trial: &Trial, stream: &Stream) -> HashSet<u64> {
    trial
        .hits(stream)
        .iter()
        .map(|record| fingerprint(&record.value))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_too_large_for_its_topic_is_a_dead_letter_and_the_others_arrive() {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(200.0),
        ..SimulatedStream::new("large")
    };
    let trial = Trial::start(SimulatorSettings::with_stream(stream), Duration::from_secs(60)).await;
    trial
        .kafka
        .configure_topic(&trial.stream().topic, "max.message.bytes", "100000");
    let daemon = trial.run_with(&[("LIVESTREAMD__KAFKA__PROPERTIES__COMPRESSION_TYPE", "none")]);
    trial.streaming("large", 50).await;
    trial
        .simulator
        .fault("large", StreamFault::Oversized { bytes: 300_000 })
        .unwrap();
    let accept = trial.close("large", 300).await;

    let dead = trial
        .kafka
        .consume_all(&trial.dead_letters, |records| !records.is_empty(), LIMIT);
    let [dead] = dead.as_slice() else {
        panic!("one dead letter")
    };
    assert_eq!(
        dead.header("livestream.dead_letter.reason"),
        Some("too_large_for_kafka")
    );
    let records = trial.ledger().records(accept.connection);
    let (large, _) = records.iter().find(|(entry, _)| entry.bytes() >= 300_000).unwrap();
    assert_eq!(
        dead.header("livestream.dead_letter.length"),
        Some(large.bytes().to_string().as_str())
    );
    let id = format!("{}_{}", large.id.high, large.id.low);
    assert_eq!(dead.header("livestream.hit_id"), Some(id.as_str()));
    assert!(dead.value.starts_with(b"{\"bot\":"));

    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    // The others, of which a replay from the cursor may have brought some twice.
    let there = fingerprints(&trial, trial.stream());
    let owed: HashSet<u64> = trial
        .ledger()
        .owed("large")
        .iter()
        .map(|entry| entry.fingerprint)
        .collect();
    assert!(owed.len() >= 300);
    let missing: Vec<&u64> = owed.difference(&there).collect();
    assert_eq!(missing, [&large.fingerprint]);
    assert!(there.is_subset(&owed));
}
