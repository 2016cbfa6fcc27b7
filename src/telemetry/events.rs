//! What happened lately, for people to see where they see the state: log lines of our own, kept for a while.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing that happened: a log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1 since the daemon started: whoever sees a hole has missed some.
    pub seq: u64,
    /// When: RFC 3339 in UTC, with milliseconds.
    pub at: String,
    /// `ERROR`, `WARN` or `INFO`.
    pub level: String,
    /// Which stream it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Which of its connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// What happened.
    pub text: String,
    /// The further fields of the log line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}
