//! What `livestreamd check` asks of librdkafka, and with `--connect` of a cluster: who is there, and which topics are.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::{ClientContext, producer::DeliveryResult};
use thiserror::Error;

use super::config::{PropertyFault, client_config};
use super::producer::ProducerError;
use crate::settings::KafkaSettings;

/// A cluster that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    /// `host:port` of each broker, in the order of their ids.
    pub brokers: Vec<String>,
    /// The topics that were asked about, in the order given.
    pub topics: Vec<TopicInfo>,
}

/// A topic that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has. `None` if it does not exist, or our credentials may not see it.
    pub partitions: Option<usize>,
}

/// Why a cluster did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// No producer could be set up.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// No broker answered in time, or the answer was a refusal.
    #[error("kafka.brokers: no metadata from {brokers:?}: {why}")]
    NoAnswer {
        /// `kafka.brokers`.
        brokers: String,
        /// What librdkafka said last.
        why: String,
    },
}

/// Asks the cluster for its brokers, and whether these topics exist. Creates none. Blocks up to `timeout` and somewhat longer: call
/// it where blocking harms nobody.
pub fn metadata(settings: &KafkaSettings, topics: &[&str], timeout: Duration) -> Result<ClusterInfo, MetadataError> {
    let config = client_config(settings).map_err(|faults: Vec<PropertyFault>| ProducerError::Properties(faults))?;
    let client: BaseProducer<LastWord> = config
        .create_with_context(LastWord::default())
        .map_err(|error| ProducerError::Refused(error.to_string()))?;
    // All topics rather than each by its name: asking for a missing one by name may create it.
    let found = client.client().fetch_metadata(None, timeout).map_err(|error| {
        // Lets librdkafka tell what went wrong underneath.
        client.poll(Duration::from_millis(100));
        let said = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        MetadataError::NoAnswer {
            brokers: settings.brokers.clone(),
            why: said.unwrap_or_else(|| error.to_string()),
        }
    })?;
    let mut brokers: Vec<_> = found.brokers().iter().collect();
    brokers.sort_by_key(|broker| broker.id());
    let partitions_of = |name: &str| {
        let topic = found
            .topics()
            .iter()
            .find(|topic| topic.name() == name && topic.error().is_none())?;
        Some(topic.partitions().len())
    };
    Ok(ClusterInfo {
        brokers: brokers
            .iter()
            .map(|broker| format!("{}:{}", broker.host(), broker.port()))
            .collect(),
        topics: topics
            .iter()
            .map(|name| TopicInfo {
                name: (*name).to_owned(),
                partitions: partitions_of(name),
            })
            .collect(),
    })
}

/// Has librdkafka build a client from the settings, which reads what they name, such as certificates. Connects to nobody.
///
/// # Errors
/// All faults in `[kafka.properties]` at once, or librdkafka's refusal.
pub fn try_out(settings: &KafkaSettings) -> Result<(), ProducerError> {
    let mut config = client_config(settings).map_err(ProducerError::Properties)?;
    config.remove("bootstrap.servers");
    config
        .create_with_context::<_, BaseProducer<LastWord>>(LastWord::default())
        .map_err(|error| ProducerError::Refused(error.to_string()))?;
    Ok(())
}

/// Keeps the last thing that librdkafka complained about.
#[derive(Default)]
struct LastWord(Mutex<Option<String>>);

impl ClientContext for LastWord {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // "all brokers are down" comes last and says the least.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() || error.rdkafka_error_code() != Some(rdkafka::error::RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for LastWord {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
