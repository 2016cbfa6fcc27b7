//! What all connections of a simulator share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::fault_text::FaultError;
use super::faults::{AttemptFault, Fault, StreamFault};
use super::hits::HitMaker;
use super::ledger::Ledger;
use super::random::key_of;
use super::settings::{Rate, SimulatedStream, SimulatorSettings};
use super::slots::{Rules, Slots};
use super::source::Source;
use super::token::Tokens;

/// The most orders that wait for a stream.
const MOST_WAITING: usize = 1_024;
/// The most redirects that may still be followed.
const MOST_TICKETS: usize = 1_024;

/// Everything that lives as long as the simulator.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) tokens: Tokens,
    pub(super) ledger: Ledger,
    /// Turns true when the simulator stops.
    pub(super) stop: watch::Sender<bool>,
    /// Scheme, host and port of each listener.
    pub(super) bases: Vec<String>,
    tickets: Mutex<Tickets>,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) settings: SimulatedStream,
    pub(super) maker: HitMaker,
    /// Wakes the stream's connections: a fault waits, or the rate has changed.
    pub(super) poke: watch::Sender<u64>,
    state: Mutex<StreamState>,
}

/// What changes about a stream.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) source: Source,
    pub(super) slots: Slots,
    /// Since when `/api/2` works, or will.
    pub(super) enabled_at: Option<Duration>,
    attempt_faults: VecDeque<(AttemptFault, u32)>,
    stream_faults: VecDeque<StreamFault>,
    /// Nothing more happens at random.
    calm: bool,
}

/// Redirects that were answered and not followed yet.
#[derive(Debug, Default)]
struct Tickets {
    last: u64,
    open: HashMap<u64, Ticket>,
}

/// A redirect that was answered.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    /// The attempt that was redirected.
    pub(super) from: u64,
    /// How many redirects there were so far.
    pub(super) hops: u8,
    /// The headers that came with it.
    pub(super) headers: BTreeMap<String, String>,
}

impl World {
    pub(super) fn new(settings: &SimulatorSettings, ledger: Ledger, bases: Vec<String>) -> Self {
        let stream = |stream: &SimulatedStream| {
            let rules = Rules {
                cooldown: settings.cooldown,
                linger: settings.linger,
                notice: settings.notice,
                slots: stream.slots,
                prolong: stream.early_prolongs_linger,
            };
            (
                stream.name.clone(),
                Stream::new(stream.clone(), settings.seed, rules, ledger.epoch_secs()),
            )
        };
        let salt = key_of(&format!("{} {}", settings.seed, ledger.wall_ms(Duration::ZERO)));
        Self {
            seed: settings.seed,
            streams: settings.streams.iter().map(stream).collect(),
            tokens: Tokens::new(settings.tokens.clone(), salt),
            ledger,
            stop: watch::channel(false).0,
            bases,
            tickets: Mutex::default(),
        }
    }

    /// Whether the simulator is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the simulator stops.
    pub(super) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives in `self`, so that this ends with a stop only.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Finds a stream.
    pub(super) fn stream(&self, name: &str) -> Result<&Stream, FaultError> {
        self.streams
            .get(name)
            .ok_or_else(|| FaultError::NoStream(name.chars().take(64).collect()))
    }

    /// Takes a fault on.
    pub(super) fn fault(&self, stream: &str, fault: Fault) -> Result<(), FaultError> {
        let stream = self.stream(stream)?;
        let full = || FaultError::Full(stream.settings.name.clone());
        {
            let mut state = stream.state();
            match fault {
                Fault::Attempts(fault, times) => push(&mut state.attempt_faults, (fault, times)).ok_or_else(full)?,
                Fault::Stream(fault) => push(&mut state.stream_faults, fault).ok_or_else(full)?,
            }
        }
        stream.wake();
        Ok(())
    }

    /// Nothing more happens to a stream, unless it is asked for from now on.
    pub(super) fn calm(&self, stream: &str) -> Result<(), FaultError> {
        let stream = self.stream(stream)?;
        {
            let mut state = stream.state();
            state.calm = true;
            state.attempt_faults.clear();
            state.stream_faults.clear();
        }
        stream.wake();
        Ok(())
    }

    /// Changes a stream's rate.
    pub(super) fn set_rate(&self, stream: &str, rate: Rate) -> Result<(), FaultError> {
        let stream = self.stream(stream)?;
        stream.state().source.set_rate(self.ledger.now(), rate);
        stream.wake();
        Ok(())
    }

    /// Makes so many hits more on a stream, at once.
    pub(super) fn burst(&self, stream: &str, hits: u64) -> Result<(), FaultError> {
        let stream = self.stream(stream)?;
        stream.state().source.burst(hits);
        stream.wake();
        Ok(())
    }

    /// Notes a redirect; its ticket lets one request continue the attempt.
    pub(super) fn open_ticket(&self, ticket: Ticket) -> u64 {
        let mut tickets = self.tickets();
        tickets.last += 1;
        let number = tickets.last;
        tickets.open.insert(number, ticket);
        if tickets.open.len() > MOST_TICKETS
            && let Some(oldest) = tickets.open.keys().min().copied()
        {
            tickets.open.remove(&oldest);
        }
        number
    }

    /// Takes a ticket in; it is good once.
    pub(super) fn use_ticket(&self, number: u64) -> Option<Ticket> {
        self.tickets().open.remove(&number)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn new(settings: SimulatedStream, seed: u64, rules: Rules, epoch: u64) -> Self {
        let maker = HitMaker::new(seed, &settings.name, &settings.report_suite, settings.visitors);
        let state = StreamState {
            source: Source::new(&settings, maker.clone(), epoch),
            slots: Slots::new(rules),
            enabled_at: None,
            attempt_faults: VecDeque::new(),
            stream_faults: VecDeque::new(),
            calm: false,
        };
        Self {
            settings,
            maker,
            poke: watch::channel(0).0,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, StreamState> {
        // Every change is complete in itself, so a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.poke.send_modify(|pokes| *pokes = pokes.wrapping_add(1));
    }
}

impl StreamState {
    /// What befalls the attempt that has just arrived.
    pub(super) fn next_attempt_fault(&mut self) -> Option<AttemptFault> {
        let (fault, times) = self.attempt_faults.front_mut()?;
        let fault = fault.clone();
        *times = times.saturating_sub(1);
        if *times == 0 {
            self.attempt_faults.pop_front();
        }
        Some(fault)
    }

    /// What befalls an open connection now.
    pub(super) fn next_stream_fault(&mut self) -> Option<StreamFault> {
        self.stream_faults.pop_front()
    }

    /// Whether things may still happen at random.
    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    /// Whether anything waits for an open connection.
    pub(super) fn has_stream_fault(&self) -> bool {
        !self.stream_faults.is_empty()
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) -> Option<()> {
    (queue.len() < MOST_WAITING).then(|| queue.push_back(item))
}
