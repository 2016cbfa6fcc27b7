//! One point of the exhaustive search, and every point that may come next.

use std::time::Duration;

use super::terms::{
    COOLDOWN, Fate, HORIZON, LONG_RETRY, LONGEST, Luck, MOST_IN_A_ROW, NOW, OnDisk, RETRY_AFTER, Retry, Step, events,
    policy,
};
use crate::lifecycle::lease::{FirstWait, Found, FoundLease, Lease, Phase};
use crate::lifecycle::outcome::TokenFailure;
use crate::lifecycle::slot::{Action, Event, Slot, State};
use crate::lifecycle::tests::planted::{Plant, first_wait};
use crate::lifecycle::time::{BootId, Moment};

/// One point of the search.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    plant: Plant,
    slot: Option<Slot>,
    disk: OnDisk,
    /// A write under way that nobody waits for.
    writing: Option<OnDisk>,
    /// The kernel names this boot.
    named: bool,
    /// An attempt or a connection is under way.
    on_air: bool,
    /// Ticks that must pass until the cooldown after the last end is over.
    cooling: u8,
    /// Ticks that must pass until the wait of this slot is over.
    owed: u8,
    /// Ticks that must pass until the wait that was announced last is over; a lease may tell of it.
    announced: u8,
    /// At most so many may pass until a wait is over.
    owed_at_most: u8,
    retry: Retry,
    /// Ticks until another token retry may be granted.
    retry_cooling: u8,
}

pub type Verdict<T> = Result<T, String>;

impl Point {
    pub const fn first(plant: Plant) -> Self {
        Self {
            plant,
            slot: None,
            disk: OnDisk::Nothing,
            writing: None,
            named: true,
            on_air: false,
            cooling: 0,
            owed: 0,
            announced: 0,
            owed_at_most: 0,
            retry: Retry::No,
            retry_cooling: 0,
        }
    }

    fn later(&self) -> Self {
        let mut point = self.clone();
        for lease in [Some(&mut point.disk), point.writing.as_mut()].into_iter().flatten() {
            if let OnDisk::Closed { left, .. } = lease {
                *left = left.saturating_sub(1);
            }
        }
        point.cooling = point.cooling.saturating_sub(1);
        point.owed = point.owed.saturating_sub(1);
        point.announced = point.announced.saturating_sub(1);
        point.owed_at_most = point.owed_at_most.saturating_sub(1);
        point.retry_cooling = point.retry_cooling.saturating_sub(1);
        point.slot = self
            .slot
            .as_ref()
            .map(|slot| rebased(slot, NOW + Duration::from_secs(1)));
        point
    }

    /// The attempt or connection is over.
    fn over(&mut self) {
        if std::mem::take(&mut self.on_air) {
            self.cooling = COOLDOWN;
        }
    }

    /// The daemon dies; the write under way is done, or lost.
    fn dead(&self, written: bool) -> Self {
        let mut point = self.clone();
        if written {
            point.writing_lands();
        }
        point.writing = None;
        point.panicked()
    }

    /// The task dies, and the daemon lives on: so does the write under way.
    fn panicked(mut self) -> Self {
        self.over();
        self.slot = None;
        self.retry = Retry::No;
        self.owed = 0;
        self
    }

    fn writing_lands(&mut self) {
        if let Some(lease) = self.writing.take() {
            self.disk = lease;
        }
    }

    /// A new wait is announced: no lease tells of it yet.
    fn forget(&mut self) {
        for lease in [Some(&mut self.disk), self.writing.as_mut()].into_iter().flatten() {
            if let OnDisk::Closed { remembered, .. } = lease {
                *remembered = false;
            }
        }
    }

    fn found(&self) -> Found {
        let boot = |foreign: bool| BootId::known(if foreign { "another" } else { "this" });
        let (phase, left, whole, failures, foreign) = match self.disk {
            OnDisk::Nothing => return Found::Nothing,
            OnDisk::Garbage => return Found::Unreadable,
            OnDisk::Open { phase, failures } => (phase, 0, 0, failures, false),
            OnDisk::Closed {
                left,
                whole,
                failures,
                foreign,
                ..
            } => (Phase::Closed, left, whole, failures, foreign),
        };
        let not_before = NOW + Duration::from_secs(left.into());
        Found::Lease(FoundLease {
            lease: Lease {
                phase,
                not_before,
                failures,
            },
            boot: boot(foreign),
            written: Moment(not_before.0.saturating_sub(Duration::from_secs(whole.into()))),
        })
    }

    fn store(&mut self, lease: Lease, fate: Fate) {
        let ticks = |wait: Duration| wait.as_secs().min(LONGEST.into()) as u8;
        let failures = lease.failures.min(MOST_IN_A_ROW);
        let left = ticks(lease.not_before.since(NOW));
        let content = match lease.phase {
            Phase::Connecting | Phase::Streaming => OnDisk::Open {
                phase: lease.phase,
                failures,
            },
            Phase::Closed => OnDisk::Closed {
                left,
                whole: left,
                failures,
                foreign: !self.named,
                remembered: self.named,
            },
        };
        // In order: what was asked for before is done first.
        self.writing_lands();
        match fate {
            Fate::Lands => self.disk = content,
            Fate::Fails => {}
            Fate::IsSlow => self.writing = Some(content),
        }
    }

    fn start(&self) -> (Self, Vec<Action>) {
        let mut point = self.clone();
        let boot = if self.named {
            BootId::known("this")
        } else {
            BootId::unknown()
        };
        let first = first_wait(self.plant, &policy(), &self.found(), NOW, &boot);
        let (slot, actions) = Slot::start(policy(), first, NOW, 0);
        point.slot = Some(slot);
        (point.owed, point.owed_at_most) = match self.disk {
            OnDisk::Nothing => (0, 0),
            OnDisk::Garbage | OnDisk::Open { .. } => (COOLDOWN, COOLDOWN),
            OnDisk::Closed { whole, foreign, .. } if foreign || !self.named => (COOLDOWN, whole.max(COOLDOWN)),
            OnDisk::Closed {
                left,
                remembered: false,
                ..
            } => (0, left),
            OnDisk::Closed {
                left, remembered: true, ..
            } => (self.announced, left.max(self.announced)),
        };
        if !matches!(self.disk, OnDisk::Closed { remembered: true, .. }) {
            point.forget();
        }
        point.announced = point.owed;
        (point, actions)
    }

    /// The slot hears of the event, and says what to do.
    fn tell(&self, event: Event) -> Verdict<(Self, Vec<Action>)> {
        let mut point = self.clone();
        point.hear(&event)?;
        let Some(slot) = &mut point.slot else {
            return Ok((point, Vec::new()));
        };
        let actions = match (self.plant, event) {
            (Plant::NoWaitAfterTheEnd, Event::Ended(_)) => {
                let (without, actions) = Slot::start(policy(), FirstWait::none(NOW), NOW, 0);
                *slot = without;
                actions
            }
            (_, event) => slot.handle(NOW, event),
        };
        Ok((point, actions))
    }

    fn tell_and_do(&self, event: Event) -> Verdict<Self> {
        let (point, actions) = self.tell(event)?;
        point.carry_out(actions, Luck::FINE)
    }

    /// What the event means, by the rules and not by the machine.
    fn hear(&mut self, event: &Event) -> Verdict<()> {
        let waits = match event {
            Event::Tick | Event::TokenReady | Event::LeaseStored | Event::Streaming => return Ok(()),
            Event::LeaseNotStored | Event::TokenFailed(TokenFailure::Unavailable(_)) => {
                self.retry = Retry::No;
                return Ok(());
            }
            Event::Unreached(_) => {
                self.on_air = false;
                self.retry = Retry::No;
                return Ok(());
            }
            Event::TokenFailed(TokenFailure::Refused { .. }) => {
                self.retry = Retry::No;
                self.owed_at_most = self.owed_at_most.max(LONG_RETRY);
                return Ok(());
            }
            Event::Stop => {
                self.over();
                if self.cooling > self.owed {
                    self.announce(self.cooling, COOLDOWN);
                }
                return Ok(());
            }
            Event::Answered(refusal) if refusal.status == 401 && self.retry == Retry::No => {
                if self.retry_cooling > 0 {
                    return Err("a second 401 so soon should not be possible".to_owned());
                }
                self.over();
                self.retry = Retry::Granted;
                self.retry_cooling = COOLDOWN;
                (COOLDOWN, COOLDOWN)
            }
            Event::Answered(refusal) => {
                self.over();
                self.retry = Retry::No;
                match (refusal.status, refusal.retry_after) {
                    (_, Some(_)) => (RETRY_AFTER, RETRY_AFTER),
                    (404, None) => (LONG_RETRY, LONG_RETRY),
                    (503, None) => (COOLDOWN, HORIZON),
                    (_, None) => (COOLDOWN, COOLDOWN),
                }
            }
            Event::Lost(_) | Event::Ended(_) => {
                self.over();
                self.retry = Retry::No;
                (COOLDOWN, COOLDOWN)
            }
        };
        self.announce(waits.0, waits.1);
        Ok(())
    }

    fn announce(&mut self, least: u8, most: u8) {
        self.owed = least;
        self.announced = least;
        self.owed_at_most = most;
        self.forget();
    }

    fn carry_out(mut self, actions: Vec<Action>, luck: Luck) -> Verdict<Self> {
        for (at, action) in actions.into_iter().enumerate() {
            if luck.dies_before == Some(at) {
                return Ok(self.dead(true));
            }
            match action {
                // An open lease lands, or not, when the store reports.
                Action::StoreLease(lease) if lease.phase == Phase::Connecting => {}
                Action::StoreLease(lease) => self.store(lease, luck.write),
                Action::Report(_) | Action::WaitUntil(_) | Action::FetchToken { .. } => {}
                Action::Connect => self.connect()?,
            }
        }
        self.slot = self.slot.as_ref().map(|slot| rebased(slot, NOW));
        Ok(self)
    }

    fn connect(&mut self) -> Verdict<()> {
        let open = matches!(
            self.disk,
            OnDisk::Open {
                phase: Phase::Connecting,
                ..
            }
        );
        if !open {
            return Err("a connect without a durable lease".to_owned());
        }
        if self.on_air {
            return Err("a connect while a connection is open".to_owned());
        }
        self.on_air = true;
        if self.retry == Retry::Granted {
            self.retry = Retry::Used;
            return Ok(());
        }
        if self.cooling > 0 || self.owed > 0 {
            return Err(format!("a connect {} and {} ticks too early", self.cooling, self.owed));
        }
        Ok(())
    }

    /// The open lease that the machine has asked for lands on disk.
    fn open_lands(&self) -> Self {
        let failures = self.slot.as_ref().map_or(0, Slot::failures).min(MOST_IN_A_ROW);
        let mut point = self.clone();
        point.writing = None;
        point.disk = OnDisk::Open {
            phase: Phase::Connecting,
            failures,
        };
        point
    }

    /// Every point that may come next.
    pub fn steps(&self) -> Verdict<Vec<(Step, Self)>> {
        let mut steps = vec![(Step::TimePasses, self.later())];
        if self.writing.is_some() {
            let mut landed = self.clone();
            landed.writing_lands();
            steps.push((Step::SlowWriteLands, landed));
            let mut failed = self.clone();
            failed.writing = None;
            steps.push((Step::SlowWriteFails, failed));
            steps.push((Step::Death { written: false }, self.dead(false)));
        }
        let Some(slot) = &self.slot else {
            self.steps_while_nothing_runs(&mut steps)?;
            return Ok(steps);
        };
        steps.push((Step::Panic, self.clone().panicked()));
        steps.push((Step::Death { written: true }, self.dead(true)));
        for event in events(slot.state()) {
            self.steps_by(&event, false, &mut steps)?;
        }
        if matches!(slot.state(), State::Leasing { .. }) {
            let landed = self.open_lands();
            landed.steps_by(&Event::LeaseStored, true, &mut steps)?;
            // A write that failed, and left the new lease behind all the same.
            landed.steps_by(&Event::LeaseNotStored, true, &mut steps)?;
            steps.push((Step::OpenLeaseLandsAndDeath, landed.dead(true)));
        }
        Ok(steps)
    }

    fn steps_while_nothing_runs(&self, steps: &mut Vec<(Step, Self)>) -> Verdict<()> {
        let (started, actions) = self.start();
        for luck in Luck::with(&actions) {
            steps.push((Step::Start(luck), started.clone().carry_out(actions.clone(), luck)?));
        }
        for named in [true, false] {
            steps.push((Step::Reboot { named }, self.rebooted(named)));
        }
        if self.disk != OnDisk::Nothing {
            let mut spoilt = self.clone();
            spoilt.disk = OnDisk::Garbage;
            steps.push((Step::LeaseSpoilt, spoilt));
        }
        Ok(())
    }

    fn steps_by(&self, event: &Event, landed: bool, steps: &mut Vec<(Step, Self)>) -> Verdict<()> {
        let (told, actions) = self.tell(event.clone())?;
        for luck in Luck::with(&actions) {
            let step = Step::Event {
                event: event.clone(),
                landed,
                luck,
            };
            steps.push((step, told.clone().carry_out(actions.clone(), luck)?));
        }
        Ok(())
    }

    fn rebooted(&self, named: bool) -> Self {
        let mut point = self.dead(false);
        point.named = named;
        point.forget();
        if let OnDisk::Closed {
            left, whole, foreign, ..
        } = &mut point.disk
        {
            *left = 0;
            *whole = (*whole).max(COOLDOWN);
            *foreign = true;
        }
        point
    }

    /// If all goes well from here: the stream streams within the cooldown and two seconds of the moment it may.
    pub fn comes_up(&self) -> Verdict<()> {
        let mut point = self.clone();
        if point.slot.as_ref().is_none_or(|slot| *slot.state() == State::Stopped) {
            let (started, actions) = point.dead(true).start();
            point = started.carry_out(actions, Luck::FINE)?;
        }
        let mut left = point.owed_at_most.max(point.owed).max(point.cooling) + COOLDOWN + 2;
        for _ in 0..100 {
            let Some(slot) = &point.slot else {
                return Err("nothing runs".to_owned());
            };
            point = match slot.state() {
                State::Streaming { .. } => return Ok(()),
                State::Waiting { until, .. } if *until > NOW => {
                    let Some(less) = left.checked_sub(1) else {
                        return Err("does not stream in time".to_owned());
                    };
                    left = less;
                    point.later()
                }
                State::Waiting { .. } => point.tell_and_do(Event::Tick)?,
                State::Authorizing { .. } => point.tell_and_do(Event::TokenReady)?,
                State::Leasing { .. } => point.open_lands().tell_and_do(Event::LeaseStored)?,
                State::Connecting { .. } => point.tell_and_do(Event::Streaming)?,
                State::Stopped => return Err("stopped by itself".to_owned()),
            };
        }
        Err("a dead end".to_owned())
    }
}

fn rebased(slot: &Slot, now: Moment) -> Slot {
    thread_local! {
        static HASTIEST: u64 = Slot::hastiest_seed();
    }
    slot.rebased(now, NOW, HASTIEST.with(|seed| *seed), MOST_IN_A_ROW)
}
