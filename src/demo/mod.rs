//! The demonstration: a simulated Live Stream service, the daemon, and an embedded Kafka, with nothing installed.
//!
//! | module | holds |
//! | --- | --- |
//! | [`embedded_kafka`] | librdkafka's mock cluster |
//! | [`reader`] | a reader of what arrives |
//! | [`verdict`] | the service's ledger held against what arrived |
//! | [`report`] | progress while it runs, and the summary at the end |
//! | [`chaos`] | the same with the daemon as a process of its own, which is killed again and again |

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::app::Daemon;
use crate::settings::{self, Format, LogFormat, LogSettings, Settings, load_str};
use crate::simulator::{
    Accept, Backfill, Chaos, Rate, Running, SimulatedStream, Simulator, SimulatorSettings, StreamFault,
};
use crate::stream::{Stop, stop_switch};
use crate::telemetry::logs;
use crate::upstream::Dialer;

pub mod chaos;
pub mod embedded_kafka;
pub mod reader;
pub mod report;
pub mod verdict;

use chaos::Plan;
use chaos::kafka::Topics;
use chaos::report::Progress;
use embedded_kafka::{EmbeddedKafka, PARTITIONS};
use reader::Reader;
use report::Report;
use verdict::{Evidence, StreamVerdict, foreign_dead_letters};

/// The cooldown of the demonstration. Less than 60 s is allowed for loopback hosts only.
const COOLDOWN: Duration = Duration::from_secs(3);
/// With faults, a connection meets one after so long on the average.
const FAULT_INTERVAL: Duration = Duration::from_millis(2500);
/// The streams of every demonstration.
pub const STREAMS: [&str; 2] = ["web", "app"];
const DEAD_LETTERS: &str = "livestream.dead-letter";
/// How much longer than its duration a demonstration may take to bring the last hits through: some cooldowns.
const LONGEST_TAIL: Duration = Duration::from_secs(40);
/// How long the reader may take, after the daemon's end, for what was delivered.
const LONGEST_READING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
const LOOK_AT_THE_END: Duration = Duration::from_millis(400);

/// Options of `livestreamd demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// How long the service makes hits, for example 30s or 5m
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Hits a second, in all streams together
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// Let the service misbehave: close, cut and reset connections, damage data, repeat hits, refuse
    #[arg(long)]
    faults: bool,
    /// Prove that nothing is lost: run the daemon as a process of its own, kill it with -9 again and again, let Kafka go away and
    /// come back, let the service misbehave, and judge at the end what arrived
    #[arg(long)]
    chaos: bool,
    /// With --chaos: use this Kafka instead of the embedded one. Topics of its own are made there and deleted at the end; the
    /// cluster is left running all the time
    #[arg(long, value_name = "HOST:PORT", requires = "chaos")]
    brokers: Option<String>,
    /// With --chaos: put the daemon's log, configuration and state into this new directory and leave them there
    #[arg(long, value_name = "DIR", requires = "chaos")]
    keep: Option<PathBuf>,
    /// Another seed makes other hits and other faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the summary as JSON, and no progress
    #[arg(long)]
    json: bool,
    /// What to log to standard error, as a tracing filter; with --chaos the daemon logs to a file of its own
    #[arg(long, default_value = "warn", value_name = "FILTER", value_parser = log_filter)]
    log: String,
}

/// A filter that parses.
fn log_filter(text: &str) -> Result<String, settings::LogFilterError> {
    settings::log_filter(text).map(|_| text.to_owned())
}

/// How a demonstration went.
pub struct Outcome {
    /// The summary, for people or, if the options say so, as JSON.
    pub text: String,
    /// Whether the daemon did nothing wrong.
    pub good: bool,
}

/// Runs the demonstration, shows its progress on standard error, and sums it up. It goes straight to its end when `shutdown` comes.
///
/// # Errors
/// What cannot be set up: a directory, a port, librdkafka.
pub async fn run(args: &DemoArgs, shutdown: impl Future<Output = ()>) -> anyhow::Result<Outcome> {
    logs::init(&LogSettings {
        filter: args.log.clone(),
        format: LogFormat::Auto,
    })
    .context("--log")?;
    if args.chaos {
        let (switch, stop) = stop_switch();
        let pass_on = async {
            shutdown.await;
            switch.stop();
            std::future::pending().await
        };
        return tokio::select! {
            outcome = run_chaos(args, stop) => outcome,
            never = pass_on => never,
        };
    }
    let report = run_in_one_process(args, shutdown).await?;
    Ok(Outcome {
        good: report.is_good(),
        text: report.text(args).to_string(),
    })
}

/// The names of the topics of an embedded Kafka begin so, as those of the default configuration do.
const TOPICS: &str = "livestream";

async fn run_chaos(args: &DemoArgs, stop: Stop) -> anyhow::Result<Outcome> {
    let mut dir = match &args.keep {
        Some(path) => TemporaryDir::kept(path)?,
        None => TemporaryDir::new()?,
    };
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let page = free_port();
    if page != 0 && !args.json {
        report::tell_page(&format!("http://127.0.0.1:{page}/"));
    }
    let plan = |brokers, topics| Plan {
        program: &program,
        dir: &dir.path,
        brokers,
        topics,
        seed: args.seed,
        rate: args.rate,
        duration: args.duration,
        kills: 1,
        outages: 0,
        log: "info",
        page,
    };
    let progress = |topics: &Topics| Progress::new((!args.json).then(|| topics.clone()));
    let ran = if let Some(brokers) = &args.brokers {
        let topics = Topics::new(format!(
            "livestreamd-chaos-{:016x}",
            RandomState::new().hash_one(args.seed)
        ));
        topics.create(brokers).await?;
        let reader = Reader::start(brokers, &topics.all(), PARTITIONS)?;
        let ran = chaos::run(&plan(brokers, &topics), &reader, None, progress(&topics), stop).await;
        drop(reader);
        topics.delete(brokers).await?;
        ran
    } else {
        let topics = Topics::new(TOPICS);
        let kafka = EmbeddedKafka::start(&topics.all())?;
        let (brokers, mut switch) = (kafka.brokers(), &kafka);
        chaos::run(
            &plan(&brokers, &topics),
            &kafka,
            Some(&mut switch),
            progress(&topics),
            stop,
        )
        .await
    };
    dir.keep |= !ran.as_ref().is_ok_and(|report| report.good);
    let mut report = ran.with_context(|| format!("the run broke off, and left its log in {}", dir.path.display()))?;
    report.again = Some(format!(
        "livestreamd demo --chaos --seed {} --rate {} --duration {}",
        args.seed,
        args.rate,
        humantime::format_duration(args.duration).to_string().replace(' ', "")
    ));
    report.kept = dir.keep.then(|| dir.path.display().to_string());
    Ok(Outcome {
        good: report.good,
        text: if args.json {
            serde_json::to_string_pretty(&report)?
        } else {
            report.to_string()
        },
    })
}

/// Where a daemon that comes and goes has its status page.
const PAGE_PORTS: RangeInclusive<u16> = 9600..=9699;

/// A port that is free now. It lies below those that the kernel gives to connecting sockets, one of which might take it while the daemon is
/// down. 0 if there is none.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    PAGE_PORTS.into_iter().find(is_free).unwrap_or(0)
}

async fn run_in_one_process(args: &DemoArgs, shutdown: impl Future<Output = ()>) -> anyhow::Result<Report> {
    let state_dir = TemporaryDir::new()?;
    let topics: Vec<String> = STREAMS
        .iter()
        .map(|name| topic(name))
        .chain([DEAD_LETTERS.to_owned()])
        .collect();
    let kafka = EmbeddedKafka::start(&topics)?;
    let simulator = Simulator::start(simulator_settings(args))
        .await
        .context("cannot start the simulated service")?;
    let settings = settings(&simulator, &kafka, &state_dir.path)?;
    let dialer = Dialer::new(&settings.tls, []);
    let daemon = Daemon::start(settings, dialer).await?;
    let page = daemon.admin().map(Admin::url);
    let progress = report::Progress::new(!args.json, args.faults, COOLDOWN, page);

    let started = Instant::now();
    let course = async {
        while started.elapsed() < args.duration {
            progress.show(started.elapsed(), &daemon, &simulator, &kafka);
            tokio::time::sleep(LOOK.min(args.duration.saturating_sub(started.elapsed()))).await;
        }
        bring_in_the_rest(&simulator, &daemon, &kafka, &progress, started).await;
    };
    tokio::select! {
        () = course => {}
        () = shutdown => {}
    }
    let leftover = daemon.stop().await.leftover;
    let report = judge(started, leftover.bytes, &simulator, &kafka).await;
    progress.end();
    simulator.stop().await;
    Ok(report)
}

/// Judges what has arrived, as soon as the embedded Kafka's reader has come to all that was delivered.
async fn judge(started: Instant, undelivered_bytes: u64, simulator: &Running, kafka: &EmbeddedKafka) -> Report {
    let deadline = Instant::now() + LONGEST_READING;
    loop {
        let evidence = STREAMS.map(|name| evidence(name, simulator, kafka));
        let verdicts: Vec<StreamVerdict> = evidence.iter().map(StreamVerdict::of).collect();
        if verdicts.iter().all(|verdict| verdict.lost == 0) || Instant::now() >= deadline {
            let written = evidence.iter().flat_map(|evidence| &evidence.written);
            let foreign = foreign_dead_letters(written, &kafka.arrived(DEAD_LETTERS));
            return Report::new(started.elapsed(), COOLDOWN, verdicts, foreign, undelivered_bytes);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The service makes no more hits and misbehaves no more; it sends what it still has, and ends each stream in good order. Then all of it
/// must arrive.
async fn bring_in_the_rest(
    simulator: &Running,
    daemon: &Daemon,
    kafka: &EmbeddedKafka,
    progress: &report::Progress,
    started: Instant,
) {
    for stream in STREAMS {
        // The streams are those that the simulator was started with.
        let _ = simulator.calm(stream);
        let _ = simulator.set_rate(stream, Rate::Silent);
    }
    let deadline = Instant::now() + LONGEST_TAIL;
    let mut closed = [None; STREAMS.len()];
    let mut written_before = [0; STREAMS.len()];
    while Instant::now() < deadline {
        tokio::time::sleep(LOOK_AT_THE_END).await;
        progress.show(started.elapsed(), daemon, simulator, kafka);
        let mut all_in = true;
        for ((stream, closed), before) in STREAMS.iter().zip(&mut closed).zip(&mut written_before) {
            let evidence = evidence(stream, simulator, kafka);
            let open = evidence.accepts.iter().rfind(|accept| accept.is_streaming());
            // Nothing new since the last look: it has sent what it had.
            let is_quiet = std::mem::replace(before, evidence.written.len()) == evidence.written.len();
            if let (None, Some(open), true) = (&closed, open, is_quiet)
                && open.records == open.whole
                && simulator.fault(stream, StreamFault::Close { trailer: true }).is_ok()
            {
                *closed = Some(open.connection);
            }
            let is_over = |accept: &Accept| Some(accept.connection) == *closed && accept.end.is_some();
            all_in &= evidence.accepts.iter().any(is_over) && StreamVerdict::of(&evidence).lost == 0;
        }
        if all_in {
            return;
        }
    }
}

fn topic(stream: &str) -> String {
    format!("livestream.{stream}")
}

fn evidence(stream: &str, simulator: &Running, kafka: &EmbeddedKafka) -> Evidence {
    let ledger = simulator.ledger();
    Evidence {
        stream: stream.to_owned(),
        made: simulator.made(stream).unwrap_or_default(),
        owed: ledger.owed(stream),
        written: ledger.written(stream),
        accepts: ledger.accepts_of(stream),
        hits: kafka.arrived(&topic(stream)),
        dead_letters: kafka.arrived(DEAD_LETTERS),
    }
}

fn simulator_settings(args: &DemoArgs) -> SimulatorSettings {
    let rate = f64::from(args.rate) / STREAMS.len() as f64;
    let streams = STREAMS.map(|name| SimulatedStream {
        rate: Rate::PerSecond(rate),
        backfill: Backfill::both(20),
        chaos: args.faults.then(|| Chaos {
            mean_interval: FAULT_INTERVAL,
            faults: StreamFault::usual(),
        }),
        ..SimulatedStream::new(name)
    });
    let settings = SimulatorSettings {
        streams: streams.into(),
        seed: args.seed,
        ..SimulatorSettings::default()
    };
    settings.with_cooldown(COOLDOWN)
}

fn settings(simulator: &Running, kafka: &EmbeddedKafka, state_dir: &Path) -> anyhow::Result<Settings> {
    let mut text = format!(
        "state_dir = '{}'\n\
         [credentials.default]\nclient_id = \"demo\"\nclient_secret = \"demo\"\ntoken_url = \"{}\"\n\
         [upstream]\ncooldown = \"{}s\"\n\
         [kafka]\nbrokers = \"{}\"\n[kafka.properties]\n\"linger.ms\" = 20\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n",
        state_dir.display(),
        simulator.token_url(),
        COOLDOWN.as_secs(),
        kafka.brokers(),
    );
    for stream in STREAMS {
        use std::fmt::Write as _;
        writeln!(text, "[streams.{stream}]\nurl = \"{}\"", simulator.url(stream))?;
    }
    let loaded = load_str(&text, Format::Toml, [], state_dir);
    Ok(loaded
        .map_err(|faults| anyhow::anyhow!("the demonstration's own configuration is wrong: {faults}"))?
        .settings)
}

/// A directory that goes with the demonstration, unless it is to be kept.
struct TemporaryDir {
    path: PathBuf,
    keep: bool,
}

impl TemporaryDir {
    /// Makes a new one, for this user alone: a directory that somebody else has put there is not used.
    fn new() -> anyhow::Result<Self> {
        let mut tries = 0;
        loop {
            // The standard library seeds it from the system's randomness.
            let random = RandomState::new().hash_one(tries);
            let path = std::env::temp_dir().join(format!("livestreamd-demo-{random:016x}"));
            tries += 1;
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, keep: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MOST_NAMES => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
            }
        }
    }

    /// Makes this one, which must not be there yet.
    fn kept(path: &Path) -> anyhow::Result<Self> {
        let made = std::fs::DirBuilder::new().mode(0o700).create(path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        // The daemon's configuration names it.
        let path = std::path::absolute(path)?;
        Ok(Self { path, keep: true })
    }
}

/// How many names are tried for a directory.
const MOST_NAMES: u32 = 8;

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if !self.keep {
            // What is left behind then is small, and in the directory for such things.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_temporary_directory_is_new_and_private_and_goes() {
        let (one, other) = (TemporaryDir::new().unwrap(), TemporaryDir::new().unwrap());
        assert_ne!(one.path, other.path);
        assert_eq!(
            std::fs::metadata(&one.path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let path = one.path.clone();
        drop(one);
        assert!(!path.exists() && other.path.exists());
    }

    #[test]
    fn a_directory_that_is_to_be_kept_is_new_and_stays() {
        let parent = TemporaryDir::new().unwrap();
        let path = parent.path.join("kept");
        drop(TemporaryDir::kept(&path).unwrap());
        assert!(path.exists());
        assert!(
            TemporaryDir::kept(&path).is_err(),
            "nothing of somebody else's is touched"
        );
    }
}
