//! SIGHUP: what changed in the file changes in the running daemon, and what did not keeps its connection.

use std::time::Duration;

use livestreamd::simulator::{Accept, EndedBy, Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{LIMIT, Livestreamd, log_lines};
use super::judge::{Judged, Rules, judge, owed};
use super::trial::{PARTITIONS, Stream, Trial};
use crate::support::kafka::Record;
use crate::support::wait_until;

const COOLDOWN: Duration = Duration::from_secs(3);

async fn trial(names: &[&str]) -> Trial {
    let streams = names.iter().map(|name| SimulatedStream {
        rate: Rate::PerSecond(200.0),
        ..SimulatedStream::new(*name)
    });
    let settings = SimulatorSettings {
        streams: streams.collect(),
        ..SimulatorSettings::default()
    };
    Trial::start(settings, COOLDOWN).await
}

/// A line that says how a reload went.
fn is_outcome(line: &Value) -> bool {
    let message = line["message"].as_str().unwrap_or_default();
    message.starts_with("reloaded") || message.starts_with("not reloaded")
}

fn outcomes(daemon: &Livestreamd) -> Vec<Value> {
    let lines = log_lines(&daemon.stderr());
    lines.into_iter().filter(is_outcome).collect()
}

/// Has the daemon load its configuration again, and returns what it says of that.
#[track_caller]
pub fn reload(daemon: &Livestreamd) -> Value {
    let before = outcomes(daemon).len();
    daemon.signal(Signal::HUP);
    wait_until("the reload is over", LIMIT, || outcomes(daemon).len() > before);
    outcomes(daemon).remove(before)
}

/// What a reload says that it did: streams added, removed, reconnected, changed and unchanged.
pub fn tally(outcome: &Value) -> [u64; 5] {
    ["added", "removed", "reconnected", "changed", "unchanged"]
        .map(|count| outcome[count].as_u64().unwrap_or_else(|| panic!("{outcome}")))
}

/// The section of a stream, taken out of a configuration.
fn section(text: &str, stream: &str) -> String {
    let begin = text.find(&format!("[streams.{stream}]")).expect("it is there");
    let end = text[begin + 1..]
        .find("\n[")
        .map_or(text.len(), |end| begin + 1 + end + 1);
    text[begin..end].to_owned()
}

fn without(text: &str, stream: &str) -> String {
    text.replace(&section(text, stream), "")
}

/// With one more line in a stream's section.
fn with_line(text: &str, stream: &str, line: &str) -> String {
    let heading = format!("[streams.{stream}]\n");
    text.replace(&heading, &format!("{heading}{line}\n"))
}

/// Judges a stream whose hits went to one topic after another.
fn judge_in(trial: &Trial, stream: &Stream, topics: &[&str], rules: Rules) -> Judged {
    let hits: Vec<Record> = topics.iter().flat_map(|topic| trial.kafka.records(topic)).collect();
    judge(
        trial.ledger(),
        stream,
        rules,
        &hits,
        &trial.kafka.records(&trial.dead_letters),
    )
}

/// Waits until all that is owed of a stream stands in these topics, the last of which still grows.
fn arrived_in(trial: &Trial, stream: &Stream, before: &str, after: &str) {
    let owed = owed(trial.ledger(), &stream.name);
    let first = trial.kafka.records(before);
    let all_there = |later: &[Record]| owed.hits_are_in(&[&first, later].concat());
    trial.kafka.consume_all(after, all_there, LIMIT);
}

/// An attempt after an end that the daemon was asked to make. Not held against the end in the ledger, which the simulator notes as late as
/// this machine is busy.
#[track_caller]
fn assert_waited(accept: &Accept, asked: Duration) {
    assert!(accept.at >= asked + COOLDOWN, "{accept:?}, asked to end at {asked:?}");
}

fn still_open(trial: &Trial, accept: &Accept) -> bool {
    let attempts = trial.ledger().accepts_of(&accept.stream);
    attempts.len() == 1 && attempts[0].connection == accept.connection && attempts[0].end.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_topic_keeps_the_connection_and_loses_and_doubles_nothing() {
    let trial = trial(&["moves"]).await;
    let stream = trial.stream().clone();
    let elsewhere = trial.kafka.fresh_topic("elsewhere", PARTITIONS);
    let daemon = trial.run();
    let accept = trial.streaming("moves", 300).await;
    trial.reconfigure(|text| text.replace(&stream.topic, &elsewhere));
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 0, 1, 0], "{outcome}");
    let changed = daemon.logged("what changed", |line| line["changed"] == "topic");
    assert_eq!(
        (&changed["stream"], &changed["reconnect"]),
        (&"moves".into(), &false.into())
    );
    let so_far = trial.ledger().records(accept.connection).len();
    trial.streaming("moves", so_far + 200).await;
    assert!(still_open(&trial, &accept), "{:#?}", trial.ledger().accepts());
    trial.close("moves", so_far + 200).await;
    arrived_in(&trial, &stream, &stream.topic, &elsewhere);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let (before, after) = (trial.kafka.records(&stream.topic), trial.kafka.records(&elsewhere));
    assert!(
        !before.is_empty() && after.len() >= 100,
        "{} and {}",
        before.len(),
        after.len()
    );
    let judged = judge_in(&trial, &stream, &[&stream.topic, &elsewhere], Rules::default());
    assert_eq!(judged.hits, judged.different, "{judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_request_reconnects_that_stream_alone_after_its_cooldown() {
    let trial = trial(&["one", "other"]).await;
    let daemon = trial.run();
    let one = trial.streaming("one", 50).await;
    let other = trial.streaming("other", 50).await;
    trial.reconfigure(|text| with_line(&text, "one", "max_connections = 2"));
    let asked = trial.ledger().now();
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 1, 0, 1], "{outcome}");
    let end = trial.ended(one.connection).await.end.unwrap();
    assert_eq!(end.by, EndedBy::Client);
    let again = trial.attempt("one", 2).await;
    assert_waited(&again, asked);
    assert_eq!(again.parameter("maxConnections").as_deref(), Some("2"));
    trial.streaming("one", 50).await;
    // There is a place for one more now: nobody is disconnected for it.
    trial.reconfigure(|text| with_line(&text, "one", "connections = 2"));
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 0, 1, 1], "{outcome}");
    let second = trial.attempt("one", 3).await;
    assert!(trial.ledger().accept(again.connection).unwrap().end.is_none());
    // And the surplus one goes alone.
    trial.reconfigure(|text| text.replace("connections = 2\nmax_connections", "max_connections"));
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 0, 1, 1], "{outcome}");
    assert_eq!(trial.ended(second.connection).await.end.unwrap().by, EndedBy::Client);
    assert!(trial.ledger().accept(again.connection).unwrap().end.is_none());
    assert!(still_open(&trial, &other), "{:#?}", trial.ledger().accepts());
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    // Two connections cost the order of the first one.
    trial.judge(&trial.streams[1], Rules::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_come_and_go_and_one_that_comes_back_owes_its_cooldown_and_goes_on_from_its_cursor() {
    let trial = trial(&["comes", "goes"]).await;
    let whole = trial.reconfigure(|text| without(&text, "comes"));
    let daemon = trial.run();
    let goes = trial.streaming("goes", 50).await;
    trial.reconfigure(|_| whole.clone());
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [1, 0, 0, 0, 1], "{outcome}");
    let comes = trial.streaming("comes", 50).await;

    trial.reconfigure(|text| without(&text, "goes"));
    let asked = trial.ledger().now();
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 1, 0, 0, 1], "{outcome}");
    let end = trial.ended(goes.connection).await.end.unwrap();
    assert_eq!(end.by, EndedBy::Client);
    daemon.logged("it is delivered", |line| {
        line["message"] == "removed: all that was read is delivered" && line["stream"] == "goes"
    });

    trial.reconfigure(|_| whole.clone());
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [1, 0, 0, 0, 1], "{outcome}");
    let back = trial.attempt("goes", 2).await;
    assert_waited(&back, asked);
    trial.close("goes", 50).await;
    assert!(still_open(&trial, &comes), "{:#?}", trial.ledger().accepts());
    trial.close("comes", 50).await;
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    for stream in &trial.streams {
        let judged = trial.judge(stream, Rules::default());
        assert_eq!(judged.hits, judged.different, "{judged:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_removed_and_wanted_back_at_once_loses_and_doubles_nothing() {
    let trial = trial(&["back"]).await;
    let two = |text: &str| {
        let other = section(text, "back").replace("[streams.back]", "[streams.idle]");
        format!("{}{}", without(text, "back"), other.replace("/back", "/nowhere"))
    };
    let whole = trial.reconfigure(|text| text);
    let daemon = trial.run();
    let first = trial.streaming("back", 100).await;
    let asked = trial.ledger().now();
    for _ in 0..2 {
        trial.reconfigure(|_| two(&whole));
        let outcome = reload(&daemon);
        assert_eq!(tally(&outcome), [1, 1, 0, 0, 0], "{outcome}");
        trial.reconfigure(|_| whole.clone());
        let outcome = reload(&daemon);
        assert_eq!(tally(&outcome), [1, 1, 0, 0, 0], "{outcome}");
    }
    trial.ended(first.connection).await;
    let back = trial.streaming("back", 50).await;
    assert_waited(&back, asked);
    trial.close("back", 50).await;
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    let judged = trial.judge(trial.stream(), Rules::default());
    assert_eq!(judged.hits, judged.different, "{judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_stream_owes_its_cooldown_and_is_never_connected_twice() {
    let trial = trial(&["old"]).await;
    let daemon = trial.run();
    let first = trial.streaming("old", 50).await;
    trial.reconfigure(|text| text.replace("[streams.old]", "[streams.new]"));
    let asked = trial.ledger().now();
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [1, 1, 0, 0, 0], "{outcome}");
    trial.ended(first.connection).await;
    let again = trial.answered("old", 2).await;
    assert_waited(&again, asked);
    assert_eq!(again.status, Some(200), "the place was free: {again:?}");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_faults_changes_nothing_and_each_fault_is_told_with_its_key() {
    let trial = trial(&["same"]).await;
    let daemon = trial.run();
    let accept = trial.streaming("same", 50).await;
    let good = trial.reconfigure(|text| {
        let text = with_line(&text, "same", "cooldown = \"soon\"\nmax_connections = 4");
        text.replace("[log]\n", "[log]\nfiltre = \"debug\"\n")
            .replace("[kafka]\n", "[kafka]\nproperties = { \"linger.ms\" = \"never\" }\n")
    });
    let outcome = reload(&daemon);
    assert!(
        outcome["message"].as_str().unwrap().starts_with("not reloaded"),
        "{outcome}"
    );
    assert_eq!(outcome["level"], "ERROR");
    let faults: Vec<String> = log_lines(&daemon.stderr())
        .iter()
        .filter_map(|line| line["fault"].as_str().map(str::to_owned))
        .collect();
    for key in ["streams.same.cooldown", "log.filtre"] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(key)),
            "{key} in {faults:#?}"
        );
    }
    // librdkafka is asked only when all else is well.
    trial.reconfigure(|_| good.replace("[kafka]\n", "[kafka]\nproperties = { \"linger.ms\" = \"never\" }\n"));
    let outcome = reload(&daemon);
    assert!(
        outcome["message"].as_str().unwrap().starts_with("not reloaded"),
        "{outcome}"
    );
    assert!(
        daemon.stderr().contains("kafka.properties.linger.ms"),
        "{}",
        daemon.stderr()
    );
    let so_far = trial.ledger().records(accept.connection).len();
    trial.streaming("same", so_far + 50).await;
    assert!(still_open(&trial, &accept), "{:#?}", trial.ledger().accepts());
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named_and_all_else_is_in_use_at_once() {
    let trial = trial(&["named"]).await;
    let daemon = trial.run();
    let accept = trial.streaming("named", 50).await;
    trial.reconfigure(|text| {
        text.replace(
            "[kafka]\n",
            "[kafka]\nproperties = { \"linger.ms\" = \"7\", \"client.id\" = \"hush\" }\n",
        )
        .replace("[log]\n", "[log]\nfilter = \"debug\"\n")
        .replace("[dedup]\nmode = \"off\"", "[dedup]\nmode = \"mark\"")
    });
    let is_debug = |line: &Value| line["level"] == "DEBUG";
    assert!(!log_lines(&daemon.stderr()).iter().any(is_debug));
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 0, 0, 1], "{outcome}");
    assert_eq!(outcome["in_place"], "log.filter, dedup.mode");
    let named = daemon.logged("what needs a restart", |line| line["keys"].is_string());
    assert_eq!(named["keys"], "kafka.properties.client.id, kafka.properties.linger.ms");
    assert_eq!(named["level"], "WARN");
    assert!(
        !daemon.stderr().contains("hush\""),
        "keys are named, and values are not"
    );
    // It stays so until there is a restart.
    assert_eq!(reload(&daemon)["needs_restart"], named["keys"]);
    daemon.logged("something of level debug", is_debug);
    let so_far = trial.ledger().records(accept.connection).len();
    trial.close("named", so_far + 50).await;
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(trial.ledger().accepts_of("named")[0].connection, accept.connection);
    let judged = trial.judge(trial.stream(), Rules::default());
    assert_eq!(judged.hits, judged.different, "{judged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_again_and_again_and_in_a_stop_too_harms_nothing() {
    let trial = trial(&["calm"]).await;
    let daemon = trial.run();
    let accept = trial.streaming("calm", 50).await;
    for _ in 0..5 {
        daemon.signal(Signal::HUP);
    }
    let outcome = reload(&daemon);
    assert!(
        outcome["message"].as_str().unwrap().contains("nothing changes"),
        "{outcome}"
    );
    let so_far = trial.ledger().records(accept.connection).len();
    trial.streaming("calm", so_far + 50).await;
    assert!(still_open(&trial, &accept), "{:#?}", trial.ledger().accepts());
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::HUP);
    let ended = daemon.ended();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    trial.judge(trial.stream(), Rules::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_9_right_after_a_reload_is_one_as_at_any_other_time() {
    let trial = trial(&["killed"]).await;
    let stream = trial.stream().clone();
    let elsewhere = trial.kafka.fresh_topic("elsewhere", PARTITIONS);
    let daemon = trial.run();
    let first = trial.streaming("killed", 200).await;
    trial.reconfigure(|text| {
        let text = with_line(&text, "killed", "max_connections = 2");
        text.replace(&stream.topic, &elsewhere)
    });
    let asked = trial.ledger().now();
    let outcome = reload(&daemon);
    assert_eq!(tally(&outcome), [0, 0, 1, 0, 0], "{outcome}");
    daemon.kill();
    trial.ended(first.connection).await;
    let daemon = trial.run();
    let again = trial.attempt("killed", 2).await;
    assert_waited(&again, asked);
    trial.close("killed", 100).await;
    arrived_in(&trial, &stream, &stream.topic, &elsewhere);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.assert_none_was_early();
    let rules = Rules {
        was_killed: true,
        ..Rules::default()
    };
    judge_in(&trial, &stream, &[&stream.topic, &elsewhere], rules);
}
