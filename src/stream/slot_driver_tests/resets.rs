//! A reset on purpose: sent until it is answered, and no more, over reconnects, restarts, several slots and a disk that refuses.

use super::*;

impl World {
    /// Takes the next request, and says what it asks for as `reset`.
    async fn asked_reset(&mut self) -> (Option<String>, DuplexStream) {
        let (_, head, io) = self.service.request().await;
        let query = head.split([' ', '?', '&']).find_map(|part| part.strip_prefix("reset="));
        (query.map(str::to_owned), io)
    }

    /// Takes the next request, which asks for this reset, and refuses it.
    async fn refuse(&mut self, refusal: &str, asked: Option<&str>) {
        let (reset, mut io) = self.asked_reset().await;
        assert_eq!(reset.as_deref(), asked, "before {refusal}");
        let head = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
        io.write_all(head.as_bytes()).await.unwrap();
    }

    /// Takes the next request, which asks for this reset, and opens the stream.
    async fn open(&mut self, asked: Option<&str>) -> DuplexStream {
        let (reset, mut io) = self.asked_reset().await;
        assert_eq!(reset.as_deref(), asked);
        io.write_all(OPEN.as_bytes()).await.unwrap();
        io
    }

    /// Stops a driver in mid-stream, or aborts it, and lets the cooldown pass.
    async fn end(&self, switch: StopSwitch, driver: JoinHandle<()>, io: DuplexStream, in_order: bool) {
        if in_order {
            switch.stop();
        } else {
            driver.abort();
        }
        let _ = driver.await;
        drop(io);
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_goes_along_until_a_200_and_never_on_a_reconnect_or_a_restart_with_the_same_wish() {
    let mut world = World::new(1 << 20);
    world.reset = Some(ResetTo::Smallest);
    let (switch, driver) = world.start();
    for refused in ["503 No", "401 Who", "409 Taken"] {
        world.refuse(refused, Some("smallest")).await;
    }
    let (reset, mut io) = world.asked_reset().await;
    assert_eq!(reset.as_deref(), Some("smallest"));
    assert_eq!(world.lease().get("reset"), None, "not answered yet");
    io.write_all(OPEN.as_bytes()).await.unwrap();
    io.write_all(&record()).await.unwrap();
    world.journal.next(Position::default()).await.unwrap();
    assert_eq!(world.lease()["reset"]["to"], "smallest");
    drop(io);
    let (reset, mut io) = world.asked_reset().await;
    assert_eq!(reset, None, "a reconnect");
    io.write_all(OPEN.as_bytes()).await.unwrap();
    world.state(is_streaming).await;
    world.end(switch, driver, io, true).await;
    for in_order in [true, false] {
        let (switch, driver) = world.start();
        let (reset, mut io) = world.asked_reset().await;
        assert_eq!(reset, None, "a restart");
        io.write_all(OPEN.as_bytes()).await.unwrap();
        world.state(is_streaming).await;
        world.end(switch, driver, io, in_order).await;
        assert_eq!(world.lease()["reset"]["to"], "smallest");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_wish_forgets_it_even_if_it_connects_to_nobody_and_another_wish_is_new() {
    let mut world = World::new(1 << 20);
    for (wish, sent) in [
        (Some(ResetTo::Latest), Some("latest")),
        (Some(ResetTo::Earliest), Some("earliest")),
        (Some(ResetTo::Earliest), None),
    ] {
        world.reset = wish;
        let (switch, driver) = world.start();
        let (reset, mut io) = world.asked_reset().await;
        assert_eq!(reset.as_deref(), sent);
        io.write_all(OPEN.as_bytes()).await.unwrap();
        world.state(is_streaming).await;
        world.end(switch, driver, io, true).await;
    }
    world.network.plan([crate::upstream::testing::Connect::Hangs]);
    world.reset = None;
    let (switch, driver) = world.start();
    switch.stop();
    driver.await.unwrap();
    assert_eq!(world.lease().get("reset"), None);
    world.reset = Some(ResetTo::Earliest);
    let (_switch, _driver) = world.start();
    assert_eq!(world.asked_reset().await.0.as_deref(), Some("earliest"));
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_was_answered_is_not_sent_again_although_the_disk_did_not_take_it() {
    let mut world = World::new(1 << 20);
    let leases = world.dir.path().join("leases");
    world.reset = Some(ResetTo::Largest);
    let (_switch, _driver) = world.start();
    let (reset, mut io) = world.asked_reset().await;
    assert_eq!(reset.as_deref(), Some("largest"));
    std::fs::remove_dir_all(&leases).unwrap();
    io.write_all(OPEN.as_bytes()).await.unwrap();
    world.state(is_streaming).await;
    drop(io);
    let not_stored = |state: &State| {
        matches!(
            state,
            State::Waiting {
                why: Why::LeaseNotStored,
                ..
            }
        )
    };
    world.state(not_stored).await;
    std::fs::create_dir(&leases).unwrap();
    assert_eq!(world.asked_reset().await.0, None);
    assert_eq!(world.lease()["reset"]["to"], "largest", "the next write has it");
}

#[tokio::test(start_paused = true)]
async fn a_200_whose_body_is_none_that_we_read_answers_a_reset_too() {
    let mut world = World::new(1 << 20);
    world.reset = Some(ResetTo::Latest);
    let (_switch, _driver) = world.start();
    let (reset, mut io) = world.asked_reset().await;
    assert_eq!(reset.as_deref(), Some("latest"));
    let strange = "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n";
    io.write_all(strange.as_bytes()).await.unwrap();
    world.open(None).await;
    assert_eq!(world.lease()["reset"]["to"], "latest");
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_over_for_a_refused_slot_when_the_connection_of_another_slot_ends() {
    let mut world = World::new(1 << 20);
    world.connections = 2;
    let largest = || SharedReset::new(Some(ResetTo::Largest));
    let run = largest();
    let first = world.start_slot(0, &run);
    let io = world.open(Some("largest")).await;
    world.state(is_streaming).await;
    // It sends its own, which has no effect while the first is open.
    let second = world.start_slot(1, &run);
    for refusal in ["409 Taken", "503 No", "409 Taken"] {
        world.refuse(refusal, Some("largest")).await;
    }
    drop(io);
    let _both = [world.open(None).await, world.open(None).await];
    for (slot, (switch, driver)) in [(0, first), (1, second)] {
        switch.stop();
        driver.await.unwrap();
        assert_eq!(world.lease_of(slot)["reset"]["to"], "largest", "slot {slot}");
    }
    let run = largest();
    let _drivers = [0, 1].map(|slot| world.start_slot(slot, &run));
    let _both = [world.open(None).await, world.open(None).await];
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_died_with_its_connection_ends_the_reset_for_the_other_slots() {
    let mut world = World::new(1 << 20);
    world.connections = 2;
    let run = SharedReset::new(Some(ResetTo::Largest));
    let (_switch, driver) = world.start_slot(0, &run);
    let io = world.open(Some("largest")).await;
    world.state(is_streaming).await;
    let _second = world.start_slot(1, &run);
    world.refuse("409 Taken", Some("largest")).await;
    driver.abort();
    let _ = driver.await;
    drop(io);
    let _first = world.start_slot(0, &run);
    let _both = [world.open(None).await, world.open(None).await];
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_slot_takes_for_done_what_another_remembers() {
    let mut world = World::new(1 << 20);
    world.connections = 2;
    let latest = || SharedReset::new(Some(ResetTo::Latest));
    let run = latest();
    let first = world.start_slot(0, &run);
    let mut io = world.open(Some("latest")).await;
    io.write_all(&record()).await.unwrap();
    // Read, and so past the storing of its lease.
    world.journal.next(Position::default()).await.unwrap();
    let second = world.start_slot(1, &run);
    world.refuse("409 Taken", Some("latest")).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for (_switch, driver) in [first, second] {
        driver.abort();
        let _ = driver.await;
    }
    assert_eq!(world.lease_of(0)["reset"]["to"], "latest");
    assert_eq!(world.lease_of(1).get("reset"), None);
    let run = latest();
    let _drivers = [0, 1].map(|slot| world.start_slot(slot, &run));
    let _both = [world.open(None).await, world.open(None).await];
    assert_eq!(world.lease_of(1)["reset"]["to"], "latest");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_an_open_connection_that_the_disk_did_not_take_is_written_as_soon_as_it_does() {
    let mut world = World::new(1 << 20);
    let leases = world.dir.path().join("leases");
    world.reset = Some(ResetTo::Smallest);
    let (_switch, _driver) = world.start();
    let (_, mut io) = world.asked_reset().await;
    std::fs::remove_dir_all(&leases).unwrap();
    let opened = world.clock.now().0.as_millis() as u64;
    io.write_all(OPEN.as_bytes()).await.unwrap();
    for _ in 0..3 {
        io.write_all(&record()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(35)).await;
    }
    let spoke = world.clock.wall() - Duration::from_millis(10);
    io.write_all(&record()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::create_dir(&leases).unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let lease = world.lease();
    assert_eq!(
        (&lease["phase"], &lease["reset"]["to"]),
        (&"streaming".into(), &"smallest".into())
    );
    let written = lease["boottime"].as_u64().unwrap();
    assert!(
        (opened..opened + 100).contains(&written),
        "it tells when it was opened: {lease}"
    );
    let touched = std::fs::metadata(world.lease_path(0)).unwrap().modified().unwrap();
    let late = touched.duration_since(spoke).unwrap();
    assert!(
        late < Duration::from_secs(1),
        "and the file's time when it last lived: {late:?} later"
    );
    assert!(is_streaming(&world.status.slots[0].state()) && world.service.is_idle());
    drop(io);
    world.waits(|why| matches!(why, Why::Ended(_))).await;
    assert_eq!(world.lease()["phase"], "closed");
}
