//! One stream's tasks, running: a driver for each connection slot, and a forwarder for each output behind them.
//!
//! ```text
//! slots:      keep_alive(driver), one a slot; after a reconnect the next one of a slot waits for the end of the one before
//! outputs:    see [`super::outputs`]; end when the journal is closed, and all of it delivered
//! end:        stop the slots -> they have closed connections and leases -> close the journal -> the outputs end
//! ```

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::outputs::{EndingOutputs, Outputs};
use super::roster::Running;
use super::stagger::Stagger;
use super::{Shared, slot_failed};
use crate::journal::Journal;
use crate::settings::{DedupSettings, StreamSettings};
use crate::stream::reading::gathers_for;
use crate::stream::revival::keep_alive;
use crate::stream::{NextConnect, SharedReset, SlotDriver, Stop, StopSwitch, stop_switch};
use crate::telemetry::StreamStatus;
use crate::upstream::{Connector, TokenSource};

/// A stream that runs. Dropping it ends its tasks where they are.
pub(super) struct StreamTasks<C: Connector> {
    settings: Arc<StreamSettings>,
    journal: Arc<Journal>,
    status: StreamStatus,
    reset: SharedReset,
    shared: Arc<Shared<C>>,
    /// For the slots that run now. A reconnect makes a new one: drivers never see another URL.
    next: watch::Sender<NextConnect<C>>,
    outputs: Outputs<C>,
    /// The last task of each slot that there ever was; those of surplus slots are told to stop.
    slots: Vec<SlotTask>,
    connections: JoinSet<()>,
}

struct SlotTask {
    switch: StopSwitch,
    /// Ends when the task has.
    ended: Stop,
}

/// What a stream is made of.
pub(super) struct Parts<'p, C: Connector> {
    pub(super) settings: Arc<StreamSettings>,
    pub(super) tokens: Arc<TokenSource<C>>,
    pub(super) dedup: &'p DedupSettings,
    pub(super) journal: Arc<Journal>,
    pub(super) reset: SharedReset,
    pub(super) shared: Arc<Shared<C>>,
}

/// A stream that was told to end.
pub(super) struct Ending {
    name: String,
    journal: Arc<Journal>,
    connections: JoinSet<()>,
    outputs: EndingOutputs,
}

impl<C: Connector> StreamTasks<C> {
    /// Starts a stream.
    pub(super) fn start(parts: Parts<'_, C>, stagger: &mut Stagger) -> Self {
        let Parts {
            settings,
            tokens,
            dedup,
            journal,
            reset,
            shared,
        } = parts;
        let mut status = StreamStatus::new(&settings.name, settings.connections);
        let outputs = Outputs::start(&settings, dedup, &journal, &shared, &status);
        status.further = outputs.further();
        let connections = settings.connections;
        let next = NextConnect {
            stream: settings.clone(),
            tokens,
        };
        let mut tasks = Self {
            settings,
            journal,
            status,
            reset,
            shared,
            next: watch::Sender::new(next),
            outputs,
            slots: Vec::new(),
            connections: JoinSet::new(),
        };
        tasks.open(0..connections, stagger);
        tasks
    }

    /// As others see it.
    pub(super) fn shown(&self) -> Running {
        Running {
            settings: self.settings.clone(),
            status: self.status.clone(),
            journal: self.journal.clone(),
            token: self.next.borrow().tokens.status().clone(),
        }
    }

    /// What it goes by.
    pub(super) const fn settings(&self) -> &Arc<StreamSettings> {
        &self.settings
    }

    /// Where its records wait.
    pub(super) const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Closes all connections, and opens them again by other settings, as their leases permit.
    pub(super) fn reconnect(&mut self, next: NextConnect<C>, stagger: &mut Stagger) {
        self.close(0..self.settings.connections);
        self.settings = next.stream.clone();
        // A new one: who is closing just now must not come to know another URL.
        self.next = watch::Sender::new(next);
        self.status = self.status.with_connections(self.settings.connections);
        self.open(0..self.settings.connections, stagger);
    }

    /// Goes by other settings from the next connect on, which ask for no reconnect; closes surplus connections, and opens missing ones.
    pub(super) fn adjust(&mut self, next: NextConnect<C>, stagger: &mut Stagger) {
        let (before, after) = (self.settings.connections, next.stream.connections);
        self.settings = next.stream.clone();
        self.next.send_replace(next);
        self.close(after..before);
        self.status = self.status.with_connections(after);
        self.open(before..after, stagger);
    }

    /// Fetches tokens from another source from the next connect on.
    pub(super) fn take_tokens(&mut self, tokens: Arc<TokenSource<C>>) {
        self.next.send_if_modified(|next| {
            let other = !Arc::ptr_eq(&next.tokens, &tokens);
            next.tokens = tokens;
            other
        });
    }

    /// Has the forwarders go by the stream's settings and these.
    pub(super) fn redirect(&mut self, dedup: &DedupSettings) {
        self.outputs.go_by(&self.settings, dedup, &self.status);
        self.status.further = self.outputs.further();
    }

    /// Tells all its tasks to end.
    pub(super) fn end(self) -> Ending {
        self.close(0..self.settings.connections);
        Ending {
            name: self.settings.name.clone(),
            journal: self.journal,
            connections: self.connections,
            outputs: self.outputs.end(),
        }
    }

    fn close(&self, slots: Range<u8>) {
        for slot in slots {
            if let Some(task) = self.slots.get(usize::from(slot)) {
                task.switch.stop();
            }
        }
    }

    fn open(&mut self, slots: Range<u8>, stagger: &mut Stagger) {
        // What is over need not be kept for the end.
        while self.connections.try_join_next().is_some() {}
        for slot in slots.map(usize::from) {
            let ((switch, stop), (over, ended)) = (stop_switch(), stop_switch());
            let before = self.slots.get(slot).map(|task| task.ended.clone());
            let make = self.driver(slot, stagger);
            let name = self.settings.name.clone();
            self.connections.spawn(async move {
                // Dropped at the end, which gives the word.
                let _over = over;
                if let Some(before) = before {
                    before.requested().await;
                }
                if !stop.is_requested() {
                    let failed = |pause| slot_failed(&name, slot, pause);
                    keep_alive(&stop, || make().drive(stop.clone()), failed).await;
                }
            });
            let task = SlotTask { switch, ended };
            match self.slots.get_mut(slot) {
                Some(before) => *before = task,
                None => self.slots.push(task),
            }
        }
    }

    fn driver(&self, slot: usize, stagger: &mut Stagger) -> impl Fn() -> SlotDriver<C> + Send + 'static + use<C> {
        let (journal, shared, reset) = (self.journal.clone(), self.shared.clone(), self.reset.clone());
        let (status, counters) = (self.status.slots[slot].clone(), self.status.counters.clone());
        let (next, stagger) = (self.next.subscribe(), stagger.next());
        move || {
            let mut next = next.clone();
            let NextConnect { stream, tokens } = next.borrow_and_update().clone();
            SlotDriver {
                gathers_for: gathers_for(shared.producer.linger()),
                jitter_seed: RandomState::new().hash_one((&stream.name, slot)),
                stream,
                tokens,
                next,
                slot: slot as u8,
                connector: shared.connector.clone(),
                leases: shared.leases.clone(),
                journal: journal.clone(),
                clock: shared.clock.clone(),
                status: status.clone(),
                counters: counters.clone(),
                stagger,
                reset: reset.clone(),
            }
        }
    }
}

impl Ending {
    /// What it has read and not delivered.
    pub(super) const fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Returns when all connections are closed, and all that they brought is delivered. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        // Their leases are closed then, too.
        while self.connections.join_next().await.is_some() {}
        // Nothing more will come: the forwarders end when they have delivered what there is.
        self.journal.close();
        self.outputs.ended().await;
    }

    /// Ends its tasks where they are, if they have not ended. What is left is its name and its journal.
    pub(super) fn abandoned(self) -> (String, Arc<Journal>) {
        (self.name, self.journal)
    }

    /// Returns when all connections are closed, and nothing is in flight; what they brought need not be delivered. Cancel-safe.
    pub(super) async fn ended_soon(&mut self) {
        while self.connections.join_next().await.is_some() {}
        self.outputs.hurry();
        self.ended().await;
    }
}
