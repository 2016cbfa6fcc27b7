//! What becomes of a stream's hits: the keys that stand in `[kafka]`, again in `[streams.NAME]`, and again in each `[streams.NAME.outputs.NAME]`.

use std::sync::Arc;

use super::defaults;
use super::fault::{Place, Report, Reported};
use super::resolve::Surroundings;
use super::resolved::{MessageKey, MessageTime, OutputSettings, Topics};
use super::shape::ShapeKeys;
use super::topic;
use super::tree::{Found, Maybe, Section, or, over, value_or};
use crate::shape::output::{DEFAULT_OUTPUT, Output};
use crate::shape::pointer::Pointer;
use crate::shape::template::Names;
use crate::shape::topic::Glob;

/// The keys of an output.
#[derive(Clone)]
pub(super) struct OutputKeys {
    topic: Maybe<String>,
    allowed_topics: Maybe<Vec<Glob>>,
    fallback_topic: Maybe<String>,
    dead_letter_topic: Maybe<String>,
    key: Maybe<MessageKey>,
    timestamp: Maybe<MessageTime>,
    shape: ShapeKeys,
}

/// One output as far as it could be made.
pub(super) struct Draft {
    /// Where its hits go.
    pub(super) topic: Result<Found<Topics>, Reported>,
    /// Where go what is no hit.
    pub(super) dead_letter_topic: Result<Found<String>, Reported>,
    /// All of it.
    pub(super) made: Result<Arc<Output>, Reported>,
}

/// The names that stand in templates.
#[derive(Clone, Copy)]
pub(super) struct Owner<'o> {
    pub(super) stream: &'o str,
    pub(super) report_suite: &'o str,
}

impl OutputKeys {
    /// Takes them out of a section that has its shape with it.
    pub(super) fn take(section: &mut Section<'_>, around: &Surroundings) -> Self {
        let shape = section.section("shape", |section| ShapeKeys::take(section, around));
        Self::take_with(section, shape)
    }

    /// Takes them out of one whose shape stands elsewhere: `[kafka]`, and `[shape]`.
    pub(super) fn take_with(section: &mut Section<'_>, shape: ShapeKeys) -> Self {
        let times = [
            MessageTime::Received,
            MessageTime::TimeGmt,
            MessageTime::ReceivedTimeGmt,
        ];
        Self {
            topic: section.text("topic"),
            allowed_topics: section.list("allowed_topics", |text| {
                Glob::parse(text).map_err(|fault| format!("is no pattern for topics ({fault})"))
            }),
            fallback_topic: section.text("fallback_topic"),
            dead_letter_topic: section.text("dead_letter_topic"),
            key: section.parsed("key", "a word in quotes", message_key),
            timestamp: section.choice("timestamp", &times.map(|time| (time.name(), time))),
            shape,
        }
    }

    /// What is set here, else there.
    pub(super) fn over(self, shared: &Self) -> Self {
        Self {
            topic: over(self.topic, &shared.topic),
            allowed_topics: over(self.allowed_topics, &shared.allowed_topics),
            fallback_topic: over(self.fallback_topic, &shared.fallback_topic),
            dead_letter_topic: over(self.dead_letter_topic, &shared.dead_letter_topic),
            key: over(self.key, &shared.key),
            timestamp: over(self.timestamp, &shared.timestamp),
            shape: self.shape.over(&shared.shape),
        }
    }

    /// Makes the output of this name, which stands in `section`.
    pub(super) fn make(self, name: &str, owner: Result<Owner<'_>, Reported>, section: &mut Section<'_>) -> Draft {
        let topic = or(self.topic, section.absent("topic"), defaults::TOPIC.to_owned())
            .and_then(|topic| route(topic, self.allowed_topics, self.fallback_topic, owner?, section));
        let default = defaults::DEAD_LETTER_TOPIC.to_owned();
        let dead_letter_topic = or(self.dead_letter_topic, section.absent("dead_letter_topic"), default)
            .and_then(|topic| filled(topic, owner?, section.report));
        let shape = owner.and_then(|owner| self.shape.make(owner.stream, owner.report_suite, section.report));
        let (key, timestamp) = (self.key, self.timestamp);
        let made = (|| {
            let settings = OutputSettings {
                name: name.to_owned(),
                topic: topic.as_ref().map_err(|reported| *reported)?.value.clone(),
                dead_letter_topic: dead_letter_topic.as_ref().map_err(|reported| *reported)?.value.clone(),
                key: value_or(key, MessageKey::Visitor)?,
                timestamp: value_or(timestamp, MessageTime::Received)?,
                shape: shape?,
            };
            match Output::new(settings) {
                Ok(output) => Ok(Arc::new(output)),
                Err(fault) => {
                    let place = Place::absent(section.path());
                    Err(section.report.fault(&place, None, fault.to_string()))
                }
            }
        })();
        Draft {
            topic,
            dead_letter_topic,
            made,
        }
    }

    /// Makes a further output, whose section this is: what it does not set is as `stream` has it, but for the topic, which it must set.
    pub(super) fn make_further(
        self,
        name: &str,
        stream: &Self,
        owner: Result<Owner<'_>, Reported>,
        section: &mut Section<'_>,
    ) -> Draft {
        if name == DEFAULT_OUTPUT {
            let place = Place::absent(section.path());
            let problem =
                "is the name of the output that each stream has, whose keys stand in the stream itself; choose another";
            section.report.fault(&place, None, problem);
        }
        let has_topic = !matches!(self.topic, Ok(None));
        let mut keys = self.over(stream);
        if !has_topic {
            let place = section.absent("topic");
            let problem = "is missing: an output of its own needs a topic of its own";
            keys.topic = Err(section.report.fault(&place, None, problem));
        }
        keys.make(name, owner, section)
    }
}

fn message_key(text: &str) -> Result<MessageKey, String> {
    match text {
        "visitor" => Ok(MessageKey::Visitor),
        "experience_cloud" => Ok(MessageKey::ExperienceCloud),
        "hit" => Ok(MessageKey::Hit),
        "report_suite" => Ok(MessageKey::ReportSuite),
        "none" => Ok(MessageKey::None),
        _ if text.starts_with('/') => match Pointer::parse(text) {
            Ok(pointer) if pointer.is_wild() => Err("may be several fields; a key is one, without stars".to_owned()),
            Ok(pointer) => Ok(MessageKey::Field(pointer)),
            Err(fault) => Err(format!("is no JSON pointer ({fault})")),
        },
        _ => Err(
            "is none of visitor, experience_cloud, hit, report_suite, none, and no field such as /geoCountry"
                .to_owned(),
        ),
    }
}

/// Where hits go: to one topic, or by their fields.
fn route(
    topic: Found<String>,
    allowed: Maybe<Vec<Glob>>,
    fallback: Maybe<String>,
    owner: Owner<'_>,
    section: &mut Section<'_>,
) -> Result<Found<Topics>, Reported> {
    let (allowed, fallback) = (allowed?, fallback?);
    if !topic.value.contains("{field:") {
        let own = format!("{}.", section.path());
        let places = [allowed.map(|found| found.place), fallback.map(|found| found.place)];
        if let Some(place) = places.into_iter().flatten().find(|place| place.key.starts_with(&own)) {
            let problem = "has no effect: the topic has no {field:...} in it";
            return Err(section.report.fault(&place, None, problem));
        }
        return Ok(filled(topic, owner, section.report)?.map(Topics::One));
    }
    let template = match crate::shape::topic::parse(&topic.value) {
        Ok(template) => template,
        Err(fault) => {
            let (shown, excerpt) = (topic.shown, fault.excerpt());
            let problem = fault.to_string();
            return Err(section.report.fault_within(&topic.place, shown, problem, &excerpt));
        }
    };
    let Some(allowed) = allowed.filter(|found| !found.value.is_empty()) else {
        let problem = "takes fields of hits, which anybody may have written: name the topics that may come out of it in allowed_topics, as in [\"hits.*\"]";
        return Err(topic.fault(section.report, problem));
    };
    let Some(fallback) = fallback else {
        let problem = "takes fields of hits: set fallback_topic to where hits go that have not the field, or ask for a topic that is not allowed";
        return Err(topic.fault(section.report, problem));
    };
    let fallback = filled(fallback, owner, section.report)?.value;
    // What stands around the fields.
    let names = Names {
        stream: owner.stream,
        report_suite: owner.report_suite,
    };
    let name = template.with(names, "x");
    if let Err(problem) = topic::legal(&name, owner.stream) {
        return Err(topic.fault(section.report, problem));
    }
    if name.starts_with("__") {
        let problem = format!(
            "gives topics of Kafka's own, whose names begin with two underscores, for stream {}",
            owner.stream
        );
        return Err(topic.fault(section.report, problem));
    }
    if allowed.value.iter().any(|glob| glob.only().is_none()) {
        let problem = "has a star in it, so hits name topics that nobody has listed: one that is not there holds the output up until it is made; \
                       list the names in full, or see to it that the brokers make topics";
        section.report.warn(allowed.place.key.as_str(), problem);
    }
    Ok(topic.map(|_| Topics::ByHit {
        template,
        allowed: allowed.value,
        fallback,
    }))
}

fn filled(template: Found<String>, owner: Owner<'_>, report: &mut Report) -> Result<Found<String>, Reported> {
    match topic::fill(&template.value, owner.stream, owner.report_suite) {
        Ok(name) => Ok(template.map(|_| name)),
        Err(problem) => Err(template.fault(report, problem)),
    }
}
