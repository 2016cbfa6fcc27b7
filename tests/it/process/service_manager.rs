//! What systemd is told, by the protocol of `sd_notify(3)`: here the test is the service manager. How systemd itself takes it is tested in a
//! booted one (tests/delivery/systemd).

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use livestreamd::simulator::{SimulatedStream, SimulatorSettings, StreamFault};
use rustix::process::Signal;

use super::child::{LIMIT, Livestreamd, Scratch};
use super::trial::Trial;

const COOLDOWN: Duration = Duration::from_secs(3);

/// A service manager that listens, and remembers what it was told.
struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
    told: Vec<BTreeMap<String, String>>,
}

impl Manager {
    fn new() -> Self {
        // Not under target: the path of a socket must be short.
        let directory = tempfile::tempdir().expect("a directory can be made");
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a socket can be bound");
        Self {
            socket,
            directory,
            told: Vec::new(),
        }
    }

    fn path(&self) -> String {
        self.directory.path().join("notify").to_string_lossy().into_owned()
    }

    /// Waits for a message, later than all that were waited for before, and returns it.
    #[track_caller]
    fn is_told(&mut self, what: &str, is_it: impl Fn(&BTreeMap<String, String>) -> bool) -> BTreeMap<String, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for: {what}; it was told {:#?}",
                self.told
            );
            self.socket.set_read_timeout(Some(left)).expect("it is not zero");
            let mut buffer = [0; 4096];
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let text = std::str::from_utf8(&buffer[..length]).expect("assignments are text");
            let message: BTreeMap<String, String> = text
                .lines()
                .map(|line| line.split_once('=').expect("an assignment"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            self.told.push(message.clone());
            if is_it(&message) {
                return message;
            }
        }
    }

    #[track_caller]
    fn is_told_to_be(&mut self, what: &str) -> BTreeMap<String, String> {
        self.is_told(what, |message| {
            message.get("STATUS").is_some_and(|status| status.contains(what))
        })
    }

    /// Takes nothing any more: what is sent to it waits.
    fn hang(&self) {
        let sender = UnixDatagram::unbound().expect("a socket can be made");
        sender.set_nonblocking(true).expect("a socket may be so");
        while sender.send_to(b"X_TEST=1", self.path()).is_ok() {}
    }
}

fn is_ready(message: &BTreeMap<String, String>) -> bool {
    message.get("READY").is_some_and(|ready| ready == "1")
}

fn microseconds(message: &BTreeMap<String, String>, name: &str) -> u64 {
    let value = message.get(name).unwrap_or_else(|| panic!("no {name} in {message:?}"));
    value.parse().expect("a number of microseconds")
}

async fn trial() -> Trial {
    let settings = SimulatorSettings {
        streams: vec![SimulatedStream::new("web")],
        ..SimulatorSettings::default()
    };
    Trial::start(settings, COOLDOWN).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_the_start_each_state_a_reload_and_the_end() {
    let (trial, mut manager) = (trial().await, Manager::new());
    let daemon = trial.run_with(&[("NOTIFY_SOCKET", &manager.path())]);
    tokio::task::block_in_place(|| {
        manager.is_told("it is up", is_ready);
        let streaming = manager.is_told_to_be("ready: 1 of 1 connections streaming");
        assert_eq!(
            streaming.get("WATCHDOG").map(String::as_str),
            Some("1"),
            "{streaming:?}"
        );
        // Also while there is nothing new to say.
        let is_plain = |message: &BTreeMap<String, String>| message.len() == 1 && message.contains_key("WATCHDOG");
        manager.is_told("it is alive", is_plain);
    });

    let close = StreamFault::Close { trailer: true };
    trial.simulator.fault("web", close).expect("the stream is there");
    tokio::task::block_in_place(|| {
        manager.is_told_to_be("0 of 1 connections streaming");
        manager.is_told_to_be("web waits until ");
        manager.is_told_to_be("1 of 1 connections streaming");

        daemon.signal(Signal::HUP);
        let reloading = manager.is_told("it reloads", |message| message.contains_key("RELOADING"));
        assert!(microseconds(&reloading, "MONOTONIC_USEC") > 0);
        assert!(microseconds(&reloading, "EXTEND_TIMEOUT_USEC") > 0);
        manager.is_told("it has reloaded", is_ready);

        trial.reconfigure(|text| text.replace("brokers =", "borkers ="));
        daemon.signal(Signal::HUP);
        manager.is_told("it reloads", |message| message.contains_key("RELOADING"));
        manager.is_told("it has tried to", is_ready);
        manager.is_told_to_be("the last reload had ");

        daemon.signal(Signal::TERM);
        let stopping = manager.is_told("it stops", |message| message.contains_key("STOPPING"));
        // shutdown_timeout is 25 s unless configured.
        assert!(microseconds(&stopping, "EXTEND_TIMEOUT_USEC") > 25_000_000);
        let ended = daemon.ended();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    });
}

#[test]
fn what_ends_a_start_is_told_as_the_status() {
    let (scratch, mut manager) = (Scratch::new(), Manager::new());
    let path = manager.path();
    let ended = Livestreamd::run(
        &scratch,
        &["run", "--config", "/nowhere/livestreamd.toml"],
        &[("NOTIFY_SOCKET", &path)],
    );
    assert_eq!(ended.code, 78, "{}", ended.stderr);
    manager.is_told_to_be("the configuration cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_that_hangs_holds_nothing_up() {
    let (trial, manager) = (trial().await, Manager::new());
    manager.hang();
    let daemon = trial.run_with(&[("NOTIFY_SOCKET", &manager.path())]);
    trial.streaming("web", 50).await;
    let ended = tokio::task::block_in_place(|| daemon.ended_by(Signal::TERM));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    tokio::task::block_in_place(|| trial.arrived());
}
