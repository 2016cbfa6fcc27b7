//! A disk with a page cache. What is written or named is seen at once, and durable when it is synced; what a power loss leaves of the
//! rest is chance: all of a write, a part, or nothing, each on its own.
//!
//! | module | holds |
//! | --- | --- |
//! | [`state`] | what is seen and what is durable, and what chance does to it |
//! | [`files`] | the operations that the journal calls |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::Position;
use super::chance::Chance;
use state::{Change, NameChange, State, apply, is_segment};

mod files;
mod state;

pub use files::SimulatedFiles;

/// Declares what can go wrong, with the list of all of it.
macro_rules! faults {
    ($($name:ident),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FaultKind { $($name),+ }
        impl FaultKind {
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

faults! {
    ShortWrite, WriteFailed, WriteFailedInTheMiddle, WriteDoneButFailed, NoSpace, ShortRead, ReadFailed, SyncFailed, SyncDirFailed, TruncateFailed,
    CreateFailed, CreateDoneButFailed, RenameFailed, UnlinkFailed, SpaceLow, Interrupted, KilledInTheMiddle, Killed, PowerLost, WriteLost, WriteTorn,
    WriteKept, NameLost, UnlinkLost, BitFlipped, FileGone,
}

/// How often each fault was made.
pub type Counts = BTreeMap<FaultKind, u64>;

#[derive(Debug)]
pub struct Disk(Mutex<State>);

/// A segment was unlinked.
#[derive(Clone, Debug)]
pub struct Removal {
    pub name: String,
    /// The least position that any cursor could have after a power loss at that moment.
    pub durably_passed: Position,
}

impl Disk {
    pub fn new(chance: Chance) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            chance,
            rate: 0,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            dirs: Vec::new(),
            fuel: None,
            dead: false,
            relied_on: Vec::new(),
            lying_cursors: false,
            removals: Vec::new(),
            forgotten: Vec::new(),
            counts: Counts::new(),
        })))
    }

    pub fn set_rate(&self, rate: u64) {
        self.state().rate = rate;
    }

    pub fn kill_after(&self, operations: u64) {
        self.state().fuel = Some(operations);
    }

    /// The process is not killed after all.
    pub fn spare(&self) {
        self.state().fuel = None;
    }

    pub fn lie_about_cursors(&self) {
        self.state().lying_cursors = true;
    }

    /// Nothing that these cursors have not passed may go.
    pub fn rely_on(&self, cursors: Vec<PathBuf>) {
        self.state().relied_on = cursors;
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub fn take_removals(&self) -> Vec<Removal> {
        std::mem::take(&mut self.state().removals)
    }

    /// What failed syncs were for: file, from, to.
    pub fn forgotten(&self) -> Vec<(PathBuf, u64, u64)> {
        self.state().forgotten.clone()
    }

    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// All files, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let files = state.names.iter();
        files
            .map(|(path, file)| (path.clone(), state.files[*file].seen.len() as u64))
            .collect()
    }

    /// The process is gone, and what the page cache holds is not.
    pub fn kill(&self) {
        let mut state = self.state();
        state.count(FaultKind::Killed);
        state.dead = false;
        state.fuel = None;
    }

    /// Everything that was not durable is left to chance.
    pub fn lose_power(&self) {
        let state = &mut *self.state();
        state.count(FaultKind::PowerLost);
        state.dead = false;
        state.fuel = None;
        let changes = std::mem::take(&mut state.name_changes);
        for change in changes {
            if state.chance.permille(500) {
                apply(&mut state.durable_names, change);
            } else {
                let kind = match change {
                    NameChange::Make(..) | NameChange::Rename(..) => FaultKind::NameLost,
                    NameChange::Unlink(_) => FaultKind::UnlinkLost,
                };
                state.count(kind);
            }
        }
        // Sometimes the system had just written everything, or nothing.
        let tendency = state.chance.below(4);
        for index in 0..state.files.len() {
            let mut file = std::mem::take(&mut state.files[index]);
            for change in file.unsynced.drain(..) {
                match (change, tendency) {
                    (change, 0) => change.apply(&mut file.durable),
                    (_, 1) => state.count(FaultKind::WriteLost),
                    (change, _) => match (state.chance.below(3), change) {
                        (0, change) => {
                            state.count(FaultKind::WriteKept);
                            change.apply(&mut file.durable);
                        }
                        (1, Change::Write(at, mut bytes)) => {
                            state.count(FaultKind::WriteTorn);
                            // A part from the front, or from the back.
                            let part = state.chance.below(bytes.len() as u64 + 1);
                            if state.chance.permille(700) {
                                bytes.truncate(part as usize);
                                Change::Write(at, bytes).apply(&mut file.durable);
                            } else {
                                Change::Write(at + part, bytes.split_off(part as usize)).apply(&mut file.durable);
                            }
                        }
                        (_, _) => state.count(FaultKind::WriteLost),
                    },
                }
            }
            file.seen.clone_from(&file.durable);
            state.files[index] = file;
        }
        state.names.clone_from(&state.durable_names);
    }

    /// Flips a bit in a segment, and says in which and at which offset.
    pub fn flip_a_bit(&self) -> Option<(PathBuf, u64)> {
        let state = &mut *self.state();
        let segments: Vec<_> = state.names.iter().filter(|(path, _)| is_segment(path)).collect();
        let (path, index) = segments
            .get(state.chance.below(segments.len() as u64) as usize)
            .copied()?;
        let (path, index) = (path.clone(), *index);
        let length = state.files[index].seen.len() as u64;
        if length == 0 {
            return None;
        }
        let at = state.chance.below(length);
        let bit = 1 << state.chance.below(8);
        let file = &mut state.files[index];
        file.seen[at as usize] ^= bit;
        let changed = file.seen[at as usize];
        // It is the medium that fails: durable.
        for change in &mut file.unsynced {
            if let Change::Write(from, bytes) = change
                && at >= *from
                && let Some(byte) = bytes.get_mut((at - *from) as usize)
            {
                *byte = changed;
            }
        }
        if let Some(byte) = file.durable.get_mut(at as usize) {
            *byte = changed;
        }
        state.count(FaultKind::BitFlipped);
        Some((path, at))
    }

    /// Removes the first of several segments behind the store's back.
    pub fn lose_a_segment(&self) -> Option<PathBuf> {
        let state = self.state();
        let mut segments = state.names.keys().filter(|path| is_segment(path));
        let path = segments.next()?.clone();
        // The last one may be open: what is written to it goes nowhere, and nobody can tell.
        segments.next()?;
        drop(state);
        self.lose(&path);
        self.state().count(FaultKind::FileGone);
        Some(path)
    }

    /// Removes a file for good, behind the store's back.
    pub fn lose(&self, path: &Path) {
        let state = &mut *self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
        state.name_changes.retain(|change| match change {
            NameChange::Make(made, _) => made != path,
            NameChange::Unlink(_) | NameChange::Rename(..) => true,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}
