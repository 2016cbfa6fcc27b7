//! What changes while a connection is open, and who may connect when drivers replace each other.

use secrecy::SecretString;

use super::*;
use crate::settings::{Grant, SecretSource};
use crate::upstream::testing::credential;

impl World {
    /// Starts a driver whose settings may change.
    fn start_to_be_changed(&self) -> (watch::Sender<NextConnect<Network>>, StopSwitch, JoinHandle<()>) {
        let next = watch::Sender::new(self.plan());
        let leases = LeaseDir::open(self.dir.path(), self.clock.clone()).unwrap();
        let (switch, driver) = self.start_by(0, &SharedReset::default(), leases, next.subscribe());
        (next, switch, driver)
    }

    /// Writes a record on the open connection, and waits until it is read.
    async fn reads_on(&self, io: &mut DuplexStream) {
        let end = self.journal.end();
        io.write_all(&record()).await.unwrap();
        self.journal.next(end).await.unwrap();
        assert!(is_streaming(&self.status.slots[0].state()));
    }
}

fn change(next: &watch::Sender<NextConnect<Network>>, change: impl FnOnce(&mut StreamSettings)) {
    next.send_modify(|next| {
        let mut stream = StreamSettings::clone(&next.stream);
        change(&mut stream);
        next.stream = Arc::new(stream);
    });
}

#[tokio::test(start_paused = true)]
async fn another_cooldown_disconnects_nobody_and_holds_for_the_wait_after_the_connection() {
    let mut world = World::new(1 << 20);
    let (next, _switch, _driver) = world.start_to_be_changed();
    let (_, mut io) = world.serve().await;
    world.state(is_streaming).await;
    change(&next, |stream| stream.cooldown = Duration::from_mins(2));
    world.reads_on(&mut io).await;
    drop(io);
    let ended = Instant::now();
    let (at, _io) = world.serve().await;
    assert_between(at - ended, 120, 122);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_has_begun_stays_as_it_is() {
    let mut world = World::new(1 << 20);
    let (next, _switch, _driver) = world.start_to_be_changed();
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    drop(io);
    let ended = Instant::now();
    world.waits(|why| matches!(why, Why::Ended(_))).await;
    change(&next, |stream| stream.cooldown = Duration::from_mins(5));
    let (at, _io) = world.serve().await;
    assert_between(at - ended, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn another_stall_timeout_holds_from_the_next_connect_on() {
    let mut world = World::new(1 << 20);
    let (next, _switch, _driver) = world.start_to_be_changed();
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    change(&next, |stream| stream.stall_timeout = Duration::from_mins(20));
    let opened = Instant::now();
    // Silence: this connection stalls by the old limit.
    world
        .waits(|why| matches!(why, Why::Ended(EndReason::Stalled(_))))
        .await;
    assert_between(opened.elapsed(), 119, 125);
    drop(io);
    let (_, io) = world.serve().await;
    world.state(is_streaming).await;
    let opened = Instant::now();
    world
        .waits(|why| matches!(why, Why::Ended(EndReason::Stalled(_))))
        .await;
    assert!(opened.elapsed() >= Duration::from_mins(20), "{:?}", opened.elapsed());
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn another_credential_is_used_from_the_next_connect_on_whatever_was_refused_before() {
    let mut world = World::new(1 << 20);
    let (next, _switch, _driver) = world.start_to_be_changed();
    let (_, head, mut io) = world.service.request().await;
    assert!(head.contains("authorization: Bearer t\r\n"), "{head}");
    io.write_all(OPEN.as_bytes()).await.unwrap();
    world.state(is_streaming).await;
    let other = credential(Grant::Token {
        client_id: None,
        token: SecretSource::Inline(SecretString::from("other")),
    });
    let tokens = TokenSource::new(
        other,
        world.network.clone(),
        Duration::from_secs(10),
        Duration::from_mins(1),
    );
    next.send_modify(|next| next.tokens = Arc::new(tokens));
    world.reads_on(&mut io).await;
    drop(io);
    let (_, head, mut io) = world.service.request().await;
    assert!(head.contains("authorization: Bearer other\r\n"), "{head}");
    io.write_all(OPEN.as_bytes()).await.unwrap();
    world.state(is_streaming).await;
}

#[tokio::test(start_paused = true)]
async fn two_drivers_of_one_slot_are_never_connected_together_and_the_second_owes_the_cooldown() {
    let mut world = World::new(1 << 20);
    let leases = LeaseDir::open(world.dir.path(), world.clock.clone()).unwrap();
    let start = |world: &World| {
        let next = world.plan().unchanging();
        world.start_by(0, &SharedReset::default(), leases.clone(), next)
    };
    let (first, driver) = start(&world);
    let (_, mut io) = world.serve().await;
    world.state(is_streaming).await;
    let (_second, _driver) = start(&world);
    let (third, told_to_stop) = start(&world);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.reads_on(&mut io).await;
    }
    assert!(world.service.is_idle(), "nobody else connects");
    third.stop();
    told_to_stop.await.unwrap();
    first.stop();
    driver.await.unwrap();
    let stopped = Instant::now();
    let (at, _io) = world.serve().await;
    assert_between(at - stopped, 60, 62);
}
