//! A look into a journal's directory from outside: for `livestreamd journal inspect|verify|export|discard DIR`.
//!
//! Promise: nothing but [`discard`] changes anything, and that only while no daemon runs. The others may run beside one: segments that are
//! unlinked meanwhile are passed over, and what a daemon is writing just now is no fault.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::cursor::{self, Content};
use super::files::{Files, SystemFiles, read_full_at};
use super::format::NoBatch;
use super::segment::FileName;
use super::walk::{Damage, Step, Walk};
use super::{BatchKind, Position};
use crate::state_dir::{StateDir, StateDirError};

/// Why a journal cannot be looked into.
#[derive(Debug, Error)]
pub enum InspectError {
    /// There is none.
    #[error("{0} is no journal: give a directory such as STATE_DIR/journal/STREAM")]
    NoJournal(PathBuf),
    /// The daemon runs, or its directory cannot be locked.
    #[error(transparent)]
    InUse(#[from] StateDirError),
    /// The disk refused something.
    #[error("{path}: {error}")]
    Disk {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// What a journal is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Its segments, first to last.
    pub segments: Vec<SegmentInfo>,
    /// Its cursors, by name. None for one that cannot be read.
    pub cursors: BTreeMap<String, Option<Position>>,
    /// What the slowest cursor has before it, in bytes.
    pub backlog_bytes: u64,
    /// Files that are none of a journal's.
    pub foreign: Vec<String>,
}

/// A segment on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub path: PathBuf,
    /// Where it begins.
    pub base: Position,
    /// How long it is.
    pub bytes: u64,
    /// Whether a daemon found damage in it.
    pub damaged: bool,
}

/// What is in a journal's segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Whole batches.
    pub batches: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// What is no batch, apart from an unfinished end.
    pub damage: Vec<(PathBuf, Damage)>,
    /// What the journal ends in, if that is no whole batch: being written just now, or left so by a crash.
    pub unfinished: Option<Damage>,
    /// Batches of a newer version, which this livestreamd does not read.
    pub too_new: Option<u8>,
}

/// What was written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Batches of whole records.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Descriptions of records that were too long: not among what was written.
    pub too_long: u64,
}

/// Says what a journal is made of, without reading the segments.
pub fn inspect(dir: &Path) -> Result<Inspection, InspectError> {
    let files = SystemFiles;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| InspectError::Disk { path, error }
    };
    let mut inspection = Inspection::default();
    let entries = match files.list(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(InspectError::NoJournal(dir.to_owned()));
        }
        Err(error) => return Err(failed(dir)(error)),
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        match FileName::of(&entry.name) {
            FileName::Segment { base, damaged } => inspection.segments.push(SegmentInfo {
                path,
                base,
                bytes: entry.bytes,
                damaged,
            }),
            FileName::Cursor(name) => {
                let file = files.open_to_read(&path).map_err(failed(&path))?;
                let mut bytes = [0; 64];
                let read = read_full_at(&*file, 0, &mut bytes).map_err(failed(&path))?;
                let position = match cursor::read(&bytes[..read]) {
                    Content::Cursor(position, _) => Some(position),
                    Content::Empty => Some(Position::default()),
                    Content::Unreadable | Content::TooNew(_) => None,
                };
                inspection.cursors.insert(name, position);
            }
            FileName::Foreign => inspection.foreign.push(entry.name),
        }
    }
    inspection.segments.sort_by_key(|segment| segment.base);
    let slowest = inspection
        .cursors
        .values()
        .map(|cursor| cursor.unwrap_or_default())
        .min()
        .unwrap_or_default();
    let backlog = inspection
        .segments
        .iter()
        .map(|segment| segment.base.plus(segment.bytes).since(slowest.max(segment.base)));
    inspection.backlog_bytes = backlog.sum();
    Ok(inspection)
}

/// Reads all of a journal, and says what is whole and what is not.
pub fn verify(dir: &Path) -> Result<Verification, InspectError> {
    let mut verification = Verification::default();
    walk_all(dir, |step, path, is_end| {
        match step {
            Step::Batch(batch) => {
                verification.batches += 1;
                verification.bytes += batch.bytes.len() as u64;
            }
            Step::Damage(damage) => {
                if let NoBatch::TooNew(version) = damage.why {
                    verification.too_new = Some(version);
                }
                if is_end {
                    verification.unfinished = Some(damage);
                } else {
                    verification.damage.push((path.to_owned(), damage));
                }
            }
            Step::End => {}
        }
        Ok(())
    })?;
    Ok(verification)
}

/// Writes out the records that `from` has before it, exactly as they came; without `from`, those that the slowest cursor has before it.
pub fn export(dir: &Path, from: Option<Position>, to: &mut dyn Write) -> Result<Exported, InspectError> {
    let inspection = inspect(dir)?;
    let slowest = inspection
        .cursors
        .values()
        .map(|cursor| cursor.unwrap_or_default())
        .min();
    let from = from.or(slowest).unwrap_or_default();
    let mut exported = Exported::default();
    walk_all(dir, |step, _, _| {
        let Step::Batch(batch) = step else { return Ok(()) };
        if batch.end() <= from {
            return Ok(());
        }
        match batch.kind {
            BatchKind::Records => {
                let bytes = &batch.bytes[batch.offset_of(from).min(batch.bytes.len())..];
                to.write_all(bytes)?;
                exported.batches += 1;
                exported.bytes += bytes.len() as u64;
            }
            BatchKind::TooLong { .. } => exported.too_long += 1,
        }
        Ok(())
    })?;
    Ok(exported)
}

/// Removes a journal, and all in it that is not delivered, for good. Returns how many bytes that were.
///
/// # Errors
/// Refuses while a daemon runs on the directory that the journal is in.
pub fn discard(dir: &Path) -> Result<u64, InspectError> {
    let no_journal = || InspectError::NoJournal(dir.to_owned());
    let disk = |error| InspectError::Disk {
        path: dir.to_owned(),
        error,
    };
    let dir = dir.canonicalize().map_err(|_| no_journal())?;
    let journals = dir
        .parent()
        .filter(|parent| parent.file_name().is_some_and(|name| name == "journal"));
    let state_dir = journals.and_then(Path::parent).ok_or_else(no_journal)?;
    let _no_daemon = StateDir::lock(state_dir)?;
    let inspection = inspect(&dir)?;
    let cursors = inspection.cursors.keys().map(|name| dir.join(format!("cursor.{name}")));
    // Cursors last: without them the journal would be forwarded again from its beginning, if this is interrupted.
    for path in inspection
        .segments
        .iter()
        .map(|segment| segment.path.clone())
        .chain(cursors)
    {
        std::fs::remove_file(path).map_err(disk)?;
    }
    // Stays if there is something of somebody else's in it.
    if inspection.foreign.is_empty() {
        std::fs::remove_dir(&dir).map_err(disk)?;
    }
    if let Some(journals) = journals {
        SystemFiles.sync_dir(journals).map_err(disk)?;
    }
    Ok(inspection.segments.iter().map(|segment| segment.bytes).sum())
}

/// Goes through all segments. The last argument says whether the step is damage at the very end of the journal.
fn walk_all(dir: &Path, mut each: impl FnMut(Step, &Path, bool) -> io::Result<()>) -> Result<(), InspectError> {
    let segments = inspect(dir)?.segments;
    let last = segments.last().map(|segment| segment.base);
    for segment in &segments {
        let failed = |error| InspectError::Disk {
            path: segment.path.clone(),
            error,
        };
        let file = match SystemFiles.open_to_read(&segment.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let mut walk = Walk::new(file, segment.base, 0, segment.bytes);
        loop {
            let step = walk.step().map_err(failed)?;
            if step == Step::End {
                break;
            }
            let is_end = last == Some(segment.base) && walk.offset() >= segment.bytes;
            each(step, &segment.path, is_end).map_err(failed)?;
        }
    }
    Ok(())
}
