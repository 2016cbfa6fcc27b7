//! Opens a stream's journal: the same after a crash as after an orderly end. One that a newer livestreamd has written is refused before
//! anything in it is changed (`newer.rs`).
//!
//! What a daemon wrote last may be torn, so the end is read and checked: back to the last whole batch, behind which the journal is cut
//! off. All before that was written earlier and is checked when it is read. Nothing is ever appended to a segment that was there
//! before, and the next position is past everything that was written and everything that a cursor has passed.
//!
//! A cursor that cannot be read may have been anywhere. It counts as 0, so that what is still there is forwarded again and no id of
//! the stream is believed; its file is kept; and positions go on so far ahead that it cannot have been there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::Position;
use super::cursor::{self, Content, CursorFile};
use super::faults::Fault;
use super::files::{Entry, Files, OpenFile, read_full_at, write_all_at};
use super::format::{self, NoBatch};
use super::newer::{newer_among, too_new};
use super::room::Charge;
use super::segment::{FileName, LAST_POSITION, Segment};
use super::store::{Store, StoreSettings, Trouble};
use super::walk::{CHUNK_BYTES, Damage, Step, Walk};
use super::work::set_aside;
use crate::state_dir::TooNew;

/// Further than a journal gets in a millisecond, on average over its life: 256 MiB a second.
const BYTES_A_MILLISECOND: u64 = 256 * 1024;
/// What says more than this has been tampered with, or a clock is wrong. Half of all positions come after it.
const LAST_BELIEVED: Position = Position(LAST_POSITION.0 / 2);

/// A position that no journal has reached by this wall time, if none has grown by more than 256 MiB a second since 1970. Later ones are
/// larger. For [`StoreSettings::if_unknown`].
pub fn beyond_all(wall: SystemTime) -> Position {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Position(milliseconds.saturating_mul(BYTES_A_MILLISECOND)).min(LAST_BELIEVED)
}

/// Why a journal cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A newer livestreamd has written it. Nothing was changed.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// A segment or a cursor stands so far on that nothing could come after it. No journal of ours gets there.
    #[error(
        "the journal in {dir} says that it has reached position {position}, which no journal does: move it away, and look into it"
    )]
    UsedUp {
        /// The journal.
        dir: PathBuf,
        /// The position.
        position: Position,
    },
    /// The disk refused a cursor that is wanted.
    #[error("the journal in {dir} cannot be opened: {trouble}: see to the disk, and that this user may write there")]
    Cursors {
        /// The journal.
        dir: PathBuf,
        /// What happened.
        #[source]
        trouble: Trouble,
    },
    /// The disk refused something.
    #[error("the journal in {dir} cannot be opened: {error}: see to the disk, and that this user may write there")]
    Disk {
        /// The journal.
        dir: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

impl Store {
    /// Opens the journal in `settings.dir`, and makes it if there is none. Blocks, for as long as it takes to read a segment.
    pub fn open(files: Arc<dyn Files>, settings: StoreSettings) -> Result<Self, OpenError> {
        let opening = Opening {
            files: &*files,
            settings: &settings,
            faults: Vec::new(),
            unreadable: false,
        };
        let found = opening.run().map_err(|stop| match stop {
            Stop::TooNew(newer) => OpenError::TooNew(newer),
            Stop::UsedUp(position) => OpenError::UsedUp {
                dir: settings.dir.clone(),
                position,
            },
            Stop::Disk(error) => OpenError::Disk {
                dir: settings.dir.clone(),
                error,
            },
        })?;
        Ok(Self {
            segments: found.segments,
            writing: false,
            end: found.end,
            cursors: found.cursors,
            passed: Vec::new(),
            faults: found.faults,
            until_lookup: 0,
            lost: Charge::default(),
            files,
            settings,
        })
    }

    /// The same, with the cursors that are wanted: see [`Self::settle_cursors`].
    pub fn open_for(files: Arc<dyn Files>, settings: StoreSettings, outputs: &[&str]) -> Result<Self, OpenError> {
        let dir = settings.dir.clone();
        let mut store = Self::open(files, settings)?;
        match store.settle_cursors(outputs) {
            Ok(()) => Ok(store),
            Err(trouble) => Err(OpenError::Cursors { dir, trouble }),
        }
    }

    /// Where the cursors stood.
    pub fn cursors(&self) -> BTreeMap<String, Position> {
        let cursors = self.cursors.iter();
        cursors.map(|(name, cursor)| (name.clone(), cursor.durable())).collect()
    }
}

struct Opening<'o> {
    files: &'o dyn Files,
    settings: &'o StoreSettings,
    faults: Vec<Fault>,
    /// Whether a cursor is.
    unreadable: bool,
}

struct Found {
    segments: VecDeque<Segment>,
    end: Position,
    cursors: BTreeMap<String, CursorFile>,
    faults: Vec<Fault>,
}

enum Stop {
    TooNew(TooNew),
    UsedUp(Position),
    Disk(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Opening<'_> {
    fn run(mut self) -> Result<Found, Stop> {
        let dir = &self.settings.dir;
        self.files.make_dir(dir)?;
        let entries = self.files.list(dir)?;
        // Before anything is changed.
        if let Some(newer) = newer_among(self.files, dir, &entries)? {
            return Err(Stop::TooNew(newer));
        }
        if let Some(parent) = dir.parent() {
            self.files.sync_dir(parent)?;
        }
        let (mut cursors, mut segments) = (BTreeMap::new(), VecDeque::new());
        for entry in entries {
            match FileName::of(&entry.name) {
                FileName::Segment { base, damaged } => {
                    let mut segment = Segment::new(base, entry.bytes);
                    segment.damaged = damaged;
                    segment.marked = damaged;
                    segments.push_back(segment);
                }
                FileName::Cursor(name) => {
                    let cursor = self.open_cursor(&name, &dir.join(&entry.name))?;
                    cursors.insert(name, cursor);
                }
                FileName::Foreign => {}
            }
        }
        // Durable before a segment is unlinked because of what the cursors say, and before any new name counts.
        self.files.sync_dir(dir)?;
        for cursor in cursors.values_mut() {
            cursor.named = true;
        }
        segments
            .make_contiguous()
            .sort_by_key(|segment| (segment.base, segment.length));
        let written_to = segments.iter().map(Segment::end).max().unwrap_or_default();
        let cursor_at = cursors.values().map(CursorFile::durable).max().unwrap_or_default();
        if written_to.max(cursor_at) >= LAST_POSITION {
            return Err(Stop::UsedUp(written_to.max(cursor_at)));
        }
        disentangle(&mut segments);
        self.cut_the_end(&mut segments)?;
        let mut end = written_to.max(cursor_at);
        if self.unreadable {
            end = end.max(self.settings.if_unknown).max(self.quarantined_to()?);
        }
        let end_marker = end_marker(&segments, cursor_at);
        let (mut kept, mut removed) = (VecDeque::new(), false);
        for mut segment in segments {
            segment.named = true;
            if segment.length > 0 {
                kept.push_back(segment);
            } else if end_marker == Some(segment.base) && !segment.damaged {
                // Its name stays taken.
                end = end.max(segment.base.plus(1));
                kept.push_back(segment);
            } else if self.remove_empty(&segment).is_ok() {
                removed = true;
            } else {
                // Its name stays taken.
                end = end.max(segment.base.plus(1));
            }
        }
        if removed {
            // Or it might come back, with what it once held, in place of a new one of its name.
            self.files.sync_dir(dir)?;
        }
        Ok(Found {
            segments: kept,
            end,
            cursors,
            faults: self.faults,
        })
    }

    fn open_cursor(&mut self, name: &str, path: &Path) -> Result<CursorFile, Stop> {
        let file = self.files.open(path)?;
        let (cursor, content) = CursorFile::open(name, Arc::clone(&file))?;
        match content {
            Content::Cursor(..) | Content::Empty => {}
            Content::Unreadable => {
                // Before anything is written in its place.
                let kept = self.keep_cursor(name, &*file)?;
                self.unreadable = true;
                self.faults.push(Fault::CursorUnreadable {
                    name: name.to_owned(),
                    kept,
                });
            }
            Content::TooNew(version) => {
                return Err(Stop::TooNew(too_new(path.to_owned(), version, cursor::VERSION)));
            }
        }
        Ok(cursor)
    }

    /// Keeps a copy of a cursor that cannot be read, once for each content: it stays what it is until the cursor moves.
    fn keep_cursor(&self, name: &str, file: &dyn OpenFile) -> io::Result<PathBuf> {
        let mut bytes = [0; 64];
        let read = read_full_at(file, 0, &mut bytes)?;
        let kept = self.settings.unreadable_cursor(name, crc32c::crc32c(&bytes[..read]));
        let is_kept = |entry: &Entry| kept.file_name().is_some_and(|name| *name == *entry.name);
        if !self.quarantine()?.iter().any(is_kept) {
            self.copy(file, 0, &kept)?;
        }
        Ok(kept)
    }

    /// Where what was set aside of this journal ends.
    fn quarantined_to(&self) -> io::Result<Position> {
        let ends = self.quarantine()?.into_iter().filter_map(|entry| {
            let begin = self.settings.quarantined_at(&entry.name)?;
            Some(begin.plus(entry.bytes))
        });
        Ok(ends.filter(|end| *end <= LAST_BELIEVED).max().unwrap_or_default())
    }

    fn quarantine(&self) -> io::Result<Vec<Entry>> {
        match self.files.list(&self.settings.quarantine) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Reads segments from the last one back, until there is one with a whole batch, and cuts off what comes after that.
    fn cut_the_end(&mut self, segments: &mut VecDeque<Segment>) -> Result<(), Stop> {
        for segment in segments.iter_mut().rev() {
            let path = self.settings.dir.join(segment.file_name());
            let file = self.files.open(&path)?;
            let mut walk = Walk::new(file.clone(), segment.base, 0, segment.length);
            let (mut whole, mut damage) = (None, Vec::new());
            loop {
                let offset = walk.offset();
                match walk.step()? {
                    Step::End => break,
                    Step::Batch(_) => {
                        segment.landmark(offset);
                        whole = Some(walk.offset());
                    }
                    Step::Damage(found) => {
                        if let NoBatch::TooNew(version) = found.why {
                            return Err(Stop::TooNew(too_new(path, version, format::VERSION)));
                        }
                        damage.push(found);
                    }
                }
            }
            let whole_to = whole.unwrap_or(0);
            if let Some(last) = damage.pop_if(|last| last.position >= segment.base.plus(whole_to)) {
                let cut = self.keep(&*file, segment, last).and_then(|kept| {
                    file.truncate(whole_to)?;
                    Ok(kept)
                });
                // If not even that can be done, as on a full disk, it is damage like any other, and found by whoever reads it.
                if let Ok(kept) = cut {
                    segment.length = whole_to;
                    self.faults.push(Fault::Cut { damage: last, kept });
                }
            }
            // What was cut off, now or before, must not come back under positions that are given to something else.
            file.sync()?;
            // What is in the middle of it is found again by whoever reads it.
            if whole.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Keeps a copy of what is going to be cut off, unless there is nothing to it.
    fn keep(&self, file: &dyn OpenFile, segment: &Segment, damage: Damage) -> io::Result<Option<PathBuf>> {
        if damage.zeros {
            return Ok(None);
        }
        let kept = self.settings.cut(damage.position);
        self.copy(file, damage.position.since(segment.base), &kept)?;
        Ok(Some(kept))
    }

    /// Copies what a file holds from `at` on, durably, to where it is kept.
    fn copy(&self, file: &dyn OpenFile, mut at: u64, kept: &Path) -> io::Result<()> {
        self.files.make_dir(&self.settings.quarantine)?;
        let temporary = kept.with_extension("tmp");
        // One that a crash has left.
        match self.files.unlink(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let copy = self.files.create(&temporary)?;
        let (mut copied, mut chunk) = (0, vec![0; CHUNK_BYTES as usize]);
        loop {
            let read = read_full_at(file, at, &mut chunk)?;
            if read == 0 {
                break;
            }
            write_all_at(&*copy, copied, &chunk[..read])?;
            at += read as u64;
            copied += read as u64;
        }
        copy.sync()?;
        set_aside(self.files, &temporary, kept)
    }

    /// Removes a segment without batches: it says nothing that others do not.
    fn remove_empty(&self, segment: &Segment) -> io::Result<()> {
        let path = self.settings.dir.join(segment.file_name());
        if segment.damaged {
            set_aside(self.files, &path, &self.settings.aside(segment))
        } else {
            self.files.unlink(&path)
        }
    }
}

/// Where the empty segment begins that says how far the journal was, if nothing else does: it was begun when a cursor that knew was removed.
fn end_marker(segments: &VecDeque<Segment>, cursor_at: Position) -> Option<Position> {
    let (filled, empty): (Vec<_>, Vec<_>) = segments.iter().partition(|segment| segment.length > 0);
    let used_to = filled.into_iter().map(Segment::end).max().unwrap_or_default();
    let last = empty
        .into_iter()
        .filter(|segment| !segment.damaged)
        .map(|segment| segment.base)
        .max();
    last.filter(|last| *last > used_to.max(cursor_at))
}

/// Segments never overlap as we write them. If they do all the same, a segment ends where the next begins, and is set aside in the
/// end, and not unlinked.
fn disentangle(segments: &mut VecDeque<Segment>) {
    let mut next: Option<Position> = None;
    for segment in segments.iter_mut().rev() {
        if let Some(next) = next.filter(|next| segment.end() > *next) {
            segment.length = next.since(segment.base);
            segment.damaged = true;
        }
        next = Some(segment.base);
    }
}
