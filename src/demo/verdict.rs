//! The verdict on a run: the simulator's ledger held against what arrived in Kafka. Pure.

use std::collections::HashSet;

use serde::Serialize;

use super::embedded_kafka::Arrived;
use crate::simulator::{Accept, EndedBy, RecordEntry, RecordKind};

/// What is judged of one stream.
pub struct Evidence {
    /// The stream's name.
    pub stream: String,
    /// Hits that the service made.
    pub made: u64,
    /// Whole records on connections that the service ended in good order: none may be missing.
    pub owed: Vec<RecordEntry>,
    /// Every record that was begun: nothing else may arrive.
    pub written: Vec<RecordEntry>,
    /// The attempts that the service saw.
    pub accepts: Vec<Accept>,
    /// What arrived in the stream's topic.
    pub hits: Arrived,
    /// What arrived in the dead-letter topic.
    pub dead_letters: Arrived,
}

/// The verdict on one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamVerdict {
    /// The stream's name.
    pub stream: String,
    /// Hits that the service made.
    pub made: u64,
    /// Different hits that arrived in the topic.
    pub forwarded: u64,
    /// Copies beyond the first; the service repeats hits around reconnects.
    pub duplicates: u64,
    /// Records that arrived in the dead-letter topic.
    pub dead_letters: u64,
    /// Records that we owed and that did not arrive: a fault of ours.
    pub lost: u64,
    /// Hits that were made and did not arrive, and were not owed: the service cut them off, or dropped them while nobody was
    /// connected.
    pub lost_upstream: u64,
    /// Records that arrived and were never sent: a fault of ours.
    pub invented: u64,
    /// Connections that streamed.
    pub connections: u64,
    /// Reconnects, in their order.
    pub reconnects: Vec<Reconnect>,
    /// Attempts that came sooner than the cooldown after the end before, by the service's clock: a fault of ours.
    pub early: u64,
}

/// One reconnect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconnect {
    /// Seconds between the end before and this attempt, by the service's clock.
    pub waited_s: f64,
    /// What had ended the connection or attempt before.
    pub after: String,
    /// What the service answered.
    pub status: Option<u16>,
}

impl StreamVerdict {
    /// Judges one stream.
    pub fn of(evidence: &Evidence) -> Self {
        let is_hit = |entry: &&RecordEntry| entry.kind != RecordKind::Garbage;
        let prints = |entries: &[RecordEntry], hits: bool| -> HashSet<u64> {
            entries
                .iter()
                .filter(|entry| is_hit(entry) == hits)
                .map(|entry| entry.fingerprint)
                .collect()
        };
        let missing =
            |owed: &HashSet<u64>, arrived: &Arrived| owed.iter().filter(|print| !arrived.contains_key(print)).count();
        let foreign =
            |written: &HashSet<u64>, arrived: &Arrived| arrived.keys().filter(|print| !written.contains(print)).count();
        let lost = missing(&prints(&evidence.owed, true), &evidence.hits)
            + missing(&prints(&evidence.owed, false), &evidence.dead_letters);
        // The dead-letter topic is shared: what another stream sent is no invention, and is judged there.
        let invented = foreign(&prints(&evidence.written, true), &evidence.hits);
        let forwarded = evidence.hits.len() as u64;
        let arrived: u64 = evidence.hits.values().map(|times| u64::from(*times)).sum();
        let garbage = prints(&evidence.written, false);
        let ordinary = |entry: &&RecordEntry| matches!(entry.kind, RecordKind::Hit | RecordKind::Repeat);
        let ordinary: HashSet<u64> = evidence
            .written
            .iter()
            .filter(ordinary)
            .map(|entry| entry.fingerprint)
            .collect();
        let made_and_arrived = evidence.hits.keys().filter(|print| ordinary.contains(print)).count() as u64;
        Self {
            stream: evidence.stream.clone(),
            made: evidence.made,
            forwarded,
            duplicates: arrived - forwarded,
            dead_letters: evidence
                .dead_letters
                .keys()
                .filter(|print| garbage.contains(print))
                .count() as u64,
            lost: lost as u64,
            lost_upstream: evidence.made.saturating_sub(made_and_arrived + lost as u64),
            invented: invented as u64,
            connections: evidence
                .accepts
                .iter()
                .filter(|accept| accept.status == Some(200))
                .count() as u64,
            reconnects: reconnects(&evidence.accepts),
            early: evidence.accepts.iter().filter(|accept| accept.early).count() as u64,
        }
    }

    /// Whether we did nothing wrong, and something at all.
    pub const fn is_good(&self) -> bool {
        self.lost == 0 && self.invented == 0 && self.early == 0 && self.forwarded > 0
    }
}

fn reconnects(accepts: &[Accept]) -> Vec<Reconnect> {
    let pairs = accepts.iter().zip(accepts.iter().skip(1));
    pairs
        .filter_map(|(before, accept)| {
            let after = match before.end.as_ref().map(|end| &end.by) {
                Some(EndedBy::Fault(name)) => (*name).to_owned(),
                Some(EndedBy::Refusal) => format!("status {}", before.status.unwrap_or_default()),
                Some(EndedBy::Client) => "closed by livestreamd".to_owned(),
                Some(EndedBy::Total | EndedBy::Token | EndedBy::Stop) => "closed by the service".to_owned(),
                Some(EndedBy::Redirect) | None => return None,
            };
            Some(Reconnect {
                waited_s: accept.waited?.as_secs_f64(),
                after,
                status: accept.status,
            })
        })
        .collect()
}
