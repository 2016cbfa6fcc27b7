//! What goes wrong around the slot, other than the answers it gets: deaths, reboots, stops, frozen daemons, spoilt leases, strays.

use super::{Outcome, World, secs};
use crate::lifecycle::lease::{FoundLease, Phase};
use crate::lifecycle::slot::{Event, State};
use crate::lifecycle::tests::coverage::FaultKind;
use crate::lifecycle::tests::disk::{Boot, Content};
use crate::lifecycle::tests::service;
use crate::lifecycle::tests::truth::{Rule, broken};
use crate::lifecycle::time::{BootId, Moment};

impl World<'_> {
    /// What happens while no daemon runs.
    pub(super) fn between_runs(&mut self) {
        self.pass();
        if self.chance.one_in(10) {
            self.damage_the_lease();
        }
        if self.chance.one_in(5) {
            self.reboot();
        }
    }

    fn pass(&mut self) {
        let most = self
            .chance
            .pick(&[secs(0), secs(1), secs(10), secs(60), secs(70), secs(900)]);
        self.real += self.chance.upto(most);
    }

    fn reboot(&mut self) {
        self.boots += 1;
        let elsewhere = self.chance.one_in(2);
        let base = if elsewhere {
            self.coverage.fault(FaultKind::MovedToAnotherHost);
            let bases = [secs(0), secs(90), secs(3_700), secs(200 * 86_400)];
            self.chance.pick(&bases)
        } else {
            self.coverage.fault(FaultKind::PowerLost);
            if self.disk.power_lost(&mut self.chance) {
                self.coverage.fault(FaultKind::WriteLostWithThePower);
            }
            secs(5)
        };
        let nameless = self.chance.one_in(4);
        if nameless {
            self.coverage.fault(FaultKind::BootWithoutName);
        }
        self.boot = Boot {
            id: if nameless {
                BootId::unknown()
            } else {
                BootId::known(&format!("boot {}", self.boots))
            },
            began: self.real,
            base,
        };
        let boot = self.boot.id.to_string();
        self.note(|| format!("boot {boot} counts from {base:?}"));
    }

    /// Something happens out of turn.
    pub(super) fn calamity(&mut self) -> Outcome {
        match self.chance.below(12) {
            1 => {
                self.note(|| "killed".to_owned());
                self.coverage.fault(FaultKind::Killed);
                self.die();
                Ok(())
            }
            2 => {
                self.note(|| "the host goes down".to_owned());
                self.die();
                self.pass();
                self.reboot();
                Ok(())
            }
            3 => {
                self.note(|| "the task panics".to_owned());
                self.coverage.fault(FaultKind::TaskPanicked);
                self.truth.over(self.real);
                self.start()
            }
            4 => {
                self.coverage.fault(FaultKind::SlotTakenAndGivenBack);
                self.stop()?;
                self.start_if_alive()
            }
            5 => {
                self.coverage.fault(FaultKind::Stopped);
                self.stop()?;
                while self.disk.next_due().is_some() {
                    self.write_ends()?;
                }
                self.die();
                Ok(())
            }
            6 => {
                self.coverage.fault(FaultKind::KilledWhileStopping);
                self.stop()?;
                self.die();
                Ok(())
            }
            7 => {
                self.coverage.fault(FaultKind::Frozen);
                self.freeze();
                Ok(())
            }
            8 => {
                self.coverage.fault(FaultKind::WallClockJumped);
                self.wall = self.wall.wrapping_add(self.chance.draw().cast_signed());
                Ok(())
            }
            9 => {
                self.damage_the_lease();
                Ok(())
            }
            10 | 11 if matches!(self.state(), Some(State::Waiting { .. })) => {
                self.coverage.fault(FaultKind::TickTooEarly);
                if let Some(daemon) = &mut self.daemon {
                    daemon.timer = None;
                }
                self.tell(Event::Tick)
            }
            // And 0, the tamest.
            _ => self.stray(),
        }
    }

    /// An event that does not fit the state, such as one that comes late.
    fn stray(&mut self) -> Outcome {
        let event = service::any_event(&mut self.chance);
        let now = self.boot.moment(self.real);
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let state = daemon.subject.state().clone();
        if service::fits(&state, &event) {
            return Ok(());
        }
        self.coverage.fault(FaultKind::StrayEvent);
        let text = format!("{event:?} in {state:?}");
        let actions = daemon.subject.handle(now, event);
        let changed = !actions.is_empty() || *daemon.subject.state() != state;
        self.note(|| format!("stray {text}"));
        if changed {
            self.judge(broken(Rule::StraysIgnored, text))?;
            return self.carry_out(actions);
        }
        Ok(())
    }

    fn stop(&mut self) -> Outcome {
        self.truth.over(self.real);
        if let Some(daemon) = &mut self.daemon {
            daemon.request = None;
            daemon.timer = None;
        }
        self.linger();
        self.tell(Event::Stop)?;
        self.stray()
    }

    fn start_if_alive(&mut self) -> Outcome {
        if self.daemon.is_some() { self.start() } else { Ok(()) }
    }

    /// The daemon ends, here and now, and every connection with it.
    pub(super) fn die(&mut self) {
        if let Some(
            State::Authorizing { retry: true, .. }
            | State::Leasing { retry: true, .. }
            | State::Connecting { retry: true, .. },
        ) = self.state()
        {
            self.coverage.fault(FaultKind::KilledWhileRetryingTheToken);
        }
        self.truth.over(self.real);
        self.daemon = None;
        if self.disk.writer_died(&mut self.chance) {
            self.coverage.fault(FaultKind::WriteLostWithTheDaemon);
        }
    }

    /// Time passes, and the daemon sees nothing of it.
    pub(super) fn freeze(&mut self) {
        let most = self.chance.pick(&[secs(0), secs(5), secs(40), secs(70), secs(4_000)]);
        let frozen = self.chance.upto(most);
        self.note(|| format!("frozen for {frozen:?}"));
        self.real += frozen;
    }

    /// What an event may take from where it happened to where it is heard.
    pub(super) fn linger(&mut self) {
        if self.troubled() && self.chance.one_in(4) {
            self.real += self.chance.upto(secs(1));
        }
    }

    /// The lease is spoilt: beyond reading, or with numbers that nobody wrote. It never says less than is owed: against a lease
    /// that claims to be over nothing helps.
    fn damage_the_lease(&mut self) {
        let Content::Lease { mut found, serial } = self.disk.visible().clone() else {
            return;
        };
        let FoundLease { lease, boot, written } = &mut found;
        let far = Moment(std::time::Duration::MAX);
        // Lease number 0: the last word of the machine is gone.
        let mut serial = serial;
        let kind = self.chance.below(7);
        if kind > 0 {
            serial = 0;
        }
        match kind {
            1 => lease.failures = u32::MAX,
            2 => {
                lease.phase = Phase::Closed;
                *boot = BootId::known("nobody's");
                *written = Moment::default();
                lease.not_before = far;
            }
            3 => {
                *written = far;
                lease.phase = Phase::Closed;
            }
            4 => {
                lease.phase = Phase::Streaming;
                lease.not_before = far;
                *written = far;
            }
            5 if lease.phase == Phase::Closed => lease.not_before = far,
            6 => *written = Moment::default(),
            _ => {
                self.coverage.fault(FaultKind::LeaseUnreadable);
                self.note(|| "the lease becomes unreadable".to_owned());
                self.disk.overwrite(Content::Garbage);
                return;
            }
        }
        let fault = if kind == 1 {
            FaultKind::AbsurdFailures
        } else {
            FaultKind::LeaseDamaged
        };
        self.coverage.fault(fault);
        self.note(|| format!("the lease is damaged: {found:?}"));
        self.disk.overwrite(Content::Lease { found, serial });
    }
}
