//! The verdict on a run: the simulator's ledger held against what arrived in Kafka. Pure.

use std::collections::HashSet;

use serde::Serialize;

use super::reader::Arrived;
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
        // The dead-letter topic is shared: see `foreign_dead_letters`.
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

/// How many different records arrived in the dead-letter topic, which all streams share, that no stream sent as what belongs there.
/// `written` is every record that was begun, in all streams: those with odd ids and the oversized ones may be there too.
pub fn foreign_dead_letters<'a>(written: impl Iterator<Item = &'a RecordEntry>, arrived: &Arrived) -> u64 {
    let belongs_there = |kind| match kind {
        RecordKind::Garbage | RecordKind::OddId | RecordKind::Oversized => true,
        RecordKind::Hit | RecordKind::Repeat | RecordKind::Twin | RecordKind::Empty => false,
    };
    let expected: HashSet<u64> = written
        .filter(|entry| belongs_there(entry.kind))
        .map(|entry| entry.fingerprint)
        .collect();
    arrived.keys().filter(|print| !expected.contains(print)).count() as u64
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demo::report::Report;
    use crate::simulator::{Follows, HitId, TokenSeen};

    fn entry(fingerprint: u64, kind: RecordKind) -> RecordEntry {
        RecordEntry {
            id: HitId { high: 0, low: 0 },
            fingerprint,
            kind,
        }
    }

    fn accept(early: bool) -> Accept {
        Accept {
            connection: 1,
            stream: "web".to_owned(),
            at: Duration::ZERO,
            wall_ms: 0,
            follows: Follows::Nothing,
            waited: None,
            early,
            status: Some(200),
            request: String::new(),
            query: String::new(),
            token: TokenSeen::Valid,
            headers: Vec::new(),
            headers_lost: Vec::new(),
            tls: false,
            records: 3,
            whole: 3,
            end: None,
        }
    }

    /// Two hits and a record that is none were sent, owed, and arrived.
    fn all_well() -> Evidence {
        let written = vec![
            entry(1, RecordKind::Hit),
            entry(2, RecordKind::Hit),
            entry(3, RecordKind::Garbage),
        ];
        Evidence {
            stream: "web".to_owned(),
            made: 2,
            owed: written.clone(),
            written,
            accepts: vec![accept(false)],
            hits: Arrived::from([(1, 1), (2, 1)]),
            dead_letters: Arrived::from([(3, 1)]),
        }
    }

    fn report(evidence: &Evidence) -> Report {
        let foreign = foreign_dead_letters(evidence.written.iter(), &evidence.dead_letters);
        Report::new(
            Duration::ZERO,
            Duration::ZERO,
            vec![StreamVerdict::of(evidence)],
            foreign,
            0,
        )
    }

    #[test]
    fn a_run_in_which_everything_arrived_is_good() {
        let mut evidence = all_well();
        evidence.hits.insert(1, 2);
        let report = report(&evidence);
        let verdict = &report.streams[0];
        assert_eq!((verdict.forwarded, verdict.duplicates, verdict.dead_letters), (2, 1, 1));
        assert!(report.is_good(), "{report:?}");
    }

    #[test]
    fn a_lost_record_is_not_good() {
        let mut evidence = all_well();
        evidence.hits.remove(&2);
        let hit = report(&evidence);
        assert!(hit.streams[0].lost == 1 && !hit.is_good(), "{hit:?}");
        let mut evidence = all_well();
        evidence.dead_letters.clear();
        let dead_letter = report(&evidence);
        assert!(
            dead_letter.streams[0].lost == 1 && !dead_letter.is_good(),
            "{dead_letter:?}"
        );
    }

    #[test]
    fn an_invented_hit_is_not_good() {
        for stranger in [3, 4] {
            let mut evidence = all_well();
            evidence.hits.insert(stranger, 1);
            let report = report(&evidence);
            assert!(report.streams[0].invented == 1 && !report.is_good(), "{report:?}");
        }
    }

    #[test]
    fn an_early_attempt_is_not_good() {
        let mut evidence = all_well();
        evidence.accepts.push(accept(true));
        let report = report(&evidence);
        assert!(report.streams[0].early == 1 && !report.is_good(), "{report:?}");
    }

    #[test]
    fn a_dead_letter_that_no_stream_sent_as_such_is_not_good() {
        // A hit that went astray, and a record that was never sent.
        for stranger in [1, 4] {
            let mut evidence = all_well();
            evidence.dead_letters.insert(stranger, 1);
            let report = report(&evidence);
            assert!(report.foreign_dead_letters == 1 && !report.is_good(), "{report:?}");
        }
    }

    #[test]
    fn another_stream_s_dead_letter_is_no_stranger() {
        let (web, app) = (all_well(), [entry(9, RecordKind::Garbage)]);
        let arrived = Arrived::from([(3, 1), (9, 1)]);
        assert_eq!(foreign_dead_letters(web.written.iter().chain(&app), &arrived), 0);
        assert_eq!(foreign_dead_letters(web.written.iter(), &arrived), 1);
    }
}
