//! What a journal is made of, by the names and lengths of its files and the first bytes of each. Batches are not read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Position;
use super::super::cursor::{self, Content};
use super::super::files::{Files, SystemFiles, read_full_at};
use super::super::format;
use super::super::segment::FileName;
use super::super::store::Quarantined;
use super::{InspectError, Place, failed, open_regular};

/// What a journal is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Its segments, first to last.
    pub segments: Vec<SegmentInfo>,
    /// Its cursors, by name.
    pub cursors: BTreeMap<String, CursorInfo>,
    /// What the slowest cursor has before it, in bytes.
    pub backlog_bytes: u64,
    /// What of it was set aside for a person to look into.
    pub kept: Vec<Kept>,
    /// Names in its directory that are none of a journal's, and what has such a name and is no file.
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
    /// The version of the format of its first batch. None if it begins with no batch.
    pub version: Option<u8>,
}

/// A cursor on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorInfo {
    /// Everything before this is delivered.
    At(Position),
    /// It cannot be read: a daemon would begin at the oldest batch.
    Unreadable,
    /// A newer livestreamd has written it.
    TooNew(u8),
}

/// Something of a journal that lies in `quarantine/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What it is.
    pub kind: Quarantined,
}

impl CursorInfo {
    /// Where a daemon would begin, if there are batches.
    pub fn position(self) -> Position {
        match self {
            Self::At(position) => position,
            Self::Unreadable | Self::TooNew(_) => Position::default(),
        }
    }
}

impl Inspection {
    /// What the segments hold together, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Where the slowest cursor stands: before this everything is delivered. The beginning, if there is none.
    pub fn slowest(&self) -> Position {
        let cursors = self.cursors.values().map(|cursor| cursor.position());
        cursors.min().unwrap_or_default()
    }

    /// What a cursor that stands there has before it, in bytes.
    pub fn backlog_from(&self, position: Position) -> u64 {
        let segments = self.segments.iter();
        let before = segments.map(|segment| segment.base.plus(segment.bytes).since(position.max(segment.base)));
        before.sum()
    }

    /// The version of the newest batches and cursors, as far as that can be told. None if there is nothing to tell it by.
    pub fn version(&self) -> Option<u8> {
        let cursors = self.cursors.values().filter_map(|cursor| match cursor {
            CursorInfo::TooNew(version) => Some(*version),
            CursorInfo::At(_) | CursorInfo::Unreadable => None,
        });
        let segments = self.segments.iter().filter_map(|segment| segment.version);
        segments.chain(cursors).max()
    }
}

/// Says what a journal is made of, without reading its batches.
pub fn inspect(dir: &Path) -> Result<Inspection, InspectError> {
    let mut inspection = Inspection::default();
    let entries = match SystemFiles.list(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(InspectError::NoJournal(dir.to_owned()));
        }
        Err(error) => return Err(failed(dir)(error)),
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        match FileName::of(&entry.name) {
            FileName::Segment { base, damaged } if entry.is_file => {
                let version = first_bytes(&path)?.and_then(|bytes| format::version(&bytes));
                inspection.segments.push(SegmentInfo {
                    path,
                    base,
                    bytes: entry.bytes,
                    damaged,
                    version,
                });
            }
            FileName::Cursor(name) if entry.is_file => {
                let Some(bytes) = first_bytes(&path)? else { continue };
                let info = match cursor::read(&bytes) {
                    Content::Cursor(position, _) => CursorInfo::At(position),
                    Content::Empty => CursorInfo::At(Position::default()),
                    Content::Unreadable => CursorInfo::Unreadable,
                    Content::TooNew(version) => CursorInfo::TooNew(version),
                };
                inspection.cursors.insert(name, info);
            }
            FileName::Segment { .. } | FileName::Cursor(_) | FileName::Foreign => inspection.foreign.push(entry.name),
        }
    }
    inspection.segments.sort_by_key(|segment| (segment.base, segment.bytes));
    inspection.backlog_bytes = inspection.backlog_from(inspection.slowest());
    inspection.kept = kept(&Place::new(dir.to_owned()))?;
    Ok(inspection)
}

/// What a file begins with: all of a cursor, or the header of a batch. None if it is gone, or has another name, because a daemon runs.
fn first_bytes(path: &Path) -> Result<Option<Vec<u8>>, InspectError> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed(path))?,
    };
    let mut bytes = vec![0; 64];
    let read = read_full_at(&*file, 0, &mut bytes).map_err(failed(path))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// What of the journal lies in quarantine.
fn kept(place: &Place) -> Result<Vec<Kept>, InspectError> {
    let Some(state_dir) = place.state_dir() else {
        return Ok(Vec::new());
    };
    let dir = state_dir.join("quarantine");
    let entries = match SystemFiles.list(&dir) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Vec::new(),
        listed => listed.map_err(failed(&dir))?,
    };
    let kept = entries.into_iter().filter_map(|entry| {
        // No stream's name has a dot in it.
        let (stream, rest) = entry.name.split_once('.')?;
        let kind = Quarantined::of(rest).filter(|_| stream == place.stream)?;
        Some(Kept {
            path: dir.join(&entry.name),
            bytes: entry.bytes,
            kind,
        })
    });
    Ok(kept.collect())
}
