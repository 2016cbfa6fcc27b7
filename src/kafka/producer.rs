//! The producers: one that all streams share, one for streams in trouble, and one that gathers no batches.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::ClientConfig;
use thiserror::Error;
use tokio::sync::mpsc;

use super::config::{PropertyFault, client_config, linger, one_by_one};
use super::lane::{Errand, Lane};
use super::link::{Link, Plan};
use super::log_digest::SharedLogDigest;
use super::partitions::KnownPartitions;
use super::statistics::KafkaStatus;
use super::watchdog::Patience;
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
    InBatches(Company),
    /// Each in a batch of its own, to find out which one is too large.
    OneByOne,
}

/// Which other streams a stream shares its producer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// All that are well.
    All,
    /// Those that are in trouble, so that the others need not mind.
    Troubled,
}

impl Pace {
    /// A short fixed name, for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InBatches(Company::All) => "shared",
            Self::InBatches(Company::Troubled) => "for streams in trouble",
            Self::OneByOne => "one by one",
        }
    }
}

/// Kafka producers for all streams: the one in use, built anew after a fatal error or when it is left; and, while some stream needs
/// them, one for streams in trouble and one that gathers no batches. Never more, however many streams fail: each costs threads,
/// connections and a queue.
pub struct Producer {
    in_batches: ClientConfig,
    one_by_one: ClientConfig,
    current: Mutex<Arc<Link>>,
    troubled: Mutex<Weak<Link>>,
    single: Mutex<Weak<Link>>,
    /// Held while a link is built, so that only one is.
    building: tokio::sync::Mutex<()>,
    patience: Patience,
    partitions: Arc<Mutex<KnownPartitions>>,
    /// What librdkafka has said lately, through whichever of them.
    digest: Arc<SharedLogDigest>,
    status: KafkaStatus,
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
        Self::with_patience(settings, Patience::USUAL)
    }

    /// The same with another patience: tests have no minute.
    pub(super) fn with_patience(settings: &KafkaSettings, patience: Patience) -> Result<Self, ProducerError> {
        let in_batches = client_config(settings).map_err(ProducerError::Properties)?;
        let (alive, ended) = mpsc::channel(1);
        let (partitions, status) = (Arc::default(), KafkaStatus::default());
        let digest = Arc::default();
        let pace = Pace::InBatches(Company::All);
        let link = Link::open(Plan {
            config: in_batches.clone(),
            pace,
            patience: patience.first,
            quiet: patience.quiet(),
            partitions: Arc::clone(&partitions),
            digest: Arc::clone(&digest),
            statistics: status.enter(pace),
            alive: alive.clone(),
        })?;
        Ok(Self {
            one_by_one: one_by_one(&in_batches),
            in_batches,
            current: Mutex::new(Arc::new(link)),
            troubled: Mutex::default(),
            single: Mutex::default(),
            building: tokio::sync::Mutex::default(),
            patience,
            partitions,
            digest,
            status,
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

    /// What librdkafka tells of all of them, for people to see.
    pub const fn status(&self) -> &KafkaStatus {
        &self.status
    }

    /// For how long it holds a record back, to gather a batch.
    pub fn linger(&self) -> Duration {
        linger(&self.in_batches)
    }

    /// How patient streams are with a producer that brings no reports.
    pub(super) const fn patience(&self) -> Patience {
        self.patience
    }

    /// A lane on a producer that has not failed.
    pub(super) async fn lane(&self, pace: Pace, errand: Errand<'_>) -> Result<Lane, ProducerError> {
        let link = match self.usable(pace) {
            Some(link) => link,
            None => self.build(pace).await?,
        };
        link.lane(errand).ok_or(ProducerError::TooManyStreams)
    }

    /// Whether there is a producer for streams in trouble just now.
    #[cfg(test)]
    pub(super) fn has_one_for_the_troubled(&self) -> bool {
        self.latest(Pace::InBatches(Company::Troubled)).is_some()
    }

    async fn build(&self, pace: Pace) -> Result<Arc<Link>, ProducerError> {
        let _one_at_a_time = self.building.lock().await;
        if let Some(link) = self.usable(pace) {
            return Ok(link);
        }
        let Patience { first, most } = self.patience;
        let plan = Plan {
            config: match pace {
                Pace::InBatches(_) => self.in_batches.clone(),
                Pace::OneByOne => self.one_by_one.clone(),
            },
            pace,
            patience: self
                .latest(pace)
                .map_or(first, |link| link.patience_of_the_next(first, most)),
            quiet: self.patience.quiet(),
            partitions: Arc::clone(&self.partitions),
            digest: Arc::clone(&self.digest),
            statistics: self.status.enter(pace),
            alive: self.alive.clone(),
        };
        let built = tokio::task::spawn_blocking(move || Link::open(plan)).await;
        let link = Arc::new(built.map_err(|error| ProducerError::Thread(error.to_string()))??);
        match pace {
            Pace::InBatches(Company::All) => *lock(&self.current) = Arc::clone(&link),
            Pace::InBatches(Company::Troubled) => *lock(&self.troubled) = Arc::downgrade(&link),
            Pace::OneByOne => *lock(&self.single) = Arc::downgrade(&link),
        }
        Ok(link)
    }

    fn usable(&self, pace: Pace) -> Option<Arc<Link>> {
        self.latest(pace).filter(|link| link.is_usable())
    }

    fn latest(&self, pace: Pace) -> Option<Arc<Link>> {
        match pace {
            Pace::InBatches(Company::All) => Some(Arc::clone(&lock(&self.current))),
            Pace::InBatches(Company::Troubled) => lock(&self.troubled).upgrade(),
            Pace::OneByOne => lock(&self.single).upgrade(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn list(faults: &[PropertyFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
