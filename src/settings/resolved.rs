//! Settings as the daemon uses them: typed, complete, and correct by construction. Nothing here is optional that the daemon needs.
//!
//! Only `settings::resolve` makes these from outside input; whoever holds one need not check it again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::proxy::ProxySettings;
use super::tls::TlsSettings;
pub use crate::shape::output::{
    DEFAULT_OUTPUT, MessageKey, MessageTime, Output, OutputSettings, ShapeSettings, Topics,
};
use crate::shape::template::Names;
use crate::shape::trial::{Difference, Trial};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where leases, journal, ids and quarantine live (`state_dir`).
    pub state_dir: PathBuf,
    /// How long a stop may take to deliver what was read (`shutdown_timeout`).
    pub shutdown_timeout: Duration,
    /// How connections to the service and to token endpoints leave this machine (`upstream.proxy`).
    pub proxy: ProxySettings,
    /// Files for TLS, shared by all streams and credentials (`[upstream.tls]`).
    pub tls: TlsSettings,
    /// The Kafka side (`[kafka]`).
    pub kafka: KafkaSettings,
    /// The journal (`[journal]`).
    pub journal: JournalSettings,
    /// The quarantine (`[quarantine]`).
    pub quarantine: QuarantineSettings,
    /// De-duplication (`[dedup]`).
    pub dedup: DedupSettings,
    /// The admin server (`[admin]`).
    pub admin: AdminSettings,
    /// Logs (`[log]`).
    pub log: LogSettings,
    /// One for each `[streams.NAME]`, in the order of their names; never empty.
    pub streams: Vec<StreamSettings>,
    /// One for each `[[tests]]`, in their order. The daemon has no use for them.
    pub tests: Vec<TestSettings>,
}

/// A test of the configuration itself (`[[tests]]`).
#[derive(Clone)]
pub struct TestSettings {
    /// Its place among the others, from 1 on.
    pub number: usize,
    /// What it says of the configuration.
    pub name: String,
    /// The stream whose hits are meant.
    pub stream: String,
    /// Its report suite.
    pub report_suite: String,
    /// The output of that stream.
    pub output: Arc<Output>,
    /// The hit, and what is expected of it.
    pub trial: Trial,
}

impl TestSettings {
    /// Runs it.
    ///
    /// # Errors
    /// All that is otherwise than expected.
    pub fn run(&self) -> Result<(), Vec<Difference>> {
        let names = Names {
            stream: &self.stream,
            report_suite: &self.report_suite,
        };
        self.trial.run(&self.output, names)
    }
}

/// Without the hit.
impl fmt::Debug for TestSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSettings")
            .field("number", &self.number)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One stream: a report suite's Live Stream, and where its hits go.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// The name in `[streams.NAME]`: `[a-z0-9_-]{1,64}`.
    pub name: String,
    /// The whole URI that Customer Care gave, query included (protocol notes, section 2). https, or http to a loopback host.
    pub url: Url,
    /// The report suite; the stream's name unless set.
    pub report_suite: String,
    /// Where access tokens come from. Streams with the same credential share the `Arc`.
    pub credential: Arc<Credential>,
    /// The least time between a disconnect and the next connect (protocol notes, section 1).
    pub cooldown: Duration,
    /// How long a TCP and TLS connect may take, and again how long the response head may take.
    pub connect_timeout: Duration,
    /// The least stall limit (protocol notes, section 5).
    pub stall_timeout: Duration,
    /// Up to what gap upstream is thought to send what was missed (protocol notes, section 6).
    pub backfill_horizon: Duration,
    /// How long to wait where a person must mend something first (protocol notes, section 4).
    pub long_retry: Duration,
    /// A longer record is dead-lettered with its first bytes. At least 64 KiB.
    pub max_record_bytes: usize,
    /// How many connections this daemon opens, 1 to 8.
    pub connections: u8,
    /// What is sent as `maxConnections`; at least `connections`.
    pub max_connections: u8,
    /// Server-side smoothing (protocol notes, section 2).
    pub smoothing: Option<Smoothing>,
    /// Hosts, and their subdomains, that may be sent the token after a redirect. The host of `url` always may.
    pub trusted_hosts: Vec<String>,
    /// What becomes of its hits: that of the stream itself ([`DEFAULT_OUTPUT`]) first, then the further ones in the order of their names.
    pub outputs: Vec<Arc<Output>>,
}

/// Server-side smoothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smoothing {
    /// `smoothingBucketSize` in seconds, 1 to 7200; absent means the service's own default.
    pub bucket_seconds: Option<u16>,
}

/// Where access tokens come from (`[credentials.NAME]`).
#[derive(Debug)]
pub struct Credential {
    /// The name in `[credentials.NAME]`.
    pub name: String,
    /// The grant.
    pub grant: Grant,
}

/// How a credential gets its token.
#[derive(Debug)]
pub enum Grant {
    /// OAuth server-to-server at Adobe IMS (protocol notes, section 7).
    Client {
        /// `client_id`, also sent as `x-api-key`.
        client_id: String,
        /// Read again at each fetch, because two may be valid at once while one is rotated.
        client_secret: SecretSource,
        /// `scopes`, sent comma-separated.
        scopes: Vec<String>,
        /// `token_url`: https, or http to a loopback host.
        token_url: Url,
    },
    /// A ready-made token, read again at each connect.
    Token {
        /// Sent as `x-api-key` if given.
        client_id: Option<String>,
        /// `access_token` or `access_token_file`.
        token: SecretSource,
    },
}

/// A secret's place. Its `Debug` shows the place, never the secret.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In the configuration or the environment.
    Inline(SecretString),
    /// In a file of its own, resolved to its whole path.
    File(PathBuf),
}

/// The Kafka side (`[kafka]`).
#[derive(Clone)]
pub struct KafkaSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// `[kafka.properties]`, checked against what would break the promise of delivery; each under its one name
    /// ([`super::canonical_property`]), so that it meets a default of ours under the same. Those of `[kafka.property_files]` are among them,
    /// and files that a property names are whole paths. May hold secrets: not printed.
    pub properties: BTreeMap<String, String>,
    /// The files that the values of some properties were read from (`[kafka.property_files]`).
    pub property_files: BTreeMap<String, PathBuf>,
    /// Hashes of what the files held that other properties name, for those that librdkafka reads once.
    pub contents: BTreeMap<String, [u8; 32]>,
}

impl StreamSettings {
    /// The topics that are written to, as far as they are known without a hit.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.settings()).flat_map(|output| {
            let incomplete = output.shape.incomplete_topic.as_deref();
            let others = [Some(output.dead_letter_topic.as_str()), incomplete];
            output.topic.known().into_iter().chain(others.into_iter().flatten())
        })
    }
}

impl KafkaSettings {
    /// The key under which a property was set.
    pub fn key_of(&self, property: &str) -> String {
        let table = if self.property_files.contains_key(property) {
            "property_files"
        } else {
            "properties"
        };
        format!("kafka.{table}.{property}")
    }
}

/// The journal (`[journal]`).
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// How often what was appended is made durable.
    pub sync_interval: Duration,
    /// How much undelivered data of one stream may pile up, in bytes.
    pub max_bytes: u64,
    /// The same of all streams together.
    pub max_bytes_in_all: u64,
}

/// The quarantine (`[quarantine]`).
#[derive(Clone, Copy, Debug)]
pub struct QuarantineSettings {
    /// What all its files together may come to, in bytes. At least the largest `max_record_bytes`.
    pub max_bytes: u64,
    /// For how long a file is kept.
    pub max_age: Duration,
}

/// De-duplication (`[dedup]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupSettings {
    /// What happens to a repeated hit.
    pub mode: DedupMode,
    /// For how long ids are remembered.
    pub window: Duration,
    /// How many ids of a stream are remembered at most, 40 bytes each.
    pub max_ids: usize,
}

/// What happens to a repeated hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupMode {
    /// It is left out.
    Drop,
    /// It is forwarded with a header that says so.
    Mark,
    /// It is not looked for.
    Off,
}

/// The admin server (`[admin]`).
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// `listen`.
    pub listen: AdminListen,
    /// What whoever asks must show (`token` or `token_file`). Always there if [`AdminListen::is_beyond_this_machine`].
    pub token: Option<SecretSource>,
    /// Further names by which the server may be asked for (`hosts`), as [`canonical_host`](super::canonical_host) writes them.
    pub hosts: Vec<String>,
}

/// Where the admin server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// Nowhere.
    Off,
    /// On an address and port.
    Tcp(SocketAddr),
    /// On a socket in the file system.
    Unix(PathBuf),
}

impl AdminListen {
    /// Whether other machines may reach it, going by its address alone.
    pub fn is_beyond_this_machine(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Off | Self::Unix(_) => false,
        }
    }
}

/// As `admin.listen` has it.
impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Logs (`[log]`).
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A `tracing` filter, checked.
    pub filter: String,
    /// The format.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Into the journal of systemd if standard error leads there, text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
    /// Into the journal of systemd, with fields.
    Journald,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}
