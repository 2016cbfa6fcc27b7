//! Shapes and several outputs of one stream, as an operator has them: from the file, over kills and reloads, and each for itself.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use livestreamd::simulator::{Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;
use serde_json::Value;

use super::admin::{get, page};
use super::child::{LIMIT, Livestreamd, Scratch, log_lines, path};
use super::judge::{Rules, owed};
use super::reloading::{reload, tally};
use super::trial::{PARTITIONS, Trial};
use crate::support::kafka::Record;
use crate::support::wait_until;

const COOLDOWN: Duration = Duration::from_secs(3);

/// What the further output goes by, but for its topic: fewer fields, no address, and no hit with the lower half of ids.
const SHAPE: &str = "key = \"hit\"\n[streams.web.outputs.slim.shape]\nkeep = [\"/hitIdHigh\", \"/hitIdLow\", \"/ip\", \"/geoCountry\"]\n\
     headers = { country = \"{field:/geoCountry|none}\" }\n\
     keep_if = { high = '/hitIdLow > 9223372036854775807' }\nprivacy = { truncate_ip = [\"/ip\"] }\n";

/// A stream `web`, whose further output, if it has one, goes to the topic that is returned.
async fn trial(has_output: bool) -> (Trial, String) {
    let settings = SimulatorSettings {
        streams: vec![SimulatedStream {
            rate: Rate::PerSecond(200.0),
            ..SimulatedStream::new("web")
        }],
        ..SimulatorSettings::default()
    };
    let trial = Trial::start(settings, COOLDOWN).await;
    let slim = trial.kafka.fresh_topic("slim", PARTITIONS);
    if has_output {
        trial.reconfigure(|text| with_output(text, &slim));
    }
    (trial, slim)
}

fn with_output(text: String, slim: &str) -> String {
    text + &format!("[streams.web.outputs.slim]\ntopic = \"{slim}\"\n{SHAPE}")
}

fn id(record: &Record) -> String {
    record
        .header("livestream.hit_id")
        .expect("all have ids here")
        .to_owned()
}

fn is_high(id: &str) -> bool {
    let (_, low) = id.split_once('_').unwrap();
    low.parse::<u64>().unwrap() > u64::MAX / 2
}

/// The ids of records that the further output lets through.
fn high(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(id).filter(|id| is_high(id)).collect()
}

/// Waits until the further output has all such hits among `all`, and returns what stands there.
fn wait_for(trial: &Trial, slim: &str, all: &[Record]) -> Vec<Record> {
    let wanted = high(all);
    let has_all = |records: &[Record]| wanted.is_subset(&records.iter().map(id).collect());
    trial.kafka.consume_all(slim, has_all, LIMIT)
}

fn assert_slim(records: &[Record]) {
    for record in records {
        let text = std::str::from_utf8(&record.value).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        let fields: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert!(fields.len() <= 4 && !text.contains("userAgent"), "{text}");
        if let Some(ip) = value["ip"].as_str() {
            assert!(ip.ends_with(".0") || ip.contains("::"), "{text}");
        }
        let country = value["geoCountry"].as_str().unwrap_or("none");
        assert_eq!(record.header("country"), Some(country), "{text}");
        assert_eq!(
            record.key.as_deref(),
            record.header("livestream.hit_id").map(str::as_bytes)
        );
        assert!(is_high(&id(record)));
    }
}

fn cursor_file(trial: &Trial) -> PathBuf {
    trial.scratch.path().join("state/journal/web/cursor.slim")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_outputs_of_one_stream_have_one_connection_and_a_kill_9_costs_neither_a_hit() {
    let (trial, slim) = trial(true).await;
    let daemon = trial.run();
    trial.streaming("web", 300).await;
    daemon.kill();
    let daemon = trial.run();
    trial.close("web", 300).await;
    trial.arrived();
    let whole = trial.hits(trial.stream());
    let shaped = wait_for(&trial, &slim, &whole);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_slim(&shaped);
    assert!(
        shaped.len() > 100 && high(&shaped) == high(&whole),
        "{} of {}",
        shaped.len(),
        whole.len()
    );
    trial.assert_none_was_early();
    let rules = Rules {
        was_killed: true,
        ..Rules::default()
    };
    trial.judge(trial.stream(), rules);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_kafka_refuses_holds_up_no_other_and_catches_up() {
    let (trial, slim) = trial(true).await;
    trial
        .kafka
        .configure_topic(&slim, "message.timestamp.before.max.ms", "0");
    let daemon = trial.run();
    trial.close("web", 500).await;
    trial.arrived();
    let refused = daemon.logged("it is refused", |line| {
        line["output"] == "slim"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("kafka did not take"))
    });
    assert_eq!(refused["topic"], slim.as_str(), "{refused}");
    assert!(trial.kafka.records(&slim).is_empty());
    // What one output has not got is kept for it, over a restart too.
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let journal = trial.scratch.path().join("state/journal/web");
    assert!(livestreamd::journal::inspect::inspect(&journal).unwrap().backlog_bytes > 100_000);
    trial
        .kafka
        .configure_topic(&slim, "message.timestamp.before.max.ms", "604800000");
    let daemon = trial.run();
    let whole = trial.hits(trial.stream());
    let shaped = wait_for(&trial, &slim, &whole);
    assert_slim(&shaped);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    // More may have come meanwhile, and went to both.
    assert_eq!(high(&trial.kafka.records(&slim)), high(&trial.hits(trial.stream())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_whose_topic_is_not_there_is_waited_with_and_nothing_behind_it_goes_out_again_and_again() {
    let (trial, _) = trial(false).await;
    // Most hits are of 0, and one in forty of 5.
    let there = trial.kafka.fresh_topic("by-hit.0", PARTITIONS);
    let prefix = there.replace("by-hit.0", "by-hit.X");
    let missing = prefix.replace('X', "5");
    let template = prefix.replace('X', "{field:/exclude/id|0}");
    let topic = &trial.stream().topic;
    trial.reconfigure(|text| {
        let by_hit = format!(
            "topic = \"{template}\"\nallowed_topics = [\"{there}\", \"{missing}\"]\nfallback_topic = \"{there}\""
        );
        text.replace(&format!("topic = \"{topic}\""), &by_hit).replace(
            "[kafka]\n",
            "[kafka]\nproperties = { \"topic.metadata.propagation.max.ms\" = \"1000\" }\n",
        )
    });
    let daemon = trial.run();
    trial.close("web", 400).await;
    let admin = page(&daemon);
    let goes_back = |times: u64| {
        wait_until("it goes back to its cursor", LIMIT, || {
            let status = serde_json::from_str::<Value>(&get(&admin, "/status").1).unwrap();
            status["streams"][0]["outputs"][0]["rewinds"].as_u64() >= Some(times)
        });
    };
    goes_back(2);
    let so_far = trial.kafka.count(&there);
    goes_back(3);
    assert_eq!(
        trial.kafka.count(&there),
        so_far,
        "nothing overtakes the hit that waits"
    );
    trial.kafka.create_topic(&missing, PARTITIONS, &[]);
    let owed = owed(trial.ledger(), "web");
    let both = || [&there, &missing].map(|topic| trial.kafka.records(topic)).concat();
    wait_until("all are there", LIMIT, || owed.hits_are_in(&both()));
    assert!(trial.kafka.count(&missing) > 0);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_come_and_go_by_a_reload_and_the_connection_stays() {
    let (trial, slim) = trial(false).await;
    let daemon = trial.run();
    let accept = trial.streaming("web", 100).await;
    let without = trial.reconfigure(|text| with_output(text, &slim));
    assert_eq!(tally(&reload(&daemon)), [0, 0, 0, 1, 0]);
    daemon.logged("it came", |line| line["changed"] == "outputs.slim");
    wait_until("it has its cursor", LIMIT, || cursor_file(&trial).exists());
    let so_far = trial.ledger().records(accept.connection).len();
    trial.streaming("web", so_far + 300).await;
    // What came after the cursor was there is all there, whatever came before.
    let all = || {
        let records = trial.ledger().records(accept.connection);
        let owed = owed(trial.ledger(), "web");
        (records.len(), owed)
    };
    let (count, owed_now) = all();
    assert!(count >= so_far + 300);
    trial
        .kafka
        .consume_all(&trial.stream().topic, |records| owed_now.hits_are_in(records), LIMIT);
    let later: Vec<Record> = in_order(&trial).split_off(so_far + 50);
    let shaped = wait_for(&trial, &slim, &later);
    assert_slim(&shaped);
    trial.reconfigure(|_| without);
    assert_eq!(tally(&reload(&daemon)), [0, 0, 0, 1, 0]);
    daemon.logged("it went", |line| {
        line["output"] == "slim"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("the output is gone"))
    });
    assert!(!cursor_file(&trial).exists());
    let gone_at = trial.kafka.count(&slim);
    let so_far = trial.ledger().records(accept.connection).len();
    trial.streaming("web", so_far + 100).await;
    assert_eq!(
        trial.ledger().accepts_of("web").len(),
        1,
        "{:#?}",
        trial.ledger().accepts()
    );
    trial.close("web", so_far + 100).await;
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(trial.kafka.count(&slim), gone_at);
    trial.judge(trial.stream(), Rules::default());
}

/// The hits of the stream as they were read, by the time at which they were.
fn in_order(trial: &Trial) -> Vec<Record> {
    let mut records = trial.hits(trial.stream());
    records.sort_by_key(|record| record.timestamp);
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_is_gone_at_a_start_holds_nothing_back() {
    let (trial, slim) = trial(true).await;
    trial
        .kafka
        .configure_topic(&slim, "message.timestamp.before.max.ms", "0");
    let daemon = trial.run();
    trial.close("web", 300).await;
    trial.arrived();
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    trial.reconfigure(|text| text[..text.find("[streams.web.outputs").unwrap()].to_owned());
    let daemon = trial.run();
    daemon.logged("what is not delivered is told", |line| {
        line["level"] == "WARN" && line.to_string().contains("slim") && line["stream"] == "web"
    });
    trial.streaming("web", 50).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert!(!cursor_file(&trial).exists());
    let journal = trial.scratch.path().join("state/journal/web");
    assert_eq!(
        livestreamd::journal::inspect::inspect(&journal).unwrap().backlog_bytes,
        0
    );
}

#[test]
fn check_shows_where_an_expression_is_wrong() {
    let scratch = Scratch::new();
    scratch.write("token", "t");
    let config = scratch.write(
        "livestreamd.toml",
        "[credentials.default]\naccess_token_file = \"token\"\n[kafka]\nbrokers = \"localhost:9\"\n\
         [streams.web]\nurl = \"http://127.0.0.1:9/\"\nshape = { drop_if = { internal = '/a == 1 or /b = 2' } }\n",
    );
    let ended = Livestreamd::run(&scratch, &["check", "--config", path(&config)], &[]);
    assert_eq!(ended.code, 78, "{ended:?}");
    let place = "\n      /a == 1 or /b = 2\n                    ^\n";
    assert!(ended.stderr.contains(place), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shape_holds_back_is_told_by_status_and_metrics() {
    let (trial, slim) = trial(true).await;
    let daemon = trial.run();
    trial.streaming("web", 200).await;
    let admin = page(&daemon);
    let status = || serde_json::from_str::<Value>(&get(&admin, "/status").1).unwrap();
    wait_until("some were held back", LIMIT, || {
        let status = status();
        let outputs = &status["streams"][0]["outputs"];
        outputs[1]["filtered"]["high"]
            .as_u64()
            .is_some_and(|held_back| held_back > 20)
            && outputs[1]["delivered"].as_u64() > Some(20)
    });
    let status = status();
    let outputs = &status["streams"][0]["outputs"];
    assert_eq!(
        (&outputs[0]["name"], &outputs[1]["name"]),
        (&"default".into(), &"slim".into())
    );
    assert_eq!(outputs[1]["topic"], slim.as_str());
    assert!(outputs[0]["filtered"].as_object().unwrap().is_empty());
    let metrics = get(&admin, "/metrics").1;
    let has = |line: &str| metrics.lines().any(|one| one.starts_with(line));
    assert!(
        has("livestreamd_output_filtered_hits_total{stream=\"web\",output=\"slim\",filter=\"high\"} "),
        "{metrics}"
    );
    assert!(
        has("livestreamd_output_backlog_bytes{stream=\"web\",output=\"default\"} "),
        "{metrics}"
    );
    let ended = daemon.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0);
    let sums = log_lines(&ended.stderr).into_iter().filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("what this run did")
    });
    let [whole, slim] = <[Value; 2]>::try_from(sums.collect::<Vec<_>>()).unwrap();
    assert_eq!((&whole["output"], &slim["output"]), (&Value::Null, &"slim".into()));
    let count = |sum: &Value, name: &str| sum[name].as_u64().unwrap_or_else(|| panic!("{name} in {sum}"));
    assert_eq!(count(&whole, "hits"), count(&whole, "delivered"), "{whole}");
    assert_eq!(count(&whole, "filtered"), 0, "{whole}");
    assert!(count(&slim, "filtered") > 20, "{slim}");
    assert_eq!(
        count(&slim, "hits"),
        count(&slim, "delivered") + count(&slim, "filtered"),
        "{slim}"
    );
}
