//! Proof by chaos: a real broker that is stopped, killed and started again, a service that misbehaves, and the daemon killed with -9 at
//! moments drawn from a seed. What arrived is judged from the service's ledger alone (`livestreamd::demo::chaos::judge`).
//!
//! `LIVESTREAMD_TEST_SEED=N` draws other moments, hits and faults, or those of a run that failed.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use livestreamd::demo::STREAMS;
use livestreamd::demo::chaos::kafka::{KafkaSwitch, Leaving, Topics};
use livestreamd::demo::chaos::report::Progress;
use livestreamd::demo::chaos::{self, Plan};
use livestreamd::demo::embedded_kafka::PARTITIONS;
use livestreamd::demo::reader::Reader;
use livestreamd::stream::stop_switch;

use super::child::{Scratch, log_lines};
use super::hush::{HitContent, assert_it_could_fail, secret_in};
use crate::support::broker::Broker;
use crate::support::kafka::Kafka;

/// Another one in a run that is asked for it.
const SEED: u64 = 1;
const KILLS: u32 = 20;
const OUTAGES: u32 = 3;

/// A real broker. It takes seconds to start, in a thread of its own.
enum Switch {
    There(Broker),
    Away(Broker),
    Starting(JoinHandle<Broker>),
    /// Only while one of the others is made of another.
    Between,
}

impl KafkaSwitch for Switch {
    fn go_away(&mut self, how: Leaving) -> anyhow::Result<()> {
        let mut broker = match std::mem::replace(self, Self::Between) {
            Self::There(broker) => broker,
            Self::Starting(thread) => thread.join().expect("the broker starts again"),
            Self::Away(_) | Self::Between => panic!("the broker is away already"),
        };
        tokio::task::block_in_place(|| match how {
            Leaving::Stopped => broker.stop(),
            Leaving::Killed => broker.kill(),
        });
        *self = Self::Away(broker);
        Ok(())
    }

    fn come_back(&mut self) -> anyhow::Result<()> {
        let Self::Away(mut broker) = std::mem::replace(self, Self::Between) else {
            panic!("the broker is not away")
        };
        *self = Self::Starting(std::thread::spawn(move || {
            broker.start_again();
            broker
        }));
        Ok(())
    }
}

/// What the service sent stands in Kafka, and nowhere in the log of any run, down to level debug. Nor does a secret.
#[track_caller]
fn assert_nothing_personal_is_said(log: &str, brokers: &str, topics: &Topics) {
    let kafka = Kafka::at(brokers.to_owned());
    let hits: Vec<_> = STREAMS
        .iter()
        .flat_map(|stream| kafka.records(&topics.of(stream)))
        .collect();
    let dead_letters = kafka.records(&topics.dead_letters());
    let content = HitContent::of(&hits, &dead_letters);
    assert!(
        hits.len() > 1000 && content.len() > hits.len(),
        "{} values of {} hits",
        content.len(),
        hits.len()
    );
    let debug = log_lines(log).iter().filter(|line| line["level"] == "DEBUG").count();
    assert!(debug > 50, "{debug} lines at level debug");
    assert_eq!(content.in_log(log), None, "content of a hit is said");
    assert_eq!(secret_in(log), None, "a secret is said");
    assert_it_could_fail(&content, log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_kill_9_and_outages_of_kafka_nothing_owed_is_lost_or_changed_and_no_attempt_is_early() {
    let seed = std::env::var("LIVESTREAMD_TEST_SEED").map_or(SEED, |seed| seed.parse().expect("a seed is a number"));
    let scratch = Scratch::new();
    let (broker, topics) = (Broker::start(), Topics::new("chaos"));
    let brokers = broker.addr().to_owned();
    topics.create(&brokers).await.expect("topics can be made");
    let reader = Reader::start(&brokers, &topics.all(), PARTITIONS).expect("topics can be read");
    let mut switch = Switch::There(broker);
    let plan = Plan {
        program: Path::new(env!("CARGO_BIN_EXE_livestreamd")),
        dir: scratch.path(),
        brokers: &brokers,
        topics: &topics,
        seed,
        rate: 300,
        duration: Duration::ZERO,
        kills: KILLS,
        outages: OUTAGES,
        log: "debug",
        page: 0,
    };
    let again = format!("to repeat it: LIVESTREAMD_TEST_SEED={seed} cargo test --test it chaos");
    let (_switch, never) = stop_switch();
    let report = chaos::run(&plan, &reader, Some(&mut switch), Progress::new(None), never)
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{again}"));
    let log = || std::fs::read_to_string(scratch.path().join("livestreamd.log")).unwrap_or_default();
    assert!(report.good, "{report}\n{again}\nthe daemon said:\n{}", log());

    // What it was good in.
    let tally = &report.tally;
    assert!(tally.kills >= KILLS && tally.outages() >= OUTAGES, "{report}");
    for (times, moment) in [
        (tally.streaming, "streaming"),
        (tally.connecting, "connecting"),
        (tally.cooling_down, "cooling down"),
        (tally.just_started, "just started"),
        (tally.kafka_away, "without Kafka"),
    ] {
        assert!(times >= 1, "no kill while {moment}: {report}");
    }
    assert!(tally.terminated >= 1, "{report}");
    assert!(
        report.faults.values().sum::<u64>() >= 10 && report.faults.len() >= 5,
        "{report}"
    );
    assert_eq!(report.said.panics, [""; 0]);
    assert_nothing_personal_is_said(&log(), &brokers, &topics);
    for stream in &report.streams {
        assert!(
            stream.owed >= 100 && stream.owed_repeats >= 1 && stream.killed >= 3,
            "{report}"
        );
    }
}
