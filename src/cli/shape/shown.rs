//! What becomes of one hit, in lines for people or as one line of JSON. Promise: pure, and nothing in it steers a terminal: characters that would are written as JSON
//! escapes them, in both forms.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::super::shown::text::escaped;
use crate::shape::message::Message;
use crate::shape::outcome::{Headers, Outcome};

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines for people.
    Text,
    /// A line of JSON.
    Json,
}

/// Which hit, and which output.
pub(super) struct Place<'a> {
    /// The file, unless it is standard input.
    pub(super) file: Option<&'a Path>,
    /// From 1 on.
    pub(super) line: u64,
    pub(super) stream: &'a str,
    pub(super) output: &'a str,
    /// Whether other outputs are shown beside it.
    pub(super) is_one_of_several: bool,
}

impl Form {
    /// All that is to be written, line endings included.
    pub(super) fn of(self, place: &Place<'_>, outcome: &Outcome<'_>) -> String {
        match self {
            Self::Text => text(place, outcome),
            Self::Json => json(place, outcome),
        }
    }
}

fn text(place: &Place<'_>, outcome: &Outcome<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if let Some(file) = place.file {
        let _ = write!(out, "{}, ", escaped(&file.display().to_string()));
    }
    let _ = write!(out, "line {}", place.line);
    if place.is_one_of_several {
        let _ = write!(out, ", output {}", place.output);
    }
    let _ = match outcome {
        Outcome::Forwarded(_) => write!(out, ": forwarded"),
        Outcome::HeldBack(filter) => write!(out, ": held back by the filter {filter}"),
        Outcome::Incomplete { field, message } => {
            let what = if message.is_some() { "" } else { ", and dropped" };
            write!(out, ": incomplete, without {}{what}", escaped(field))
        }
        Outcome::DeadLetter {
            reason,
            message: Some(_),
        } => write!(out, ": a dead letter, {}", reason.name()),
        Outcome::DeadLetter { reason, message: None } => {
            write!(out, ": {}, which is a dead letter of the output default", reason.name())
        }
    };
    out.push('\n');
    if let Some(message) = outcome.message() {
        write_message(&mut out, message);
    }
    out
}

fn write_message(out: &mut String, message: &Message<'_, Headers>) {
    let mut row = |what: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {what:<10} {}", escaped(value));
    };
    row("topic", message.topic);
    row("key", message.key.unwrap_or("(none)"));
    let time = UNIX_EPOCH + Duration::from_millis(message.timestamp_ms);
    let time = humantime::format_rfc3339_millis(time);
    row("timestamp", &format!("{} ({time})", message.timestamp_ms));
    for (name, value) in &message.headers {
        row("header", &format!("{name}: {value}"));
    }
    row("value", &String::from_utf8_lossy(message.value));
}

/// What `--json` shows: the help has each field.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    line: u64,
    stream: &'a str,
    output: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<&'a str>,
    #[serde(flatten)]
    message: Option<Sent<'a>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    topic: &'a str,
    key: Option<&'a str>,
    timestamp: u64,
    #[serde(serialize_with = "object")]
    headers: &'a Headers,
    value: String,
}

fn json(place: &Place<'_>, outcome: &Outcome<'_>) -> String {
    let (name, held_back_by, incomplete, dead_letter) = match outcome {
        Outcome::Forwarded(_) => ("forwarded", None, None, None),
        Outcome::HeldBack(filter) => ("held_back", Some(*filter), None, None),
        Outcome::Incomplete { field, .. } => ("incomplete", None, Some(*field), None),
        Outcome::DeadLetter { reason, .. } => ("dead_letter", None, None, Some(reason.name())),
    };
    let entry = Entry {
        file: place.file.map(|file| file.display().to_string()),
        line: place.line,
        stream: place.stream,
        output: place.output,
        outcome: name,
        held_back_by,
        incomplete,
        dead_letter,
        message: outcome.message().map(|message| Sent {
            topic: message.topic,
            key: message.key,
            timestamp: message.timestamp_ms,
            headers: &message.headers,
            value: String::from_utf8_lossy(message.value).into_owned(),
        }),
    };
    // Texts and numbers: they can always be written.
    let line = serde_json::to_string(&entry).unwrap_or_default();
    escaped(&line) + "\n"
}

/// In their order; no two have one name.
fn object<S: Serializer>(headers: &Headers, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
