//! One stream's journal on disk, without threads, waiting or time: segments, cursors, and what must be durable before what.
//!
//! ```text
//! append: batches -> the last segment, a new one when that is full
//! sync:   begin_sync (under the lock) -> SyncWork::run (without it) -> end_sync (under it)
//! read:   plan_read (under the lock) -> ReadPlan::run (without it) -> after_read (under it)
//! trim:   take_passed (under the lock) -> Passed::remove (without it) -> removed (under it)
//! ```
//!
//! Promises:
//! - What `append` says is appended is in the file, and after the next good sync durable.
//! - A write that failed leaves nothing between batches: it is cut off again, or the segment ends there. After a sync that failed the
//!   segment ends too, because the system may have forgotten what it could not write.
//! - A segment is unlinked only when the durable position of every cursor is past it. One with damage is set aside instead.
//! - No position is used twice: a new segment begins at or after whatever was written before.
//!
//! | module | holds |
//! | --- | --- |
//! | [`layout`] | where a stream's journal is, and what is called how in quarantine |
//! | [`append`] | writing |
//! | [`cursors`] | cursors come, move and go |
//! | [`sync`] | what is made durable when |
//! | [`trim`] | what goes when all have passed it |

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::cursor::CursorFile;
use super::faults::Fault;
use super::files::Files;
use super::room::Charge;
use super::segment::Segment;
use super::work::{Passed, ReadOut, ReadPlan};
use super::{NewBatch, Position};

pub mod append;
pub mod cursors;
pub mod layout;
pub mod sync;
pub mod trim;

pub use append::{RESERVE_BYTES, RESERVE_SHARE};
pub use layout::{Quarantined, StoreSettings};

/// How large a segment becomes, as a rule.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// What is to be appended, and the room that it takes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The batch.
    pub batch: NewBatch,
    /// Its room: given back with the segment.
    pub charge: Charge,
}

/// Why the disk takes nothing at the moment. It is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// The file system is full, or only the reserve is left.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// Something else.
    #[error("the disk fails: {0}")]
    DiskFailing(String),
}

/// One stream's journal on disk.
#[derive(Debug)]
pub struct Store {
    pub(super) files: Arc<dyn Files>,
    pub(super) settings: StoreSettings,
    /// In order. They do not overlap; there may be gaps.
    pub(super) segments: VecDeque<Segment>,
    /// Whether the last of them is written to.
    pub(super) writing: bool,
    /// The next position.
    pub(super) end: Position,
    pub(super) cursors: BTreeMap<String, CursorFile>,
    /// Passed by all, and not unlinked yet.
    pub(super) passed: Vec<Passed>,
    pub(super) faults: Vec<Fault>,
    /// How much may be written until the free space is looked up.
    pub(super) until_lookup: u64,
    /// The room of segments that have gone missing.
    pub(super) lost: Charge,
}

impl Store {
    /// The position of the next batch, unless a new segment has to begin further on.
    pub const fn end(&self) -> Position {
        self.end
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// The segments, first to last, as (begin, end).
    pub fn extents(&self) -> impl DoubleEndedIterator<Item = (Position, Position)> {
        let filled = self.segments.iter().filter(|segment| segment.length > 0);
        filled.map(|segment| (segment.base, segment.end()))
    }

    /// What was found wrong since this was last asked.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.faults)
    }

    /// Charges what is on disk already.
    pub fn charge_held(&mut self, mut charge: impl FnMut(u64) -> Charge) {
        for segment in &mut self.segments {
            segment.charge = segment.charge.and(charge(segment.length));
        }
    }

    /// What all that is held was charged.
    pub fn held(&self) -> Charge {
        let segments = self.segments.iter().map(|segment| segment.charge);
        let passed = self.passed.iter().map(|passed| passed.charge);
        segments.chain(passed).fold(self.lost, Charge::and)
    }

    // --- read

    /// How to read the batch that holds `from`, or the first one after it. None if there is nothing there.
    pub fn plan_read(&self, from: Position) -> Option<ReadPlan> {
        let index = self.segments.partition_point(|segment| segment.end() <= from);
        let segment = self.segments.range(index..).find(|segment| segment.length > 0)?;
        Some(ReadPlan {
            path: self.settings.dir.join(segment.file_name()),
            base: segment.base,
            from,
            offset: segment.landmark_before(from.since(segment.base)),
            length: segment.length,
        })
    }

    /// Takes note of what a reading came upon.
    pub fn after_read(&mut self, read: &ReadOut) {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == read.base) else {
            return;
        };
        for landmark in &read.landmarks {
            segment.landmark(*landmark);
        }
        for damage in &read.damage {
            if segment.known_damage.insert((damage.position, damage.bytes)) {
                self.faults.push(Fault::Damaged {
                    segment: segment.file_name(),
                    damage: *damage,
                });
            }
            segment.damaged = true;
        }
        if segment.damaged && !segment.marked {
            // So that the next start knows too. If it cannot be done, this one still does.
            let before = self.settings.dir.join(segment.file_name());
            segment.marked = true;
            let after = self.settings.dir.join(segment.file_name());
            segment.marked = self.files.rename(&before, &after).is_ok();
            segment.named &= !segment.marked;
        }
    }

    /// A segment's file was not there when it was to be read. If it should be, it is given up.
    pub fn missing(&mut self, plan: &ReadPlan) {
        let found = self
            .segments
            .iter()
            .position(|segment| segment.base == plan.base && self.settings.dir.join(segment.file_name()) == plan.path);
        let Some(index) = found else { return };
        if self.writing && index + 1 == self.segments.len() {
            self.writing = false;
        }
        if let Some(segment) = self.segments.remove(index) {
            self.faults.push(Fault::Missing {
                segment: segment.file_name(),
                bytes: segment.length,
            });
            self.lost = self.lost.and(segment.charge);
        }
    }
}

fn trouble(doing: &str, error: &io::Error) -> Trouble {
    let text = format!("{doing}: {error}");
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        Trouble::DiskFull(text)
    } else {
        Trouble::DiskFailing(text)
    }
}
