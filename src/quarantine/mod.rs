//! `state_dir/quarantine/`: what could not be read or sent, kept for a person.
//!
//! ```text
//! web.00000000000000001234.too_large_for_kafka.0123456789abcdef.record
//!  |   |                    |                   its hash
//!  |   |                    why it is here (the reason of its dead letter)
//!  |   its position in the stream's journal
//!  stream
//! web.00000000000067108864.damaged.seg, web.00000000000067108864.cut     from the journal: see `journal/store/layout.rs`
//! ```
//!
//! A record's file holds the record, byte for byte, without its line ending; of one that was longer than `max_record_bytes`, the first
//! bytes, because nobody has more of it. The name says which record it is: keeping it again finds the file of before, and another
//! record never takes its place, not even if positions begin anew.
//!
//! Promises:
//! - What [`Quarantine::keep_record`] says is kept is durable. It is there whole or not at all.
//! - Bounded in bytes, age and number of files, with everything that anybody put there: the oldest go first, and that is reported.
//!   A file's age counts from when it was last changed or moved there.
//! - Only regular files directly in the directory are counted and removed. Symbolic links are not followed; a directory stays, and
//!   what a person moves into it too.
//! - A record that alone is more than the bound is refused. (Settings do not come to that: `quarantine.max_bytes` is at least
//!   `max_record_bytes`.)
//!
//! Everything but [`Quarantine::keep_swept`] and [`Quarantine::status`] blocks on the disk.

mod bounds;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bounds::SPARE;
use rustix::fs::OFlags;
use serde::Serialize;
use tracing::{info, warn};

pub use bounds::{Bound, Held, MAX_FILES, SortedOut, sort_out};

use crate::dedup::hash;
use crate::journal::Position;
use crate::settings::QuarantineSettings;
use crate::state_dir::{make_private_dir, write_durably};
use crate::telemetry::Digest;
use crate::telemetry::counters::DeadLetterReason;
use crate::telemetry::digest::likeness;

/// Age alone makes files go, and a set-aside segment comes without a word: looked after once an hour.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// A record that is kept looks after what else has come, but a flood of them not each time.
const SWEPT_LATELY: Duration = Duration::from_mins(1);

/// The quarantine. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Quarantine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: QuarantineSettings,
    /// Held while the disk is worked on: one record or one sweep at a time.
    room: Mutex<Room>,
    /// Never held for long.
    status: Mutex<QuarantineStatus>,
}

/// What may be kept until there has to be a look at what there is.
#[derive(Debug, Default)]
struct Room {
    bytes: u64,
    files: u64,
    swept: Option<Instant>,
    told: Told,
}

/// What was told of sweeps that go wrong: each record that is kept may ask for one.
#[derive(Debug)]
struct Told {
    began: Instant,
    sweeps: Digest<String>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            sweeps: Digest::without_end(4),
        }
    }
}

/// A record that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file that holds it.
    pub path: PathBuf,
    /// False if it was there before.
    pub is_new: bool,
}

/// What the quarantine holds, and what it did since the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuarantineStatus {
    /// Files that are there, as far as is known without looking: whatever others put there is seen by the next sweep.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The age of the oldest of them in seconds, when there was last a look.
    pub oldest_s: u64,
    /// Files that could not be removed when there was last a look.
    pub stuck_files: u64,
    /// Records that were kept.
    pub kept: u64,
    /// Records that could not be kept.
    pub not_kept: u64,
    /// Files that were removed because of a bound.
    pub removed_files: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

impl Quarantine {
    /// Makes the directory if it is missing. Looks at nothing in it: [`Quarantine::keep_swept`] does.
    pub fn open(state_dir: &Path, limits: QuarantineSettings) -> io::Result<Self> {
        let dir = state_dir.join("quarantine");
        make_private_dir(&dir)?;
        File::open(state_dir)?.sync_all()?;
        Ok(Self(Arc::new(Inner {
            dir,
            limits,
            room: Mutex::default(),
            status: Mutex::default(),
        })))
    }

    /// Keeps a record, or finds that it is kept. Durable when it returns.
    ///
    /// # Errors
    /// Those of the disk, and a record that is more than all of the quarantine may hold.
    pub fn keep_record(
        &self,
        stream: &str,
        position: Position,
        record: &[u8],
        why: DeadLetterReason,
    ) -> io::Result<Kept> {
        let kept = self.keep(stream, position, record, why);
        let mut status = self.lock_status();
        match &kept {
            Ok(Kept { is_new: true, .. }) => status.kept += 1,
            Ok(Kept { is_new: false, .. }) => {}
            Err(_) => status.not_kept += 1,
        }
        kept
    }

    fn keep(&self, stream: &str, position: Position, record: &[u8], why: DeadLetterReason) -> io::Result<Kept> {
        let (bytes, max_bytes) = (record.len() as u64, self.0.limits.max_bytes);
        if bytes > max_bytes {
            let why = format!(
                "a record of {bytes} bytes is more than all of the quarantine may hold: raise quarantine.max_bytes ({max_bytes})"
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        let name = file_name(stream, position, record, why)?;
        let path = self.0.dir.join(&name);
        let mut room = lock(&self.0.room);
        if make_durable_if_there(&path, record)? {
            return Ok(Kept { path, is_new: false });
        }
        write_durably(&path, record)?;
        self.note_newcomer(bytes);
        let swept_lately = room.swept.is_some_and(|swept| swept.elapsed() < SWEPT_LATELY);
        match (room.bytes.checked_sub(bytes), room.files.checked_sub(1)) {
            (Some(bytes), Some(files)) if swept_lately => (room.bytes, room.files) = (bytes, files),
            // The record is kept; what is over the bounds is another matter.
            _ => match self.sweep_sparing(&mut room, Some((name.as_ref(), bytes)), SystemTime::now()) {
                Ok(()) => {}
                Err(error) => {
                    let now = room.told.began.elapsed();
                    if let Some(told) = room.told.sweeps.note(likeness(&error.to_string()), now) {
                        let (dir, times) = (self.0.dir.display(), told.repeated());
                        warn!(%dir, %error, times, "the quarantine cannot be kept within its bounds: it is tried again with the next record");
                    }
                }
            },
        }
        drop(room);
        Ok(Kept { path, is_new: true })
    }

    /// Removes what is over the bounds, oldest first, and says what is left. One line in the log tells of all that it removed.
    ///
    /// # Errors
    /// If the directory cannot be listed. A file that cannot be removed is reported, and stays.
    pub fn sweep(&self, now: SystemTime) -> io::Result<QuarantineStatus> {
        let mut room = lock(&self.0.room);
        let swept = self.sweep_sparing(&mut room, None, now);
        drop(room);
        swept.map(|()| self.status())
    }

    /// What it holds, as far as is known without looking. Does not block.
    pub fn status(&self) -> QuarantineStatus {
        *self.lock_status()
    }

    /// Sweeps now and once an hour, until `stopped` ends. Reports what there is whenever that has changed.
    pub async fn keep_swept(self, stopped: impl Future<Output = ()> + Send) {
        tokio::pin!(stopped);
        let mut told = (0, 0);
        loop {
            let quarantine = self.clone();
            let sweep = tokio::task::spawn_blocking(move || quarantine.sweep(SystemTime::now()));
            let swept = tokio::select! {
                biased;
                () = &mut stopped => return,
                swept = sweep => swept.unwrap_or_else(|failed| Err(io::Error::other(failed))),
            };
            let dir = self.0.dir.display();
            match swept {
                Ok(QuarantineStatus {
                    files, bytes, oldest_s, ..
                }) if files > 0 && (files, bytes) != told => {
                    told = (files, bytes);
                    info!(%dir, files, bytes, oldest_s, "the quarantine holds what could not be read or sent: for a person to look at");
                }
                Ok(_) => {}
                Err(error) => warn!(%dir, %error, "the quarantine cannot be kept within its bounds"),
            }
            tokio::select! {
                biased;
                () = &mut stopped => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
    }

    fn sweep_sparing(&self, room: &mut Room, newcomer: Option<(&OsStr, u64)>, now: SystemTime) -> io::Result<()> {
        let Inner { dir, limits, .. } = &*self.0;
        // Also if it fails, or a file is stuck: then it is tried again in a while, and not for each record.
        *room = Room {
            bytes: limits.max_bytes / SPARE,
            files: MAX_FILES / SPARE,
            swept: Some(Instant::now()),
            told: std::mem::take(&mut room.told),
        };
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut held = list(dir)?;
        let newcomer = newcomer.map(|(name, bytes)| {
            held.retain(|file| file.name != name);
            bytes
        });
        let SortedOut { goes, mut stays } = sort_out(held, newcomer, limits, now);
        let Removed { files, bytes, stuck } = remove(dir, goes, now);
        let stuck_files = stuck.len() as u64;
        stays.extend(stuck);
        let mut status = self.lock_status();
        status.files = stays.len() as u64 + u64::from(newcomer.is_some());
        let all = stays.iter().map(|file| file.bytes).chain(newcomer);
        status.bytes = all.fold(0, u64::saturating_add);
        let oldest = stays.iter().map(|file| file.since).min();
        status.oldest_s = oldest.map_or(0, |oldest| now.saturating_sub(oldest).as_secs());
        status.stuck_files = stuck_files;
        status.removed_files += files;
        status.removed_bytes = status.removed_bytes.saturating_add(bytes);
        if stuck_files == 0 {
            room.bytes = limits.max_bytes.saturating_sub(status.bytes);
            room.files = MAX_FILES.saturating_sub(status.files);
        }
        Ok(())
    }

    fn note_newcomer(&self, bytes: u64) {
        let mut status = self.lock_status();
        status.files += 1;
        status.bytes = status.bytes.saturating_add(bytes);
    }

    fn lock_status(&self) -> MutexGuard<'_, QuarantineStatus> {
        lock(&self.0.status)
    }
}

/// The name of a record's file. The stream's name is one that settings allow.
fn file_name(stream: &str, position: Position, record: &[u8], why: DeadLetterReason) -> io::Result<OsString> {
    if stream.is_empty() || stream.starts_with('.') || stream.contains(['/', '\0']) {
        let what = format!("{stream:?} is no name of a stream");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let (position, why, hash) = (position.0, why.name(), hash(record));
    Ok(format!("{stream}.{position:020}.{why}.{hash:016x}.record").into())
}

/// Whether the record is there already; then it is durable too. Whatever else has its name is replaced: a link is not followed, and
/// what is no file is not waited for.
fn make_durable_if_there(path: &Path, record: &[u8]) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(flags).open(path) else {
        return Ok(false);
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != record.len() as u64 || !holds(&mut file, record) {
        return Ok(false);
    }
    file.sync_all()?;
    File::open(path.parent().unwrap_or(path))?.sync_all()?;
    Ok(true)
}

fn holds(file: &mut File, record: &[u8]) -> bool {
    let mut chunk = vec![0; record.len().clamp(1, 64 * 1024)];
    record.chunks(chunk.len()).all(|expected| {
        let chunk = &mut chunk[..expected.len()];
        file.read_exact(chunk).is_ok() && chunk == expected
    })
}

/// The regular files in a directory.
fn list(dir: &Path) -> io::Result<Vec<Held>> {
    let mut held = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Of a link, this is about the link itself.
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Removed or renamed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_file() {
            // A segment that is set aside was last written long before; being moved here changes only the second of the two.
            let modified = since_epoch(metadata.mtime(), metadata.mtime_nsec());
            let changed = since_epoch(metadata.ctime(), metadata.ctime_nsec());
            held.push(Held {
                name: entry.file_name(),
                bytes: metadata.len(),
                since: modified.max(changed),
            });
        }
    }
    Ok(held)
}

fn since_epoch(seconds: i64, nanoseconds: i64) -> Duration {
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0).min(999_999_999);
    u64::try_from(seconds).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanoseconds))
}

/// What a removal came to.
struct Removed {
    files: u64,
    bytes: u64,
    /// What could not be removed.
    stuck: Vec<Held>,
}

/// Removes files, and reports them all in one line.
fn remove(dir: &Path, goes: Vec<(Held, Bound)>, now: Duration) -> Removed {
    let mut removed = Removed {
        files: 0,
        bytes: 0,
        stuck: Vec::new(),
    };
    let (mut oldest, mut bounds, mut trouble) = (None, BTreeSet::new(), None);
    for (file, bound) in goes {
        match fs::remove_file(dir.join(&file.name)) {
            Ok(()) => {
                removed.files += 1;
                removed.bytes = removed.bytes.saturating_add(file.bytes);
                bounds.insert(bound.name());
                oldest.get_or_insert(file);
            }
            // Somebody else has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                trouble.get_or_insert(error);
                removed.stuck.push(file);
            }
        }
    }
    if let Some(oldest) = oldest {
        warn!(
            dir = %dir.display(),
            files = removed.files,
            bytes = removed.bytes,
            oldest = ?oldest.name,
            oldest_s = now.saturating_sub(oldest.since).as_secs(),
            because_of = ?bounds,
            "files were removed from the quarantine: look at it sooner, or raise its bounds"
        );
    }
    if let Some(error) = trouble {
        let (dir, files) = (dir.display(), removed.stuck.len());
        warn!(%dir, files, %error, "files of the quarantine are over its bounds and cannot be removed: remove them by hand");
    }
    removed
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is right at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
