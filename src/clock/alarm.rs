//! One timer for all who wait for a moment since boot. tokio's own timers stand still while the machine is suspended: a wait that is over
//! by the time it wakes would go on for its rest.
//!
//! The kernel's timer is one file descriptor, and one thread sleeps on it for all; nobody polls.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::sync::oneshot;

use super::boottime;
use crate::lifecycle::Moment;

/// The timer and its thread. Dropping it ends the thread; whoever still waits hears an error.
#[derive(Debug)]
pub(super) struct Alarm(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    timer: OwnedFd,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By moment, and in the order in which they came.
    sleepers: BTreeMap<(Moment, u64), oneshot::Sender<()>>,
    came: u64,
    over: bool,
}

impl Alarm {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?,
            waiting: Mutex::default(),
        });
        let of_the_thread = shared.clone();
        std::thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || ring(&of_the_thread))?;
        Ok(Self(shared))
    }

    /// What is woken at `at`, which must not be the moment of the boot itself.
    pub(super) fn at(&self, at: Moment) -> io::Result<oneshot::Receiver<()>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.waiting();
        if waiting.over {
            return Err(io::Error::other("the timer has failed"));
        }
        // Those that wait no longer leave room, so there are no more than waits.
        waiting.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        waiting.came += 1;
        let key = (at, waiting.came);
        waiting.sleepers.insert(key, sender);
        self.0.set(&waiting)?;
        Ok(receiver)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.over = true;
        waiting.sleepers.clear();
        // The thread is woken by a moment that is long past.
        let _ = self.0.set_to(Timespec { tv_sec: 0, tv_nsec: 1 });
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the timer to the first moment that somebody waits for. Zero, for nobody, stops it.
    fn set(&self, waiting: &Waiting) -> io::Result<()> {
        let first = waiting
            .sleepers
            .first_key_value()
            .map_or_else(Default::default, |((at, _), _)| at.0);
        self.set_to(Timespec {
            tv_sec: i64::try_from(first.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: first.subsec_nanos().into(),
        })
    }

    fn set_to(&self, it_value: Timespec) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Wakes all whose moment has come.
    fn wake(&self, waiting: &mut Waiting) -> io::Result<()> {
        let later = waiting.sleepers.split_off(&(boottime(), u64::MAX));
        for (_, sleeper) in std::mem::replace(&mut waiting.sleepers, later) {
            // Who is gone needs no waking.
            let _ = sleeper.send(());
        }
        self.set(waiting)
    }
}

/// The thread.
fn ring(shared: &Shared) {
    loop {
        let mut expirations = [0_u8; 8];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&shared.timer, &mut expirations));
        let mut waiting = shared.waiting();
        if waiting.over {
            return;
        }
        let woken = read.map_err(io::Error::from).and_then(|_| shared.wake(&mut waiting));
        if let Err(error) = woken {
            tracing::warn!(%error, "the timer that counts suspended time has failed: waits go on without it");
            waiting.over = true;
            waiting.sleepers.clear();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn all_are_woken_in_their_order_and_an_earlier_one_is_not_held_up() {
        let alarm = Alarm::start().unwrap();
        let began = boottime();
        let at = |millis| began + Duration::from_millis(millis);
        let mut waits = Vec::new();
        for millis in [80, 20, 50, 20] {
            waits.push((at(millis), alarm.at(at(millis)).unwrap()));
        }
        waits.sort_by_key(|(at, _)| *at);
        for (at, wait) in waits {
            wait.await.unwrap();
            assert!(boottime() >= at);
        }
        assert!(alarm.0.waiting().sleepers.is_empty());
    }

    #[tokio::test]
    async fn who_waits_no_longer_leaves_room() {
        let alarm = Alarm::start().unwrap();
        let hour = boottime() + Duration::from_hours(1);
        for _ in 0..100 {
            drop(alarm.at(hour).unwrap());
        }
        assert_eq!(alarm.0.waiting().sleepers.len(), 1);
    }

    #[tokio::test]
    async fn its_end_is_told_to_who_waits_and_ends_the_thread() {
        let alarm = Alarm::start().unwrap();
        let wait = alarm.at(Moment(Duration::MAX)).unwrap();
        let shared = Arc::downgrade(&alarm.0);
        drop(alarm);
        assert!(wait.await.is_err());
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while shared.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "the thread did not end");
            std::thread::yield_now();
        }
    }
}
