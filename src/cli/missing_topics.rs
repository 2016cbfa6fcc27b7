//! How to make the topics that `check --connect` has not found: commands to be pasted, and what Kafka's tools need to connect. Pure.
//!
//! Promise: nothing that is a secret, nor a user's name, is in the text.

use crate::kafka::ClusterInfo;
use crate::settings::{KafkaSettings, Settings};

/// For a topic of hits where no other shows what is usual: enough for several consumers, and cheap for the brokers.
const PARTITIONS: usize = 6;
/// Dead letters are few, and in one partition they are in order.
const DEAD_LETTER_PARTITIONS: usize = 1;
/// So many copies, if there are so many brokers.
const MOST_COPIES: usize = 3;
/// What Kafka's tools read how to connect from.
const CLIENT_FILE: &str = "client.properties";

/// Lines for people, nothing if no topic is missing.
pub(super) fn how_to_make(settings: &Settings, cluster: &ClusterInfo) -> Vec<String> {
    let is_of_hits = |name: &str| {
        let mut outputs = settings.streams.iter().flat_map(|stream| &stream.outputs);
        outputs.any(|output| output.settings().topic.may_be(name))
    };
    let usual = cluster.topics.iter().filter(|topic| is_of_hits(&topic.name));
    let usual = usual.filter_map(|topic| topic.partitions).max().unwrap_or(PARTITIONS);
    let connecting = connecting(&settings.kafka);
    let missing = cluster.topics.iter().filter(|topic| topic.partitions.is_none());
    let commands: Vec<String> = missing
        .map(|topic| {
            let partitions = if is_of_hits(&topic.name) {
                usual
            } else {
                DEAD_LETTER_PARTITIONS
            };
            let copies = cluster.brokers.len().clamp(1, MOST_COPIES);
            command(
                &settings.kafka.brokers,
                &topic.name,
                partitions,
                copies,
                !connecting.is_empty(),
            )
        })
        .collect();
    if commands.is_empty() {
        return commands;
    }
    let mut lines = vec![
        String::new(),
        "To make what is missing, as somebody who may create topics:".to_owned(),
        String::new(),
    ];
    lines.extend(commands);
    lines.extend([
        String::new(),
        "Brokers with auto.create.topics.enable make a topic at the first record for it, with as many partitions and copies as they make by \
         default (num.partitions and default.replication.factor: 1, unless somebody has set them)."
            .to_owned(),
    ]);
    if !connecting.is_empty() {
        lines.extend([
            String::new(),
            format!("{CLIENT_FILE}, for Kafka's own tools; put in what stands in <>:"),
            String::new(),
        ]);
        lines.extend(connecting);
    }
    lines
}

fn command(brokers: &str, topic: &str, partitions: usize, copies: usize, is_secured: bool) -> String {
    let connecting = if is_secured {
        format!(" --command-config {CLIENT_FILE}")
    } else {
        String::new()
    };
    // Else a record counts as written when the leader alone has it.
    let config = if copies == MOST_COPIES {
        " --config min.insync.replicas=2"
    } else {
        ""
    };
    format!(
        "kafka-topics.sh --bootstrap-server {}{connecting} --create --topic {} --partitions {partitions} --replication-factor {copies}{config}",
        quoted(brokers),
        quoted(topic)
    )
}

/// The properties of a Java client that connects as we do; none if that needs none.
fn connecting(kafka: &KafkaSettings) -> Vec<String> {
    let property = |name: &str| {
        let value = kafka.properties.get(name).map(String::as_str);
        value.filter(|text| !text.is_empty())
    };
    let protocol = property("security.protocol")
        .unwrap_or("plaintext")
        .to_ascii_uppercase();
    if protocol == "PLAINTEXT" {
        return Vec::new();
    }
    let mut lines = vec![format!("security.protocol={protocol}")];
    if protocol.ends_with("SSL") {
        match property("ssl.ca.location") {
            Some(path) if path != "probe" => {
                lines.push("ssl.truststore.type=PEM".to_owned());
                lines.push(format!("ssl.truststore.location={path}"));
            }
            Some(_) | None if property("ssl.ca.pem").is_some() => {
                lines.push("ssl.truststore.type=PEM".to_owned());
                lines.push("ssl.truststore.location=<a file with what ssl.ca.pem holds>".to_owned());
            }
            Some(_) | None => {}
        }
        if let Some(path) = property("ssl.keystore.location") {
            lines.push("ssl.keystore.type=PKCS12".to_owned());
            lines.push(format!("ssl.keystore.location={path}"));
            lines.push("ssl.keystore.password=<its password>".to_owned());
        } else if property("ssl.certificate.location").is_some() || property("ssl.certificate.pem").is_some() {
            lines.push("ssl.keystore.type=PEM".to_owned());
            lines.push("ssl.keystore.location=<a file with the key (PKCS#8), then the certificate>".to_owned());
        }
        if property("ssl.endpoint.identification.algorithm") == Some("none") {
            lines.push("ssl.endpoint.identification.algorithm=".to_owned());
        }
    }
    if protocol.starts_with("SASL") {
        lines.extend(account(property("sasl.mechanism").unwrap_or("GSSAPI")));
    }
    lines
}

fn account(mechanism: &str) -> Vec<String> {
    const SECURITY: &str = "org.apache.kafka.common.security";
    let (module, options) = match mechanism {
        "PLAIN" => ("plain.PlainLoginModule", USER),
        "OAUTHBEARER" => (
            "oauthbearer.OAuthBearerLoginModule",
            "clientId=\"<id>\" clientSecret=\"<secret>\"",
        ),
        _ => ("scram.ScramLoginModule", USER),
    };
    let mut lines = vec![format!("sasl.mechanism={mechanism}")];
    if mechanism == "OAUTHBEARER" {
        lines.push(format!(
            "sasl.login.callback.handler.class={SECURITY}.oauthbearer.OAuthBearerLoginCallbackHandler"
        ));
        lines.push("sasl.oauthbearer.token.endpoint.url=<as in kafka.properties>".to_owned());
    }
    lines.push(format!("sasl.jaas.config={SECURITY}.{module} required {options};"));
    lines
}

const USER: &str = "username=\"<user>\" password=\"<password>\"";

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:/,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::kafka::metadata::TopicInfo;
    use crate::settings::{Format, load_str};

    fn lines(kafka: &str, brokers: usize, topics: &[(&str, Option<usize>)]) -> Vec<String> {
        let text = format!(
            "[credentials.default]\naccess_token = \"hush\"\n[kafka]\nbrokers = \"k1:9092,[::1]:9092\"\n{kafka}\n\
             [streams.web]\nurl = \"https://a.example/web\"\n[streams.shop]\nurl = \"https://a.example/shop\"\n"
        );
        let settings = load_str(&text, Format::Toml, [], Path::new("/nonexistent"))
            .unwrap()
            .settings;
        let topics = topics.iter().map(|(name, partitions)| TopicInfo {
            name: (*name).to_owned(),
            partitions: *partitions,
        });
        let cluster = ClusterInfo {
            brokers: vec!["k:1".to_owned(); brokers],
            topics: topics.collect(),
        };
        how_to_make(&settings, &cluster)
    }

    fn commands(lines: &[String]) -> Vec<&str> {
        let lines = lines.iter().map(String::as_str);
        lines.filter(|line| line.starts_with("kafka-topics.sh ")).collect()
    }

    #[test]
    fn nothing_is_said_where_nothing_is_missing() {
        let there = [("livestream.web", Some(3)), ("livestream.dead-letter", Some(1))];
        assert_eq!(lines("", 3, &there), Vec::<String>::new());
    }

    #[test]
    fn each_missing_topic_has_its_command_with_as_many_copies_as_there_are_brokers() {
        let missing = [("livestream.web", None), ("livestream.dead-letter", None)];
        let one = lines("", 1, &missing);
        assert_eq!(
            commands(&one),
            [
                "kafka-topics.sh --bootstrap-server 'k1:9092,[::1]:9092' --create --topic livestream.web --partitions 6 --replication-factor 1",
                "kafka-topics.sh --bootstrap-server 'k1:9092,[::1]:9092' --create --topic livestream.dead-letter --partitions 1 \
                 --replication-factor 1",
            ]
        );
        assert!(one.iter().any(|line| line.contains("auto.create.topics.enable")));
        assert!(!one.iter().any(|line| line.contains("client.properties")));
        assert!(commands(&lines("", 2, &missing))[0].ends_with("--replication-factor 2"));
        assert!(
            commands(&lines("", 5, &missing))[0].ends_with("--replication-factor 3 --config min.insync.replicas=2")
        );
    }

    #[test]
    fn a_topic_is_made_like_those_that_are_there() {
        let topics = [
            ("livestream.web", None),
            ("livestream.shop", Some(24)),
            ("livestream.dead-letter", Some(2)),
        ];
        assert!(commands(&lines("", 1, &topics))[0].contains("livestream.web --partitions 24 "));
    }

    #[test]
    fn who_connects_with_a_secret_is_told_what_the_tools_need_and_no_secret() {
        let properties = "[kafka.properties]\n\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
                          \"sasl.username\" = \"hush-user\"\n\"sasl.password\" = \"hush\"\n\"ssl.ca.pem\" = \"hush\"\n";
        let lines = lines(properties, 1, &[("livestream.web", None)]);
        assert!(
            commands(&lines)[0].contains(" --command-config client.properties --create "),
            "{lines:#?}"
        );
        for line in [
            "security.protocol=SASL_SSL",
            "sasl.mechanism=SCRAM-SHA-512",
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"<user>\" password=\"<password>\";",
            "ssl.truststore.type=PEM",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line}: {lines:#?}");
        }
        assert!(!lines.concat().contains("hush"), "{lines:#?}");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_not_take_it_as_it_is() {
        assert_eq!(quoted("kafka-1:9092,kafka-2:9092"), "kafka-1:9092,kafka-2:9092");
        assert_eq!(quoted("[::1]:9092"), "'[::1]:9092'");
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}
