//! The driver with its real waits, in virtual time: a service in memory, a lease on a real disk.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::clock::Sleep;
use crate::journal::batch::HEADER_BYTES;
use crate::journal::{BatchKind, DEFAULT_CURSOR, Position};
use crate::lifecycle::{BootId, EndReason, Why};
use crate::stream::{SharedReset, StopSwitch, stop_switch};
use crate::telemetry::StreamStatus;
use crate::upstream::testing::{Network, Service, network, stream};

#[path = "slot_driver_tests/gaps.rs"]
mod gaps;
#[path = "slot_driver_tests/next_connect.rs"]
mod next_connect;
#[path = "slot_driver_tests/resets.rs"]
mod resets;
#[path = "slot_driver_tests/told.rs"]
mod told;

const URL: &str = "https://livestream.adobe.net/api/1/stream/adobe-livestream-web";
const OPEN: &str = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A chunk with one record of 6 bytes.
fn record() -> Vec<u8> {
    chunk(b"{\"a\"}\n")
}

/// A chunk with a gzip member of its own: it may follow any other.
fn chunk(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(plain).unwrap();
    let member = gzip.finish().unwrap();
    [format!("{:x}\r\n", member.len()).as_bytes(), &member, b"\r\n"].concat()
}

/// tokio's clock, which stands still unless everybody waits. Wall time may leap, and the machine be suspended.
struct VirtualClock {
    began: Instant,
    boot: BootId,
    suspended: Mutex<Duration>,
    /// What the wall clock says more than it did at first.
    wall_leap: Mutex<i64>,
    woken: Notify,
}

impl VirtualClock {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            boot: BootId::known("this"),
            suspended: Mutex::default(),
            wall_leap: Mutex::default(),
            woken: Notify::new(),
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Moment {
        Moment::from_secs(1_000_000) + self.began.elapsed() + *self.suspended.lock().unwrap()
    }

    fn sleep_until(&self, at: Moment) -> Sleep<'_> {
        Box::pin(async move {
            loop {
                let woken = self.woken.notified();
                let rest = at.since(self.now());
                if rest.is_zero() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = woken => {}
                }
            }
        })
    }

    fn boot(&self) -> &BootId {
        &self.boot
    }

    fn wall(&self) -> SystemTime {
        let since_epoch = self.now().0.as_millis() as i64 + 1000 * (800_000_000 + *self.wall_leap.lock().unwrap());
        SystemTime::UNIX_EPOCH + Duration::from_millis(since_epoch as u64)
    }
}

/// A service, a disk, and drivers one after another.
struct World {
    dir: tempfile::TempDir,
    clock: Arc<VirtualClock>,
    network: Arc<Network>,
    service: Service,
    journal: Arc<Journal>,
    status: StreamStatus,
    /// What the next driver is told, if it begins a run.
    reset: Option<ResetTo>,
    /// How many slots the stream has.
    connections: u8,
    max_record_bytes: usize,
}

impl World {
    fn new(journal_bytes: u64) -> Self {
        let (network, service) = network(64 * 1024);
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(VirtualClock::new()),
            network,
            service,
            journal: Arc::new(Journal::in_memory(journal_bytes)),
            status: StreamStatus::new("web", 2),
            reset: None,
            connections: 1,
            max_record_bytes: 1 << 20,
        }
    }

    /// Begins a run with one slot.
    fn start(&self) -> (StopSwitch, JoinHandle<()>) {
        self.start_slot(0, &SharedReset::new(self.reset))
    }

    fn start_slot(&self, slot: u8, reset: &SharedReset) -> (StopSwitch, JoinHandle<()>) {
        let leases = LeaseDir::open(self.dir.path(), self.clock.clone()).unwrap();
        self.start_by(slot, reset, leases, self.plan().unchanging())
    }

    /// What a driver goes by.
    fn plan(&self) -> NextConnect<Network> {
        let mut stream = stream(URL);
        (stream.connections, stream.max_record_bytes) = (self.connections, self.max_record_bytes);
        let tokens = TokenSource::new(
            stream.credential.clone(),
            self.network.clone(),
            Duration::from_secs(10),
            stream.cooldown,
        );
        NextConnect {
            stream: Arc::new(stream),
            tokens: Arc::new(tokens),
        }
    }

    fn start_by(
        &self,
        slot: u8,
        reset: &SharedReset,
        leases: LeaseDir,
        next: watch::Receiver<NextConnect<Network>>,
    ) -> (StopSwitch, JoinHandle<()>) {
        let NextConnect { stream, tokens } = next.borrow().clone();
        let driver = SlotDriver {
            stream,
            tokens,
            next,
            slot,
            connector: self.network.clone(),
            leases,
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            status: self.status.slots[usize::from(slot)].clone(),
            counters: self.status.counters.clone(),
            stagger: Duration::ZERO,
            jitter_seed: 0,
            gathers_for: Duration::from_millis(20),
            reset: reset.clone(),
        };
        let (switch, stop) = stop_switch();
        (switch, tokio::spawn(driver.drive(stop)))
    }

    /// Takes the next request, and says when it came.
    async fn request(&mut self) -> (Instant, DuplexStream) {
        let (_, _, io) = self.service.request().await;
        (Instant::now(), io)
    }

    /// Opens the stream, and writes one record.
    async fn serve(&mut self) -> (Instant, DuplexStream) {
        let (at, mut io) = self.request().await;
        io.write_all(OPEN.as_bytes()).await.unwrap();
        io.write_all(&record()).await.unwrap();
        (at, io)
    }

    /// Waits until the slot waits, for this reason.
    async fn waits(&self, wanted: impl Fn(&Why) -> bool) -> State {
        self.state(|state| matches!(state, State::Waiting { why, .. } if wanted(why)))
            .await
    }

    async fn state(&self, mut wanted: impl FnMut(&State) -> bool) -> State {
        let mut shown = self.status.slots[0].watch();
        shown
            .wait_for(|shown| wanted(&shown.state))
            .await
            .unwrap()
            .state
            .clone()
    }

    fn lease(&self) -> serde_json::Value {
        self.lease_of(0)
    }

    fn lease_of(&self, slot: u8) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.lease_path(slot)).unwrap()).unwrap()
    }

    fn lease_path(&self, slot: u8) -> PathBuf {
        let end = format!(".{slot}.json");
        let leases: Vec<_> = std::fs::read_dir(self.dir.path().join("leases"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(&end))
            .collect();
        let [lease] = &leases[..] else {
            panic!("one lease, not {leases:?}")
        };
        lease.clone()
    }
}

fn is_streaming(state: &State) -> bool {
    matches!(state, State::Streaming { .. })
}

fn assert_between(waited: Duration, least: u64, most: u64) {
    assert!(
        waited >= Duration::from_secs(least) && waited <= Duration::from_secs(most),
        "waited {waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_waits_out_the_cooldown_however_the_stream_ended() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    for last_words in [LAST_CHUNK, b"", b"no chunk head\r\n", &record()] {
        io.write_all(last_words).await.unwrap();
        drop(io);
        let ended = Instant::now();
        let (at, next) = world.serve().await;
        assert_between(at - ended, 60, 62);
        io = next;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_finds_its_lease_open_on_disk_and_a_disconnect_closes_it() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.request().await;
    assert_eq!(world.lease()["phase"], "connecting");
    io.write_all(OPEN.as_bytes()).await.unwrap();
    world.state(is_streaming).await;
    drop(io);
    world.waits(|why| matches!(why, Why::Ended(_))).await;
    let lease = world.lease();
    assert_eq!((&lease["phase"], &lease["boot_id"]), (&"closed".into(), &"this".into()));
    let wait = lease["not_before"].as_u64().unwrap() - lease["boottime"].as_u64().unwrap();
    assert!((60_000..=61_001).contains(&wait), "{wait} ms");
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_the_next_start_waits_out_the_rest() {
    let mut world = World::new(1 << 20);
    let (switch, driver) = world.start();
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    switch.stop();
    driver.await.unwrap();
    let stopped = Instant::now();
    drop(io);
    assert_eq!(world.lease()["phase"], "closed");
    tokio::time::sleep(Duration::from_secs(25)).await;
    let (_switch, _driver) = world.start();
    let (at, _io) = world.serve().await;
    assert_between(at - stopped, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_service_is_silent_about_a_request_closes_the_lease_too() {
    let mut world = World::new(1 << 20);
    let (switch, driver) = world.start();
    let (_, _io) = world.request().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    switch.stop();
    driver.await.unwrap();
    let stopped = Instant::now();
    assert_eq!(world.lease()["phase"], "closed");
    let (_switch, _driver) = world.start();
    let (at, _io) = world.serve().await;
    assert_between(at - stopped, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_next_start_waits_out_a_whole_cooldown() {
    for in_mid_stream in [true, false] {
        let mut world = World::new(1 << 20);
        let (_switch, driver) = world.start();
        let (_, mut io) = world.request().await;
        if in_mid_stream {
            io.write_all(OPEN.as_bytes()).await.unwrap();
            io.write_all(&record()).await.unwrap();
            // Read, and so past the storing of its lease.
            world.journal.next(Position::default()).await.unwrap();
        }
        // The task is gone before it can close the lease.
        driver.abort();
        let _ = driver.await;
        assert_ne!(world.lease()["phase"], "closed");
        tokio::time::sleep(Duration::from_secs(25)).await;
        let restarted = Instant::now();
        let (switch, driver) = world.start();
        // A stop in the middle of the wait does not make it begin anew.
        tokio::time::sleep(Duration::from_secs(20)).await;
        switch.stop();
        driver.await.unwrap();
        let (_switch, _driver) = world.start();
        let (at, _io) = world.serve().await;
        assert_between(at - restarted, 60, 62);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_while_the_lease_cannot_be_written() {
    let mut world = World::new(1 << 20);
    let leases = world.dir.path().join("leases");
    let (_switch, _driver) = world.start();
    std::fs::remove_dir(&leases).unwrap();
    world.waits(|why| matches!(why, Why::LeaseNotStored)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(world.service.is_idle());
    std::fs::create_dir(&leases).unwrap();
    let mended = Instant::now();
    let (at, _io) = world.serve().await;
    assert_between(at - mended, 0, 62);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_that_had_spoken_is_given_up_after_the_stall_timeout() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, io) = world.serve().await;
    let spoke = Instant::now();
    let stalled = |state: &State| {
        matches!(
            state,
            State::Waiting {
                why: Why::Ended(EndReason::Stalled(_)),
                ..
            }
        )
    };
    world.state(stalled).await;
    assert_between(spoke.elapsed(), 120, 121);
    let (at, _next) = world.request().await;
    assert_between(at - spoke, 180, 182);
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_stops_the_reading_and_is_not_taken_for_a_stall() {
    let mut world = World::new(100);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.state(is_streaming).await;
    let chatter = tokio::spawn(async move {
        // As long as somebody reads.
        while io.write_all(&record()).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(world.journal.is_full() && !chatter.is_finished());
    assert!(is_streaming(&world.status.slots[0].state()));
    // Room again: on it goes.
    let read_before = world.status.counters.bytes.get();
    let mut at = world.journal.cursor(DEFAULT_CURSOR).unwrap();
    for _ in 0..10 {
        let batch = world.journal.next(at).await.unwrap();
        at = batch.end();
        world.journal.advance(DEFAULT_CURSOR, at);
    }
    assert!(world.status.counters.bytes.get() > read_before);
    assert!(world.service.is_idle(), "and nobody had to connect again");
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_a_full_journal_closes_the_connection_at_once_and_keeps_what_was_read() {
    let mut world = World::new(100);
    let (switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.journal.next(Position::default()).await.unwrap();
    io.write_all(&record().repeat(40)).await.unwrap();
    io.write_all(&record().repeat(40)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        world.status.counters.bytes.get() > 6,
        "more was read than the first record"
    );
    assert_eq!(world.journal.backlog_bytes(), HEADER_BYTES + 6, "and has no room yet");
    switch.stop();
    world.state(|state| *state == State::Stopped).await;
    assert_eq!(world.lease()["phase"], "closed");
    assert!(io.write_all(&record()).await.is_err(), "the socket is closed");
    assert!(!driver.is_finished(), "what was read last waits for room");
    let mut read = Vec::new();
    let mut at = world.journal.cursor(DEFAULT_CURSOR).unwrap();
    while !driver.is_finished() || world.journal.end() > at {
        let batch = world.journal.next(at).await.unwrap();
        read.extend_from_slice(&Bytes::clone(&batch.bytes));
        at = batch.end();
        world.journal.advance(DEFAULT_CURSOR, at);
        tokio::task::yield_now().await;
    }
    let expected = world.status.counters.bytes.get();
    assert_eq!(read.len() as u64, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stop_keeps_what_has_come_since_the_last_look() {
    let mut world = World::new(1 << 20);
    world.max_record_bytes = 100;
    let (switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    // Soon after the first record come others, while the reader gathers; one of them is too long.
    let mut at = world.journal.next(Position::default()).await.unwrap().end();
    let too_long = [b"x".repeat(1_000), b"\n".to_vec()].concat();
    io.write_all(&[record(), chunk(&too_long), record()].concat())
        .await
        .unwrap();
    switch.stop();
    driver.await.unwrap();
    for is_whole in [true, false, true] {
        let next = tokio::time::timeout(Duration::from_secs(1), world.journal.next(at)).await;
        let batch = next.expect("it was kept").unwrap();
        assert_eq!(batch.kind == BatchKind::Records, is_whole, "{batch:?}");
        at = batch.end();
    }
    assert_eq!(world.journal.end(), at);
    assert_eq!(world.lease()["phase"], "closed");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_reaches_nobody_backs_off_and_owes_no_cooldown() {
    use crate::upstream::testing::Connect;
    let mut world = World::new(1 << 20);
    world
        .network
        .plan([Connect::Refused("no route"), Connect::Refused("no route")]);
    let began = Instant::now();
    let (switch, driver) = world.start();
    let (at, io) = world.serve().await;
    assert_between(at - began, 3, 5);
    drop(io);
    switch.stop();
    driver.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_fails_for_a_while_costs_backoffs_and_no_cooldown() {
    use crate::upstream::testing::Connect;
    const DNS: &str =
        "livestream.adobe.net:443: DNS has no answer for livestream.adobe.net: Temporary failure in name resolution";
    let mut world = World::new(1 << 20);
    world.network.plan([const { Connect::Refused(DNS) }; 4]);
    let began = Instant::now();
    let (switch, driver) = world.start();
    let cannot = world.waits(|why| matches!(why, Why::Unreached(_)));
    let State::Waiting { why, .. } = cannot.await else {
        unreachable!()
    };
    assert!(why.to_string().ends_with(DNS), "{why}");
    // 1, 2, 4 and 8 s, each with its jitter; a cooldown would be a minute.
    let (at, io) = world.serve().await;
    assert_between(at - began, 15, 19);
    world.state(is_streaming).await;
    drop(io);
    switch.stop();
    driver.await.unwrap();
}
