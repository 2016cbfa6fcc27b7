//! A segment: one file of a journal, its name, and what is known of it while the journal is open.
//!
//! ```text
//! 00000000000000000000.seg           named by the position of its first byte
//! 00000000000067108864.damaged.seg   one in which broken batches were found: it is set aside, and not unlinked, when all have passed it
//! cursor.default                     see `cursor.rs`
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Position;
use super::files::OpenFile;
use super::room::Charge;

/// Positions beyond this are no journal's: at a gigabyte a second it is reached in 146 years.
pub const LAST_POSITION: Position = Position(1 << 62);
/// So far apart are the places in a segment from which it can be read, besides its beginning.
const LANDMARKS_APART: u64 = 1024 * 1024;

/// What a name in a journal's directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileName {
    /// A segment.
    Segment {
        /// Where it begins.
        base: Position,
        /// Whether broken batches were found in it.
        damaged: bool,
    },
    /// The cursor of this name.
    Cursor(String),
    /// None of ours.
    Foreign,
}

impl FileName {
    /// Understands a name.
    pub fn of(name: &str) -> Self {
        if let Some(cursor) = name.strip_prefix("cursor.")
            && is_cursor_name(cursor)
        {
            return Self::Cursor(cursor.to_owned());
        }
        let Some(stem) = name.strip_suffix(".seg") else {
            return Self::Foreign;
        };
        let (digits, damaged) = match stem.strip_suffix(".damaged") {
            Some(digits) => (digits, true),
            None => (stem, false),
        };
        let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        match digits.parse() {
            Ok(base) if all_digits && Position(base) <= LAST_POSITION => Self::Segment {
                base: Position(base),
                damaged,
            },
            Ok(_) | Err(_) => Self::Foreign,
        }
    }
}

/// Whether a cursor may have this name, which becomes part of a file's.
pub fn is_cursor_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// A segment of an open journal.
#[derive(Debug)]
pub struct Segment {
    /// Where it begins.
    pub base: Position,
    /// How many of its bytes are batches. What may follow in the file is what a failed write left.
    pub length: u64,
    /// How many of them are durable.
    pub synced: u64,
    /// Whether its name is durable.
    pub named: bool,
    /// Whether broken batches were found in it.
    pub damaged: bool,
    /// Whether its name says so.
    pub marked: bool,
    /// Open while it is written or not durable.
    pub file: Option<Arc<dyn OpenFile>>,
    /// Offsets at which batches begin, in order, each [`LANDMARKS_APART`] or further from the one before.
    pub landmarks: Vec<u64>,
    /// The damage that was found and reported: where, and how many bytes.
    pub known_damage: BTreeSet<(Position, u64)>,
    /// The room that it takes up.
    pub charge: Charge,
}

impl Segment {
    /// A segment without anything known of its inside.
    pub fn new(base: Position, length: u64) -> Self {
        Self {
            base,
            length,
            synced: 0,
            named: false,
            damaged: false,
            marked: false,
            file: None,
            landmarks: Vec::new(),
            known_damage: BTreeSet::new(),
            charge: Charge::default(),
        }
    }

    /// The position after its last byte.
    pub const fn end(&self) -> Position {
        self.base.plus(self.length)
    }

    /// Its file's name.
    pub fn file_name(&self) -> String {
        let damaged = if self.marked { ".damaged" } else { "" };
        format!("{:020}{damaged}.seg", self.base.0)
    }

    /// Notes that a batch begins at `offset`.
    pub fn landmark(&mut self, offset: u64) {
        let index = self.landmarks.partition_point(|known| *known < offset);
        let before = index.checked_sub(1).map_or(0, |index| self.landmarks[index]);
        let after = self.landmarks.get(index).copied().unwrap_or(u64::MAX);
        if offset - before >= LANDMARKS_APART && after - offset >= LANDMARKS_APART {
            self.landmarks.insert(index, offset);
        }
    }

    /// The last offset up to `offset` at which a batch is known to begin.
    pub fn landmark_before(&self, offset: u64) -> u64 {
        let index = self.landmarks.partition_point(|known| *known <= offset);
        index.checked_sub(1).map_or(0, |index| self.landmarks[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_again_by_its_name() {
        for damaged in [false, true] {
            let mut segment = Segment::new(Position(67_108_864), 5);
            segment.marked = damaged;
            let base = segment.base;
            assert_eq!(FileName::of(&segment.file_name()), FileName::Segment { base, damaged });
        }
        assert_eq!(Segment::new(Position(7), 0).file_name(), "00000000000000000007.seg");
    }

    #[test]
    fn names_that_are_not_ours_are_left_alone() {
        for name in [
            "",
            "7.seg",
            "+0000000000000000007.seg",
            "00000000000000000007.seg.tmp",
            "18446744073709551615.seg",
            "cursor.",
            "cursor.Default",
            "cursor.a/b",
            "lost+found",
        ] {
            assert_eq!(FileName::of(name), FileName::Foreign, "{name}");
        }
        assert_eq!(FileName::of("cursor.audit-2"), FileName::Cursor("audit-2".to_owned()));
    }

    #[test]
    fn landmarks_are_where_batches_begin_and_not_too_many() {
        let mut segment = Segment::new(Position(0), 0);
        for offset in [900_000, 3_000_000, 3_500_000, 1_500_000, 2_500_000, 1_500_000] {
            segment.landmark(offset);
        }
        assert_eq!(segment.landmarks, [1_500_000, 3_000_000]);
        let found = [0, 1_499_999, 1_500_000, 9_000_000].map(|offset| segment.landmark_before(offset));
        assert_eq!(found, [0, 0, 1_500_000, 3_000_000]);
    }
}
