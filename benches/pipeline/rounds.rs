//! Runs, one after the other: a fresh Kafka, service and contender for each, in an order that changes from round to round.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::contenders::{Contender, Errand, Running};
use super::corpus::{Corpus, PIECE_HITS};
use super::kafka::{Arrived, Kafka, Latency};
use super::procfs::{Cpu, Memory};
use super::serve::{End, Plan, Server};
use super::settings::Settings;

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
    pub memory: Memory,
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
                "{suite} {counted} {round}: {} {}: {:.2} cpu/M, {:.2} s, {} hits",
                load.case,
                contender.name(),
                run.per_million(),
                run.wall.as_secs_f64(),
                run.arrived.unique
            );
            if round >= warm_up {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

fn run(suite: &'static str, contender: Contender, load: &Load, round: u32, settings: &Settings) -> anyhow::Result<Run> {
    let corpus = Corpus::at(&settings.bench, load.mean).prepare(load.pieces * load.streams as u64)?;
    let topics = settings.fresh_topics(load.streams);
    let mut kafka = Kafka::start(&topics, settings.brokers.as_deref())?;
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
    let hits = (load.pieces * PIECE_HITS + plan.live_hits()) * load.streams as u64;
    let server = Server::start(&plan)?;
    let dir = settings.bench.join("run");
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let errand = Errand {
        urls: (0..load.streams).map(|stream| server.url(stream)).collect(),
        brokers: &kafka.brokers().to_owned(),
        topics,
        dir: &dir,
        bench: &settings.bench,
    };
    let began = Instant::now();
    let mut running = contender.start(&errand)?;
    let arrived = kafka.wait(hits, LONGEST_RUN + Duration::from_secs(seconds))?;
    let wall = began.elapsed();
    if arrived.count < hits {
        bail!("{} of {hits} hits have arrived in {wall:?}", arrived.count);
    }
    let memory = running.memory();
    let cpu = running.finish(hits)?;
    // A hit that was counted twice would stand for one that is not there.
    let arrived = kafka.wait(hits, Duration::ZERO)?;
    if arrived.count != hits || arrived.unique + arrived.skipped < hits {
        bail!("{hits} hits were sent, and this has arrived: {arrived:?}");
    }
    let own_p99 = match &running {
        Running::Daemon(daemon) => {
            super::contenders::daemon::quantile(&daemon.metrics()?, "livestreamd_delivery_latency_seconds", 0.99)
        }
        Running::Pipe(_) => None,
    };
    Ok(Run {
        suite,
        case: load.case.clone(),
        contender,
        round,
        hits,
        bytes: corpus.raw,
        wall,
        cpu,
        memory,
        arrived,
        latency: kafka.latency()?,
        own_p99,
    })
}
