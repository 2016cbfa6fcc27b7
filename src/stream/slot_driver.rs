//! Carries out what one slot's lifecycle decides: it owns the sockets, the timers and the lease of one connection slot, and decides
//! nothing itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::journal::Journal;
use crate::leases::{Claim, DurableLease, LeaseDir, LeaseKey};
use crate::lifecycle::{
    Action, Event, FirstWait, Lease, Lost, Moment, Phase, Policy, ResetDone, ResetTo, Slot, StallWatch, State,
    Unreached,
};
use crate::settings::StreamSettings;
use crate::telemetry::{Digest, SlotStatus, StreamCounters};
use crate::upstream::{
    AccessToken, Answer, AttemptError, Body, Connector, Generation, StreamRequest, TokenSource, open,
};

use super::Stop;
use super::appends::PendingAppends;
use super::gaps::{Gaps, Noted};
use super::next_connect::NextConnect;
use super::reading::Reading;
use super::resetting::{SharedReset, SlotReset};
use super::telling::Telling;

/// What the driver of one connection slot is made of.
pub struct SlotDriver<C: Connector> {
    /// The stream that the slot belongs to.
    pub stream: Arc<StreamSettings>,
    /// Which of the stream's connections this is.
    pub slot: u8,
    /// How to reach the service.
    pub connector: Arc<C>,
    /// Where access tokens come from.
    pub tokens: Arc<TokenSource<C>>,
    /// What is to hold in place of these two from the next connect on.
    pub next: watch::Receiver<NextConnect<C>>,
    /// Where leases are kept.
    pub leases: LeaseDir,
    /// Where what is read goes.
    pub journal: Arc<Journal>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the state is shown.
    pub status: SlotStatus,
    /// What is counted.
    pub counters: Arc<StreamCounters>,
    /// Added to the first wait, so that many streams do not start at once.
    pub stagger: Duration,
    /// What jitter is drawn from. It need not be unguessable, only different from one slot and one start to the next.
    pub jitter_seed: u64,
    /// See [`Reading::gathers_for`].
    pub gathers_for: Duration,
    /// Where the operator wants the stream to start, if this run was told: shared by the stream's slots.
    pub reset: SharedReset,
}

/// What the driver has under way: exactly one thing at a time.
enum Pending<C: Connector> {
    Wait(Moment),
    Token { refused: bool },
    LeaseOutcome(Event),
    Connect,
    Read(Box<Body<C::Io>>),
}

impl<C: Connector> SlotDriver<C> {
    /// Keeps the slot connected, as far as its lifecycle permits, until `stop` is requested. When it returns the connection is closed and
    /// the lease says so.
    pub async fn drive(self, stop: Stop) {
        let key = LeaseKey::new(&self.stream.url, self.slot);
        let claim = tokio::select! {
            biased;
            claim = self.leases.claim(&key) => claim,
            () = stop.requested() => return,
        };
        let policy = policy(&self.stream);
        let reset = self.reset.of_slot(self.slot, &self.stream, &self.leases).await;
        let remembered = self.leases.find(&key).await;
        let gaps = Gaps::begin(self.noted(&key), remembered.trace.as_ref());
        let now = self.clock.now();
        let mut first = FirstWait::from_found(&remembered.lease, now, self.clock.boot(), &policy);
        first.until = first.until.max(now + self.stagger);
        let reset_known = reset.done();
        // What is forgotten is forgotten on disk, or it would be taken for an answer to a later wish.
        first.rewrite |= remembered.reset != reset_known;
        self.leases.note_reset(&key, reset_known.clone());
        self.tell_of_reset(&reset);
        let (slot, actions) = Slot::start(policy, first, now, self.jitter_seed);
        let reading = Reading {
            stream: self.stream.name.clone(),
            slot: self.slot,
            gathers_for: self.gathers_for,
            journal: self.journal.clone(),
            counters: self.counters.clone(),
            status: self.status.clone(),
            clock: self.clock.clone(),
            stall: StallWatch::new(self.stream.stall_timeout),
            heartbeat: self.leases.heartbeat(&key),
            lapses: Digest::without_end(1),
        };
        let telling = Telling::new(&self.stream.name, self.slot, self.clock.clone());
        let drive = Drive {
            driver: self,
            key,
            claim: Some(claim),
            slot,
            reset,
            reset_known,
            reading,
            gaps,
            telling,
            stop,
            token: None,
            lease: None,
            body: None,
            lease_failing: false,
            unfinished: None,
        };
        drive.run(actions).await;
    }

    fn tell_of_reset(&self, reset: &SlotReset) {
        let (stream, slot) = (self.stream.name.as_str(), self.slot);
        if let Some(done) = reset.done() {
            let (reset, at) = (done.to.as_str(), done.wall.as_str());
            let text = "this reset was sent and answered before, and is not sent again: to have it once more, start without it, then with it";
            tracing::info!(stream, slot, reset, at, "{text}");
        } else if let Some(to) = reset.to_send() {
            let (reset, throws_away) = (to.as_str(), to.throws_away());
            let text = "a reset goes along with each attempt until one is answered with 200; it takes effect if no other connection is open";
            tracing::info!(stream, slot, reset, throws_away, "{text}");
        }
    }

    /// What noting its gaps needs.
    fn noted(&self, key: &LeaseKey) -> Noted {
        Noted {
            stream: self.stream.name.clone(),
            slot: self.slot,
            horizon: self.stream.backfill_horizon,
            leases: self.leases.clone(),
            key: key.clone(),
            clock: self.clock.clone(),
            status: self.status.clone(),
            counters: self.counters.clone(),
        }
    }
}

fn policy(stream: &StreamSettings) -> Policy {
    Policy {
        cooldown: stream.cooldown,
        backfill_horizon: stream.backfill_horizon,
        long_retry: stream.long_retry,
    }
}

/// A driver on its way.
struct Drive<C: Connector> {
    driver: SlotDriver<C>,
    key: LeaseKey,
    /// Held for as long as there may be a connection, or a lease is to be written.
    claim: Option<Claim>,
    slot: Slot,
    reset: SlotReset,
    /// What the slot's lease says of the reset, from its next write on.
    reset_known: Option<ResetDone>,
    reading: Reading,
    gaps: Gaps,
    telling: Telling,
    stop: Stop,
    /// The token that was fetched last.
    token: Option<AccessToken>,
    /// The open lease of the attempt that may go out next.
    lease: Option<DurableLease>,
    /// The connection, between the service's 200 and the reading.
    body: Option<Box<Body<C::Io>>>,
    /// The last write of a lease failed: said once, not at each attempt.
    lease_failing: bool,
    /// What was read last before a stop, on its way into the journal.
    unfinished: Option<PendingAppends>,
}

impl<C: Connector> Drive<C> {
    async fn run(mut self, actions: Vec<Action>) {
        let mut pending = self.carry_out(actions).await;
        while let Some(next) = pending {
            let event = self.perform(next).await;
            // After the event, so that a connection that it ends is closed before its cooldown is counted from now.
            let now = self.driver.clock.now();
            self.count(&event);
            self.take_next();
            if event == Event::Streaming {
                self.gaps.streaming(now);
            }
            let actions = self.slot.handle(now, event);
            pending = self.carry_out(actions).await;
        }
        drop(self.claim.take());
        if let Some(appends) = self.unfinished.take() {
            appends.finish().await;
        }
    }

    /// What is new holds from here on: for the wait that an end of the connection asks for, too.
    fn take_next(&mut self) {
        let next = &mut self.driver.next;
        if !next.has_changed().unwrap_or(false) {
            return;
        }
        let stream = next.borrow_and_update().stream.clone();
        self.slot.set_policy(policy(&stream));
        self.reading.stall.set_stall_timeout(stream.stall_timeout);
        self.gaps.set_horizon(stream.backfill_horizon);
        self.driver.stream = stream;
    }

    /// Carries the actions out in their order, and says what there is to wait for. Nothing, once stopped.
    async fn carry_out(&mut self, actions: Vec<Action>) -> Option<Pending<C>> {
        let mut pending = None;
        for action in actions {
            match action {
                Action::Report(state) => self.report(state),
                Action::StoreLease(lease) => {
                    if let Some(outcome) = self.store(lease).await {
                        pending = Some(Pending::LeaseOutcome(outcome));
                    }
                }
                Action::WaitUntil(until) => pending = Some(Pending::Wait(until)),
                Action::FetchToken { refused } => pending = Some(Pending::Token { refused }),
                Action::Connect => pending = Some(Pending::Connect),
            }
        }
        pending.or_else(|| self.body.take().map(Pending::Read))
    }

    async fn store(&mut self, lease: Lease) -> Option<Event> {
        self.note_reset_over();
        let connecting = lease.phase == Phase::Connecting;
        // Whatever was still owed to the disk, this lease replaces it.
        self.reading.heartbeat.owe(None);
        let stored = if connecting {
            let permit = self.driver.leases.store_open(&self.key, lease).await;
            permit.map(|permit| self.lease = Some(permit))
        } else {
            self.driver.leases.store(&self.key, lease).await
        };
        let (stream, slot) = (self.driver.stream.name.as_str(), self.driver.slot);
        let failed_before = std::mem::replace(&mut self.lease_failing, stored.is_err());
        match &stored {
            Err(error) if !failed_before => {
                let text = "a lease cannot be written under state_dir: no new connection is opened until it can";
                tracing::error!(stream, slot, %error, "{text}");
            }
            Ok(()) if failed_before => tracing::info!(stream, slot, "leases can be written again"),
            Ok(()) | Err(_) => {}
        }
        if stored.is_err() && lease.phase == Phase::Streaming {
            // Nothing waits for it, and the connection may last for days.
            let owed = self.driver.leases.owed(&self.key, lease);
            self.reading.heartbeat.owe(owed);
        }
        connecting.then_some(if stored.is_ok() {
            Event::LeaseStored
        } else {
            Event::LeaseNotStored
        })
    }

    async fn perform(&mut self, pending: Pending<C>) -> Event {
        let stop = self.stop.clone();
        let stops_by_itself = matches!(pending, Pending::Read(_));
        let work = async {
            match pending {
                Pending::Wait(until) => {
                    self.driver.clock.sleep_until(until).await;
                    Event::Tick
                }
                Pending::LeaseOutcome(outcome) => outcome,
                Pending::Token { refused } => self.fetch_token(refused).await,
                // The machine connects only when it has a token and a stored lease; without either, nothing goes out.
                Pending::Connect => match (self.lease.take(), &self.token) {
                    (Some(lease), Some(token)) => {
                        let reset = self.reset.to_send();
                        let (event, body) = connect(&self.driver, token, lease, reset).await;
                        self.body = body;
                        if let Some(to) = reset {
                            self.note_reset(to, &event);
                        }
                        event
                    }
                    _ => unreached("there is no token or no lease for it"),
                },
                Pending::Read(body) => {
                    let ended = self.reading.read(body, &self.stop).await;
                    self.reset.ended();
                    // It has told of its success itself.
                    self.lease_failing &= self.reading.heartbeat.owes();
                    self.gaps.connection_ended(&ended.event, ended.last_alive);
                    self.unfinished = ended.pending;
                    self.note_cut(ended.cut_bytes);
                    ended.event
                }
            }
        };
        // What is under way is dropped, and its socket closed, before the stop is handled. Reading stops by itself, and must not be dropped:
        // it has something in hand, perhaps, and knows when the connection last lived.
        tokio::select! {
            biased;
            event = work => event,
            () = stop.requested(), if !stops_by_itself => Event::Stop,
        }
    }

    /// What became of an attempt that carried a reset. Before the next lease is stored, which remembers it.
    fn note_reset(&mut self, to: ResetTo, event: &Event) {
        let is_open = *event == Event::Streaming;
        // A 200 is an answer even if its body is none that we read.
        if !is_open && !matches!(event, Event::Lost(Lost::Unreadable(_))) {
            return;
        }
        let wall = humantime::format_rfc3339_seconds(self.driver.clock.wall());
        self.reset.answered(wall.to_string());
        if !is_open {
            self.reset.ended();
        }
        self.reset_known = self.reset.done();
        self.driver.leases.note_reset(&self.key, self.reset_known.clone());
        let (stream, slot, reset) = (self.driver.stream.name.as_str(), self.driver.slot, to.as_str());
        tracing::info!(
            stream,
            slot,
            reset,
            "the reset was sent, and the service answered 200: it is not sent again"
        );
    }

    /// Another slot may have ended the reset for this one: its lease is to remember that, too.
    fn note_reset_over(&mut self) {
        let done = self.reset.done();
        if done == self.reset_known {
            return;
        }
        if let Some(done) = &done {
            let (stream, slot, reset) = (self.driver.stream.name.as_str(), self.driver.slot, done.to.as_str());
            let text = "the reset is over for this slot: another connection of the stream had its answer and has ended since, so it \
                        would take effect a second time";
            tracing::info!(stream, slot, reset, at = done.wall, "{text}");
        }
        self.driver.leases.note_reset(&self.key, done.clone());
        self.reset_known = done;
    }

    async fn fetch_token(&mut self, refused: bool) -> Event {
        let last = self.token.take();
        let tokens = self.driver.next.borrow().tokens.clone();
        // To another source, one that the service refused says nothing.
        let refused = refused && Arc::ptr_eq(&tokens, &self.driver.tokens);
        self.driver.tokens = tokens;
        let refused: Option<Generation> = last.filter(|_| refused).map(|token| token.generation());
        match self.driver.tokens.token(refused).await {
            Ok(token) => {
                self.token = Some(token);
                Event::TokenReady
            }
            Err(failure) => Event::TokenFailed(failure),
        }
    }

    fn count(&self, event: &Event) {
        let counters = &self.driver.counters;
        match event {
            Event::Ended(_) => counters.disconnects.one(),
            Event::Lost(Lost::RedirectRefused(_)) => counters.redirects_refused.one(),
            Event::Tick
            | Event::TokenReady
            | Event::TokenFailed(_)
            | Event::LeaseStored
            | Event::LeaseNotStored
            | Event::Unreached(_)
            | Event::Lost(_)
            | Event::Answered(_)
            | Event::Streaming
            | Event::Stop => {}
        }
    }

    fn note_cut(&self, bytes: u64) {
        if bytes > 0 {
            self.driver.counters.cut_records.one();
            let stream = self.driver.stream.name.as_str();
            tracing::info!(
                stream,
                slot = self.driver.slot,
                bytes,
                "a record was cut off by the disconnect and is left out"
            );
        }
    }

    /// Shows each change of state, and tells of it.
    fn report(&mut self, state: State) {
        self.telling.tell(&state, &self.slot);
        let (failures, tries, persists) = (self.slot.failures(), self.slot.tries(), self.slot.persists());
        let now = self.driver.clock.now();
        self.driver.status.show(state, now, failures, tries, persists);
    }
}

/// Sends the request. The lease is the permit.
async fn connect<C: Connector>(
    driver: &SlotDriver<C>,
    token: &AccessToken,
    _permit: DurableLease,
    reset: Option<ResetTo>,
) -> (Event, Option<Box<Body<C::Io>>>) {
    driver.counters.connects.one();
    let request = StreamRequest::new(&driver.stream, token.clone(), reset);
    match open(&*driver.connector, &request).await {
        Ok(Answer::Streaming(body)) => (Event::Streaming, Some(body)),
        Ok(Answer::Refused(refusal)) => (Event::Answered(refusal), None),
        Err(AttemptError::Unreached(why)) => (Event::Unreached(why), None),
        Err(AttemptError::Lost(why)) => (Event::Lost(why), None),
    }
}

fn unreached(why: &str) -> Event {
    Event::Unreached(Unreached(why.to_owned()))
}

#[cfg(test)]
#[path = "slot_driver_tests.rs"]
mod tests;
