//! Runs, one after the other: a fresh Kafka, service and contender for each, in an order that changes from round to round.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, bail};

use super::contenders::daemon::{Daemon, Variant};
use super::contenders::metrics::quantile;
use super::contenders::{Contender, Errand, Running};
use super::corpus::{Corpus, PIECE_HITS};
use super::kafka::{Arrived, Kafka, Latency, PARTITIONS};
use super::procfs::{Cpu, Memory};
use super::serve::{End, Plan, Server};
use super::settings::Settings;
use super::support;

/// How long a run may take beyond the time that its live hits need.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// What is sent, in one run.
#[derive(Clone, Debug)]
pub struct Load {
    /// How it is called in tables.
    pub case: String,
    /// Mean size of a hit, in bytes.
    pub mean: usize,
    pub streams: usize,
    /// Pieces of the corpus for each stream.
    pub pieces: u64,
    /// Live hits a second on each stream, and for how many seconds.
    pub live: (u64, u64),
}

impl Load {
    /// All hits as fast as they go, over one connection.
    pub fn burst(settings: &Settings) -> Self {
        Self {
            case: "burst".to_owned(),
            mean: settings.mean,
            streams: 1,
            pieces: settings.pieces,
            live: (0, 0),
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    pub suite: &'static str,
    pub case: String,
    pub contender: Contender,
    pub round: u32,
    pub hits: u64,
    /// Before compression, of the corpus alone.
    pub bytes: u64,
    /// From the contender's start to the arrival of the last hit.
    pub wall: Duration,
    /// By process.
    pub cpu: Vec<(&'static str, Cpu)>,
    /// The daemon's, when all has arrived; the others' is not looked at.
    pub memory: Option<Memory>,
    pub arrived: Arrived,
    pub latency: Latency,
    /// The bucket of the daemon's own histogram that its 99th percentile lies in, in seconds.
    pub own_p99: Option<f64>,
}

impl Run {
    /// All processes together.
    pub fn cpu(&self) -> Cpu {
        self.cpu.iter().fold(Cpu::default(), |sum, (_, cpu)| sum + *cpu)
    }

    /// CPU-seconds for a million hits.
    pub fn per_million(&self) -> f64 {
        self.cpu().total() / self.hits as f64 * 1e6
    }

    /// CPU-seconds for a gigabyte before compression.
    pub fn per_gigabyte(&self) -> f64 {
        self.cpu().total() / self.bytes as f64 * 1e9
    }
}

/// Runs every contender with every load, round by round. A first round warms up caches and is not counted.
pub fn rounds(
    suite: &'static str,
    contenders: &[Contender],
    loads: &[Load],
    settings: &Settings,
) -> anyhow::Result<Vec<Run>> {
    let mut pairs: Vec<(Contender, &Load)> = Vec::new();
    for load in loads {
        Corpus::at(&settings.bench, load.mean).prepare(load.pieces * load.streams as u64)?;
        pairs.extend(contenders.iter().map(|contender| (*contender, load)));
    }
    for contender in contenders {
        contender.prepare(&settings.bench)?;
    }
    let mut runs = Vec::new();
    let warm_up = u32::from(settings.warm_up);
    for round in 0..settings.rounds + warm_up {
        for nth in 0..pairs.len() {
            let (contender, load) = pairs[(nth + round as usize) % pairs.len()];
            let run = run(suite, contender, load, round, settings)
                .with_context(|| format!("{} of {suite}", contender.name()))?;
            let counted = if round < warm_up { "warm-up" } else { "round" };
            eprintln!(
                "{suite} {counted} {round}: {}, {}: {:.2} cpu/M, {:.2} s",
                load.case,
                contender.name(),
                run.per_million(),
                run.wall.as_secs_f64()
            );
            if run.arrived.skipped > 0 {
                eprintln!(
                    "  {} hits were gone before they could be read and checked",
                    run.arrived.skipped
                );
            }
            if round >= warm_up {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

fn run(suite: &'static str, contender: Contender, load: &Load, round: u32, settings: &Settings) -> anyhow::Result<Run> {
    let mut stage = Stage::set(contender, load, settings)?;
    let hits = stage.hits;
    let began = Instant::now();
    let mut running = contender.start(&stage.errand(settings))?;
    let arrived = stage.kafka.wait(hits, LONGEST_RUN + Duration::from_secs(load.live.1))?;
    let wall = began.elapsed();
    if arrived.different() < hits {
        bail!("{} of {hits} hits have arrived in {wall:?}", arrived.different());
    }
    let memory = running.memory()?;
    let cpu = running.finish(hits)?;
    let arrived = stage.kafka.wait(hits, Duration::ZERO)?;
    if arrived.count != hits {
        bail!("{hits} hits were sent, and this has arrived: {arrived:?}");
    }
    let own_p99 = match &running {
        Running::Daemon(daemon) => quantile(&daemon.metrics()?, "livestreamd_delivery_latency_seconds", 0.99),
        Running::Pipe(_) => None,
    };
    let latency = stage.kafka.latency()?;
    drop(running);
    stage.strike(settings);
    Ok(Run {
        suite,
        case: load.case.clone(),
        contender,
        round,
        hits,
        bytes: stage.bytes,
        wall,
        cpu,
        memory,
        arrived,
        latency,
        own_p99,
    })
}

/// What a contender meets: Kafka with fresh topics, the service, and an empty directory. Whatever runs on it must end before it does.
pub struct Stage {
    pub kafka: Kafka,
    /// Directory of this run alone.
    pub dir: PathBuf,
    /// All that will be sent.
    pub hits: u64,
    /// Of the corpus, before compression.
    pub bytes: u64,
    brokers: String,
    server: Server,
    topics: Vec<String>,
}

impl Stage {
    /// Makes it, for this contender and load.
    pub fn set(contender: Contender, load: &Load, settings: &Settings) -> anyhow::Result<Self> {
        let corpus = Corpus::at(&settings.bench, load.mean).prepare(load.pieces * load.streams as u64)?;
        let topics = fresh_topics(load.streams);
        if let Some(brokers) = &settings.brokers {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            support::kafka::Kafka::at(brokers.clone()).create_topics(&names, PARTITIONS, &[]);
        }
        let kafka = Kafka::start(&topics, settings.brokers.as_deref())?;
        let (rate, seconds) = load.live;
        let plan = Plan {
            bench: settings.bench.clone(),
            mean: load.mean,
            pieces: load.pieces,
            rate,
            group: settings.group,
            seconds,
            end: if contender.stays() { End::Stay } else { End::Close },
        };
        let dir = settings.bench.join("run");
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        fs::create_dir_all(&dir)?;
        Ok(Self {
            brokers: kafka.brokers().to_owned(),
            kafka,
            dir,
            hits: (load.pieces * PIECE_HITS + plan.live_hits()) * load.streams as u64,
            bytes: corpus.raw,
            server: Server::start(&plan)?,
            topics,
        })
    }

    /// What a contender is told.
    pub fn errand(&self, settings: &Settings) -> Errand {
        Errand {
            urls: (0..self.topics.len()).map(|stream| self.server.url(stream)).collect(),
            topics: self.topics.clone(),
            brokers: self.brokers.clone(),
            dir: self.dir.clone(),
            bench: settings.bench.clone(),
        }
    }

    /// A daemon on it.
    pub fn start_daemon(&self, settings: &Settings) -> anyhow::Result<Daemon> {
        Daemon::start(&self.errand(settings), Variant::Plain)
    }

    /// Removes from a real broker what would fill its disk.
    fn strike(&self, settings: &Settings) {
        if let Some(brokers) = &settings.brokers {
            let kafka = support::kafka::Kafka::at(brokers.clone());
            self.topics.iter().for_each(|topic| kafka.delete_topic(topic));
        }
    }
}

/// Names that no topic has had, for as long as this process and its broker live.
fn fresh_topics(count: usize) -> Vec<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    (0..count).map(|nth| format!("bench-{process}-{run}-{nth}")).collect()
}
