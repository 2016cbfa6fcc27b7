//! Reads one open connection into the journal until it ends. It parses nothing, and waits for nothing but the socket, unless the
//! journal takes nothing: then the socket is read no further until it does. It also looks up now and then, to touch the lease, and to
//! notice when the process did not run.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr_iter;
use tokio::task::coop;
use tokio::time::Instant;

use crate::clock::{Clock, since_epoch};
use crate::journal::{BatchKind, Journal, JournalStatus, NewBatch};
use crate::leases::trace::Heartbeat;
use crate::lifecycle::life::{LifeSigns, lapse};
use crate::lifecycle::stall::tries_again_within;
use crate::lifecycle::{EndReason, Event, Moment, StallWatch};
use crate::telemetry::{Digest, SlotStatus, StreamCounters};
use crate::upstream::{Activity, Body, Drained, Transport};

use super::Stop;
use super::appends::{Append, PendingAppends};

/// A journal that is full for less is not worth a log line.
const FIRST_NOTICE: Duration = Duration::from_secs(1);
const NEXT_NOTICE: Duration = Duration::from_mins(1);
/// A reading looks up so often: the lease is touched if bytes came, and it is noticed if the process did not run. A silence that was a
/// shorter freeze teaches the stall watch at most 4 times this: no more than the default `stall_timeout`.
const BEAT: Duration = Duration::from_secs(30);

/// A reading gathers for so long at most.
const MOST_GATHERED: Duration = Duration::from_millis(25);
/// Before this tokio's timers do not fire.
const LEAST_GATHERED: Duration = Duration::from_millis(1);
/// Less than this is little. More is a burst, and taken as it comes.
const LITTLE: usize = 64 * 1024;
/// At a stop about so much is still taken of what has come already: all of it, unless it is a burst.
const LAST_LOOK: usize = 1024 * 1024;

/// How long a reading leaves live hits in the socket, so that they cost one trip to the journal and on to the forwarder, and not one each: an
/// eighth of the time for which Kafka's client holds them back anyway. Who has set that to little wants hits at once.
pub fn gathers_for(linger: Duration) -> Duration {
    let time = (linger / 8).min(MOST_GATHERED);
    if time < LEAST_GATHERED { Duration::ZERO } else { time }
}

/// What one slot's reading needs, connection after connection.
pub struct Reading {
    /// The stream's name, for log lines.
    pub stream: String,
    /// The connection slot, noted with each batch.
    pub slot: u8,
    /// Where the batches go.
    pub journal: Arc<Journal>,
    /// What is counted.
    pub counters: Arc<StreamCounters>,
    /// Where it is shown when bytes came.
    pub status: SlotStatus,
    /// After a read that brought little and left nothing, the next one is so much later: see [`gathers_for`].
    pub gathers_for: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Watches the silence; it learns from one connection for the next.
    pub stall: StallWatch,
    /// Told when the connection lives.
    pub heartbeat: Heartbeat,
    /// What was told of times in which the process did not run.
    pub lapses: Digest<()>,
}

/// How a reading ended. The connection is closed.
pub struct Ended {
    /// For the slot's machine.
    pub event: Event,
    /// What was read last, when we were told to stop before the journal had it.
    pub pending: Option<PendingAppends>,
    /// Bytes of a line that was cut off: no record, and lost.
    pub cut_bytes: u64,
    /// When the connection last lived, as far as is known.
    pub last_alive: Moment,
}

impl Reading {
    /// Reads `body` until it ends or stalls, the journal fails, or `stop` is requested. Whole records only go into the journal, exactly as
    /// they came. Dropping the body closes the socket, so it is closed when this returns.
    pub async fn read<Io>(&mut self, mut body: Box<Body<Io>>, stop: &Stop) -> Ended
    where
        Io: Transport,
    {
        let mut heard = Heard::new(body.activity().clone());
        let opened = self.clock.now();
        self.stall.opened(opened);
        let mut life = LifeSigns::opened(opened);
        let mut beat = Beat::new(opened);
        let mut gathering_until = None;
        loop {
            let began = self.clock.now();
            let due = self.stall.deadline(began).min(beat.next).max(began);
            let mut had_nothing_more = false;
            let drained = tokio::select! {
                biased;
                () = stop.requested() => {
                    let now = self.clock.now();
                    // It may have been requested while we did not run.
                    self.look_back(due, now, &mut life);
                    return self.stopped(None, body, life).await;
                }
                drained = next_after(gathering_until, &mut body, &mut had_nothing_more) => Some(drained),
                () = tokio::time::sleep(due.since(began)) => None,
            };
            let now = self.clock.now();
            if had_nothing_more {
                life.drained();
            }
            self.look_back(due, now, &mut life);
            self.beat(now, &life, &mut beat);
            let news = heard.news();
            if let Some(ago) = news {
                self.status.heard(Moment(now.0.saturating_sub(ago)));
            }
            let Some(drained) = drained else {
                self.note(news, &mut life, now);
                if let Some(silence) = self.stall.stalled(now) {
                    return Ended::at(Event::Ended(EndReason::Stalled(silence)), life.last());
                }
                continue;
            };
            let (kind, bytes) = match batch_of(drained) {
                Ok(batch) => batch,
                Err((reason, cut_bytes)) => {
                    let last_alive = last_alive_before(&reason, now, news, &mut life);
                    return Ended {
                        cut_bytes,
                        ..Ended::at(Event::Ended(reason), last_alive)
                    };
                }
            };
            let is_dry = body.is_dry();
            gathering_until = (bytes.len() < LITTLE && is_dry && !self.gathers_for.is_zero()).then(|| {
                body.leave_alone();
                Instant::now() + self.gathers_for
            });
            let mut append = self.append(kind, bytes);
            // As a rule there is room, and this is no wait at all.
            let mut pause = Pause::default();
            let mut first_notice = now + FIRST_NOTICE;
            let mut lapsed = Duration::ZERO;
            let appended = loop {
                tokio::select! {
                    biased;
                    appended = append.answer() => break appended,
                    () = stop.requested() => return self.stopped(Some(append), body, life).await,
                    waited_s = pause.notice() => {
                        let awake = self.clock.now();
                        if let Some(lapse) = lapse(first_notice, awake).filter(|_| pause.is_first()) {
                            // That was not the journal.
                            self.tell_of(lapse);
                            lapsed += lapse;
                            (pause, first_notice) = (Pause::default(), awake + FIRST_NOTICE);
                            continue;
                        }
                        self.tell_of_pause(waited_s, pause.is_first());
                    }
                }
            };
            if let Some(paused_s) = pause.noticed() {
                let (stream, slot, text) = (&self.stream, self.slot, "the journal has taken it: reading goes on");
                if pause.is_first() {
                    tracing::debug!(stream, slot, paused_s, "{text}");
                } else {
                    tracing::info!(stream, slot, paused_s, "{text}");
                }
            }
            if let Err(error) = appended {
                return Ended::at(Event::Ended(EndReason::JournalFailed(error.to_string())), life.last());
            }
            // What came together with the response head is no news to the socket's own count. It shows life only once it is kept.
            self.note(Some(news.unwrap_or_default()), &mut life, now);
            if is_dry {
                life.drained();
            }
            let appended = self.clock.now();
            self.stall.resumed(appended);
            // A journal that took nothing for so long would have been told of.
            if let Some(lapse) = lapse(first_notice, appended).filter(|_| pause.noticed().is_none()) {
                self.tell_of(lapse);
                lapsed += lapse;
            }
            if let Some(paused) = lapse(now, appended) {
                self.stall.resumed(appended + tries_again_within(paused));
                life.did_not_read(appended, paused);
            }
            if !lapsed.is_zero() {
                life.did_not_run(appended, lapsed);
            }
        }
    }

    /// Counts what was read, and has it appended.
    fn append(&self, kind: BatchKind, bytes: Bytes) -> Append {
        let batch = NewBatch {
            kind,
            received_ms: self.wall_ms(),
            slot: self.slot,
            bytes,
        };
        self.counters.batches.one();
        self.counters.bytes.add(batch.bytes.len() as u64);
        self.counters.records.add(records_in(&batch));
        Append::new(self.journal.clone(), batch)
    }

    /// Takes what has come since the last look, because it was given to us and perhaps to nobody again, and closes the connection. `begun` is
    /// what the journal has not answered yet.
    async fn stopped<Io>(&self, begun: Option<Append>, mut body: Box<Body<Io>>, mut life: LifeSigns) -> Ended
    where
        Io: Transport,
    {
        let mut pending = PendingAppends::new(self.stream.clone(), self.slot, begun);
        let (mut taken, mut over) = (0, None);
        while taken < LAST_LOOK
            && let Some(drained) = at_hand(&mut body).await
        {
            match batch_of(drained) {
                Ok((kind, bytes)) => {
                    taken += bytes.len();
                    pending.push(self.append(kind, bytes));
                }
                Err(end) => {
                    over = Some(end);
                    break;
                }
            }
        }
        drop(body);
        let is_kept = pending.begin().await;
        let now = self.clock.now();
        let cut_bytes = over.as_ref().map_or(0, |(_, cut_bytes)| *cut_bytes);
        let last_alive = match over {
            // What is not kept shows no life.
            _ if !is_kept => life.last(),
            Some((reason, _)) => last_alive_before(&reason, now, None, &mut life),
            None => life.last_before_goodbye(now),
        };
        Ended {
            pending: (!is_kept).then_some(pending),
            cut_bytes,
            ..Ended::at(Event::Stop, last_alive)
        }
    }

    /// It is `now`, and the reading was to wake at `due` at the latest. Time in which the process did not run is no silence of the peer:
    /// what came meanwhile is still in the socket, or will be sent again.
    fn look_back(&mut self, due: Moment, now: Moment, life: &mut LifeSigns) {
        if let Some(lapse) = lapse(due, now) {
            self.tell_of(lapse);
            self.stall.did_not_run(now, lapse);
            life.did_not_run(now, lapse);
        }
    }

    fn beat(&mut self, now: Moment, life: &LifeSigns, beat: &mut Beat) {
        if now >= beat.next
            && let Some(alive) = beat.due(now, life.last(), self.heartbeat.owes())
        {
            self.heartbeat.beat(alive);
        }
    }

    /// The journal itself has told at once that it takes nothing, if it knows of it; so a first notice, after a second, repeats that.
    fn tell_of_pause(&self, waited_s: u64, is_first: bool) {
        let JournalStatus {
            condition,
            backlog_bytes,
            ..
        } = self.journal.status();
        let (stream, slot, journal) = (&self.stream, self.slot, &condition);
        let text = "the journal takes nothing: reading pauses until it does";
        if is_first {
            tracing::debug!(stream, slot, waited_s, backlog_bytes, %journal, "{text}");
        } else {
            tracing::warn!(stream, slot, waited_s, backlog_bytes, %journal, "{text}");
        }
    }

    fn tell_of(&mut self, lapse: Duration) {
        let (stream, slot, lapse_s) = (&self.stream, self.slot, lapse.as_secs());
        let text = "this process did not run for some time (suspended, stopped, or short of a processor): that is no silence on its connection";
        let now = self.clock.now().0;
        if let Some(told) = self.lapses.note((), now) {
            let (times, since) = (told.repeated(), told.since(self.clock.wall()));
            tracing::warn!(stream, slot, lapse_s, times, since, "{text}");
        } else {
            tracing::debug!(stream, slot, lapse_s, "{text}");
        }
    }

    /// Bytes came, so long before `now`.
    fn note(&mut self, news: Option<Duration>, life: &mut LifeSigns, now: Moment) {
        if let Some(ago) = news {
            let at = Moment(now.0.saturating_sub(ago));
            self.stall.heard(at);
            life.heard(at);
        }
    }

    fn wall_ms(&self) -> u64 {
        u64::try_from(since_epoch(self.clock.wall()).as_millis()).unwrap_or(u64::MAX)
    }
}

/// What comes next, not looked for before that time.
async fn next_after<Io>(not_before: Option<Instant>, body: &mut Body<Io>, had_nothing_more: &mut bool) -> Drained
where
    Io: Transport,
{
    if let Some(not_before) = not_before {
        tokio::time::sleep_until(not_before).await;
    }
    next_of(body, had_nothing_more).await
}

/// What comes next. Notes whether the socket had nothing more before it came. A wait of a task that has used up its turn (tokio's budget)
/// says nothing about the socket.
async fn next_of<Io>(body: &mut Body<Io>, had_nothing_more: &mut bool) -> Drained
where
    Io: Transport,
{
    let mut next = pin!(body.next());
    poll_fn(|cx| {
        let polled = next.as_mut().poll(cx);
        *had_nothing_more |= polled.is_pending() && coop::has_budget_remaining();
        polled
    })
    .await
}

/// What has come already, if anything. Read directly, so that no turn of tokio's driver is waited for, nor its budget.
async fn at_hand<Io: Transport>(body: &mut Body<Io>) -> Option<Drained> {
    body.leave_alone();
    let mut next = pin!(coop::unconstrained(body.next()));
    let drained = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
    match drained {
        Poll::Ready(drained) => Some(drained),
        Poll::Pending => None,
    }
}

/// What goes into the journal; or why the stream is over, and how many bytes of an unfinished record were dropped.
fn batch_of(drained: Drained) -> Result<(BatchKind, Bytes), (EndReason, u64)> {
    match drained {
        Drained::Records(bytes) => Ok((BatchKind::Records, bytes)),
        Drained::TooLong(record) => Ok((BatchKind::TooLong { length: record.length }, record.first_bytes)),
        Drained::End { reason, cut_bytes } => Err((reason, cut_bytes)),
    }
}

/// How many records a batch has. Its lines are whole, so their endings are as many.
fn records_in(batch: &NewBatch) -> u64 {
    match batch.kind {
        BatchKind::Records => memchr_iter(b'\n', &batch.bytes).count() as u64,
        BatchKind::TooLong { .. } => 1,
    }
}

/// When a connection that ended `now`, for this reason, last lived. Bytes came `news` ago, if there were any.
fn last_alive_before(reason: &EndReason, now: Moment, news: Option<Duration>, life: &mut LifeSigns) -> Moment {
    if let Some(ago) = news {
        life.heard(Moment(now.0.saturating_sub(ago)));
    }
    match reason {
        EndReason::Closed | EndReason::Cut => life.last_before_goodbye(now),
        EndReason::Reset(_)
        | EndReason::CorruptGzip(_)
        | EndReason::CorruptFraming(_)
        | EndReason::Stalled(_)
        | EndReason::JournalFailed(_) => life.last(),
    }
}

/// When the lease is touched next, and what it knows already.
struct Beat {
    next: Moment,
    known: Moment,
}

impl Beat {
    /// The lease was written just now.
    fn new(now: Moment) -> Self {
        Self {
            next: now + BEAT,
            known: now,
        }
    }

    /// A beat is due: the sign of life to note, if it is news, or goes along with a lease that is `owed` to the disk.
    fn due(&mut self, now: Moment, alive: Moment, owed: bool) -> Option<Moment> {
        self.next = now + BEAT;
        let known = std::mem::replace(&mut self.known, alive);
        (owed || alive > known).then_some(alive)
    }
}

/// A wait for room in the journal, worth a log line soon, and then ever more seldom.
#[derive(Default)]
struct Pause {
    notices: u32,
    began: Option<Instant>,
}

impl Pause {
    /// After 1 s, and then after 1, 2, 4, ... up to 16 minutes more: how many seconds it has been.
    async fn notice(&mut self) -> u64 {
        let began = *self.began.get_or_insert_with(Instant::now);
        let next = match self.notices {
            0 => FIRST_NOTICE,
            n => NEXT_NOTICE * (1 << (n - 1).min(4)),
        };
        tokio::time::sleep(next).await;
        self.notices += 1;
        began.elapsed().as_secs()
    }

    /// Whether the notice that was given last is the first.
    const fn is_first(&self) -> bool {
        self.notices == 1
    }

    /// How many seconds it was, if anything was said of it.
    fn noticed(&self) -> Option<u64> {
        self.began
            .filter(|_| self.notices > 0)
            .map(|began| began.elapsed().as_secs())
    }
}

/// Tells whether a socket brought anything since it was last asked.
struct Heard {
    activity: Activity,
    bytes: u64,
}

impl Heard {
    fn new(activity: Activity) -> Self {
        let bytes = activity.bytes_read();
        Self { activity, bytes }
    }

    /// How long ago the last of the new bytes came, if there are any.
    fn news(&mut self) -> Option<Duration> {
        let bytes = self.activity.bytes_read();
        let more = bytes > std::mem::replace(&mut self.bytes, bytes);
        more.then(|| self.activity.last_read().elapsed())
    }
}

impl Ended {
    fn at(event: Event, last_alive: Moment) -> Self {
        Self {
            event,
            pending: None,
            cut_bytes: 0,
            last_alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_held_back_for_a_small_part_of_the_linger_and_never_for_long() {
        for (linger, gathers) in [(0, 0), (5, 0), (40, 5_000), (200, 25_000), (60_000, 25_000)] {
            assert_eq!(
                gathers_for(Duration::from_millis(linger)),
                Duration::from_micros(gathers),
                "{linger}"
            );
        }
    }
}
