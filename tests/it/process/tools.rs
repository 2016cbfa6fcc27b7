//! The commands for people who have no Adobe contract: a simulator as a process of its own, judged from outside, and the demonstration.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use livestreamd::simulator::fingerprint;
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Ended, LIMIT, Livestreamd, Scratch, path};
use crate::support::kafka;
use crate::support::wait_until;

/// The body of an answer of the simulator that listens at `address`.
fn ask(address: &str, method: &str, target: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    write!(
        socket,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{method} {target}: {answer}");
    body.to_owned()
}

#[test]
fn a_daemon_against_a_simulator_process_is_judged_from_outside() {
    let kafka = kafka::shared();
    let topic = kafka.fresh_topic("outside", 2);
    let scratch = Scratch::new();
    let arguments = [
        "simulate",
        "--listen=127.0.0.1:0",
        "--stream=web",
        "--rate=300",
        "--cooldown=2s",
        "--linger=1500ms",
        "--repeat=5",
    ];
    let simulator = Livestreamd::start(&scratch, &arguments, &[]);
    let mut announced = String::new();
    wait_until("the simulator says how to connect", LIMIT, || {
        announced = simulator.stdout();
        announced.contains("/_sim\n")
    });
    let address = announced
        .split("listens on http://")
        .nth(1)
        .unwrap()
        .split(".\n")
        .next()
        .unwrap()
        .to_owned();

    // What it says is put into the configuration as it is.
    let (_, their_part) = announced.split_once("In the configuration of livestreamd:\n").unwrap();
    let (their_part, _) = their_part.split_once("\nWhat can be asked of it").unwrap();
    let ours = format!(
        "state_dir = {:?}\n{their_part}\ntopic = \"{topic}\"\ncooldown = \"2s\"\n[kafka]\nbrokers = \"{}\"\n[dedup]\nmode = \"off\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n",
        scratch.path().join("state"),
        kafka.addr(),
    );
    let config = scratch.write("livestreamd.toml", &ours);
    let daemon = Livestreamd::start(&scratch, &["run", "--config", path(&config)], &[]);

    let ledger = || serde_json::from_str::<Value>(&ask(&address, "GET", "/_sim/ledger")).unwrap();
    let count = |pointer: &str| ledger().pointer(pointer).and_then(Value::as_u64).unwrap();
    wait_until("300 hits are streamed", LIMIT, || {
        count("/streams/web/ledger/whole") >= 300
    });
    ask(&address, "POST", "/_sim/fault?stream=web&fault=close");
    wait_until("it streams again", LIMIT, || {
        count("/streams/web/ledger/accepts") == 2 && count("/total/streaming") == 1
    });
    wait_until("300 more are streamed", LIMIT, || {
        count("/streams/web/ledger/whole") >= 600
    });
    ask(&address, "POST", "/_sim/rate?stream=web&rate=0");
    ask(&address, "POST", "/_sim/fault?stream=web&fault=close");
    wait_until("it ended cleanly", LIMIT, || count("/total/clean_ends") == 2);

    let mut written: HashMap<u64, u64> = HashMap::new();
    for line in ask(&address, "GET", "/_sim/ledger/records?stream=web").lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["kind"] != "empty" {
            assert!(record["whole"] == true && record["clean"] == true, "{record}");
            let print = u64::from_str_radix(record["fingerprint"].as_str().unwrap(), 16).unwrap();
            *written.entry(print).or_default() += 1;
        }
    }
    let total: u64 = written.values().sum();
    assert!(
        total >= 550 && total == written.len() as u64 + 5,
        "five were repeated: {total} of {}",
        written.len()
    );
    kafka.consume_all(&topic, |records| records.len() as u64 >= total, LIMIT);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    let mut arrived: HashMap<u64, u64> = HashMap::new();
    for record in kafka.records(&topic) {
        *arrived.entry(fingerprint(&record.value)).or_default() += 1;
    }
    assert!(
        arrived == written,
        "{} different hits arrived, {} were written",
        arrived.len(),
        written.len()
    );

    let judgement = ledger();
    assert_eq!(
        (&judgement["total"]["early"], &judgement["early_accepts"]),
        (&0.into(), &Value::Array(vec![]))
    );
    assert_eq!(judgement["total"]["streaming"], 0);
    let ended = simulator.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// `demo --chaos` with a directory of its own for temporary files, and that directory.
fn chaos_demo(scratch: &Scratch, arguments: &[&str]) -> (Livestreamd, PathBuf) {
    let temporary = scratch.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let arguments = [&["demo", "--chaos", "--json"], arguments].concat();
    let variables = [
        ("TMPDIR", path(&temporary)),
        ("PATH", "/usr/bin:/bin"),
        // Nothing in the environment changes what is proven.
        ("LIVESTREAMD__UPSTREAM__COOLDOWN", "1ms"),
    ];
    (Livestreamd::start(scratch, &arguments, &variables), temporary)
}

/// The report of a run that went well and left nothing behind.
fn good_report(ended: &Ended, temporary: &Path) -> Value {
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["good"], true, "{report}");
    for stream in report["streams"].as_array().unwrap() {
        assert!(stream["owed"].as_u64() >= Some(1), "{stream}");
    }
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0, "{ended:?}");
    report
}

#[test]
fn the_chaos_demonstration_kills_and_ends_well_with_a_kafka_that_is_given() {
    let scratch = Scratch::new();
    let brokers = kafka::shared().addr();
    let (demo, temporary) = chaos_demo(&scratch, &["--duration=3s", "--brokers", brokers]);
    let report = good_report(&demo.ended(), &temporary);
    assert!(report["tally"]["kills"].as_u64() >= Some(1), "{report}");
    assert_eq!(report["tally"]["kafka_stopped"], 0, "{report}");
}

#[test]
fn the_chaos_demonstration_sums_up_when_it_is_asked_to_end() {
    let scratch = Scratch::new();
    let (demo, temporary) = chaos_demo(&scratch, &["--duration=10m"]);
    let streams = || {
        let mut entries = std::fs::read_dir(&temporary).unwrap().flatten();
        let log = entries.find_map(|entry| std::fs::read_to_string(entry.path().join("livestreamd.log")).ok());
        log.is_some_and(|log| log.contains("\"state\":\"streaming\""))
    };
    wait_until("its daemon streams", LIMIT, streams);
    good_report(&demo.ended_by(Signal::TERM), &temporary);
}

#[test]
fn the_demonstration_ends_well_and_says_so() {
    let scratch = Scratch::new();
    let ended = Livestreamd::run(&scratch, &["demo", "--duration=3s", "--json"], &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["good"], true, "{report}");
    assert_eq!(report["undelivered_bytes"], 0, "{report}");
    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2, "{report}");
    for stream in streams {
        assert!(stream["forwarded"].as_u64() >= Some(400), "{stream}");
        for fault in ["lost", "invented", "early"] {
            assert_eq!(stream[fault], 0, "{stream}");
        }
    }
}
