//! How the forwarding of a stream fares, kept up to date by its forwarder and read by whoever shows it.

use std::time::Instant;

use tokio::sync::watch;

/// How Kafka takes a stream's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing stands in the way, as far as is known.
    #[default]
    Well,
    /// Kafka did not take a record: the stream goes back to its cursor, and produces again.
    SetBack {
        /// When the first of these failures in a row was told.
        since: Instant,
        /// When it produces again.
        retry_at: Instant,
        /// What Kafka, or its client, said.
        reason: String,
        /// What a person should do about it, if there is anything.
        advice: Option<&'static str>,
        /// How many failures in a row these are.
        failures: u32,
    },
    /// Records wait, and no delivery report comes.
    Stalled {
        /// When the last report came, or the first record that waits for one went out.
        since: Instant,
    },
}

impl Delivery {
    /// A short fixed name, for people and labels.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::SetBack { .. } => "set_back",
            Self::Stalled { .. } => "stalled",
        }
    }

    /// Since when it is not well.
    pub const fn since(&self) -> Option<Instant> {
        match self {
            Self::Well => None,
            Self::SetBack { since, .. } | Self::Stalled { since } => Some(*since),
        }
    }
}

/// The delivery of one stream, as people see it. Clones share it.
#[derive(Clone, Debug)]
pub struct DeliveryStatus(watch::Sender<Delivery>);

impl Default for DeliveryStatus {
    fn default() -> Self {
        Self(watch::Sender::new(Delivery::Well))
    }
}

impl DeliveryStatus {
    /// Shows how it fares from now on.
    pub fn show(&self, delivery: Delivery) {
        self.0.send_replace(delivery);
    }

    /// How it fares now.
    pub fn now(&self) -> Delivery {
        self.0.borrow().clone()
    }

    /// To wait for what comes next.
    pub fn watch(&self) -> watch::Receiver<Delivery> {
        self.0.subscribe()
    }
}
