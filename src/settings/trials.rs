//! `[[tests]]`: hits, and what is expected to become of them.
//!
//! Promise: a test that is taken can fail, and it can pass as far as that is known without its hit: a name that nothing has is a fault.

use std::sync::Arc;

use config::ValueKind;

use super::defaults;
use super::fault::{Place, Reported};
use super::resolved::{DEFAULT_OUTPUT, Output, StreamSettings, TestSettings};
use super::tree::{Maybe, Section, noun, value_or};
use crate::hit::NotAHit;
use crate::shape::message;
use crate::shape::pointer::Pointer;
use crate::shape::trial::{Expected, Fate, Trial};

/// The reasons for which the text of a test may be a dead letter. Text is UTF-8, and what is too long no test has room for.
const REASONS: [NotAHit; 3] = [NotAHit::NotJson, NotAHit::NotAnObject, NotAHit::TrailingBytes];

/// What a test says.
struct Keys {
    name: Maybe<String>,
    stream: Maybe<String>,
    output: Maybe<String>,
    input: Maybe<String>,
    received: Maybe<u64>,
    held_back_by: Maybe<String>,
    incomplete: Maybe<String>,
    dead_letter: Maybe<String>,
    topic: Maybe<String>,
    key: Maybe<String>,
    timestamp: Maybe<u64>,
    headers: Maybe<Vec<(String, String)>>,
    value: Maybe<String>,
}

/// Takes all of `[[tests]]`.
pub(super) fn take(
    root: &mut Section<'_>,
    streams: &Result<Vec<StreamSettings>, Reported>,
) -> Result<Vec<TestSettings>, Reported> {
    let made = root.sections("tests", |number, section| {
        let keys = Keys::take(section);
        // What is wrong with the streams has been said, and a test is of one of them.
        let streams = streams.as_ref().map_err(|reported| *reported)?;
        keys.make(number, streams, section)
    })?;
    made.into_iter().collect()
}

impl Keys {
    fn take(section: &mut Section<'_>) -> Self {
        Self {
            name: section.text("name"),
            stream: section.text("stream"),
            output: section.text("output"),
            input: section.verbatim("input"),
            received: section.number("received", defaults::TEST_TIMES),
            held_back_by: section.text("held_back_by"),
            incomplete: section.text("incomplete"),
            dead_letter: section.text("dead_letter"),
            topic: section.text("topic"),
            key: section.verbatim("key"),
            timestamp: section.number("timestamp", defaults::TEST_TIMES),
            headers: headers(section),
            value: section.verbatim("value"),
        }
    }

    fn make(
        self,
        number: usize,
        streams: &[StreamSettings],
        section: &mut Section<'_>,
    ) -> Result<TestSettings, Reported> {
        let name = match self.name {
            Ok(Some(name)) => Ok(name.value),
            Ok(None) => {
                let place = section.absent("name");
                Err(section
                    .report
                    .fault(&place, None, "is missing; say what must hold, in a few words"))
            }
            Err(reported) => Err(reported),
        };
        let stream = stream(self.stream, streams, section);
        let output = match &stream {
            Ok(stream) => output(self.output, stream, section),
            Err(reported) => Err(*reported),
        };
        let record = record(self.input, stream.as_ref().ok().copied(), section);
        let output_made = output.as_ref().ok().map(AsRef::as_ref);
        let fate = fate(
            self.held_back_by,
            self.incomplete,
            self.dead_letter,
            output_made,
            section,
        );
        let headers = known_headers(self.headers, output_made, section);
        let timestamp = self.timestamp?;
        let received = self.received?;
        if let Some(received) = received.as_ref().filter(|_| timestamp.is_none()) {
            return Err(received.fault(section.report, "has no effect without timestamp; remove it"));
        }
        let message = Expected {
            topic: self.topic?.map(|found| found.value),
            key: self.key?.map(|found| found.value),
            timestamp_ms: timestamp.map(|found| found.value),
            headers: headers?,
            value: value(self.value, section)?,
        };
        let is_anything = message != Expected::default();
        let fate = match (fate?, is_anything) {
            (Fate::HeldBack(_), true) => {
                let place = section.absent("held_back_by");
                let problem = "nothing comes out of a hit that is held back; remove what is expected of a message";
                return Err(section.report.fault(&place, None, problem));
            }
            (Fate::Forwarded, false) => {
                let place = Place::absent(section.path());
                let problem = "expects nothing, so it could not fail; say what comes out (topic, key, timestamp, headers, value), or why not (held_back_by, incomplete, dead_letter)";
                return Err(section.report.fault(&place, None, problem));
            }
            (fate, _) => fate,
        };
        let stream = stream?;
        Ok(TestSettings {
            number,
            name: name?,
            stream: stream.name.clone(),
            report_suite: stream.report_suite.clone(),
            output: output?,
            trial: Trial {
                record: record?,
                received_ms: received.map_or(defaults::TEST_RECEIVED, |found| found.value),
                fate,
                message,
            },
        })
    }
}

fn stream<'s>(
    named: Maybe<String>,
    streams: &'s [StreamSettings],
    section: &mut Section<'_>,
) -> Result<&'s StreamSettings, Reported> {
    let choices = || joined(streams.iter().map(|stream| stream.name.as_str()));
    match (named?, streams) {
        (None, [stream]) => Ok(stream),
        (None, _) => {
            let problem = format!("is missing; there are several streams: choose one of {}", choices());
            Err(section.report.fault(&section.absent("stream"), None, problem))
        }
        (Some(named), _) => match streams.iter().find(|stream| stream.name == named.value) {
            Some(stream) => Ok(stream),
            None => Err(named.fault(section.report, format!("is no stream; choose one of {}", choices()))),
        },
    }
}

fn output(named: Maybe<String>, stream: &StreamSettings, section: &mut Section<'_>) -> Result<Arc<Output>, Reported> {
    let named = named?;
    let name = named.as_ref().map_or(DEFAULT_OUTPUT, |found| found.value.as_str());
    if let Some(output) = stream.outputs.iter().find(|output| output.name() == name) {
        return Ok(Arc::clone(output));
    }
    let choices = joined(stream.outputs.iter().map(|output| output.name()));
    let problem = format!("is no output of stream {}; choose one of {choices}", stream.name);
    Err(match named {
        Some(named) => named.fault(section.report, problem),
        None => section.report.fault(&section.absent("output"), None, problem),
    })
}

/// What JSON calls white space. The daemon does not strip any other.
const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The value of the message.
fn value(value: Maybe<String>, section: &mut Section<'_>) -> Result<Option<String>, Reported> {
    let Some(found) = value? else { return Ok(None) };
    let text = found.value.trim_matches(JSON_SPACE);
    if text.is_empty() {
        let problem = "is empty, which no message is that such a test can be of; leave it out";
        return Err(found.fault(section.report, problem));
    }
    Ok(Some(text.to_owned()))
}

/// The hit: one line.
fn record(
    input: Maybe<String>,
    stream: Option<&StreamSettings>,
    section: &mut Section<'_>,
) -> Result<String, Reported> {
    let Some(input) = input? else {
        let problem = "is missing; set it to a hit between three quotes, as in '''{\"bot\":\"Googlebot\"}'''";
        return Err(section.report.fault(&section.absent("input"), None, problem));
    };
    let record = input.value.trim_matches(JSON_SPACE);
    let problem = if record.is_empty() {
        "is empty; the service sends such lines now and then, and they are no hits".to_owned()
    } else if record.contains('\n') {
        "holds a line break; a hit is one line".to_owned()
    } else if let Some(stream) = stream.filter(|stream| record.len() > stream.max_record_bytes) {
        format!(
            "is longer than max_record_bytes of stream {}; give a shorter hit",
            stream.name
        )
    } else {
        return Ok(record.to_owned());
    };
    Err(input.fault(section.report, problem))
}

/// What is to become of the hit; at most one of these is said.
fn fate(
    held_back_by: Maybe<String>,
    incomplete: Maybe<String>,
    dead_letter: Maybe<String>,
    output: Option<&Output>,
    section: &mut Section<'_>,
) -> Result<Fate, Reported> {
    let said = [
        held_back_by?.map(|found| (Fate::HeldBack(found.value.clone()), found)),
        incomplete?.map(|found| (Fate::Incomplete(found.value.clone()), found)),
        dead_letter?.map(|found| (Fate::DeadLetter(found.value.clone()), found)),
    ];
    let mut said = said.into_iter().flatten();
    let Some((fate, found)) = said.next() else {
        return Ok(Fate::Forwarded);
    };
    if let Some((_, second)) = said.next() {
        let problem = "cannot be as well: one of held_back_by, incomplete and dead_letter becomes of a hit";
        return Err(second.fault(section.report, problem));
    }
    let (what, choices): (_, Vec<&str>) = match (&fate, output) {
        (Fate::HeldBack(_), Some(output)) => ("filter of this output", output.filters().collect()),
        (Fate::Incomplete(_), Some(output)) => {
            let required = output.settings().shape.required.iter().map(Pointer::text);
            ("required field of this output", required.collect())
        }
        (Fate::DeadLetter(_), _) => ("reason that text can have", REASONS.map(NotAHit::name).to_vec()),
        // The output has a fault of its own.
        (Fate::Forwarded | Fate::HeldBack(_) | Fate::Incomplete(_), _) => return Ok(fate),
    };
    if choices.contains(&found.value.as_str()) {
        return Ok(fate);
    }
    let problem = if choices.is_empty() {
        format!("is no {what}: there is none")
    } else {
        format!("is no {what}; choose one of {}", joined(choices.into_iter()))
    };
    Err(found.fault(section.report, problem))
}

/// Headers by name; empty ones are not to be there.
fn headers(section: &mut Section<'_>) -> Maybe<Vec<(String, String)>> {
    section.entries_of("headers", |_, place, value, report| {
        let ValueKind::String(text) = value else {
            let problem = format!("{} stands where text in quotes belongs", noun(value));
            return Err(report.fault(place, None, problem));
        };
        Ok(text.clone())
    })
}

/// That a header is not there is true of each that nobody sets.
fn known_headers(
    headers: Maybe<Vec<(String, String)>>,
    output: Option<&Output>,
    section: &mut Section<'_>,
) -> Result<Vec<(String, String)>, Reported> {
    let headers = value_or(headers, Vec::new())?;
    let Some(output) = output else { return Ok(headers) };
    let own = &output.settings().shape.headers;
    let is_known = |name: &str| message::HEADERS.contains(&name) || own.iter().any(|(own, _)| own.as_str() == name);
    for (name, _) in &headers {
        if [message::DUPLICATE, message::DEAD_LETTER_LENGTH].contains(&name.as_str()) {
            let problem = "is a header that the daemon alone sets: a test knows neither other hits nor Kafka's limits";
            let place = Place::file(format!("{}.headers.{name}", section.path()));
            return Err(section.report.fault(&place, None, problem));
        }
        if !is_known(name) {
            let known = message::HEADERS
                .into_iter()
                .chain(own.iter().map(|(name, _)| name.as_str()));
            let problem = format!("is no header that this output sets; it sets {}", joined(known));
            let place = Place::file(format!("{}.headers.{name}", section.path()));
            return Err(section.report.fault(&place, None, problem));
        }
    }
    Ok(headers)
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
