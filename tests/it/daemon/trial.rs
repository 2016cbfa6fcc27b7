//! One run of the daemon, set up in a line or two, and how tests wait for what it does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use livestreamd::app::{Daemon, JournalsKept};
use livestreamd::clock::{Clock as _, SystemClock};
use livestreamd::lifecycle::{Policy, ResetTo, State, Why};
use livestreamd::service_manager::ServiceManager;
use livestreamd::settings::{Format, load_str};
use livestreamd::simulator::{
    Accept, BodyStyle, End, EndedBy, Handle, Rate, Running, SimulatedStream, Simulator, SimulatorSettings,
};
use livestreamd::status;
use livestreamd::supervisor::Leftover;
use livestreamd::telemetry::StreamStatus;
use livestreamd::telemetry::counters::StreamSnapshot;
use livestreamd::upstream::Dialer;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::judge::Arrived;
use crate::support::kafka::{self, Kafka};
use crate::support::logs;

/// The cooldown of most tests.
pub const COOLDOWN: Duration = Duration::from_secs(1);
/// The long retry of most tests: told apart from the cooldown, jitter and all.
pub const LONG_RETRY: Duration = Duration::from_secs(3);
/// By how much later than us the simulator may notice that we have closed.
const NOTICE: Duration = Duration::from_millis(250);
/// Nothing that is waited for takes longer, even on a machine that does much else.
pub const LIMIT: Duration = Duration::from_secs(90);

/// A configuration in the making: lines of TOML by section.
pub struct Config {
    /// What stands before the first section.
    pub top: String,
    /// `[upstream]`.
    pub upstream: String,
    /// `[kafka.properties]`.
    pub properties: String,
    /// Whole sections.
    pub sections: String,
    /// `kafka.brokers`, if not those that the test itself asks.
    pub brokers: Option<String>,
    /// Authorities that the daemon trusts.
    pub roots: Vec<CertificateDer<'static>>,
    kafka: Kafka,
    topic: String,
    dead_letters: String,
}

impl Config {
    /// For the broker that all tests share, with topics of this test's own.
    pub async fn new() -> Self {
        let kafka = blocking(kafka::shared).await.clone();
        Self::on(kafka).await
    }

    /// The same on another broker.
    pub async fn on(kafka: Kafka) -> Self {
        let at = kafka.clone();
        let (topic, dead_letters) =
            blocking(move || (at.fresh_topic("hits", 3), at.fresh_topic("dead-letters", 1))).await;
        Self::with_topics(kafka, topic, dead_letters)
    }

    /// The same, with topics that the test makes or does not make.
    pub fn with_topics(kafka: Kafka, topic: String, dead_letters: String) -> Self {
        Self {
            top: "shutdown_timeout = \"30s\"\n".to_owned(),
            upstream: format!(
                "cooldown = \"{COOLDOWN:?}\"\nlong_retry = \"{LONG_RETRY:?}\"\nconnect_timeout = \"5s\"\n"
            ),
            properties: "\"linger.ms\" = 20\n".to_owned(),
            sections: String::new(),
            brokers: None,
            roots: Vec::new(),
            kafka,
            topic,
            dead_letters,
        }
    }

    /// Adds the stream that the simulator has under this name, with a credential of its own.
    pub fn stream(&mut self, simulator: &Handle, name: &str) {
        self.stream_at(name, &simulator.url(name), &simulator.token_url(), "");
    }

    /// Adds a stream with lines of its own, and with a credential of its own.
    pub fn stream_at(&mut self, name: &str, url: &str, token_url: &str, lines: &str) {
        let credential = format!("client_id = \"client\"\nclient_secret = \"{SECRET}\"\ntoken_url = \"{token_url}\"");
        self.stream_as(name, url, &credential, lines);
    }

    /// Adds a stream with lines of its own, and these lines for its credential.
    pub fn stream_as(&mut self, name: &str, url: &str, credential: &str, lines: &str) {
        writeln!(
            self.sections,
            "[credentials.{name}]\n{credential}\n[streams.{name}]\nurl = \"{url}\"\ncredentials = \"{name}\"\n{lines}"
        )
        .unwrap();
    }

    /// Starts the daemon.
    pub async fn start(self) -> Trial {
        self.start_resetting(BTreeMap::new()).await
    }

    /// The same with resets on purpose, by the names of streams.
    pub async fn start_resetting(self, resets: BTreeMap<String, ResetTo>) -> Trial {
        logs::keep();
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "state_dir = \"{}\"\n{}[upstream]\n{}[kafka]\nbrokers = \"{}\"\ntopic = \"{}\"\ndead_letter_topic = \"{}\"\n\
             [kafka.properties]\n{}[admin]\nlisten = \"off\"\n{}",
            dir.path().join("state").display(),
            self.top,
            self.upstream,
            self.brokers.as_deref().unwrap_or_else(|| self.kafka.addr()),
            self.topic,
            self.dead_letters,
            self.properties,
            self.sections,
        );
        let loaded = load_str(&text, Format::Toml, [], dir.path());
        let settings = loaded.unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).settings;
        let dialer = Dialer::new(&settings.tls, self.roots).through(settings.proxy.clone());
        let daemon = Daemon::start_for(ServiceManager::none(), settings, dialer, resets, JournalsKept::OnDisk)
            .await
            .unwrap();
        Trial {
            daemon,
            kafka: self.kafka,
            topic: self.topic,
            dead_letters: self.dead_letters,
            dir,
        }
    }
}

/// The client secret of every credential: no log line may hold it.
pub const SECRET: &str = "swordfish-of-the-client";

/// A running daemon and the topics that it fills.
pub struct Trial {
    daemon: Daemon,
    kafka: Kafka,
    topic: String,
    dead_letters: String,
    dir: TempDir,
}

impl Trial {
    /// What the daemon shows of a stream.
    pub fn stream(&self, name: &str) -> Observed {
        let status = self.daemon.statuses().into_iter().find(|status| &*status.name == name);
        Observed(status.unwrap_or_else(|| panic!("there is no stream {name}")))
    }

    /// Waits for a status as wanted to be posted.
    pub async fn posted(&self, what: &str, mut wanted: impl FnMut(&status::Daemon) -> bool) -> Arc<status::Daemon> {
        let mut watch = self.daemon.board().watch();
        let post = within(what, watch.wait_for(|post| wanted(&post.daemon))).await;
        post.unwrap().daemon.clone()
    }

    /// The files in the daemon's quarantine, in the order of their names.
    pub fn quarantined(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("state/quarantine")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Stops the daemon.
    pub async fn stop(self) -> (Leftover, Topics) {
        let Self {
            daemon,
            kafka,
            topic,
            dead_letters,
            dir,
        } = self;
        let ended = daemon.stop().await;
        assert!(ended.durable, "the journal is on disk");
        drop(dir);
        assert_eq!(logs::lines_with(&[SECRET]), Vec::<String>::new(), "a secret was logged");
        (
            ended.leftover,
            Topics {
                kafka,
                topic,
                dead_letters,
            },
        )
    }

    /// Stops the daemon, which must leave nothing behind, and reads what has arrived.
    pub async fn finish(self) -> Arrived {
        let (leftover, topics) = self.stop().await;
        assert_eq!(leftover, Leftover::default());
        topics.read().await
    }
}

/// The topics of a daemon that was stopped.
pub struct Topics {
    kafka: Kafka,
    topic: String,
    dead_letters: String,
}

impl Topics {
    /// Reads them.
    pub async fn read(self) -> Arrived {
        let Self {
            kafka,
            topic,
            dead_letters,
        } = self;
        blocking(move || Arrived {
            hits: kafka.records(&topic),
            dead_letters: kafka.records(&dead_letters),
        })
        .await
    }
}

/// What the daemon shows of one stream.
#[derive(Clone)]
pub struct Observed(StreamStatus);

impl Observed {
    /// Waits until a slot's state is as wanted.
    pub async fn slot(&self, slot: usize, what: &str, mut wanted: impl FnMut(&State) -> bool) -> State {
        let mut watch = self.0.slots[slot].watch();
        let what = format!("{} slot {slot}: {what}", self.0.name);
        within(&what, watch.wait_for(|shown| wanted(&shown.state)))
            .await
            .unwrap()
            .state
            .clone()
    }

    /// Waits until the first slot streams.
    pub async fn streams(&self) {
        self.slot(0, "streams", |state| matches!(state, State::Streaming { .. }))
            .await;
    }

    /// Waits until the first slot waits for another reason than that it starts; tells the reason and how long there is left. The
    /// wait was ordered to be at least so long.
    pub async fn waits(&self) -> (Why, Duration) {
        let waits = |state: &State| matches!(state, State::Waiting { why, .. } if *why != Why::Start);
        let State::Waiting { until, why } = self.slot(0, "waits", waits).await else {
            unreachable!()
        };
        (why, until.since(SystemClock::new().now()))
    }

    /// What the first slot does now.
    pub fn state(&self) -> State {
        self.0.slots[0].state()
    }

    /// What was counted.
    pub fn counts(&self) -> StreamSnapshot {
        self.0.counters.snapshot()
    }

    /// Waits until what was counted is as wanted.
    pub async fn counted(&self, what: &str, wanted: impl Fn(&StreamSnapshot) -> bool) -> StreamSnapshot {
        eventually(&format!("{}: {what}", self.0.name), || {
            let counts = self.counts();
            if wanted(&counts) {
                Ok(counts)
            } else {
                Err(Box::new(counts))
            }
        })
        .await
    }

    /// Waits until so many hits have come, counted from the start.
    pub async fn has_hits(&self, hits: u64) {
        self.counted(&format!("{hits} hits have come"), |counts| counts.hits >= hits)
            .await;
    }

    /// Waits until all that has come is delivered.
    pub async fn has_delivered(&self) {
        self.counted("all is delivered", |counts| {
            counts.delivered == counts.hits + counts.dead_letters.total()
        })
        .await;
    }
}

/// A stream that makes hits on command only, and no empty records.
pub fn quiet(name: &str) -> SimulatedStream {
    SimulatedStream {
        rate: Rate::Silent,
        visitors: 16,
        body: BodyStyle {
            empty_every: 0,
            ..BodyStyle::default()
        },
        ..SimulatedStream::new(name)
    }
}

/// Starts a simulator with these streams and the cooldown of most tests.
pub async fn simulate(streams: impl IntoIterator<Item = SimulatedStream>) -> Running {
    let settings = SimulatorSettings {
        streams: streams.into_iter().collect(),
        ..SimulatorSettings::default()
    };
    Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap()
}

/// Waits for the attempt with this number on a stream, counted from 0, until it is answered or ended.
pub async fn attempt(simulator: &Handle, stream: &str, number: usize) -> Accept {
    let what = format!("attempt {number} on {stream}");
    // The end of a refusal is noted a moment before its status.
    let unanswered = |end: &End| matches!(end.by, EndedBy::Client | EndedBy::Fault(_) | EndedBy::Stop);
    let answered = |accept: &Accept| accept.status.is_some() || accept.end.as_ref().is_some_and(unanswered);
    let ledger = simulator.ledger();
    within(
        &what,
        ledger.wait_until(|ledger| ledger.accepts_of(stream).into_iter().nth(number).filter(answered)),
    )
    .await
}

/// An attempt that came in its time: not before the wait was over, by the simulator's clock, and not long after.
#[track_caller]
pub fn assert_waited(accept: &Accept, wait: Duration) {
    let waited = accept
        .waited
        .unwrap_or_else(|| panic!("it follows nothing: {accept:?}"));
    assert!(
        !accept.early && waited >= wait,
        "came after {waited:?}, not {wait:?}: {accept:?}"
    );
    // What is ordered is checked by `assert_ordered`, to the millisecond; this is for a timer that does not fire.
    let late = wait + Policy::jitter_limit(wait) + Duration::from_secs(10);
    assert!(waited < late, "came after {waited:?}, long after {wait:?}: {accept:?}");
}

/// The same after an end that we made, which the simulator may have noticed a little late.
#[track_caller]
pub fn assert_waited_after_our_end(accept: &Accept, wait: Duration) {
    assert_waited(accept, wait.saturating_sub(NOTICE));
}

/// What was left of a wait when it was first seen is not more than this wait and its jitter.
#[track_caller]
pub fn assert_ordered(left: Duration, wait: Duration) {
    assert!(
        left <= wait + Policy::jitter_limit(wait),
        "{left:?} are left of {wait:?}"
    );
}

/// Waits for `future`, and no longer than [`LIMIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(LIMIT, future).await;
    ended.unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain until {what}"))
}

/// Looks again and again, for what has no wake-up to offer.
pub async fn eventually<T, E: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(seen) => assert!(
                tokio::time::Instant::now() < deadline,
                "waited {LIMIT:?} in vain until {what}: {seen:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs what blocks where it may.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Runs all cases at once, each as a task, and fails if one of them does; then it says how many failed.
pub async fn all_at_once<F>(cases: impl IntoIterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running: JoinSet<()> = cases.into_iter().collect();
    let all = running.len();
    let mut failed = 0;
    while let Some(ended) = running.join_next().await {
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "of {all} cases, each of which has said why above");
}
