//! What `top` knows and shows: changed by events, drawn by [`super::draw`]. Pure: time comes along with each event.
//!
//! Promise: numbers that may be old are never shown as if they were fresh ([`App::staleness`]).

use std::time::Duration;

use super::super::admin::document::Document;
use super::super::shown::figures::length;
use super::super::shown::rows::{Row, rank, rows, state};
use crate::status::board::STUCK_AFTER;
use crate::status::{Daemon, Stream};

/// Without an answer for so long, what is shown counts as old.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(3);
/// So many lines are passed by a page.
const PAGE: usize = 10;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Time has passed, or the terminal has another size.
    Tick,
    /// A key.
    Key(Key),
    /// The daemon's answer, or why there is none.
    Answer(Result<Box<Document>, String>),
    /// Somebody ends us from outside.
    End,
    /// Keys cannot be read any more.
    Lost(String),
}

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C.
    Interrupt,
    Char(char),
}

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    /// The table, and below it as much of the others as fits.
    #[default]
    Table,
    /// One connection, all of it.
    Detail,
    /// What happened lately.
    Events,
    /// The keys.
    Help,
}

/// In which order streams are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Trouble,
    Name,
    Rate,
    Backlog,
    Lag,
}

impl Sort {
    /// As the footer has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
            Self::Rate => "hits/s",
            Self::Backlog => "backlog",
            Self::Lag => "lag",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Name,
            Self::Name => Self::Rate,
            Self::Rate => Self::Backlog,
            Self::Backlog => Self::Lag,
            Self::Lag => Self::Trouble,
        }
    }
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct App {
    /// Where the daemon is.
    pub(super) address: String,
    /// Colours may be used.
    pub(super) colour: bool,
    pub(super) pane: Pane,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) is_typing: bool,
    /// The first line of a pane that is shown.
    pub(super) scroll: usize,
    is_paused: bool,
    now: Duration,
    polled: Option<Polled>,
    /// Since when the daemon has not been reached, and why.
    trouble: Option<(Duration, String)>,
    selected: Option<(String, u8)>,
    ending: Option<Result<(), String>>,
}

#[derive(Clone, Debug)]
struct Polled {
    document: Box<Document>,
    at: Duration,
    /// Since when the daemon has been telling the same moment.
    same_since: Duration,
}

impl App {
    /// Nothing known yet.
    pub(super) fn new(address: String, colour: bool) -> Self {
        Self {
            address,
            colour,
            ..Self::default()
        }
    }

    /// `event` happened at `now`, counted from the start of `top`.
    pub(super) fn update(&mut self, now: Duration, event: Event) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Key(key) => self.key(key),
            Event::Answer(Ok(document)) => {
                self.trouble = None;
                if !self.is_paused {
                    self.take(document);
                }
            }
            Event::Answer(Err(why)) => {
                let since = self.trouble.as_ref().map_or(now, |(since, _)| *since);
                self.trouble = Some((since, why));
            }
            Event::End => self.ending = Some(Ok(())),
            Event::Lost(why) => self.ending = Some(Err(why)),
        }
    }

    /// How it ends, once it does.
    pub(super) fn ending(&self) -> Option<&Result<(), String>> {
        self.ending.as_ref()
    }

    /// The last answer.
    pub(super) fn daemon(&self) -> Option<&Daemon> {
        self.polled.as_ref().map(|polled| &polled.document.daemon)
    }

    /// Why what is shown may be old or wrong, for a banner that nobody overlooks.
    pub(super) fn warning(&self) -> Option<String> {
        if let Some(staleness) = self.staleness() {
            return Some(staleness);
        }
        self.polled.as_ref()?.document.notice.clone()
    }

    /// Why what is shown is old, if it is.
    pub(super) fn staleness(&self) -> Option<String> {
        let age = self.polled.as_ref().map(|polled| self.since(polled.at));
        let shown = age.map_or(String::new(), |age| {
            format!("; what is shown was so {} ago", length(age.as_secs_f64()))
        });
        if let Some((since, why)) = &self.trouble {
            let for_long = length(self.since(*since).as_secs_f64());
            return Some(format!("NO DAEMON for {for_long}{shown}: {why}"));
        }
        let polled = self.polled.as_ref()?;
        let (age, same) = (self.since(polled.at), self.since(polled.same_since));
        if self.is_paused {
            Some(format!("PAUSED{shown}; p goes on"))
        } else if age >= STALE_AFTER {
            Some(format!("NO ANSWER{shown}"))
        } else if same >= STUCK_AFTER {
            Some(format!(
                "STUCK: the daemon answers, and has been telling the same for {}",
                length(same.as_secs_f64())
            ))
        } else {
            None
        }
    }

    /// For how many seconds clocks have gone on since the last answer. What is old stands still.
    pub(super) fn passed(&self) -> f64 {
        match &self.polled {
            Some(polled) if self.staleness().is_none() => self.since(polled.at).as_secs_f64(),
            Some(_) | None => 0.0,
        }
    }

    /// The connections as they are shown: sorted, and those that the filter leaves.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let Some(daemon) = self.daemon() else {
            return Vec::new();
        };
        let mut streams: Vec<&Stream> = daemon.streams.iter().collect();
        let by_number = |number: fn(&Stream) -> f64| move |a: &&Stream, b: &&Stream| number(b).total_cmp(&number(a));
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        match self.sort {
            Sort::Trouble => streams.sort_by_key(|stream| rank(daemon, stream)),
            Sort::Name => {}
            Sort::Rate => streams.sort_by(by_number(|stream| stream.rates.now)),
            Sort::Backlog => streams.sort_by(by_number(|stream| stream.journal.backlog_bytes as f64)),
            Sort::Lag => streams.sort_by(by_number(|stream| stream.upstream_lag_seconds.unwrap_or(-1.0))),
        }
        let wanted = self.filter.to_lowercase();
        let is_wanted = |row: &Row<'_>| {
            let stream = row.stream;
            [&stream.name, &stream.report_suite, &stream.topic, state(row.connection)]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        };
        let passed = self.passed();
        streams
            .into_iter()
            .flat_map(|stream| rows(daemon, stream, passed))
            .filter(is_wanted)
            .collect()
    }

    /// Which of these rows is selected: the first, if the one that was is not there.
    pub(super) fn selected(&self, rows: &[Row<'_>]) -> usize {
        let is_it = |row: &Row<'_>| {
            self.selected
                .as_ref()
                .is_some_and(|(stream, slot)| row.stream.name == *stream && row.connection.slot == *slot)
        };
        rows.iter().position(is_it).unwrap_or_default()
    }

    fn since(&self, then: Duration) -> Duration {
        self.now.saturating_sub(then)
    }

    fn take(&mut self, document: Box<Document>) {
        let same_since = match &self.polled {
            Some(before) if before.document.daemon.at == document.daemon.at => before.same_since,
            Some(_) | None => self.now,
        };
        self.polled = Some(Polled {
            document,
            at: self.now,
            same_since,
        });
    }

    fn key(&mut self, key: Key) {
        if key == Key::Interrupt {
            self.ending = Some(Ok(()));
        } else if self.is_typing {
            self.type_filter(key);
        } else {
            self.command(key);
        }
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) if !c.is_control() && self.filter.len() < 64 => self.filter.push(c),
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::First | Key::Last => self.step(key),
            Key::Interrupt | Key::Char(_) => {}
        }
    }

    fn command(&mut self, key: Key) {
        match key {
            Key::Char('q') => self.ending = Some(Ok(())),
            Key::Escape if self.pane == Pane::Table => self.ending = Some(Ok(())),
            Key::Escape => self.open(Pane::Table),
            Key::Enter => self.open(if self.pane == Pane::Detail {
                Pane::Table
            } else {
                Pane::Detail
            }),
            Key::Char('e') => self.open(if self.pane == Pane::Events {
                Pane::Table
            } else {
                Pane::Events
            }),
            Key::Char('?' | 'h') => self.open(if self.pane == Pane::Help {
                Pane::Table
            } else {
                Pane::Help
            }),
            Key::Char('/') => {
                self.open(Pane::Table);
                self.is_typing = true;
            }
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('p') => self.is_paused = !self.is_paused,
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::First | Key::Last | Key::Char('j' | 'k') => {
                self.step(key);
            }
            Key::Backspace | Key::Interrupt | Key::Char(_) => {}
        }
    }

    fn open(&mut self, pane: Pane) {
        (self.pane, self.scroll) = (pane, 0);
    }

    fn step(&mut self, key: Key) {
        let to = |from: usize| match key {
            Key::Up | Key::Char('k') => from.saturating_sub(1),
            Key::Down | Key::Char('j') => from + 1,
            Key::PageUp => from.saturating_sub(PAGE),
            Key::PageDown => from + PAGE,
            Key::First => 0,
            // Whoever draws goes no further than there is something.
            Key::Last => usize::from(u16::MAX),
            Key::Enter | Key::Escape | Key::Backspace | Key::Interrupt | Key::Char(_) => from,
        };
        if self.pane != Pane::Table {
            self.scroll = to(self.scroll);
            return;
        }
        let rows = self.rows();
        let wanted = to(self.selected(&rows)).min(rows.len().saturating_sub(1));
        let selected = rows
            .get(wanted)
            .map(|row| (row.stream.name.clone(), row.connection.slot));
        self.selected = selected;
    }

    /// Keeps the scroll within what there is to see, so that the way back is not longer than the way there.
    pub(super) fn bound_scroll(&mut self, last: usize) {
        self.scroll = self.scroll.min(last);
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
