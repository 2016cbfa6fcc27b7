//! Owns the tasks of each stream: starts them one after another, starts again what fails, changes them while the daemon runs, and stops
//! them in an order that loses nothing. A stream that fails, comes or goes leaves the others alone.
//!
//! | module | holds |
//! | --- | --- |
//! | [`tasks`] | one stream's tasks |
//! | [`outputs`] | the forwarders among them |
//! | [`reload`] | streams come, go and change |
//! | [`leaving`] | a removed stream on its way out |
//! | [`roster`] | which streams run now |
//! | [`survey`] | looks at all that they do |
//! | [`tokens`], [`stagger`] | what they share: sources of tokens, and first waits |

mod leaving;
mod outputs;
mod reload;
pub mod roster;
mod stagger;
pub mod survey;
mod tasks;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::journal::{Journal, Journals};
use crate::kafka::Producer;
use crate::leases::LeaseDir;
use crate::lifecycle::ResetTo;
use crate::quarantine::Quarantine;
use crate::settings::{DedupSettings, Settings};
use crate::stream::{SharedReset, Stop, StopSwitch, stop_switch};
use crate::upstream::Connector;
use leaving::Leaving;
use stagger::Stagger;
use tasks::StreamTasks;
use tokens::Tokens;

pub use roster::{Roster, Running};

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
    /// The journals of all streams: that of a removed one is let go of.
    pub journals: Arc<Journals>,
    /// Where is kept what Kafka does not take.
    pub quarantine: Quarantine,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Resets on purpose that this run was told to send, by the stream's name.
    pub resets: BTreeMap<String, ResetTo>,
}

/// The streams of one daemon, running.
pub struct Supervisor<C: Connector> {
    running: BTreeMap<String, StreamTasks<C>>,
    /// Streams that a reload has removed, on their way out.
    leaving: BTreeMap<String, Leaving>,
    roster: Roster,
    shared: Arc<Shared<C>>,
    tokens: Tokens<C>,
    dedup: DedupSettings,
    /// What each stream has done of its reset, for the whole run: a stream that is removed and added again sends none twice.
    resets: BTreeMap<String, SharedReset>,
    sweeper: JoinSet<()>,
    /// For the sweeper, and for who shows that the daemon stops.
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

impl<C: Connector> Supervisor<C> {
    /// Starts all streams of `settings`, each with its journal: `journals` are in the order of the streams.
    pub fn start(settings: &Settings, journals: Vec<Journal>, shared: Shared<C>) -> Self {
        let (switch, stop) = stop_switch();
        let mut sweeper = JoinSet::new();
        let quarantine = shared.quarantine.clone();
        let until = stop.clone();
        sweeper.spawn(async move { quarantine.keep_swept(until.requested()).await });
        let mut supervisor = Self {
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            roster: Roster::default(),
            tokens: Tokens::new(shared.connector.clone()),
            shared: Arc::new(shared),
            dedup: settings.dedup.clone(),
            resets: BTreeMap::new(),
            sweeper,
            switch,
            stop,
        };
        supervisor.tokens.serve(&settings.streams);
        let mut stagger = Stagger::new(settings.streams.iter().map(|stream| stream.connections));
        for (stream, journal) in settings.streams.iter().zip(journals) {
            supervisor.add(Arc::new(stream.clone()), journal, &mut stagger);
        }
        supervisor.show();
        supervisor
    }

    /// Is given when the streams are told to stop.
    pub const fn stop_word(&self) -> &Stop {
        &self.stop
    }

    /// The streams that run.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Closes all connections, stores their leases, delivers what was read, and returns when all is done, or after `timeout`.
    pub async fn stop(self, timeout: Duration) -> Leftover {
        let Self {
            running,
            leaving,
            mut sweeper,
            switch,
            ..
        } = self;
        switch.stop();
        // Who is gone already has told what it left.
        let on_their_way = leaving.values().filter(|stream| !stream.is_gone());
        let journals: Vec<Arc<Journal>> = running
            .values()
            .map(StreamTasks::journal)
            .chain(on_their_way.map(Leaving::journal))
            .cloned()
            .collect();
        let mut ending = JoinSet::new();
        for stream in running.into_values() {
            let mut stream = stream.end();
            ending.spawn(async move { stream.ended().await });
        }
        for mut stream in leaving.into_values() {
            ending.spawn(async move { stream.gone().await });
        }
        let all_ended = async {
            while ending.join_next().await.is_some() {}
            while sweeper.join_next().await.is_some() {}
        };
        // Whether in time or not: what has ended is not among them any more.
        let _ = tokio::time::timeout(timeout, all_ended).await;
        let streams = ending.len();
        ending.shutdown().await;
        sweeper.shutdown().await;
        Leftover {
            streams,
            bytes: journals.iter().map(|journal| journal.backlog_bytes()).sum(),
        }
    }

    /// What the stream of this name has done of its reset in this run.
    fn reset_of(&mut self, name: &str) -> SharedReset {
        let wish = self.shared.resets.get(name).copied();
        let reset = self.resets.entry(name.to_owned());
        reset.or_insert_with(|| SharedReset::new(wish)).clone()
    }

    fn show(&self) {
        self.roster.set(self.running.values().map(StreamTasks::shown).collect());
    }
}

fn slot_failed(stream: &str, slot: usize, pause: Duration) {
    tracing::error!(
        stream,
        slot,
        pause_s = pause.as_secs(),
        "a connection's task failed: it is started again after a pause, and waits out a cooldown"
    );
}

fn forwarder_failed(stream: &str, output: &str, pause: Duration) {
    tracing::error!(
        stream,
        output,
        pause_s = pause.as_secs(),
        "the forwarder failed: it is started again after a pause, and goes on from its cursor"
    );
}
