//! A test of a configuration (`[[tests]]`): one hit, and what is expected to become of it. Promise: pure; what differs is told, all of it.

use std::fmt;

use super::message::Message;
use super::outcome::{Headers, Outcome, Room, outcome};
use super::output::Output;
use super::template::Names;

/// As much of a value is shown, in characters: from a little before the first that differs.
const SHOWN: usize = 80;
/// So much before it.
const SHOWN_BEFORE: usize = 20;

/// A hit, and what is expected. No `Debug`: people may have copied the hit from a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Trial {
    /// The hit, without a line ending.
    pub record: String,
    /// When it came off the wire, in milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// What is expected of it.
    pub fate: Fate,
    /// What is expected of the message that comes out.
    pub message: Expected,
}

/// What may become of a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes out.
    Forwarded,
    /// The filter of this name holds it back.
    HeldBack(String),
    /// It lacks this field.
    Incomplete(String),
    /// It is a dead letter, for this reason.
    DeadLetter(String),
}

/// What is expected of a message. What is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Where it goes.
    pub topic: Option<String>,
    /// Its key; none if empty.
    pub key: Option<String>,
    /// Its timestamp, in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<u64>,
    /// Headers by name; not there if empty.
    pub headers: Vec<(String, String)>,
    /// Its value, byte for byte.
    pub value: Option<String>,
}

/// Something that is otherwise than expected. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    what: String,
    found: String,
    expected: String,
}

impl Trial {
    /// Holds what becomes of the hit against what is expected.
    ///
    /// # Errors
    /// All that differs; never empty.
    pub fn run(&self, output: &Output, names: Names<'_>) -> Result<(), Vec<Difference>> {
        let mut room = Room::default();
        let found = outcome(output, names, self.record.as_bytes(), self.received_ms, &mut room);
        let fate = Fate::of(&found);
        let mut differences = Vec::new();
        if fate != self.fate {
            // What else differs follows from that.
            differences.push(difference("the hit", &fate, &self.fate));
        } else if let Some(message) = found.message() {
            self.message.hold_against(message, &mut differences);
        } else if self.message != Expected::default() {
            differences.push(difference("the hit", &"dropped", &"a message"));
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences)
        }
    }
}

impl Fate {
    fn of(outcome: &Outcome<'_>) -> Self {
        match outcome {
            Outcome::Forwarded(_) => Self::Forwarded,
            Outcome::HeldBack(filter) => Self::HeldBack((*filter).to_owned()),
            Outcome::Incomplete { field, .. } => Self::Incomplete((*field).to_owned()),
            Outcome::DeadLetter { reason, .. } => Self::DeadLetter(reason.name().to_owned()),
        }
    }
}

impl Expected {
    fn hold_against(&self, message: &Message<'_, Headers>, differences: &mut Vec<Difference>) {
        let Self {
            topic,
            key,
            timestamp_ms,
            headers,
            value,
        } = self;
        let mut compare = |what: &str, found: Option<&str>, expected: &str| {
            let expected = Some(expected).filter(|text| !text.is_empty());
            if found != expected {
                differences.push(difference(what, &quoted(found), &quoted(expected)));
            }
        };
        if let Some(topic) = topic {
            compare("topic", Some(message.topic), topic);
        }
        if let Some(key) = key {
            compare("key", message.key, key);
        }
        for (name, value) in headers {
            let found = message.headers.iter().find(|(other, _)| other == name);
            compare(&format!("header {name}"), found.map(|(_, value)| value.as_str()), value);
        }
        if let Some(expected) = timestamp_ms.filter(|expected| *expected != message.timestamp_ms) {
            differences.push(difference("timestamp", &message.timestamp_ms, &expected));
        }
        if let Some(expected) = value.as_ref().filter(|value| value.as_bytes() != message.value) {
            differences.push(difference_of_values(&String::from_utf8_lossy(message.value), expected));
        }
    }
}

fn difference(what: &str, found: &impl ToString, expected: &impl ToString) -> Difference {
    Difference {
        what: what.to_owned(),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("{text:?}"))
}

/// Values may be long: they are shown from a little before where they differ.
fn difference_of_values(found: &str, expected: &str) -> Difference {
    let same = found
        .chars()
        .zip(expected.chars())
        .take_while(|(one, other)| one == other);
    let same = same.count();
    let from = if same > SHOWN_BEFORE * 2 {
        same - SHOWN_BEFORE
    } else {
        0
    };
    let shown = |text: &str| {
        let part: String = text.chars().skip(from).take(SHOWN).collect();
        let cut = if text.chars().count() > from + SHOWN { "…" } else { "" };
        let before = if from > 0 { "…" } else { "" };
        format!("{before}{part:?}{cut}")
    };
    let what = match from {
        0 => "value".to_owned(),
        _ => format!("value, at character {},", same + 1),
    };
    difference(&what, &shown(found), &shown(expected))
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forwarded => f.write_str("forwarded"),
            Self::HeldBack(filter) => write!(f, "held back by {filter}"),
            Self::Incomplete(field) => write!(f, "incomplete without {field}"),
            Self::DeadLetter(reason) => write!(f, "a dead letter ({reason})"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {} where {} was expected",
            self.what, self.found, self.expected
        )
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
