//! One history: the drivers of a stream's slots, the simulator behind a bad network, a journal that is full now and then, and leases on
//! disk; what befalls them; and then calm, in which everything has to come back, and a stop.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::decode;
use super::judge::Rule;
use super::line::Record;
use super::network::{BASES, Dial, Network, TOKEN_URL};
use super::tally::Tally;
use crate::clock::{Clock, Sleep};
use crate::journal::{Batch, BatchKind, DEFAULT_CURSOR, Journal, Position};
use crate::leases::LeaseDir;
use crate::lifecycle::{BootId, Moment, State, Why};
use crate::settings::{Grant, SecretSource, StreamSettings};
use crate::simulator::{
    AttemptFault, Backfill, BodyStyle, Chaos, Handle, Ledger, LineEnd, Random, Rate, Redirect, RedirectTarget,
    SimulatedStream, Simulator, SimulatorSettings, StreamFault, TokenFault,
};
use crate::stream::{NextConnect, SharedReset, SlotDriver, StopSwitch, stop_switch};
use crate::telemetry::{Shown, StreamStatus};
use crate::upstream::{TokenSource, testing};

/// The endpoint.
pub const ENDPOINT: &str = "adobe-livestream-web";
/// What is owed after an end.
pub const COOLDOWN: Duration = Duration::from_secs(60);
/// For so long at most, and a little more, the client's close is under way to the service.
pub const NOTICE: Duration = Duration::from_secs(4);
/// Longer records are described.
pub const MAX_RECORD_BYTES: usize = 9_000;
/// For how long things go wrong.
const BAD_TIMES: Duration = Duration::from_mins(10);
/// When they go wrong no more, a slot has to stream after this at the latest: the longest wait for a silent peer is half an hour.
const PATIENCE: Duration = Duration::from_hours(1);

/// A fault of the daemon that the judge has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    ShortCooldown,
    LeaseForgotten,
    BatchDropped,
    BatchDoubled,
    BatchesSwapped,
    BytesChanged,
    CutRecordKept,
    NeverComesBack,
    LeaseLeftOpen,
}

/// What is judged.
pub struct Past {
    pub connections: Vec<Record>,
    /// What the journal was found to hold.
    pub batches: Vec<Kept>,
    pub ledger: Ledger,
    /// What went wrong on the way.
    pub troubles: Vec<(Rule, String)>,
}

/// A batch of the journal.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    pub slot: u8,
    pub kind: BatchKind,
    pub bytes: Vec<u8>,
}

struct World<'a> {
    seed: u64,
    plant: Plant,
    dir: &'a Path,
    random: Random,
    tally: Tally,
    clock: Arc<VirtualClock>,
    stream: Arc<StreamSettings>,
    simulator: Handle,
    network: Arc<Network>,
    journal: Arc<Journal>,
    /// Whether the journal is emptied.
    emptied: watch::Sender<bool>,
    status: StreamStatus,
    drivers: Vec<(StopSwitch, JoinHandle<()>)>,
    /// So many drivers were started.
    starts: u64,
    troubles: Vec<(Rule, String)>,
}

/// Lives the history of `seed`, with its leases in `dir`.
pub async fn live(seed: u64, plant: Plant, dir: &Path, tally: &Tally) -> Past {
    let mut random = Random::new(seed);
    let simulated = simulated(&mut random);
    let mut settings = stream(seed, &mut random);
    if plant == Plant::ShortCooldown {
        settings.cooldown = Duration::from_secs(55);
    }
    let simulator = Simulator::unlistened(&simulated, BASES.map(str::to_owned).to_vec());
    let network = Network::new(simulator.clone(), Random::new(random.below(u64::MAX)), tally.clone());
    let journal = Arc::new(Journal::in_memory(random.between(30_000, 200_000)));
    let slots = settings.connections;
    let (emptied, when_emptied) = watch::channel(true);
    let (heard, when_heard) = watch::channel([0; 2]);
    let emptying = tokio::spawn(empty(journal.clone(), when_emptied, heard));
    let mut world = World {
        seed,
        plant,
        dir,
        random,
        tally: tally.clone(),
        clock: Arc::new(VirtualClock {
            began: Instant::now(),
            boot: BootId::known("this"),
        }),
        status: StreamStatus::new(&settings.name, slots),
        stream: Arc::new(settings),
        simulator: simulator.clone(),
        network: Arc::new(network),
        journal: journal.clone(),
        emptied,
        drivers: Vec::new(),
        starts: 0,
        troubles: Vec::new(),
    };
    let watching: Vec<_> = world
        .status
        .slots
        .iter()
        .map(|slot| tokio::spawn(note_states(slot.watch(), tally.clone())))
        .collect();
    for slot in 0..slots {
        let driver = world.start(slot);
        world.drivers.push(driver);
    }
    world.go_through_bad_times().await;
    world.come_back(when_heard).await;
    world.stop().await;
    journal.close();
    let batches = emptying.await.unwrap();
    watching.iter().for_each(JoinHandle::abort);
    Past {
        connections: world.network.records(),
        batches: planted(plant, batches),
        ledger: simulator.ledger().clone(),
        troubles: world.troubles,
    }
}

impl World<'_> {
    fn start(&mut self, slot: u8) -> (StopSwitch, JoinHandle<()>) {
        let dial = Arc::new(Dial {
            network: self.network.clone(),
            slot,
        });
        let tokens = TokenSource::new(
            self.stream.credential.clone(),
            dial.clone(),
            self.stream.connect_timeout,
            self.stream.cooldown,
        );
        let tokens = Arc::new(tokens);
        let next = NextConnect {
            stream: self.stream.clone(),
            tokens: tokens.clone(),
        };
        let driver = SlotDriver {
            stream: self.stream.clone(),
            next: next.unchanging(),
            slot,
            connector: dial,
            tokens,
            leases: LeaseDir::open(self.dir, self.clock.clone()).unwrap(),
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            status: self.status.slots[usize::from(slot)].clone(),
            counters: self.status.counters.clone(),
            stagger: Duration::ZERO,
            jitter_seed: self.jitter_seed(slot),
            gathers_for: Duration::from_millis(20),
            reset: SharedReset::default(),
        };
        let (switch, stop) = stop_switch();
        (switch, tokio::spawn(driver.drive(stop)))
    }

    /// Another one for each history, slot and start, and the same each time that the history is lived.
    fn jitter_seed(&mut self, slot: u8) -> u64 {
        self.starts += 1;
        Random::new(self.seed ^ self.starts << 32 ^ u64::from(slot) << 56).below(u64::MAX)
    }

    async fn go_through_bad_times(&mut self) {
        let end = Instant::now() + BAD_TIMES;
        while Instant::now() < end {
            sleep(Duration::from_millis(self.random.between(100, 60_000))).await;
            match self.random.below(16) {
                0..=2 => self.spoil_attempts(),
                3 | 4 => self.spoil_tokens(),
                5 => {
                    self.tally.note("service: tokens revoked");
                    self.simulator.revoke_tokens();
                }
                6 | 7 => self.simulator.burst(ENDPOINT, self.random.between(1, 20)).unwrap(),
                8 => self.restart().await,
                9 => self.kill().await,
                10 | 11 => {
                    self.tally.note("journal: not emptied for a while");
                    self.emptied.send_replace(false);
                    sleep(Duration::from_millis(self.random.between(100, 200_000))).await;
                    self.emptied.send_replace(true);
                }
                _ => {
                    let fault = self.random.pick(&stream_faults()).unwrap().clone();
                    self.simulator.fault(ENDPOINT, fault).unwrap();
                }
            }
        }
    }

    fn spoil_attempts(&mut self) {
        let retry_after = self.random.once_in(3).then(|| self.random.between(0, 120));
        let codes = [401, 409, 429, 500, 502, 503, 504, 400, 404, 424];
        let code = *self.random.pick(&codes).unwrap();
        let fault = match self.random.below(8) {
            0 => AttemptFault::NoAnswer,
            1 => AttemptFault::HangUp,
            2 => AttemptFault::StrangeCoding,
            3 => AttemptFault::Silence,
            _ => AttemptFault::Status { code, retry_after },
        };
        let times = self.random.between(1, 3) as u32;
        self.simulator.fault(ENDPOINT, fault.times(times)).unwrap();
    }

    fn spoil_tokens(&mut self) {
        let code = *self.random.pick(&[400, 401, 429, 500, 503]).unwrap();
        let retry_after = self.random.once_in(2).then(|| self.random.between(0, 90));
        let fault = match self.random.below(4) {
            0 => TokenFault::Garbage,
            1 => TokenFault::HangUp,
            2 => TokenFault::Slow(Duration::from_millis(self.random.below(15_000))),
            _ => TokenFault::Status { code, retry_after },
        };
        self.tally.note("service: trouble with tokens");
        self.simulator.token_fault(fault, self.random.between(1, 2) as u32);
        if self.random.below(2) == 0 {
            self.simulator.revoke_tokens();
        }
    }

    /// The daemon stops in good order, and comes back some time later.
    async fn restart(&mut self) {
        self.tally.note("daemon: restarted");
        // A stop waits for room in the journal.
        self.emptied.send_replace(true);
        for (slot, (switch, task)) in std::mem::take(&mut self.drivers).into_iter().enumerate() {
            switch.stop();
            self.join(slot, task).await;
        }
        sleep(Duration::from_millis(self.random.below(100_000))).await;
        self.start_all();
    }

    /// The daemon is gone from one moment to the next, and comes back at once or later.
    async fn kill(&mut self) {
        self.tally.note("daemon: killed");
        let full = self.journal.is_full();
        for (slot, (_switch, task)) in std::mem::take(&mut self.drivers).into_iter().enumerate() {
            self.network
                .of_open(slot as u8, |record| record.killed_with_a_full_journal = full);
            task.abort();
            match task.await {
                Err(error) if error.is_panic() => self.trouble(Rule::Ends, format!("slot {slot} panicked")),
                Ok(()) | Err(_) => {}
            }
        }
        if self.random.below(2) == 0 {
            sleep(Duration::from_millis(self.random.below(100_000))).await;
        }
        self.start_all();
    }

    fn start_all(&mut self) {
        if self.plant == Plant::LeaseForgotten {
            std::fs::remove_dir_all(self.dir.join("leases")).unwrap();
        }
        self.drivers = (0..self.stream.connections).map(|slot| self.start(slot)).collect();
    }

    /// Everything goes well from now on, and so every slot has to stream before long.
    async fn come_back(&mut self, mut heard: watch::Receiver<[u64; 2]>) {
        self.network.calm();
        self.simulator.calm(ENDPOINT).unwrap();
        self.emptied.send_replace(true);
        if self.plant == Plant::NeverComesBack {
            self.network.die();
        }
        let before = *heard.borrow_and_update();
        let network = self.network.clone();
        let is_streaming = |slot: u8| {
            network.of_open(slot, |record| {
                !record.silent && decode::status(&record.read) == Some(200)
            })
        };
        for slot in 0..self.stream.connections {
            let index = usize::from(slot);
            let streams = heard.wait_for(|heard| heard[index] > before[index] && is_streaming(slot) == Some(true));
            if timeout(PATIENCE, streams).await.is_err() {
                let state = self.status.slots[index].state();
                self.trouble(
                    Rule::ComesBack,
                    format!("slot {slot} does not stream after {PATIENCE:?} of calm: {state:?}"),
                );
            }
        }
    }

    async fn stop(&mut self) {
        for (slot, (switch, task)) in std::mem::take(&mut self.drivers).into_iter().enumerate() {
            if self.plant == Plant::LeaseLeftOpen {
                task.abort();
                let _ = task.await;
                continue;
            }
            switch.stop();
            self.join(slot, task).await;
        }
        self.simulator.end_all();
        for task in self.network.serving() {
            match timeout(Duration::from_secs(30), task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.trouble(Rule::Ends, format!("the simulator: {error}")),
                Err(_) => self.trouble(Rule::Ends, "a connection of the simulator does not end".to_owned()),
            }
        }
        for file in std::fs::read_dir(self.dir.join("leases")).unwrap() {
            let lease = std::fs::read_to_string(file.unwrap().path()).unwrap();
            if !lease.contains("\"phase\":\"closed\"") {
                self.trouble(Rule::LeaseClosed, format!("after the stop there is a lease {lease}"));
            }
        }
    }

    async fn join(&mut self, slot: usize, task: JoinHandle<()>) {
        match timeout(Duration::from_secs(10), task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.trouble(Rule::Ends, format!("slot {slot}: {error}")),
            Err(_) => self.trouble(Rule::Ends, format!("slot {slot} does not stop")),
        }
    }

    fn trouble(&mut self, rule: Rule, what: String) {
        self.troubles.push((rule, what));
    }
}

/// Takes out of the journal what is in it, batch by batch, and tells how much it was by slots.
async fn empty(journal: Arc<Journal>, mut emptied: watch::Receiver<bool>, heard: watch::Sender<[u64; 2]>) -> Vec<Kept> {
    let (mut at, mut batches) = (Position(0), Vec::new());
    while let Some(batch) = journal.next(at).await {
        at = batch.end();
        let Batch { slot, kind, bytes, .. } = &*batch;
        batches.push(Kept {
            slot: *slot,
            kind: *kind,
            bytes: bytes.to_vec(),
        });
        heard.send_modify(|heard| heard[usize::from(*slot)] += 1);
        let _ = emptied.wait_for(|emptied| *emptied).await;
        journal.advance(DEFAULT_CURSOR, at);
    }
    batches
}

async fn note_states(mut states: watch::Receiver<Shown>, tally: Tally) {
    while states.changed().await.is_ok() {
        let what = match &states.borrow_and_update().state {
            State::Waiting {
                why: Why::Ended(reason),
                ..
            } => format!("ended: {}", reason.name()),
            State::Waiting {
                why: Why::Lost(lost), ..
            } => {
                let text = format!("{lost:?}");
                format!("lost: {}", text.split('(').next().unwrap_or_default())
            }
            State::Waiting {
                why: Why::Refused(refusal),
                ..
            } => format!("refused: {}", refusal.status),
            State::Waiting { why, .. } => format!("waiting: {}", why.name()),
            State::Authorizing { retry: true, .. } => "retry after a 401".to_owned(),
            other @ (State::Authorizing { .. }
            | State::Leasing { .. }
            | State::Connecting { .. }
            | State::Streaming { .. }
            | State::Stopped) => other.name().to_owned(),
        };
        tally.note(&what);
    }
}

/// What a daemon with this fault would have left in its journal.
fn planted(plant: Plant, mut batches: Vec<Kept>) -> Vec<Kept> {
    let middle = batches.len() / 2;
    if middle == 0 {
        return batches;
    }
    match plant {
        Plant::BatchDropped => drop(batches.remove(middle)),
        Plant::BatchDoubled => batches.insert(middle, batches[middle].clone()),
        Plant::BatchesSwapped => batches.swap(middle - 1, middle),
        Plant::BytesChanged => batches[middle].bytes[0] ^= 1,
        Plant::CutRecordKept => {
            let length = batches[middle].bytes.len();
            batches[middle].bytes.truncate(length - length.min(3));
        }
        Plant::Nothing
        | Plant::ShortCooldown
        | Plant::LeaseForgotten
        | Plant::NeverComesBack
        | Plant::LeaseLeftOpen => {}
    }
    batches
}

fn stream(seed: u64, random: &mut Random) -> StreamSettings {
    let api = random.pick(&["api/1", "api/1", "api/2"]).unwrap();
    let mut stream = testing::stream(&format!("{}/{api}/stream/{ENDPOINT}", BASES[0]));
    // For log lines.
    stream.name = format!("web-{seed}");
    stream.cooldown = COOLDOWN;
    stream.long_retry = Duration::from_mins(3);
    stream.stall_timeout = Duration::from_secs(random.between(30, 120));
    stream.max_record_bytes = MAX_RECORD_BYTES;
    stream.connections = if random.once_in(4) { 2 } else { 1 };
    stream.max_connections = stream.connections;
    stream.credential = testing::credential(Grant::Client {
        client_id: "client-1".to_owned(),
        client_secret: SecretSource::Inline(SecretString::from("secret")),
        scopes: vec!["openid".to_owned()],
        token_url: url::Url::parse(TOKEN_URL).unwrap(),
    });
    stream
}

fn simulated(random: &mut Random) -> SimulatorSettings {
    let redirects = random.once_in(5);
    let target = match random.below(3) {
        0 => RedirectTarget::Relative,
        1 => RedirectTarget::Same,
        _ => RedirectTarget::OtherListener,
    };
    let stream = SimulatedStream {
        rate: Rate::PerSecond(random.between(2, 15) as f64 / 100.0),
        backfill: match random.below(3) {
            0 => Backfill::NOTHING,
            1 => Backfill::both(4),
            _ => Backfill {
                repeat_last: 2,
                missed_within: None,
            },
        },
        body: BodyStyle {
            chunked: !random.once_in(5),
            line_end: *random.pick(&[LineEnd::CrLf, LineEnd::Lf, LineEnd::Mixed]).unwrap(),
            empty_every: random.below(8) as u32,
            member_every: random.below(6) as u32,
            batch: random.between(1, 8) as u32,
        },
        redirect: redirects.then(|| Redirect {
            status: *random.pick(&[301, 302, 307, 308]).unwrap(),
            hops: Some(random.between(1, 3) as u8),
            target,
        }),
        ends_with_token: random.once_in(6),
        chaos: Some(Chaos {
            mean_interval: Duration::from_secs(random.between(40, 300)),
            faults: stream_faults(),
        }),
        ..SimulatedStream::new(ENDPOINT)
    };
    let mut settings = SimulatorSettings::with_stream(stream);
    settings.seed = random.below(u64::MAX);
    settings.tokens.lifetime = Duration::from_secs(random.between(100, 2_000));
    settings.notice = NOTICE;
    settings
}

fn stream_faults() -> Vec<StreamFault> {
    let mut faults = StreamFault::usual();
    faults.extend([
        StreamFault::Oversized { bytes: 12_000 },
        StreamFault::Stall {
            lasts: Some(Duration::from_secs(100)),
        },
        StreamFault::Stall { lasts: None },
        StreamFault::Slow {
            records: 1,
            pause: Duration::from_millis(3),
        },
    ]);
    faults
}

/// tokio's clock, which stands still unless everybody waits.
struct VirtualClock {
    began: Instant,
    boot: BootId,
}

impl Clock for VirtualClock {
    fn now(&self) -> Moment {
        Moment::from_secs(1_000_000) + self.began.elapsed()
    }

    fn boot(&self) -> &BootId {
        &self.boot
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now().0
    }

    fn sleep_until(&self, at: Moment) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(at.since(self.now())))
    }
}
