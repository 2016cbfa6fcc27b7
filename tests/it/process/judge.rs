//! The service's ledger held against what arrived in the topics of one stream.
//!
//! # What is asked
//! - What is *owed* is there: every whole record, and every record repeated, on a connection that the service ended in good order.
//! - What the daemon read of any other connection is there without holes: a record of it is missing only if all later ones are.
//! - Nothing else is there: no record that the service did not write, none more often than it did, and none of which it wrote only a part.
//! - Each hit looks right: bytes, key, partition, headers, timestamp; and what is no hit is a dead letter that says why.
//! - The order is the service's: in each partition, over all connections.
//!
//! Records that the service wrote more than once prove nothing about holes and order, and are left out there.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use livestreamd::simulator::{EndedBy, HitId, Ledger, RecordEntry, RecordKind, fingerprint};
use serde_json::Value;

use super::murmur2;
use super::trial::{PARTITIONS, Stream};
use crate::support::kafka::Record;

/// The longest part of a record too long that a dead letter holds.
const KEPT_OF_TOO_LONG: usize = 4096;

/// What a judgement found, to be held against what a test expects to have happened.
#[derive(Debug)]
pub struct Judged {
    /// Hits in the topic.
    pub hits: usize,
    /// Different hits among them.
    pub different: usize,
    /// Dead letters of the stream, by reason.
    pub dead_letters: HashMap<String, usize>,
    /// Whole records that were owed.
    pub owed: usize,
    /// Connections whose records were looked at.
    pub connections: usize,
}

/// How often each record stands somewhere, by its fingerprint.
type Copies = HashMap<u64, usize>;

/// What is owed to one stream.
pub struct Owed {
    hits: Copies,
    garbage: Copies,
}

/// What a stream's connections in good order owe, long records left out.
pub fn owed(ledger: &Ledger, stream: &str) -> Owed {
    let (mut hits, mut garbage) = (Copies::new(), Copies::new());
    for entry in ledger.owed(stream) {
        let copies = match entry.kind {
            RecordKind::Garbage => &mut garbage,
            RecordKind::Oversized | RecordKind::Empty => continue,
            RecordKind::Hit | RecordKind::Repeat | RecordKind::OddId | RecordKind::Twin => &mut hits,
        };
        *copies.entry(entry.fingerprint).or_default() += 1;
    }
    Owed { hits, garbage }
}

impl Owed {
    /// Whether all hits are among these records.
    pub fn hits_are_in(&self, records: &[Record]) -> bool {
        covers(&copies(records), &self.hits)
    }

    /// Whether all garbage is.
    pub fn garbage_is_in(&self, records: &[Record]) -> bool {
        covers(&copies(records), &self.garbage)
    }
}

fn copies(records: &[Record]) -> Copies {
    let mut copies = Copies::new();
    for record in records {
        *copies.entry(fingerprint(&record.value)).or_default() += 1;
    }
    copies
}

fn covers(copies: &Copies, wanted: &Copies) -> bool {
    wanted
        .iter()
        .all(|(print, count)| copies.get(print).copied().unwrap_or(0) >= *count)
}

/// A record that the service wrote, and what should have become of it.
struct Line {
    connection: u64,
    number: usize,
    entry: RecordEntry,
    whole: bool,
    owed: bool,
    /// The service itself ended the connection, so that what is not whole was cut off.
    cut: bool,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Fate {
    Hit,
    Garbage,
    TooLong,
}

/// What a judgement goes by.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Longer records are dead letters.
    pub max_record_bytes: u64,
    /// Kafka refused records, so that the stream went back to its cursor: what is not a hit may stand there more often than written.
    pub went_back: bool,
    /// The daemon was killed: what it had delivered and not yet noted may stand there again, in the same order. What it had read is
    /// in the journal, so that there are no more holes than otherwise.
    pub was_killed: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_record_bytes: 8 << 20,
            went_back: false,
            was_killed: false,
        }
    }
}

/// Judges one stream; panics at the first thing that is not as it should be.
#[track_caller]
pub fn judge(ledger: &Ledger, stream: &Stream, rules: Rules, hits: &[Record], dead_letters: &[Record]) -> Judged {
    let lines = written(ledger, &stream.name, rules.max_record_bytes);
    let mut places: HashMap<(Fate, u64), Vec<usize>> = HashMap::new();
    for (place, line) in lines.iter().enumerate() {
        places.entry((line.fate, line.key())).or_default().push(place);
    }
    let mine: Vec<&Record> = dead_letters
        .iter()
        .filter(|record| record.header("livestream.stream") == Some(&stream.name))
        .collect();

    let mut arrived: HashMap<(Fate, u64), usize> = HashMap::new();
    for record in hits {
        let key = (Fate::Hit, fingerprint(&record.value));
        let line = places.get(&key).map(|places| &lines[places[0]]);
        let line = line.unwrap_or_else(|| panic!("{}: a hit that was never written: {record:?}", stream.name));
        assert_hit_looks_right(record, &line.entry, stream);
        *arrived.entry(key).or_default() += 1;
    }
    let mut reasons = HashMap::new();
    for record in &mine {
        let key = assert_dead_letter_looks_right(record, stream);
        assert!(
            places.contains_key(&key),
            "{}: a dead letter that was never written: {record:?}",
            stream.name
        );
        *arrived.entry(key).or_default() += 1;
        let reason = record
            .header("livestream.dead_letter.reason")
            .expect("it was looked at")
            .to_owned();
        *reasons.entry(reason).or_default() += 1;
    }

    for (key, places) in &places {
        let there = arrived.get(key).copied().unwrap_or(0);
        let line = &lines[places[0]];
        let may_be_more = rules.was_killed || (rules.went_back && line.fate != Fate::Hit);
        let written = places.len();
        assert!(
            may_be_more || there <= written,
            "{}: {there} copies of {line}, written {written} times",
            stream.name
        );
        let owed = places.iter().filter(|place| lines[**place].owed).count();
        assert!(
            there >= owed,
            "{}: {there} copies of {line}, of which {owed} are owed",
            stream.name
        );
    }
    let has_arrived = |line: &Line| arrived.contains_key(&(line.fate, line.key()));
    let unique: Vec<&Line> = lines
        .iter()
        .filter(|line| places[&(line.fate, line.key())].len() == 1)
        .collect();
    assert_no_holes(&unique, has_arrived, &stream.name);
    assert_in_order(&unique, hits, rules, &stream.name);

    let connections: HashSet<u64> = lines.iter().map(|line| line.connection).collect();
    Judged {
        hits: hits.len(),
        different: arrived.keys().filter(|(fate, _)| *fate == Fate::Hit).count(),
        dead_letters: reasons,
        owed: lines.iter().filter(|line| line.owed).count(),
        connections: connections.len(),
    }
}

/// All that was written on a stream, in its order, empty records left out.
fn written(ledger: &Ledger, stream: &str, max_record_bytes: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    for accept in ledger.accepts_of(stream) {
        let clean = accept.ended_cleanly();
        let cut = match accept.end.as_ref().map(|end| &end.by) {
            Some(EndedBy::Fault(_) | EndedBy::Total | EndedBy::Token | EndedBy::Stop) => true,
            Some(EndedBy::Client | EndedBy::Refusal | EndedBy::Redirect) | None => false,
        };
        for (number, (entry, whole)) in ledger.records(accept.connection).into_iter().enumerate() {
            let fate = match entry.kind {
                RecordKind::Empty => continue,
                RecordKind::Garbage => Fate::Garbage,
                RecordKind::Oversized if entry.bytes() > max_record_bytes => Fate::TooLong,
                RecordKind::Hit | RecordKind::Repeat | RecordKind::OddId | RecordKind::Twin | RecordKind::Oversized => {
                    Fate::Hit
                }
            };
            let connection = accept.connection;
            lines.push(Line {
                connection,
                number,
                entry,
                whole,
                owed: clean && whole,
                cut,
                fate,
            });
        }
    }
    lines
}

impl Line {
    /// What it is found again by: of a record too long only the length arrives.
    fn key(&self) -> u64 {
        match self.fate {
            Fate::Hit | Fate::Garbage => self.entry.fingerprint,
            Fate::TooLong => self.entry.bytes(),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            connection,
            number,
            entry,
            whole,
            ..
        } = self;
        write!(
            f,
            "record {number} of connection {connection} ({:?}, whole: {whole})",
            entry.kind
        )
    }
}

fn assert_no_holes(unique: &[&Line], has_arrived: impl Fn(&Line) -> bool, stream: &str) {
    let mut missing: Option<&Line> = None;
    for line in unique {
        if missing.is_some_and(|missing| missing.connection != line.connection) {
            missing = None;
        }
        if !has_arrived(line) {
            missing = missing.or(Some(line));
            continue;
        }
        assert!(
            line.whole || !line.cut,
            "{stream}: {line} was cut off and arrived all the same"
        );
        if let Some(missing) = missing {
            panic!("{stream}: {missing} is missing, but {line} arrived");
        }
    }
}

fn assert_in_order(unique: &[&Line], hits: &[Record], rules: Rules, stream: &str) {
    let places: HashMap<u64, usize> = unique
        .iter()
        .enumerate()
        .filter(|(_, line)| line.fate == Fate::Hit)
        .map(|(place, line)| (line.entry.fingerprint, place))
        .collect();
    let mut last: HashMap<i32, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for record in hits {
        let Some(place) = places.get(&fingerprint(&record.value)) else {
            continue;
        };
        if !seen.insert(place) && rules.was_killed {
            // A replay.
            continue;
        }
        if let Some(before) = last.insert(record.partition, *place) {
            let partition = record.partition;
            assert!(
                before < *place,
                "{stream}: partition {partition} has {} after {}",
                unique[*place],
                unique[before]
            );
        }
    }
}

#[track_caller]
fn assert_hit_looks_right(record: &Record, entry: &RecordEntry, stream: &Stream) {
    let hit: Value = serde_json::from_slice(&record.value).expect("a hit is JSON");
    let id = |high: &str, low: &str| Some(format!("{}_{}", hit.get(high)?.as_u64()?, hit.get(low)?.as_u64()?));
    let HitId { high, low } = entry.id;
    let hit_id = match entry.kind {
        RecordKind::OddId => None,
        RecordKind::Hit | RecordKind::Repeat | RecordKind::Twin | RecordKind::Oversized => {
            Some(format!("{high}_{low}"))
        }
        RecordKind::Garbage | RecordKind::Empty => panic!("{record:?} is no hit"),
    };
    assert_eq!(record.header("livestream.hit_id"), hit_id.as_deref(), "{record:?}");
    if hit_id.is_some() {
        assert_eq!(
            hit_id,
            id("hitIdHigh", "hitIdLow"),
            "the ledger means this record: {record:?}"
        );
    }
    assert_common_headers(record, stream, if hit_id.is_some() { 3 } else { 2 });
    let key = id("visIdHigh", "visIdLow").expect("the simulator's hits have a visitor");
    assert_eq!(record.key.as_deref(), Some(key.as_bytes()), "{record:?}");
    assert_eq!(
        record.partition,
        murmur2::partition(key.as_bytes(), PARTITIONS),
        "of key {key}"
    );
    let made = hit["receivedTimeGMT"].as_i64().expect("a time") * 1000;
    let received = record.timestamp.expect("a timestamp");
    assert!(
        received >= made && received <= now_ms(),
        "made at {made}, timestamp {received}, now {}",
        now_ms()
    );
}

/// Returns what the dead letter is found again by.
#[track_caller]
fn assert_dead_letter_looks_right(record: &Record, stream: &Stream) -> (Fate, u64) {
    let reason = record
        .header("livestream.dead_letter.reason")
        .expect("a dead letter says why");
    assert_eq!(record.key, None, "{record:?}");
    assert!(
        record.timestamp.is_some_and(|received| received <= now_ms()),
        "{record:?}"
    );
    if reason == "too_long" {
        assert_common_headers(record, stream, 4);
        let length = record
            .header("livestream.dead_letter.length")
            .and_then(|length| length.parse().ok());
        assert!(record.value.starts_with(b"{\"bot\":\"<Not a bot>\""), "{record:?}");
        assert_eq!(record.value.len(), KEPT_OF_TOO_LONG);
        return (
            Fate::TooLong,
            length.expect("a dead letter that is not whole tells its length"),
        );
    }
    assert_common_headers(record, stream, 3);
    let expected = match record.value.as_slice() {
        value if value.contains(&0xFF) => "not_utf8",
        [b'[', ..] => "not_an_object",
        _ => "not_json",
    };
    assert_eq!(reason, expected, "{record:?}");
    (Fate::Garbage, fingerprint(&record.value))
}

#[track_caller]
fn assert_common_headers(record: &Record, stream: &Stream, count: usize) {
    assert_eq!(record.header("livestream.stream"), Some(stream.name.as_str()));
    assert_eq!(
        record.header("livestream.report_suite"),
        Some(stream.report_suite.as_str())
    );
    assert_eq!(record.headers.len(), count, "{record:?}");
}

/// Wall time in Unix milliseconds.
pub fn now_ms() -> i64 {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    i64::try_from(since_1970.as_millis()).expect("it is not that late")
}
