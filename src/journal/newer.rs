//! Finds what a newer livestreamd has written into a journal, before anything there is touched.
//!
//! A segment is written by one process, so its first whole batch says the version of all of them; and checksums stay what they are in
//! every version, so damage is not mistaken for a newer version, nor a newer version for damage.

use std::io;
use std::path::{Path, PathBuf};

use super::Position;
use super::cursor::{self, Content};
use super::files::{Entry, Files, SystemFiles, read_full_at};
use super::format::{self, HEADER, NoBatch};
use super::segment::FileName;
use super::walk::{Step, Walk};
use crate::state_dir::TooNew;

/// What may be done about a journal that is too new, besides running what wrote it.
const OTHERWISE: &str =
    "move the whole directory of this stream's journal away: what it holds and is not delivered goes with it";
/// The most that a cursor's file holds.
const CURSOR_BYTES: usize = 64;

/// The first file of the stream's journal that only a newer livestreamd reads. Blocks on the disk: a look at the beginning of each file.
/// What cannot be read is none: whoever opens the journal tells.
pub fn newer(state_dir: &Path, stream: &str) -> Option<TooNew> {
    let dir = state_dir.join("journal").join(stream);
    let entries = SystemFiles.list(&dir).ok()?;
    newer_among(&SystemFiles, &dir, &entries).ok().flatten()
}

/// The first of these files that only a newer livestreamd reads.
pub(super) fn newer_among(files: &dyn Files, dir: &Path, entries: &[Entry]) -> io::Result<Option<TooNew>> {
    for entry in entries.iter().filter(|entry| entry.is_file) {
        let path = dir.join(&entry.name);
        let (found, known) = match FileName::of(&entry.name) {
            FileName::Segment { base, .. } => (newer_segment(files, &path, base, entry.bytes)?, format::VERSION),
            FileName::Cursor(_) => (newer_cursor(files, &path)?, cursor::VERSION),
            FileName::Foreign => (None, 0),
        };
        if let Some(version) = found {
            return Ok(Some(too_new(path, version, known)));
        }
    }
    Ok(None)
}

pub(super) fn too_new(file: PathBuf, found: u8, known: u8) -> TooNew {
    TooNew {
        file,
        found: found.into(),
        known: known.into(),
        otherwise: OTHERWISE,
    }
}

fn newer_cursor(files: &dyn Files, path: &Path) -> io::Result<Option<u8>> {
    let mut bytes = [0; CURSOR_BYTES];
    let read = read_full_at(&*files.open_to_read(path)?, 0, &mut bytes)?;
    match cursor::read(&bytes[..read]) {
        Content::TooNew(version) => Ok(Some(version)),
        Content::Empty | Content::Cursor(..) | Content::Unreadable => Ok(None),
    }
}

fn newer_segment(files: &dyn Files, path: &Path, base: Position, length: u64) -> io::Result<Option<u8>> {
    let file = files.open_to_read(path)?;
    let mut header = [0; HEADER];
    let read = read_full_at(&*file, 0, &mut header)?;
    if matches!(format::version(&header[..read]), Some(1..=format::VERSION)) {
        return Ok(None);
    }
    // Broken, or too new: its first whole batch tells.
    let mut walk = Walk::new(file, base, 0, length);
    loop {
        match walk.step()? {
            Step::End | Step::Batch(_) => return Ok(None),
            Step::Damage(damage) => match damage.why {
                NoBatch::TooNew(version) => return Ok(Some(version)),
                NoBatch::Short(_) | NoBatch::Magic | NoBatch::Checksum | NoBatch::Unknown { .. } => {}
            },
        }
    }
}
