//! Kafka, and who counts what arrives there: a process with librdkafka's mock cluster in it, or beside a real broker.
//!
//! The mock keeps the last 5 MiB of each partition only, so everything is read all the time. Whoever runs the benchmark asks line by line:
//!
//! ```text
//! (at the start)          ready BROKERS
//! wait N SECONDS      ->  arrived COUNT UNIQUE SKIPPED, once N different hits have arrived, or the time is over
//! latency             ->  latency COUNT P50 P99 MAX, in microseconds from the stamp of a live hit to its arrival
//! down, up            ->  done: the mock's broker goes away, and comes back
//! ```

use std::collections::HashMap;
use std::io::{BufRead as _, stdin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Args;
use memchr::memmem::Finder;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::BorrowedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::child::Child;
use super::corpus::hit::{ID, STAMP, STAMP_DIGITS};

/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;
/// The mock has one broker, of this number.
const BROKER: i32 = 1;

/// What the process is told at its start.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// Topics to be read from their beginnings; the mock makes them.
    #[arg(long, value_delimiter = ',')]
    pub topics: Vec<String>,
    /// A broker to be used in the place of a mock.
    #[arg(long)]
    pub brokers: Option<String>,
}

/// What has arrived so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Records, those that nobody could read among them.
    pub count: u64,
    /// Different hits.
    pub unique: u64,
    /// Records that were thrown away before they were read: what they were is not known.
    pub skipped: u64,
}

impl Arrived {
    /// Different hits, if none of those that nobody could read was a repeat.
    pub const fn different(self) -> u64 {
        self.unique + self.skipped
    }
}

/// How long live hits took from the server's stamp to the reader, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many hits bore a stamp.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// What 99 of 100 stay below.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// The process as the harness has it. Dropping it ends it.
pub struct Kafka {
    child: Child,
    brokers: String,
}

impl Kafka {
    /// Starts it with these topics, on a mock cluster or on a broker that runs.
    pub fn start(topics: &[String], brokers: Option<&str>) -> anyhow::Result<Self> {
        let mut arguments = vec!["--topics".to_owned(), topics.join(",")];
        if let Some(brokers) = brokers {
            arguments.extend(["--brokers".to_owned(), brokers.to_owned()]);
        }
        let mut child = Child::role("as-kafka", &arguments)?;
        let line = child.line()?;
        let brokers = line.strip_prefix("ready ").context("Kafka is not ready")?.to_owned();
        Ok(Self { child, brokers })
    }

    /// For whoever produces.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Waits until so many different hits have arrived, those that nobody could read among them, or for so long, and says how many have.
    pub fn wait(&mut self, hits: u64, limit: Duration) -> anyhow::Result<Arrived> {
        let [count, unique, skipped] = self.ask(&format!("wait {hits} {}", limit.as_secs_f64()), "arrived")?;
        Ok(Arrived { count, unique, skipped })
    }

    /// How long live hits took.
    pub fn latency(&mut self) -> anyhow::Result<Latency> {
        let [count, p50, p99, max] = self.ask("latency", "latency")?;
        Ok(Latency { count, p50, p99, max })
    }

    /// Lets the mock's broker go away, or come back.
    pub fn set_up(&mut self, up: bool) -> anyhow::Result<()> {
        let [] = self.ask(if up { "up" } else { "down" }, "done")?;
        Ok(())
    }

    fn ask<const N: usize>(&mut self, question: &str, answer: &str) -> anyhow::Result<[u64; N]> {
        self.child.say(question)?;
        let line = self.child.line()?;
        let numbers = line
            .strip_prefix(answer)
            .with_context(|| format!("Kafka says {line}"))?;
        let numbers: Result<Vec<u64>, _> = numbers.split_whitespace().map(str::parse).collect();
        numbers?.try_into().map_err(|_| anyhow::anyhow!("Kafka says {line}"))
    }
}

/// The role: until its standard input ends.
pub fn run(wanted: &Wanted) -> anyhow::Result<()> {
    let cluster = match &wanted.brokers {
        None => Some(mock(&wanted.topics)?),
        Some(_) => None,
    };
    let brokers = match (&cluster, &wanted.brokers) {
        (Some(cluster), _) => cluster.bootstrap_servers(),
        (None, brokers) => brokers.clone().unwrap_or_default(),
    };
    let notes = Arc::new((Mutex::new(Notes::default()), Condvar::new()));
    // The mock gives out one batch of a partition at a time: several readers, or what is not read in time is gone.
    for partition in 0..PARTITIONS {
        let consumer = reader(&brokers, &wanted.topics, partition)?;
        let notes = Arc::clone(&notes);
        thread::spawn(move || read(&consumer, &notes));
    }
    println!("ready {brokers}");
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match (&*words, &cluster) {
            (["wait", hits, seconds], _) => {
                let arrived = wait(&notes, hits.parse()?, Duration::from_secs_f64(seconds.parse()?));
                println!("arrived {} {} {}", arrived.count, arrived.unique, arrived.skipped);
            }
            (["latency"], _) => {
                let latency = lock(&notes.0).latency();
                println!(
                    "latency {} {} {} {}",
                    latency.count, latency.p50, latency.p99, latency.max
                );
            }
            (["down"], Some(cluster)) => {
                cluster.broker_down(BROKER)?;
                println!("done");
            }
            (["up"], Some(cluster)) => {
                cluster.broker_up(BROKER)?;
                println!("done");
            }
            _ => bail!("nobody should say {line}"),
        }
    }
    Ok(())
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn mock(topics: &[String]) -> anyhow::Result<Cluster> {
    let cluster = MockCluster::new(1).context("cannot start librdkafka's mock cluster")?;
    for topic in topics {
        cluster
            .create_topic(topic, PARTITIONS, 1)
            .with_context(|| format!("cannot make the topic {topic}"))?;
    }
    Ok(cluster)
}

/// Reads this partition of each topic.
fn reader(brokers: &str, topics: &[String], partition: i32) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Asked for by librdkafka; nobody joins a group.
        .set("group.id", "pipeline")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // What arrives is to be seen at once: latencies are measured here.
        .set("fetch.wait.max.ms", "5")
        .set("fetch.error.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "200")
        // Never a pause because much is fetched already: the mock throws away what is not fetched in time.
        .set("queued.min.messages", "10000000")
        .set("queued.max.messages.kbytes", "1048576")
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.message.max.bytes", "16777216")
        .set("log_level", "0")
        .create()
        .context("cannot make a reader for Kafka")?;
    let mut all = TopicPartitionList::new();
    for topic in topics {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

fn read(consumer: &BaseConsumer, notes: &(Mutex<Notes>, Condvar)) {
    let id = Finder::new(ID);
    loop {
        // What is wrong passes: librdkafka goes on by itself.
        let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) else {
            continue;
        };
        let mut so_far = lock(&notes.0);
        so_far.add(&message, &id);
        if so_far.wanted.is_some_and(|wanted| so_far.arrived.different() >= wanted) {
            notes.1.notify_one();
        }
    }
}

fn wait(notes: &(Mutex<Notes>, Condvar), hits: u64, limit: Duration) -> Arrived {
    let deadline = Instant::now() + limit;
    let mut so_far = lock(&notes.0);
    so_far.wanted = Some(hits);
    while so_far.arrived.different() < hits {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            break;
        }
        so_far = notes
            .1
            .wait_timeout(so_far, rest)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    so_far.wanted = None;
    so_far.arrived
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Notes {
    arrived: Arrived,
    ids: hashbrown::HashSet<u64>,
    /// The offset after the last record, by topic and partition.
    next: HashMap<String, [i64; PARTITIONS as usize]>,
    /// In microseconds.
    latencies: Vec<u64>,
    /// Somebody waits for so many.
    wanted: Option<u64>,
}

impl Notes {
    fn add(&mut self, message: &BorrowedMessage<'_>, id: &Finder<'_>) {
        let (partition, offset) = (message.partition() as usize, message.offset());
        if !self.next.contains_key(message.topic()) {
            self.next.insert(message.topic().to_owned(), [0; PARTITIONS as usize]);
        }
        let next = self
            .next
            .get_mut(message.topic())
            .and_then(|partitions| partitions.get_mut(partition));
        let Some(next) = next else { return };
        let skipped = u64::try_from(offset - *next).unwrap_or_default();
        *next = offset + 1;
        self.arrived.skipped += skipped;
        self.arrived.count += skipped + 1;
        let hit = message.payload().unwrap_or_default();
        if let Some(at) = id.find(hit) {
            self.ids.insert(leading_number(&hit[at + ID.len()..]));
            self.arrived.unique = self.ids.len() as u64;
        }
        if let Some(stamp) = hit.strip_prefix(STAMP).and_then(|rest| rest.get(..STAMP_DIGITS)) {
            let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.latencies
                .push((clock.as_micros() as u64).saturating_sub(leading_number(stamp)));
        }
    }

    fn latency(&mut self) -> Latency {
        self.latencies.sort_unstable();
        let at = |part: f64| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies
                .get((last as f64 * part).round() as usize)
                .copied()
                .unwrap_or_default()
        };
        Latency {
            count: self.latencies.len() as u64,
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

fn leading_number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| {
        number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    })
}
