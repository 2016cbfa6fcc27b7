//! The judge: what really happened between the daemon and the service, and what the protocol notes ask for, worked out anew.
//!
//! Promise: nothing here calls the code under test. Waits are computed from the status table and the rules of sections 1 and 4 of
//! the protocol notes, in the world's own time, which no restart, reboot or frozen daemon can bend.

use std::fmt;
use std::time::Duration;

use super::super::outcome::{Lost, Refusal, TokenFailure};
use super::super::slot::Event;
use super::super::wait::Policy;

/// Time since the world began. The daemon cannot see it.
pub type Real = Duration;

/// What "within cooldown + 2 s" allows for answers that take a moment, and for jitter.
const LEEWAY: Duration = Duration::from_secs(2);

/// What must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No two attempts that reach the service are closer than the cooldown after the end of the first, but for the token retry.
    Spacing,
    /// A token retry follows a 401 at once, and at most once per cooldown.
    OneTokenRetry,
    /// A connect goes out only after an open lease for this attempt is durable.
    LeaseFirst,
    /// A remembered or announced wait is waited out, over restarts too.
    WaitKept,
    /// A wait is as long as the rules say: jitter only adds, and a stretched cooldown stays under three minutes.
    WaitLength,
    /// One request at a time, and none while a connection is open.
    OneAtATime,
    /// Something is always under way, and the stream streams within cooldown + 2 s of the moment it may.
    Alive,
    /// An event that does not fit changes nothing.
    StraysIgnored,
}

/// A broken rule, and how.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// The bounds of a wait that begins now: from the first moment at which it may be over to the last.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub least: Real,
    pub most: Real,
}

/// What really happened, and what is owed.
pub struct Truth {
    policy: Policy,
    /// When the last attempt that reached the service ended.
    last_end: Option<Real>,
    on_air: bool,
    /// A 401 has granted one more attempt at once, and it has not been used.
    retry_granted: bool,
    /// The attempt under way is that one.
    retrying: bool,
    /// When the last token retry that reached the service went out.
    last_retry: Option<Real>,
    /// No connect before this for the sake of the service, or of a person who must mend something.
    owed: Real,
    /// The part of it that a restart must not shorten: what is owed to the service. A backoff, after a refused token too, is owed to
    /// nobody.
    lasting: Real,
    /// No connect before this, backoff included.
    earliest: Real,
    failures: u32,
    tries: u32,
    token_refusals: u32,
    /// When something last went wrong.
    trouble: Real,
}

impl Truth {
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            last_end: None,
            on_air: false,
            retry_granted: false,
            retrying: false,
            last_retry: None,
            owed: Duration::ZERO,
            lasting: Duration::ZERO,
            earliest: Duration::ZERO,
            failures: 0,
            tries: 0,
            token_refusals: 0,
            trouble: Duration::ZERO,
        }
    }

    /// The moment before which no connect may go out, as things stand.
    pub const fn earliest(&self) -> Real {
        self.earliest
    }

    /// A slot starts at `at`; what is on disk asks it to wait until `until`. If `kept`, the last wait that was announced is on
    /// disk, so that it must be known still.
    pub fn started(&mut self, at: Real, until: Real, failures: u32, kept: bool) -> Result<Bounds, Violation> {
        if kept && until < self.lasting && at < self.lasting {
            return broken(
                Rule::WaitKept,
                format!("the lease forgets the wait until {:?}", self.lasting),
            );
        }
        if kept && failures != self.failures {
            return broken(
                Rule::WaitKept,
                format!("the lease tells of {failures} refusals, not {}", self.failures),
            );
        }
        self.retry_granted = false;
        self.retrying = false;
        self.failures = failures;
        self.tries = 0;
        self.token_refusals = 0;
        self.delayed_until(at);
        self.owed = until.max(at);
        self.lasting = self.owed;
        self.earliest = self.owed;
        Ok(Bounds {
            least: self.owed,
            most: self.owed,
        })
    }

    /// The machine is told of `event`. The bounds of the wait that it must now begin, if any.
    pub fn told(&mut self, at: Real, event: &Event) -> Option<Bounds> {
        match event {
            Event::Tick | Event::LeaseStored | Event::Stop => None,
            Event::TokenReady => {
                self.token_refusals = 0;
                None
            }
            Event::TokenFailed(TokenFailure::Unavailable(_)) | Event::LeaseNotStored | Event::Unreached(_) => {
                self.delayed_until(at);
                self.retry_granted = false;
                self.tries += 1;
                let wait = doubled(Duration::from_secs(1), self.tries, self.policy.cooldown);
                let bounds = self.from(at, wait);
                self.earliest = bounds.least;
                Some(bounds)
            }
            Event::TokenFailed(TokenFailure::Refused { retry_after, .. }) => {
                self.delayed_until(at);
                self.retry_granted = false;
                self.tries += 1;
                self.token_refusals += 1;
                let longest = self.policy.long_retry.max(self.policy.cooldown);
                let wait = doubled(self.policy.cooldown, self.token_refusals, longest).max(sane(*retry_after));
                let bounds = self.from(at, wait);
                self.owed = bounds.least;
                self.earliest = bounds.least;
                Some(bounds)
            }
            Event::Lost(lost) => {
                self.failed(at);
                Some(self.owe(at, self.after_loss(lost)))
            }
            Event::Answered(refusal) if refusal.status == 401 && !self.retrying => {
                self.delayed_until(at);
                self.retry_granted = true;
                self.tries = 0;
                self.owed = at + self.policy.cooldown;
                self.lasting = self.owed;
                self.earliest = self.owed;
                None
            }
            Event::Answered(refusal) => {
                self.failed(at);
                Some(self.owe(at, self.after_refusal(refusal)))
            }
            Event::Streaming => {
                self.failures = 0;
                self.tries = 0;
                None
            }
            Event::Ended(_) => {
                self.delayed_until(at);
                Some(self.owe(at, self.policy.cooldown))
            }
        }
    }

    /// A connect goes out at `at`; whether it will reach the service is decided already.
    pub fn connect(&mut self, at: Real, reaches: bool) -> Result<(), Violation> {
        if self.on_air {
            return broken(Rule::OneAtATime, "a connect while a connection is open".to_owned());
        }
        let cooldown = self.policy.cooldown;
        self.retrying = std::mem::take(&mut self.retry_granted);
        if self.retrying {
            if let Some(last) = self.last_retry
                && reaches
                && at < last + cooldown
            {
                return broken(Rule::OneTokenRetry, format!("the token retry before was at {last:?}"));
            }
            if reaches {
                self.last_retry = Some(at);
            }
        } else {
            if let Some(end) = self.last_end
                && reaches
                && at < end + cooldown
            {
                return broken(Rule::Spacing, format!("the attempt before ended at {end:?}"));
            }
            if at < self.earliest {
                return broken(Rule::WaitKept, format!("no connect before {:?}", self.earliest));
            }
        }
        self.on_air = reaches;
        Ok(())
    }

    /// Whatever connection or attempt there was is over.
    pub fn over(&mut self, at: Real) {
        if std::mem::take(&mut self.on_air) {
            self.last_end = Some(at);
            self.earliest = self.earliest.max(at + self.policy.cooldown);
            self.lasting = self.lasting.max(at + self.policy.cooldown);
        }
    }

    /// Something was slow that is not slow any more.
    pub fn delayed_until(&mut self, at: Real) {
        self.trouble = self.trouble.max(at);
    }

    /// When a stream must stream at the latest, in a world that is healthy since `since`.
    pub fn deadline(&self, since: Real) -> Real {
        since.max(self.trouble).max(self.owed) + self.policy.cooldown + LEEWAY
    }

    fn failed(&mut self, at: Real) {
        self.delayed_until(at);
        self.tries = 0;
        self.failures = self.failures.saturating_add(1);
    }

    fn owe(&mut self, at: Real, wait: Duration) -> Bounds {
        let bounds = self.from(at, wait);
        self.owed = bounds.least;
        self.lasting = bounds.least;
        self.earliest = bounds.least;
        bounds
    }

    fn from(&self, at: Real, wait: Duration) -> Bounds {
        let jitter = (wait / 4).min(Duration::from_secs(1));
        Bounds {
            least: (at + wait).max(self.owed),
            most: (at + wait + jitter).max(self.owed),
        }
    }

    fn after_loss(&self, lost: &Lost) -> Duration {
        match lost {
            Lost::HeadTimeout | Lost::Broken(_) | Lost::RedirectHop(_) => self.policy.cooldown,
            Lost::RedirectRefused(_) | Lost::Unreadable(_) => self.policy.long_retry.max(self.policy.cooldown),
        }
    }

    fn after_refusal(&self, refusal: &Refusal) -> Duration {
        let cooldown = self.policy.cooldown;
        let wait = match refusal.status {
            409 | 503 => {
                // 60, 90, 135, 180 s and no more, at the default policy.
                let limit = (cooldown * 3).min(self.policy.backfill_horizon).max(cooldown);
                let stretched = match self.failures {
                    0 | 1 => cooldown,
                    2 => cooldown * 3 / 2,
                    3 => cooldown * 9 / 4,
                    _ => cooldown * 3,
                };
                stretched.min(limit)
            }
            401 | 408 | 425 | 429 | 500..=504 | 506..=599 => cooldown,
            _ => self.policy.long_retry.max(cooldown),
        };
        wait.max(sane(refusal.retry_after))
    }
}

impl Bounds {
    /// A slot waits until `until`.
    pub fn check(self, until: Real) -> Result<(), Violation> {
        let Self { least, most } = self;
        if until < least || until > most {
            return broken(
                Rule::WaitLength,
                format!("waits until {until:?}, not from {least:?} to {most:?}"),
            );
        }
        Ok(())
    }
}

/// `rule` is broken.
pub fn broken<T>(rule: Rule, text: String) -> Result<T, Violation> {
    Err(Violation { rule, text })
}

/// A `Retry-After` of more than an hour is taken for an hour.
fn sane(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(Duration::from_secs(3600))
}

fn doubled(first: Duration, tries: u32, limit: Duration) -> Duration {
    let mut wait = first;
    for _ in 1..tries.min(40) {
        wait *= 2;
    }
    wait.min(limit)
}
