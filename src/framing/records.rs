//! Splits plain bytes into runs of whole records, without parsing a record.
//!
//! A record ends with its `\n`. Promise: bytes leave exactly as they came and in their order, empty records and both kinds of line
//! ending included; what has no `\n` yet stays; a record that is too long is described in its place in the order, and never
//! held whole, so memory is bounded by the limit and a constant.

use std::fmt;

use bytes::Bytes;
use memchr::{memchr, memrchr};

use crate::buffers::Buffers;

/// How much of a record that is too long is kept for its description: enough to see what it was.
pub const KEPT_OF_TOO_LONG: usize = 4 * 1024;

/// The most room that is offered at once, and so the most that one inflating step can produce.
pub const STEP_BYTES: usize = 128 * 1024;

/// From this many bytes of whole records on, they should be taken before more come in. Each run costs several wake-ups on its way to Kafka:
/// with half as much a burst took 5 to 10 % more of the processor.
pub const RUN_BYTES: usize = 128 * 1024;

/// What the buffer starts with and shrinks back to: a run and the room for one more step.
const USUAL_BUFFER: usize = RUN_BYTES + STEP_BYTES;

/// Less room than this is not worth a call of the inflater.
const LEAST_ROOM: usize = 8 * 1024;

/// A splitter that waits and holds no more than this keeps no more than this.
const MOST_AT_REST: usize = 16 * 1024;

/// Buffers of the usual size. A splitter at rest has none: most connections wait most of the time, so that a few serve them all, and stay in
/// the caches. Those that are kept for the next burst are 4 MiB at most.
static BUFFERS: Buffers = Buffers::new(USUAL_BUFFER, 16);

/// Takes plain bytes in and hands whole records out.
///
/// In a loop: while [`Self::is_due`], or when nothing more is at hand, [`Self::take`]; then write into [`Self::room`] and
/// report with [`Self::filled`]. Before a wait for more, [`Self::rest`].
pub struct RecordSplitter {
    buffers: &'static Buffers,
    max_record_bytes: usize,
    /// All of it is initialised, so that no step clears it again. `start..end` is held, `start..whole` of it whole records. At rest it is
    /// just what is held.
    buffer: Vec<u8>,
    start: usize,
    whole: usize,
    end: usize,
    /// The beginning of a record that was found to be too long. It stands before `start`.
    skipping: Option<Skipped>,
}

/// What comes out, in the order of the stream.
#[derive(PartialEq, Eq)]
pub enum Piece {
    /// Whole records, one after another with their line endings; the last byte is a `\n`. Keeping them keeps no more than twice their
    /// memory.
    Records(Bytes),
    /// One record that was too long to keep.
    TooLong(TooLong),
}

/// A description of a record that was longer than `max_record_bytes`.
#[derive(Clone, PartialEq, Eq)]
pub struct TooLong {
    /// Its first bytes, at most [`KEPT_OF_TOO_LONG`].
    pub first_bytes: Bytes,
    /// Its whole length in bytes, without the line ending.
    pub length: u64,
}

impl RecordSplitter {
    /// A splitter that keeps records of up to `max_record_bytes`, counted without the line ending (`\n` or `\r\n`).
    pub fn new(max_record_bytes: usize) -> Self {
        Self::with(&BUFFERS, max_record_bytes)
    }

    fn with(buffers: &'static Buffers, max_record_bytes: usize) -> Self {
        Self {
            buffers,
            max_record_bytes,
            buffer: Vec::new(),
            start: 0,
            whole: 0,
            end: 0,
            skipping: None,
        }
    }

    /// Room to write into: at least 8 KiB, at most [`STEP_BYTES`].
    pub fn room(&mut self) -> &mut [u8] {
        self.skip_what_is_too_long();
        if self.buffer.len() < USUAL_BUFFER {
            self.wake();
        }
        if self.start == self.end {
            (self.start, self.whole, self.end) = (0, 0, 0);
        }
        if self.buffer.len() > 2 * USUAL_BUFFER && self.end - self.start < USUAL_BUFFER / 2 {
            self.move_to_front();
            self.buffer.truncate(USUAL_BUFFER);
            self.buffer.shrink_to_fit();
        }
        if self.end - self.start <= self.start || self.buffer.len() - self.end < LEAST_ROOM {
            // Mostly the beginning of one record, and never more bytes than have left.
            self.move_to_front();
        }
        if self.buffer.len() - self.end < LEAST_ROOM {
            // A long record: it doubles, up to the limit and what surrounds it.
            let most = self.max_record_bytes.saturating_add(USUAL_BUFFER);
            let wanted = (2 * self.buffer.len()).min(most).max(self.end + STEP_BYTES);
            self.buffer.resize(wanted, 0);
        }
        let room = (self.buffer.len() - self.end).min(STEP_BYTES);
        &mut self.buffer[self.end..self.end + room]
    }

    /// `count` bytes of the room were written.
    ///
    /// # Panics
    /// `count` is more than the room was.
    pub fn filled(&mut self, count: usize) {
        let added = self.end..self.end + count;
        if let Some(newline) = memrchr(b'\n', &self.buffer[added.clone()]) {
            self.whole = added.start + newline + 1;
        }
        self.end = added.end;
    }

    /// How much memory it takes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
            + self
                .skipping
                .as_ref()
                .map_or(0, |skipped| skipped.first_bytes.capacity())
    }

    /// Whether there is something that should be taken before more comes in.
    pub fn is_due(&self) -> bool {
        let whole = self.whole - self.start;
        whole > 0 && (whole >= RUN_BYTES || self.skipping.is_some() || self.is_too_long(self.whole..self.end))
    }

    /// Whether there is something to take.
    pub const fn holds_whole_records(&self) -> bool {
        self.start < self.whole
    }

    /// The longest run of whole records, or the record that was too long, whichever comes first in the stream.
    pub fn take(&mut self) -> Option<Piece> {
        if self.start == self.whole {
            return None;
        }
        if let Some(skipped) = self.skipping.take() {
            let record = self.next_record();
            return Some(Piece::TooLong(skipped.ended_by(&self.buffer[record])));
        }
        let run = self.start..self.whole;
        if run.len() <= self.max_record_bytes {
            // No record of it can be too long, whatever their number.
            return Some(Piece::Records(self.hand_out(run)));
        }
        while self.start < self.whole {
            let before = self.start;
            let record = self.next_record();
            if without_line_ending(&self.buffer[record.clone()]).len() <= self.max_record_bytes {
                continue;
            }
            if run.start == before {
                return Some(Piece::TooLong(Skipped::default().ended_by(&self.buffer[record])));
            }
            self.start = before;
            break;
        }
        Some(Piece::Records(Bytes::copy_from_slice(
            &self.buffer[run.start..self.start],
        )))
    }

    /// All whole records. A long run leaves with the buffer that it was inflated into, and what stays is copied; a short one is copied, so that
    /// who keeps it keeps nothing else alive.
    fn hand_out(&mut self, run: std::ops::Range<usize>) -> Bytes {
        let rest = self.end - run.end;
        if run.len() < RUN_BYTES || rest > run.len() || self.buffer.len() != USUAL_BUFFER {
            self.start = run.end;
            return Bytes::copy_from_slice(&self.buffer[run]);
        }
        let mut next = self.buffers.take();
        next[..rest].copy_from_slice(&self.buffer[run.end..self.end]);
        let full = std::mem::replace(&mut self.buffer, next);
        (self.start, self.whole, self.end) = (0, 0, rest);
        self.buffers.share(full, run)
    }

    /// Nothing more is at hand: lends the buffer to others, unless much of a record is in it.
    pub fn rest(&mut self) {
        let held = self.start..self.end;
        if held.len() > MOST_AT_REST || self.buffer.len() < USUAL_BUFFER {
            return;
        }
        self.move_to_front();
        let kept = self.buffer[..self.end].to_vec();
        let spare = std::mem::replace(&mut self.buffer, kept);
        self.buffers.give_back(spare);
    }

    /// Takes a buffer to write into again.
    fn wake(&mut self) {
        let mut buffer = self.buffers.take();
        buffer[..self.buffer.len()].copy_from_slice(&self.buffer);
        self.buffer = buffer;
    }

    /// How many bytes of a record have come that has no end yet. At the end of a stream that is what was cut off.
    pub fn unfinished_bytes(&self) -> u64 {
        self.skipping.as_ref().map_or(0, |skipped| skipped.length) + (self.end - self.whole) as u64
    }

    /// The next whole record with its line ending; moves past it.
    fn next_record(&mut self) -> std::ops::Range<usize> {
        let from = self.start;
        let newline = memchr(b'\n', &self.buffer[from..self.whole]);
        // A whole record ends with a newline by definition; `whole` itself is the answer that keeps the promise in any case.
        self.start = newline.map_or(self.whole, |newline| from + newline + 1);
        from..self.start
    }

    /// Whether an unfinished record is too long already, whatever its next byte is.
    fn is_too_long(&self, unfinished: std::ops::Range<usize>) -> bool {
        let unfinished = &self.buffer[unfinished];
        // A `\r` may turn out to belong to the line ending.
        let certain = unfinished.len() - usize::from(unfinished.last() == Some(&b'\r'));
        certain > self.max_record_bytes
    }

    /// Drops what is held of a record that is too long, all but its description.
    fn skip_what_is_too_long(&mut self) {
        let tail = self.whole..self.end;
        if self.start < self.whole || !(self.skipping.is_some() || self.is_too_long(tail.clone())) {
            return;
        }
        let mut skipped = self.skipping.take().unwrap_or_default();
        skipped.extend(&self.buffer[tail]);
        self.skipping = Some(skipped);
        (self.start, self.whole, self.end) = (0, 0, 0);
    }

    fn move_to_front(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.whole -= self.start;
        self.end -= self.start;
        self.start = 0;
    }
}

/// Of hits only lengths are shown, here and below: what they hold is nobody's business.
impl fmt::Debug for RecordSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSplitter")
            .field("max_record_bytes", &self.max_record_bytes)
            .field("whole_bytes", &(self.whole - self.start))
            .field("unfinished_bytes", &self.unfinished_bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(run) => write!(f, "Records({} bytes)", run.len()),
            Self::TooLong(too_long) => too_long.fmt(f),
        }
    }
}

impl fmt::Debug for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TooLong({} bytes)", self.length)
    }
}

/// What is known of a record that is too long.
#[derive(Default)]
struct Skipped {
    first_bytes: Vec<u8>,
    /// All bytes so far, a `\r` at the end included.
    length: u64,
    ends_with_cr: bool,
}

impl Skipped {
    fn extend(&mut self, bytes: &[u8]) {
        let wanted = KEPT_OF_TOO_LONG.saturating_sub(self.first_bytes.len()).min(bytes.len());
        self.first_bytes.extend_from_slice(&bytes[..wanted]);
        self.length += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.ends_with_cr = *last == b'\r';
        }
    }

    /// The description of the record that ends with `rest`, a `\n` its last byte.
    fn ended_by(mut self, rest: &[u8]) -> TooLong {
        self.extend(rest.strip_suffix(b"\n").unwrap_or(rest));
        let length = self.length - u64::from(self.ends_with_cr);
        self.first_bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        TooLong {
            first_bytes: self.first_bytes.into(),
            length,
        }
    }
}

/// A record without its `\n` or `\r\n`.
fn without_line_ending(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
