//! Draws an [`App`] on a screen of any size, down to none.
//!
//! From above: two lines about the daemon, a banner if what is shown may be old, the table, the selected connection, what happened
//! lately, the keys. What finds no room is left out, the table last. Colours are of the terminal's own palette, so that they can be read
//! on light and on dark, and repeat what words say.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::shown::columns::BETWEEN;
use super::super::shown::figures::{count, length};
use super::super::shown::matters;
use super::super::shown::rows::{Mood, Rank, Row, STATE, rank};
use super::super::shown::table::{Curve, Layout};
use super::super::shown::text::{cut, width, wrapped};
use super::app::{App, Pane};
use super::detail;
use crate::status::Daemon;

/// Where the texts of lines begin that have a name before them.
const INDENT: usize = 11;
/// Below so many lines for the body, there is only one pane.
const ROOM_FOR_DETAIL: u16 = 12;
/// Below so many lines, events are left out.
const ROOM_FOR_EVENTS: u16 = 16;
/// The fewest lines of a table that shares the body: its titles and some rows.
const LEAST_TABLE: u16 = 4;

const HELP: [(&str, &str); 12] = [
    (
        "up, down",
        "select a connection, or scroll; also k and j, page up and down, home and end",
    ),
    ("enter", "all that is known of the selected connection"),
    ("e", "what happened lately"),
    (
        "/",
        "show only what has this in its stream, report suite, topic or state",
    ),
    ("s", "another order: trouble, name, hits/s, backlog, lag"),
    ("p", "hold what is shown, and go on"),
    ("?", "this"),
    ("esc", "back; from the table: quit"),
    ("q, ctrl-c", "quit"),
    ("!", "before a name: something keeps this stream from being ready"),
    (
        "TIME",
        "since when it does that; or, while it waits, how long it still must",
    ),
    ("LAG", "how old hits are when they are read"),
];

/// Draws all of it.
pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let columns = usize::from(area.width);
    let mut left = area;
    put(frame, take(&mut left, head(app, columns)));
    if let Some(warning) = app.warning() {
        let lines = wrapped(&warning, columns).into_iter().take(3);
        let style = app.mood(Mood::Bad).add_modifier(Modifier::REVERSED | Modifier::BOLD);
        let lines = lines
            .map(|line| Line::styled(format!("{line:<columns$}"), style))
            .collect();
        put(frame, take(&mut left, lines));
    }
    if left.height > 1 {
        let foot = Rect {
            y: left.bottom() - 1,
            height: 1,
            ..left
        };
        left.height -= 1;
        put(frame, (foot, vec![foot_line(app, columns)]));
    }
    match app.pane {
        Pane::Table => table_and_more(app, frame, left),
        Pane::Detail => {
            let rows = app.rows();
            let lines = rows.get(app.selected(&rows)).map(|row| detail_lines(app, row, columns));
            let lines = lines.unwrap_or_else(|| vec![Line::from("no connection is selected")]);
            scrolled(app, frame, left, lines);
        }
        Pane::Events => {
            let mut lines = vec![rule("what happened lately, newest first", columns)];
            lines.extend(events(app, columns));
            if lines.len() == 1 {
                lines.push(Line::from("nothing yet"));
            }
            scrolled(app, frame, left, lines);
        }
        Pane::Help => {
            let mut lines = vec![rule("keys and words", columns)];
            for (key, does) in HELP {
                named(&mut lines, key, does, Style::new(), columns);
            }
            scrolled(app, frame, left, lines);
        }
    }
}

impl App {
    fn mood(&self, mood: Mood) -> Style {
        let colour = match mood {
            Mood::Good => Color::Green,
            Mood::Under => Color::Yellow,
            Mood::Bad => Color::Red,
        };
        let style = if mood == Mood::Bad {
            Style::new().bold()
        } else {
            Style::new()
        };
        if self.colour { style.fg(colour) } else { style }
    }

    /// What is old is dim.
    fn base(&self) -> Style {
        if self.staleness().is_some() {
            Style::new().dim()
        } else {
            Style::new()
        }
    }
}

/// So many lines as a screen counts them.
fn lines_of(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Cuts as many lines as there are off the top of `left`.
fn take<'l>(left: &mut Rect, lines: Vec<Line<'l>>) -> (Rect, Vec<Line<'l>>) {
    let height = left.height.min(lines_of(lines.len()));
    let taken = Rect { height, ..*left };
    left.y += height;
    left.height -= height;
    (taken, lines)
}

fn put(frame: &mut Frame<'_>, (area, lines): (Rect, Vec<Line<'_>>)) {
    frame.render_widget(Paragraph::new(lines), area);
}

fn head(app: &App, columns: usize) -> Vec<Line<'static>> {
    let Some(daemon) = app.daemon() else {
        return vec![Line::from(cut(
            &format!("livestreamd top: asking {}", app.address),
            columns,
        ))];
    };
    let mood = if daemon.ready { Mood::Good } else { Mood::Bad };
    let troubled = daemon
        .streams
        .iter()
        .filter(|stream| rank(daemon, stream) == Rank::Hindered)
        .count();
    // First, so that it is seen on the narrowest screen.
    let was = if app.staleness().is_some() { "was " } else { "" };
    let ready = format!("{was}{}", matters::readiness(daemon));
    let mut after = format!(
        "  livestreamd {} at {}, {}",
        daemon.version,
        app.address,
        count(daemon.streams.len() as u64, "stream", "streams")
    );
    if troubled > 0 {
        let _ = write!(after, ", {troubled} in trouble");
    }
    let _ = write!(after, ", up {}", length(daemon.uptime_seconds + app.passed()));
    let base = app.base();
    let (kafka, journals) = (kafka(daemon), format!("journals {}", matters::journals(daemon)));
    let mut lines = vec![Line::from(vec![
        Span::styled(ready, base.patch(app.mood(mood))),
        Span::styled(after, base),
    ])];
    let both = format!("{kafka}; {journals}");
    if width(&both) <= columns {
        lines.push(Line::styled(both, base));
    } else {
        lines.push(Line::styled(cut(&kafka, columns), base));
        lines.push(Line::styled(cut(&journals, columns), base));
    }
    // What concerns no stream has no row.
    let of_daemon = daemon.hindrances.iter().filter(|hindrance| hindrance.stream.is_none());
    lines.extend(of_daemon.map(|hindrance| Line::styled(cut(&hindrance.text, columns), app.mood(Mood::Bad))));
    lines
}

fn kafka(daemon: &Daemon) -> String {
    format!("kafka {}", matters::kafka(&daemon.kafka))
}

fn foot_line(app: &App, columns: usize) -> Line<'static> {
    let text = if app.is_typing {
        format!("filter: {}_  (enter keeps it, esc drops it)", app.filter)
    } else {
        let filter = if app.filter.is_empty() {
            String::new()
        } else {
            format!(": {}", app.filter)
        };
        let order = app.sort.name();
        let whole = format!("q quit  enter detail  e events  / filter{filter}  s order: {order}  p pause  ? help");
        if width(&whole) <= columns {
            whole
        } else {
            "q quit  ? help".to_owned()
        }
    };
    Line::styled(cut(&text, columns), Style::new().bold())
}

/// The table, the selected connection, and events, as far as there is room.
fn table_and_more(app: &App, frame: &mut Frame<'_>, mut left: Rect) {
    let columns = usize::from(left.width);
    let rows = app.rows();
    let selected = app.selected(&rows);
    let chosen = rows.get(selected);
    let table_wanted = lines_of(rows.len()).saturating_add(1);
    let mut detail = chosen.map_or_else(Vec::new, |row| detail_lines(app, row, columns));
    let mut events: Vec<Line<'_>> = events(app, columns).collect();
    if left.height < ROOM_FOR_DETAIL {
        detail.clear();
    }
    if left.height < ROOM_FOR_EVENTS || events.is_empty() {
        events.clear();
    } else {
        events.insert(0, rule("what happened lately (e shows more)", columns));
    }
    // Events get a quarter at least, the table what it wants up to half of the rest, or more if the detail leaves it.
    let events_least = lines_of(events.len()).min(left.height / 4);
    let rest = left.height - events_least;
    let detail_wanted = lines_of(detail.len());
    let table_height = table_wanted
        .min((rest / 2).max(rest.saturating_sub(detail_wanted)))
        .max(LEAST_TABLE.min(table_wanted).min(rest));
    let table_area = Rect {
        height: table_height.min(left.height),
        ..left
    };
    draw_table(app, frame, table_area, &rows, selected);
    left.y += table_area.height;
    left.height -= table_area.height;
    let room = left.height.saturating_sub(events_least);
    if detail_wanted > room && room > 0 {
        detail.truncate(usize::from(room) - 1);
        detail.push(Line::styled("(enter shows more)", Style::new().dim()));
    } else if room == 0 {
        detail.clear();
    }
    put(frame, take(&mut left, detail));
    put(frame, take(&mut left, events));
}

fn draw_table(app: &App, frame: &mut Frame<'_>, area: Rect, rows: &[Row<'_>], selected: usize) {
    let columns = usize::from(area.width);
    if rows.is_empty() {
        let why = match app.daemon() {
            None => "",
            Some(daemon) if daemon.streams.is_empty() => "there are no streams",
            Some(_) => "the filter leaves no connection",
        };
        put(frame, (area, vec![Line::from(why)]));
        return;
    }
    let layout = Layout::of(rows, columns, Curve::Wanted);
    let base = app.base();
    let between = || Span::styled(" ".repeat(BETWEEN), base);
    let joined = |spans: Vec<Span<'static>>| {
        let mut all = Vec::with_capacity(spans.len() * 2);
        for span in spans {
            if !all.is_empty() {
                all.push(between());
            }
            all.push(span);
        }
        Line::from(all)
    };
    let titles = layout.titles().map(|(_, title)| Span::styled(title, base.bold()));
    let mut lines = vec![joined(titles.collect())];
    let visible = usize::from(area.height).saturating_sub(1);
    // As little as is needed to have the selected one among them.
    let first = (selected + 1).saturating_sub(visible);
    for (nth, row) in rows.iter().enumerate().skip(first).take(visible) {
        let spans = layout.cells(row).map(|(nth, text)| {
            let style = if nth == STATE {
                base.patch(app.mood(row.mood))
            } else {
                base
            };
            Span::styled(text, style)
        });
        let line = joined(spans.collect());
        lines.push(if nth == selected {
            line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    put(frame, (area, lines));
}

fn detail_lines(app: &App, row: &Row<'_>, columns: usize) -> Vec<Line<'static>> {
    let passed = app.passed();
    let mut lines = vec![rule(&detail::title(row, passed), columns)];
    for (name, text) in detail::lines(row, passed) {
        named(&mut lines, name, &text, app.base(), columns);
    }
    lines
}

/// What happened lately, newest first, a line each.
fn events(app: &App, columns: usize) -> impl Iterator<Item = Line<'static>> {
    let events = app.daemon().map_or(&[][..], |daemon| &daemon.events);
    events.iter().rev().map(move |event| {
        // The time of day in an RFC 3339 text.
        let at = event.at.get(11..19).unwrap_or(&event.at);
        let stream = event.stream.as_deref().unwrap_or("-");
        let mut text = format!("{at} {:<5} {stream}: {}", event.level, event.text);
        for (name, value) in &event.fields {
            let _ = write!(text, " {name}={value}");
        }
        let style = match event.level.as_str() {
            "ERROR" => app.mood(Mood::Bad),
            "WARN" => app.mood(Mood::Under),
            _ => Style::new(),
        };
        Line::styled(cut(&text, columns), app.base().patch(style))
    })
}

/// Lines of which as many are shown as fit, from where was scrolled to; the first is a title and stays.
fn scrolled(app: &mut App, frame: &mut Frame<'_>, area: Rect, mut lines: Vec<Line<'_>>) {
    let visible = usize::from(area.height).saturating_sub(1);
    app.bound_scroll((lines.len() - 1).saturating_sub(visible));
    lines.drain(1..=app.scroll);
    put(frame, (area, lines));
}

/// A title with a rule behind it.
fn rule(title: &str, columns: usize) -> Line<'static> {
    let text = cut(&format!("── {title} "), columns);
    let rest = "─".repeat(columns.saturating_sub(width(&text)));
    Line::from(text + &rest)
}

/// A line with a name before it, wrapped under itself.
fn named(lines: &mut Vec<Line<'static>>, name: &str, text: &str, style: Style, columns: usize) {
    let room = columns.saturating_sub(INDENT).max(1);
    for (nth, part) in wrapped(text, room).into_iter().enumerate() {
        let name = if nth == 0 { name } else { "" };
        lines.push(Line::from(vec![
            Span::styled(format!("{name:<INDENT$}"), style.bold()),
            Span::styled(part, style),
        ]));
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
