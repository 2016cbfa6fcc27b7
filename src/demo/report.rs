//! What a demonstration shows: a line of progress that renews itself, and the summary at the end.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::embedded_kafka::EmbeddedKafka;
use super::verdict::StreamVerdict;
use super::{DemoArgs, STREAMS, topic};
use crate::app::Daemon;
use crate::clock::{Clock as _, SystemClock};
use crate::lifecycle::State;
use crate::simulator::Running;

/// How often a line is written where it cannot renew itself.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Says where the status page is.
pub fn tell_page(url: &str) {
    let _ = writeln!(std::io::stderr().lock(), "The status page is at {url}\n");
}

/// Progress on standard error.
pub struct Progress {
    shown: bool,
    on_terminal: bool,
    last_line: Cell<Option<Duration>>,
    clock: SystemClock,
}

impl Progress {
    /// Says what will be shown, if `shown`, and where the status page is.
    pub fn new(shown: bool, faults: bool, cooldown: Duration, page: Option<&str>) -> Self {
        if shown {
            // A closed standard error is no reason to end.
            let _ = writeln!(
                std::io::stderr().lock(),
                "A simulated Live Stream service{}, livestreamd, and an embedded Kafka, in this process.\n\
                 The cooldown is {} s here, which is allowed for loopback hosts only; it is 60 s against the real service.\n",
                if faults { " that misbehaves" } else { "" },
                cooldown.as_secs(),
            );
            if let Some(page) = page {
                tell_page(page);
            }
        }
        let on_terminal = std::io::stderr().is_terminal();
        Self {
            shown,
            on_terminal,
            last_line: Cell::new(None),
            clock: SystemClock::new(),
        }
    }

    /// Shows how things stand.
    pub fn show(&self, elapsed: Duration, daemon: &Daemon, simulator: &Running, kafka: &EmbeddedKafka) {
        let due = self
            .last_line
            .get()
            .is_none_or(|last| elapsed.saturating_sub(last) >= LINE_INTERVAL);
        if !self.shown || (!self.on_terminal && !due) {
            return;
        }
        self.last_line.set(Some(elapsed));
        let made: u64 = STREAMS
            .iter()
            .map(|stream| simulator.made(stream).unwrap_or_default())
            .sum();
        let forwarded: u64 = STREAMS.iter().map(|stream| kafka.count(&topic(stream))).sum();
        let states: Vec<String> = daemon
            .statuses()
            .iter()
            .map(|status| {
                let states: Vec<String> = status.slots.iter().map(|slot| self.describe(&slot.state())).collect();
                format!("{}: {}", status.name, states.join(", "))
            })
            .collect();
        let line = format!(
            "{:>5.1} s   made {made:>8}   in Kafka {forwarded:>8}   {}",
            elapsed.as_secs_f64(),
            states.join("   ")
        );
        let mut stderr = std::io::stderr().lock();
        let _ = if self.on_terminal {
            write!(stderr, "\r\x1b[K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
    }

    /// Nothing more will be shown.
    pub fn end(&self) {
        if self.shown && self.on_terminal {
            let _ = writeln!(std::io::stderr().lock());
        }
    }

    fn describe(&self, state: &State) -> String {
        match state {
            State::Waiting { until, why } => {
                format!(
                    "waiting {:.1} s ({})",
                    until.since(self.clock.now()).as_secs_f64(),
                    why.name()
                )
            }
            State::Authorizing { .. }
            | State::Leasing { .. }
            | State::Connecting { .. }
            | State::Streaming { .. }
            | State::Stopped => state.name().to_owned(),
        }
    }
}

/// The summary of a demonstration.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long it ran.
    pub seconds: f64,
    /// The cooldown that was used.
    pub cooldown_s: f64,
    /// The verdict on each stream.
    pub streams: Vec<StreamVerdict>,
    /// Records that arrived in the dead-letter topic and that no stream had sent as such: a fault of ours.
    pub foreign_dead_letters: u64,
    /// Bytes that were read and not delivered when the daemon stopped: a fault of ours.
    pub undelivered_bytes: u64,
    /// Whether the daemon did nothing wrong.
    pub good: bool,
}

impl Report {
    /// Sums a demonstration up.
    pub fn new(
        elapsed: Duration,
        cooldown: Duration,
        streams: Vec<StreamVerdict>,
        foreign_dead_letters: u64,
        undelivered_bytes: u64,
    ) -> Self {
        let good = undelivered_bytes == 0 && foreign_dead_letters == 0 && streams.iter().all(StreamVerdict::is_good);
        Self {
            seconds: elapsed.as_secs_f64(),
            cooldown_s: cooldown.as_secs_f64(),
            streams,
            foreign_dead_letters,
            undelivered_bytes,
            good,
        }
    }

    /// Whether no hit was lost or invented by us, and no reconnect came early.
    pub const fn is_good(&self) -> bool {
        self.good
    }

    /// The summary, for people or, if the options say so, as JSON.
    pub fn text(&self, args: &DemoArgs) -> impl Display {
        let json = args.json.then(|| serde_json::to_string_pretty(self));
        fmt::from_fn(move |f| match &json {
            Some(Ok(json)) => f.write_str(json),
            Some(Err(_)) => Err(fmt::Error),
            None => self.write(f),
        })
    }

    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\nAfter {:.1} s:\n", self.seconds)?;
        writeln!(
            out,
            "{:<8}{:>10}{:>11}{:>12}{:>14}{:>7}{:>15}{:>10}{:>7}",
            "stream", "made", "forwarded", "duplicates", "dead letters", "lost", "lost upstream", "connects", "early"
        )?;
        for s in &self.streams {
            writeln!(
                out,
                "{:<8}{:>10}{:>11}{:>12}{:>14}{:>7}{:>15}{:>10}{:>7}",
                s.stream,
                s.made,
                s.forwarded,
                s.duplicates,
                s.dead_letters,
                s.lost,
                s.lost_upstream,
                s.connections,
                s.early
            )?;
        }
        for s in self.streams.iter().filter(|s| !s.reconnects.is_empty()) {
            writeln!(
                out,
                "\n{}: reconnects, and how long each waited (the cooldown is {} s):",
                s.stream, self.cooldown_s
            )?;
            for r in &s.reconnects {
                let status = r
                    .status
                    .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                writeln!(out, "  {:>6.2} s after {:<28} -> {status}", r.waited_s, r.after)?;
            }
        }
        writeln!(
            out,
            "\nduplicates: sent again by us after a failure; what the service sends again is left out."
        )?;
        writeln!(
            out,
            "lost upstream: cut off or dropped by the service itself; nobody can forward what was not sent whole."
        )?;
        for (count, what) in [
            (
                self.streams.iter().map(|s| s.invented).sum(),
                "hits arrived that were never sent",
            ),
            (
                self.foreign_dead_letters,
                "dead letters arrived that were never sent as such",
            ),
            (self.undelivered_bytes, "bytes were left undelivered"),
        ] {
            if count > 0 {
                writeln!(out, "\n{count} {what}.")?;
            }
        }
        let verdict = if self.good {
            "Good: no hit lost, none invented, no reconnect early."
        } else {
            "NOT GOOD: see above what was lost, early, invented or left undelivered."
        };
        write!(out, "\n{verdict}")
    }
}
