//! The text of `status`: a first line, the table, and below it what stands in the way and how the rest is.

use std::io::IsTerminal as _;

use super::super::shown::columns::BETWEEN;
use super::super::shown::figures::{count, length};
use super::super::shown::matters;
use super::super::shown::rows::{Mood, Row, STATE, rows};
use super::super::shown::table::{Curve, Layout};
use super::super::shown::text::{cell, width, wrapped};
use crate::status::Daemon;

/// Longer lines of prose are hard to read, however wide the terminal is.
const PROSE: usize = 110;
/// Where the texts of lines begin that have a name before them.
const INDENT: usize = 12;

/// How the page is to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// How many columns there are; without a terminal, as many as are wanted.
    pub(super) width: usize,
    /// Whether colours may be used.
    pub(super) colour: bool,
}

impl Look {
    /// For standard output as it is.
    pub(super) fn of_stdout() -> Self {
        let out = std::io::stdout();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let columns = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
        Self {
            width: if columns == 0 { usize::MAX } else { columns },
            colour: out.is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// `text` as the terminal shows it in a mood: a colour of its own palette.
    fn paint(self, text: &str, mood: Mood) -> String {
        if !self.colour || text.trim().is_empty() {
            return text.to_owned();
        }
        let code = match mood {
            Mood::Good => "32",
            Mood::Under => "33",
            Mood::Bad => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The page, without the line break at its end.
pub(super) fn page(daemon: &Daemon, address: &str, notice: Option<&str>, look: Look) -> String {
    let mut lines = vec![first_line(daemon, address, look), String::new()];
    lines.extend(table(daemon, look));
    lines.push(String::new());
    for hindrance in &daemon.hindrances {
        let about = matters::about(hindrance);
        named(&mut lines, &format!("! {about}"), &hindrance.text, look);
        if let Some(advice) = &hindrance.advice {
            named(&mut lines, "", &format!("-> {advice}"), look);
        }
    }
    if !daemon.hindrances.is_empty() {
        lines.push(String::new());
    }
    named(&mut lines, "kafka", &matters::kafka(&daemon.kafka), look);
    named(&mut lines, "journals", &matters::journals(daemon), look);
    if let Some(quarantine) = matters::quarantine(daemon) {
        named(&mut lines, "quarantine", &quarantine, look);
    }
    if let Some(reload) = matters::reload(daemon) {
        named(&mut lines, "last reload", &reload, look);
    }
    if let Some(notice) = notice {
        named(&mut lines, "note", notice, look);
    }
    lines.join("\n")
}

fn first_line(daemon: &Daemon, address: &str, look: Look) -> String {
    let (mood, hindrances) = match daemon.hindrances.len() {
        0 => (Mood::Good, String::new()),
        number => (
            Mood::Bad,
            format!(", {}", count(number as u64, "hindrance", "hindrances")),
        ),
    };
    let ready = look.paint(&matters::readiness(daemon), mood);
    let version = &daemon.version;
    format!(
        "livestreamd {version} at {address}: {ready}{hindrances}, up {}",
        length(daemon.uptime_seconds)
    )
}

fn table(daemon: &Daemon, look: Look) -> Vec<String> {
    let all: Vec<Row<'_>> = daemon
        .streams
        .iter()
        .flat_map(|stream| rows(daemon, stream, 0.0))
        .collect();
    if all.is_empty() {
        return vec!["there are no streams".to_owned()];
    }
    let layout = Layout::of(&all, look.width, Curve::IfRoom);
    let between = " ".repeat(BETWEEN);
    let line = |cells: Vec<String>| cells.join(&between).trim_end().to_owned();
    let mut lines = vec![line(layout.titles().map(|(_, title)| title).collect())];
    lines.extend(all.iter().map(|row| {
        let painted = |(nth, text): (usize, String)| {
            if nth == STATE {
                look.paint(&text, row.mood)
            } else {
                text
            }
        };
        line(layout.cells(row).map(painted).collect())
    }));
    lines
}

/// A line with a name before it, wrapped under itself.
fn named(lines: &mut Vec<String>, name: &str, text: &str, look: Look) {
    let room = look.width.min(PROSE).saturating_sub(INDENT).max(20);
    let mut before = cell(name, INDENT.max(width(name)), false);
    if width(name) >= INDENT {
        // A long name has a line of its own.
        lines.push(before);
        before = " ".repeat(INDENT);
    }
    for part in wrapped(text, room) {
        lines.push(format!("{before}{part}").trim_end().to_owned());
        before = " ".repeat(INDENT);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::shown::made_up::{daemon, snapshot, well};
    use super::*;
    use crate::status::{Hindrance, Stream};

    fn shown(daemon: &Daemon, width: usize) -> String {
        page(daemon, "127.0.0.1:9600", None, Look { width, colour: false })
    }

    #[test]
    fn the_page_of_a_daemon_in_trouble_is_as_it_was_looked_at() {
        snapshot("status/snapshots/80.txt", &shown(&daemon(), 80));
        snapshot("status/snapshots/160.txt", &shown(&daemon(), 160));
        snapshot("status/snapshots/well.txt", &shown(&well(), 80));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 40..170 {
            let page = page(
                &daemon(),
                "unix:/run/a",
                Some(&"note ".repeat(40)),
                Look {
                    width: columns,
                    colour: false,
                },
            );
            for line in page.lines().skip(1) {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = page(
            &daemon(),
            "a",
            None,
            Look {
                width: 100,
                colour: true,
            },
        );
        let plain = page(
            &daemon(),
            "a",
            None,
            Look {
                width: 100,
                colour: false,
            },
        );
        let mut stripped = coloured.clone();
        for code in ["\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[0m"] {
            assert!(coloured.contains(code));
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
        assert!(!plain.contains('\x1b'));
    }

    #[test]
    fn a_daemon_that_says_nothing_or_much_is_shown_too() {
        assert!(shown(&Daemon::default(), 80).contains("there are no streams"));
        let mut much = daemon();
        much.streams.push(Stream {
            name: "n".repeat(64),
            ..much.streams[0].clone()
        });
        much.hindrances.push(Hindrance {
            stream: Some("n".repeat(64)),
            text: "t".repeat(300),
            ..Hindrance::default()
        });
        assert!(
            shown(&much, 80).lines().all(|line| width(line) <= 80),
            "{}",
            shown(&much, 80)
        );
    }
}
