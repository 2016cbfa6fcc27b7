//! The journal of one stream on disk, as the async side sees it: writers that wait, readers that are woken, and cursors that move.
//!
//! ```text
//! append --room--> queue --writer thread--> Store::append --> tail --> next
//!                                                  |                    ^
//! advance --> cursors --syncer thread--> sync, trim, room         reading on a blocking thread, if it lags
//! ```
//!
//! No file is touched on an async thread. Two locks: `front` for what the async side needs, held for moments; `store` for the files, held
//! by the threads of [`super::engine`] and by readings, and taken before `front` where both are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::counted_in::CountedIn;
use super::engine::Engine;
use super::faults::{JournalFaults, ReadTrouble};
use super::files::Files;
use super::room::{Charge, StreamRoom};
use super::store::{Entry, Fault, Store, Trouble};
use super::tail::{Readings, Tail};
use super::walk::CHUNK_BYTES;
use super::work::Passed;
use super::{AppendError, Batch, Condition, CursorGuard, DEFAULT_CURSOR, JournalStatus, NewBatch, Position};

/// Batches that may wait for the writer thread, besides those that wait for room. A stream has one for each connection.
const MOST_QUEUED: usize = 512;
/// The disk is tried again so long after it has refused something.
pub const DISK_RETRY: Duration = Duration::from_secs(1);
/// A cursor that moves is made durable so often, and whenever a segment can go.
const CURSOR_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// A journal counts as full in the log until nobody has had to wait for so long.
const FULL_AFTERGLOW: Duration = Duration::from_secs(5);

/// One stream's journal on disk.
#[derive(Debug)]
pub struct Durable {
    name: String,
    files: Arc<dyn Files>,
    engine: Arc<Engine>,
    room: StreamRoom,
    queue_room: Arc<Semaphore>,
    /// How many appends wait for room.
    waiting: AtomicUsize,
    /// Something was appended or read, or the end has come.
    news: Notify,
    store: Mutex<Store>,
    front: Mutex<Front>,
    guard: Mutex<Option<Arc<dyn CursorGuard>>>,
}

#[derive(Debug)]
struct Front {
    queue: VecDeque<Queued>,
    /// How many of the queue the writer thread has in hand.
    in_hand: usize,
    tail: Tail,
    readings: Readings,
    /// Where readings are under way.
    reading: BTreeSet<Position>,
    /// A reading found nothing from here to there.
    void: Option<(Position, Position)>,
    read_failed: Option<Instant>,
    read_trouble: ReadTrouble,
    faults: JournalFaults,
    /// What is there: (begin, end), without what every cursor has passed.
    ranges: VecDeque<(Position, Position)>,
    end: Position,
    cursors: BTreeMap<String, Position>,
    closed: bool,
    trouble: Option<Trouble>,
    /// Since when there is something that is not durable, apart from what is being synced.
    unsynced_since: Option<Instant>,
    syncing_since: Option<Instant>,
    cursors_synced: Option<Instant>,
    /// What was logged last.
    logged: Condition,
    waited: Option<Instant>,
}

#[derive(Debug)]
struct Queued {
    entry: Entry,
    reply: oneshot::Sender<Result<Position, AppendError>>,
    /// Its place in the queue, free again when this is dropped.
    place: OwnedSemaphorePermit,
}

impl Durable {
    /// The journal in `store`. `engine` has to be told of it.
    pub fn new(
        name: String,
        files: Arc<dyn Files>,
        engine: Arc<Engine>,
        mut store: Store,
        room: StreamRoom,
        tail_bytes: u64,
    ) -> Self {
        let mut of_own = 0;
        store.charge_held(|bytes| {
            let charge = room.charge_for_held(bytes, of_own);
            of_own += charge.own;
            charge
        });
        let mut cursors = store.cursors();
        let oldest = store.extents().next().map_or(store.end(), |(begin, _)| begin);
        cursors.entry(DEFAULT_CURSOR.to_owned()).or_insert(oldest);
        let mut ranges = VecDeque::new();
        for extent in store.extents() {
            extend(&mut ranges, extent);
        }
        let front = Front {
            queue: VecDeque::new(),
            in_hand: 0,
            tail: Tail::new(tail_bytes),
            readings: Readings::default(),
            reading: BTreeSet::new(),
            void: None,
            read_failed: None,
            read_trouble: ReadTrouble::default(),
            faults: JournalFaults::default(),
            // What a killed daemon had written last may not be durable.
            unsynced_since: (!ranges.is_empty()).then(Instant::now),
            ranges,
            end: store.end(),
            cursors,
            closed: false,
            trouble: None,
            syncing_since: None,
            cursors_synced: None,
            logged: Condition::Good,
            waited: None,
        };
        let faults = store.take_faults();
        let journal = Self {
            name,
            files,
            engine,
            room,
            queue_room: Arc::new(Semaphore::new(MOST_QUEUED)),
            waiting: AtomicUsize::new(0),
            news: Notify::new(),
            store: Mutex::new(store),
            front: Mutex::new(front),
            guard: Mutex::default(),
        };
        journal.report(faults);
        journal
    }

    /// See [`super::Journal::append`].
    pub async fn append(self: &Arc<Self>, batch: NewBatch) -> Result<Position, AppendError> {
        let closed = |_| AppendError::Closed;
        let place = self
            .queue_room
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| AppendError::Closed)?;
        let size = batch.size();
        let charge = if let Some(charge) = self.room.try_take(size).map_err(closed)? {
            charge
        } else {
            let _waiting = CountedIn::new(&self.waiting);
            self.engine.hurry();
            self.room.take(size).await.map_err(closed)?
        };
        let (reply, appended) = oneshot::channel();
        {
            let mut front = self.front();
            if front.closed {
                drop(front);
                self.room.give_back(charge);
                return Err(AppendError::Closed);
            }
            front.queue.push_back(Queued {
                entry: Entry { batch, charge },
                reply,
                place,
            });
        }
        self.engine.write(self);
        appended.await.unwrap_or(Err(AppendError::Closed))
    }

    /// See [`super::Journal::next`].
    pub async fn next(self: &Arc<Self>, from: Position) -> Option<Arc<Batch>> {
        enum Look {
            Wait,
            Read,
            Again(Duration),
        }
        let mut at = from;
        loop {
            // Made before looking, so that nothing goes unnoticed between looking and waiting.
            let news = self.news.notified();
            let look = {
                let mut front = self.front();
                if let Some((_, end)) = front.void.filter(|(begin, end)| (*begin..*end).contains(&at)) {
                    at = end;
                }
                if let Some(batch) = front.tail.find(at) {
                    return Some(Arc::clone(batch));
                }
                if let Some(batch) = front.readings.find(at) {
                    return Some(batch);
                }
                let on_disk = front.ranges.back().is_some_and(|(_, end)| *end > at);
                let retry = front
                    .read_failed
                    .map(|failed| DISK_RETRY.saturating_sub(failed.elapsed()));
                if !on_disk {
                    if front.closed && front.queue.is_empty() && front.in_hand == 0 {
                        return None;
                    }
                    Look::Wait
                } else if let Some(retry) = retry.filter(|retry| !retry.is_zero()) {
                    Look::Again(retry)
                } else if front.reading.insert(at) {
                    Look::Read
                } else {
                    Look::Wait
                }
            };
            match look {
                Look::Read => {
                    // Goes on if this future is dropped, and leaves what it read for the next one.
                    let journal = Arc::clone(self);
                    tokio::task::spawn_blocking(move || journal.read(at));
                    news.await;
                }
                Look::Wait => news.await,
                Look::Again(retry) => tokio::time::sleep(retry).await,
            }
        }
    }

    /// See [`super::Journal::cursor`].
    pub fn cursor(&self, name: &str) -> Position {
        let mut front = self.front();
        if let Some(cursor) = front.cursors.get(name) {
            return *cursor;
        }
        let oldest = front.ranges.front().map_or(front.end, |(begin, _)| *begin);
        front.cursors.insert(name.to_owned(), oldest);
        oldest
    }

    /// See [`super::Journal::advance`].
    pub fn advance(&self, name: &str, position: Position) {
        let mut front = self.front();
        let position = position.min(front.end);
        let cursor = front.cursors.entry(name.to_owned()).or_default();
        *cursor = position.max(*cursor);
        let slowest = front.slowest();
        front.tail.forget_before(slowest);
        drop(front);
        if self.is_waiting() {
            self.engine.hurry();
        }
    }

    /// See [`super::Journal::guard_cursors`].
    pub fn guard_cursors(&self, guard: Option<Arc<dyn CursorGuard>>) -> Option<Arc<dyn CursorGuard>> {
        std::mem::replace(&mut *self.guard.lock().unwrap_or_else(PoisonError::into_inner), guard)
    }

    /// See [`super::Journal::close`].
    pub fn close(self: &Arc<Self>) {
        self.front().closed = true;
        self.room.close();
        self.queue_room.close();
        self.engine.write(self);
        self.news.notify_waiters();
    }

    /// How it is.
    pub fn status(&self) -> JournalStatus {
        let waiting = self.is_waiting();
        let front = self.front();
        let since = [front.unsynced_since, front.syncing_since].into_iter().flatten().min();
        JournalStatus {
            condition: front.condition(waiting),
            end: front.end,
            backlog_bytes: front.backlog(),
            held_bytes: front.ranges.iter().map(|(begin, end)| end.since(*begin)).sum(),
            shared_bytes: front.tail.bytes(),
            sync_lag: since.map_or(Duration::ZERO, |since| since.elapsed()),
            read_trouble: front.read_trouble.text().map(str::to_owned),
            faults: front.faults,
        }
    }

    /// See [`super::Journal::is_full`].
    pub fn is_full(&self) -> bool {
        self.is_waiting() || {
            let front = self.front();
            front.trouble.is_some() && !front.queue.is_empty()
        }
    }

    /// Whether it is closed, and nothing is on its way into it.
    pub fn is_closed(&self) -> bool {
        self.front().closed
    }

    /// Whether everything that was appended is on disk for good.
    pub fn is_durable(&self) -> bool {
        let front = self.front();
        front.queue.is_empty() && front.in_hand == 0 && front.unsynced_since.is_none() && front.syncing_since.is_none()
    }

    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    // --- the writer thread

    /// Writes what is queued. Says whether the disk is to be tried again after a while.
    pub fn write_out(self: &Arc<Self>) -> bool {
        let (queued, in_trouble) = {
            let mut front = self.front();
            let queued: Vec<Queued> = front.queue.drain(..).collect();
            front.in_hand = queued.len();
            (queued, front.trouble.is_some())
        };
        if queued.is_empty() && !in_trouble {
            self.news.notify_waiters();
            return false;
        }
        let (entries, replies): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .map(|queued| (queued.entry, (queued.reply, queued.place)))
            .unzip();
        let mut store = self.store();
        let tried = if in_trouble { store.try_disk() } else { Ok(()) };
        let (positions, outcome) = match tried {
            Ok(()) => store.append(&entries),
            Err(trouble) => (Vec::new(), Err(trouble)),
        };
        let (faults, end) = (store.take_faults(), store.end());
        let mut answers = Vec::new();
        let again = {
            let mut front = self.front();
            let mut unwritten = Vec::new();
            let mut positions = positions.into_iter();
            for (entry, (reply, place)) in entries.into_iter().zip(replies) {
                if let Some(position) = positions.next() {
                    let batch = Arc::new(entry.batch.at(position));
                    extend(&mut front.ranges, (position, batch.end()));
                    front.tail.push(batch);
                    front.unsynced_since.get_or_insert_with(Instant::now);
                    answers.push((reply, Ok(position)));
                } else if front.closed {
                    self.room.give_back(entry.charge);
                    answers.push((reply, Err(AppendError::Closed)));
                } else {
                    unwritten.push(Queued { entry, reply, place });
                }
            }
            for queued in unwritten.into_iter().rev() {
                front.queue.push_front(queued);
            }
            front.end = end;
            front.in_hand = 0;
            front.trouble = outcome.err();
            front.trouble.is_some() && !front.closed
        };
        drop(store);
        for (reply, answer) in answers {
            // Whoever asked may be gone. The batch is there all the same.
            let _ = reply.send(answer);
        }
        self.news.notify_waiters();
        self.report(faults);
        self.log_condition();
        again
    }

    // --- the syncer thread

    /// Notes the cursors, makes durable what is not, and removes what all have passed. `all`: the cursors too, in any case.
    pub fn sync_round(self: &Arc<Self>, all: bool) {
        let in_need = self.is_waiting();
        let (cursors, cursors_due) = {
            let mut front = self.front();
            front.syncing_since = front.unsynced_since.take();
            let due = front
                .cursors_synced
                .is_none_or(|synced| synced.elapsed() >= CURSOR_SYNC_INTERVAL);
            (front.cursors.clone(), due)
        };
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(guard) = &guard {
            guard.store();
        }
        let (work, dir, to_remove) = {
            let mut store = self.store();
            let mut outcome = Ok(());
            for (name, position) in &cursors {
                outcome = outcome.and(store.write_cursor(name, *position));
            }
            if let Err(trouble) = outcome {
                drop(store);
                self.sync_ended(Err(trouble), false);
                return;
            }
            let with_cursors = all || cursors_due || in_need || store.a_segment_could_go();
            // In need even a segment that is written to may go, if all have passed it already.
            let to_remove = in_need || store.has_passed();
            (store.begin_sync(with_cursors), store.dir().to_owned(), to_remove)
        };
        if work.is_empty() && !to_remove {
            self.sync_ended(Ok(()), false);
            self.log_condition();
            return;
        }
        let with_cursors = work.has_cursors();
        if let Some(guard) = guard.filter(|_| with_cursors) {
            guard.sync();
        }
        let synced = work.run(&*self.files, &dir);
        let (outcome, passed) = {
            let mut store = self.store();
            (store.end_sync(synced), store.take_passed(in_need))
        };
        let removals = Passed::remove(passed, &*self.files);
        let (freed, removed, faults, first) = {
            let mut store = self.store();
            let (freed, removed) = store.removed(removals);
            let first = store.extents().next().map(|(begin, _)| begin);
            (freed, removed, store.take_faults(), first)
        };
        {
            let mut front = self.front();
            front.forget_before(first);
        }
        self.free(freed);
        self.report(faults);
        self.sync_ended(outcome.and(removed), with_cursors);
        self.log_condition();
    }

    fn sync_ended(self: &Arc<Self>, outcome: Result<(), Trouble>, with_cursors: bool) {
        let retry = {
            let mut front = self.front();
            let syncing = front.syncing_since.take();
            if with_cursors {
                front.cursors_synced = Some(Instant::now());
            }
            match outcome {
                Ok(()) => false,
                Err(trouble) => {
                    front.unsynced_since = syncing.or(front.unsynced_since);
                    front.trouble.get_or_insert(trouble);
                    true
                }
            }
        };
        if retry {
            self.log_condition();
            // Tries the disk, after a while, and goes on when that works.
            self.engine.retry(self);
        }
    }

    fn free(&self, charge: Charge) {
        if charge != Charge::default() {
            self.room.give_back(charge);
        }
    }

    // --- a blocking thread

    /// Reads what stands at or after `from`, and leaves it for [`Self::next`].
    fn read(&self, from: Position) {
        let result = self.read_from(from);
        let mut front = self.front();
        front.reading.remove(&from);
        let read_to = match result {
            Ok(ReadEnd::Batches(batches)) => {
                let to = batches.last().map_or(from, |last| last.end());
                front.readings.keep(from, batches);
                Ok(to)
            }
            Ok(ReadEnd::Nothing(to)) => {
                // At least one position further, or nobody would get anywhere.
                let to = to.max(from.plus(1));
                front.void = Some((from, to));
                Ok(to)
            }
            Err(error) => Err(error),
        };
        let stream = self.name.as_str();
        match read_to {
            Ok(to) => {
                front.read_failed = None;
                if front.read_trouble.read(from, to) {
                    tracing::info!(stream, position = %from, "the journal can be read again");
                }
            }
            Err(error) => {
                front.read_failed = Some(Instant::now());
                if front.read_trouble.failed(from, &error) {
                    tracing::error!(stream, position = %from, %error, "the journal cannot be read: it is tried again");
                }
            }
        }
        drop(front);
        self.news.notify_waiters();
    }

    fn read_from(&self, from: Position) -> std::io::Result<ReadEnd> {
        let mut at = from;
        loop {
            let plan = {
                let store = self.store();
                match store.plan_read(at) {
                    Some(plan) => plan,
                    None => return Ok(ReadEnd::Nothing(store.end())),
                }
            };
            let out = match plan.run(&*self.files, CHUNK_BYTES) {
                Ok(out) => out,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let mut store = self.store();
                    store.missing(&plan);
                    let faults = store.take_faults();
                    drop(store);
                    self.report(faults);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let faults = {
                let mut store = self.store();
                store.after_read(&out);
                store.take_faults()
            };
            self.report(faults);
            if !out.batches.is_empty() {
                return Ok(ReadEnd::Batches(out.batches));
            }
            at = out.resume;
        }
    }

    // --- reports

    fn report(&self, faults: Vec<Fault>) {
        let stream = self.name.as_str();
        {
            let mut front = self.front();
            faults.iter().for_each(|fault| front.faults.count(fault));
        }
        for fault in faults {
            match fault {
                Fault::Cut { damage, kept } => {
                    let kept = kept.map_or_else(|| "nowhere: only zeros".to_owned(), |kept| kept.display().to_string());
                    tracing::warn!(
                        stream, position = %damage.position, bytes = damage.bytes, why = %damage.why, kept,
                        "the journal ended in the middle of a batch, as after a crash: it was cut off there"
                    );
                }
                Fault::Damaged { segment, damage } => tracing::error!(
                    stream, segment, position = %damage.position, bytes = damage.bytes, why = %damage.why,
                    "damage in the journal: it is passed over, and the segment will be set aside"
                ),
                Fault::SetAside { to } => {
                    tracing::warn!(stream, file = %to.display(), "a segment with damage is set aside");
                }
                Fault::Missing { segment, bytes } => {
                    tracing::error!(
                        stream,
                        segment,
                        bytes,
                        "a segment of the journal is gone, and nobody here removed it"
                    );
                }
                Fault::CursorUnreadable { name, kept } => tracing::error!(
                    stream, cursor = name, kept = %kept.display(),
                    "the cursor cannot be read: everything that is still in the journal is forwarded again"
                ),
                Fault::NotSynced { from, to, error } => tracing::error!(
                    stream, %from, %to, error,
                    "what was appended could not be made durable: a power loss may take it. The journal goes on in a new segment"
                ),
            }
        }
    }

    /// One line for each change.
    fn log_condition(&self) {
        let waiting = self.is_waiting();
        let mut front = self.front();
        if waiting {
            front.waited = Some(Instant::now());
        }
        let glows = front.waited.is_some_and(|waited| waited.elapsed() < FULL_AFTERGLOW);
        let condition = front.condition(waiting || glows);
        if condition == front.logged {
            return;
        }
        let before = std::mem::replace(&mut front.logged, condition.clone());
        let backlog_bytes = front.backlog();
        drop(front);
        let stream = self.name.as_str();
        match condition {
            Condition::Good => tracing::info!(stream, backlog_bytes, %before, "the journal takes batches again"),
            Condition::Full | Condition::DiskFull(_) | Condition::DiskFailing(_) => {
                tracing::error!(stream, backlog_bytes, %condition, "the journal takes nothing: reading waits until it does");
            }
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing panics while it holds a lock here, so a poisoned one is as good as any.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum ReadEnd {
    Batches(Vec<Arc<Batch>>),
    /// Nothing up to here.
    Nothing(Position),
}

impl Front {
    fn slowest(&self) -> Position {
        self.cursors.values().min().copied().unwrap_or(self.end)
    }

    fn backlog(&self) -> u64 {
        let slowest = self.slowest();
        self.ranges
            .iter()
            .map(|(begin, end)| end.since(slowest.max(*begin)))
            .sum()
    }

    fn condition(&self, waiting: bool) -> Condition {
        match &self.trouble {
            Some(Trouble::DiskFull(text)) => Condition::DiskFull(text.clone()),
            Some(Trouble::DiskFailing(text)) => Condition::DiskFailing(text.clone()),
            None if waiting => Condition::Full,
            None => Condition::Good,
        }
    }

    /// The segments before `first` are gone; all are, if there is none.
    fn forget_before(&mut self, first: Option<Position>) {
        let first = first.unwrap_or(self.end);
        while let Some((begin, end)) = self.ranges.front_mut() {
            if *end > first {
                *begin = first.max(*begin);
                break;
            }
            self.ranges.pop_front();
        }
    }
}

fn extend(ranges: &mut VecDeque<(Position, Position)>, (begin, end): (Position, Position)) {
    match ranges.back_mut() {
        Some(last) if last.1 == begin => last.1 = end,
        Some(_) | None => ranges.push_back((begin, end)),
    }
}
