//! The driver: carries out what the machine says, in its order, and asks the disk, the token endpoint and the service.

use std::time::Duration;

use super::{Outcome, Request, World, secs};
use crate::lifecycle::lease::{Lease, Phase};
use crate::lifecycle::slot::Action;
use crate::lifecycle::tests::coverage::FaultKind;
use crate::lifecycle::tests::disk::Fate;
use crate::lifecycle::tests::service::{self, Answer};
use crate::lifecycle::tests::truth::{Rule, broken};

impl World<'_> {
    pub(super) fn carry_out(&mut self, actions: Vec<Action>) -> Outcome {
        for action in actions {
            if self.troubled() && self.chance.one_in(150) {
                self.coverage.fault(FaultKind::KilledBetweenActions);
                self.note(|| format!("killed before {action:?}"));
                self.die();
                return Ok(());
            }
            if self.troubled() && self.chance.one_in(150) {
                self.coverage.fault(FaultKind::FrozenBetweenActions);
                self.freeze();
            }
            self.note(|| format!("   {action:?}"));
            match action {
                Action::Report(_) => {}
                Action::WaitUntil(until) => {
                    let real = self.boot.real(until);
                    if let Some(daemon) = &mut self.daemon {
                        daemon.timer = Some(until);
                        if let Some(bounds) = daemon.bounds.take() {
                            self.judge(bounds.check(real))?;
                        }
                    }
                }
                Action::FetchToken { .. } => self.fetch_token()?,
                Action::StoreLease(lease) => self.store(lease)?,
                Action::Connect => self.connect()?,
            }
        }
        match &self.daemon {
            Some(daemon) if daemon.bounds.is_some() => {
                let text = format!("no wait begins, but {:?}", daemon.subject.state());
                self.judge(broken(Rule::WaitLength, text))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn fetch_token(&mut self) -> Outcome {
        let (takes, outcome) = if self.troubled() {
            let takes = self.chance.pick(&[secs(0), secs(1), secs(1), secs(30), secs(300)]);
            if takes > secs(10) {
                self.coverage.fault(FaultKind::SlowToken);
            }
            (self.chance.upto(takes), service::token(&mut self.chance))
        } else {
            (Duration::from_millis(200), Ok(()))
        };
        let due = self.real + takes;
        self.request(Request::Token { due, outcome })
    }

    fn store(&mut self, lease: Lease) -> Outcome {
        let (takes, fate) = if self.troubled() {
            let takes = self.chance.pick(&[secs(0), secs(0), secs(1), secs(20)]);
            if takes > secs(10) {
                self.coverage.fault(FaultKind::SlowDisk);
            }
            let fates = [
                Fate::Lands,
                Fate::Lands,
                Fate::Lands,
                Fate::Lands,
                Fate::Fails,
                Fate::FailsButLands,
            ];
            (self.chance.upto(takes), self.chance.pick(&fates))
        } else {
            (Duration::from_millis(50), Fate::Lands)
        };
        match fate {
            Fate::Lands => {}
            Fate::Fails => self.coverage.fault(FaultKind::WriteFailed),
            Fate::FailsButLands => self.coverage.fault(FaultKind::WriteFailedButLanded),
        }
        let serial = self.disk.write(lease, &self.boot, self.real, takes, fate);
        match lease.phase {
            Phase::Connecting => {
                self.open_lease = Some(serial);
                self.request(Request::Lease { serial })
            }
            Phase::Streaming => Ok(()),
            Phase::Closed => {
                self.last_close = Some(serial);
                Ok(())
            }
        }
    }

    fn connect(&mut self) -> Outcome {
        let (takes, answer) = if self.troubled() {
            service::answer(&mut self.chance, self.coverage)
        } else {
            (Duration::from_millis(300), Answer::Streams(secs(86_400)))
        };
        let durable = self
            .open_lease
            .take()
            .is_some_and(|serial| self.disk.is_durably_open(serial));
        let reaches = !matches!(answer, Answer::Unreached);
        if !durable {
            let text = "no open lease for this attempt is durable".to_owned();
            self.judge(broken(Rule::LeaseFirst, text))?;
        }
        let verdict = self.truth.connect(self.real, reaches);
        self.judge(verdict)?;
        let due = self.real + takes;
        self.request(Request::Attempt { due, answer })
    }

    fn request(&mut self, request: Request) -> Outcome {
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        if let Some(other) = &daemon.request {
            let text = format!("{request:?} beside {other:?}");
            return self.judge(broken(Rule::OneAtATime, text));
        }
        daemon.request = Some(request);
        Ok(())
    }
}
