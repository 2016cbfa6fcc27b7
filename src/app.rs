//! The daemon put together: state directory, journals, producer, supervisor, admin server; and taken apart in the opposite order. While it
//! runs, it may be given another configuration ([`reload`]).

mod newer_state;
mod reload;
mod summing_up;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

pub use newer_state::{NewerState, refuse_newer_state};
use summing_up::sum_up;

use crate::admin::{self, Admin};
use crate::clock::{Clock, SystemClock};
use crate::id_store::forget_others;
use crate::journal::{Journal, Journals, JournalsSettings, OpenError};
use crate::kafka::Producer;
use crate::leases::LeaseDir;
use crate::lifecycle::ResetTo;
use crate::quarantine::Quarantine;
use crate::service_manager::{self, ServiceManager};
use crate::settings::{Settings, StreamSettings};
use crate::state_dir::StateDir;
use crate::status::{Board, LastReload, board};
use crate::stream::revival::{AbortOnDrop, keep_alive};
use crate::stream::stop_switch;
use crate::supervisor::survey::{Around, Instruments, Survey};
use crate::supervisor::{Leftover, Roster, Shared, Supervisor};
use crate::telemetry::StreamStatus;
use crate::upstream::{Connector, Dialer};

/// How long librdkafka may take to end, once nothing is left to deliver.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);
/// How long the last sync of the journals may take. A disk that hangs must not keep the daemon from ending.
const LONGEST_LAST_SYNC: Duration = Duration::from_secs(10);
/// What a stop may take beyond all that has a limit of its own.
const STOP_MARGIN: Duration = Duration::from_secs(5);
/// So many journals are opened at once. More would only wait for the same disk.
const OPENED_AT_ONCE: usize = 4;
/// Opening journals is told of so often, if it takes that long.
const OPENING_TOLD_EVERY: Duration = Duration::from_secs(2);

/// A running daemon.
pub struct Daemon<C: Connector = Dialer> {
    supervisor: Supervisor<C>,
    producer: Arc<Producer>,
    journals: Arc<Journals>,
    /// Those in use: what needs a restart is in them as it was at the start.
    settings: Settings,
    clock: Arc<dyn Clock>,
    last_reload: watch::Sender<Option<LastReload>>,
    board: Board,
    admin: Option<Admin>,
    manager: ServiceManager,
    _posting: AbortOnDrop,
    _telling: AbortOnDrop,
    _state_dir: StateDir,
}

/// Where journals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalsKept {
    /// In the state directory.
    OnDisk,
    /// In memory, so that a crash loses what was read: for the benchmark that shows what it costs to have them on disk.
    InMemory,
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What was not done in time.
    pub leftover: Leftover,
    /// Whether what is left in the journals is durable.
    pub durable: bool,
}

impl<C: Connector> Daemon<C> {
    /// Locks the state directory, opens the journals, makes the producer, and starts all streams. It is the same after a crash.
    ///
    /// # Errors
    /// If the state directory cannot be used or is in use, something in it is too new ([`NewerState`]), a journal cannot be opened, or
    /// librdkafka refuses a property.
    pub async fn start(settings: Settings, connector: C) -> anyhow::Result<Self> {
        let kept = JournalsKept::OnDisk;
        Self::start_for(ServiceManager::none(), settings, connector, BTreeMap::new(), kept).await
    }

    /// The same, with a service manager to be told of everything, and with resets on purpose by the names of streams. A name that is no
    /// stream's is passed over.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_for(
        manager: ServiceManager,
        settings: Settings,
        connector: C,
        resets: BTreeMap<String, ResetTo>,
        kept: JournalsKept,
    ) -> anyhow::Result<Self> {
        let state_dir = StateDir::lock(&settings.state_dir)?;
        {
            let (path, streams) = (state_dir.path().to_owned(), settings.streams.clone());
            let refuse = move || refuse_newer_state(&path, &streams);
            tokio::task::spawn_blocking(refuse).await??;
        }
        // Before anything goes out: a daemon that nobody could look into should not have begun.
        let listener = admin::Listener::bind(&settings.admin).await?;
        let page = listener.as_ref().map_or("off".to_owned(), admin::Listener::url);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let leases = LeaseDir::open(state_dir.path(), clock.clone())
            .with_context(|| format!("cannot make {}/leases", state_dir.path().display()))?;
        let quarantine = Quarantine::open(state_dir.path(), settings.quarantine)
            .with_context(|| format!("cannot make {}/quarantine", state_dir.path().display()))?;
        let (journals, opened) = {
            let (path, settings, manager) = (state_dir.path().to_owned(), settings.clone(), manager.clone());
            tokio::task::spawn_blocking(move || open_journals(&path, &settings, &manager, kept)).await??
        };
        let journals = Arc::new(journals);
        let producer = Arc::new(Producer::new(&settings.kafka)?);
        let shared = Shared {
            connector: Arc::new(connector),
            producer: producer.clone(),
            leases,
            state_dir: state_dir.path().to_owned(),
            journals: journals.clone(),
            quarantine: quarantine.clone(),
            clock: clock.clone(),
            resets,
        };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            streams = settings.streams.len(),
            state_dir = %settings.state_dir.display(),
            admin = page,
            backlog_bytes = opened.iter().map(Journal::backlog_bytes).sum::<u64>(),
            "started"
        );
        let supervisor = Supervisor::start(&settings, opened, shared);
        let last_reload = watch::Sender::new(None);
        let instruments = Instruments {
            kafka: producer.status().clone(),
            sync_rounds: journals.sync_rounds(),
        };
        let around = Around {
            last_reload: last_reload.subscribe(),
            ..Around::new(&settings, quarantine, instruments, supervisor.stop_word().clone())
        };
        let mut survey = Survey::new(supervisor.roster().clone(), around, clock.clone());
        let board = Board::new(survey.look());
        let survey = Arc::new(tokio::sync::Mutex::new(survey));
        let posting = AbortOnDrop::spawn(keep_posted(survey.clone(), board.clone()));
        let admin = match listener {
            Some(listener) => Some(listener.serve(board.clone()).await?),
            None => None,
        };
        // Not when streams stream: that may be minutes from now, and nothing is wrong with it.
        manager.ready();
        let telling = AbortOnDrop::spawn(keep_told(manager.clone(), survey, board.clone()));
        Ok(Self {
            supervisor,
            producer,
            journals,
            settings,
            board,
            admin,
            manager,
            _posting: posting,
            _telling: telling,
            clock,
            last_reload,
            _state_dir: state_dir,
        })
    }

    /// Where the daemon's status is posted about once a second, until it is dropped.
    pub const fn board(&self) -> &Board {
        &self.board
    }

    /// The admin server, if there is one.
    pub const fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    /// What each stream does now, in the order of their names.
    pub fn statuses(&self) -> Vec<StreamStatus> {
        let running = self.supervisor.roster().all();
        running.iter().map(|stream| stream.status.clone()).collect()
    }

    /// Which streams run, for who shows them while a reload may change that.
    pub const fn roster(&self) -> &Roster {
        self.supervisor.roster()
    }

    /// What came of the last reload, if there was any.
    pub fn last_reload(&self) -> watch::Receiver<Option<LastReload>> {
        self.last_reload.subscribe()
    }

    /// How long a reload may take before something is wrong with it.
    pub fn longest_reload(&self) -> Duration {
        self.settings.shutdown_timeout + reload::LONGEST_LEAVING + reload::LONGEST_LOADING
    }

    /// Closes the connections, stores their leases and delivers what was read, within `shutdown_timeout`. What is not delivered
    /// then stays in the journal.
    pub async fn stop(self) -> Ended {
        let timeout = self.settings.shutdown_timeout;
        self.manager
            .stopping(timeout + LONGEST_LAST_SYNC + LONGEST_CLOSE + STOP_MARGIN);
        tracing::info!(
            timeout_s = timeout.as_secs_f64(),
            "stopping: closing connections, then delivering what was read"
        );
        let statuses = self.statuses();
        let leftover = self.supervisor.stop(timeout).await;
        statuses.iter().for_each(sum_up);
        let journals = self.journals;
        let last_sync = tokio::task::spawn_blocking(move || journals.stop());
        let durable = matches!(tokio::time::timeout(LONGEST_LAST_SYNC, last_sync).await, Ok(Ok(true)));
        match leftover {
            _ if !durable => tracing::error!(
                bytes = leftover.bytes,
                "stopped: what is in the journal may not be durable, see to the disk: a power loss now may take some of it"
            ),
            Leftover { streams: 0, bytes: 0 } => tracing::info!("stopped: all that was read is delivered"),
            Leftover { streams, bytes } => tracing::warn!(
                streams,
                bytes,
                "stopped: not all that was read is delivered; it is in the journal, and goes out at the next start"
            ),
        }
        // librdkafka's threads should be gone before the process ends.
        if tokio::time::timeout(LONGEST_CLOSE, Producer::close(self.producer))
            .await
            .is_err()
        {
            tracing::warn!("the kafka producer did not end in time: ending without it");
        }
        // Last, so that it shows the end as well.
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        Ended { leftover, durable }
    }
}

/// Not kept for longer than a look takes.
type SharedSurvey = Arc<tokio::sync::Mutex<Survey>>;

/// Posts how everything is, again and again; started again if a look fails.
async fn keep_posted(survey: SharedSurvey, board: Board) {
    let (_never, stop) = stop_switch();
    let failed = |pause: Duration| {
        let pause_s = pause.as_secs();
        tracing::error!(
            pause_s,
            "the status could not be made: it is tried again after a pause, and is old until then"
        );
    };
    keep_alive(&stop, || post(survey.clone(), board.clone()), failed).await;
}

async fn post(survey: SharedSurvey, board: Board) {
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        board.post(survey.lock().await.look());
    }
}

/// Tells the service manager that the daemon is alive, and how it is.
///
/// What it calls alive: the threads that read the streams get round to this task, and a look at all streams, with the locks that it
/// takes, comes to an end. A look that panics does: a bug in what is shown is no reason to end what works. Neither is Kafka, the service
/// or a disk: a restart mends none of them, and costs every stream a cooldown.
async fn keep_told(manager: ServiceManager, survey: SharedSurvey, board: Board) {
    if !manager.listens() {
        return;
    }
    let mut told = String::new();
    let mut ticks = every_second();
    loop {
        ticks.tick().await;
        drop(survey.lock().await);
        let daemon = board.last().daemon;
        // As with a look: a panic in it is a bug in what is shown.
        let how = catch_unwind(|| service_manager::line(&daemon)).unwrap_or_default();
        if manager.alive((how != told).then_some(&*how)) {
            told = how;
        }
    }
}

fn every_second() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(board::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Opens the journals of all streams, in the order of the settings, and reports those that belong to none. Blocks on the disk.
fn open_journals(
    state_dir: &Path,
    settings: &Settings,
    manager: &ServiceManager,
    kept: JournalsKept,
) -> anyhow::Result<(Journals, Vec<Journal>)> {
    let mut journals = Journals::start(JournalsSettings {
        state_dir: state_dir.to_owned(),
        sync_interval: settings.journal.sync_interval,
        max_bytes: settings.journal.max_bytes,
        max_bytes_in_all: settings.journal.max_bytes_in_all,
        streams: settings.streams.len(),
    })
    .with_context(|| format!("the journals in {} cannot be used", state_dir.display()))?;
    match kept {
        JournalsKept::OnDisk => {}
        JournalsKept::InMemory => {
            tracing::warn!("no journal is kept on disk: what was read and is not delivered does not survive a crash");
            journals = journals.in_memory();
        }
    }
    let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    let opened = open_all(&journals, state_dir, &settings.streams, manager)?;
    report_orphans(&journals, &names.into_iter().collect());
    Ok((journals, opened))
}

/// Opens several at a time: each reads the end of what it holds.
fn open_all(
    journals: &Journals,
    state_dir: &Path,
    streams: &[StreamSettings],
    manager: &ServiceManager,
) -> Result<Vec<Journal>, OpenError> {
    let (next, told) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
    let open_some = || {
        let mut opened = Vec::new();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(stream) = streams.get(nth) else { return opened };
            opened.push((nth, open_journal(journals, state_dir, stream)));
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() >= OPENING_TOLD_EVERY {
                tracing::info!(opened = nth + 1, of = streams.len(), "opening journals");
                manager.opening(nth + 1, streams.len());
                *told = Instant::now();
            }
        }
    };
    let mut opened = thread::scope(|scope| {
        let others: Vec<_> = (1..OPENED_AT_ONCE.min(streams.len()))
            .map(|_| scope.spawn(open_some))
            .collect();
        let mut opened = open_some();
        for other in others {
            match other.join() {
                Ok(some) => opened.extend(some),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        opened
    });
    opened.sort_by_key(|(nth, _)| *nth);
    opened.into_iter().map(|(_, journal)| journal).collect()
}

/// Opens a stream's journal for its outputs. What is kept of outputs that it has no more is forgotten.
fn open_journal(journals: &Journals, state_dir: &Path, stream: &StreamSettings) -> Result<Journal, OpenError> {
    let outputs: Vec<&str> = stream.outputs.iter().filter_map(|output| output.further()).collect();
    let stream = stream.name.as_str();
    if let Err(error) = forget_others(state_dir, stream, &outputs) {
        tracing::warn!(stream, %error, "ids of outputs that are gone stay on disk");
    }
    let journal = journals.open(stream, &outputs)?;
    let status = journal.status();
    if status.backlog_bytes > 0 {
        tracing::info!(
            stream,
            backlog_bytes = status.backlog_bytes,
            "the journal holds what is not delivered yet: it goes out first"
        );
    }
    Ok(journal)
}

/// A journal whose stream was removed or renamed is kept until somebody decides.
fn report_orphans(journals: &Journals, streams: &BTreeSet<&str>) {
    match journals.orphans(streams) {
        Ok(orphans) => {
            for (stream, bytes) in orphans {
                tracing::warn!(
                    stream,
                    bytes,
                    "a journal belongs to no stream of the configuration, and is kept: name a stream so to have it delivered, or see \
                     livestreamd journal --help"
                );
            }
        }
        Err(error) => tracing::warn!(%error, "journals that belong to no stream cannot be looked for"),
    }
}
