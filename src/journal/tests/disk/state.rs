//! What is on the disk: what is seen, what is durable, and what lies between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::super::Position;
use super::super::super::cursor;
use super::super::chance::Chance;
use super::{Counts, FaultKind, Removal};

#[derive(Debug)]
pub(super) struct State {
    pub(super) chance: Chance,
    /// How many operations in a thousand fail; nothing fails at 0.
    pub(super) rate: u64,
    pub(super) files: Vec<File>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    pub(super) durable_names: BTreeMap<PathBuf, usize>,
    pub(super) name_changes: Vec<NameChange>,
    pub(super) dirs: Vec<PathBuf>,
    /// The process is killed after so many operations.
    pub(super) fuel: Option<u64>,
    pub(super) dead: bool,
    /// The cursors that somebody relies on. What else is there of cursors is on its way, or could not be removed.
    pub(super) relied_on: Vec<PathBuf>,
    /// A sync of a cursor that lies.
    pub(super) lying_cursors: bool,
    pub(super) removals: Vec<Removal>,
    /// What failed syncs were for: file, from, to.
    pub(super) forgotten: Vec<(PathBuf, u64, u64)>,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) seen: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Make(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

pub(super) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg") && !path.to_string_lossy().contains("quarantine")
}

/// Those in quarantine are called otherwise.
pub(super) fn is_cursor(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("cursor."))
}

impl State {
    pub(super) fn count(&mut self, kind: FaultKind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Whether this operation fails in this way.
    pub(super) fn fails(&mut self, kind: FaultKind) -> bool {
        let fails = self.rate > 0 && self.chance.permille(self.rate);
        if fails {
            self.count(kind);
        }
        fails
    }

    /// Counts an operation. Says whether the process is killed in the middle of it.
    pub(super) fn burn(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        match &mut self.fuel {
            Some(0) => {
                self.dead = true;
                self.count(FaultKind::KilledInTheMiddle);
                Ok(true)
            }
            Some(fuel) => {
                *fuel -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Counts an operation that is done or not done.
    pub(super) fn burn_whole(&mut self) -> io::Result<()> {
        if self.burn()? && self.chance.permille(500) {
            return Err(io::Error::other("the process is dead"));
        }
        Ok(())
    }

    pub(super) fn named(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn rename_in(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.name_changes.push(change);
    }

    /// The least that any cursor could say after a power loss now.
    pub(super) fn durably_passed(&self) -> Position {
        let least = self.relied_on.iter().map(|path| {
            let (Some(index), durable) = (self.names.get(path), self.durable_names.get(path)) else {
                return Position::default();
            };
            if durable != Some(index) {
                return Position::default();
            }
            let file = &self.files[*index];
            let mut content = file.durable.clone();
            for change in &file.unsynced {
                // Whatever is under way may be torn.
                if let Change::Write(at, bytes) = change {
                    Change::Write(*at, vec![0x55; bytes.len()]).apply(&mut content);
                }
            }
            match cursor::read(&content) {
                cursor::Content::Cursor(position, _) => position,
                cursor::Content::Empty | cursor::Content::Unreadable | cursor::Content::TooNew(_) => {
                    Position::default()
                }
            }
        });
        least.min().unwrap_or_default()
    }
}

pub(super) fn apply(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
    match change {
        NameChange::Make(path, file) => drop(names.insert(path, file)),
        NameChange::Unlink(path) => drop(names.remove(&path)),
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(&from) {
                names.insert(to, file);
            }
        }
    }
}

impl Change {
    pub(super) fn apply(self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let (at, end) = (at as usize, at as usize + bytes.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[at..end].copy_from_slice(&bytes);
            }
            Self::Truncate(length) => content.resize(length as usize, 0),
        }
    }
}
