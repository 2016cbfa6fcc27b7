//! What the benchmark is told on its command line, and where it keeps its files.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use super::contenders::Contender;
use super::corpus::PIECE_HITS;

/// How livestreamd compares: whole processes, side by side, against one Kafka
///
/// Builds a corpus of hits once, serves it from a process of its own, and lets livestreamd, the leanest loop that could do its work,
/// curl | kcat and a client in Python take it into Kafka in turn. What counts is the processor time of each. See docs/performance.md.
#[derive(Parser, Clone, Debug)]
#[command(name = "pipeline", bin_name = "cargo bench --bench pipeline --")]
pub struct Arguments {
    /// What to measure; everything unless said otherwise.
    #[arg(value_enum)]
    pub suites: Vec<Suite>,
    /// Small and short: to see that all works, not to compare.
    #[arg(long)]
    pub quick: bool,
    /// Rounds that count.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Hits of a burst; rounded up to a multiple of 4,000.
    #[arg(long)]
    pub hits: Option<u64>,
    /// Mean size of a hit, in bytes.
    #[arg(long, default_value_t = 2_460)]
    pub mean: usize,
    /// Seconds of live hits.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Live hits that go out together, in one flush and one chunk: each by itself unless said otherwise, which is the dearest for all.
    #[arg(long, default_value_t = 1)]
    pub group: u64,
    /// Only these contenders, where a suite has them.
    #[arg(long, value_delimiter = ',')]
    pub contenders: Vec<Contender>,
    /// A Kafka broker that runs, in the place of librdkafka's mock cluster.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "real")]
    pub brokers: Option<String>,
    /// The same with a broker that is started for it: Apache Kafka, by Java and Maven.
    #[arg(long)]
    pub real: bool,
    /// How much is to pile up in the outage, in GiB.
    #[arg(long)]
    pub backlog: Option<f64>,
    /// Where tables, plots and figures go; target/bench unless said otherwise.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Suite {
    /// As fast as it goes, all contenders.
    Burst,
    /// At 1,000 hits a second, with latencies.
    Live,
    /// The daemon with its journal on and off.
    Journal,
    /// The daemon with shapes and without.
    Shape,
    /// 1 to 50 streams, 1 to 16 KB a hit, the first and the second million hits.
    Scale,
    /// With one idle stream, with a hundred more, and in a burst.
    Memory,
    /// A backlog, while new hits keep coming.
    Drain,
    /// A real broker that is killed in a burst, with memory over time.
    Outage,
    /// From exec to READY.
    Start,
}

/// The same, with everything decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `target/bench`.
    pub bench: PathBuf,
    pub out: PathBuf,
    pub quick: bool,
    pub warm_up: bool,
    pub rounds: u32,
    /// Pieces of a burst.
    pub pieces: u64,
    pub mean: usize,
    /// Seconds of live hits.
    pub seconds: u64,
    pub group: u64,
    pub brokers: Option<String>,
    pub contenders: Vec<Contender>,
    /// In bytes.
    pub backlog: u64,
}

impl From<&Arguments> for Settings {
    fn from(arguments: &Arguments) -> Self {
        let quick = arguments.quick;
        let or = |given: Option<u64>, short, long| given.unwrap_or(if quick { short } else { long });
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let bench = tmp.parent().unwrap_or(tmp).join("bench");
        Self {
            out: arguments.out.clone().unwrap_or_else(|| bench.clone()),
            bench,
            quick,
            warm_up: !quick,
            rounds: arguments.rounds.unwrap_or(if quick { 1 } else { 5 }),
            pieces: or(arguments.hits, 40_000, 200_000).div_ceil(PIECE_HITS).max(1),
            mean: arguments.mean,
            seconds: or(arguments.seconds, 5, 60),
            group: arguments.group.max(1),
            brokers: arguments.brokers.clone(),
            contenders: arguments.contenders.clone(),
            backlog: (arguments.backlog.unwrap_or(if quick { 0.25 } else { 5.0 }) * (1_u64 << 30) as f64) as u64,
        }
    }
}

impl Settings {
    /// Those of a suite's contenders that are wanted.
    pub fn wanted(&self, contenders: &[Contender]) -> Vec<Contender> {
        let is_wanted = |contender: &&Contender| self.contenders.is_empty() || self.contenders.contains(contender);
        contenders.iter().filter(is_wanted).copied().collect()
    }
}
