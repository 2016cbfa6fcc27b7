//! Owns a task for each stream: starts them one after another, starts again what fails, and stops them in an order that loses
//! nothing. A stream that fails leaves the others alone.
//!
//! [`roster`] says which streams run, and [`survey`] looks at all that they do.

pub mod roster;
pub mod survey;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::journal::Journal;
use crate::kafka::{ForwarderSettings, Producer, Repeats, forward};
use crate::leases::LeaseDir;
use crate::lifecycle::ResetTo;
use crate::quarantine::Quarantine;
use crate::settings::{DedupSettings, Settings, StreamSettings};
use crate::stream::revival::keep_alive;
use crate::stream::{SharedReset, SlotDriver, Stop, StopSwitch, stop_switch};
use crate::telemetry::StreamStatus;
use crate::upstream::{Connector, TokenSource};

use roster::{Roster, Running};

/// The time between the first attempts of two connections at a start.
const STAGGER: Duration = Duration::from_millis(100);
/// The last connection starts no later than this after the first, however many there are.
const LONGEST_STAGGER: Duration = Duration::from_secs(10);

/// What all streams share.
pub struct Shared<C: Connector> {
    /// How to reach the service and the token endpoint.
    pub connector: Arc<C>,
    /// Where hits go.
    pub producer: Arc<Producer>,
    /// Where leases are kept.
    pub leases: LeaseDir,
    /// The daemon's directory, locked: where ids are kept.
    pub state_dir: PathBuf,
    /// Where is kept what Kafka does not take.
    pub quarantine: Quarantine,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Resets on purpose that this run was told to send, by the stream's name.
    pub resets: BTreeMap<String, ResetTo>,
}

/// The streams of one daemon, running.
pub struct Supervisor {
    statuses: Vec<StreamStatus>,
    journals: Vec<Arc<Journal>>,
    tasks: JoinSet<()>,
    roster: Roster,
    switch: StopSwitch,
    stop: Stop,
}

/// What a stop left undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Streams whose connections or forwarder had not ended in time.
    pub streams: usize,
    /// Bytes that were read and not delivered. They are in the journal, and go out at the next start.
    pub bytes: u64,
}

impl Supervisor {
    /// Starts all streams of `settings`, each with its journal: `journals` are in the order of the streams.
    pub fn start<C: Connector>(settings: &Settings, journals: Vec<Journal>, shared: Shared<C>) -> Self {
        let (switch, stop) = stop_switch();
        let shared = Arc::new(shared);
        let mut tokens = Tokens::new(settings, shared.connector.clone());
        let mut stagger = Stagger::new(settings);
        let mut supervisor = Self {
            statuses: Vec::new(),
            journals: Vec::new(),
            tasks: JoinSet::new(),
            roster: Roster::default(),
            switch,
            stop: stop.clone(),
        };
        let mut running = Vec::new();
        let (quarantine, until) = (shared.quarantine.clone(), stop.clone());
        supervisor
            .tasks
            .spawn(async move { quarantine.keep_swept(until.requested()).await });
        for (stream, journal) in settings.streams.iter().zip(journals) {
            let status = StreamStatus::new(&stream.name, stream.connections);
            let journal = Arc::new(journal);
            let stream = Arc::new(stream.clone());
            running.push(Running {
                settings: stream.clone(),
                status: status.clone(),
                journal: journal.clone(),
            });
            let parts = StreamParts {
                stream: stream.clone(),
                tokens: tokens.of(&stream),
                journal: journal.clone(),
                dedup: settings.dedup.clone(),
                status: status.clone(),
                staggers: (0..stream.connections).map(|_| stagger.next()).collect(),
                shared: shared.clone(),
            };
            supervisor.tasks.spawn(parts.run(stop.clone()));
            supervisor.statuses.push(status);
            supervisor.journals.push(journal);
        }
        supervisor.roster.set(running);
        supervisor
    }

    /// The streams that run.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Is given when the streams are told to stop.
    pub const fn stop_word(&self) -> &Stop {
        &self.stop
    }

    /// What each stream does, in the order of the settings.
    pub fn statuses(&self) -> &[StreamStatus] {
        &self.statuses
    }

    /// Closes all connections, stores their leases, delivers what was read, and returns when all is done, or after `timeout`.
    pub async fn stop(mut self, timeout: Duration) -> Leftover {
        self.switch.stop();
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(timeout, all_ended).await.is_ok() {
            return Leftover {
                streams: 0,
                bytes: self.backlog(),
            };
        }
        let streams = self.tasks.len();
        self.tasks.shutdown().await;
        Leftover {
            streams,
            bytes: self.backlog(),
        }
    }

    fn backlog(&self) -> u64 {
        self.journals.iter().map(|journal| journal.backlog_bytes()).sum()
    }
}

/// What one stream's task is made of.
struct StreamParts<C: Connector> {
    stream: Arc<StreamSettings>,
    tokens: Arc<TokenSource<C>>,
    journal: Arc<Journal>,
    dedup: DedupSettings,
    status: StreamStatus,
    staggers: Vec<Duration>,
    shared: Arc<Shared<C>>,
}

impl<C: Connector> StreamParts<C> {
    /// Ends when all connections are closed, and all that they brought is delivered.
    async fn run(self, stop: Stop) {
        let name = self.stream.name.clone();
        let mut slots = JoinSet::new();
        let reset = SharedReset::new(self.shared.resets.get(&name).copied());
        for (slot, stagger) in self.staggers.iter().copied().enumerate() {
            let (make, stop, name) = (self.slot_driver(slot, stagger, &reset), stop.clone(), name.clone());
            slots.spawn(async move {
                let failed = |pause: Duration| {
                    tracing::error!(
                        stream = name,
                        slot,
                        pause_s = pause.as_secs(),
                        "a connection's task failed: it is started again after a pause, and waits out a cooldown"
                    );
                };
                keep_alive(&stop, || make().drive(stop.clone()), failed).await;
            });
        }
        let connections_closed = async {
            while slots.join_next().await.is_some() {}
            // Nothing more will come: the forwarder ends when it has delivered what there is.
            self.journal.close();
        };
        tokio::join!(connections_closed, self.forward(&stop));
    }

    fn slot_driver(
        &self,
        slot: usize,
        stagger: Duration,
        reset: &SharedReset,
    ) -> impl Fn() -> SlotDriver<C> + Send + 'static + use<C> {
        let (stream, tokens, journal, shared) = (
            self.stream.clone(),
            self.tokens.clone(),
            self.journal.clone(),
            self.shared.clone(),
        );
        let (status, counters) = (self.status.slots[slot].clone(), self.status.counters.clone());
        let reset = reset.clone();
        move || SlotDriver {
            stream: stream.clone(),
            slot: slot as u8,
            connector: shared.connector.clone(),
            tokens: tokens.clone(),
            leases: shared.leases.clone(),
            journal: journal.clone(),
            clock: shared.clock.clone(),
            status: status.clone(),
            counters: counters.clone(),
            stagger,
            jitter_seed: RandomState::new().hash_one((&stream.name, slot)),
            reset: reset.clone(),
        }
    }

    async fn forward(&self, stop: &Stop) {
        let make = || {
            let settings = ForwarderSettings::from(&*self.stream);
            let (journal, producer) = (self.journal.clone(), self.shared.producer.clone());
            let (status, quarantine) = (self.status.clone(), self.shared.quarantine.clone());
            let repeats = self.repeats();
            async move {
                let repeats = repeats.await;
                forward(settings, journal, producer, status, repeats, quarantine).await;
            }
        };
        let failed = |pause: Duration| {
            tracing::error!(
                stream = %self.stream.name, pause_s = pause.as_secs(),
                "the forwarder failed: it is started again after a pause, and goes on from its cursor"
            );
        };
        keep_alive(stop, make, failed).await;
    }

    /// Reads which hits were there before, off the async threads.
    fn repeats(&self) -> impl Future<Output = Option<Repeats>> + Send + 'static {
        let (stream, dedup, journal) = (self.stream.clone(), self.dedup.clone(), self.journal.clone());
        let state_dir = self.shared.state_dir.clone();
        async move {
            let read = move || Repeats::on_disk(&stream.name, &dedup, &state_dir, &journal);
            match tokio::task::spawn_blocking(read).await {
                Ok(repeats) => repeats,
                Err(failed) => match failed.try_into_panic() {
                    // As if it had failed here: the forwarder is started again.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime ends, and this with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

/// One source of tokens for each credential.
struct Tokens<'s, C: Connector> {
    settings: &'s Settings,
    connector: Arc<C>,
    sources: Vec<(String, Arc<TokenSource<C>>)>,
}

impl<'s, C: Connector> Tokens<'s, C> {
    const fn new(settings: &'s Settings, connector: Arc<C>) -> Self {
        Self {
            settings,
            connector,
            sources: Vec::new(),
        }
    }

    fn of(&mut self, stream: &StreamSettings) -> Arc<TokenSource<C>> {
        let name = &stream.credential.name;
        if let Some((_, source)) = self.sources.iter().find(|(known, _)| known == name) {
            return source.clone();
        }
        let sharing = self
            .settings
            .streams
            .iter()
            .filter(|other| other.credential.name == *name);
        let shortest_cooldown = sharing.map(|other| other.cooldown).min().unwrap_or(stream.cooldown);
        let source = TokenSource::new(
            stream.credential.clone(),
            self.connector.clone(),
            stream.connect_timeout,
            shortest_cooldown,
        );
        let source = Arc::new(source);
        self.sources.push((name.clone(), source.clone()));
        source
    }
}

/// Hands out first waits.
struct Stagger {
    step: Duration,
    next: Duration,
}

impl Stagger {
    fn new(settings: &Settings) -> Self {
        let connections: u32 = settings
            .streams
            .iter()
            .map(|stream| u32::from(stream.connections))
            .sum();
        Self {
            step: STAGGER.min(LONGEST_STAGGER / connections.max(1)),
            next: Duration::ZERO,
        }
    }

    fn next(&mut self) -> Duration {
        let stagger = self.next;
        self.next += self.step;
        stagger
    }
}
