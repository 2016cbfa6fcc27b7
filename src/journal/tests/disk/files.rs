//! The operations that the journal calls, each of which may fail in its own ways.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::super::files::{Entry, Files, OpenFile, Space};
use super::state::{Change, File, NameChange, State, apply, is_cursor, is_segment};
use super::{Disk, FaultKind, Removal};

#[derive(Debug)]
struct Handle {
    disk: Arc<Disk>,
    file: usize,
    path: PathBuf,
}

/// The disk, as the store has it.
#[derive(Clone, Debug)]
pub struct SimulatedFiles(pub Arc<Disk>);

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
