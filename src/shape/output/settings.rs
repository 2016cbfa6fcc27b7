//! What is said of an output in the configuration: typed, and checked by [`super::Output::new`].

use std::fmt;

use crate::shape::pointer::Pointer;
use crate::shape::privacy::Action;
use crate::shape::template::Template;
use crate::shape::topic::Glob;
use crate::shape::{Fields, Filter, Plan};

/// The name of the output that every stream has, and of its cursor.
pub const DEFAULT_OUTPUT: &str = "default";

/// What is done with the hits of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// [`DEFAULT_OUTPUT`], or the name in `[streams.STREAM.outputs.NAME]`.
    pub name: String,
    /// Where hits go.
    pub topic: Topics,
    /// The topic for what is not a hit, and for the first bytes of what is too large.
    pub dead_letter_topic: String,
    /// What the message key is made of.
    pub key: MessageKey,
    /// What the message's timestamp is.
    pub timestamp: MessageTime,
    /// What of the hits goes out.
    pub shape: ShapeSettings,
}

impl OutputSettings {
    /// Those of an output that a stream has without further keys: all hits to one topic as they came, by visitor.
    pub fn to(topic: impl Into<String>, dead_letter_topic: impl Into<String>) -> Self {
        Self {
            name: DEFAULT_OUTPUT.to_owned(),
            topic: Topics::One(topic.into()),
            dead_letter_topic: dead_letter_topic.into(),
            key: MessageKey::Visitor,
            timestamp: MessageTime::Received,
            shape: ShapeSettings::default(),
        }
    }
}

/// Where hits go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// All to one topic.
    One(String),
    /// Each to the topic that its fields say.
    ByHit {
        /// With fields.
        template: Template,
        /// The names that may come out of it.
        allowed: Vec<Glob>,
        /// Where those go that ask for another.
        fallback: String,
    },
}

impl Topics {
    /// The topics that are known without a hit: all of them, but for what the stars of the allowed names stand for.
    pub fn known(&self) -> Vec<&str> {
        match self {
            Self::One(topic) => vec![topic],
            Self::ByHit { allowed, fallback, .. } => {
                let mut known: Vec<&str> = allowed.iter().filter_map(Glob::only).collect();
                known.push(fallback);
                known.sort_unstable();
                known.dedup();
                known
            }
        }
    }

    /// Whether a hit may go to the topic of this name.
    pub fn may_be(&self, name: &str) -> bool {
        match self {
            Self::One(topic) => topic == name,
            Self::ByHit { allowed, fallback, .. } => fallback == name || allowed.iter().any(|glob| glob.matches(name)),
        }
    }
}

/// The topic, or the template.
impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(topic) => f.write_str(topic),
            Self::ByHit { template, .. } => template.fmt(f),
        }
    }
}

/// What the key of a Kafka message is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKey {
    /// `visIdHigh_visIdLow`: keeps a visitor's hits in one partition, and so in order.
    Visitor,
    /// `mcVisIdHigh_mcVisIdLow`, the Experience Cloud id (protocol notes, section 8).
    ExperienceCloud,
    /// `hitIdHigh_hitIdLow`.
    Hit,
    /// The report suite.
    ReportSuite,
    /// No key.
    None,
    /// A field.
    Field(Pointer),
}

/// As the configuration has it.
impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor => f.write_str("visitor"),
            Self::ExperienceCloud => f.write_str("experience_cloud"),
            Self::Hit => f.write_str("hit"),
            Self::ReportSuite => f.write_str("report_suite"),
            Self::None => f.write_str("none"),
            Self::Field(pointer) => pointer.fmt(f),
        }
    }
}

/// What the timestamp of a Kafka message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTime {
    /// When the hit came off the wire.
    Received,
    /// `timeGMT`, which the customer may have set (protocol notes, section 6).
    TimeGmt,
    /// `receivedTimeGMT`: when Adobe collected it.
    ReceivedTimeGmt,
}

impl MessageTime {
    /// As the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::TimeGmt => "timeGMT",
            Self::ReceivedTimeGmt => "receivedTimeGMT",
        }
    }
}

/// What of the hits goes out, and in which form. The default one lets all pass as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShapeSettings {
    /// By name, in the order in which they are asked.
    pub filters: Vec<(String, Filter)>,
    /// Fields without which a hit is incomplete.
    pub required: Vec<Pointer>,
    /// Where incomplete hits go; nowhere, if there is none.
    pub incomplete_topic: Option<String>,
    /// What is done to which field.
    pub privacy: Vec<(Pointer, Action)>,
    /// Which fields go out.
    pub fields: Fields,
    /// Headers by name.
    pub headers: Vec<(String, Template)>,
}

impl ShapeSettings {
    pub(super) fn plan(&self) -> Plan {
        Plan {
            filters: self.filters.iter().map(|(_, filter)| filter.clone()).collect(),
            required: self.required.clone(),
            privacy: self.privacy.clone(),
            fields: self.fields.clone(),
            ..Plan::default()
        }
    }

    /// Whether a hit may go out otherwise than it came.
    pub const fn changes_hits(&self) -> bool {
        !self.privacy.is_empty() || !matches!(self.fields, Fields::All)
    }

    /// The id of the key that fields are hashed with, if any are.
    pub fn hash_key_id(&self) -> Option<&str> {
        self.privacy.iter().find_map(|(_, action)| match action {
            Action::Hash(key) => Some(key.id()),
            Action::Remove | Action::TruncateIp | Action::Mask { .. } => None,
        })
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DropIf(one), Self::DropIf(other)) | (Self::KeepIf(one), Self::KeepIf(other)) => {
                one.text() == other.text()
            }
            (Self::DropIf(_), Self::KeepIf(_)) | (Self::KeepIf(_), Self::DropIf(_)) => false,
        }
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Remove, Self::Remove) | (Self::TruncateIp, Self::TruncateIp) => true,
            (Self::Hash(one), Self::Hash(other)) => one.id() == other.id(),
            (Self::Mask { leaves }, Self::Mask { leaves: other }) => leaves == other,
            (Self::Remove | Self::TruncateIp | Self::Hash(_) | Self::Mask { .. }, _) => false,
        }
    }
}
