//! How the hits of one output become messages: which go out, with which bytes, and under which topic, key, time and headers.
//!
//! Promise: what privacy changes in a hit it changes in the topic, the key, the time and the headers as well, also where they hold ids of the hit. An output that asks for nothing costs nothing: its
//! hits are not walked over.

mod settings;

use super::pointer::Pointer;
use super::template::{Filled, Names};
use super::topic::{NotATopic, Topic};
use super::{Plan, Scratch, SeveralFields, Shape, Shaped, TooManyFields, ValueId, Verdict};
use crate::hit::{DeadLetterReason, Hit};
pub use settings::{DEFAULT_OUTPUT, MessageKey, MessageTime, OutputSettings, ShapeSettings, Topics};

/// Why settings make no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputFault {
    /// The key or a header may be several fields.
    #[error(transparent)]
    SeveralFields(#[from] SeveralFields),
    /// There are too many stars.
    #[error(transparent)]
    TooManyFields(#[from] TooManyFields),
    /// The fallback is not a topic.
    #[error(transparent)]
    NotATopic(#[from] NotATopic),
}

/// One output, ready for hits. Two are equal if their settings are.
pub struct Output {
    settings: OutputSettings,
    /// `None` if nothing of a hit is asked for or changed.
    shape: Option<Shape>,
    /// `None` if all hits go to one.
    topic: Option<Topic>,
    hit_id: Id,
    key: Key,
    time: Option<ValueId>,
    /// In the order of the settings.
    headers: Vec<Filled>,
}

enum Key {
    Visitor(Id),
    Hit,
    ReportSuite,
    None,
    Field(ValueId),
    /// Two fields, with `_` between them.
    Pair(ValueId, ValueId),
}

/// An id of two numbers.
enum Id {
    /// As it came.
    Open,
    /// As privacy leaves the two fields.
    Shaped(ValueId, ValueId),
}

impl Output {
    /// Puts it together.
    ///
    /// # Errors
    /// If the key or a header may be several fields, there are too many stars, or the fallback is not a topic.
    pub fn new(settings: OutputSettings) -> Result<Self, OutputFault> {
        let shape = &settings.shape;
        let mut plan = shape.plan();
        let hit_id = Id::of(&mut plan, "hitIdHigh", "hitIdLow")?;
        let key = match &settings.key {
            MessageKey::Visitor => Key::Visitor(Id::of(&mut plan, "visIdHigh", "visIdLow")?),
            MessageKey::Hit => Key::Hit,
            MessageKey::ReportSuite => Key::ReportSuite,
            MessageKey::None => Key::None,
            MessageKey::Field(pointer) => Key::Field(plan.value(pointer.clone())?),
            MessageKey::ExperienceCloud => Key::Pair(value(&mut plan, "mcVisIdHigh")?, value(&mut plan, "mcVisIdLow")?),
        };
        let time = match settings.timestamp {
            MessageTime::Received => None,
            MessageTime::TimeGmt => Some(value(&mut plan, "timeGMT")?),
            MessageTime::ReceivedTimeGmt => Some(value(&mut plan, "receivedTimeGMT")?),
        };
        let topic = match &settings.topic {
            Topics::One(_) => None,
            Topics::ByHit {
                template,
                allowed,
                fallback,
            } => Some(Topic::new(&mut plan, template, allowed.clone(), fallback)?),
        };
        let headers = shape.headers.iter().map(|(_, template)| template.fill(&mut plan));
        let headers = headers.collect();
        Ok(Self {
            settings,
            shape: if plan.is_empty() { None } else { Some(plan.shape()?) },
            topic,
            hit_id,
            key,
            time,
            headers,
        })
    }

    /// What becomes of a hit.
    pub fn apply<'a>(&self, hit: &'a [u8], scratch: &'a mut Scratch) -> Verdict<'a> {
        match &self.shape {
            None => Verdict::Forward(Shaped::untouched(hit)),
            Some(shape) => shape.apply(hit, scratch),
        }
    }

    /// What it was made of.
    pub const fn settings(&self) -> &OutputSettings {
        &self.settings
    }

    /// [`DEFAULT_OUTPUT`], or the name of a further one. Its cursor has it too.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its name, if it is not the output that every stream has.
    pub fn further(&self) -> Option<&str> {
        Some(self.name()).filter(|name| *name != DEFAULT_OUTPUT)
    }

    /// The names of the filters, by the index in [`Verdict::Dropped`].
    pub fn filters(&self) -> impl ExactSizeIterator<Item = &str> {
        self.settings.shape.filters.iter().map(|(name, _)| name.as_str())
    }

    /// The required field with the index in [`Verdict::Incomplete`].
    pub fn required(&self, field: usize) -> &str {
        self.settings.shape.required.get(field).map_or("", Pointer::text)
    }

    /// Where incomplete hits go.
    pub fn incomplete_topic(&self) -> Option<&str> {
        self.settings.shape.incomplete_topic.as_deref()
    }

    /// Whether it is the one that has dead letters of what is not a hit: a stream has one of each, however many outputs.
    pub fn describes_what_is_no_hit(&self) -> bool {
        self.further().is_none()
    }

    /// What a dead letter may tell of `bytes` that are not a hit. What was too long may have been one, and was shaped by nobody: where hits are changed, nothing is told of it.
    pub const fn told<'a>(&self, reason: DeadLetterReason, bytes: &'a [u8]) -> &'a [u8] {
        match reason {
            DeadLetterReason::TooLong if self.settings.shape.changes_hits() => &[],
            DeadLetterReason::TooLong | DeadLetterReason::NotAHit(_) | DeadLetterReason::TooLargeForKafka => bytes,
        }
    }

    /// Where what is not a hit goes, and what is too large.
    pub fn dead_letter_topic(&self) -> &str {
        &self.settings.dead_letter_topic
    }

    /// The topic for a hit.
    pub fn topic<'a>(&'a self, shaped: &Shaped<'_>, names: Names<'_>, buffer: &'a mut String) -> &'a str {
        match (&self.settings.topic, &self.topic) {
            (Topics::One(topic), _) => topic,
            (Topics::ByHit { fallback, .. }, None) => fallback,
            (Topics::ByHit { .. }, Some(topic)) => topic.name(shaped, names, buffer),
        }
    }

    /// The key for a hit, if it has one.
    pub fn key<'a>(&self, hit: Hit, shaped: &Shaped<'_>, names: Names<'a>, buffer: &'a mut String) -> Option<&'a str> {
        match &self.key {
            Key::Visitor(id) => id.write(hit.visitor_id, shaped, buffer),
            Key::Hit => self.hit_id.write(hit.hit_id, shaped, buffer),
            Key::ReportSuite => Some(names.report_suite),
            Key::None => None,
            Key::Field(value) => {
                buffer.clear();
                // An empty key is one that many have in common: they would all be in one partition.
                buffer.push_str(shaped.value(*value).filter(|text| !text.is_empty())?);
                Some(buffer)
            }
            Key::Pair(high, low) => {
                let half = |id: ValueId| shaped.value(id).filter(|text| !text.is_empty());
                Some(write_pair(half(*high)?, half(*low)?, buffer))
            }
        }
    }

    /// The timestamp for a hit that came off the wire at `received_ms`, in milliseconds since the Unix epoch. A field that is not there, is no number of seconds, is 0 (which is no
    /// time to librdkafka), or lies after `received_ms` counts for nothing: brokers refuse what comes from the future, and the stream would stand still.
    pub fn timestamp_ms(&self, shaped: &Shaped<'_>, received_ms: u64) -> u64 {
        let seconds = self.time.and_then(|time| shaped.value(time)?.parse::<u64>().ok());
        let ms = seconds.and_then(|seconds| seconds.checked_mul(1000));
        ms.filter(|ms| (1..=received_ms).contains(ms)).unwrap_or(received_ms)
    }

    /// The id of a hit, if it has one.
    pub fn hit_id<'a>(&self, hit: Hit, shaped: &Shaped<'_>, buffer: &'a mut String) -> Option<&'a str> {
        self.hit_id.write(hit.hit_id, shaped, buffer)
    }

    /// Tells which key the hashes in a hit are made with, if there may be any.
    pub fn hash_key_id(&self) -> Option<&str> {
        self.settings.shape.hash_key_id()
    }

    /// Adds the headers that the configuration asks for, by name and value. One whose field is not there is left out.
    pub fn headers<H>(
        &self,
        shaped: &Shaped<'_>,
        names: Names<'_>,
        buffer: &mut String,
        mut headers: H,
        add: impl Fn(H, &str, &str) -> H,
    ) -> H {
        for ((name, _), template) in self.settings.shape.headers.iter().zip(&self.headers) {
            buffer.clear();
            if template.write(shaped, names, |text| buffer.push_str(text)) {
                headers = add(headers, name, buffer);
            }
        }
        headers
    }
}

/// As its settings.
impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

impl PartialEq for Output {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Id {
    /// Found beside the rest of the hit's ids, unless privacy may change it.
    fn of(plan: &mut Plan, high: &str, low: &str) -> Result<Self, SeveralFields> {
        if plan.privacy.is_empty() {
            return Ok(Self::Open);
        }
        Ok(Self::Shaped(value(plan, high)?, value(plan, low)?))
    }

    /// Writes it, if the hit has one.
    fn write<'b>(&self, raw: Option<(u64, u64)>, shaped: &Shaped<'_>, buffer: &'b mut String) -> Option<&'b str> {
        let (high, low) = raw?;
        match self {
            Self::Open => {
                let (mut high_digits, mut low_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
                Some(write_pair(high_digits.format(high), low_digits.format(low), buffer))
            }
            Self::Shaped(high, low) => Some(write_pair(shaped.value(*high)?, shaped.value(*low)?, buffer)),
        }
    }
}

fn write_pair<'b>(high: &str, low: &str, buffer: &'b mut String) -> &'b str {
    buffer.clear();
    buffer.push_str(high);
    buffer.push('_');
    buffer.push_str(low);
    buffer
}

fn value(plan: &mut Plan, key: &str) -> Result<ValueId, SeveralFields> {
    plan.value(Pointer::of_key(key))
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
