//! What the simulator is told before it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::faults::{Fault, StreamFault};

/// The whole simulator. Start from [`Default`], which listens on a free loopback port, and add streams.
#[derive(Clone, Debug)]
pub struct SimulatorSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A second place to listen, for redirects to another address of the same simulator.
    pub second_listen: Option<SocketAddr>,
    /// The host that URLs name; by default the address that is listened on.
    pub public_host: Option<String>,
    /// TLS on both listeners, or plain HTTP.
    pub tls: Option<TlsIdentity>,
    /// With TLS, who has no client certificate of an authority in this file (PEM) is turned away.
    pub tls_client_ca: Option<PathBuf>,
    /// The same seed makes the same hits, and the same choices.
    pub seed: u64,
    /// The streams, by different names.
    pub streams: Vec<SimulatedStream>,
    /// Who gets a token, and what happens then.
    pub tokens: TokenRules,
    /// An attempt sooner than this after the end before it is *early* in the ledger (protocol notes, section 1).
    pub cooldown: Duration,
    /// For how long a connection that ended is still counted, so that a reconnect gets 409.
    pub linger: Duration,
    /// By how much later than the client the simulator may notice that the client closed; allowed for in what is early.
    pub notice: Duration,
    /// The most record entries that the ledger keeps in memory, 32 bytes each. Later ones are only counted (and written to
    /// `ledger_file` all the same).
    pub ledger_limit: usize,
    /// A file that the ledger is appended to as it grows, in NDJSON; made anew at start.
    pub ledger_file: Option<PathBuf>,
    /// Faults at set times.
    pub planned: Vec<PlannedFault>,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            second_listen: None,
            public_host: None,
            tls: None,
            tls_client_ca: None,
            seed: 1,
            streams: Vec::new(),
            tokens: TokenRules::default(),
            cooldown: Duration::from_mins(1),
            // A little less than the cooldown: whoever waits it out gets in.
            linger: Duration::from_secs(45),
            // A busy two-core machine has been seen to schedule a task this late.
            notice: Duration::from_millis(250),
            // 640 MB at the most.
            ledger_limit: 20_000_000,
            ledger_file: None,
            planned: Vec::new(),
        }
    }
}

impl SimulatorSettings {
    /// The defaults with this one stream.
    pub fn with_stream(stream: SimulatedStream) -> Self {
        Self {
            streams: vec![stream],
            ..Self::default()
        }
    }

    /// The same rule, sped up: everything that has to do with the cooldown, for tests that cannot wait for minutes.
    #[must_use]
    pub fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self.linger = cooldown.mul_f64(0.75);
        self.notice = self.notice.min(cooldown / 4);
        self
    }
}

/// One stream, the part of the URL after `/api/1/stream/`.
#[derive(Clone, Debug)]
pub struct SimulatedStream {
    /// The endpoint's name.
    pub name: String,
    /// `reportSuite` in the hits.
    pub report_suite: String,
    /// How fast hits are made.
    pub rate: Rate,
    /// How many hits are made in all, including those that nobody was connected to receive.
    pub total: Option<u64>,
    /// What happens when all are made.
    pub at_total: AtTotal,
    /// How many visitors there are; rounded up to a power of two.
    pub visitors: u32,
    /// What a client gets after a reconnect.
    pub backfill: Backfill,
    /// How many hits wait for a client that reads too slowly, before the oldest are lost.
    pub buffer: usize,
    /// How the body is written.
    pub body: BodyStyle,
    /// Where attempts are sent on to, if anywhere.
    pub redirect: Option<Redirect>,
    /// Whether `/api/2` works; `/api/1` always does.
    pub api2: Api2,
    /// How many connections the client under test opens, so that early ones are found exactly; by default `maxConnections`.
    pub slots: Option<u8>,
    /// Whether an early attempt makes the service count the lost connection for longer: our inference from KA-16598.
    pub early_prolongs_linger: bool,
    /// Whether a stream ends when the token that it was opened with expires: undocumented (protocol notes, section 7).
    pub ends_with_token: bool,
    /// Faults that come at random.
    pub chaos: Option<Chaos>,
}

impl SimulatedStream {
    /// A stream of this name, with 100 hits a second and nothing strange about it.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            report_suite: name.clone(),
            name,
            rate: Rate::PerSecond(100.0),
            total: None,
            at_total: AtTotal::StaySilent,
            visitors: 256,
            backfill: Backfill::default(),
            buffer: 1_000_000,
            body: BodyStyle::default(),
            redirect: None,
            api2: Api2::Enabled,
            slots: None,
            early_prolongs_linger: false,
            ends_with_token: false,
            chaos: None,
        }
    }
}

/// How fast hits are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// None are.
    Silent,
    /// This many a second, whether or not a client is there (from the first connection on).
    PerSecond(f64),
    /// As many as the connected clients take.
    Unlimited,
}

/// What happens when a stream's `total` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtTotal {
    /// The connection stays open, and silent.
    StaySilent,
    /// The service ends the answer in good order, each time there is nothing left to send.
    Close,
}

/// What a client gets after a reconnect, besides new hits. What the real service does is not known (protocol notes, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backfill {
    /// So many of the hits sent last, once more.
    pub repeat_last: usize,
    /// The hits made while nobody was connected, if that was no longer than this. Otherwise they are lost.
    pub missed_within: Option<Duration>,
}

impl Backfill {
    /// Neither repeats nor what was missed.
    pub const NOTHING: Self = Self {
        repeat_last: 0,
        missed_within: None,
    };

    /// The last hits again, then what was missed within three minutes: the most trying case.
    pub const fn both(repeat_last: usize) -> Self {
        Self {
            repeat_last,
            missed_within: Some(Duration::from_mins(3)),
        }
    }
}

/// How the body of a 200 is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyStyle {
    /// Chunked coding; otherwise the body ends with the connection.
    pub chunked: bool,
    /// What records end in.
    pub line_end: LineEnd,
    /// An empty record after so many records on the average; 0 for none.
    pub empty_every: u32,
    /// A new gzip member after so many records on the average; 0 for one member only.
    pub member_every: u32,
    /// The most records that are flushed together.
    pub batch: u32,
}

impl Default for BodyStyle {
    fn default() -> Self {
        Self {
            chunked: true,
            line_end: LineEnd::CrLf,
            empty_every: 200,
            member_every: 0,
            batch: 24,
        }
    }
}

/// What records end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// CR LF, as documented.
    CrLf,
    /// A bare LF.
    Lf,
    /// Now the one, now the other.
    Mixed,
}

/// Where attempts are sent on to.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 307 or 308.
    pub status: u16,
    /// How many redirects follow each other before the stream is served; `None` redirects for ever.
    pub hops: Option<u8>,
    /// Where they lead.
    pub target: RedirectTarget,
}

/// Where a redirect leads.
#[derive(Clone, Debug)]
pub enum RedirectTarget {
    /// To the same listener, by a `Location` without scheme and host.
    Relative,
    /// To the same listener, by an absolute `Location`.
    Same,
    /// To the second listener and, from there, back.
    OtherListener,
    /// To this base, such as `https://stream.example.net`; path and query are appended.
    Base(String),
}

/// Whether `/api/2/stream/...` works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api2 {
    /// It does.
    Enabled,
    /// 424 until this long after `GET /api/2/enable/...`.
    AfterEnable(Duration),
}

/// Faults that come at random to a stream that is open.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// The mean time between two faults on one connection.
    pub mean_interval: Duration,
    /// What is drawn from; a fault that is listed twice comes twice as often.
    pub faults: Vec<StreamFault>,
}

/// A fault at a set time.
#[derive(Clone, Debug)]
pub struct PlannedFault {
    /// Since the simulator's start.
    pub at: Duration,
    /// The stream, or every stream.
    pub stream: Option<String>,
    /// What happens.
    pub fault: Fault,
}

/// Who gets an access token.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The client id and secret to insist on; otherwise any will do.
    pub client: Option<(String, String)>,
    /// `expires_in`, and how long a token is indeed valid.
    pub lifetime: Duration,
    /// Tokens that are valid without having been fetched.
    pub also_valid: Vec<String>,
    /// Whether streams look at the token at all.
    pub required: bool,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self {
            client: None,
            lifetime: Duration::from_hours(24),
            also_valid: Vec::new(),
            required: true,
        }
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub enum TlsIdentity {
    /// Two PEM files.
    Pem {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// DER in memory.
    Der {
        /// The certificate chain.
        chain: Vec<Vec<u8>>,
        /// The private key, in PKCS #8.
        key: Vec<u8>,
    },
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pem { certificate, key } => f
                .debug_struct("Pem")
                .field("certificate", certificate)
                .field("key", key)
                .finish(),
            Self::Der { chain, .. } => f
                .debug_struct("Der")
                .field("certificates", &chain.len())
                .finish_non_exhaustive(),
        }
    }
}
