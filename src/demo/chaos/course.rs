//! The course of a chaotic run: when the daemon is killed and started again, and when Kafka goes and comes back.
//!
//! Moments are drawn from a shuffled bag, so that each kind comes once before any comes twice. How long things take on a busy machine
//! is not in our hands: the same seed draws the same moments, and not the same microseconds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::child::Child;
use super::kafka::{KafkaSwitch, Leaving};
use super::report::{Progress, Tally};
use super::{COOLDOWN, STREAMS};
use crate::demo::reader::Reader;
use crate::simulator::{Accept, AttemptFault, EndedBy, Ledger, Random, Rate, Running, StreamFault, TokenFault};
use crate::stream::Stop;

/// How long to wait for the daemon to connect: some cooldowns.
const LONGEST_TO_STREAM: Duration = Duration::from_secs(12);
/// How long the daemon may take to end in good order: more than its `shutdown_timeout`.
const LONGEST_STOP: Duration = Duration::from_secs(20);
/// A service that ends a connection waits so long for the client to close; after that, whether the client read everything shows in Kafka
/// alone, and it may take its time.
const UNSETTLED: Duration = Duration::from_secs(10);
/// A daemon that is younger has just started.
const YOUNG: Duration = Duration::from_millis(250);
/// How long a stream must have sent nothing to have sent all.
const QUIET: Duration = Duration::from_millis(500);
/// How long it may take, from the last kill, until the streams are read to their end.
const LONGEST_END: Duration = Duration::from_secs(60);
/// When nothing has arrived in Kafka for so long, which is there, nothing more will: clients find it again sooner.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// When the daemon is ended next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    JustStarted,
    Connecting,
    Streaming,
    /// Some seconds and faults after it began to stream.
    LongLife,
    CoolingDown,
    KafkaAway,
    /// In good order, while it streams.
    Terminate,
}

const BAG: [Target; 8] = [
    Target::JustStarted,
    Target::Connecting,
    Target::Streaming,
    Target::Streaming,
    Target::LongLife,
    Target::CoolingDown,
    Target::KafkaAway,
    Target::Terminate,
];

/// A run on its way.
pub(super) struct Course<'a, 's> {
    pub(super) simulator: &'a Running,
    pub(super) reader: &'a Reader,
    pub(super) tally: Tally,
    /// Connections that were, or may have been, the daemon's when it was ended.
    pub(super) killed: HashSet<u64>,
    switch: Option<&'s mut (dyn KafkaSwitch + 's)>,
    paths: Paths,
    random: Random,
    progress: Progress,
    began: Instant,
    /// Ends the chaos; nothing, once that is over.
    stop: Option<Stop>,
    daemon: Option<Child>,
    daemon_began: Instant,
    /// Connections up to this one are no longer a living daemon's.
    past: u64,
    /// When Kafka comes back, while it is away.
    back_at: Option<Instant>,
}

/// What the daemon is started with.
pub(super) struct Paths {
    pub(super) program: PathBuf,
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
}

impl<'a, 's> Course<'a, 's> {
    pub(super) fn new(
        simulator: &'a Running,
        reader: &'a Reader,
        switch: Option<&'s mut (dyn KafkaSwitch + 's)>,
        paths: Paths,
        seed: u64,
        progress: Progress,
        stop: Stop,
    ) -> Self {
        Self {
            simulator,
            reader,
            tally: Tally::default(),
            killed: HashSet::new(),
            switch,
            paths,
            random: Random::new(seed),
            progress,
            began: Instant::now(),
            stop: Some(stop),
            daemon: None,
            daemon_began: Instant::now(),
            past: 0,
            back_at: None,
        }
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Where the daemon's log is.
    pub(super) fn log(&self) -> &Path {
        &self.paths.log
    }

    /// Kills and starts, until so much time has passed and so many kills and outages were had, or until it is told to stop.
    pub(super) async fn run(&mut self, duration: Duration, kills: u32, outages: u32) -> anyhow::Result<()> {
        let mut bag = Vec::new();
        loop {
            let enough = self.tally.kills >= kills && (self.tally.outages() >= outages || self.switch.is_none());
            if self.is_told() || (enough && self.elapsed() >= duration) {
                return Ok(());
            }
            let Some(target) = bag.pop() else {
                bag = self.shuffled();
                continue;
            };
            self.start_daemon()?;
            self.wait_for(target).await?;
            if self.is_told() {
                return Ok(());
            }
            if target == Target::Terminate {
                self.end_daemon(Signal::TERM).await?;
            } else {
                self.end_daemon(Signal::KILL).await?;
            }
            // Sometimes at once, as a service manager would, and sometimes not.
            let rest = self.between(0, 300);
            sleep(rest).await;
        }
    }

    /// Lets the service and Kafka behave, brings in what is still under way, and ends the daemon in good order.
    pub(super) async fn calm_down(&mut self) -> anyhow::Result<()> {
        self.stop = None;
        let deadline = Instant::now() + LONGEST_END;
        for stream in STREAMS {
            self.simulator.calm(stream)?;
        }
        self.kafka_comes_back()?;
        if self.daemon.is_none() {
            self.start_daemon()?;
        }
        for stream in STREAMS {
            let left = deadline.saturating_duration_since(Instant::now());
            // And something has come by it, so that there is something to judge however soon the end came.
            let moves = |accept: &Accept| accept.is_streaming() && accept.whole > 0;
            let streams = |ledger: &Ledger| ledger.last_of(stream).filter(moves);
            let Some(open) = self.within(left, streams).await? else {
                self.tally
                    .unfinished(format!("{stream}: the daemon did not connect in the end"));
                continue;
            };
            self.simulator.set_rate(stream, Rate::Silent)?;
            let number = open.connection;
            let mut before = None;
            loop {
                let open = self.simulator.ledger().accept(number);
                let sent = open.map(|open| (open.records, open.whole));
                if sent == before && sent.is_some_and(|(records, whole)| records == whole) {
                    break;
                }
                if Instant::now() > deadline {
                    self.tally
                        .unfinished(format!("{stream}: the daemon did not read to the end"));
                    break;
                }
                before = sent;
                self.pause(QUIET).await?;
            }
            self.simulator.fault(stream, StreamFault::Close { trailer: true })?;
            let left = deadline.saturating_duration_since(Instant::now());
            let closed = move |ledger: &Ledger| ledger.accept(number)?.end?.taken;
            if self.within(left, closed).await?.is_none() {
                self.tally
                    .unfinished(format!("{stream}: the daemon did not read to the end"));
            }
        }
        Ok(())
    }

    /// Waits until `all_in`, as long as anything arrives.
    pub(super) async fn wait_until_all_in(&mut self, all_in: impl Fn(&Reader) -> bool) -> anyhow::Result<()> {
        let (mut arrived, mut since) = (0, Instant::now());
        while !all_in(self.reader) {
            let before = std::mem::replace(&mut arrived, self.reader.total());
            if arrived > before {
                since = Instant::now();
            }
            if since.elapsed() > LONGEST_STANDSTILL {
                let secs = LONGEST_STANDSTILL.as_secs();
                self.tally.unfinished(format!(
                    "not all that is owed had arrived when nothing had come for {secs} s"
                ));
                return Ok(());
            }
            self.pause(LOOK).await?;
        }
        Ok(())
    }

    /// Ends the daemon in good order, for good.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        if self.daemon.is_some() {
            let code = self.end_daemon(Signal::TERM).await?;
            if code != 0 {
                self.tally
                    .unfinished(format!("the last daemon's exit code was {code}, with Kafka there"));
            }
        }
        self.progress.end();
        Ok(())
    }

    /// Whether the chaos is to end.
    fn is_told(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::is_requested)
    }

    fn shuffled(&mut self) -> Vec<Target> {
        let mut bag = BAG.to_vec();
        for last in (1..bag.len()).rev() {
            bag.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        bag
    }

    /// A random time, in milliseconds.
    fn between(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.random.between(low, high))
    }

    fn a_stream(&mut self) -> &'static str {
        self.random.pick(&STREAMS).copied().unwrap_or("web")
    }

    /// Lets the moment come at which the daemon is to be ended. It comes at last, even if what was waited for does not.
    async fn wait_for(&mut self, target: Target) -> anyhow::Result<()> {
        match target {
            Target::JustStarted => {
                let age = self.between(0, 200);
                self.pause(age).await
            }
            Target::Connecting => {
                let stream = self.a_stream();
                self.simulator.fault(stream, AttemptFault::NoAnswer)?;
                let connects = |ledger: &Ledger| ledger.last_of(stream).filter(is_connecting);
                self.within(LONGEST_TO_STREAM, connects).await?;
                let more = self.between(0, 300);
                self.pause(more).await
            }
            Target::Streaming | Target::Terminate => {
                self.wait_for_a_stream().await?;
                let more = self.between(0, 1500);
                self.pause(more).await
            }
            Target::LongLife => {
                self.wait_for_a_stream().await?;
                let stream = self.a_stream();
                self.simulator.burst(stream, self.random.below(4_000))?;
                let refusals = [
                    AttemptFault::status(503),
                    AttemptFault::status(409),
                    AttemptFault::status(401),
                    AttemptFault::HangUp,
                ];
                if let Some(refusal) = self.random.pick(&refusals) {
                    self.simulator.fault(stream, refusal.clone())?;
                }
                if self.random.once_in(2) {
                    let trouble = TokenFault::Status {
                        code: 500,
                        retry_after: None,
                    };
                    self.simulator.token_fault(trouble, 1);
                }
                let more = self.between(3_000, 7_000);
                self.pause(more).await
            }
            Target::CoolingDown => {
                if self.random.once_in(2) {
                    self.wait_for_a_stream().await?;
                    for stream in STREAMS {
                        self.simulator.fault(stream, StreamFault::Close { trailer: true })?;
                    }
                    let ended = |ledger: &Ledger| {
                        let mut last = STREAMS.iter().map(|stream| ledger.last_of(stream));
                        last.all(|last| last.is_some_and(|last| last.end.is_some()))
                            .then_some(())
                    };
                    self.within(COOLDOWN / 2, ended).await?;
                }
                let more = self.between(YOUNG.as_millis() as u64, COOLDOWN.as_millis() as u64 * 3 / 4);
                self.pause(more).await
            }
            Target::KafkaAway => {
                self.wait_for_a_stream().await?;
                self.kafka_goes_away()?;
                let more = self.between(100, 1500);
                self.pause(more).await
            }
        }
    }

    async fn wait_for_a_stream(&mut self) -> anyhow::Result<()> {
        let streams = |ledger: &Ledger| {
            let mut last = STREAMS.iter().filter_map(|stream| ledger.last_of(stream));
            last.any(|last| last.is_streaming()).then_some(())
        };
        self.within(LONGEST_TO_STREAM, streams).await.map(|_| ())
    }

    async fn pause(&mut self, duration: Duration) -> anyhow::Result<()> {
        self.within(duration, |_| None::<()>).await.map(|_| ())
    }

    /// Waits until the ledger shows what is looked for, so long at the most. Meanwhile Kafka comes back when it is time, and a daemon that
    /// ended by itself is noted and started again. A word to stop ends it, too.
    async fn within<T>(
        &mut self,
        limit: Duration,
        seen: impl FnMut(&Ledger) -> Option<T>,
    ) -> anyhow::Result<Option<T>> {
        let deadline = Instant::now() + limit;
        let ledger = self.simulator.ledger().clone();
        let mut seen = std::pin::pin!(ledger.wait_until(seen));
        loop {
            let wake = [Some(deadline), self.back_at, self.progress.next()]
                .into_iter()
                .flatten()
                .min();
            let code = tokio::select! {
                found = &mut seen => return Ok(Some(found)),
                () = told(self.stop.as_ref()) => return Ok(None),
                code = ended(self.daemon.as_ref()) => Some(code),
                () = sleep_until(wake.unwrap_or(deadline)) => None,
            };
            if let Some(code) = code {
                self.tally.unasked(format!(
                    "after {:.1} s the daemon ended by itself, with exit code {code}",
                    self.elapsed().as_secs_f64()
                ));
                self.daemon = None;
                self.start_daemon()?;
            }
            if self.back_at.is_some_and(|at| at <= Instant::now()) {
                self.kafka_comes_back()?;
            }
            self.progress.show(self.began, &self.tally, self.simulator, self.reader);
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    fn kafka_goes_away(&mut self) -> anyhow::Result<()> {
        if self.back_at.is_some() {
            return Ok(());
        }
        let away = self.between(500, 5_000);
        let how = *self
            .random
            .pick(&[Leaving::Stopped, Leaving::Killed])
            .unwrap_or(&Leaving::Killed);
        let Some(switch) = &mut self.switch else {
            return Ok(());
        };
        switch.go_away(how)?;
        match how {
            Leaving::Stopped => self.tally.kafka_stopped += 1,
            Leaving::Killed => self.tally.kafka_killed += 1,
        }
        self.back_at = Some(Instant::now() + away);
        Ok(())
    }

    fn kafka_comes_back(&mut self) -> anyhow::Result<()> {
        if self.back_at.take().is_some()
            && let Some(switch) = &mut self.switch
        {
            switch.come_back()?;
        }
        Ok(())
    }

    fn start_daemon(&mut self) -> anyhow::Result<()> {
        if self.daemon.is_some() {
            return Ok(());
        }
        // Whatever came until now came from the daemon that is gone, even if it was seen late.
        while self.simulator.ledger().accept(self.past + 1).is_some() {
            self.past += 1;
            self.killed.insert(self.past);
        }
        let Paths { program, config, log } = &self.paths;
        let child = Child::start(program, config, log);
        self.daemon = Some(child.with_context(|| format!("cannot start {}", program.display()))?);
        self.daemon_began = Instant::now();
        self.tally.starts += 1;
        Ok(())
    }

    /// Ends the daemon, and notes what it was doing. Returns its exit code.
    async fn end_daemon(&mut self, signal: Signal) -> anyhow::Result<i32> {
        let Some(child) = self.daemon.take() else {
            return Ok(0);
        };
        // Before the signal: what was settled by now the daemon has had time for.
        let now = self.simulator.ledger().now();
        while let Some(accept) = self.simulator.ledger().accept(self.past + 1) {
            self.past += 1;
            if !is_settled(&accept, now) {
                self.killed.insert(self.past);
            }
        }
        let last: Vec<Accept> = STREAMS
            .iter()
            .filter_map(|stream| self.simulator.ledger().last_of(stream))
            .collect();
        let young = self.daemon_began.elapsed() < YOUNG;
        child.signal(signal).context("cannot signal the daemon")?;
        let code = if let Ok(code) = timeout(LONGEST_STOP, child.ended()).await {
            code
        } else {
            self.tally.unasked(format!(
                "the daemon did not end within {} s of {signal:?}",
                LONGEST_STOP.as_secs()
            ));
            child.signal(Signal::KILL).context("cannot kill the daemon")?;
            child.ended().await
        };
        if signal == Signal::KILL {
            self.tally.kills += 1;
            self.tally.just_started += u32::from(young);
            self.tally.streaming += u32::from(last.iter().any(Accept::is_streaming));
            self.tally.connecting += u32::from(last.iter().any(is_connecting));
            self.tally.cooling_down += u32::from(!young && last.iter().any(|last| last.end.is_some()));
            self.tally.kafka_away += u32::from(self.back_at.is_some());
        } else {
            self.tally.terminated += 1;
        }
        Ok(code)
    }
}

/// Whether a request is under way that is not answered yet.
fn is_connecting(accept: &Accept) -> bool {
    accept.status.is_none() && accept.end.is_none()
}

/// Whether the client has had its time for all of a connection that has ended.
fn is_settled(accept: &Accept, now: Duration) -> bool {
    let Some(end) = &accept.end else { return false };
    match end.by {
        EndedBy::Client | EndedBy::Refusal | EndedBy::Redirect => true,
        EndedBy::Fault(_) | EndedBy::Total | EndedBy::Token | EndedBy::Stop => {
            end.taken == Some(true) || (end.taken == Some(false) && end.at + UNSETTLED < now)
        }
    }
}

async fn told(stop: Option<&Stop>) {
    match stop {
        Some(stop) => stop.requested().await,
        None => std::future::pending().await,
    }
}

async fn ended(daemon: Option<&Child>) -> i32 {
    match daemon {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}
