//! The journal of one stream on disk, as the async side sees it: writers that wait, readers that are woken, and cursors that move.
//!
//! ```text
//! append --room--> queue --writer thread--> Store::append --> tail --> next
//!                                                  |                    ^
//! advance --> cursors --syncer thread--> sync, trim, room         reading on a blocking thread, if it lags
//! ```
//!
//! No file is touched on an async thread. Three locks: `front` for what the async side needs, held for moments; `store` for the files, held
//! by the threads of [`super::engine`] and by readings, and taken before `front` where both are; and before both `turn`, held by a round
//! of the syncer, and while a cursor comes or goes.
//!
//! | module | holds |
//! | --- | --- |
//! | [`front`] | what the async side needs |
//! | [`cursors`] | cursors move, come and go |
//! | [`rounds`] | what the threads of [`super::engine`] do for one journal |
//! | [`readback`] | readings from disk |
//! | [`reports`] | what is logged |
//! | [`told`] | what of a condition is worth a line |

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::counted_in::CountedIn;
use super::engine::Engine;
use super::faults::{JournalFaults, ReadTrouble};
use super::files::Files;
use super::readings::{Readings, Voids};
use super::room::StreamRoom;
use super::store::{Entry, Store};
use super::tail::{Ahead, Tail};
use super::{AppendError, Batch, JournalStatus, NewBatch, Position};
use front::{Cursor, Front, Queued, extend};
use told::Told;

mod cursors;
mod front;
mod readback;
mod reports;
mod rounds;
mod told;

/// Batches that may wait for the writer thread, besides those that wait for room. A stream has one for each connection.
const MOST_QUEUED: usize = 512;
/// The disk is tried again so long after it has refused something.
pub const DISK_RETRY: Duration = Duration::from_secs(1);

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
    turn: Mutex<()>,
}

impl Durable {
    /// The journal in `store`, with the cursors that are there. `engine` has to be told of it.
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
        let of_store = store.cursors().into_iter();
        let cursors = of_store.map(|(name, position)| (name, Cursor { position, guard: None }));
        let cursors = cursors.collect();
        let mut ranges = VecDeque::new();
        for extent in store.extents() {
            extend(&mut ranges, extent);
        }
        let front = Front {
            queue: VecDeque::new(),
            in_hand: 0,
            tail: Tail::new(tail_bytes),
            readings: Readings::default(),
            ahead: Ahead::default(),
            reading: BTreeSet::new(),
            voids: Voids::default(),
            read_failed: None,
            read_trouble: ReadTrouble::default(),
            faults: JournalFaults::default(),
            // What a killed daemon had written last may not be durable.
            unsynced_since: (!ranges.is_empty()).then(Instant::now),
            ranges,
            end: store.end(),
            cursors,
            closed: false,
            retired: false,
            trouble: None,
            syncing_since: None,
            cursors_synced: None,
            told: Told::default(),
            began: Instant::now(),
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
            turn: Mutex::default(),
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
                at = front.voids.after(at);
                let found = front.tail.find(at).cloned();
                if let Some(batch) = found.or_else(|| front.readings.find(at)) {
                    front.ahead.note(from, &batch);
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
            oldest_ms: front.oldest_ms(),
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

    /// Whether nothing waits to be written.
    pub fn is_written(&self) -> bool {
        let front = self.front();
        front.queue.is_empty() && front.in_hand == 0
    }

    /// Touches no file from now on, so that the journal may be opened anew, and gives its room back. To be called when it is closed and
    /// written, and where no sync is under way.
    pub fn retire(&self) {
        let _turn = self.turn();
        let held = {
            let store = self.store();
            let mut front = self.front();
            front.retired = true;
            // Their guards have seen them to disk.
            for cursor in front.cursors.values_mut() {
                cursor.guard = None;
            }
            drop(front);
            store.held()
        };
        self.free(held);
    }

    /// Asked with the store locked, because that is how it becomes true.
    fn is_retired(&self) -> bool {
        self.front().retired
    }

    /// Whether everything that was appended is on disk for good.
    pub fn is_durable(&self) -> bool {
        let front = self.front();
        front.queue.is_empty() && front.in_hand == 0 && front.unsynced_since.is_none() && front.syncing_since.is_none()
    }

    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // Nothing panics while it holds a lock here, so a poisoned one is as good as any.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
