//! The ids of what is delivered, on disk, so that a restart forgets none: `state_dir/dedup/STREAM/`, two files that take turns; and
//! `dedup/STREAM.OUTPUT/` for each further output.
//!
//! ```text
//! ids.current    what is appended to; when it spans the window, or holds half of max_ids, it becomes
//! ids.previous   which replaces the one before
//! ```
//!
//! Two orders make it safe, and this is all that whoever uses it must keep:
//! 1. [`IdStore::append`] an entry **before** the cursor passes its record, or at the moment when it does. The bytes are handed to
//!    the kernel then; [`IdSync::sync`] makes them durable, at the journal's sync points.
//! 2. [`IdStore::open`] with the cursor as it is on disk, **before** anything is produced. Entries at or past the cursor are not
//!    given out and do not stay on disk: their records are not known to be delivered, and after a power loss their positions may be
//!    used for others.
//!
//! What it costs when things go wrong: kill -9 costs nothing, the kernel has the bytes. A power loss may cost the ids since the last
//! sync, damage on disk those that it hits, a full disk those that find no room: copies of their hits are then forwarded as
//! duplicates, if any come. Nothing that happens to these files makes the daemon drop a hit.
//!
//! Files that a newer livestreamd wrote stay as they are ([`newer`]): neither opened, nor begun anew, nor forgotten.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::dedup::{Entry, Limits};
use crate::journal::Position;
use crate::state_dir::{TooNew, make_private_dir};
use layout::{Header, PIECE_BYTES, VERSION, encode, header};
use outputs::{dir_of, outputs_with_ids};
use reading::{Kept, header_of, last_received_ms, read_file};

mod layout;
mod outputs;
mod reading;

pub use outputs::forget_others;

const CURRENT: &str = "ids.current";
const PREVIOUS: &str = "ids.previous";
/// What may be done about ids that are too new, besides running what wrote them.
const OTHERWISE: &str = "move the file away: copies of hits that were delivered may then be forwarded, if any come";
/// Ids belong to hits: nobody else's business.
const PRIVATE_FILE: u32 = 0o600;

/// Why ids are not on disk. The window in memory does without.
#[derive(Debug, Error)]
#[error("ids of delivered hits cannot be kept in {}: {source}: after a restart, copies of hits may be forwarded", path.display())]
pub struct IdStoreError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// What was found at a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Entries that were given out, and stay.
    pub kept: u64,
    /// Entries at or past the cursor.
    pub not_delivered: u64,
    /// Entries older than the window, by the time at which the newest was received.
    pub too_old: u64,
    /// Entries with a wrong checksum; a file without a readable header counts once.
    pub damaged: u64,
    /// Bytes after the last whole entry.
    pub torn_bytes: u64,
}

/// The files of one output of a stream. Its calls block on the disk, as a write does.
#[derive(Debug)]
pub struct IdStore {
    dir: PathBuf,
    limits: Limits,
    current: Current,
    unsynced: Arc<Unsynced>,
    /// Used again for each append.
    buffer: Vec<u8>,
}

/// The file that is appended to.
#[derive(Debug)]
struct Current {
    file: Arc<File>,
    entries: usize,
    /// When its first entry was received; `None` if it has none.
    began_ms: Option<u64>,
}

impl IdStore {
    /// Opens the ids of an output, by its cursor's name, makes its directory if it is missing, and gives `remember` every entry that is still good, oldest
    /// first. What is not good is off the disk, durably, when this returns.
    ///
    /// # Errors
    /// Those of the disk; and files that are too new, of which nothing is touched.
    pub fn open(
        state_dir: &Path,
        stream: &str,
        output: &str,
        limits: Limits,
        cursor: Position,
        mut remember: impl FnMut(Entry),
    ) -> Result<(Self, Found), IdStoreError> {
        refuse_newer(state_dir, stream, output)?;
        let dir = dir_of(state_dir, stream, output);
        at(&dir, make_private_dir(&dir))?;
        let (previous, current) = (dir.join(PREVIOUS), dir.join(CURRENT));
        let newest_ms = match at(&current, last_received_ms(&current))? {
            Some(newest) => Some(newest),
            None => at(&previous, last_received_ms(&previous))?,
        };
        let kept = Kept {
            before: cursor.0,
            since_ms: newest_ms.map_or(0, |newest| newest.saturating_sub(limits.window_ms)),
        };
        let mut found = Found::default();
        at(&previous, read_file(&previous, kept, &mut found, &mut remember))?;
        let current = match at(&current, read_file(&current, kept, &mut found, &mut remember))? {
            Some(read) => Current {
                file: Arc::new(read.file),
                entries: read.entries,
                began_ms: read.began_ms,
            },
            None => at(&current, Current::create(&current))?,
        };
        at(&dir, sync_dir(&dir))?;
        let store = Self {
            dir,
            limits,
            current,
            unsynced: Arc::default(),
            buffer: Vec::new(),
        };
        Ok((store, found))
    }

    /// Hands entries to the kernel. To be called before the cursor passes their records.
    ///
    /// After an error the cursor may move all the same: a stream that waited here for a full disk would never empty its journal. The
    /// entries are then not on disk, or only some of them; what is appended later is not harmed.
    pub fn append(&mut self, mut entries: &[Entry]) -> Result<(), IdStoreError> {
        while let Some(first) = entries.first() {
            if self.is_full(first.received_ms) {
                self.turn()?;
            }
            let room = self.limits.ids_in_a_generation().saturating_sub(self.current.entries);
            let (now, later) = entries.split_at(entries.len().min(room.max(1)));
            self.buffer.clear();
            self.buffer.extend(now.iter().flat_map(encode));
            // Written at its place, so that what an append that failed half-way has left is written over by the next.
            let written = self.current.file.write_all_at(&self.buffer, self.current.end());
            at(&self.dir.join(CURRENT), written)?;
            self.unsynced.file(&self.current.file);
            self.current.entries += now.len();
            self.current.began_ms.get_or_insert(first.received_ms);
            entries = later;
        }
        Ok(())
    }

    /// What makes durable what was appended. It may be used on another thread.
    pub fn syncer(&self) -> IdSync {
        IdSync {
            dir: self.dir.clone(),
            unsynced: Arc::clone(&self.unsynced),
        }
    }

    fn is_full(&self, now_ms: u64) -> bool {
        let window = self.limits.window_ms;
        let old = |began: u64| now_ms >= began.saturating_add(window);
        self.current.entries >= self.limits.ids_in_a_generation() || self.current.began_ms.is_some_and(old)
    }

    /// The current file becomes the previous one. If that goes wrong half-way, the next append tries again.
    fn turn(&mut self) -> Result<(), IdStoreError> {
        let (current, previous) = (self.dir.join(CURRENT), self.dir.join(PREVIOUS));
        match fs::rename(&current, &previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return at(&current, Err(error)),
            Ok(()) | Err(_) => {}
        }
        self.current = at(&current, Current::create(&current))?;
        self.unsynced.file(&self.current.file);
        self.unsynced.lock().dir = true;
        Ok(())
    }
}

impl Current {
    fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(PRIVATE_FILE).open(path)?;
        if let Err(error) = file.write_all_at(&header(), 0) {
            // Or it would take the previous file's place at the next try.
            fs::remove_file(path)?;
            return Err(error);
        }
        Ok(Self {
            file: Arc::new(file),
            entries: 0,
            began_ms: None,
        })
    }

    const fn end(&self) -> u64 {
        (PIECE_BYTES * (1 + self.entries)) as u64
    }
}

/// Forgets the ids of an output, by its cursor's name. To be called when its hits go out without being asked about: a file that missed some of what the
/// cursor passed could name positions that were used again since. And before a new output begins, or when one is gone.
///
/// # Errors
/// Those of the disk; and files that are too new, which stay.
pub fn forget(state_dir: &Path, stream: &str, output: &str) -> Result<(), IdStoreError> {
    refuse_newer(state_dir, stream, output)?;
    let dir = dir_of(state_dir, stream, output);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Durably: what comes next relies on it.
        removed => at(&dir, removed.and_then(|()| dir.parent().map_or(Ok(()), sync_dir))),
    }
}

/// The first file of the stream's ids that only a newer livestreamd reads, whichever output it is of. Blocks on the disk. What cannot be
/// read is none.
pub fn newer(state_dir: &Path, stream: &str) -> Option<TooNew> {
    let outputs = outputs_with_ids(state_dir, stream).ok()?;
    outputs.iter().find_map(|output| newer_of(state_dir, stream, output))
}

fn newer_of(state_dir: &Path, stream: &str, output: &str) -> Option<TooNew> {
    let dir = dir_of(state_dir, stream, output);
    [CURRENT, PREVIOUS].into_iter().find_map(|name| {
        let file = dir.join(name);
        match header_of(&file).ok()? {
            Header::Newer(found) => Some(TooNew {
                file,
                found,
                known: VERSION,
                otherwise: OTHERWISE,
            }),
            Header::Known | Header::Unreadable => None,
        }
    })
}

fn refuse_newer(state_dir: &Path, stream: &str, output: &str) -> Result<(), IdStoreError> {
    match newer_of(state_dir, stream, output) {
        Some(newer) => at(&newer.file.clone(), Err(io::Error::other(newer))),
        None => Ok(()),
    }
}

/// Makes a stream's ids durable.
#[derive(Clone, Debug)]
pub struct IdSync {
    dir: PathBuf,
    unsynced: Arc<Unsynced>,
}

impl IdSync {
    /// Returns when everything that was appended before is durable. Blocks for as long as an fdatasync takes; appending goes on
    /// meanwhile.
    pub fn sync(&self) -> Result<(), IdStoreError> {
        let (files, dir) = {
            let mut pending = self.unsynced.lock();
            (std::mem::take(&mut pending.files), std::mem::take(&mut pending.dir))
        };
        for file in files {
            at(&self.dir, file.sync_data())?;
        }
        if dir {
            at(&self.dir, sync_dir(&self.dir))?;
        }
        Ok(())
    }
}

/// What was written since the last sync: two files at most, or three when they take turns within one.
#[derive(Debug, Default)]
struct Unsynced(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    files: Vec<Arc<File>>,
    dir: bool,
}

impl Unsynced {
    fn file(&self, file: &Arc<File>) {
        let files = &mut self.lock().files;
        if !files.iter().any(|known| Arc::ptr_eq(known, file)) {
            files.push(Arc::clone(file));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while it holds the lock, so a poisoned one is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, IdStoreError> {
    result.map_err(|source| IdStoreError {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
