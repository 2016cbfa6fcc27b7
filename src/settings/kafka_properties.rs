//! `[kafka.properties]`: any librdkafka property may be set, except what would break the promise of delivery, or is ours to decide.
//!
//! Whether librdkafka knows a property, and takes its value, only librdkafka can tell: the producer asks it. It accepts several names for
//! some properties, and `topic.` before those of a topic, so rules look at the one true name. What was checked against its list
//! (CONFIGURATION.md of 2.12) and let pass: everything about connections, TLS, SASL, batching (`queue.buffering.backpressure.threshold`
//! only makes batches larger), buffers, compression and partitioning; callbacks cannot be set as text anyway.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Value, ValueKind};

use super::fault::{Place, Report, Reported};
use super::kafka_files::{self, Named};
use super::resolve::Surroundings;
use super::resolved::KafkaSettings;
use super::source::Origin;
use super::tree::{Section, noun, plain_number_or_flag, quoted};

/// Names that mean the same; the second is the one under which the property is kept.
const ALIASES: [(&str, &str); 10] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanisms", "sasl.mechanism"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
];

/// What may be done with a property.
enum Rule {
    /// It may be repeated as it is anyway: one of these words.
    Only(&'static [&'static str]),
    /// A whole number from 1 to this.
    UpTo(u32),
    /// It may not be set.
    Never,
}

const TRUE: &[&str] = &["true", "t", "1"];
const FALSE: &[&str] = &["false", "f", "0"];

/// The properties that have a rule, with its reason.
const RULES: [(&str, Rule, &str); 15] = [
    ("bootstrap.servers", Rule::Never, "set kafka.brokers instead"),
    (
        "enable.idempotence",
        Rule::Only(TRUE),
        "without it a retry inside librdkafka may write hits twice and out of order",
    ),
    (
        "acks",
        Rule::Only(&["all", "-1"]),
        "with less, hits count as delivered that a lost broker takes with it",
    ),
    (
        "message.timeout.ms",
        Rule::Only(&["0"]),
        "with a limit the producer drops hits that have waited longer",
    ),
    (
        "retries",
        Rule::Only(&["2147483647"]),
        "with fewer the producer gives hits up",
    ),
    (
        "max.in.flight.requests.per.connection",
        Rule::UpTo(5),
        "with more, idempotence cannot keep the order",
    ),
    (
        "enable.gapless.guarantee",
        Rule::Only(FALSE),
        "it makes one refused batch fatal to the producer, with nothing delivered after it; livestreamd rewinds by itself",
    ),
    (
        "queuing.strategy",
        Rule::Only(&["fifo"]),
        "anything else delivers out of order",
    ),
    (
        "delivery.report.only.error",
        Rule::Only(FALSE),
        "without a report for each hit nothing would ever count as delivered",
    ),
    (
        "transactional.id",
        Rule::Never,
        "livestreamd opens no transactions, without which such a producer writes nothing",
    ),
    (
        "enabled_events",
        Rule::Never,
        "delivery reports come to livestreamd as events, and it chooses them itself",
    ),
    (
        "plugin.library.paths",
        Rule::Never,
        "code loaded into the producer can drop or change what is sent",
    ),
    (
        "internal.termination.signal",
        Rule::Never,
        "librdkafka would mask a signal that the daemon needs",
    ),
    (
        "test.mock.num.brokers",
        Rule::Never,
        "hits would go to a pretended cluster in memory; livestreamd demo has one",
    ),
    (
        "test.mock.broker.rtt",
        Rule::Never,
        "it belongs to a pretended cluster in memory; livestreamd demo has one",
    ),
];

/// Takes `[kafka.properties]` and `[kafka.property_files]` out of `[kafka]`: names as [`canonical`] says, values as text.
pub(super) fn take(kafka: &mut Section<'_>, around: &Surroundings) -> Result<Properties, Reported> {
    let given = table(kafka, "properties", |name, place, value, report| {
        let text = text_of(name, place, &value.kind, report)?;
        obey_the_rules(name, place, Some(&text), &text, report)?;
        kafka_files::named_by(name, place, text, around, report)
    });
    let from_files = table(kafka, "property_files", |name, place, value, report| {
        check_name(name, place, report)?;
        let (path, text) = kafka_files::content(name, place, value, around, report)?;
        obey_the_rules(name, place, None, &text, report)?;
        Ok((path, text))
    });
    let (given, from_files) = (given?, from_files?);
    let mut fault = None;
    for (name, (place, _)) in &from_files {
        if let Some((other, _)) = given.get(name) {
            let problem = format!("{} is set as well; keep one of the two", other.key);
            fault = Some(kafka.report.fault(place, None, problem));
        }
    }
    match fault {
        Some(reported) => Err(reported),
        None => Ok(Properties { given, from_files }),
    }
}

/// What stands in a table, under the one name of each property. All faults are reported.
fn table<T>(
    kafka: &mut Section<'_>,
    key: &'static str,
    read: impl Fn(&str, &Place, &Value, &mut Report) -> Result<T, Reported>,
) -> Result<BTreeMap<String, (Place, T)>, Reported> {
    let mut set: BTreeMap<String, (Place, T)> = BTreeMap::new();
    let mut fault = None;
    // Variables last: they win over the file's other name for the same property.
    let (file, variables): (Vec<_>, Vec<_>) = kafka
        .foreign(key)
        .into_iter()
        .partition(|(_, place, _)| place.origin == Origin::File);
    for (name, place, value) in file.into_iter().chain(variables) {
        match read(&name, &place, &value, kafka.report) {
            Ok(taken) => {
                if let Some((earlier, _)) = set.get(canonical(&name))
                    && std::mem::discriminant(&earlier.origin) == std::mem::discriminant(&place.origin)
                {
                    let problem = format!("is another name of {}, which is set too; keep one", earlier.key);
                    fault = Some(kafka.report.fault(&place, None, problem));
                }
                set.insert(canonical(&name).to_owned(), (place, taken));
            }
            Err(reported) => fault = Some(reported),
        }
    }
    match fault {
        Some(reported) => Err(reported),
        None => Ok(set),
    }
}

/// Checked properties, with the places that they came from.
pub(super) struct Properties {
    given: BTreeMap<String, (Place, Named)>,
    from_files: BTreeMap<String, (Place, (PathBuf, String))>,
}

impl Properties {
    /// The keys of the secrets that stand in the configuration file itself.
    pub(super) fn secrets_in_file(&self) -> impl Iterator<Item = String> {
        self.given
            .iter()
            .filter(|(name, (place, _))| is_secret(name) && place.origin == Origin::File)
            .map(|(_, (place, _))| place.key.clone())
    }

    /// The Kafka side, with these brokers.
    pub(super) fn into_settings(self, brokers: String) -> KafkaSettings {
        let mut settings = KafkaSettings {
            brokers,
            properties: BTreeMap::new(),
            property_files: BTreeMap::new(),
            contents: BTreeMap::new(),
        };
        for (name, (_, Named { text, content })) in self.given {
            settings.contents.extend(content.map(|content| (name.clone(), content)));
            settings.properties.insert(name, text);
        }
        for (name, (_, (path, text))) in self.from_files {
            settings.property_files.insert(name.clone(), path);
            settings.properties.insert(name, text);
        }
        settings
    }
}

/// The one name of a property that has several.
pub fn canonical(name: &str) -> &str {
    // librdkafka takes `topic.` off what it does not know; these are its own properties that begin so.
    let name = match name.strip_prefix("topic.") {
        Some(rest) if !rest.starts_with("metadata.") && rest != "blacklist" => rest,
        Some(_) | None => name,
    };
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, name)| name)
}

/// Whether a property's value is a secret.
pub fn is_secret(name: &str) -> bool {
    name.contains("password")
        || name.contains("passphrase")
        || name.contains("secret")
        || name.ends_with("key.pem")
        || name == "sasl.oauthbearer.config"
}

fn check_name(name: &str, place: &Place, report: &mut Report) -> Result<(), Reported> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(report.fault(place, None, "is not the name of a librdkafka property"));
    }
    Ok(())
}

fn text_of(name: &str, place: &Place, value: &ValueKind, report: &mut Report) -> Result<String, Reported> {
    check_name(name, place, report)?;
    let text = if let ValueKind::String(text) = value {
        Some(text.clone())
    } else {
        plain_number_or_flag(value)
    };
    let Some(text) = text else {
        let problem = format!("{} stands where text, a number, true or false belongs", noun(value));
        return Err(report.fault(place, None, problem));
    };
    // More than a line is legal: certificates are given so.
    if text.contains('\0') {
        return Err(report.fault(
            place,
            None,
            "holds a NUL character, which librdkafka cannot take; remove it",
        ));
    }
    Ok(text)
}

/// `shown` is the value if a fault may repeat it.
fn obey_the_rules(
    name: &str,
    place: &Place,
    shown: Option<&str>,
    text: &str,
    report: &mut Report,
) -> Result<(), Reported> {
    let Some((_, rule, reason)) = RULES.iter().find(|(ruled, ..)| *ruled == canonical(name)) else {
        return Ok(());
    };
    let problem = match rule {
        Rule::Never => format!("may not be set: {reason}"),
        Rule::Only(words) if words.iter().any(|word| word.eq_ignore_ascii_case(text)) => return Ok(()),
        Rule::Only(words) => format!("may only be {}: {reason}; remove it", words.first().unwrap_or(&"")),
        Rule::UpTo(most) if text.parse::<u32>().is_ok_and(|number| (1..=*most).contains(&number)) => return Ok(()),
        Rule::UpTo(most) => format!("may only be 1 to {most}: {reason}"),
    };
    let shown = shown.filter(|_| !matches!(rule, Rule::Never)).map(quoted);
    Err(report.fault(place, shown, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_about_a_property_under_its_one_name() {
        for (name, ..) in RULES {
            assert_eq!(canonical(name), name);
        }
        for (_, name) in ALIASES {
            assert_eq!(canonical(name), name);
        }
    }

    #[test]
    fn a_property_is_known_by_every_name_that_librdkafka_takes() {
        for (given, name) in [
            ("acks", "acks"),
            ("request.required.acks", "acks"),
            ("topic.acks", "acks"),
            ("topic.delivery.timeout.ms", "message.timeout.ms"),
            ("topic.metadata.refresh.sparse", "topic.metadata.refresh.sparse"),
            ("topic.blacklist", "topic.blacklist"),
            ("queue.buffering.max.ms", "linger.ms"),
            ("no.such.thing", "no.such.thing"),
        ] {
            assert_eq!(canonical(given), name);
        }
    }

    #[test]
    fn what_librdkafka_itself_hides_is_a_secret() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["linger.ms", "ssl.ca.pem", "ssl.key.location", "sasl.username"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
