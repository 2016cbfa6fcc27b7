//! The command line: exit codes, and what people are told.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use livestreamd::simulator::{SimulatedStream, SimulatorSettings, TokenFault};
use rustix::process::Signal;

use super::child::{Ended, Livestreamd, Scratch, path};
use super::trial::{CLIENT_SECRET, Trial};

const GOOD: &str = "
[credentials.default]
client_id = \"0123456789abcdef\"
client_secret = \"SECRET\"
[kafka]
brokers = \"kafka-1:9092\"
[kafka.properties]
\"sasl.password\" = \"SECRET\"
[streams.web]
url = \"https://livestream.adobe.net/api/1/stream/adobe-livestream-examplecomprod\"
";
const SECRET: &str = "hush-hush-4711";

/// Runs a command on this configuration.
fn on(text: &str, command: &str, variables: &[(&str, &str)]) -> Ended {
    let scratch = Scratch::new();
    let config = scratch.write("livestreamd.toml", &text.replace("SECRET", SECRET));
    Livestreamd::run(&scratch, &[command, "--config", path(&config)], variables)
}

#[track_caller]
fn assert_no_secret(ended: &Ended) {
    let Ended { stdout, stderr, .. } = ended;
    assert!(
        !stdout.contains(SECRET) && !stderr.contains(SECRET),
        "{stdout}\n{stderr}"
    );
    // Nor a part of it, as a quoted line would show that breaks off.
    assert!(
        !stdout.contains("hush") && !stderr.contains("hush"),
        "{stdout}\n{stderr}"
    );
}

#[test]
fn a_valid_configuration_is_shown_without_its_secrets() {
    let ended = on(GOOD, "check", &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for told in [
        "kafka-1:9092",
        "stream web",
        "adobe-livestream-examplecomprod",
        "livestream.web",
        "cooldown 1m",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {ended:?}");
    }
    assert_eq!(ended.stderr, "");
    assert_no_secret(&ended);
}

#[test]
fn a_secret_may_come_from_the_environment_or_a_file_and_is_not_shown_either() {
    let without = GOOD.replace("client_secret = \"SECRET\"\n", "");
    let variable = [("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", SECRET)];
    let ended = on(&without, "check", &variable);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_no_secret(&ended);

    let scratch = Scratch::new();
    let secret = scratch.write("client_secret", &format!("{SECRET}\n"));
    let text = GOOD
        .replace("client_secret = ", "client_secret_file = \"client_secret\" #")
        .replace("SECRET", SECRET);
    let config = scratch.write("livestreamd.toml", &text);
    let check = || Livestreamd::run(&scratch, &["check", "--config", path(&config)], &[]);
    let ended = check();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_no_secret(&ended);
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = check();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with("warning: credentials.default.client_secret_file: "),
        "{ended:?}"
    );
    assert_no_secret(&ended);
}

/// Faults of all sorts, each with the key that must be named.
const FAULTS: [(&str, &str); 10] = [
    ("colour = \"blue\"\n", "colour"),
    ("shutdown_timeout = 25\n", "shutdown_timeout"),
    (
        "[credentials.default]\nclient_id = 7\nclient_secret = \"SECRET\"\n",
        "credentials.default.client_id",
    ),
    ("[upstream]\nconnections = 9\n", "upstream.connections"),
    ("[kafka]\nbrokers = 9092\n", "kafka.brokers"),
    ("[kafka.properties]\n\"acks\" = \"1\"\n", "kafka.properties.acks"),
    (
        "[streams.quick]\nurl = \"https://livestream.adobe.net/a\"\ncooldown = \"5s\"\n",
        "streams.quick.cooldown",
    ),
    (
        "[streams.plain]\nurl = \"http://livestream.adobe.net/b\"\n",
        "streams.plain.url",
    ),
    (
        "[streams.twin]\nurl = \"https://livestream.adobe.net/a\"\n",
        "streams.twin.url",
    ),
    (
        "[streams.\"Bad Name\"]\nurl = \"https://livestream.adobe.net/c\"\n",
        "streams.Bad Name",
    ),
];

#[test]
fn a_faulty_configuration_is_refused_by_check_and_run_with_every_fault_at_once() {
    let text: String = FAULTS.iter().map(|(text, _)| *text).collect();
    for command in ["check", "run"] {
        let ended = on(&text, command, &[]);
        assert_eq!(ended.code, 78, "{ended:?}");
        for (_, key) in FAULTS {
            let key = key.replace("Bad Name", "");
            let is_named = |line: &str| line.trim_start().starts_with(&key);
            assert!(
                ended.stderr.lines().any(is_named),
                "{command} does not name {key}:\n{}",
                ended.stderr
            );
        }
        assert_no_secret(&ended);
    }
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_a_fault_of_the_configuration_to_run_as_well() {
    for command in ["check", "run"] {
        let state = Scratch::new();
        let text = format!("state_dir = {:?}\n{GOOD}", state.path()).replace("\"sasl.password\"", "\"linger.mss\"");
        let ended = on(&text, command, &[]);
        assert!(ended.stderr.contains("kafka.properties.linger.mss"), "{ended:?}");
        assert_eq!(ended.code, 78, "{command}: {ended:?}");
    }
}

#[test]
fn a_fault_beside_a_secret_does_not_show_it() {
    for (from, to) in [
        ("client_secret = \"SECRET\"", "client_secrett = \"SECRET\""),
        ("client_secret = \"SECRET\"", "client_secret = \"SECRET"),
        ("client_secret = \"SECRET\"", "client_secret = SECRET"),
        ("client_secret = \"SECRET\"", "client_secret = [\"SECRET\"]"),
        ("client_secret = \"SECRET\"", "client_secret = \"SECRET \""),
        (
            "client_secret = \"SECRET\"",
            "client_secret = \"SECRET\"\nclient_secret = \"SECRET\"",
        ),
        ("\"sasl.password\" = \"SECRET\"", "\"sasl.password\" = [\"SECRET\"]"),
        ("\"sasl.password\" = \"SECRET\"", "\"sasl.passwordd\" = \"SECRET\""),
    ] {
        assert!(GOOD.contains(from));
        let ended = on(&GOOD.replace(from, to), "check", &[]);
        assert_eq!(ended.code, 78, "{to}: {ended:?}");
        assert_no_secret(&ended);
    }
}

#[test]
fn a_missing_configuration_is_one_that_is_wrong() {
    let scratch = Scratch::new();
    for command in ["run", "check"] {
        let ended = Livestreamd::run(&scratch, &[command, "--config", "/no/such/file.toml"], &[]);
        assert_eq!(ended.code, 78, "{ended:?}");
        assert!(ended.stderr.contains("/no/such/file.toml"), "{ended:?}");
    }
    let ended = Livestreamd::run(&scratch, &["check"], &[]);
    assert!(ended.code == 78 || std::path::Path::new("/etc/livestreamd/livestreamd.toml").exists());
    assert!(ended.stderr.contains("/etc/livestreamd/livestreamd.toml"), "{ended:?}");
}

#[test]
fn the_environment_overrides_the_file() {
    let variables = [
        ("LIVESTREAMD__KAFKA__BROKERS", "kafka-9:19092"),
        ("LIVESTREAMD__STREAMS__WEB__COOLDOWN", "90s"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__LINGER_MS", "7"),
    ];
    let ended = on(GOOD, "check", &variables);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("kafka-9:19092") && !ended.stdout.contains("kafka-1"),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains("cooldown 1m 30s") && ended.stdout.contains("linger.ms"),
        "{ended:?}"
    );
    let ended = on(GOOD, "check", &[("LIVESTREAMD__KAFKA__BROKER", "kafka-9:19092")]);
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(ended.stderr.contains("LIVESTREAMD__KAFKA__BROKER"), "{ended:?}");
}

#[test]
fn wrong_usage_is_64_and_help_is_fine() {
    let scratch = Scratch::new();
    let run = |arguments: &[&str]| Livestreamd::run(&scratch, arguments, &[]);
    for arguments in [
        &[][..],
        &["forward"],
        &["run", "--fast"],
        &["check", "--config"],
        &["simulate", "--rate", "-1"],
        &["demo", "--duration", "soon"],
        &["demo", "--rate", "0"],
        &["demo", "--keep", "here"],
        &["demo", "extra"],
        &["status", "--admin", "https://localhost:9600"],
        &["status", "--json", "web"],
        &["top", "--config", "a", "--admin", "localhost:9600"],
        &["journal"],
        &["journal", "inspect"],
        &["journal", "repair", "."],
    ] {
        let ended = run(arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (64, ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(!ended.stderr.is_empty());
    }
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for command in ["run", "check", "simulate", "demo", "status", "top", "journal"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{}", help.stdout);
        let its = run(&[command, "--help"]);
        assert!(its.code == 0 && its.stdout.contains("Usage: livestreamd"), "{its:?}");
    }
    let help = run(&["journal", "--help"]);
    for command in ["inspect", "verify", "export", "discard"] {
        assert!(help.stdout.contains(&format!("\n  {command} ")), "{}", help.stdout);
        let its = run(&["journal", command, "--help"]);
        assert!(
            its.code == 0 && its.stdout.contains("STATE_DIR/journal/STREAM"),
            "{its:?}"
        );
    }
    let version = run(&["--version"]);
    assert_eq!(
        (version.code, version.stdout.as_str()),
        (0, concat!("livestreamd ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

async fn trial() -> Trial {
    Trial::start(
        SimulatorSettings::with_stream(SimulatedStream::new("checked")),
        Duration::from_secs(60),
    )
    .await
}

impl Trial {
    fn check(&self, variables: &[(&str, &str)]) -> Ended {
        let ended = Livestreamd::run(
            &self.scratch,
            &["check", "--connect", "--config", self.config()],
            variables,
        );
        assert_eq!(self.ledger().accepts().len(), 0, "it opens no stream");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            !said.contains(CLIENT_SECRET) && self.token_in(&said).is_none(),
            "{said}"
        );
        ended
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_fetches_a_token_and_asks_kafka_and_opens_no_stream() {
    let trial = trial().await;
    let ended = trial.check(&[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let topic = &trial.stream().topic;
    for told in [
        "ok     credentials.default: an access token was fetched".to_owned(),
        format!(
            "ok     kafka.brokers: {}",
            trial.kafka.addr().replace("localhost", "127.0.0.1")
        ),
        format!("ok     topic {topic}: 3 partitions"),
        format!("ok     topic {}: 1 partitions", trial.dead_letters),
    ] {
        let told = told.split(": 127.").next().unwrap();
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    assert_eq!(trial.ledger().token_fetches().len(), 1);

    let ended = trial.check(&[("LIVESTREAMD__STREAMS__CHECKED__TOPIC", "no-such-topic")]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stdout.contains("note   topic no-such-topic: not there"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_tells_a_wrong_secret() {
    let trial = trial().await;
    let wrong = "hush-wrong-1234";
    let ended = trial.check(&[("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", wrong)]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let fault = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("fault"))
        .expect("a fault is told");
    assert!(
        fault.starts_with("fault  credentials.default: ") && fault.contains("401"),
        "{fault}"
    );
    assert!(
        fault.contains("client_secret that is not its own"),
        "it repeats what the endpoint said: {fault}"
    );
    assert!(
        ended.stdout.contains("ok     kafka.brokers"),
        "it asks everybody: {ended:?}"
    );
    assert!(
        !ended.stdout.contains(wrong) && !ended.stderr.contains(wrong),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_connect_tells_dead_brokers_and_a_dead_token_endpoint() {
    let trial = trial().await;
    trial.simulator.token_fault(TokenFault::HangUp, 5);
    // A port that nobody listens on: it is taken, and given back at once.
    let dead = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let ended = trial.check(&[("LIVESTREAMD__KAFKA__BROKERS", &dead)]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let faults: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("fault")).collect();
    let [token, kafka] = faults.as_slice() else {
        panic!("two faults: {ended:?}")
    };
    assert!(token.starts_with("fault  credentials.default: "), "{token}");
    assert!(
        kafka.starts_with("fault  kafka.brokers: ") && kafka.contains(&dead),
        "{kafka}"
    );
    assert_eq!(
        kafka.matches("kafka.brokers").count(),
        1,
        "the key is named once: {kafka}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_takes_its_brokers_from_the_environment() {
    let trial = trial().await;
    let text = std::fs::read_to_string(trial.config()).unwrap();
    std::fs::write(trial.config(), text.replace(trial.kafka.addr(), "127.0.0.1:1")).unwrap();
    let daemon = trial.run_with(&[("LIVESTREAMD__KAFKA__BROKERS", trial.kafka.addr())]);
    trial
        .kafka
        .consume_all(&trial.stream().topic, |records| records.len() > 20, super::child::LIMIT);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

#[test]
fn an_answer_of_the_service_is_explained_on_the_command_line() {
    let scratch = Scratch::new();
    let explain = |arguments: &[&str]| Livestreamd::run(&scratch, &[&["explain"], arguments].concat(), &[]);
    let ended = explain(&["409"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    for told in [
        "409-reached",
        "409-differs",
        "max_connections to the same value",
        "stretched",
        "KA-16598",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    let ended = explain(&["stalled"]);
    assert!(
        ended.code == 0 && ended.stdout.contains("waits a cooldown"),
        "{ended:?}"
    );
    let ended = explain(&[]);
    assert!(ended.code == 0 && ended.stdout.lines().count() >= 40, "{ended:?}");
    assert!(
        ended.stdout.lines().any(|line| line.starts_with("unreached ")),
        "{ended:?}"
    );
    for (arguments, least) in [(&["--json"][..], 40), (&["503", "--json"], 1)] {
        let ended = explain(arguments);
        let entries: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
        assert!(entries.len() >= least, "{ended:?}");
        assert!(entries.iter().all(|entry| entry["operator"].is_string()), "{ended:?}");
    }
    let ended = explain(&["teapot"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended:?}");
    assert!(
        ended.stderr.contains("\"teapot\"") && ended.stderr.contains("409-differs"),
        "{ended:?}"
    );
}
