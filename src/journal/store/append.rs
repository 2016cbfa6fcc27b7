//! Appending: what goes into a segment, and when a new one begins.

use std::io::{self, IoSlice};

use super::super::Position;
use super::super::files::OpenFile;
use super::super::format;
use super::super::segment::Segment;
use super::{Entry, Store, Trouble, trouble};

/// So much of a file system stays free for others ...
pub const RESERVE_BYTES: u64 = 1024 * 1024 * 1024;
/// ... or this part of it, if that is less.
pub const RESERVE_SHARE: u64 = 20;
/// The free space is looked up after so many bytes.
const SPACE_LOOKED_UP_AFTER: u64 = 16 * 1024 * 1024;
/// Batches that go into one write: two parts each, and the system takes 1024.
const MOST_IN_A_WRITE: usize = 256;

impl Store {
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

    pub(super) fn begin_segment(&mut self) -> Result<(), Trouble> {
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
