//! The ledger held against the topics.

use std::collections::{HashMap, HashSet};

use livestreamd::simulator::{EndedBy, Handle, RecordEntry, RecordKind, fingerprint};

use crate::support::kafka::Record;

/// What has arrived in the topics of a daemon.
pub struct Arrived {
    /// In the topic for hits.
    pub hits: Vec<Record>,
    /// In the topic for dead letters.
    pub dead_letters: Vec<Record>,
}

/// What was found of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Different hits.
    pub hits: usize,
    /// Hits that stand there once more.
    pub again: usize,
    /// Dead letters.
    pub dead_letters: usize,
}

/// Where the ledger has a record.
#[derive(Clone, Copy)]
struct Place {
    connection: u64,
    number: usize,
    entry: RecordEntry,
}

impl Arrived {
    /// What has arrived of one stream.
    pub fn hits_of(&self, stream: &str) -> impl Iterator<Item = &Record> {
        self.hits
            .iter()
            .filter(move |record| record.header("livestream.stream") == Some(stream))
    }

    /// Dead letters of one stream.
    pub fn dead_letters_of(&self, stream: &str) -> impl Iterator<Item = &Record> {
        self.dead_letters
            .iter()
            .filter(move |record| record.header("livestream.stream") == Some(stream))
    }

    /// Judges one stream, and panics with what it finds wrong:
    ///
    /// - nobody came early;
    /// - each record that was written whole on a connection that the service ended has arrived, hits in the one topic and what is
    ///   none in the other;
    /// - what was written in part has not arrived, and nothing that was not written has;
    /// - topic, key and headers are right;
    /// - each partition has the hits of a connection in their order, apart from replays: of a hit that stands there more than
    ///   once, the last counts, because a replay begins at the cursor and goes on from there.
    #[track_caller]
    pub fn judge(&self, simulator: &Handle, stream: &str) -> Found {
        let ledger = simulator.ledger();
        let early: Vec<_> = ledger
            .accepts_of(stream)
            .into_iter()
            .filter(|accept| accept.early)
            .collect();
        assert!(early.is_empty(), "{stream}: came early: {early:#?}");

        let mut written: HashMap<u64, Place> = HashMap::new();
        let (mut owed, mut cut_off) = (HashMap::new(), HashMap::new());
        for accept in ledger.accepts_of(stream) {
            // What a client left unread when it went, it does not owe.
            let by_client = accept.end.as_ref().is_none_or(|end| end.by == EndedBy::Client);
            for (number, (entry, whole)) in ledger.records(accept.connection).into_iter().enumerate() {
                if entry.kind == RecordKind::Empty {
                    continue;
                }
                let place = Place {
                    connection: accept.connection,
                    number,
                    entry,
                };
                written.insert(entry.fingerprint, place);
                match (whole, by_client) {
                    (true, false) => drop(owed.insert(entry.fingerprint, entry)),
                    (false, false) => drop(cut_off.insert(entry.fingerprint, entry)),
                    (_, true) => {}
                }
            }
        }
        cut_off.retain(|print, _| !owed.contains_key(print));

        let hits = self.judge_hits(stream, &written);
        let dead_letters = self.judge_dead_letters(stream, &written);
        for (print, entry) in &owed {
            let arrived = match entry.kind {
                RecordKind::Garbage => dead_letters.contains(print),
                RecordKind::Oversized => hits.contains(print) || dead_letters.contains(print),
                RecordKind::Hit | RecordKind::Repeat | RecordKind::OddId | RecordKind::Twin => hits.contains(print),
                RecordKind::Empty => true,
            };
            assert!(arrived, "{stream}: lost: {entry:?}");
        }
        for (print, entry) in &cut_off {
            assert!(
                !hits.contains(print) && !dead_letters.contains(print),
                "{stream}: was cut off, and has arrived: {entry:?}"
            );
        }
        Found {
            hits: hits.len(),
            again: self.hits_of(stream).count() - hits.len(),
            dead_letters: self.dead_letters_of(stream).count(),
        }
    }

    #[track_caller]
    fn judge_hits(&self, stream: &str, written: &HashMap<u64, Place>) -> HashSet<u64> {
        let mut last: HashMap<(i32, u64), usize> = HashMap::new();
        let mut seen = HashSet::new();
        // From the end: the first that is met of a hit is the last of it.
        for record in self.hits_of(stream).collect::<Vec<_>>().into_iter().rev() {
            let print = fingerprint(&record.value);
            let Some(Place {
                connection,
                number,
                entry,
            }) = written.get(&print).copied()
            else {
                panic!("{stream}: invented: {}", String::from_utf8_lossy(&record.value));
            };
            assert!(
                !matches!(entry.kind, RecordKind::Garbage | RecordKind::Empty),
                "{stream}: no hit: {entry:?}"
            );
            judge_message(stream, record, &entry);
            if seen.insert(print) {
                let next = last.insert((record.partition, connection), number);
                assert!(
                    next.is_none_or(|next| number < next),
                    "{stream}: record {number} of connection {connection} stands before {next:?}"
                );
            }
        }
        seen
    }

    #[track_caller]
    fn judge_dead_letters(&self, stream: &str, written: &HashMap<u64, Place>) -> HashSet<u64> {
        let mut seen = HashSet::new();
        for record in self.dead_letters_of(stream) {
            let reason = record
                .header("livestream.dead_letter.reason")
                .expect("a dead letter has a reason");
            assert_eq!(record.key, None);
            let print = match record.header("livestream.dead_letter.length") {
                None => fingerprint(&record.value),
                Some(length) => {
                    // Only its first bytes are there.
                    let length: u64 = length.parse().unwrap();
                    assert!((record.value.len() as u64) < length, "{stream}: {reason}");
                    let entries = written.values().map(|place| place.entry);
                    let of_this_length = entries
                        .filter(|entry| entry.bytes() == length)
                        .map(|entry| entry.fingerprint);
                    of_this_length
                        .last()
                        .unwrap_or_else(|| panic!("{stream}: nothing was {length} bytes long"))
                }
            };
            let Some(Place { entry, .. }) = written.get(&print) else {
                panic!(
                    "{stream}: invented dead letter: {}",
                    String::from_utf8_lossy(&record.value)
                );
            };
            assert!(
                matches!(entry.kind, RecordKind::Garbage | RecordKind::Oversized),
                "{stream}: {reason}: {entry:?}"
            );
            seen.insert(print);
        }
        seen
    }
}

/// Key and headers of a hit, whose bytes are known to be right.
#[track_caller]
fn judge_message(stream: &str, record: &Record, entry: &RecordEntry) {
    assert_eq!(record.header("livestream.report_suite"), Some(stream));
    let id = format!("{}_{}", entry.id.high, entry.id.low);
    let usable = entry.kind != RecordKind::OddId;
    assert_eq!(
        record.header("livestream.hit_id"),
        usable.then_some(&*id),
        "{stream}: {entry:?}"
    );
    let hit: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    let visitor = format!(
        "{}_{}",
        hit["visIdHigh"].as_u64().unwrap(),
        hit["visIdLow"].as_u64().unwrap()
    );
    assert_eq!(record.key.as_deref(), Some(visitor.as_bytes()), "{stream}: {entry:?}");
    assert!(
        record.timestamp.is_some_and(|time| time > 1_600_000_000_000),
        "{stream}: {record:?}"
    );
}
