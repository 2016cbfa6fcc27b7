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

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::cursor::CursorFile;
use super::files::{Files, OpenFile};
use super::format;
use super::room::Charge;
use super::segment::{FileName, Segment, is_cursor_name};
use super::walk::Damage;
use super::work::{Passed, ReadOut, ReadPlan, SegmentSync, SyncWork, Synced};
use super::{NewBatch, Position};

/// How large a segment becomes, as a rule.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// So much of a file system stays free for others ...
pub const RESERVE_BYTES: u64 = 1024 * 1024 * 1024;
/// ... or this part of it, if that is less.
pub const RESERVE_SHARE: u64 = 20;
/// The free space is looked up after so many bytes.
const SPACE_LOOKED_UP_AFTER: u64 = 16 * 1024 * 1024;
/// Batches that go into one write: two parts each, and the system takes 1024.
const MOST_IN_A_WRITE: usize = 256;

/// Where a stream's journal is, and how it is laid out.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Its directory.
    pub dir: PathBuf,
    /// Where broken segments go. On the same file system.
    pub quarantine: PathBuf,
    /// How large a segment becomes.
    pub segment_bytes: u64,
    /// Where positions go on, at least, if a cursor cannot be read and so may have been anywhere: see [`super::recovery::beyond_all`].
    pub if_unknown: Position,
}

impl StoreSettings {
    /// Where a segment goes that is not to be unlinked.
    pub fn aside(&self, segment: &Segment) -> PathBuf {
        self.quarantine
            .join(format!("{}.{}", self.stream(), segment.file_name()))
    }

    /// Where what was cut off at `position` goes.
    pub fn cut(&self, position: Position) -> PathBuf {
        self.quarantine
            .join(format!("{}.{:020}.cut", self.stream(), position.0))
    }

    /// Where the copy of a cursor goes that cannot be read, and has this checksum.
    pub fn unreadable_cursor(&self, name: &str, checksum: u32) -> PathBuf {
        self.quarantine
            .join(format!("{}.cursor.{name}.{checksum:08x}.unreadable", self.stream()))
    }

    /// Where what has this name in quarantine began, if it is of this journal.
    pub fn quarantined_at(&self, name: &str) -> Option<Position> {
        // No stream's name has a dot in it.
        let (stream, rest) = name.split_once('.')?;
        match Quarantined::of(rest).filter(|_| stream == self.stream())? {
            Quarantined::Segment(base) | Quarantined::Cut(base) => Some(base),
            Quarantined::Cursor => None,
        }
    }

    fn stream(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// What lies in quarantine of a journal, by the rest of its name after the stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantined {
    /// A segment with damage, which all had passed.
    Segment(Position),
    /// What the journal ended in, and was no whole batch.
    Cut(Position),
    /// A cursor that could not be read.
    Cursor,
}

impl Quarantined {
    /// Understands the rest of a name.
    pub fn of(rest: &str) -> Option<Self> {
        if let FileName::Segment { base, .. } = FileName::of(rest) {
            return Some(Self::Segment(base));
        }
        if rest.starts_with("cursor.") && rest.ends_with(".unreadable") {
            return Some(Self::Cursor);
        }
        let digits = rest.strip_suffix(".cut")?;
        let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let position = digits.parse().ok().filter(|_| all_digits)?;
        Some(Self::Cut(Position(position)))
    }
}

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

/// What is wrong on disk, or was. Each is reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The journal ended in something that is no whole batch, as after a crash. It was cut off.
    Cut {
        /// What was cut off.
        damage: Damage,
        /// Where it is kept, unless it was nothing but zeros.
        kept: Option<PathBuf>,
    },
    /// In the middle of a segment there is something that is no batch. The segment will be set aside.
    Damaged {
        /// The segment's file.
        segment: String,
        /// What is no batch.
        damage: Damage,
    },
    /// A segment with damage was set aside, after all had passed it.
    SetAside {
        /// Where it is now.
        to: PathBuf,
    },
    /// A segment's file is not there any more. Nobody here has removed it.
    Missing {
        /// The segment's file.
        segment: String,
        /// How many bytes it had.
        bytes: u64,
    },
    /// A cursor's file is not one: its stream goes on at the oldest batch.
    CursorUnreadable {
        /// The cursor.
        name: String,
        /// Where a copy of the file is.
        kept: PathBuf,
    },
    /// A sync failed. What it was for may not survive a power loss.
    NotSynced {
        /// Where that begins.
        from: Position,
        /// Where it ends.
        to: Position,
        /// What the system said.
        error: String,
    },
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

    // --- append

    /// Appends the entries in order, as many as the disk takes, and says where those stand. What the disk did not take can be
    /// appended again later, and nothing of it is there.
    pub fn append(&mut self, entries: &[Entry]) -> (Vec<Position>, Result<(), Trouble>) {
        let mut positions = Vec::with_capacity(entries.len());
        while positions.len() < entries.len() {
            if let Err(trouble) = self.append_some(&entries[positions.len()..], &mut positions) {
                return (positions, Err(trouble));
            }
        }
        (positions, Ok(()))
    }

    /// Makes sure that there is a segment that can be written and synced: after trouble, before more is appended.
    pub fn try_disk(&mut self) -> Result<(), Trouble> {
        self.until_lookup = 0;
        self.look_for_space()?;
        if !self.writing {
            self.begin_segment()?;
        }
        // No cursors: another sync of theirs may be under way and fail, and this one would not notice.
        let work = self.begin_sync(false);
        let synced = work.run(&*self.files, &self.settings.dir);
        self.end_sync(synced)
    }

    fn append_some(&mut self, entries: &[Entry], positions: &mut Vec<Position>) -> Result<(), Trouble> {
        self.look_for_space()?;
        let Some(first) = entries.first() else { return Ok(()) };
        let full =
            |segment: &Segment| segment.length > 0 && segment.length + first.batch.size() > self.settings.segment_bytes;
        if self.writing && self.segments.back().is_some_and(full) {
            self.writing = false;
        }
        if !self.writing {
            self.begin_segment()?;
        }
        let segment_bytes = self.settings.segment_bytes;
        let Some((segment, file)) = self.segments.back_mut().and_then(|segment| {
            let file = segment.file.clone()?;
            Some((segment, file))
        }) else {
            // Not reached: a segment that is written to is open.
            self.writing = false;
            return Ok(());
        };
        let mut fits = segment_bytes.saturating_sub(segment.length);
        let group = entries
            .iter()
            .enumerate()
            .take(MOST_IN_A_WRITE)
            .take_while(|(index, entry)| {
                let size = entry.batch.size();
                let taken = *index == 0 || size <= fits;
                fits = fits.saturating_sub(size);
                taken
            });
        let group: Vec<(&Entry, [u8; format::HEADER])> =
            group.map(|(_, entry)| (entry, format::header(&entry.batch))).collect();
        let mut parts = Vec::with_capacity(group.len() * 2);
        for (entry, header) in &group {
            parts.push(IoSlice::new(header));
            parts.push(IoSlice::new(&entry.batch.bytes));
        }
        let total: u64 = group.iter().map(|(entry, _)| entry.batch.size()).sum();
        let written = write_parts(&*file, segment.length, &mut parts);
        let (whole, failed) = match written {
            Ok(()) => (total, None),
            Err((written, error)) => (written, Some(error)),
        };
        let before = segment.length;
        for (entry, _) in &group {
            let size = entry.batch.size();
            if segment.length + size > before + whole {
                break;
            }
            positions.push(segment.end());
            segment.landmark(segment.length);
            segment.length += size;
            segment.charge = segment.charge.and(entry.charge);
        }
        self.end = segment.end();
        self.until_lookup = self.until_lookup.saturating_sub(segment.length - before);
        let Some(error) = failed else { return Ok(()) };
        if file.truncate(segment.length).is_err() {
            // What is torn stays behind the last batch, so nothing may be written there, and no other position may mean it.
            self.writing = false;
            self.end = segment.base.plus(before + total);
        }
        self.until_lookup = 0;
        Err(trouble("writing a segment", &error))
    }

    fn look_for_space(&mut self) -> Result<(), Trouble> {
        if self.until_lookup > 0 {
            return Ok(());
        }
        let looked_up = self.files.space(&self.settings.dir);
        let space = looked_up.map_err(|error| trouble("asking for free space", &error))?;
        let reserve = RESERVE_BYTES.min(space.total / RESERVE_SHARE);
        if space.free <= reserve {
            return Err(Trouble::DiskFull(format!(
                "{} bytes are free, and {reserve} are left to others: make room",
                space.free
            )));
        }
        self.until_lookup = SPACE_LOOKED_UP_AFTER.min((space.free - reserve) / 2).max(1);
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), Trouble> {
        let mut segment = Segment::new(self.end, 0);
        let path = self.settings.dir.join(segment.file_name());
        match self.files.create(&path) {
            Ok(file) => segment.file = Some(file),
            Err(error) => {
                // Maybe it was made all the same, and then its name is taken. There are positions enough.
                self.end = self.end.plus(1);
                return Err(trouble("making a segment", &error));
            }
        }
        self.segments.push_back(segment);
        self.writing = true;
        Ok(())
    }

    // --- cursors and sync

    /// Notes where a cursor stands. From now on it survives a kill; a power loss only when it was synced.
    pub fn write_cursor(&mut self, name: &str, position: Position) -> Result<(), Trouble> {
        if let Some(cursor) = self.cursors.get_mut(name) {
            let written = cursor.write(position);
            return written.map_err(|error| trouble("writing a cursor", &error));
        }
        if !is_cursor_name(name) {
            return Err(Trouble::DiskFailing(format!("{name:?} is no name for a cursor")));
        }
        let path = self.settings.dir.join(format!("cursor.{name}"));
        let made = match self.files.create(&path) {
            // By an attempt that failed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.files.open(&path),
            made => made,
        };
        let mut cursor = CursorFile::new(made.map_err(|error| trouble("making a cursor", &error))?);
        let written = cursor.write(position);
        self.cursors.insert(name.to_owned(), cursor);
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

    /// Collects what is not durable. Cursors are left out unless `with_cursors`: they move all the time, and are worth a sync of their
    /// own when a segment can go.
    pub fn begin_sync(&self, with_cursors: bool) -> SyncWork {
        let segments = self.segments.iter().filter(|segment| segment.synced < segment.length);
        let segments = segments.map(|segment| SegmentSync {
            base: segment.base,
            path: self.settings.dir.join(segment.file_name()),
            file: segment.file.clone(),
            from: segment.synced,
            to: segment.length,
        });
        let cursors = self.cursors.iter();
        SyncWork {
            segments: segments.collect(),
            names: self.segments.iter().any(|segment| !segment.named)
                || self.cursors.values().any(|cursor| !cursor.named),
            named_to: self.segments.back().map(|segment| segment.base),
            cursors: cursors
                .filter(|_| with_cursors)
                .filter_map(|(name, cursor)| Some((name.clone(), cursor.unsynced()?)))
                .collect(),
            named_cursors: self.cursors.keys().cloned().collect(),
        }
    }

    /// Takes note of what is durable now, and of what could not be made so.
    pub fn end_sync(&mut self, synced: Synced) -> Result<(), Trouble> {
        let mut outcome = Ok(());
        for (name, cursor, result) in synced.cursors {
            let Some(known) = self.cursors.get_mut(&name) else {
                continue;
            };
            match result {
                Ok(()) => known.synced(cursor.written),
                Err(error) => {
                    known.sync_failed();
                    outcome = Err(trouble("syncing a cursor", &error));
                }
            }
        }
        for (work, result) in synced.segments {
            let last = self.segments.back().map(|segment| segment.base);
            let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == work.base) else {
                continue;
            };
            segment.synced = segment.synced.max(work.to);
            if let Err(error) = result {
                outcome = Err(trouble("syncing a segment", &error));
                // Not tried again: a second sync would only pretend. What was written to it meanwhile is for the next.
                self.faults.push(Fault::NotSynced {
                    from: work.base.plus(work.from),
                    to: work.base.plus(work.to),
                    error: error.to_string(),
                });
                if last == Some(work.base) {
                    self.writing = false;
                }
            }
            let is_written = self.writing && last == Some(work.base);
            if !is_written && segment.synced >= segment.length {
                segment.file = None;
            }
        }
        match synced.names {
            None => {}
            Some(Ok(())) => {
                for segment in &mut self.segments {
                    segment.named |= synced.named_to.is_some_and(|last| segment.base <= last);
                }
                for name in synced.named_cursors {
                    if let Some(cursor) = self.cursors.get_mut(&name) {
                        cursor.named = true;
                    }
                }
            }
            Some(Err(error)) => outcome = Err(trouble("syncing a directory", &error)),
        }
        outcome
    }

    // --- trim

    /// Whether a segment can go as soon as the cursors are durable.
    pub fn a_segment_could_go(&self) -> bool {
        let written = self.cursors.values().map(CursorFile::written).min().unwrap_or_default();
        let first = self
            .segments
            .front()
            .filter(|_| !self.writing || self.segments.len() > 1);
        first.is_some_and(|segment| segment.end() <= written)
    }

    /// Whether there are segments that could not be removed so far.
    pub const fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// Takes out the segments that every cursor has durably passed. `in_need` also ends the segment that is written to, if all of it
    /// is passed.
    pub fn take_passed(&mut self, in_need: bool) -> Vec<Passed> {
        let limit = self.durably_passed();
        while let Some(segment) = self.segments.front() {
            let is_written = self.writing && self.segments.len() == 1;
            let to_be_kept = is_written && (segment.length == 0 || !in_need);
            if segment.end() > limit || to_be_kept {
                break;
            }
            if is_written {
                self.writing = false;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.passed.push(Passed {
                    path: self.settings.dir.join(segment.file_name()),
                    aside: segment.damaged.then(|| self.settings.aside(&segment)),
                    charge: segment.charge,
                });
            }
        }
        std::mem::take(&mut self.passed)
    }

    /// Takes back what could not be removed, to try again, and notes what was set aside.
    pub fn removed(&mut self, removals: Vec<(Passed, io::Result<()>)>) -> (Charge, Result<(), Trouble>) {
        let (mut freed, mut outcome) = (std::mem::take(&mut self.lost), Ok(()));
        for (passed, result) in removals {
            match result {
                Ok(()) => {
                    freed = freed.and(passed.charge);
                    self.faults.extend(passed.aside.map(|to| Fault::SetAside { to }));
                }
                Err(error) => {
                    self.passed.push(passed);
                    outcome = Err(trouble("removing a segment", &error));
                }
            }
        }
        (freed, outcome)
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

/// Writes all parts, or says how many bytes were written before what happened.
fn write_parts(file: &dyn OpenFile, offset: u64, mut parts: &mut [IoSlice<'_>]) -> Result<(), (u64, io::Error)> {
    let mut written = 0;
    // Empty parts would be taken for a disk that takes nothing.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match file.write_at(offset + written, parts) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => {
                written += more as u64;
                IoSlice::advance_slices(&mut parts, more);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn trouble(doing: &str, error: &io::Error) -> Trouble {
    let text = format!("{doing}: {error}");
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        Trouble::DiskFull(text)
    } else {
        Trouble::DiskFailing(text)
    }
}
