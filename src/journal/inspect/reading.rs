//! Goes through all batches of a journal from outside: to check them, or to write them out.

use std::io::{self, Write};
use std::path::PathBuf;

use super::super::files::OpenFile;
use super::super::format::NoBatch;
use super::super::segment::Segment;
use super::super::walk::{Damage, Step, Walk};
use super::super::{BatchKind, Position};
use super::{InspectError, Inspection, SegmentInfo, failed, open_regular};

/// So much of the damage is told one by one. There may be as much of it as there are bytes.
pub const MOST_TOLD: usize = 100;

/// Called now and then with how many bytes are read, of how many.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// What is in a journal's segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Whole batches.
    pub batches: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// What is no batch, apart from an unfinished end: the first [`MOST_TOLD`] of it.
    pub damage: Vec<(PathBuf, Damage)>,
    /// In how many places there is damage.
    pub damaged_places: u64,
    /// How many bytes it has.
    pub damaged_bytes: u64,
    /// What a segment holds beyond the beginning of the next. A daemon does not read it.
    pub overlapping_bytes: u64,
    /// What the journal ends in, if that is no whole batch: being written just now, or left so by a crash.
    pub unfinished: Option<Damage>,
    /// Batches of a newer version, which this livestreamd does not read.
    pub too_new: Option<u8>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With what the slowest cursor has before it.
    Undelivered,
    /// Here.
    At(Position),
}

/// What was written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Batches of whole records.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Descriptions of records that were too long: not among what was written.
    pub too_long: u64,
    /// What could not be written out, because it is no batch. An unfinished end does not count.
    pub damaged_bytes: u64,
    /// Batches of a newer version, which this livestreamd does not read.
    pub too_new: Option<u8>,
}

/// Reads all of a journal, and says what is whole and what is not.
pub fn verify(inspection: &Inspection, progress: Progress<'_>) -> Result<Verification, InspectError> {
    let mut verification = Verification::default();
    let overlap = walk_all(&inspection.segments, progress, |step, segment, is_end| {
        match step {
            Step::Batch(batch) => {
                verification.batches += 1;
                verification.bytes += batch.bytes.len() as u64;
            }
            Step::Damage(Damage {
                why: NoBatch::TooNew(version),
                ..
            }) => verification.too_new = Some(version),
            Step::Damage(damage) if is_end => verification.unfinished = Some(damage),
            Step::Damage(damage) => {
                if verification.damage.len() < MOST_TOLD {
                    verification.damage.push((segment.path.clone(), damage));
                }
                verification.damaged_places += 1;
                verification.damaged_bytes += damage.bytes;
            }
            Step::End => {}
        }
        Ok(())
    })?;
    verification.overlapping_bytes = overlap;
    Ok(verification)
}

/// Writes out the records from `from` on, exactly as they came.
///
/// # Errors
/// [`InspectError::Output`] if `to` takes nothing; part of it may be written.
pub fn export(
    inspection: &Inspection,
    from: Beginning,
    to: &mut dyn Write,
    progress: Progress<'_>,
) -> Result<Exported, InspectError> {
    let from = match from {
        Beginning::Undelivered => inspection.slowest(),
        Beginning::At(position) => position,
    };
    // What lies before need not be read.
    let skipped = inspection
        .segments
        .iter()
        .take_while(|segment| segment.base.plus(segment.bytes) <= from);
    let segments = &inspection.segments[skipped.count()..];
    let mut exported = Exported::default();
    walk_all(segments, progress, |step, _, is_end| {
        match step {
            Step::Batch(batch) if batch.end() <= from => {}
            Step::Batch(batch) => match batch.kind {
                BatchKind::Records => {
                    let bytes = &batch.bytes[batch.offset_of(from).min(batch.bytes.len())..];
                    to.write_all(bytes).map_err(InspectError::Output)?;
                    exported.batches += 1;
                    exported.bytes += bytes.len() as u64;
                }
                BatchKind::TooLong { .. } => exported.too_long += 1,
            },
            Step::Damage(damage) => {
                if let NoBatch::TooNew(version) = damage.why {
                    exported.too_new = Some(version);
                } else if !is_end && damage.position.plus(damage.bytes) > from {
                    exported.damaged_bytes += damage.bytes;
                }
            }
            Step::End => {}
        }
        Ok(())
    })?;
    to.flush().map_err(InspectError::Output)?;
    Ok(exported)
}

/// Goes through the segments. The last argument of `each` says whether the step is at the very end of the journal. Returns how many
/// bytes were passed over because the next segment begins before them.
fn walk_all(
    segments: &[SegmentInfo],
    progress: Progress<'_>,
    mut each: impl FnMut(Step, &SegmentInfo, bool) -> Result<(), InspectError>,
) -> Result<u64, InspectError> {
    let total = segments.iter().map(|segment| segment.bytes).sum();
    let (mut before, mut overlap) = (0, 0);
    for (index, segment) in segments.iter().enumerate() {
        let failed = failed(&segment.path);
        let Some(file) = open(segment).map_err(&failed)? else {
            before += segment.bytes;
            continue;
        };
        // A daemon may have written more since the names were listed, but only to the last segment that was there then.
        let written = file.length().map_err(&failed)?;
        let next = segments.get(index + 1).map(|next| next.base);
        let length = next.map_or(written, |next| written.min(next.since(segment.base)));
        overlap += written - length;
        let mut walk = Walk::new(file, segment.base, 0, length);
        loop {
            let step = walk.step().map_err(&failed)?;
            if step == Step::End {
                break;
            }
            each(step, segment, next.is_none() && walk.offset() >= length)?;
            progress(before + walk.offset().min(segment.bytes), total);
        }
        before += segment.bytes;
    }
    Ok(overlap)
}

/// Opens a segment, by whichever of its two names it has by now. None if it is gone.
fn open(segment: &SegmentInfo) -> io::Result<Option<std::sync::Arc<dyn OpenFile>>> {
    let mut other = Segment::new(segment.base, 0);
    other.marked = !segment.damaged;
    for path in [segment.path.clone(), segment.path.with_file_name(other.file_name())] {
        match open_regular(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map(Some),
        }
    }
    Ok(None)
}
