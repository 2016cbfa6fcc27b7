//! `livestreamd explain`: what an answer of the service or a reason in the log means, what the daemon does, and what to do.
//!
//! It only shows the one table of [`crate::lifecycle::answers`]; docs/answers.md is the same in [`markdown`]. And the page of all metrics.

mod markdown;

use std::fmt::Write as _;

use serde::Serialize;

use super::output::{answer, failure, tell};
use crate::admin::metrics;
use crate::exit_code::ExitCode;
use crate::lifecycle::answers::{Advised, Explanation, all, find};

/// The width of a line of text.
const WIDTH: usize = 100;
/// Where the text of a line begins, after what it is about.
const INDENT: usize = 14;

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A status, such as 409, or a reason from the log, such as stalled; without it, all are listed
    #[arg(value_name = "STATUS|REASON")]
    what: Option<String>,
    /// For programs: a JSON array of all that is known
    #[arg(long)]
    json: bool,
    /// The whole table as a page of Markdown: docs/answers.md
    #[arg(long, conflicts_with_all = ["json", "what"])]
    markdown: bool,
    /// All metrics as a page of Markdown: docs/metrics.md
    #[arg(long, conflicts_with_all = ["json", "what", "markdown"])]
    metrics: bool,
}

pub(super) fn explain(args: &ExplainArgs) -> ExitCode {
    let found: Vec<&Explanation> = match &args.what {
        Some(what) => find(what),
        None => all().collect(),
    };
    if found.is_empty() {
        let what = args.what.as_deref().unwrap_or_default();
        let known: Vec<&str> = all().map(|one| one.name).collect();
        tell(format_args!(
            "livestreamd: {what:?} is no status and no reason: use a status from 100 to 999, or one of {}",
            known.join(", ")
        ));
        return ExitCode::Usage;
    }
    let text = if args.metrics {
        Ok(metrics::markdown::page())
    } else if args.markdown {
        Ok(markdown::page())
    } else if args.json {
        let entries: Vec<Entry> = found.into_iter().map(Entry::from).collect();
        serde_json::to_string_pretty(&entries)
    } else if args.what.is_some() {
        Ok(found.into_iter().map(in_full).collect::<Vec<_>>().join("\n\n"))
    } else {
        Ok(found.into_iter().map(in_a_line).collect::<Vec<_>>().join("\n"))
    };
    match text {
        Ok(text) => answer(text).err().unwrap_or(ExitCode::Ok),
        Err(error) => failure(&error),
    }
}

/// What `--json` shows.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    also: &'static [&'static str],
    log_reason: Option<&'static str>,
    title: &'static str,
    means: &'static str,
    livestreamd: String,
    operator: &'static str,
    logged: &'static str,
    source: &'static str,
}

impl From<&Explanation> for Entry {
    fn from(one: &Explanation) -> Self {
        Self {
            name: one.name,
            also: one.also,
            log_reason: Some(one.reason).filter(|reason| !reason.is_empty()),
            title: one.title,
            means: one.means,
            livestreamd: one.daemon(),
            operator: one.operator,
            logged: match one.advised {
                Advised::Never => "never",
                Advised::WhenItPersists => "when it persists",
                Advised::Always => "always",
            },
            source: one.source,
        }
    }
}

fn in_a_line(one: &Explanation) -> String {
    format!("{:<18} {}", one.name, one.title)
}

fn in_full(one: &Explanation) -> String {
    let mut text = format!("{}: {}", one.name, one.title);
    for (about, says) in [
        ("means", one.means),
        ("livestreamd", &one.daemon()),
        ("you", one.operator),
        ("source", one.source),
    ] {
        let _ = write!(text, "\n  {about:<width$}", width = INDENT - 2);
        text.push_str(&wrapped(says));
    }
    text
}

/// Broken at spaces into lines of [`WIDTH`], all but the first indented.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), INDENT);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > INDENT && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:INDENT$}", "");
            column = INDENT;
        } else if column > INDENT {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_at_spaces_and_lose_nothing() {
        for one in all() {
            let text = in_full(one);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [one.means, one.operator, one.source, &one.daemon()] {
                assert!(words(&text).contains(part), "{part}: {text}");
            }
        }
        assert_eq!(wrapped(&"x".repeat(200)), "x".repeat(200), "a word is never broken");
    }

    #[test]
    fn names_leave_room_for_titles() {
        for one in all() {
            assert!(one.name.len() <= 18, "{}", one.name);
        }
    }
}
