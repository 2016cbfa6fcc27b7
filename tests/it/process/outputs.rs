//! Commands whose output goes nowhere, and a demonstration that is asked to end: no panic, and nothing left behind.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::child::{LIMIT, Livestreamd, Scratch, path};
use crate::support::wait_until;

const CONFIG: &str = "
[credentials.default]
client_id = \"0123456789abcdef\"
client_secret = \"hush\"
[kafka]
brokers = \"kafka-1:9092\"
PROPERTIES
[streams.web]
url = \"https://livestream.adobe.net/api/1/stream/adobe-livestream-examplecomprod\"
";

/// Runs `livestreamd` in a shell with these redirections. What it says on the streams that are not redirected is kept.
fn redirected(arguments: &[&str], redirections: &str) -> Output {
    Command::new("sh")
        .args(["-c", &format!("exec \"$@\" {redirections}"), "sh"])
        .arg(env!("CARGO_BIN_EXE_livestreamd"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("sh can be started")
}

/// `check` with these properties and redirections: its exit code, and both streams.
fn check(properties: &str, redirections: &str) -> (i32, String, String) {
    let scratch = Scratch::new();
    let config = scratch.write("livestreamd.toml", &CONFIG.replace("PROPERTIES", properties));
    let Output { status, stdout, stderr } = redirected(&["check", "--config", path(&config)], redirections);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn an_answer_that_nobody_reads_is_given_and_one_that_cannot_be_written_is_a_failure() {
    assert_eq!(check("", ">&-").0, 0);
    assert_eq!(check("", "2>/dev/full").0, 0);
    let (code, _, stderr) = check("", ">/dev/full");
    assert!(
        code == 1 && stderr.starts_with("livestreamd: cannot write to standard output: "),
        "{code} {stderr}"
    );
    assert_eq!(check("", ">/dev/full 2>/dev/full").0, 1);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let scratch = Scratch::new();
    let config = scratch.write("livestreamd.toml", &CONFIG.replace("PROPERTIES", ""));
    let code = scratch.path().join("code");
    // The reader is gone before anything is written.
    let script = "{ sleep 1; \"$1\" check --config \"$2\"; echo $? >\"$3\"; } | true";
    let Output { stderr, .. } = Command::new("sh")
        .args([
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_livestreamd"),
            path(&config),
            path(&code),
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    assert_eq!(std::fs::read_to_string(code).unwrap(), "0\n");
}

#[test]
fn a_simulator_that_cannot_be_announced_ends() {
    let ended = redirected(&["simulate", "--listen=127.0.0.1:0"], ">/dev/full");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
}

#[test]
fn a_file_that_kafka_s_properties_name_and_that_is_not_there_is_a_fault_of_the_configuration() {
    let properties =
        "[kafka.properties]\n\"security.protocol\" = \"ssl\"\n\"ssl.certificate.location\" = \"/no/such/file\"";
    let (code, stdout, stderr) = check(properties, "");
    assert_eq!(
        (code, stdout.as_str()),
        (78, ""),
        "no summary of what cannot be used: {stderr}"
    );
    assert!(
        stderr.contains("kafka.properties.ssl.certificate.location = \"/no/such/file\": there is no such file"),
        "{stderr}"
    );
    let (code, stdout, stderr) = check("[kafka.properties]\n\"linger.ms\" = \"soon\"", "");
    assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
    assert_eq!(stderr.matches("kafka.properties.linger.ms").count(), 1, "{stderr}");
}

#[test]
fn a_demonstration_that_is_asked_to_end_sums_up_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let temporary = scratch.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let left = |at: &Path| std::fs::read_dir(at).unwrap().count();
    for signal in [Signal::INT, Signal::TERM] {
        let demo = Livestreamd::start(
            &scratch,
            &["demo", "--duration=10m", "--json", "--log=livestreamd=debug"],
            &[("TMPDIR", path(&temporary))],
        );
        wait_until("its directory is there", LIMIT, || left(&temporary) == 1);
        demo.logged("it streams", |line| line.to_string().contains("streaming"));
        let ended = demo.ended_by(signal);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        assert_eq!(report["streams"].as_array().map(Vec::len), Some(2), "{report}");
        for stream in report["streams"].as_array().unwrap() {
            assert_eq!(
                (&stream["lost"], &stream["invented"]),
                (&0.into(), &0.into()),
                "{report}"
            );
        }
        assert_eq!(left(&temporary), 0, "{ended:?}");
    }
}

#[test]
fn a_demonstration_does_not_need_a_standard_error() {
    let ended = redirected(&["demo", "--duration=2s"], "2>/dev/full");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("\nGood: "), "{ended:?}");
}

#[test]
fn a_log_filter_that_does_not_parse_is_wrong_usage() {
    let ended = redirected(&["demo", "--log", "[["], "");
    assert_eq!(ended.status.code(), Some(64), "{ended:?}");
}
