//! A disk with a page cache. What is written or named is seen at once, and durable when it is synced; what a power loss leaves of the
//! rest is chance: all of a write, a part, or nothing, each on its own.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::Position;
use super::super::cursor;
use super::super::files::{Entry, Files, OpenFile, Space};
use super::chance::Chance;

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

#[derive(Debug)]
struct State {
    chance: Chance,
    /// How many operations in a thousand fail; nothing fails at 0.
    rate: u64,
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<NameChange>,
    dirs: Vec<PathBuf>,
    /// The process is killed after so many operations.
    fuel: Option<u64>,
    dead: bool,
    /// A sync of a cursor that lies.
    lying_cursors: bool,
    removals: Vec<Removal>,
    /// What failed syncs were for: file, from, to.
    forgotten: Vec<(PathBuf, u64, u64)>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Debug)]
enum NameChange {
    Make(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// A segment was unlinked.
#[derive(Clone, Debug)]
pub struct Removal {
    pub name: String,
    /// The least position that any cursor could have after a power loss at that moment.
    pub durably_passed: Position,
}

#[derive(Debug)]
struct Handle {
    disk: Arc<Disk>,
    file: usize,
    path: PathBuf,
}

/// The disk, as the store has it.
#[derive(Clone, Debug)]
pub struct SimulatedFiles(pub Arc<Disk>);

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
        let state = &mut *self.state();
        let mut segments = state.names.keys().filter(|path| is_segment(path));
        let path = segments.next()?.clone();
        // The last one may be open: what is written to it goes nowhere, and nobody can tell.
        segments.next()?;
        state.names.remove(&path);
        state.durable_names.remove(&path);
        state.name_changes.retain(|change| match change {
            NameChange::Make(made, _) => *made != path,
            NameChange::Unlink(_) | NameChange::Rename(..) => true,
        });
        state.count(FaultKind::FileGone);
        Some(path)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg") && !path.to_string_lossy().contains("quarantine")
}

/// Those in quarantine are called otherwise.
fn is_cursor(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("cursor."))
}

impl State {
    fn count(&mut self, kind: FaultKind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Whether this operation fails in this way.
    fn fails(&mut self, kind: FaultKind) -> bool {
        let fails = self.rate > 0 && self.chance.permille(self.rate);
        if fails {
            self.count(kind);
        }
        fails
    }

    /// Counts an operation. Says whether the process is killed in the middle of it.
    fn burn(&mut self) -> io::Result<bool> {
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
    fn burn_whole(&mut self) -> io::Result<()> {
        if self.burn()? && self.chance.permille(500) {
            return Err(io::Error::other("the process is dead"));
        }
        Ok(())
    }

    fn named(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_in(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.name_changes.push(change);
    }

    /// The least that any cursor could say after a power loss now.
    fn durably_passed(&self) -> Position {
        let cursors = self.names.iter().filter(|(path, _)| is_cursor(path));
        let least = cursors.map(|(path, index)| {
            if self.durable_names.get(path) != Some(index) {
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

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
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
    fn apply(self, content: &mut Vec<u8>) {
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

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Files for SimulatedFiles {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        state.burn_whole()?;
        if !state.dirs.iter().any(|known| known == dir) {
            state.dirs.push(dir.to_owned());
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.0.state();
        state.burn_whole()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.fails(FaultKind::CreateFailed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = state.files.len();
        state.files.push(File::default());
        state.rename_in(NameChange::Make(path.to_owned(), file));
        if state.fails(FaultKind::CreateDoneButFailed) {
            return Err(eio());
        }
        drop(state);
        Ok(self.handle(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.0.state();
        state.burn_whole()?;
        let file = state.named(path)?;
        drop(state);
        Ok(self.handle(path, file))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.0.state();
        state.burn_whole()?;
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, file): (&PathBuf, &usize)| Entry {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            bytes: state.files[*file].seen.len() as u64,
            is_dir: false,
            is_file: true,
        };
        Ok(inside.map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        state.burn_whole()?;
        state.named(from)?;
        if state.fails(FaultKind::RenameFailed) {
            return Err(eio());
        }
        state.rename_in(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        state.burn_whole()?;
        state.named(path)?;
        if state.fails(FaultKind::UnlinkFailed) {
            return Err(eio());
        }
        if is_segment(path) {
            let removal = Removal {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                durably_passed: state.durably_passed(),
            };
            state.removals.push(removal);
        }
        state.rename_in(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.state();
        state.burn_whole()?;
        if state.fails(FaultKind::SyncDirFailed) {
            return Err(eio());
        }
        let in_dir = |path: &Path| path.parent() == Some(dir);
        let (ours, others) = std::mem::take(&mut state.name_changes)
            .into_iter()
            .partition(|change| match change {
                NameChange::Make(path, _) | NameChange::Unlink(path) => in_dir(path),
                NameChange::Rename(from, to) => in_dir(from) || in_dir(to),
            });
        state.name_changes = others;
        let ours: Vec<NameChange> = ours;
        for change in ours {
            apply(&mut state.durable_names, change);
        }
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let mut state = self.0.state();
        state.burn_whole()?;
        let free = if state.fails(FaultKind::SpaceLow) { 3 } else { 900 };
        Ok(Space { free, total: 1000 })
    }
}

impl SimulatedFiles {
    fn handle(&self, path: &Path, file: usize) -> Arc<dyn OpenFile> {
        Arc::new(Handle {
            disk: Arc::clone(&self.0),
            file,
            path: path.to_owned(),
        })
    }
}

impl Handle {
    fn write(&self, state: &mut State, offset: u64, bytes: &[u8]) {
        let change = Change::Write(offset, bytes.to_vec());
        change.clone().apply(&mut state.files[self.file].seen);
        state.files[self.file].unsynced.push(change);
    }
}

impl OpenFile for Handle {
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let state = &mut *self.disk.state();
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let some = state.chance.below(bytes.len() as u64) as usize;
        if state.burn()? {
            self.write(state, offset, &bytes[..some]);
            return Err(io::Error::other("the process is dead"));
        }
        if state.fails(FaultKind::Interrupted) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if state.fails(FaultKind::WriteFailed) {
            return Err(eio());
        }
        if state.fails(FaultKind::WriteFailedInTheMiddle) {
            self.write(state, offset, &bytes[..some]);
            return Err(eio());
        }
        if state.fails(FaultKind::WriteDoneButFailed) {
            self.write(state, offset, &bytes);
            return Err(eio());
        }
        if state.fails(FaultKind::NoSpace) {
            self.write(state, offset, &bytes[..some]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        if some > 0 && state.fails(FaultKind::ShortWrite) {
            self.write(state, offset, &bytes[..some]);
            return Ok(some);
        }
        self.write(state, offset, &bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.disk.state();
        state.burn_whole()?;
        if state.fails(FaultKind::ReadFailed) {
            return Err(eio());
        }
        let content = &state.files[self.file].seen;
        let rest = content.get(offset as usize..).unwrap_or_default();
        let mut length = rest.len().min(into.len());
        if length > 1 && state.rate > 0 && state.chance.permille(state.rate) {
            length = 1 + state.chance.below(length as u64 - 1) as usize;
            state.count(FaultKind::ShortRead);
        }
        into[..length].copy_from_slice(&state.files[self.file].seen[offset as usize..][..length]);
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.state();
        state.burn_whole()?;
        let fails = state.fails(FaultKind::SyncFailed);
        if state.lying_cursors && is_cursor(&self.path) {
            return Ok(());
        }
        let file = &mut state.files[self.file];
        if fails {
            // The system forgets that there was something to write, and shows it all the same until it is evicted.
            let forgotten = file.unsynced.drain(..).filter_map(|change| match change {
                Change::Write(at, bytes) => Some((self.path.clone(), at, at + bytes.len() as u64)),
                Change::Truncate(_) => None,
            });
            state.forgotten.extend(forgotten);
            return Err(eio());
        }
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let state = &mut *self.disk.state();
        state.burn_whole()?;
        if state.fails(FaultKind::TruncateFailed) {
            return Err(eio());
        }
        let file = &mut state.files[self.file];
        Change::Truncate(length).apply(&mut file.seen);
        file.unsynced.push(Change::Truncate(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].seen.len() as u64)
    }
}
