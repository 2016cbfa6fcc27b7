//! The world around one slot: hosts, boots, a disk, a driver, a token endpoint and the Live Stream service, in virtual time.
//!
//! Everything that can go wrong does so by [`Chance`], most of it in [`trouble`]; [`Truth`] watches. The [`driver`] does what
//! `slot.rs` asks of one: it carries out actions in their order, one after another, and reports each outcome once. It may be
//! killed or frozen between any two of them. Promise: a history depends on its tape alone.

mod driver;
mod trouble;

use std::time::Duration;

use super::chance::Chance;
use super::coverage::{Coverage, EventKind, FaultKind, StartKind, StateKind};
use super::disk::{Boot, Content, Disk};
use super::planted::{Plant, Subject};
use super::service::{self, Answer};
use super::truth::{Bounds, Real, Rule, Truth, Violation, broken};
use crate::lifecycle::lease::{Lease, Phase};
use crate::lifecycle::outcome::{Lost, Refusal, TokenFailure, Unreached};
use crate::lifecycle::slot::{Action, Event, State};
use crate::lifecycle::time::{BootId, Moment};
use crate::lifecycle::wait::Policy;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What the driver waits for. There is one at a time.
#[derive(Clone, Debug)]
enum Request {
    Token {
        due: Real,
        outcome: Result<(), TokenFailure>,
    },
    Lease {
        serial: u64,
    },
    Attempt {
        due: Real,
        answer: Answer,
    },
    Stream {
        due: Real,
    },
}

/// A daemon that runs, with the driver of our slot in it.
struct Daemon {
    subject: Subject,
    request: Option<Request>,
    /// The timer: the machine's own word, in the time of the boot.
    timer: Option<Moment>,
    /// The bounds of the wait that the machine must now announce.
    bounds: Option<Bounds>,
}

impl Daemon {
    /// When the request is answered; a lease is when the disk says so.
    const fn request_due(&self) -> Option<Real> {
        match &self.request {
            Some(Request::Token { due, .. } | Request::Attempt { due, .. } | Request::Stream { due }) => Some(*due),
            Some(Request::Lease { .. }) | None => None,
        }
    }
}

/// What comes next by itself.
#[derive(Clone, Copy)]
enum Next {
    Disk,
    Request,
    Timer,
}

/// The world.
pub struct World<'a> {
    chance: Chance,
    coverage: &'a mut Coverage,
    log: Option<Vec<String>>,
    /// The rules to be judged; all if empty.
    judged: &'a [Rule],
    plant: Plant,
    policy: Policy,
    real: Real,
    /// The wall clock. It leaps, and nothing here reads it.
    wall: i64,
    boot: Boot,
    boots: u32,
    disk: Disk,
    /// The last open lease that was asked for, if no connect has used it yet.
    open_lease: Option<u64>,
    /// The closed lease that tells of the present wait, once it was asked for.
    last_close: Option<u64>,
    daemon: Option<Daemon>,
    truth: Truth,
    /// Since when nothing new goes wrong, if so.
    healthy_since: Option<Real>,
}

type Outcome = Result<(), Violation>;

impl<'a> World<'a> {
    pub fn new(mut chance: Chance, plant: Plant, judged: &'a [Rule], coverage: &'a mut Coverage, traced: bool) -> Self {
        let policy = service::policy(&mut chance);
        let base = chance.pick(&[secs(100), Duration::ZERO, secs(100 * 86_400)]);
        Self {
            coverage,
            log: traced.then(Vec::new),
            judged,
            plant,
            truth: Truth::new(policy.clone()),
            policy,
            real: Duration::ZERO,
            wall: 0,
            boot: Boot {
                id: BootId::known("boot 0"),
                began: Duration::ZERO,
                base,
            },
            boots: 0,
            disk: Disk::empty(),
            open_lease: None,
            last_close: None,
            daemon: None,
            healthy_since: None,
            chance,
        }
    }

    /// Lives through a few spells of trouble, and wants the stream to stream after each.
    pub fn live(&mut self) -> Outcome {
        let spells = 1 + self.chance.below(3);
        for _ in 0..spells {
            self.healthy_since = None;
            let steps = 4 + self.chance.below(24);
            for _ in 0..steps {
                self.step()?;
            }
            self.heal()?;
        }
        Ok(())
    }

    /// What was drawn, and what happened if it was to be remembered.
    pub fn into_record(self) -> (Vec<u64>, Vec<String>) {
        (self.chance.into_tape(), self.log.unwrap_or_default())
    }

    fn step(&mut self) -> Outcome {
        if self.daemon.is_none() {
            self.between_runs();
            return self.start();
        }
        let (due, next) = self.next()?;
        if self.chance.one_in(6) {
            let until_then = due.saturating_sub(self.real);
            self.real += self.chance.upto(until_then);
            return self.calamity();
        }
        self.come(due, next)
    }

    /// From now on all is well: the service accepts, tokens are given, the disk writes, and the daemon runs.
    fn heal(&mut self) -> Outcome {
        self.note(|| "-- from here on all is well".to_owned());
        let since = self.real;
        self.healthy_since = Some(since);
        if self.stopped() {
            self.die();
        }
        if self.daemon.is_none() {
            self.start()?;
        }
        // What is under way was begun in bad times: it may yet be slow, or fail.
        let writes = self.disk.last_due();
        let request = self.daemon.as_ref().and_then(Daemon::request_due);
        for due in [writes, request].into_iter().flatten() {
            self.truth.delayed_until(due);
        }
        while !matches!(self.state(), Some(State::Streaming { .. })) {
            let (due, next) = self.next()?;
            let deadline = self.truth.deadline(since);
            if due.max(self.real) > deadline {
                let text = format!("does not stream by {deadline:?}; the next thing comes at {due:?}");
                return broken(Rule::Alive, text);
            }
            self.come(due, next)?;
        }
        Ok(())
    }

    fn next(&self) -> Result<(Real, Next), Violation> {
        let Some(daemon) = &self.daemon else {
            return broken(Rule::Alive, "nothing runs".to_owned());
        };
        let timer = daemon.timer.map(|until| self.boot.real(until));
        let dues = [
            self.disk.next_due().map(|due| (due, Next::Disk)),
            daemon.request_due().map(|due| (due, Next::Request)),
            timer.map(|due| (due, Next::Timer)),
        ];
        match dues.into_iter().flatten().min_by_key(|(due, _)| *due) {
            Some(next) => Ok(next),
            None => broken(Rule::Alive, format!("a dead end: {:?}", daemon.subject.state())),
        }
    }

    fn come(&mut self, due: Real, next: Next) -> Outcome {
        self.real = self.real.max(due);
        match next {
            Next::Disk => self.write_ends(),
            Next::Timer => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.timer = None;
                }
                self.tell(Event::Tick)
            }
            Next::Request => match self.daemon.as_mut().and_then(|daemon| daemon.request.take()) {
                Some(Request::Token { outcome: Ok(()), .. }) => self.tell(Event::TokenReady),
                Some(Request::Token {
                    outcome: Err(failure), ..
                }) => self.tell(Event::TokenFailed(failure)),
                Some(Request::Attempt { answer, due }) => self.attempt_ends(answer, due),
                Some(Request::Stream { .. }) => {
                    let reason = service::end_reason(&mut self.chance);
                    self.truth.over(self.real);
                    self.linger();
                    self.tell(Event::Ended(reason))
                }
                Some(Request::Lease { .. }) | None => Ok(()),
            },
        }
    }

    fn write_ends(&mut self) -> Outcome {
        let Some(written) = self.disk.finish_one() else {
            return Ok(());
        };
        self.note(|| {
            format!(
                "   disk: lease {} {}",
                written.serial,
                if written.stored { "durable" } else { "failed" }
            )
        });
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        if matches!(daemon.request, Some(Request::Lease { serial }) if serial == written.serial) {
            daemon.request = None;
            let event = if written.stored {
                Event::LeaseStored
            } else {
                Event::LeaseNotStored
            };
            return self.tell(event);
        }
        Ok(())
    }

    fn attempt_ends(&mut self, answer: Answer, due: Real) -> Outcome {
        if self.real > due {
            self.coverage.fault(FaultKind::HeadLateAfterFreeze);
        }
        let event = match answer {
            Answer::Streams(lasts) => {
                let lasts = if self.healthy_since.is_some() {
                    secs(86_400)
                } else {
                    lasts
                };
                if let Some(daemon) = &mut self.daemon {
                    daemon.request = Some(Request::Stream { due: self.real + lasts });
                }
                return self.tell(Event::Streaming);
            }
            Answer::Unreached => Event::Unreached(Unreached(String::new())),
            Answer::Lost(lost) => {
                if matches!(lost, Lost::RedirectHop(_) | Lost::RedirectRefused(_)) {
                    self.coverage.fault(FaultKind::RedirectHops);
                }
                Event::Lost(lost)
            }
            Answer::Refuses(refusal) => {
                self.note_retry_after(&refusal);
                Event::Answered(refusal)
            }
        };
        self.truth.over(self.real);
        self.linger();
        self.tell(event)
    }

    /// Tells the machine, and does what it says.
    fn tell(&mut self, event: Event) -> Outcome {
        let now = self.boot.moment(self.real);
        let Some(daemon) = &mut self.daemon else {
            return Ok(());
        };
        let bounds = self.truth.told(self.real, &event);
        daemon.bounds = bounds;
        if bounds.is_some() {
            self.last_close = None;
        }
        let may_wait = bounds.is_some() || event == Event::Tick;
        let before = StateKind::of(daemon.subject.state());
        let early = matches!(daemon.subject.state(), State::Waiting { until, .. } if now < *until);
        let kind = EventKind::of(&event, early);
        let text = self.log.is_some().then(|| format!("{event:?}"));
        let actions = daemon.subject.handle(now, event);
        let after = StateKind::of(daemon.subject.state());
        if let Some(text) = text {
            self.note(|| format!("{text}: {before:?} -> {after:?}"));
        }
        self.coverage.transition((before, kind, after));
        if !may_wait && actions.iter().any(|action| matches!(action, Action::WaitUntil(_))) {
            self.judge(broken(Rule::WaitLength, format!("waits after {kind:?}")))?;
        }
        if bounds.is_some() && !closes(&actions) {
            self.judge(broken(
                Rule::WaitKept,
                format!("no lease tells of the wait after {kind:?}"),
            ))?;
        }
        self.carry_out(actions)
    }

    /// A new slot, from what is on disk.
    fn start(&mut self) -> Outcome {
        let now = self.boot.moment(self.real);
        let content = self.disk.visible().clone();
        let (until, failures) = self.asked_by(&content, now);
        let kept =
            self.last_close.is_some_and(|serial| self.disk.holds_closed(serial)) && written_in(&content, &self.boot);
        if kept && self.truth.earliest() > self.real {
            self.coverage.fault(FaultKind::WaitRememberedAcrossRestart);
            if self.truth.earliest() > self.real + self.policy.cooldown * 3 {
                self.coverage.fault(FaultKind::LongRetryRememberedAcrossRestart);
            }
        }
        if !kept {
            self.last_close = None;
        }
        let seed = self.chance.draw();
        let found = content.found();
        let (subject, actions) = Subject::start(self.plant, self.policy.clone(), &found, now, &self.boot.id, seed);
        let boot = self.boot.id.to_string();
        self.note(|| format!("start in {boot} with {found:?}"));
        if let State::Waiting { why, .. } = subject.state()
            && let Some(kind) = StartKind::of(&found, why)
        {
            self.coverage.start(kind);
            // Written anew, or a daemon that dies again and again would wait ever longer.
            if matches!(kind, StartKind::LeaseOpen | StartKind::LeaseUnclear) && !closes(&actions) {
                self.judge(broken(
                    Rule::WaitKept,
                    format!("no lease tells of the wait after {found:?}"),
                ))?;
            }
        }
        let bounds = match self.truth.started(self.real, until, failures, kept) {
            Ok(bounds) => Some(bounds),
            Err(violation) => {
                self.judge(Err(violation))?;
                None
            }
        };
        self.daemon = Some(Daemon {
            subject,
            request: None,
            timer: None,
            bounds,
        });
        self.open_lease = None;
        self.carry_out(actions)
    }

    /// Until when a start now must wait for what is on disk, by the rules of section 1.
    fn asked_by(&self, content: &Content, now: Moment) -> (Real, u32) {
        let cooldown = self.policy.cooldown;
        let stretched = (cooldown * 3).min(self.policy.backfill_horizon);
        let longest = self.policy.long_retry.max(cooldown).max(stretched).max(secs(3600));
        let longest = longest + (longest / 4).min(secs(1));
        match content {
            Content::Nothing => (self.real, 0),
            Content::Garbage => (self.real + cooldown, 0),
            Content::Lease { found, .. } => {
                let Lease {
                    phase,
                    not_before,
                    failures,
                } = found.lease;
                let claimed = not_before.since(found.written);
                let whole = claimed.min(longest);
                let until = match phase {
                    Phase::Connecting | Phase::Streaming => self.real + cooldown,
                    Phase::Closed if written_in(content, &self.boot) && found.written <= now => {
                        // A second more is what a store may add by rounding; beyond that nobody wrote it.
                        if claimed <= longest + secs(1) {
                            self.boot.real(not_before)
                        } else {
                            self.boot.real(found.written + longest).max(self.real + cooldown)
                        }
                    }
                    Phase::Closed => self.real + whole.max(cooldown),
                };
                (until, failures)
            }
        }
    }

    fn note_retry_after(&mut self, refusal: &Refusal) {
        match refusal.retry_after {
            Some(wait) if wait > secs(3_600) => self.coverage.fault(FaultKind::AbsurdRetryAfter),
            Some(wait) if wait > self.policy.cooldown => self.coverage.fault(FaultKind::LongRetryAfter),
            Some(_) | None => {}
        }
    }

    fn troubled(&self) -> bool {
        self.healthy_since.is_none()
    }

    fn state(&self) -> Option<&State> {
        self.daemon.as_ref().map(|daemon| daemon.subject.state())
    }

    fn stopped(&self) -> bool {
        matches!(self.state(), Some(State::Stopped))
    }

    fn judge(&self, verdict: Outcome) -> Outcome {
        match verdict {
            Err(violation) if !self.judged.is_empty() && !self.judged.contains(&violation.rule) => Ok(()),
            verdict => verdict,
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.log.is_some() {
            let line = format!("{:>14.6} s  {}", self.real.as_secs_f64(), line());
            if let Some(log) = &mut self.log {
                log.push(line);
            }
        }
    }
}

/// Whether a lease is closed by these actions.
fn closes(actions: &[Action]) -> bool {
    let closes = |action: &Action| matches!(action, Action::StoreLease(lease) if lease.phase == Phase::Closed);
    actions.iter().any(closes)
}

fn written_in(content: &Content, boot: &Boot) -> bool {
    matches!(content, Content::Lease { found, .. } if found.boot.is_same_boot(&boot.id))
}
