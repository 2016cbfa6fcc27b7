//! Gaps, as people see them: their bounds, over ends, stops, crashes and suspends.

use super::*;
use crate::lifecycle::gap::{OpenGap, Parting};
use crate::lifecycle::life::KnownBy;

impl VirtualClock {
    /// Time passes, and no timer of tokio's knows.
    fn suspend(&self, time: Duration) {
        *self.suspended.lock().unwrap() += time;
        self.woken.notify_waiters();
    }

    fn leap(&self, secs: i64) {
        *self.wall_leap.lock().unwrap() += secs;
    }
}

impl World {
    /// How many possible and probable gaps are over, and how many seconds the probable ones lasted.
    fn gaps(&self) -> (u64, u64, u64) {
        let counts = self.status.counters.snapshot();
        (counts.gaps_possible, counts.gaps_probable, counts.probable_gap_seconds)
    }

    fn open_gap(&self) -> OpenGap {
        self.status.slots[0].gap().expect("a gap is open")
    }

    fn open_gap_secs(&self) -> u64 {
        self.open_gap().length(self.clock.now()).as_secs()
    }

    /// Streams a record every second.
    async fn stream_for(&self, io: &mut DuplexStream, secs: u64) {
        for _ in 0..secs {
            io.write_all(&record()).await.unwrap();
            sleep(1).await;
        }
    }
}

async fn sleep(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

fn is_waiting(state: &State) -> bool {
    matches!(state, State::Waiting { why: Why::Ended(_), .. })
}

#[tokio::test(start_paused = true)]
async fn every_disconnect_is_a_possible_gap_and_a_first_start_is_none() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.state(is_streaming).await;
    assert_eq!((world.gaps(), world.status.slots[0].gap()), ((0, 0, 0), None));
    for ends in 1..=3 {
        drop(io);
        world.state(is_waiting).await;
        assert_eq!(world.open_gap().parting, Parting::Ended(EndReason::Cut));
        (_, io) = world.serve().await;
        world.state(is_streaming).await;
        assert_eq!((world.gaps(), world.status.slots[0].gap()), ((ends, 0, 0), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_longer_than_the_horizon_is_a_probable_one_however_many_attempts_it_takes() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    drop(io);
    let ended = Instant::now();
    for _ in 0..3 {
        let (_, mut io) = world.request().await;
        io.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    }
    let (at, _io) = world.serve().await;
    world.state(is_streaming).await;
    let gap = (at - ended).as_secs();
    assert!((60 + 60 + 90 + 135..360).contains(&gap), "{gap}");
    assert_eq!(world.gaps(), (0, 1, gap));
}

#[tokio::test(start_paused = true)]
async fn a_gap_begins_with_the_last_byte_of_a_connection_that_fell_silent_and_with_the_goodbye_of_one_that_did_not() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    sleep(100).await;
    io.write_all(LAST_CHUNK).await.unwrap();
    world.state(is_waiting).await;
    assert_eq!(world.open_gap_secs(), 0, "it ended in good order");
    drop(io);
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    world.state(is_waiting).await;
    // 100 s of silence were broken on the connection before.
    assert_eq!(world.open_gap_secs(), 120);
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn a_gap_goes_on_over_stops_and_refusals() {
    let mut world = World::new(1 << 20);
    let (switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 5).await;
    switch.stop();
    driver.await.unwrap();
    let stopped = Instant::now();
    sleep(25).await;
    // A start that is refused writes the lease again, and so does the stop after it.
    let (switch, driver) = world.start();
    let (_, mut io) = world.request().await;
    io.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    world.waits(|why| matches!(why, Why::Refused(_))).await;
    switch.stop();
    driver.await.unwrap();
    let (_switch, _driver) = world.start();
    world.waits(|why| matches!(why, Why::LeaseClosed)).await;
    let gap = world.open_gap();
    assert_eq!((&gap.parting, gap.known_by), (&Parting::Restart, KnownBy::Clock));
    assert_eq!(world.open_gap_secs(), stopped.elapsed().as_secs());
    let (_, _io) = world.serve().await;
    world.state(is_streaming).await;
    assert_eq!(world.gaps(), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_heartbeat_says_when_the_connection_lived_and_none_says_when_it_might_connect() {
    let mut world = World::new(1 << 20);
    let (_switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 200).await;
    driver.abort();
    let _ = driver.await;
    let crashed = Instant::now();
    sleep(100).await;
    let restarted = Instant::now();
    let (_switch, driver) = world.start();
    world.waits(|why| matches!(why, Why::LeaseOpen)).await;
    let gap = world.open_gap();
    assert_eq!((&gap.parting, gap.known_by), (&Parting::Crash, KnownBy::Heartbeat));
    let beyond = world.open_gap_secs() - crashed.elapsed().as_secs();
    assert!(beyond <= 30, "{beyond} s before the crash");
    // The next crash, before anything streams, forgets nothing.
    driver.abort();
    let _ = driver.await;
    let (_switch, _driver) = world.start();
    world.waits(|why| matches!(why, Why::LeaseClosed)).await;
    assert_eq!(world.open_gap_secs() - crashed.elapsed().as_secs(), beyond);
    let (at, _io) = world.serve().await;
    assert_between(at - restarted, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_does_not_touch_its_lease() {
    let mut world = World::new(1 << 20);
    let (_switch, driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 40).await;
    sleep(70).await;
    driver.abort();
    let _ = driver.await;
    let (_switch, _driver) = world.start();
    world.waits(|why| matches!(why, Why::LeaseOpen)).await;
    let gap = world.open_gap_secs();
    assert!((70..=80).contains(&gap), "{gap}");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_leaps_by_a_day_changes_nothing_about_connecting_nor_the_length_of_a_gap() {
    const DAY: i64 = 86_400;
    for leap in [DAY, -DAY] {
        let mut world = World::new(1 << 20);
        let (switch, driver) = world.start();
        let (_, mut io) = world.serve().await;
        world.stream_for(&mut io, 5).await;
        world.clock.leap(leap);
        world.stream_for(&mut io, 5).await;
        assert!(is_streaming(&world.status.slots[0].state()));
        drop(io);
        let ended = Instant::now();
        sleep(20).await;
        world.clock.leap(leap);
        let (at, mut io) = world.serve().await;
        assert_between(at - ended, 60, 62);
        world.stream_for(&mut io, 5).await;
        switch.stop();
        driver.await.unwrap();
        drop(io);
        let stopped = Instant::now();
        // Over a restart too.
        world.clock.leap(leap);
        let (_switch, _driver) = world.start();
        let (at, _io) = world.serve().await;
        world.state(is_streaming).await;
        assert_between(at - stopped, 60, 62);
        assert_eq!(world.gaps(), (2, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_when_the_machine_wakes_ends_at_once() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, io) = world.serve().await;
    drop(io);
    world.state(is_waiting).await;
    sleep(10).await;
    world.clock.suspend(Duration::from_secs(30));
    sleep(5).await;
    assert!(world.service.is_idle(), "45 s of 60");
    world.clock.suspend(Duration::from_hours(1));
    let woken = Instant::now();
    let (at, _io) = world.serve().await;
    assert_between(at - woken, 0, 0);
    world.state(is_streaming).await;
    assert_eq!(world.gaps().1, 1, "and the gap was as long as the suspend");
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_did_not_run_is_no_silence_of_the_peer() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 5).await;
    world.clock.suspend(Duration::from_hours(8));
    // What was under way comes when the network is back.
    sleep(125).await;
    assert!(is_streaming(&world.status.slots[0].state()));
    world.stream_for(&mut io, 5).await;
    assert!(world.service.is_idle(), "and on it goes on the same connection");
    // Nor has the stall watch learnt from it: the silence of a dead peer is found as soon as before.
    let silent = Instant::now();
    world.state(is_waiting).await;
    assert!(silent.elapsed() < Duration::from_secs(271), "{:?}", silent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_when_the_machine_wakes_is_found_and_its_gap_began_before_the_suspend() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 5).await;
    world.clock.suspend(Duration::from_hours(8));
    let woken = Instant::now();
    world.state(is_waiting).await;
    // A whole limit, from when a living peer would have tried again at the latest.
    assert_between(woken.elapsed(), 238, 271);
    assert!(world.open_gap_secs() >= 8 * 3600 + 238);
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn what_lay_in_the_socket_when_the_process_ran_again_does_not_hide_that_the_connection_had_ended() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 5).await;
    io.write_all(&record()).await.unwrap();
    io.write_all(LAST_CHUNK).await.unwrap();
    drop(io);
    world.clock.suspend(Duration::from_mins(10));
    let noticed = Instant::now();
    world.state(is_waiting).await;
    assert!(world.open_gap_secs() >= 600);
    let (at, _io) = world.serve().await;
    assert_between(at - noticed, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_suspend_or_soon_after_it_does_not_hide_it() {
    for soon_after in [None, Some(30)] {
        let mut world = World::new(1 << 20);
        let (switch, driver) = world.start();
        let (_, mut io) = world.serve().await;
        world.stream_for(&mut io, 5).await;
        world.clock.suspend(Duration::from_hours(8));
        if let Some(secs) = soon_after {
            sleep(secs).await;
        }
        switch.stop();
        driver.await.unwrap();
        drop(io);
        let (_switch, _driver) = world.start();
        let (_, _io) = world.serve().await;
        world.state(is_streaming).await;
        let (_, probable, seconds) = world.gaps();
        assert_eq!(probable, 1, "{soon_after:?}");
        assert!(seconds >= 8 * 3600, "{soon_after:?}: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_some_time_after_a_suspend_does_not_hide_it() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    world.stream_for(&mut io, 5).await;
    world.clock.suspend(Duration::from_hours(8));
    sleep(60).await;
    world.stream_for(&mut io, 5).await;
    io.write_all(LAST_CHUNK).await.unwrap();
    drop(io);
    world.state(is_waiting).await;
    assert!(world.open_gap_secs() >= 8 * 3600);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_full_every_few_seconds_does_not_hide_that_the_connection_lives() {
    let mut world = World::new(100);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    let mut at = world.journal.cursor(DEFAULT_CURSOR).unwrap();
    for _ in 0..20 {
        // One fills the journal, the other waits for room.
        for _ in 0..2 {
            io.write_all(&record()).await.unwrap();
            sleep(1).await;
        }
        sleep(3).await;
        while world.journal.end() > at {
            at = world.journal.next(at).await.unwrap().end();
            world.journal.advance(DEFAULT_CURSOR, at);
            tokio::task::yield_now().await;
        }
        sleep(1).await;
    }
    // It fell silent; the last byte is what counts.
    world.state(is_waiting).await;
    let gap = world.open_gap_secs();
    assert!(gap <= 140, "{gap} s");
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_rests_shows_soon_after_a_short_freeze_that_it_lives() {
    let mut world = World::new(1 << 20);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.serve().await;
    for part in 0..2 {
        for _ in 0..12_000 {
            io.write_all(&record()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if part == 0 {
            world.clock.suspend(Duration::from_secs(2));
        }
    }
    drop(io);
    world.state(is_waiting).await;
    let gap = world.open_gap_secs();
    assert!(gap <= 1, "{gap} s");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_leaps_while_a_connection_streams_does_not_move_its_crash() {
    const DAY: i64 = 86_400;
    for leap in [DAY, -DAY, 100, -100] {
        let mut world = World::new(1 << 20);
        let (_switch, driver) = world.start();
        let (_, mut io) = world.serve().await;
        world.stream_for(&mut io, 100).await;
        world.clock.leap(leap);
        world.stream_for(&mut io, 100).await;
        driver.abort();
        let _ = driver.await;
        let (_switch, _driver) = world.start();
        world.waits(|why| matches!(why, Why::LeaseOpen)).await;
        assert_eq!(world.open_gap().known_by, KnownBy::Heartbeat);
        assert!(world.open_gap_secs() <= 30, "{leap}: {} s", world.open_gap_secs());
    }
}
