//! What each stream does: the state of every connection slot, kept up to date by its driver, and of its delivery; read by whoever shows it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{DeliveryStatus, StreamCounters};
use crate::lifecycle::gap::OpenGap;
use crate::lifecycle::{Moment, State, Why};

/// One stream, as people see it.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// The stream's name.
    pub name: Arc<str>,
    /// One for each connection slot.
    pub slots: Vec<SlotStatus>,
    /// How Kafka takes its records.
    pub delivery: DeliveryStatus,
    /// What was counted.
    pub counters: Arc<StreamCounters>,
}

impl StreamStatus {
    /// The status of a stream that has not started yet.
    pub fn new(name: &str, connections: u8) -> Self {
        let slots = (0..connections).map(|_| SlotStatus::new()).collect();
        Self {
            name: name.into(),
            slots,
            delivery: DeliveryStatus::default(),
            counters: Arc::default(),
        }
    }
}

/// One connection slot, as people see it. Clones share it.
#[derive(Clone, Debug)]
pub struct SlotStatus {
    state: watch::Sender<State>,
    gap: watch::Sender<Option<OpenGap>>,
}

impl SlotStatus {
    fn new() -> Self {
        Self {
            state: watch::Sender::new(State::Waiting {
                until: Moment::default(),
                why: Why::Start,
            }),
            gap: watch::Sender::new(None),
        }
    }

    /// Shows a new state.
    pub fn show(&self, state: State) {
        self.state.send_replace(state);
    }

    /// What the slot does now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// To wait for what it does next.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Shows that a gap is open, or that none is.
    pub fn show_gap(&self, gap: Option<OpenGap>) {
        self.gap.send_replace(gap);
    }

    /// The gap that is open: since when there is no connection, and why. None before the first connection ever.
    pub fn gap(&self) -> Option<OpenGap> {
        self.gap.borrow().clone()
    }
}
