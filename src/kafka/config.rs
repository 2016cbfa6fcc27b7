//! librdkafka's configuration: our defaults, and the operator's `[kafka.properties]` on top.

use std::str::FromStr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use thiserror::Error;

use super::in_flight::Limits;
use crate::settings::{KafkaSettings, is_secret_property};

/// A property under `[kafka.properties]` or `[kafka.property_files]` that librdkafka does not accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PropertyFault {
    /// This property.
    #[error("{key}: {why}; see librdkafka's CONFIGURATION.md")]
    Property {
        /// The key that sets it.
        key: String,
        /// What librdkafka says; never the value of a secret.
        why: String,
    },
    /// The properties together.
    #[error("kafka.properties: {0}")]
    Together(String),
}

/// What a property is set to unless the operator says otherwise.
struct Default {
    name: &'static str,
    /// The other name that librdkafka has for it, or what cannot be set beside it.
    alias: Option<&'static str>,
    value: &'static str,
}

/// Every default of ours, with its reason.
const DEFAULTS: &[Default] = &[
    // What a broker's operators see in their logs and quotas.
    Default {
        name: "client.id",
        alias: None,
        value: "livestreamd",
    },
    // Retries inside librdkafka neither double nor reorder records.
    Default {
        name: "enable.idempotence",
        alias: None,
        value: "true",
    },
    Default {
        name: "acks",
        alias: Some("request.required.acks"),
        value: "all",
    },
    // Records never expire in the producer: the default of 5 minutes drops them when a broker is away for longer.
    Default {
        name: "message.timeout.ms",
        alias: Some("delivery.timeout.ms"),
        value: "0",
    },
    // The cheapest in CPU that still saves most of the bytes.
    Default {
        name: "compression.type",
        alias: Some("compression.codec"),
        value: "lz4",
    },
    // Live Stream itself lags by 20 s or more, so the wait costs nobody anything; at 5 ms a trickle of hits costs three times the CPU.
    Default {
        name: "linger.ms",
        alias: Some("queue.buffering.max.ms"),
        value: "200",
    },
    // The partition that Java clients give for a key.
    Default {
        name: "partitioner",
        alias: None,
        value: "murmur2_random",
    },
    // The OpenSSL that is linked in looks for certificates where it was built.
    Default {
        name: "ssl.ca.location",
        alias: None,
        value: "probe",
    },
    // The libcurl that is linked in, with which OAuth tokens are fetched, knows no certificates either.
    Default {
        name: "https.ca.location",
        alias: Some("https.ca.pem"),
        value: "probe",
    },
    // A broker that vanished without a word is noticed while there is nothing to send.
    Default {
        name: "socket.keepalive.enable",
        alias: None,
        value: "true",
    },
    // What may be in memory for all streams together, so that a start with any backlog stays under 200 MiB with a full window of ids.
    // With 64 MiB a backlog goes out a quarter faster, and it takes 198 MiB. librdkafka's default is 1 GiB.
    Default {
        name: "queue.buffering.max.kbytes",
        alias: None,
        value: "32768",
    },
    // Only the broker knows what is too large for a topic, for it counts compressed bytes; librdkafka counts before compression.
    // Batches stay at `batch.size` (1 MB); only a single record may be larger. Well below a broker's `socket.request.max.bytes`.
    Default {
        name: "message.max.bytes",
        alias: None,
        value: "16777216",
    },
    // Tells how full queues are and how brokers fare, for whoever looks at metrics, and how many partitions topics have (librdkafka asks
    // the brokers once in 5 minutes).
    Default {
        name: "statistics.interval.ms",
        alias: None,
        value: "15000",
    },
];

/// For the producer that all streams share.
///
/// # Errors
/// Every property that librdkafka does not accept, each by its name.
pub fn client_config(settings: &KafkaSettings) -> Result<ClientConfig, Vec<PropertyFault>> {
    let faults: Vec<_> = settings
        .properties
        .iter()
        .filter_map(|(name, value)| fault_in(settings, name, value))
        .collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut config = ClientConfig::new();
    for default in DEFAULTS {
        let given = |name| settings.properties.contains_key(name);
        if !given(default.name) && !default.alias.is_some_and(given) {
            config.set(default.name, default.value);
        }
    }
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &settings.brokers);
    // Without `log`'s global logger, rdkafka would pick the error level.
    let debug = settings.properties.contains_key("debug");
    config.set_log_level(if debug {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    config
        .create_native_config()
        .map_err(|error| vec![PropertyFault::Together(error.to_string())])?;
    Ok(config)
}

/// For a producer that puts every record into a batch of its own, at once.
pub fn one_by_one(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.remove("queue.buffering.max.ms");
    config.set("linger.ms", "0").set("batch.num.messages", "1");
    config
}

/// For how long librdkafka holds a record back, to gather a batch.
pub fn linger(config: &ClientConfig) -> Duration {
    // It takes fractions.
    let ms: f64 = read(config, "linger.ms").unwrap_or_default();
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

fn read<T: FromStr>(config: &ClientConfig, name: &str) -> Option<T> {
    config.create_native_config().ok()?.get(name).ok()?.parse().ok()
}

/// How much librdkafka's queue holds for all streams together.
pub fn queue_limits(config: &ClientConfig) -> Limits {
    let read = |name| read::<usize>(config, name);
    Limits {
        // 0 means no limit there.
        records: read("queue.buffering.max.messages")
            .filter(|limit| *limit > 0)
            .unwrap_or(QUEUE_RECORDS),
        bytes: read("queue.buffering.max.kbytes")
            .unwrap_or(QUEUE_KBYTES)
            .saturating_mul(1024),
    }
}

/// librdkafka's own default number of messages.
const QUEUE_RECORDS: usize = 100_000;
/// Our default for `queue.buffering.max.kbytes`.
const QUEUE_KBYTES: usize = 32_768;

/// Tries a property by itself.
fn fault_in(settings: &KafkaSettings, name: &str, value: &str) -> Option<PropertyFault> {
    let error = ClientConfig::new().set(name, value).create_native_config().err()?;
    let is_known = !matches!(
        error,
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)
    );
    // What is in a file of its own is not shown, whatever the property. librdkafka does not repeat the value of one that it does not know.
    let hidden = is_secret_property(name) || settings.property_files.contains_key(name);
    let why = if hidden && is_known {
        "librdkafka does not accept its value".to_owned()
    } else if let KafkaError::ClientConfig(_, description, ..) = &error {
        lowercase_start(description)
    } else {
        error.to_string()
    };
    Some(PropertyFault::Property {
        key: settings.key_of(name),
        why,
    })
}

fn lowercase_start(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings {
            brokers: "localhost:1".to_owned(),
            properties: properties
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            property_files: BTreeMap::new(),
            contents: BTreeMap::new(),
        }
    }

    #[test]
    fn librdkafka_knows_every_default_and_takes_it() {
        let config = client_config(&settings(&[])).unwrap();
        let native = config.create_native_config().unwrap();
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("acks", "-1"),
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            ("linger.ms", "200"),
            ("partitioner", "murmur2_random"),
            ("bootstrap.servers", "localhost:1"),
            ("client.id", "livestreamd"),
        ] {
            assert_eq!(native.get(name).unwrap(), value, "{name}");
        }
        assert_eq!(
            queue_limits(&config),
            Limits {
                records: 100_000,
                bytes: 32 << 20
            }
        );
    }

    #[test]
    fn an_alias_overrides_the_default_too() {
        let config = client_config(&settings(&[
            ("queue.buffering.max.ms", "7"),
            ("compression.codec", "zstd"),
        ]))
        .unwrap();
        let native = config.create_native_config().unwrap();
        assert_eq!(native.get("linger.ms").unwrap(), "7");
        assert_eq!(native.get("compression.type").unwrap(), "zstd");
        assert_eq!(linger(&config), Duration::from_millis(7));
        assert_eq!(linger(&one_by_one(&config)), Duration::ZERO);
        let alone = one_by_one(&config).create_native_config().unwrap();
        assert_eq!(
            (
                alone.get("linger.ms").unwrap(),
                alone.get("batch.num.messages").unwrap()
            ),
            ("0".into(), "1".into())
        );
    }

    #[test]
    fn every_faulty_property_is_named_and_no_secret_is_shown() {
        let faults = client_config(&settings(&[
            ("linger.mss", "5"),
            ("acks", "hunter2"),
            ("compression.type", "rar"),
            ("ssl.key.pem", "hunter2\0"),
        ]))
        .unwrap_err();
        let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 4, "{text:#?}");
        for (line, name) in text
            .iter()
            .zip(["acks", "compression.type", "linger.mss", "ssl.key.pem"])
        {
            assert!(line.starts_with(&format!("kafka.properties.{name}: ")), "{line}");
        }
        assert!(!text[3].contains("hunter2"), "{}", text[3]);
    }
}
