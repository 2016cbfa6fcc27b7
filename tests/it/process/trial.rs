//! A trial: a simulated service in this process, topics on the shared broker, and a configuration that joins the two.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use livestreamd::simulator::{
    Accept, Ledger, RecordKind, Running, Simulator, SimulatorSettings, StreamFault, TokenRules,
};
use serde_json::Value;

use super::child::{LIMIT, Livestreamd, Scratch, path};
use super::judge::{self, Judged, Rules};
use crate::support::kafka::{self, Kafka, Record};

/// Our client at the token endpoint, which insists on it. The secret holds what a form or a log might write otherwise.
pub const CLIENT_ID: &str = "trial-client";
pub const CLIENT_SECRET: &str = "hush-7Q+z/9=x&mum";

/// Partitions of each topic for hits.
pub const PARTITIONS: i32 = 3;

/// A trial of one or more streams.
pub struct Trial {
    pub simulator: Running,
    pub kafka: &'static Kafka,
    pub scratch: Scratch,
    pub streams: Vec<Stream>,
    pub dead_letters: String,
    config: PathBuf,
}

/// One stream of a trial, by the same name everywhere.
#[derive(Clone, Debug)]
pub struct Stream {
    pub name: String,
    pub report_suite: String,
    pub topic: String,
}

impl Trial {
    /// Starts the service with this cooldown, and makes the topics. The daemon is started by [`Self::run`].
    pub async fn start(settings: SimulatorSettings, cooldown: Duration) -> Self {
        let kafka = kafka::shared();
        let streams: Vec<Stream> = settings
            .streams
            .iter()
            .map(|stream| Stream {
                name: stream.name.clone(),
                report_suite: stream.report_suite.clone(),
                topic: kafka.fresh_topic(&stream.name, PARTITIONS),
            })
            .collect();
        let client = Some((CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned()));
        let settings = SimulatorSettings {
            tokens: TokenRules {
                client,
                ..settings.tokens
            },
            ..settings
        };
        let simulator = Simulator::start(settings.with_cooldown(cooldown))
            .await
            .expect("a simulator can be started on a free port");
        let scratch = Scratch::new();
        let dead_letters = kafka.fresh_topic("dead-letters", 1);
        let text = config(&simulator, kafka, scratch.path(), &streams, &dead_letters, cooldown);
        let config = scratch.write("livestreamd.toml", &text);
        Self {
            simulator,
            kafka,
            scratch,
            streams,
            dead_letters,
            config,
        }
    }

    /// Starts `livestreamd run`.
    pub fn run(&self) -> Livestreamd {
        self.run_with(&[])
    }

    /// Starts `livestreamd run` with environment variables, by which any key of the configuration may be changed.
    pub fn run_with(&self, variables: &[(&str, &str)]) -> Livestreamd {
        Livestreamd::start(&self.scratch, &["run", "--config", self.config()], variables)
    }

    /// The configuration's path.
    pub fn config(&self) -> &str {
        path(&self.config)
    }

    /// Writes another configuration in the place of the one that is there, which is returned. A daemon that runs is not told.
    pub fn reconfigure(&self, change: impl FnOnce(String) -> String) -> String {
        let before = std::fs::read_to_string(&self.config).expect("it was written");
        self.scratch.write("livestreamd.toml", &change(before.clone()));
        before
    }

    /// The service's ledger.
    pub fn ledger(&self) -> &Ledger {
        self.simulator.ledger()
    }

    /// The only stream.
    pub fn stream(&self) -> &Stream {
        let [stream] = self.streams.as_slice() else {
            panic!("a trial of one stream")
        };
        stream
    }

    /// Waits until the ledger shows what is looked for.
    pub async fn seen<T>(&self, what: &str, look: impl FnMut(&Ledger) -> Option<T>) -> T {
        let seen = tokio::time::timeout(LIMIT, self.ledger().wait_until(look)).await;
        seen.unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain until {what}: {:#?}", self.ledger().accepts()))
    }

    /// Waits for a stream's attempt with this number, counted from 1.
    pub async fn attempt(&self, stream: &str, number: usize) -> Accept {
        let nth = |ledger: &Ledger| ledger.accepts_of(stream).get(number - 1).cloned();
        self.seen(&format!("{stream} is dialled {number} times"), nth).await
    }

    /// Waits until the service has answered the attempt of this number.
    pub async fn answered(&self, stream: &str, number: usize) -> Accept {
        let nth = |ledger: &Ledger| {
            let accept = ledger.accepts_of(stream).get(number - 1).cloned();
            accept.filter(|accept| accept.status.is_some())
        };
        self.seen(&format!("{stream} is answered {number} times"), nth).await
    }

    /// Waits until a stream is streaming, with at least so many whole records on the connection, empty ones not counted.
    pub async fn streaming(&self, stream: &str, records: usize) -> Accept {
        let has_enough = |ledger: &Ledger, accept: &Accept| {
            accept.whole >= records as u64 && {
                let written = ledger.records(accept.connection);
                written
                    .iter()
                    .filter(|(entry, whole)| *whole && entry.kind != RecordKind::Empty)
                    .count()
                    >= records
            }
        };
        let open = |ledger: &Ledger| {
            let last = ledger.accepts_of(stream).pop()?;
            (last.is_streaming() && has_enough(ledger, &last)).then_some(last)
        };
        self.seen(&format!("{stream} has streamed {records} records"), open)
            .await
    }

    /// Waits for the end of a connection, as far as the service notices it.
    pub async fn ended(&self, connection: u64) -> Accept {
        let ended = |ledger: &Ledger| ledger.accept(connection).filter(|accept| accept.end.is_some());
        self.seen(&format!("connection {connection} ends"), ended).await
    }

    /// Lets the service close a stream in good order, once it has streamed so many records, and waits until all of it was read.
    pub async fn close(&self, stream: &str, records: usize) -> Accept {
        let accept = self.streaming(stream, records).await;
        let close = StreamFault::Close { trailer: true };
        self.simulator.fault(stream, close).expect("the stream is there");
        self.read_to_its_end(accept.connection).await
    }

    /// Waits until the daemon has read a connection to its end in good order.
    pub async fn read_to_its_end(&self, connection: u64) -> Accept {
        let clean = |ledger: &Ledger| ledger.accept(connection).filter(Accept::ended_cleanly);
        self.seen(&format!("connection {connection} is read to its end"), clean)
            .await
    }

    /// Waits until everything that the service may claim has arrived, from every stream.
    pub fn arrived(&self) {
        for stream in &self.streams {
            let owed = judge::owed(self.ledger(), &stream.name);
            self.kafka
                .consume_all(&stream.topic, |records| owed.hits_are_in(records), LIMIT);
            self.kafka
                .consume_all(&self.dead_letters, |records| owed.garbage_is_in(records), LIMIT);
        }
    }

    /// What stands in a stream's topic now.
    pub fn hits(&self, stream: &Stream) -> Vec<Record> {
        self.kafka.records(&stream.topic)
    }

    /// Judges a stream by what stands in the topics now.
    pub fn judge(&self, stream: &Stream, rules: Rules) -> Judged {
        let dead_letters = self.kafka.records(&self.dead_letters);
        judge::judge(self.ledger(), stream, rules, &self.hits(stream), &dead_letters)
    }

    /// The first thing in a text that looks like an access token of the service, or like the beginning of one.
    pub fn token_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        let token = self.simulator.issue_token();
        let (prefix, _) = token.split_at(token.find('-').expect("tokens have a prefix") + 1);
        text.match_indices(prefix).find_map(|(at, _)| {
            let digits = text[at + prefix.len()..]
                .bytes()
                .take_while(u8::is_ascii_hexdigit)
                .count();
            (digits >= 8).then(|| &text[at..at + prefix.len() + digits])
        })
    }

    /// Waits until the only stream's cursor on disk stands at the end of its journal.
    pub async fn delivered_is_noted(&self, limit: Duration) {
        let dir = self.scratch.path().join("state/journal").join(&self.stream().name);
        let deadline = tokio::time::Instant::now() + limit;
        while livestreamd::journal::inspect::inspect(&dir).is_ok_and(|journal| journal.backlog_bytes > 0) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited {limit:?} in vain for the cursor in {}",
                dir.display()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Panics if an attempt came early, by the service's clock.
    #[track_caller]
    pub fn assert_none_was_early(&self) {
        let early = self.ledger().early_accepts();
        assert!(early.is_empty(), "{early:#?}");
    }

    /// The only lease on disk, once there is one that is whole.
    pub fn lease(&self) -> Option<Value> {
        let leases = self.scratch.path().join("state/leases");
        let files: Vec<PathBuf> = std::fs::read_dir(leases)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        let [file] = files.as_slice() else { return None };
        Some(serde_json::from_slice(&std::fs::read(file).ok()?).expect("a lease is one JSON object, whole at any time"))
    }
}

fn config(
    simulator: &Running,
    kafka: &Kafka,
    dir: &Path,
    streams: &[Stream],
    dead_letters: &str,
    cooldown: Duration,
) -> String {
    let mut text = format!(
        "state_dir = {:?}\n\
         [credentials.default]\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\ntoken_url = \"{}\"\n\
         [upstream]\ncooldown = \"{}ms\"\n\
         [kafka]\nbrokers = \"{}\"\ndead_letter_topic = \"{dead_letters}\"\n\
         [dedup]\nmode = \"off\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nformat = \"json\"\n",
        path(&dir.join("state")),
        simulator.token_url(),
        cooldown.as_millis(),
        kafka.addr(),
    );
    for Stream {
        name,
        report_suite,
        topic,
    } in streams
    {
        let url = simulator.url(name);
        writeln!(
            text,
            "[streams.{name}]\nurl = \"{url}\"\nreport_suite = \"{report_suite}\"\ntopic = \"{topic}\""
        )
        .expect("text can be written to");
    }
    text
}
