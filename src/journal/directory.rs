//! The journals of all streams, under `state_dir/journal`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::durable::Durable;
use super::engine::{Engine, SyncRounds, Threads};
use super::files::{Files, SystemFiles};
use super::journal::Journal;
use super::recovery::{OpenError, beyond_all};
use super::room::{Room, StreamRoom};
use super::segment::FileName;
use super::store::{SEGMENT_BYTES, Store, StoreSettings};

/// What the tails of all streams may hold in memory together.
const ALL_TAILS: u64 = 64 * 1024 * 1024;
/// The most that one of them may.
const MOST_FOR_ONE_TAIL: u64 = 4 * 1024 * 1024;
/// The least that one of them may, so that a batch or two are there when the forwarder comes for them.
const LEAST_FOR_ONE_TAIL: u64 = 128 * 1024;
/// A full journal has this many segments or more, so that there is room again when a part of it is delivered.
const SEGMENTS_IN_A_JOURNAL: u64 = 8;
/// A segment has room for a batch or two, however small the journal.
const SMALLEST_SEGMENT: u64 = 64 * 1024;
/// This part of the whole room is shared out to the streams as their own; the rest is for whoever needs it.
const OWN_SHARE: u64 = 4;

/// What a journal in memory may hold: about what the tails of journals on disk may.
const IN_MEMORY: u64 = ALL_TAILS;

/// How the journals are kept.
#[derive(Clone, Debug)]
pub struct JournalsSettings {
    /// The daemon's directory, locked.
    pub state_dir: PathBuf,
    /// How often what was appended is made durable.
    pub sync_interval: Duration,
    /// What one stream's journal may hold, in bytes.
    pub max_bytes: u64,
    /// What all of them may hold together, in bytes.
    pub max_bytes_in_all: u64,
    /// How many streams there are at the start. Others may come and go.
    pub streams: usize,
}

/// The journals of all streams, and the threads that write them. Dropping it writes and syncs what there is, and blocks for that.
#[derive(Debug)]
pub struct Journals {
    settings: JournalsSettings,
    files: Arc<dyn Files>,
    shared_room: Arc<Room>,
    shares: Mutex<Shares>,
    engine: Arc<Engine>,
    threads: Mutex<Threads>,
    in_memory: bool,
}

/// What of the whole room is the streams' own.
#[derive(Debug)]
struct Shares {
    /// What was set aside for that at the start, and nobody has now.
    free: u64,
    /// What each open journal has, by its stream's name.
    lent: BTreeMap<String, u64>,
}

impl Journals {
    /// Makes the directories, and starts the threads.
    pub fn start(settings: JournalsSettings) -> io::Result<Self> {
        Self::start_on(settings, Arc::new(SystemFiles))
    }

    /// The same, on other files.
    pub fn start_on(settings: JournalsSettings, files: Arc<dyn Files>) -> io::Result<Self> {
        for dir in ["journal", "quarantine"] {
            files.make_dir(&settings.state_dir.join(dir))?;
        }
        files.sync_dir(&settings.state_dir)?;
        let of_their_own = settings.max_bytes_in_all / OWN_SHARE;
        let threads = Threads::start(settings.sync_interval)?;
        Ok(Self {
            shared_room: Arc::new(Room::new(settings.max_bytes_in_all - of_their_own, 0)),
            shares: Mutex::new(Shares {
                free: of_their_own,
                lent: BTreeMap::new(),
            }),
            engine: Arc::clone(threads.engine()),
            threads: Mutex::new(threads),
            files,
            settings,
            in_memory: false,
        })
    }

    /// Has journals in memory opened from now on: for a benchmark, because what they hold does not survive the process.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Opens the journal of the stream of this name, and makes it if there is none. It must not be open already. Blocks, for as long as it
    /// takes to read a segment.
    ///
    /// `outputs` are the names of all cursors that are wanted besides [`super::DEFAULT_CURSOR`]. One that is not there begins where the default one
    /// stands, and is durable when this returns. One that is there and not wanted is removed, and reported.
    pub fn open(&self, stream: &str, outputs: &[&str]) -> Result<Journal, OpenError> {
        if self.in_memory {
            return Ok(Journal::in_memory_for(IN_MEMORY, outputs));
        }
        let settings = &self.settings;
        let store = Store::open_for(
            Arc::clone(&self.files),
            StoreSettings {
                dir: settings.state_dir.join("journal").join(stream),
                quarantine: settings.state_dir.join("quarantine"),
                segment_bytes: SEGMENT_BYTES
                    .min(settings.max_bytes / SEGMENTS_IN_A_JOURNAL)
                    .max(SMALLEST_SEGMENT),
                if_unknown: beyond_all(SystemTime::now()),
            },
            outputs,
        )?;
        let (own, streams) = self.lend(stream);
        let room = StreamRoom::new(settings.max_bytes, own, Arc::clone(&self.shared_room));
        let tail_bytes = (ALL_TAILS / streams).clamp(LEAST_FOR_ONE_TAIL, MOST_FOR_ONE_TAIL);
        let journal = Arc::new(Durable::new(
            stream.to_owned(),
            Arc::clone(&self.files),
            Arc::clone(&self.engine),
            store,
            room,
            tail_bytes,
        ));
        self.engine.adopt(Arc::clone(&journal));
        Ok(Journal::on_disk(journal))
    }

    /// Closes a stream's journal while the others go on, makes it durable, cursors included, and lets go of it: it may be opened again
    /// then. Who still holds it gets nothing new from it. Blocks for as long as that takes. False if something could not be made durable.
    pub fn release(&self, stream: &str, journal: &Journal) -> bool {
        journal.close();
        let durable = journal.durable().is_none_or(|durable| self.engine.release(durable));
        let mut shares = self.shares();
        shares.free += shares.lent.remove(stream).unwrap_or_default();
        durable
    }

    /// A stream's own part of the room, and how many streams share it out. Those that come later than the start have one only as far as
    /// others have left theirs, until a restart deals all of it out anew: what all share must stay as it is, or a batch might wait for
    /// more of it than there can ever be.
    fn lend(&self, stream: &str) -> (u64, u64) {
        let mut shares = self.shares();
        let streams = self.settings.streams.max(shares.lent.len() + 1) as u64;
        let own = (self.settings.max_bytes_in_all / OWN_SHARE / streams).min(shares.free);
        shares.free -= own;
        shares.lent.insert(stream.to_owned(), own);
        (own, streams)
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // Nothing panics while it holds the lock, so a poisoned one is as good as any.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long rounds of making things durable take.
    pub fn sync_rounds(&self) -> SyncRounds {
        self.engine.rounds().clone()
    }

    /// The journals of streams that are not among `streams`, and what they hold in bytes. They are kept until somebody decides. One
    /// that holds nothing, such as after a discard, needs no decision and is left out.
    pub fn orphans(&self, streams: &BTreeSet<&str>) -> io::Result<Vec<(String, u64)>> {
        orphans(&*self.files, &self.settings.state_dir.join("journal"), streams)
    }

    /// Closes all journals, writes what is queued, and makes everything durable, cursors included. Blocks for as long as that takes.
    /// False if something could not be made durable.
    pub fn stop(&self) -> bool {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).stop()
    }
}

/// The names of the cursors that a stream's journal has on disk. Blocks on the disk: a look at names.
pub fn cursors(state_dir: &Path, stream: &str) -> io::Result<BTreeSet<String>> {
    let entries = match SystemFiles.list(&state_dir.join("journal").join(stream)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        listed => listed?,
    };
    let names = entries.into_iter().filter_map(|entry| match FileName::of(&entry.name) {
        FileName::Cursor(name) => Some(name),
        FileName::Segment { .. } | FileName::Foreign => None,
    });
    Ok(names.collect())
}

fn orphans(files: &dyn Files, dir: &Path, streams: &BTreeSet<&str>) -> io::Result<Vec<(String, u64)>> {
    let mut orphans = Vec::new();
    for entry in files.list(dir)? {
        if entry.is_dir && !streams.contains(entry.name.as_str()) {
            let inside = files.list(&dir.join(&entry.name))?;
            let segments = inside
                .iter()
                .filter(|file| matches!(FileName::of(&file.name), FileName::Segment { .. }));
            let bytes = segments.map(|segment| segment.bytes).sum();
            if bytes > 0 {
                orphans.push((entry.name, bytes));
            }
        }
    }
    Ok(orphans)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::{BatchKind, NewBatch};

    #[tokio::test]
    async fn a_journal_in_memory_gives_back_what_it_took_and_leaves_nothing_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::start(JournalsSettings {
            state_dir: dir.path().to_owned(),
            sync_interval: Duration::from_millis(5),
            max_bytes: 1 << 20,
            max_bytes_in_all: 1 << 20,
            streams: 1,
        })
        .unwrap()
        .in_memory();
        let journal = journals.open("a", &[]).unwrap();
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 0,
            bytes: Bytes::from_static(b"{}\r\n"),
        };
        let position = journal.append(batch).await.unwrap();
        assert_eq!(&*journal.next(position).await.unwrap().bytes, b"{}\r\n");
        assert!(journals.stop());
        let left = std::fs::read_dir(dir.path().join("journal")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn what_streams_have_of_their_own_is_never_more_than_was_set_aside() {
        const IN_ALL: u64 = 4_000;
        let dir = tempfile::tempdir().unwrap();
        let journals = Journals::start(JournalsSettings {
            state_dir: dir.path().to_owned(),
            sync_interval: Duration::from_millis(5),
            max_bytes: IN_ALL,
            max_bytes_in_all: IN_ALL,
            streams: 2,
        })
        .unwrap();
        let lent = |name: &str| journals.shares().lent[name];
        let mut open: BTreeMap<&str, Journal> = BTreeMap::new();
        for name in ["a", "b", "c"] {
            open.insert(name, journals.open(name, &[]).unwrap());
        }
        assert_eq!([lent("a"), lent("b"), lent("c")], [500, 500, 0]);
        assert!(journals.release("a", &open["a"]));
        open.insert("d", journals.open("d", &[]).unwrap());
        assert_eq!(lent("d"), 333, "others have left some");
        for name in ["b", "c", "d"] {
            assert!(journals.release(name, &open[name]));
        }
        let shares = journals.shares();
        assert_eq!((shares.free, shares.lent.len()), (IN_ALL / OWN_SHARE, 0));
    }
}
