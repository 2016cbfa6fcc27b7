//! A Live Stream service for trials and tests: everything of protocol notes, sections 2 to 8, that a client can meet, and a
//! ledger that tells afterwards what it did.
//!
//! It writes its own wire bytes on plain sockets and shares no code with the reading side of livestreamd ([`crate::framing`],
//! [`crate::upstream`]), so that one misunderstanding cannot hide in both.
//!
//! | file | job |
//! | --- | --- |
//! | `settings` | what it is told before it starts |
//! | `args` | the same from a command line |
//! | `service`, `attempt` | accepts connections, and routes requests; what a request for a stream is granted |
//! | `http`, `socket` | one request, one plain answer; one connection and the ways to end it |
//! | `token`, `admin` | the token endpoint; `/_sim` for people and judges outside the process |
//! | `slots` | pure: who gets 409, and who came early |
//! | `source` | pure: which hits are due for which connection, and what comes after a reconnect |
//! | `hits`, `vocabulary`, `random` | makes hits, again and again the same from a seed |
//! | `stream` | one stream that is open: when which records go, what goes wrong, how it ends |
//! | `body`, `wire` | records into batches; gzip and chunked coding |
//! | `faults`, `fault_text` | what can be made to go wrong; the same as people write it |
//! | `ledger`, `ledger_entries`, `ledger_file` | what was done, to judge a run by |
//!
//! # In a test
//!
//! ```
//! use livestreamd::simulator::{Rate, SimulatedStream, Simulator, SimulatorSettings, StreamFault};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stream = SimulatedStream { rate: Rate::PerSecond(500.0), ..SimulatedStream::new("examplecomprod") };
//! let simulator = Simulator::start(SimulatorSettings::with_stream(stream)).await?;
//! // Point a client at these:
//! let (url, token_url) = (simulator.url("examplecomprod"), simulator.token_url());
//! assert!(url.starts_with("http://127.0.0.1:") && token_url.ends_with("/ims/token/v3"));
//! // Ask for trouble, and wait for what comes of it:
//! simulator.fault("examplecomprod", StreamFault::Reset)?;
//! // simulator.ledger().wait_until(|ledger| ledger.accept(1).filter(|accept| accept.end.is_some())).await;
//! simulator.stop().await;
//! // The ledger outlives the simulator.
//! assert!(simulator.ledger().early_accepts().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//! Its clock is tokio's, read from the moment of its start. The least time between an end and the next attempt is told in the
//! settings ([`SimulatorSettings::with_cooldown`] for tests); what exactly counts as early is written down in the file `slots`.

mod admin;
mod args;
mod attempt;
mod body;
mod fault_text;
mod faults;
mod hits;
mod http;
mod ledger;
mod ledger_entries;
mod ledger_file;
mod random;
mod service;
mod settings;
mod slots;
mod socket;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod token;
#[cfg(test)]
mod unlistened;
mod vocabulary;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub use args::{SimulateArgs, SimulateError, run};
pub use fault_text::FaultError;
pub use faults::{AttemptFault, Fault, Garbage, MOST_OVERSIZED, StreamFault, TokenFault};
pub use hits::{HitId, HitMaker, sequence_of, visitor_of};
pub use ledger::Ledger;
pub use ledger_entries::{
    Accept, End, EndedBy, LedgerSummary, RecordEntry, RecordKind, TokenFetch, TokenSeen, fingerprint,
};
#[cfg(any(test, feature = "kafka"))]
pub(crate) use random::Random;
pub use settings::{
    Api2, AtTotal, Backfill, BodyStyle, Chaos, LineEnd, PlannedFault, Rate, Redirect, RedirectTarget, SimulatedStream,
    SimulatorSettings, TlsIdentity, TokenRules,
};
pub use slots::Follows;
#[cfg(test)]
pub(crate) use socket::Pipe;

use ledger_file::LedgerFile;
use service::Listening;
use world::World;

/// Starts simulators.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Listens, and serves from now on, on the runtime that this is called on. Errors name the address, file or stream.
    pub async fn start(settings: SimulatorSettings) -> io::Result<Running> {
        check(&settings)?;
        let tls = settings
            .tls
            .as_ref()
            .map(|identity| tls::acceptor(identity, settings.tls_client_ca.as_deref()))
            .transpose()?;
        let file = match &settings.ledger_file {
            Some(path) => Some(LedgerFile::create(path).await?),
            None => None,
        };
        let mut listening = Vec::new();
        let (mut addrs, mut bases) = (Vec::new(), Vec::new());
        for (number, addr) in [Some(settings.listen), settings.second_listen]
            .into_iter()
            .flatten()
            .enumerate()
        {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}"));
            let listener = TcpListener::bind(addr).await.map_err(named)?;
            let addr = listener.local_addr()?;
            bases.push(base(&settings, addr));
            addrs.push(addr);
            listening.push(Listening {
                listener,
                number,
                tls: tls.clone(),
            });
        }
        let ledger = Ledger::new(settings.ledger_limit, file);
        let world = Arc::new(World::new(&settings, ledger, bases));
        let mut tasks = JoinSet::new();
        for listening in listening {
            tasks.spawn(service::accept(Arc::clone(&world), listening));
        }
        tasks.spawn(plan(Arc::clone(&world), settings.planned));
        let handle = Handle {
            world,
            addrs: addrs.into(),
        };
        Ok(Running {
            handle,
            tasks: Mutex::new(tasks),
        })
    }
}

/// A simulator that serves until [`Self::stop`] or until it is dropped. Everything else is done through its [`Handle`].
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    tasks: Mutex<JoinSet<()>>,
}

impl Running {
    /// Ends open streams in good order, and stops listening; connections that take too long are dropped.
    pub async fn stop(&self) {
        self.handle.world.stop.send_replace(true);
        let mut tasks = self.tasks.lock().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the simulator failed");
            }
        }
    }

    /// A handle of its own, to give away.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Running {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// Tells a running simulator what to do, and what it did. Clones speak to the same simulator.
#[derive(Clone, Debug)]
pub struct Handle {
    world: Arc<World>,
    addrs: Arc<[SocketAddr]>,
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        // There is always a first listener.
        self.addrs
            .first()
            .copied()
            .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Where else it listens.
    pub fn second_addr(&self) -> Option<SocketAddr> {
        self.addrs.get(1).copied()
    }

    /// Scheme, host and port.
    pub fn base_url(&self) -> &str {
        self.world.bases.first().map_or("", String::as_str)
    }

    /// The URL of a stream, by `/api/1`.
    pub fn url(&self, stream: &str) -> String {
        format!("{}/api/1/stream/{stream}", self.base_url())
    }

    /// The URL of a stream, by `/api/2`.
    pub fn url_api2(&self, stream: &str) -> String {
        format!("{}/api/2/stream/{stream}", self.base_url())
    }

    /// The URL of the token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}/ims/token/v3", self.base_url())
    }

    /// The ledger; it outlives the simulator.
    pub fn ledger(&self) -> &Ledger {
        &self.world.ledger
    }

    /// Lets something go wrong with a stream: now if a connection is open, or else with the next one.
    pub fn fault(&self, stream: &str, fault: impl Into<Fault>) -> Result<(), FaultError> {
        self.world.fault(stream, fault.into())
    }

    /// Lets something go wrong with the next `times` requests for a token.
    pub fn token_fault(&self, fault: TokenFault, times: u32) {
        self.world.tokens.fault(fault, times);
    }

    /// A valid token, for a client that does not fetch one.
    pub fn issue_token(&self) -> String {
        self.world.tokens.issue(self.world.ledger.now())
    }

    /// From now on no token that was issued is valid.
    pub fn revoke_tokens(&self) {
        self.world.tokens.revoke();
    }

    /// Changes a stream's rate.
    pub fn set_rate(&self, stream: &str, rate: Rate) -> Result<(), FaultError> {
        self.world.set_rate(stream, rate)
    }

    /// From now on nothing befalls a stream at random, and what was to befall it is forgotten.
    pub fn calm(&self, stream: &str) -> Result<(), FaultError> {
        self.world.calm(stream)
    }

    /// Makes so many hits more on a stream, at once (when a client is there).
    pub fn burst(&self, stream: &str, hits: u64) -> Result<(), FaultError> {
        self.world.burst(stream, hits)
    }

    /// How many hits a stream made, whether or not anybody got them.
    pub fn made(&self, stream: &str) -> Result<u64, FaultError> {
        Ok(self.world.stream(stream)?.state().source.made())
    }

    /// How many hits of a stream were lost upstream because a client read too slowly; they are not in the ledger.
    pub fn overrun(&self, stream: &str) -> Result<u64, FaultError> {
        Ok(self.world.stream(stream)?.state().source.overrun())
    }
}

/// Takes on the faults of a plan, each at its time.
async fn plan(world: Arc<World>, mut planned: Vec<PlannedFault>) {
    planned.sort_by_key(|planned| planned.at);
    for PlannedFault { at, stream, fault } in planned {
        tokio::select! {
            () = world.stopping() => return,
            () = tokio::time::sleep_until(world.ledger.instant(at)) => {}
        }
        for name in world
            .streams
            .keys()
            .filter(|name| stream.as_ref().is_none_or(|wanted| wanted == *name))
        {
            if let Err(error) = world.fault(name, fault.clone()) {
                tracing::warn!(%error, "a planned fault was left out");
            }
        }
    }
}

fn check(settings: &SimulatorSettings) -> io::Result<()> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    let mut names = std::collections::BTreeSet::new();
    for stream in &settings.streams {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if stream.name.is_empty() || stream.name.len() > 128 || !stream.name.chars().all(is_fit) {
            return refuse(format!(
                "stream {:?}: use letters, digits, '-', '_' and '.' in its name",
                stream.name
            ));
        }
        if !names.insert(&stream.name) {
            return refuse(format!(
                "stream {:?} is there twice: give each a name of its own",
                stream.name
            ));
        }
        if matches!(stream.rate, Rate::PerSecond(rate) if !rate.is_finite() || rate < 0.0) {
            return refuse(format!(
                "stream {:?}: its rate is no number of hits a second",
                stream.name
            ));
        }
    }
    for stream in settings.planned.iter().filter_map(|planned| planned.stream.as_ref()) {
        if !names.contains(stream) {
            return refuse(format!("a planned fault names stream {stream:?}, which there is not"));
        }
    }
    Ok(())
}

fn base(settings: &SimulatorSettings, addr: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    match &settings.public_host {
        Some(host) => format!("{scheme}://{host}:{}", addr.port()),
        None => format!("{scheme}://{addr}"),
    }
}
