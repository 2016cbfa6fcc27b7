//! The journals of all streams, under `state_dir/journal`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::durable::Durable;
use super::engine::Threads;
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
    /// How many streams there will be.
    pub streams: usize,
}

/// The journals of all streams, and the threads that write them. Dropping it writes and syncs what there is, and blocks for that.
#[derive(Debug)]
pub struct Journals {
    settings: JournalsSettings,
    files: Arc<dyn Files>,
    shared_room: Arc<Room>,
    threads: Threads,
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
        Ok(Self {
            shared_room: Arc::new(Room::new(settings.max_bytes_in_all - of_their_own, 0)),
            threads: Threads::start(settings.sync_interval)?,
            files,
            settings,
        })
    }

    /// Opens the journal of the stream of this name, and makes it if there is none. Blocks, for as long as it takes to read a segment.
    pub fn open(&self, stream: &str) -> Result<Journal, OpenError> {
        let settings = &self.settings;
        let streams = settings.streams.max(1) as u64;
        let own = settings.max_bytes_in_all / OWN_SHARE / streams;
        let room = StreamRoom::new(settings.max_bytes, own, Arc::clone(&self.shared_room));
        let store = Store::open(
            Arc::clone(&self.files),
            StoreSettings {
                dir: settings.state_dir.join("journal").join(stream),
                quarantine: settings.state_dir.join("quarantine"),
                segment_bytes: SEGMENT_BYTES
                    .min(settings.max_bytes / SEGMENTS_IN_A_JOURNAL)
                    .max(SMALLEST_SEGMENT),
                if_unknown: beyond_all(SystemTime::now()),
            },
        )?;
        let tail_bytes = (ALL_TAILS / streams).clamp(LEAST_FOR_ONE_TAIL, MOST_FOR_ONE_TAIL);
        let engine = Arc::clone(self.threads.engine());
        let journal = Arc::new(Durable::new(
            stream.to_owned(),
            Arc::clone(&self.files),
            engine,
            store,
            room,
            tail_bytes,
        ));
        self.threads.engine().adopt(Arc::clone(&journal));
        Ok(Journal::on_disk(journal))
    }

    /// The journals of streams that are not among `streams`, and what they hold in bytes. They are kept until somebody decides. One
    /// that holds nothing, such as after a discard, needs no decision and is left out.
    pub fn orphans(&self, streams: &BTreeSet<&str>) -> io::Result<Vec<(String, u64)>> {
        orphans(&*self.files, &self.settings.state_dir.join("journal"), streams)
    }

    /// Closes all journals, writes what is queued, and makes everything durable, cursors included. Blocks for as long as that takes.
    /// False if something could not be made durable.
    pub fn stop(mut self) -> bool {
        self.threads.stop()
    }
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
