//! Who competes: each takes a stream from the service into Kafka, in processes of its own.

pub mod daemon;
pub mod lean;
pub mod metrics;
mod python;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;

use super::child::Child;
use super::procfs::{self, Cpu, Memory};
use daemon::{Daemon, Variant};

/// How long a pipe may take to end once all has arrived.
const LONGEST_END: Duration = Duration::from_secs(60);

/// Who competes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Contender {
    /// livestreamd as it is delivered, with its defaults.
    Daemon,
    /// The same with its journal in memory.
    NoJournal,
    /// The same with a shape that filters.
    Filtered,
    /// The same with one that writes every hit anew.
    Rewritten,
    /// The leanest loop with the daemon's key, headers and ids.
    Lean,
    /// curl --compressed | kcat, idempotent, lz4, two fixed headers.
    Kcat,
    /// curl --compressed | kcat with its defaults.
    KcatDefaults,
    /// A careful client: requests and confluent-kafka.
    Python,
}

/// Where from, where to, and where files may lie.
#[derive(Clone, Debug)]
pub struct Errand {
    /// One URL for each stream.
    pub urls: Vec<String>,
    /// One topic for each stream.
    pub topics: Vec<String>,
    pub brokers: String,
    /// Directory of this run alone.
    pub dir: PathBuf,
    /// `target/bench`.
    pub bench: PathBuf,
}

/// A contender that runs. Dropping it kills it.
pub enum Running {
    /// It runs on when all is delivered.
    Daemon(Daemon),
    /// It ends then.
    Pipe(Vec<Child>),
}

impl Contender {
    /// As tables have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daemon => "livestreamd",
            Self::NoJournal => "livestreamd, journal off",
            Self::Filtered => "livestreamd, filtered",
            Self::Rewritten => "livestreamd, rewritten",
            Self::Lean => "leanest loop",
            Self::Kcat => "curl to kcat, idempotent, lz4",
            Self::KcatDefaults => "curl to kcat, defaults",
            Self::Python => "Python client",
        }
    }

    /// True if it goes on after the end of a stream, so that the service had better not end it.
    pub const fn stays(self) -> bool {
        matches!(self, Self::Daemon | Self::NoJournal | Self::Filtered | Self::Rewritten)
    }

    /// Makes what it needs that takes long; outside of any measurement.
    pub fn prepare(self, bench: &Path) -> anyhow::Result<()> {
        match self {
            Self::Python => python::prepare(bench),
            Self::Daemon
            | Self::NoJournal
            | Self::Filtered
            | Self::Rewritten
            | Self::Lean
            | Self::Kcat
            | Self::KcatDefaults => Ok(()),
        }
    }

    /// Starts it.
    pub fn start(self, errand: &Errand) -> anyhow::Result<Running> {
        let (url, brokers, topic) = (&errand.urls[0], &errand.brokers, &errand.topics[0]);
        Ok(match self {
            Self::Daemon => Running::Daemon(Daemon::start(errand, Variant::Plain)?),
            Self::NoJournal => Running::Daemon(Daemon::start(errand, Variant::NoJournal)?),
            Self::Filtered => Running::Daemon(Daemon::start(errand, Variant::Filtered)?),
            Self::Rewritten => Running::Daemon(Daemon::start(errand, Variant::Rewritten)?),
            Self::Lean => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["as-lean", "--url", url, "--brokers", brokers, "--topic", topic]);
                Running::Pipe(vec![Child::foreign("lean", &command)?])
            }
            Self::Kcat => {
                let options = ["-X", "enable.idempotence=true", "-z", "lz4", "-H", "a=b", "-H", "c=d"];
                Running::Pipe(curl_into_kcat(url, brokers, topic, &options)?)
            }
            Self::KcatDefaults => Running::Pipe(curl_into_kcat(url, brokers, topic, &[])?),
            Self::Python => Running::Pipe(vec![python::start(&errand.bench, url, brokers, topic)?]),
        })
    }
}

impl Running {
    /// The processor time until all `hits` are delivered, by process. For the daemon that is until its last report is in and posted, up to a
    /// second after the last hit has arrived; for the others until they have ended by themselves.
    pub fn finish(&mut self, hits: u64) -> anyhow::Result<Vec<(&'static str, Cpu)>> {
        match self {
            Self::Daemon(daemon) => {
                daemon.wait_until_delivered(hits, LONGEST_END)?;
                Ok(vec![("livestreamd", daemon.child.cpu()?)])
            }
            Self::Pipe(children) => {
                let ends = children
                    .iter_mut()
                    .map(|child| Ok((child.name(), child.cpu_at_its_end(LONGEST_END)?)));
                ends.collect()
            }
        }
    }

    /// What the daemon holds in memory now. The others have ended, and hold nothing.
    pub fn memory(&self) -> anyhow::Result<Option<Memory>> {
        match self {
            Self::Daemon(daemon) => Ok(Some(procfs::memory(daemon.child.pid())?)),
            Self::Pipe(_) => Ok(None),
        }
    }
}

fn curl_into_kcat(url: &str, brokers: &str, topic: &str, options: &[&str]) -> anyhow::Result<Vec<Child>> {
    let mut curl = Command::new("curl");
    curl.args(["--compressed", "--silent", "--show-error", "--no-buffer", url]);
    let mut curl = Child::piped("curl", &curl)?;
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", brokers, "-t", topic]).args(options);
    let input = curl.take_stdout().map_or_else(Stdio::null, Stdio::from);
    let kcat = Child::fed("kcat", &kcat, input)?;
    Ok(vec![curl, kcat])
}
