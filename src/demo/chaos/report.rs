//! What a chaotic run shows: progress while it runs, and the summary at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::judge::{SHARE, Verdict};
use super::{STREAMS, Topics};
use crate::demo::reader::Reader;
use crate::simulator::Running;

/// How often a line is written where it cannot renew itself, and where it can.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const RENEWAL: Duration = Duration::from_millis(500);
/// How many lines of a kind are kept to be told.
const MOST_TOLD: usize = 10;

/// What was done to the daemon and to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How often the daemon was started.
    pub starts: u32,
    /// `kill -9`.
    pub kills: u32,
    /// Of these, how many came while a stream was streaming. One kill may count in several of these.
    pub streaming: u32,
    /// ... while a request for a stream was not answered yet.
    pub connecting: u32,
    /// ... while a stream was waiting out its cooldown.
    pub cooling_down: u32,
    /// ... just after the start.
    pub just_started: u32,
    /// ... while Kafka was away.
    pub kafka_away: u32,
    /// Ends in good order, by SIGTERM.
    pub terminated: u32,
    /// How often Kafka was stopped in good order.
    pub kafka_stopped: u32,
    /// How often it was killed.
    pub kafka_killed: u32,
    /// What the daemon did without having been asked to: a fault of ours.
    pub unasked: Vec<String>,
    /// What did not come to its end: a fault of ours.
    pub unfinished: Vec<String>,
}

impl Tally {
    /// How often Kafka went away.
    pub const fn outages(&self) -> u32 {
        self.kafka_stopped + self.kafka_killed
    }

    pub(super) fn unasked(&mut self, what: String) {
        if self.unasked.len() < MOST_TOLD {
            self.unasked.push(what);
        }
    }

    pub(super) fn unfinished(&mut self, what: String) {
        if self.unfinished.len() < MOST_TOLD {
            self.unfinished.push(what);
        }
    }
}

/// What the daemon said in all its lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Lines, by level; lines that are no log line count as `other`.
    pub lines: BTreeMap<String, u64>,
    /// The first panics: a fault of ours.
    pub panics: Vec<String>,
}

impl Said {
    /// Reads a log in JSON.
    pub fn in_log(text: &str) -> Self {
        let mut said = Self::default();
        for line in text.lines() {
            let level = serde_json::from_str::<serde_json::Value>(line)
                .ok()
                .and_then(|line| Some(line.get("level")?.as_str()?.to_ascii_lowercase()));
            *said
                .lines
                .entry(level.unwrap_or_else(|| "other".to_owned()))
                .or_default() += 1;
            if line.contains("panicked") && said.panics.len() < MOST_TOLD {
                said.panics.push(line.to_owned());
            }
        }
        said
    }
}

/// The summary of a chaotic run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long it took.
    pub seconds: f64,
    /// Draws the same hits, faults and moments again.
    pub seed: u64,
    /// What was done.
    pub tally: Tally,
    /// The service's own faults that came true: ends of connections, refusals, and strange records.
    pub faults: BTreeMap<String, u64>,
    /// The verdict on each stream.
    pub streams: Vec<Verdict>,
    /// Records that arrived in the dead-letter topic and that no stream had sent as such: a fault of ours.
    pub foreign_dead_letters: u64,
    /// Records that the judge could not see, in Kafka or in the ledger, because they were too many: then there is no verdict.
    pub unseen: u64,
    /// What the daemon said.
    pub said: Said,
    /// The command that repeats the run, if there is one.
    pub again: Option<String>,
    /// Where the daemon's log is, if it was kept.
    pub kept: Option<String>,
    /// Whether the daemon did nothing wrong.
    pub good: bool,
}

impl Report {
    /// Decides whether all is well.
    pub(super) fn decide(mut self) -> Self {
        self.good = self.foreign_dead_letters == 0
            && self.unseen == 0
            && self.said.panics.is_empty()
            && self.tally.unasked.is_empty()
            && self.tally.unfinished.is_empty()
            && self.streams.iter().all(Verdict::is_good);
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(out, "\nAfter {:.1} s, with seed {}:\n", self.seconds, self.seed)?;
        writeln!(
            out,
            "kill -9: {} ({} while streaming, {} while connecting, {} in a cooldown, {} just after a start, {} while Kafka was away)",
            tally.kills, tally.streaming, tally.connecting, tally.cooling_down, tally.just_started, tally.kafka_away
        )?;
        writeln!(
            out,
            "SIGTERM: {}   Kafka stopped: {}   Kafka killed: {}",
            tally.terminated, tally.kafka_stopped, tally.kafka_killed
        )?;
        let faults: Vec<String> = self
            .faults
            .iter()
            .map(|(name, times)| format!("{name} {times}"))
            .collect();
        writeln!(out, "faults of the service: {}", faults.join(", "))?;
        let lines: Vec<String> = self
            .said
            .lines
            .iter()
            .map(|(level, lines)| format!("{level} {lines}"))
            .collect();
        writeln!(out, "lines that the daemon logged: {}\n", lines.join(", "))?;
        self.write_streams(out)?;
        writeln!(
            out,
            "\nowed: whole on connections that the service ended while the daemon lived. share: of all that was written, wholly or in part.\n\
             copies: delivered again, because a kill came before the delivery was noted."
        )?;
        writeln!(out)?;
        self.write_faults(out)?;
        write!(
            out,
            "\n{}",
            if self.good {
                "Good: nothing owed is missing, nothing changed, nothing out of order, no reconnect early."
            } else {
                "NOT GOOD: see above what is missing, changed, out of order or early."
            }
        )
    }
}

impl Report {
    fn write_streams(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<8}{:>9}{:>9}{:>9}{:>8}{:>8}{:>7}{:>7}{:>9}{:>10}{:>7}{:>9}{:>8}",
            "stream",
            "written",
            "there",
            "share",
            "owed",
            "copies",
            "lost",
            "holes",
            "invented",
            "disorder",
            "early",
            "given up",
            "killed"
        )?;
        for s in &self.streams {
            writeln!(
                out,
                "{:<8}{:>9}{:>9}{:>7.2} %{:>8}{:>8}{:>7}{:>7}{:>9}{:>10}{:>7}{:>9}{:>8}",
                s.stream,
                s.written,
                s.arrived,
                s.share() * 100.0,
                s.owed,
                s.duplicates,
                s.lost,
                s.holes,
                s.invented,
                s.out_of_order,
                s.early,
                s.given_up,
                format!("{}/{}", s.killed, s.connections)
            )?;
        }
        Ok(())
    }

    fn write_faults(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stream in &self.streams {
            for told in &stream.told {
                writeln!(out, "{}: {told}", stream.stream)?;
            }
            if stream.share() < SHARE {
                writeln!(out, "{}: less than {} % is there", stream.stream, SHARE * 100.0)?;
            }
        }
        for (count, what) in [
            (self.foreign_dead_letters, "dead letters were never sent as such"),
            (
                self.unseen,
                "records were too many for the judge to see: make the run shorter or slower",
            ),
        ] {
            if count > 0 {
                writeln!(out, "{count} {what}")?;
            }
        }
        for told in self
            .tally
            .unasked
            .iter()
            .chain(&self.tally.unfinished)
            .chain(&self.said.panics)
        {
            writeln!(out, "{told}")?;
        }
        if let Some(again) = self.again.as_ref().filter(|_| !self.good) {
            writeln!(out, "to repeat it: {again}")?;
        }
        if let Some(kept) = &self.kept {
            writeln!(out, "the daemon's log, configuration and state are in {kept}")?;
        }
        Ok(())
    }
}

/// Progress on standard error.
pub struct Progress {
    topics: Option<Topics>,
    on_terminal: bool,
    next: Instant,
}

impl Progress {
    /// Shows what comes in these topics, or else nothing.
    pub fn new(topics: Option<Topics>) -> Self {
        Self {
            topics,
            on_terminal: std::io::stderr().is_terminal(),
            next: Instant::now(),
        }
    }

    /// When something is to be shown next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.topics.is_some().then_some(self.next)
    }

    /// Shows how things stand, if it is time.
    pub(super) fn show(&mut self, began: Instant, tally: &Tally, simulator: &Running, reader: &Reader) {
        let now = Instant::now();
        let Some(topics) = self.topics.as_ref().filter(|_| now >= self.next) else {
            return;
        };
        self.next = now + if self.on_terminal { RENEWAL } else { LINE_INTERVAL };
        let made: u64 = STREAMS
            .iter()
            .map(|stream| simulator.made(stream).unwrap_or_default())
            .sum();
        let arrived: u64 = STREAMS.iter().map(|stream| reader.count(&topics.of(stream))).sum();
        let line = format!(
            "{:>7.1} s   kill -9: {:>4}   Kafka away: {:>3}   made {made:>9}   in Kafka {arrived:>9}",
            began.elapsed().as_secs_f64(),
            tally.kills,
            tally.outages(),
        );
        let mut stderr = std::io::stderr().lock();
        // A closed standard error is no reason to end.
        let _ = if self.on_terminal {
            write!(stderr, "\r\x1b[K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
    }

    /// Nothing more will be shown.
    pub(super) fn end(&self) {
        if self.topics.is_some() && self.on_terminal {
            let _ = writeln!(std::io::stderr().lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Report);

    fn good() -> Report {
        let verdict = Verdict {
            stream: "web".to_owned(),
            written: 10,
            arrived: 10,
            ..Verdict::default()
        };
        Report {
            seconds: 1.0,
            seed: 7,
            tally: Tally::default(),
            faults: BTreeMap::new(),
            streams: vec![verdict],
            foreign_dead_letters: 0,
            unseen: 0,
            said: Said::default(),
            again: None,
            kept: None,
            good: false,
        }
    }

    #[test]
    fn whatever_is_wrong_makes_a_report_bad_and_is_told() {
        assert!(good().decide().good);
        let spoils: [(Spoil, &str); 7] = [
            (|it| it.streams[0].arrived = 8, "less than 90 %"),
            (|it| it.streams[0].lost = 1, "NOT GOOD"),
            (|it| it.foreign_dead_letters = 3, "3 dead letters"),
            (|it| it.unseen = 5, "5 records were too many"),
            (
                |it| it.said.panics.push("thread 'x' panicked".to_owned()),
                "thread 'x' panicked",
            ),
            (|it| it.tally.unasked("it ended".to_owned()), "it ended"),
            (|it| it.tally.unfinished("it hung".to_owned()), "it hung"),
        ];
        for (spoil, expected) in spoils {
            let mut report = good();
            spoil(&mut report);
            let report = report.decide();
            assert!(
                !report.good && report.to_string().contains(expected),
                "{expected}: {report}"
            );
        }
    }

    #[test]
    fn panics_are_found_in_a_log() {
        let said =
            Said::in_log("{\"level\":\"INFO\"}\n{\"level\":\"WARN\"}\n\nthread 'x' panicked at src/a.rs:1:\nboom\n");
        assert_eq!(said.panics, ["thread 'x' panicked at src/a.rs:1:"]);
        assert_eq!((said.lines["info"], said.lines["warn"], said.lines["other"]), (1, 1, 3));
    }
}
