//! The judge of a chaotic run: the simulator's ledger held against what stands in the topics. Pure.
//!
//! # What is asked of each stream
//! - What is *owed* is there: every record that was whole on a connection that the service ended, unless we had ended the daemon
//!   before it could be done with that connection; records sent again among them. Connections that the service *reset* owe
//!   nothing, because a reset destroys what is under way.
//! - No *hole*: of any connection, also of one that a kill ended, a record is missing only if all later ones are.
//! - Of all different records that were written, a [`SHARE`] at least is there.
//! - Nothing is *invented*: each message is, byte by byte, a record that was written, and was not cut off by the service; hits are in the
//!   stream's topic and what is no hit is among the dead letters.
//! - Nothing is *out of order*: in each partition, the first copies of records come in the order in which the service wrote them, and all
//!   hits of a visitor are in one partition. So the order of each visitor is kept, apart from replays.
//! - No attempt was *early*, by the simulator's clock.
//! - No connection was *given up*: closed by a daemon that nobody had told to end.
//!
//! Copies beyond the first are counted and not judged: a kill repeats what was delivered and not noted yet.
//!
//! Records are known by their fingerprint. A record that was written more than once (the service repeats some) could stand in the topic
//! for any of its copies: it proves no hole, and for the order the earliest copy that fits is taken.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::demo::reader::{Arrival, Arrived};
use crate::simulator::{Accept, EndedBy, RecordEntry, RecordKind};

/// How much of all that was written must be there, whatever was killed.
pub const SHARE: f64 = 0.9;
/// How many faults are told in words.
const MOST_TOLD: usize = 10;

/// One connection, as the ledger knows it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The attempt and its end.
    pub accept: Accept,
    /// What was written, in order, each with whether it is whole.
    pub records: Vec<(RecordEntry, bool)>,
    /// Whether we ended the daemon before it can have been done with the connection.
    pub was_killed: bool,
}

/// All that is known of one stream.
pub struct Evidence<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// Its connections, in their order.
    pub connections: &'a [Connection],
    /// What arrived in its topic; the records of a partition are in their order.
    pub hits: &'a [Arrival],
    /// What arrived among the dead letters, of this stream or another.
    pub dead_letters: &'a Arrived,
}

/// The verdict on one stream. Of the counts in its second half none may be above 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// The stream's name.
    pub stream: String,
    /// Different records that were written, wholly or in part.
    pub written: u64,
    /// How many of them are in the topics.
    pub arrived: u64,
    /// Different records that are owed.
    pub owed: u64,
    /// How many of those the service had sent before, or sent again.
    pub owed_repeats: u64,
    /// Copies in the stream's topic beyond the first of each record.
    pub duplicates: u64,
    /// Connections that streamed, and how many of them a kill ended.
    pub connections: u64,
    /// See [`Self::connections`].
    pub killed: u64,

    /// Owed and not there.
    pub lost: u64,
    /// Missing, although a later record of the same connection is there.
    pub holes: u64,
    /// There, and never written so, or cut off by the service, or in the wrong topic.
    pub invented: u64,
    /// First copies that come after a record that was written later, and visitors in two partitions.
    pub out_of_order: u64,
    /// Attempts that came too soon.
    pub early: u64,
    /// Connections with records that the daemon closed without having been told to end.
    pub given_up: u64,
    /// The first faults, in words.
    pub told: Vec<String>,
}

impl Verdict {
    /// Judges one stream.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let book = Book::of(evidence.connections);
        let hits: HashSet<u64> = evidence.hits.iter().map(|arrival| arrival.fingerprint).collect();
        let has_arrived = |entry: &RecordEntry| {
            if is_hit(entry.kind) {
                hits.contains(&entry.fingerprint)
            } else {
                evidence.dead_letters.contains_key(&entry.fingerprint)
            }
        };
        let mut verdict = Self {
            stream: evidence.stream.to_owned(),
            written: book.places.len() as u64,
            arrived: book.different().filter(|line| has_arrived(&line.entry)).count() as u64,
            duplicates: (evidence.hits.len() - hits.len()) as u64,
            early: evidence.connections.iter().filter(|it| it.accept.early).count() as u64,
            ..Self::default()
        };
        for connection in evidence.connections.iter().filter(|it| it.accept.status == Some(200)) {
            verdict.connections += 1;
            verdict.killed += u64::from(connection.was_killed);
            if connection.was_given_up() {
                verdict.given_up += 1;
                verdict.tell(|| format!("connection {} was given up", connection.accept.connection));
            }
        }
        verdict.judge_what_is_owed(&book, &has_arrived);
        verdict.judge_holes(evidence.connections, &book, &has_arrived);
        verdict.judge_what_was_invented(evidence.hits, &book);
        verdict.judge_order(evidence.hits, &book);
        verdict
    }

    /// Which part of all different records is there.
    pub fn share(&self) -> f64 {
        if self.written == 0 {
            return 0.0;
        }
        self.arrived as f64 / self.written as f64
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        let faults = self.lost + self.holes + self.invented + self.out_of_order + self.early + self.given_up;
        faults == 0 && self.share() >= SHARE
    }

    fn judge_what_is_owed(&mut self, book: &Book, has_arrived: &impl Fn(&RecordEntry) -> bool) {
        let mut seen = HashSet::new();
        for line in book
            .lines
            .iter()
            .filter(|line| line.owed && seen.insert(line.entry.fingerprint))
        {
            self.owed += 1;
            self.owed_repeats += u64::from(!book.is_unique(&line.entry));
            if !has_arrived(&line.entry) {
                self.lost += 1;
                self.tell(|| format!("{line} is owed and not there"));
            }
        }
    }

    fn judge_holes(&mut self, connections: &[Connection], book: &Book, has_arrived: &impl Fn(&RecordEntry) -> bool) {
        for connection in connections {
            let mut missing = Vec::new();
            let number = connection.accept.connection;
            let only_once = |(_, (entry, _)): &(usize, &(RecordEntry, bool))| book.is_unique(entry);
            for (place, (entry, _)) in connection.records.iter().enumerate().filter(only_once) {
                if !has_arrived(entry) {
                    missing.push(place);
                } else if !missing.is_empty() {
                    self.holes += missing.len() as u64;
                    self.tell(|| {
                        format!("of connection {number}, records {missing:?} are missing, and record {place} is there")
                    });
                    missing.clear();
                }
            }
        }
    }

    fn judge_what_was_invented(&mut self, hits: &[Arrival], book: &Book) {
        let mut seen = HashSet::new();
        for arrival in hits.iter().filter(|arrival| seen.insert(arrival.fingerprint)) {
            let (bytes, partition) = (arrival.fingerprint >> 32, arrival.partition);
            let mut copies = book.copies(arrival.fingerprint);
            if copies.clone().any(|(_, line)| is_hit(line.entry.kind) && !line.cut_off) {
                continue;
            }
            self.invented += 1;
            self.tell(|| match copies.next() {
                None => format!("a hit of {bytes} bytes in partition {partition} was never written"),
                Some((_, line)) => format!("{line} was cut off or is no hit, and is in the topic for hits"),
            });
        }
    }

    fn judge_order(&mut self, hits: &[Arrival], book: &Book) {
        let mut seen = HashSet::new();
        let mut partition_of: HashMap<u64, i32> = HashMap::new();
        let mut last: HashMap<i32, u32> = HashMap::new();
        for arrival in hits {
            let partition = arrival.partition;
            if let Some(visitor) = arrival.visitor
                && *partition_of.entry(visitor).or_insert(partition) != partition
            {
                self.out_of_order += 1;
                self.tell(|| format!("a visitor's hits are in partition {partition} and in another one"));
            }
            if !seen.insert(arrival.fingerprint) {
                continue;
            }
            let before = last.get(&partition).copied();
            let mut copies = book.copies(arrival.fingerprint);
            let fits = |place: u32| before.is_none_or(|before| place > before);
            if let Some((place, _)) = copies.clone().find(|(place, _)| fits(*place)) {
                last.insert(partition, place);
            } else if let Some((_, line)) = copies.next() {
                self.out_of_order += 1;
                let before = before.and_then(|place| book.lines.get(place as usize));
                if let Some(before) = before {
                    self.tell(|| format!("partition {partition} has {line} after {before}"));
                }
            }
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < MOST_TOLD {
            self.told.push(what());
        }
    }
}

/// How many different records are among the dead letters that no stream wrote, or that belong elsewhere.
pub fn foreign_dead_letters<'a>(connections: impl Iterator<Item = &'a Connection>, arrived: &Arrived) -> u64 {
    let garbage: HashSet<u64> = connections
        .flat_map(|connection| &connection.records)
        .filter(|(entry, _)| entry.kind == RecordKind::Garbage)
        .map(|(entry, _)| entry.fingerprint)
        .collect();
    arrived.keys().filter(|print| !garbage.contains(print)).count() as u64
}

/// Which records these connections owe: those for the stream's topic, and those for the dead letters.
pub fn owed(connections: &[Connection]) -> (HashSet<u64>, HashSet<u64>) {
    let book = Book::of(connections);
    let owed = book.lines.iter().filter(|line| line.owed);
    let (hits, garbage): (Vec<&Line>, Vec<&Line>) = owed.partition(|line| is_hit(line.entry.kind));
    let prints = |lines: Vec<&Line>| lines.iter().map(|line| line.entry.fingerprint).collect();
    (prints(hits), prints(garbage))
}

impl Connection {
    /// Whether the service ended it, and not by a reset.
    fn owes(&self) -> bool {
        !self.was_killed && self.ended_by_service() && !self.was_reset()
    }

    fn was_reset(&self) -> bool {
        matches!(&self.accept.end, Some(end) if end.by == EndedBy::Fault("reset"))
    }

    fn ended_by_service(&self) -> bool {
        match self.accept.end.as_ref().map(|end| &end.by) {
            Some(EndedBy::Fault(_) | EndedBy::Total | EndedBy::Token | EndedBy::Stop) => true,
            Some(EndedBy::Client | EndedBy::Refusal | EndedBy::Redirect) | None => false,
        }
    }

    fn was_given_up(&self) -> bool {
        let by_client = matches!(&self.accept.end, Some(end) if end.by == EndedBy::Client);
        by_client && !self.was_killed && !self.records.is_empty()
    }
}

const fn is_hit(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Hit | RecordKind::Repeat | RecordKind::OddId | RecordKind::Twin | RecordKind::Oversized => true,
        RecordKind::Garbage | RecordKind::Empty => false,
    }
}

/// Every record of a stream in the order in which it was written, empty ones left out, and where each one stands in it.
struct Book {
    lines: Vec<Line>,
    /// By fingerprint: the places of all copies, in order.
    places: HashMap<u64, Vec<u32>>,
}

/// A record that was written.
struct Line {
    connection: u64,
    number: usize,
    entry: RecordEntry,
    owed: bool,
    /// The service itself ended the connection in the middle of it.
    cut_off: bool,
}

impl Book {
    fn of(connections: &[Connection]) -> Self {
        let mut lines = Vec::new();
        let mut places: HashMap<u64, Vec<u32>> = HashMap::new();
        for connection in connections {
            let (owes, ended_by_service) = (connection.owes(), connection.ended_by_service());
            for (number, (entry, whole)) in connection.records.iter().enumerate() {
                if entry.kind == RecordKind::Empty {
                    continue;
                }
                places.entry(entry.fingerprint).or_default().push(lines.len() as u32);
                lines.push(Line {
                    connection: connection.accept.connection,
                    number,
                    entry: *entry,
                    owed: owes && *whole,
                    cut_off: ended_by_service && !whole,
                });
            }
        }
        Self { lines, places }
    }

    /// All copies of a record.
    fn copies(&self, fingerprint: u64) -> impl Iterator<Item = (u32, &Line)> + Clone {
        let places = self.places.get(&fingerprint).map_or(&[][..], Vec::as_slice);
        places
            .iter()
            .filter_map(|place| self.lines.get(*place as usize).map(|line| (*place, line)))
    }

    /// Every different record, by its first copy.
    fn different(&self) -> impl Iterator<Item = &Line> {
        self.places
            .keys()
            .filter_map(|print| self.copies(*print).next().map(|(_, line)| line))
    }

    fn is_unique(&self, entry: &RecordEntry) -> bool {
        self.places
            .get(&entry.fingerprint)
            .is_some_and(|places| places.len() == 1)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connection,
            number,
            entry,
            ..
        } = self;
        write!(f, "record {number} of connection {connection} ({:?})", entry.kind)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
