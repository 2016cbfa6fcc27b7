//! Where a stream's journal is, how it is laid out, and what of it is called how in quarantine.
//!
//! ```text
//! STREAM.00000000000067108864.damaged.seg      a segment with damage, which all had passed
//! STREAM.00000000000067112345.cut              what the journal ended in at that position, and was no whole batch
//! STREAM.cursor.default.0123abcd.unreadable    a cursor that could not be read
//! ```

use std::path::PathBuf;

use super::super::Position;
use super::super::segment::{FileName, Segment};

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

    /// Where what has this name in quarantine began, if it is of this stream: parts of its journal, and records that Kafka refused.
    pub fn quarantined_at(&self, name: &str) -> Option<Position> {
        // No stream's name has a dot in it.
        let (stream, rest) = name.split_once('.')?;
        let (digits, _) = rest.split_once('.').filter(|_| stream == self.stream())?;
        position_of(digits)
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
        rest.strip_suffix(".cut").and_then(position_of).map(Self::Cut)
    }
}

fn position_of(digits: &str) -> Option<Position> {
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits).map(Position)
}
