//! Proof by chaos: the daemon as a child process that is killed with -9 again and again, a service that misbehaves, a Kafka that goes and
//! comes back, and at the end a judge who believes nothing but the service's ledger.
//!
//! | module | holds |
//! | --- | --- |
//! | [`child`] | the daemon's process |
//! | [`kafka`] | the topics, and how Kafka goes away and comes back |
//! | `course` | what is done when |
//! | [`judge`] | pure: the ledger held against what stands in the topics |
//! | [`report`] | progress, and the summary |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::STREAMS;
use super::reader::Reader;
use crate::simulator::{
    Accept, Backfill, Chaos, EndedBy, Ledger, Rate, RecordKind, Running, SimulatedStream, Simulator, SimulatorSettings,
    StreamFault,
};
use crate::stream::Stop;

pub mod child;
mod course;
pub mod judge;
pub mod kafka;
pub mod report;

use course::{Course, Paths};
use judge::{Connection, Evidence, Verdict};
use kafka::{KafkaSwitch, Topics};
use report::{Progress, Report, Said};

/// What the daemon gets its tokens with. It must not be told anywhere.
pub const CLIENT_SECRET: &str = "chaos-hush-7Q9-mum";
/// The cooldown. Less than 60 s is allowed for loopback hosts only.
pub const COOLDOWN: Duration = Duration::from_secs(2);
/// A connection meets a fault after so long on the average.
const FAULT_INTERVAL: Duration = Duration::from_millis(1500);
/// How many records the service sends again after a reconnect: some of those that a kill may have cost, and not all.
const REPEATED: usize = 20;
/// How long the reader may take, after the daemon's end, for what was delivered.
const LONGEST_READING: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// What a run is made of.
pub struct Plan<'a> {
    /// The daemon: `PROGRAM run --config FILE`.
    pub program: &'a Path,
    /// An empty directory for the daemon's configuration, state and log.
    pub dir: &'a Path,
    /// For `kafka.brokers`.
    pub brokers: &'a str,
    /// Where hits and dead letters go. They are there already.
    pub topics: &'a Topics,
    /// Draws hits, faults and moments.
    pub seed: u64,
    /// Hits a second, in both streams together.
    pub rate: u32,
    /// The chaos lasts at least so long ...
    pub duration: Duration,
    /// ... and has at least so many kills ...
    pub kills: u32,
    /// ... and outages of Kafka, if there is a switch for it.
    pub outages: u32,
    /// What the daemon logs (`log.filter`).
    pub log: &'a str,
    /// The port of the daemon's status page; 0 for one that changes with each start.
    pub page: u16,
}

/// Runs it, and judges it. `stop` ends the chaos; what follows then takes some seconds.
///
/// # Errors
/// What cannot be set up or done: a port, a file, a child process, Kafka. What the daemon does wrong is in the report.
pub async fn run<'s>(
    plan: &Plan<'_>,
    reader: &Reader,
    switch: Option<&'s mut (dyn KafkaSwitch + 's)>,
    progress: Progress,
    stop: Stop,
) -> anyhow::Result<Report> {
    let began = Instant::now();
    let simulator = Simulator::start(simulator_settings(plan))
        .await
        .context("cannot start the simulated service")?;
    let paths = Paths {
        program: plan.program.to_owned(),
        config: write_config(plan, &simulator)?,
        log: plan.dir.join("livestreamd.log"),
    };
    let mut course = Course::new(&simulator, reader, switch, paths, plan.seed, progress, stop);
    course.run(plan.duration, plan.kills, plan.outages).await?;
    course.calm_down().await?;
    let (owed, owed_garbage) = {
        let judged: Vec<Vec<Connection>> = connections(simulator.ledger(), &course);
        judged
            .iter()
            .map(|connections| judge::owed(connections))
            .unzip::<_, _, Vec<_>, Vec<_>>()
    };
    course
        .wait_until_all_in(|reader| {
            let mut hits = STREAMS.iter().zip(&owed);
            hits.all(|(stream, owed)| reader.has_all(&plan.topics.of(stream), owed.iter()))
                && reader.has_all(&plan.topics.dead_letters(), owed_garbage.iter().flatten())
        })
        .await?;
    course.stop().await?;
    read_to_the_end(reader, plan.topics).await?;
    let log = tokio::fs::read(course.log()).await;
    let log = log.with_context(|| format!("cannot read {}", course.log().display()))?;
    let said = Said::in_log(&String::from_utf8_lossy(&log));
    let report = sum_up(plan, reader, simulator.ledger(), &course, said, began.elapsed());
    drop(course);
    simulator.stop().await;
    Ok(report)
}

/// What was there at the end of the daemon is read, copies and strangers included.
async fn read_to_the_end(reader: &Reader, topics: &Topics) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONGEST_READING;
    for topic in topics.all() {
        while !tokio::task::block_in_place(|| reader.is_at_the_end(&topic))? {
            anyhow::ensure!(
                Instant::now() < deadline,
                "the topic {topic} could not be read to its end in time"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// For each stream, its connections.
fn connections(ledger: &Ledger, course: &Course<'_, '_>) -> Vec<Vec<Connection>> {
    let of_stream = |stream: &str| {
        let connection = |accept: Accept| Connection {
            records: ledger.records(accept.connection),
            was_killed: course.killed.contains(&accept.connection),
            accept,
        };
        ledger.accepts_of(stream).into_iter().map(connection).collect()
    };
    STREAMS.iter().map(|stream| of_stream(stream)).collect()
}

fn sum_up(
    plan: &Plan<'_>,
    reader: &Reader,
    ledger: &Ledger,
    course: &Course<'_, '_>,
    said: Said,
    elapsed: Duration,
) -> Report {
    let connections = connections(ledger, course);
    let dead_letters = reader.arrived(&plan.topics.dead_letters());
    let streams = STREAMS.iter().zip(&connections).map(|(stream, connections)| {
        Verdict::of(&Evidence {
            stream,
            connections,
            hits: &reader.arrivals(&plan.topics.of(stream)),
            dead_letters: &dead_letters,
        })
    });
    let summary = ledger.summary();
    let skipped: u64 = plan.topics.all().iter().map(|topic| reader.skipped(topic)).sum();
    let report = Report {
        seconds: elapsed.as_secs_f64(),
        seed: plan.seed,
        tally: course.tally.clone(),
        faults: faults(connections.iter().flatten()),
        streams: streams.collect(),
        foreign_dead_letters: judge::foreign_dead_letters(connections.iter().flatten(), &dead_letters),
        unseen: skipped + summary.records_not_kept + summary.accepts_not_kept,
        said,
        again: None,
        kept: None,
        good: false,
    };
    report.decide()
}

/// The service's faults that came true, by name.
fn faults<'a>(connections: impl Iterator<Item = &'a Connection>) -> BTreeMap<String, u64> {
    let mut faults = BTreeMap::new();
    let mut count = |name: &str| *faults.entry(name.to_owned()).or_default() += 1;
    for Connection { accept, records, .. } in connections {
        if let Some(EndedBy::Fault(name)) = accept.end.as_ref().map(|end| &end.by) {
            count(name);
        }
        match accept.status {
            Some(200) => {}
            Some(status) => count(&format!("status {status}")),
            None => count("no answer"),
        }
        for (entry, _) in records {
            match entry.kind {
                RecordKind::OddId => count("odd ids"),
                RecordKind::Twin => count("twins"),
                RecordKind::Garbage => count("garbage"),
                RecordKind::Hit | RecordKind::Repeat | RecordKind::Oversized | RecordKind::Empty => {}
            }
        }
    }
    faults
}

fn simulator_settings(plan: &Plan<'_>) -> SimulatorSettings {
    let rate = f64::from(plan.rate) / STREAMS.len() as f64;
    let streams = STREAMS.map(|name| SimulatedStream {
        rate: Rate::PerSecond(rate),
        backfill: Backfill::both(REPEATED),
        chaos: Some(Chaos {
            mean_interval: FAULT_INTERVAL,
            faults: StreamFault::usual(),
        }),
        ..SimulatedStream::new(name)
    });
    let settings = SimulatorSettings {
        streams: streams.into(),
        seed: plan.seed,
        ..SimulatorSettings::default()
    };
    settings.with_cooldown(COOLDOWN)
}

/// Writes the daemon's configuration, which nobody else may read, and says where.
fn write_config(plan: &Plan<'_>, simulator: &Running) -> anyhow::Result<PathBuf> {
    let mut text = format!(
        "state_dir = '{}'\n\
         # Long enough while Kafka is there; while it is away nothing is gained by waiting.\n\
         shutdown_timeout = \"3s\"\n\
         [credentials.default]\nclient_id = \"chaos\"\nclient_secret = \"{CLIENT_SECRET}\"\ntoken_url = \"{}\"\n\
         [upstream]\ncooldown = \"{}s\"\n\
         [kafka]\nbrokers = \"{}\"\ntopic = \"{}\"\ndead_letter_topic = \"{}\"\n\
         [kafka.properties]\n\"linger.ms\" = 20\n\"reconnect.backoff.max.ms\" = 1000\n\
         [admin]\nlisten = \"127.0.0.1:{}\"\n\
         [log]\nformat = \"json\"\nfilter = \"{}\"\n",
        plan.dir.join("state").display(),
        simulator.token_url(),
        COOLDOWN.as_secs(),
        plan.brokers,
        plan.topics.of("{stream}"),
        plan.topics.dead_letters(),
        plan.page,
        plan.log,
    );
    for stream in STREAMS {
        writeln!(text, "[streams.{stream}]\nurl = \"{}\"", simulator.url(stream))?;
    }
    let path = plan.dir.join("livestreamd.toml");
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
