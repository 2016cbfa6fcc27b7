//! What a store does without its lock held: syncs, readings and removals, each made by [`super::store::Store`] and handed back to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cursor::CursorSync;
use super::files::{Files, OpenFile};
use super::room::Charge;
use super::walk::{Damage, Step, Walk};
use super::{Batch, Position};

/// What is to be made durable.
#[derive(Debug)]
pub struct SyncWork {
    pub(super) segments: Vec<SegmentSync>,
    pub(super) cursors: Vec<(String, CursorSync)>,
    /// Whether names in the directory are not durable either.
    pub(super) names: bool,
    /// The segments that had their names when this was made: those that begin before this, or at it.
    pub(super) named_to: Option<Position>,
    /// The cursors that had their names.
    pub(super) named_cursors: Vec<String>,
}

/// A part of a segment that is to be made durable.
#[derive(Debug)]
pub struct SegmentSync {
    pub(super) base: Position,
    pub(super) path: PathBuf,
    pub(super) file: Option<Arc<dyn OpenFile>>,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What became of it.
#[derive(Debug)]
pub struct Synced {
    pub(super) segments: Vec<(SegmentSync, io::Result<()>)>,
    pub(super) cursors: Vec<(String, CursorSync, io::Result<()>)>,
    pub(super) names: Option<io::Result<()>>,
    pub(super) named_to: Option<Position>,
    pub(super) named_cursors: Vec<String>,
}

impl SyncWork {
    /// Whether everything is durable.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.cursors.is_empty() && !self.names
    }

    /// Whether it makes cursors durable.
    pub fn has_cursors(&self) -> bool {
        !self.cursors.is_empty()
    }

    /// The names of those.
    pub fn cursors(&self) -> impl Iterator<Item = &str> {
        self.cursors.iter().map(|(name, _)| name.as_str())
    }

    /// Syncs.
    pub fn run(self, files: &dyn Files, dir: &Path) -> Synced {
        let segments = self.segments.into_iter().map(|work| {
            let file = work.file.clone().map_or_else(|| files.open(&work.path), Ok);
            let result = match file.and_then(|file| file.sync()) {
                // Trimmed or renamed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
            (work, result)
        });
        let segments = segments.collect();
        let cursors = self.cursors.into_iter().map(|(name, cursor)| {
            let result = cursor.file.sync();
            (name, cursor, result)
        });
        Synced {
            segments,
            cursors: cursors.collect(),
            names: self.names.then(|| files.sync_dir(dir)),
            named_to: self.named_to,
            named_cursors: self.named_cursors,
        }
    }
}

#[cfg(test)]
impl Synced {
    /// As if all had been synced, which it was not: a planted fault.
    pub fn pretended(work: SyncWork) -> Self {
        Self {
            segments: work.segments.into_iter().map(|work| (work, Ok(()))).collect(),
            cursors: work
                .cursors
                .into_iter()
                .map(|(name, cursor)| (name, cursor, Ok(())))
                .collect(),
            names: work.names.then_some(Ok(())),
            named_to: work.named_to,
            named_cursors: work.named_cursors,
        }
    }
}

/// How to read a part of a segment.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    pub(super) path: PathBuf,
    pub(super) base: Position,
    pub(super) from: Position,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What a reading brought.
#[derive(Debug)]
pub struct ReadOut {
    /// The batches from the one on that holds the wanted position.
    pub batches: Vec<Arc<Batch>>,
    /// Where to read on: everything between the wanted position and this is in `batches`, or is no batch.
    pub resume: Position,
    /// What is no batch.
    pub(super) damage: Vec<Damage>,
    pub(super) base: Position,
    pub(super) landmarks: Vec<u64>,
}

impl ReadPlan {
    /// Reads batches until they have `most_bytes` or more together, or the segment ends.
    ///
    /// # Errors
    /// Those of the disk. `NotFound` may mean that the segment was trimmed or renamed since.
    pub fn run(&self, files: &dyn Files, most_bytes: u64) -> io::Result<ReadOut> {
        let file = files.open_to_read(&self.path)?;
        let mut walk = Walk::new(file, self.base, self.offset, self.length);
        let mut out = ReadOut {
            batches: Vec::new(),
            resume: self.base.plus(self.length),
            damage: Vec::new(),
            base: self.base,
            landmarks: Vec::new(),
        };
        let mut bytes = 0;
        while bytes < most_bytes {
            let offset = walk.offset();
            match walk.step()? {
                Step::End => return Ok(out),
                Step::Damage(damage) => out.damage.push(damage),
                Step::Batch(batch) => {
                    out.landmarks.push(offset);
                    if batch.end() > self.from {
                        bytes += batch.end().since(batch.position);
                        out.batches.push(Arc::new(batch));
                    }
                }
            }
        }
        out.resume = self.base.plus(walk.offset());
        Ok(out)
    }
}

/// A segment that every cursor has durably passed.
#[derive(Debug)]
pub struct Passed {
    pub(super) path: PathBuf,
    /// Where it goes instead of being unlinked.
    pub(super) aside: Option<PathBuf>,
    pub(super) charge: Charge,
}

impl Passed {
    /// Unlinks the segments, or sets them aside. A file that is gone already counts as removed.
    pub fn remove(passed: Vec<Self>, files: &dyn Files) -> Vec<(Self, io::Result<()>)> {
        let remove = |passed: Self| {
            let removed = match &passed.aside {
                None => files.unlink(&passed.path),
                Some(aside) => set_aside(files, &passed.path, aside),
            };
            let removed = match removed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
            (passed, removed)
        };
        passed.into_iter().map(remove).collect()
    }
}

/// Moves a file, durably, and makes the directory for it if that is missing.
pub fn set_aside(files: &dyn Files, from: &Path, to: &Path) -> io::Result<()> {
    if let Some(dir) = to.parent() {
        files.make_dir(dir)?;
        files.rename(from, to)?;
        files.sync_dir(dir)?;
    }
    Ok(())
}
