//! `check --connect` where the brokers want TLS and an account: what is wrong is said, with what to do; and what is missing is made by the
//! very command that it prints.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use livestreamd::simulator::{SimulatedStream, SimulatorSettings};

use super::child::{Ended, Livestreamd, path};
use super::trial::Trial;
use crate::support::kafka::Kafka;
use crate::support::secured::{Listener, SCRAM_256, Secured};
use crate::support::token_endpoint::{CLIENT_ID, TokenEndpoint};

type Variable = (&'static str, String);

async fn trial(secured: &Secured) -> Trial {
    let stream = SimulatorSettings::with_stream(SimulatedStream::new("guarded"));
    let trial = Trial::start(stream, Duration::from_secs(60)).await;
    secured.write_client_files(trial.scratch.path());
    trial.scratch.write("kafka-password", &format!("{}\n", SCRAM_256.1));
    trial.scratch.write("wrong", "goldfish-of-nobody\n");
    trial
}

/// How to come in at a listener: relative names are files beside the configuration.
fn at(secured: &Secured, listener: Listener, others: &[(&'static str, &str)]) -> Vec<Variable> {
    let mut variables = vec![
        ("LIVESTREAMD__KAFKA__BROKERS", secured.addr(listener)),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl".to_owned()),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SSL_CA_LOCATION", "ca.pem".to_owned()),
    ];
    for (name, value) in others {
        variables.retain(|(known, _)| known != name);
        variables.push((name, (*value).to_owned()));
    }
    variables
}

const SCRAM: [(&str, &str); 4] = [
    ("LIVESTREAMD__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_ssl"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_MECHANISM", "SCRAM-SHA-256"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_USERNAME", SCRAM_256.0),
    ("LIVESTREAMD__KAFKA__PROPERTY_FILES__SASL_PASSWORD", "kafka-password"),
];

fn start(trial: &Trial, variables: &[Variable]) -> Livestreamd {
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Livestreamd::start(
        &trial.scratch,
        &["check", "--connect", "--config", trial.config()],
        &variables,
    )
}

#[track_caller]
fn assert_hushed(ended: &Ended) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for secret in [SCRAM_256.1, "goldfish-of-nobody", "PRIVATE KEY"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_says_what_keeps_us_out_and_what_to_do() {
    let secured = tokio::task::block_in_place(Secured::shared);
    let trial = trial(secured).await;
    let endpoint = TokenEndpoint::start(Duration::from_secs(60));
    let mut wrong_password = SCRAM;
    wrong_password[3].1 = "wrong";
    let wrong_mechanism = [SCRAM[0], (SCRAM[1].0, "PLAIN"), SCRAM[2], SCRAM[3]];
    let wrong_secret = [
        SCRAM[0],
        (SCRAM[1].0, "OAUTHBEARER"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_OAUTHBEARER_METHOD", "oidc"),
        (
            "LIVESTREAMD__KAFKA__PROPERTIES__SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
            endpoint.url(),
        ),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_OAUTHBEARER_CLIENT_ID", CLIENT_ID),
        (
            "LIVESTREAMD__KAFKA__PROPERTY_FILES__SASL_OAUTHBEARER_CLIENT_SECRET",
            "wrong",
        ),
    ];
    let plaintext = [(SCRAM[0].0, "plaintext")];
    let cases = [
        (
            at(secured, Listener::Accounts, &wrong_password),
            "or its secret is another",
        ),
        (
            at(secured, Listener::Tokens, &wrong_mechanism),
            "one of those that the broker supports",
        ),
        (
            at(secured, Listener::Tokens, &wrong_secret),
            "no token was got from the token endpoint",
        ),
        (
            at(secured, Listener::Stranger, &[]),
            "issued by an authority that this machine does not know: if it is to be trusted, put its certificate into a file and set \
             ssl.ca.location in kafka.properties to that",
        ),
        (
            at(secured, Listener::OtherHost, &[]),
            "its certificate is for another host: kafka.example",
        ),
        (
            at(secured, Listener::Expired, &[]),
            "its certificate has expired on 2002-01-01",
        ),
        (
            at(secured, Listener::Mutual, &[]),
            "asks for a client certificate that it accepts",
        ),
        (
            at(secured, Listener::Tls, &plaintext),
            "set security.protocol in kafka.properties to ssl or sasl_ssl",
        ),
    ];
    // At once: each takes as long as brokers may take to answer.
    let running: Vec<_> = cases
        .iter()
        .map(|(variables, says)| (start(&trial, variables), says))
        .collect();
    for (check, says) in running {
        let ended = check.ended();
        let fault = ended
            .stdout
            .lines()
            .find(|line| line.starts_with("fault  kafka.brokers: "));
        let fault = fault.unwrap_or_else(|| panic!("no fault where it should say {says:?}: {ended:?}"));
        assert!(fault.contains(says), "{fault}\ndoes not say {says:?}");
        assert_eq!(ended.code, 1);
        assert_hushed(&ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_that_check_prints_makes_the_missing_topics() {
    let secured = tokio::task::block_in_place(Secured::shared);
    let trial = trial(secured).await;
    let (topic, dead_letters) = (Kafka::fresh_name("missing"), Kafka::fresh_name("missing-dead-letters"));
    let mut variables = at(secured, Listener::Accounts, &SCRAM);
    variables.push(("LIVESTREAMD__STREAMS__GUARDED__TOPIC", topic.clone()));
    variables.push(("LIVESTREAMD__STREAMS__GUARDED__DEAD_LETTER_TOPIC", dead_letters.clone()));
    variables.push(("LIVESTREAMD__KAFKA__DEAD_LETTER_TOPIC", dead_letters.clone()));
    let ended = start(&trial, &variables).ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_hushed(&ended);

    // Kafka's script of that name, as far as it matters here.
    let dir = trial.scratch.path();
    let tool: Vec<String> = secured.software().command("org.apache.kafka.tools.TopicCommand");
    let words: Vec<String> = tool.iter().map(|word| format!("'{word}'")).collect();
    let script = trial.scratch.write(
        "kafka-topics.sh",
        &format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")),
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let client: Vec<String> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with('s') && line.contains('='))
        .map(|line| line.replace("<user>", SCRAM_256.0).replace("<password>", SCRAM_256.1))
        .collect();
    trial.scratch.write("client.properties", &client.join("\n"));

    let commands: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("kafka-topics.sh "))
        .collect();
    assert_eq!(commands.len(), 2, "{}", ended.stdout);
    for command in commands {
        let run = Command::new("sh")
            .args(["-c", command])
            .current_dir(dir)
            .env("PATH", format!("{}:{}", path(dir), std::env::var("PATH").unwrap()))
            .output()
            .unwrap();
        assert!(run.status.success(), "{command}\n{client:#?}\n{run:?}");
    }

    let ended = start(&trial, &variables).ended();
    for told in [
        format!("ok     topic {topic}: 6 partitions"),
        format!("ok     topic {dead_letters}: 1 partitions"),
    ] {
        assert!(ended.stdout.contains(&told), "{told}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("kafka-topics.sh"), "{}", ended.stdout);
}
