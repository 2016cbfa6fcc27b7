//! The two threads that write and sync the journals of all streams.
//!
//! One writer thread, and not a blocking task for each append: it keeps each stream's batches in order, also those that their askers have
//! left behind, and what several connections bring while a write is under way goes out in the next one. Measured (two cores, opt-level
//! 1, ext4): a batch of 2.5 KB takes 5 to 8 us from append to answer, against 9 to 12 us for a bare write in a blocking task; of 65 KB 26
//! to 28 us against 24 to 25; eight connections at once bring it to 20 to 25 us a batch, 2.6 to 3.3 GB/s.
//!
//! One syncer thread, so that a sync, which takes milliseconds or worse, holds up no write. All streams share one disk, so more
//! threads would only wait side by side.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::durable::{DISK_RETRY, Durable};
use crate::telemetry::histogram::{Histogram, Measure};

/// Upper bounds for [`SyncRounds`], in seconds. One file is synced in milliseconds, 200 in about a tenth of a second; seconds are a disk in
/// trouble, and a power loss would take as much as came meanwhile.
static SYNC_BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How long rounds of the syncer thread took in which something was made durable, in seconds. Clones share it.
#[derive(Clone, Debug)]
pub struct SyncRounds(Arc<Measure<12>>);

impl Default for SyncRounds {
    fn default() -> Self {
        Self(Arc::new(Measure::new(&SYNC_BOUNDS)))
    }
}

impl SyncRounds {
    /// As they are now.
    pub fn snapshot(&self) -> Histogram {
        self.0.snapshot()
    }
}

/// The threads' common ground.
#[derive(Debug, Default)]
pub struct Engine {
    write: Mutex<WriteState>,
    to_write: Condvar,
    sync: Mutex<SyncState>,
    to_sync: Condvar,
    rounds: SyncRounds,
}

#[derive(Debug, Default)]
struct WriteState {
    /// Those with something to write, each once.
    ready: VecDeque<Arc<Durable>>,
    /// Those to be tried again later.
    later: Vec<(Instant, Arc<Durable>)>,
    stopped: bool,
}

#[derive(Debug, Default)]
struct SyncState {
    journals: Vec<Arc<Durable>>,
    /// Closed journals that nobody writes to any more, and who waits until they are let go of.
    leaving: Vec<(Arc<Durable>, mpsc::SyncSender<bool>)>,
    hurry: bool,
    stopped: bool,
}

/// The threads, running.
#[derive(Debug)]
pub struct Threads {
    engine: Arc<Engine>,
    writer: Option<JoinHandle<()>>,
    syncer: Option<JoinHandle<()>>,
}

impl Engine {
    /// The journal has something to write.
    pub fn write(&self, journal: &Arc<Durable>) {
        let mut state = lock(&self.write);
        let known = state.ready.iter().any(|ready| Arc::ptr_eq(ready, journal));
        let waits = !journal.is_closed() && state.later.iter().any(|(_, later)| Arc::ptr_eq(later, journal));
        if !known && !waits {
            state.ready.push_back(Arc::clone(journal));
            drop(state);
            self.to_write.notify_one();
        }
    }

    /// The journal's disk is in trouble: it is tried again after a while.
    pub fn retry(&self, journal: &Arc<Durable>) {
        let mut state = lock(&self.write);
        if !state.later.iter().any(|(_, later)| Arc::ptr_eq(later, journal)) {
            state.later.push((Instant::now() + DISK_RETRY, Arc::clone(journal)));
            drop(state);
            self.to_write.notify_one();
        }
    }

    /// Somebody waits for room.
    pub fn hurry(&self) {
        lock(&self.sync).hurry = true;
        self.to_sync.notify_one();
    }

    /// How long rounds of syncing took.
    pub const fn rounds(&self) -> &SyncRounds {
        &self.rounds
    }

    /// Syncs this journal too from now on.
    pub fn adopt(&self, journal: Arc<Durable>) {
        lock(&self.sync).journals.push(journal);
    }

    /// Makes a closed journal durable for the last time, cursors included, and lets go of it: none of the threads touches its files from
    /// then on. Blocks for as long as that takes. False if something could not be made durable.
    pub fn release(&self, journal: &Arc<Durable>) -> bool {
        let (done, released) = mpsc::sync_channel(1);
        {
            let mut state = lock(&self.sync);
            if state.stopped {
                return journal.is_durable();
            }
            state.leaving.push((Arc::clone(journal), done));
            state.hurry = true;
        }
        self.to_sync.notify_one();
        released.recv().unwrap_or_else(|_| journal.is_durable())
    }

    /// Lets go of those journals that wait for it. One whose last batches are not written yet waits for the next round.
    fn let_go(&self, leaving: Vec<(Arc<Durable>, mpsc::SyncSender<bool>)>, stopped: bool) {
        for (journal, done) in leaving {
            if !journal.is_written() && !stopped {
                lock(&self.sync).leaving.push((journal, done));
                continue;
            }
            journal.sync_round(true);
            let durable = journal.is_durable();
            lock(&self.sync).journals.retain(|known| !Arc::ptr_eq(known, &journal));
            journal.retire();
            // Who asked may have gone.
            let _ = done.send(durable);
        }
    }

    fn run_writer(&self) {
        while let Some(journals) = self.next_to_write() {
            for journal in journals {
                if journal.write_out() {
                    self.retry(&journal);
                }
            }
        }
    }

    /// Waits for journals with something to write; none when stopped.
    fn next_to_write(&self) -> Option<Vec<Arc<Durable>>> {
        let mut state = lock(&self.write);
        loop {
            let now = Instant::now();
            let mut due: Vec<Arc<Durable>> = state.ready.drain(..).collect();
            let (ready, later) = std::mem::take(&mut state.later)
                .into_iter()
                .partition(|(at, _)| *at <= now);
            state.later = later;
            let ready: Vec<(Instant, Arc<Durable>)> = ready;
            for (_, journal) in ready {
                if !due.iter().any(|known| Arc::ptr_eq(known, &journal)) {
                    due.push(journal);
                }
            }
            if !due.is_empty() {
                return Some(due);
            }
            if state.stopped {
                return None;
            }
            let first = state
                .later
                .iter()
                .map(|(at, _)| at.saturating_duration_since(now))
                .min();
            state = match first {
                None => self.to_write.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let waited = self.to_write.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn run_syncer(&self, interval: Duration) {
        loop {
            let (journals, leaving, stopped) = {
                let state = lock(&self.sync);
                let idle = |state: &mut SyncState| !state.hurry && !state.stopped;
                let waited = self.to_sync.wait_timeout_while(state, interval, idle);
                let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.hurry = false;
                let leaving = std::mem::take(&mut state.leaving);
                (state.journals.clone(), leaving, state.stopped)
            };
            let began = Instant::now();
            let mut synced = false;
            for journal in &journals {
                synced |= journal.sync_round(stopped);
            }
            if synced {
                self.rounds.0.observe(began.elapsed().as_secs_f64(), 1);
            }
            self.let_go(leaving, stopped);
            if stopped {
                return;
            }
        }
    }
}

impl Threads {
    /// Starts both.
    pub fn start(sync_interval: Duration) -> io::Result<Self> {
        let engine = Arc::new(Engine::default());
        let (for_writer, for_syncer) = (Arc::clone(&engine), Arc::clone(&engine));
        let writer = std::thread::Builder::new().name("journal-write".to_owned());
        let syncer = std::thread::Builder::new().name("journal-sync".to_owned());
        let mut threads = Self {
            engine,
            writer: None,
            syncer: None,
        };
        threads.writer = Some(writer.spawn(move || for_writer.run_writer())?);
        threads.syncer = Some(syncer.spawn(move || for_syncer.run_syncer(sync_interval))?);
        Ok(threads)
    }

    /// What the journals use.
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Closes all journals, writes what is queued, syncs everything, and ends both threads. Blocks for as long as that takes. False
    /// if something could not be made durable.
    pub fn stop(&mut self) -> bool {
        // Nobody may wait for an append that nobody will write.
        let journals = lock(&self.engine.sync).journals.clone();
        for journal in &journals {
            journal.close();
        }
        lock(&self.engine.write).stopped = true;
        self.engine.to_write.notify_one();
        let written = join(self.writer.take());
        lock(&self.engine.sync).stopped = true;
        self.engine.to_sync.notify_one();
        let synced = join(self.syncer.take());
        let durable = journals.iter().all(|journal| journal.is_durable());
        // The journals know the engine, and it knows them no more.
        lock(&self.engine.sync).journals.clear();
        let mut write = lock(&self.engine.write);
        write.ready.clear();
        write.later.clear();
        written && synced && durable
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// False if the thread has failed.
fn join(thread: Option<JoinHandle<()>>) -> bool {
    let failed = thread.is_some_and(|thread| thread.join().is_err());
    if failed {
        tracing::error!("a thread of the journal has failed: what it had not written is lost");
    }
    !failed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds a lock here, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
