//! The producer that all streams share.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rdkafka::ClientConfig;
use thiserror::Error;
use tokio::sync::mpsc;

use super::config::{PropertyFault, client_config, one_by_one};
use super::link::{Lane, Link};
use crate::journal::Position;
use crate::settings::KafkaSettings;

/// Why there is no producer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProducerError {
    /// The operator's properties are at fault.
    #[error("{}", list(.0))]
    Properties(Vec<PropertyFault>),
    /// librdkafka accepts each property, but not all of them together; or something that they name, such as a certificate.
    #[error("kafka.properties: librdkafka refuses them: {0}")]
    Refused(String),
    /// No thread could be started.
    #[error("no thread can be started for the kafka producer: {0}")]
    Thread(String),
    /// All 65,536 lanes are taken.
    #[error("too many streams share one kafka producer")]
    TooManyStreams,
}

/// How a stream's records are to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Gathered into batches.
    InBatches,
    /// Each in a batch of its own, to find out which one is too large.
    OneByOne,
}

/// Kafka producers for all streams: the one in use, built anew after a fatal error; and, while some stream needs it, a second
/// one that gathers no batches.
pub struct Producer {
    in_batches: ClientConfig,
    one_by_one: ClientConfig,
    current: Mutex<Arc<Link>>,
    single: Mutex<Weak<Link>>,
    /// Held while a link is built, so that only one is.
    building: tokio::sync::Mutex<()>,
    /// A clone of it lives with every poll thread.
    alive: mpsc::Sender<()>,
    /// Learns when the last of them is gone.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Producer {
    /// Checks the settings and starts a producer. Does not wait for a broker, but may block for some milliseconds; call it before
    /// the streams start.
    ///
    /// # Errors
    /// All faults in `[kafka.properties]` at once, or librdkafka's refusal.
    pub fn new(settings: &KafkaSettings) -> Result<Self, ProducerError> {
        let in_batches = client_config(settings).map_err(ProducerError::Properties)?;
        let (alive, ended) = mpsc::channel(1);
        let link = Link::open(&in_batches, alive.clone())?;
        Ok(Self {
            one_by_one: one_by_one(&in_batches),
            in_batches,
            current: Mutex::new(Arc::new(link)),
            single: Mutex::default(),
            building: tokio::sync::Mutex::default(),
            alive,
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Lets go of librdkafka and waits until it is gone, so that none of its threads runs while the program ends; for as long as
    /// somebody else holds the producer, too. What is still in its queue is given up: end the forwarders first.
    pub async fn close(producer: Arc<Self>) {
        let ended = producer.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(producer);
        if let Some(mut ended) = ended {
            // Nothing is ever sent, so this ends when all senders are gone.
            ended.recv().await;
        }
    }

    /// A lane for a stream whose cursor is at `cursor`, on a producer that has not failed.
    pub(super) async fn lane(&self, pace: Pace, cursor: Position) -> Result<Lane, ProducerError> {
        let link = match self.usable(pace) {
            Some(link) => link,
            None => self.build(pace).await?,
        };
        link.lane(cursor).ok_or(ProducerError::TooManyStreams)
    }

    async fn build(&self, pace: Pace) -> Result<Arc<Link>, ProducerError> {
        let _one_at_a_time = self.building.lock().await;
        if let Some(link) = self.usable(pace) {
            return Ok(link);
        }
        let config = match pace {
            Pace::InBatches => self.in_batches.clone(),
            Pace::OneByOne => self.one_by_one.clone(),
        };
        let alive = self.alive.clone();
        let built = tokio::task::spawn_blocking(move || Link::open(&config, alive)).await;
        let link = Arc::new(built.map_err(|error| ProducerError::Thread(error.to_string()))??);
        match pace {
            Pace::InBatches => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&link);
            }
            Pace::OneByOne => {
                *self.single.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&link);
            }
        }
        Ok(link)
    }

    fn usable(&self, pace: Pace) -> Option<Arc<Link>> {
        let link = match pace {
            Pace::InBatches => Some(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))),
            Pace::OneByOne => self.single.lock().unwrap_or_else(PoisonError::into_inner).upgrade(),
        };
        link.filter(|link| link.fatal().is_none())
    }
}

fn list(faults: &[PropertyFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
