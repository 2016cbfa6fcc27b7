//! What `livestreamd check` asks of librdkafka, and with `--connect` of a cluster: who is there, and which topics are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, producer::DeliveryResult};
use thiserror::Error;

use super::certificate::why_not_trusted;
use super::config::{PropertyFault, client_config};
use super::producer::ProducerError;
use super::refusal::{advice, untrusted_broker};
use super::said::Said;
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
    #[error("kafka.brokers: no metadata from {brokers:?}: {why}{}", after_a_line(.advice.as_deref()))]
    NoAnswer {
        /// `kafka.brokers`.
        brokers: String,
        /// What librdkafka said last.
        why: String,
        /// What that means, and what to do, if we know.
        advice: Option<String>,
    },
}

/// Asks the cluster for its brokers, and whether these topics exist. Creates none. Blocks up to `timeout` and somewhat longer: call
/// it where blocking harms nobody.
pub fn metadata(settings: &KafkaSettings, topics: &[&str], timeout: Duration) -> Result<ClusterInfo, MetadataError> {
    let config = client_config(settings).map_err(|faults: Vec<PropertyFault>| ProducerError::Properties(faults))?;
    let client: BaseProducer<LastWord> = config
        .create_with_context(LastWord::of(&config))
        .map_err(|error| ProducerError::Refused(error.to_string()))?;
    // All topics rather than each by its name: asking for a missing one by name may create it.
    let found = client.client().fetch_metadata(None, timeout).map_err(|error| {
        // Lets librdkafka tell what went wrong underneath.
        client.poll(Duration::from_millis(100));
        let why = client.context().take().unwrap_or_else(|| error.to_string());
        let seen = untrusted_broker(&why).and_then(|broker| why_not_trusted(broker, settings));
        MetadataError::NoAnswer {
            brokers: settings.brokers.clone(),
            advice: seen.or_else(|| advice(&why).or_else(|| hung_up(&why)).map(str::to_owned)),
            why,
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
            .map(|broker| {
                client
                    .context()
                    .said
                    .shown(&format!("{}:{}", broker.host(), broker.port()))
            })
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
    if fetches_tokens(settings) {
        // It would fetch a token at once. What it says of the properties for that, it says without a login, too.
        config.set("security.protocol", "ssl");
    }
    config
        .create_with_context::<_, BaseProducer<LastWord>>(LastWord::of(&config))
        .map_err(|error| ProducerError::Refused(error.to_string()))?;
    Ok(())
}

/// Whether librdkafka is to fetch OAuth tokens.
fn fetches_tokens(settings: &KafkaSettings) -> bool {
    let method = settings.properties.get("sasl.oauthbearer.method");
    method.is_some_and(|method| method.eq_ignore_ascii_case("oidc"))
}

/// A broker that hangs up on a stranger; on one that it knew, it has its reasons.
fn hung_up(why: &str) -> Option<&'static str> {
    why.contains("closed by peer").then_some(
        "the broker hung up: this port may want an account (sasl_ssl), or speak something else than security.protocol in kafka.properties says",
    )
}

fn after_a_line(advice: Option<&str>) -> String {
    advice.map(|advice| format!("; {advice}")).unwrap_or_default()
}

/// Keeps the last thing that librdkafka complained about.
struct LastWord {
    said: Said,
    complaints: Mutex<Complaints>,
}

#[derive(Default)]
struct Complaints {
    /// As an error. "All brokers are down" is none: it comes last and says the least.
    error: Option<String>,
    /// In a log line: there are complaints that come in no other way.
    line: Option<String>,
    /// That all brokers are down.
    down: Option<String>,
}

impl LastWord {
    fn of(config: &ClientConfig) -> Self {
        Self {
            said: Said::to(config),
            complaints: Mutex::default(),
        }
    }

    /// What says most.
    fn take(&self) -> Option<String> {
        let Complaints { error, line, down } = std::mem::take(&mut *self.complaints());
        error.or(line).or(down)
    }

    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for LastWord {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, "{text}");
        // It tells at level info of a port that speaks something else.
        if !matches!(level, RDKafkaLogLevel::Debug) {
            let text = text.split_once("]: ").map_or(text, |(_thread, text)| text);
            self.complaints().line = Some(self.said.shown(text));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut complaints = self.complaints();
        if error.rdkafka_error_code() == Some(rdkafka::error::RDKafkaErrorCode::AllBrokersDown) {
            complaints.down = Some(self.said.shown(reason));
        } else {
            complaints.error = Some(self.said.shown(reason));
        }
    }
}

impl ProducerContext for LastWord {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
