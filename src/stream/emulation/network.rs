//! Connects: which are refused, hang or succeed, and what the connections are like.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::line::{Line, Loss, Nature, Record, Wire};
use super::tally::Tally;
use crate::simulator::{Handle, Random};
use crate::upstream::{ConnectError, Connector, Target};

/// Where tokens come from.
pub const TOKEN_URL: &str = "https://ims.example/ims/token/v3";
/// Where the stream is, and where a redirect may lead.
pub const BASES: [&str; 2] = ["https://livestream.adobe.net", "https://edge.adobe.io"];

/// The network of one history.
pub struct Network {
    simulator: Handle,
    tally: Tally,
    state: Mutex<State>,
    /// Told when a connection is made.
    pub connected: Notify,
}

struct State {
    random: Random,
    calm: bool,
    /// Nobody is reached.
    dead: bool,
    lines: Vec<Arc<Mutex<Line>>>,
    serving: Vec<JoinHandle<()>>,
}

/// One slot's way to the network.
pub struct Dial {
    pub network: Arc<Network>,
    pub slot: u8,
}

enum Fate {
    Made(Nature, Duration),
    Refused(Duration),
    Hangs,
}

impl Network {
    pub fn new(simulator: Handle, random: Random, tally: Tally) -> Self {
        let state = State {
            random,
            calm: false,
            dead: false,
            lines: Vec::new(),
            serving: Vec::new(),
        };
        Self {
            simulator,
            tally,
            state: Mutex::new(state),
            connected: Notify::new(),
        }
    }

    /// From now on nothing is lost by itself, and every connect succeeds.
    pub fn calm(&self) {
        let mut state = self.state.lock().unwrap();
        state.calm = true;
        for line in &state.lines {
            line.lock().unwrap().calm();
        }
    }

    /// From now on no connect succeeds.
    pub fn die(&self) {
        self.state.lock().unwrap().dead = true;
    }

    /// What is known of every connection, in the order in which they were made.
    pub fn records(&self) -> Vec<Record> {
        let state = self.state.lock().unwrap();
        state
            .lines
            .iter()
            .map(|line| line.lock().unwrap().record.clone())
            .collect()
    }

    /// Looks at the last connection of a slot to the stream, while it is open.
    pub fn of_open<T>(&self, slot: u8, look: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let state = self.state.lock().unwrap();
        let mut lines = state.lines.iter().rev().map(|line| line.lock().unwrap());
        let mut line = lines.find(|line| line.record.slot == Some(slot))?;
        line.record.closed.is_none().then(|| look(&mut line.record))
    }

    /// The tasks of the service's side.
    pub fn serving(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.state.lock().unwrap().serving)
    }

    fn fate(&self) -> Fate {
        let mut state = self.state.lock().unwrap();
        let State { random, calm, dead, .. } = &mut *state;
        let soon = Duration::from_millis(random.below(300));
        if *dead {
            return Fate::Refused(soon);
        }
        let mut nature = Nature {
            delay: Duration::from_millis(random.below(150)),
            slow_head: Duration::ZERO,
            window: 65_536,
            lost_after_bytes: None,
            lost_after: None,
        };
        if *calm {
            return Fate::Made(nature, soon);
        }
        if random.once_in(14) {
            self.tally.note("network: connect refused");
            return Fate::Refused(Duration::from_millis(random.below(5_000)));
        }
        if random.once_in(25) {
            self.tally.note("network: connect hangs");
            return Fate::Hangs;
        }
        if random.once_in(4) {
            nature.window = random.between(1, 4_000) as usize;
        }
        if random.once_in(12) {
            nature.slow_head = Duration::from_millis(random.below(15_000));
            self.tally.note("network: slow head");
        }
        let loss = *random.pick(&[Loss::Reset, Loss::Close, Loss::Silence]).unwrap();
        match random.below(5) {
            // In the head, at its end, or in the first hits.
            0 => nature.lost_after_bytes = Some((random.between(1, 400) as usize, loss)),
            1 => nature.lost_after_bytes = Some((random.between(1, 30_000) as usize, loss)),
            2 => nature.lost_after = Some((Duration::from_millis(random.below(200_000)), loss)),
            _ => {}
        }
        Fate::Made(nature, soon)
    }

    fn make(&self, slot: u8, asked: Instant, target: &Target, nature: Nature) -> Wire {
        let mut state = self.state.lock().unwrap();
        let host = target.host.to_string();
        let record = Record {
            slot: (host != "ims.example").then_some(slot),
            asked,
            accepted: self.simulator.ledger().now(),
            wrote: Vec::new(),
            read: Vec::new(),
            closed: None,
            silent: false,
            killed_with_a_full_journal: false,
        };
        let random = Random::new(state.random.below(u64::MAX));
        let (line, wire, end) = Line::open(nature, random, self.tally.clone(), record);
        state.lines.push(line);
        let (simulator, listener) = (self.simulator.clone(), usize::from(host == "edge.adobe.io"));
        let serve = async move { simulator.serve(listener, Box::new(end)).await };
        state.serving.push(tokio::spawn(serve));
        self.connected.notify_waiters();
        wire
    }
}

impl Connector for Dial {
    type Io = Wire;

    async fn connect(&self, target: &Target, _: Duration) -> Result<Wire, ConnectError> {
        let asked = Instant::now();
        match self.network.fate() {
            Fate::Made(nature, after) => {
                sleep(after).await;
                Ok(self.network.make(self.slot, asked, target, nature))
            }
            Fate::Refused(after) => {
                sleep(after).await;
                Err(ConnectError("no route".to_owned()))
            }
            Fate::Hangs => std::future::pending().await,
        }
    }
}
