//! Cursors come, move and go.
//!
//! ```text
//! come: begin_cursor (under the lock) -> CursorBirth::run (without it) -> end_birth (under it)
//! go:   remove_cursor (under the lock) -> CursorRemoval::run (without it)
//! ```
//!
//! Promises:
//! - A cursor that is on its way holds back everything. What [`Store::end_birth`] says has come survives a power loss.
//! - One that goes holds nothing back any more, whatever the disk says, and moves no more.
//! - What it had passed counts as used for good: a segment begins there, and its name is durable before the cursor's goes.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::super::cursor::{CursorFile, CursorSync};
use super::super::faults::Fault;
use super::super::files::Files;
use super::super::segment::is_cursor_name;
use super::super::{DEFAULT_CURSOR, Position};
use super::{Store, Trouble, trouble};

/// A cursor that is written and not durable yet.
#[derive(Debug)]
pub struct CursorBirth {
    name: String,
    path: PathBuf,
    sync: CursorSync,
}

/// A cursor whose file is to go.
#[derive(Debug)]
pub struct CursorRemoval {
    path: PathBuf,
}

impl CursorBirth {
    /// Makes content and name durable.
    pub fn run(&self, files: &dyn Files, dir: &Path) -> io::Result<()> {
        self.sync.file.sync()?;
        files.sync_dir(dir)
    }
}

impl CursorRemoval {
    /// Takes the file away, durably.
    pub fn run(&self, files: &dyn Files, dir: &Path) -> Result<(), Trouble> {
        // The name of the segment that says what was used.
        let unlinked = files.sync_dir(dir).and_then(|()| match files.unlink(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        });
        let removed = unlinked.and_then(|()| files.sync_dir(dir));
        removed.map_err(|error| trouble("removing a cursor", &error))
    }
}

impl Store {
    /// Makes and removes cursors, durably, until there are those of `outputs` and [`DEFAULT_CURSOR`]. One that is missing begins where the
    /// default one stands, and the default one at the oldest batch. One that cannot be removed holds nothing back all the same. To be called
    /// before anything else is done with the store.
    pub fn settle_cursors(&mut self, outputs: &[&str]) -> Result<(), Trouble> {
        let oldest = self.extents().next().map_or(self.end, |(begin, _)| begin);
        if !self.cursors.contains_key(DEFAULT_CURSOR) {
            self.settle(DEFAULT_CURSOR, oldest)?;
        }
        let at = self.cursors.get(DEFAULT_CURSOR).map_or(oldest, CursorFile::written);
        for name in outputs.iter().filter(|name| **name != DEFAULT_CURSOR) {
            if !self.cursors.get(*name).is_some_and(CursorFile::is_begun) {
                self.settle(name, at)?;
            }
        }
        let wanted: BTreeSet<&str> = outputs.iter().copied().chain([DEFAULT_CURSOR]).collect();
        let unwanted = self.cursors.keys().filter(|name| !wanted.contains(name.as_str()));
        for name in unwanted.cloned().collect::<Vec<String>>() {
            self.settle_unwanted(name);
        }
        Ok(())
    }

    fn settle(&mut self, name: &str, at: Position) -> Result<(), Trouble> {
        let birth = self.begin_cursor(name, at)?;
        let outcome = birth.run(&*self.files, &self.settings.dir);
        self.end_birth(&birth, outcome)
    }

    /// That a disk is full, say, must not keep the stream from those who want it.
    fn settle_unwanted(&mut self, name: String) {
        let at = self.cursors.get(&name).map(CursorFile::written).unwrap_or_default();
        // That nobody can read it matters to nobody.
        let unreadable = |fault: &Fault| matches!(fault, Fault::CursorUnreadable { name: other, .. } if *other == name);
        let told = self.faults.iter().position(unreadable);
        let kept = told.and_then(|told| match self.faults.remove(told) {
            Fault::CursorUnreadable { kept, .. } => Some(kept),
            Fault::Cut { .. }
            | Fault::Damaged { .. }
            | Fault::SetAside { .. }
            | Fault::Missing { .. }
            | Fault::CursorNotWanted { .. }
            | Fault::NotSynced { .. } => None,
        });
        let bytes = self.extents().map(|(begin, end)| end.since(begin.max(at))).sum();
        let removed = self.remove_cursor(&name);
        let removed = removed.and_then(|removal| removal.run(&*self.files, &self.settings.dir));
        let left = removed.err().map(|trouble| trouble.to_string());
        self.faults.push(Fault::CursorNotWanted {
            name,
            bytes,
            kept,
            left,
        });
    }

    /// Writes a new cursor. Until [`Self::end_birth`] it holds back everything.
    pub fn begin_cursor(&mut self, name: &str, at: Position) -> Result<CursorBirth, Trouble> {
        if !is_cursor_name(name) {
            return Err(Trouble::DiskFailing(format!("{name:?} is no name for a cursor")));
        }
        let path = self.settings.dir.join(format!("cursor.{name}"));
        let made = match self.cursors.remove(name) {
            Some(known) => Ok(known),
            None => self.make_cursor_file(name, &path),
        };
        let mut cursor = made?;
        match cursor.begin(at) {
            Ok(sync) => {
                self.cursors.insert(name.to_owned(), cursor);
                let name = name.to_owned();
                Ok(CursorBirth { name, path, sync })
            }
            Err(error) => {
                // If it stays, it is found by the next start, which knows whether it is wanted.
                let _ = self.files.unlink(&path);
                Err(trouble("writing a cursor", &error))
            }
        }
    }

    fn make_cursor_file(&mut self, name: &str, path: &Path) -> Result<CursorFile, Trouble> {
        let making = |error: io::Error| trouble("making a cursor", &error);
        let made = match self.files.create(path) {
            // Of an attempt that failed, or of a cursor that could not be removed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.note_end()?;
                let old = CursorRemoval { path: path.to_owned() };
                old.run(&*self.files, &self.settings.dir)?;
                self.files.create(path)
            }
            made => made,
        };
        made.map(|file| CursorFile::new(name, file)).map_err(making)
    }

    /// Takes note of whether a new cursor is durable. If not, there is none.
    pub fn end_birth(&mut self, birth: &CursorBirth, outcome: io::Result<()>) -> Result<(), Trouble> {
        match (outcome, self.cursors.get_mut(&birth.name)) {
            (Ok(()), Some(cursor)) => {
                cursor.begun(birth.sync.written);
                Ok(())
            }
            // Not reached: nothing else removes it meanwhile.
            (Ok(()), None) => Err(Trouble::DiskFailing("a cursor is gone".to_owned())),
            (Err(error), _) => {
                self.cursors.remove(&birth.name);
                // As above.
                let _ = self.files.unlink(&birth.path);
                Err(trouble("making a cursor durable", &error))
            }
        }
    }

    /// Forgets a cursor, which holds nothing back any more, and says what is to be done on disk. If that fails the file may stay; the next
    /// start knows whether it is wanted.
    pub fn remove_cursor(&mut self, name: &str) -> Result<CursorRemoval, Trouble> {
        self.cursors.remove(name);
        self.note_end()?;
        Ok(CursorRemoval {
            path: self.settings.dir.join(format!("cursor.{name}")),
        })
    }

    /// Has a segment begin at the end. As long as its name is there, no position before it is given to anything new.
    fn note_end(&mut self) -> Result<(), Trouble> {
        let stands = self.writing && self.segments.back().is_some_and(|segment| segment.length == 0);
        if !stands {
            self.writing = false;
            self.begin_segment()?;
        }
        Ok(())
    }

    /// Notes where a cursor stands; one that is not there stays so. From now on it survives a kill; a power loss only when it was synced.
    pub fn write_cursor(&mut self, name: &str, position: Position) -> Result<(), Trouble> {
        let Some(cursor) = self.cursors.get_mut(name) else {
            return Ok(());
        };
        let written = cursor.write(position);
        written.map_err(|error| trouble("writing a cursor", &error))
    }

    /// Where the slowest cursor stands after a power loss. Nothing before it is needed.
    pub fn durably_passed(&self) -> Position {
        let named = self.cursors.values().map(|cursor| {
            if cursor.named {
                cursor.durable()
            } else {
                Position::default()
            }
        });
        named.min().unwrap_or_default()
    }
}
