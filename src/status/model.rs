//! The daemon at one moment, as JSON has it: the format of `/status`.
//!
//! Times are RFC 3339 texts in UTC, and stand beside lengths in seconds (`..._seconds`), because the reader's clock may be another. A
//! field that is absent is not known, or does not apply. Readers must pass over fields that they do not know; whatever else changes
//! raises [`FORMAT`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Hindrance, Rates};
use crate::lifecycle::Why;
use crate::telemetry::counters::{DeadLetterSnapshot, StreamSnapshot};
use crate::telemetry::events::Event;
use crate::telemetry::histogram::Histogram;

/// The version of this format: raised when a field changes its meaning or goes away, not when one is added.
pub const FORMAT: u32 = 1;

/// The daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// [`FORMAT`].
    pub format: u32,
    /// livestreamd's version.
    pub version: String,
    /// When this was true.
    pub at: String,
    /// When the daemon started.
    pub started: String,
    /// How long ago that was.
    pub uptime_seconds: f64,
    /// It was told to stop, and delivers what it has read.
    pub stopping: bool,
    /// Whether it works: nothing is in `hindrances`.
    pub ready: bool,
    /// What keeps it from being ready.
    pub hindrances: Vec<Hindrance>,
    /// One for each stream, by name.
    pub streams: Vec<Stream>,
    /// The Kafka side, all producers together.
    pub kafka: Kafka,
    /// All journals together.
    pub journals: Journals,
    /// What is kept for a person to look at.
    pub quarantine: Quarantine,
    /// One for each credential in use.
    pub credentials: Vec<Credential>,
    /// The last reload of the configuration, if there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reload: Option<LastReload>,
    /// What happened lately, oldest first.
    pub events: Vec<Event>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its report suite.
    pub report_suite: String,
    /// The topic for its hits.
    pub topic: String,
    /// The topic for what is not a hit.
    pub dead_letter_topic: String,
    /// Its connections, by slot.
    pub connections: Vec<Connection>,
    /// How Kafka takes its records.
    pub delivery: Delivery,
    /// Its journal.
    pub journal: Journal,
    /// What becomes of its hits: the output that every stream has, `default`, then further ones. What stands beside this list and is of one output is of `default`,
    /// but `delivery`, which is of the one that fares worst.
    #[serde(default)]
    pub outputs: Vec<Output>,
    /// Counted since the daemon started.
    pub counts: StreamSnapshot,
    /// How attempts to connect went since then: `streaming`, or the name of the answer in docs/answers.md.
    pub connects: BTreeMap<String, u64>,
    /// Why open streams ended since then, by the names in docs/answers.md.
    pub disconnects: BTreeMap<String, u64>,
    /// Hits a second.
    pub rates: Rates,
    /// How old hits are when they are read: now less `receivedTimeGMT`, in seconds.
    pub upstream_lag: Histogram,
    /// The same, of the last hit that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_lag_seconds: Option<f64>,
    /// From reading a record to Kafka's acknowledgement, in seconds.
    pub delivery_latency: Histogram,
    /// The same, of the last record that was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_latency_seconds: Option<f64>,
}

/// What a connection slot does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// No connection, and none may be opened for a while.
    #[default]
    Waiting,
    /// An access token is being fetched.
    Authorizing,
    /// A connect is out.
    Connecting,
    /// The service streams to us.
    Streaming,
    /// Told to stop.
    Stopped,
}

impl ConnectionState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Authorizing,
        Self::Connecting,
        Self::Streaming,
        Self::Stopped,
    ];

    /// As JSON, labels and people have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Authorizing => "authorizing",
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Stopped => "stopped",
        }
    }
}

/// One connection slot of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Which of the stream's connections it is, from 0.
    pub slot: u8,
    /// What it does.
    pub state: ConnectionState,
    /// Since when.
    pub since: String,
    /// For how long.
    pub since_seconds: f64,
    /// While it waits: when it may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// While it waits: how long that still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<f64>,
    /// Why it waits; while an attempt is out, why it had waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// It does not get what it wants: somebody should look. A cooldown in the normal course of things is not that; an attempt that is
    /// out after such trouble still is.
    pub failing: bool,
    /// Attempts in a row that reached the service and did not stream.
    pub failures: u32,
    /// Attempts in a row that reached nobody.
    pub tries: u32,
    /// How long ago the last byte came, in this run of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_byte_seconds: Option<f64>,
    /// The last connection that ended, in this run of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_disconnect: Option<Disconnect>,
    /// While there is no connection, and was one before: the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// Why a connection slot waits, or a connection ended: in the words of docs/answers.md.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is looked up by: `livestreamd explain NAME`.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// What was said in this very case.
    pub text: String,
    /// What it means.
    pub means: String,
    /// What the daemon does about it.
    pub daemon: String,
    /// What the operator should do about it.
    pub operator: String,
}

impl From<&Why> for Reason {
    fn from(why: &Why) -> Self {
        let one = why.explanation();
        Self {
            name: one.name.to_owned(),
            title: one.title.to_owned(),
            text: why.to_string(),
            means: one.means.to_owned(),
            daemon: one.daemon(),
            operator: one.operator.to_owned(),
        }
    }
}

/// The end of an open stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disconnect {
    /// When.
    pub at: String,
    /// How long ago.
    pub ago_seconds: f64,
    /// How long the connection had been open.
    pub lasted_seconds: f64,
    /// Why.
    pub reason: Reason,
}

/// A time without connection that is not over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When the last connection last lived, as far as is known.
    pub from: String,
    /// How long ago.
    pub seconds: f64,
    /// It is longer than `backfill_horizon`: hits are probably lost.
    pub probable: bool,
}

/// How Kafka takes a stream's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Nothing stands in the way, as far as is known.
    #[default]
    Well,
    /// Kafka did not take a record: the stream goes back to its cursor, and produces again.
    SetBack,
    /// Records wait, and no delivery report comes.
    Stalled,
}

/// The delivery of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// How it fares.
    pub state: DeliveryState,
    /// For how long it has not been well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<f64>,
    /// When it produces again, if it was set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_seconds: Option<f64>,
    /// What Kafka, or its client, said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person should do about it, if there is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// How many failures in a row there were.
    pub failures: u32,
    /// How long ago Kafka last acknowledged a record, in this run of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seconds: Option<f64>,
}

/// One output of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The topic for its hits, or the template of it.
    pub topic: String,
    /// How Kafka takes its records.
    pub delivery: Delivery,
    /// What is not delivered to it yet, in bytes.
    pub backlog_bytes: u64,
    /// Records that Kafka has for it, since the daemon started. As all counts here.
    pub delivered: u64,
    /// Delivery reports that told of a failure.
    pub delivery_failures: u64,
    /// Times that it went back to its cursor.
    pub rewinds: u64,
    /// Hits that were left out or marked because a copy stood before them.
    pub duplicates: u64,
    /// Hits that a filter has held back, by its name.
    pub filtered: BTreeMap<String, u64>,
    /// Hits without a field that `shape.required` names.
    pub incomplete: u64,
    /// Records that went to its dead-letter topic, by reason.
    pub dead_letters: DeadLetterSnapshot,
    /// Records that were too large for Kafka and are kept in the quarantine.
    pub quarantined: u64,
    /// Attempts to keep such a record that failed.
    pub quarantine_failures: u64,
    /// From reading a record to Kafka's acknowledgement, in seconds.
    pub delivery_latency: Histogram,
}

/// Whether a journal takes batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// It does.
    #[default]
    Good,
    /// It has no room, because deliveries do not keep up.
    Full,
    /// The disk has no room.
    DiskFull,
    /// The disk does not work.
    DiskFailing,
}

/// The journal of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Whether it takes batches.
    pub state: JournalState,
    /// What the system says, if the disk is full or fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the system says, while what is on disk cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_trouble: Option<String>,
    /// What is not delivered yet, in bytes.
    pub backlog_bytes: u64,
    /// About how many records that is, by the mean length of those that were delivered in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_records: Option<u64>,
    /// How old the oldest record is that is not delivered; 0 if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
    /// What it takes up on disk, in bytes.
    pub held_bytes: u64,
    /// How much of it may be undelivered, in bytes.
    pub max_bytes: u64,
    /// For how long something has been waiting to be made durable.
    pub sync_lag_seconds: f64,
    /// What was found wrong on disk since it was opened, by kind; kinds that did not occur are left out.
    pub faults: BTreeMap<String, u64>,
}

/// All journals together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journals {
    /// What they take up on disk, in bytes.
    pub held_bytes: u64,
    /// How much they may take up, in bytes.
    pub max_bytes: u64,
    /// How long rounds of making things durable took, in seconds.
    pub sync_seconds: Histogram,
}

/// The quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many bytes it may hold.
    pub max_bytes: u64,
    /// How old the oldest of them is, in seconds.
    pub oldest_seconds: u64,
    /// Records that were kept, since the daemon started.
    pub kept: u64,
    /// Records that could not be kept, since then.
    pub not_kept: u64,
    /// Files that were removed because of a bound, since then.
    pub removed_files: u64,
}

/// The Kafka side, from librdkafka's statistics. All producers together, where numbers add up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kafka {
    /// `kafka.brokers`.
    pub brokers: String,
    /// Brokers that are connected to.
    pub brokers_up: u64,
    /// Brokers that are known of.
    pub brokers_known: u64,
    /// Producers in use.
    pub producers: u64,
    /// Producers that were built in the place of others, since the daemon started.
    pub rebuilds: u64,
    /// Records in librdkafka's queues.
    pub queue_records: u64,
    /// Their bytes.
    pub queue_bytes: u64,
    /// Requests to brokers that failed, since the daemon started.
    pub request_errors: u64,
    /// Connections to brokers that were lost or could not be made, since the daemon started.
    pub connection_errors: u64,
    /// The mean round trip to the slowest broker that is connected, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_seconds: Option<f64>,
}

/// A credential, and the access token that it got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// How long ago its token was fetched, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_age_seconds: Option<f64>,
    /// For how long the token is still good, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires_seconds: Option<f64>,
    /// Times that a token was fetched.
    pub fetches: u64,
    /// Times that none could be fetched.
    pub failures: u64,
}

/// The last reload of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When.
    pub at: String,
    /// Whether the configuration could be used.
    pub ok: bool,
    /// What came of it, in a few words.
    pub summary: String,
    /// Keys that changed and are only used after a restart.
    pub needs_restart: Vec<String>,
    /// What is wrong with the configuration, if it cannot be used.
    pub faults: Vec<String>,
}
