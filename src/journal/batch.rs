//! What one drain of a connection's socket brought, before and after it has its place in the journal.
//!
//! A batch takes up its header and its bytes, in the memory as on disk:
//!
//! ```text
//! position                 position + HEADER_BYTES                      end
//! | header                 | records as they came, or first bytes      |
//! ```

use std::fmt;

use bytes::Bytes;

use super::Position;

/// What a batch's header takes up: magic 4, version 1, kind 1, slot 1, flags 1, length of the bytes 4, CRC-32C 4, receive time 8,
/// length of a record that was too long 8.
pub const HEADER_BYTES: u64 = 32;

/// What a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchKind {
    /// Whole records with their line endings, exactly as they came.
    Records,
    /// The first bytes of one record that was longer than `max_record_bytes`.
    TooLong {
        /// The length of the record in bytes, without its line ending.
        length: u64,
    },
}

/// A batch that has no place yet.
#[derive(Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// What `bytes` are.
    pub kind: BatchKind,
    /// When it came off the wire: milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// The connection slot that it came from.
    pub slot: u8,
    /// The bytes.
    pub bytes: Bytes,
}

impl NewBatch {
    /// What the batch will take up in the journal, header included.
    pub const fn size(&self) -> u64 {
        HEADER_BYTES + self.bytes.len() as u64
    }

    /// Gives the batch its place.
    pub fn at(self, position: Position) -> Batch {
        let Self {
            kind,
            received_ms,
            slot,
            bytes,
        } = self;
        Batch {
            position,
            kind,
            received_ms,
            slot,
            bytes,
        }
    }
}

/// Without the bytes: they are hits.
impl fmt::Debug for NewBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBatch")
            .field("kind", &self.kind)
            .field("received_ms", &self.received_ms)
            .field("slot", &self.slot)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A batch in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where its header begins.
    pub position: Position,
    /// What `bytes` are.
    pub kind: BatchKind,
    /// When it came off the wire: milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// The connection slot that it came from.
    pub slot: u8,
    /// The bytes.
    pub bytes: Bytes,
}

impl Batch {
    /// The position of the byte at `offset` in `bytes`.
    pub const fn position_of(&self, offset: usize) -> Position {
        self.position.plus(HEADER_BYTES + offset as u64)
    }

    /// The offset in `bytes` of the first byte at or after `position`; 0 if that lies before the bytes.
    pub const fn offset_of(&self, position: Position) -> usize {
        position.since(self.position_of(0)) as usize
    }

    /// The position after the last byte. Always beyond `position`, even if there are no bytes.
    pub const fn end(&self) -> Position {
        self.position_of(self.bytes.len())
    }
}

/// Without the bytes: they are hits.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("position", &self.position)
            .field("kind", &self.kind)
            .field("received_ms", &self.received_ms)
            .field("slot", &self.slot)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_positions_are_each_other_s_inverse() {
        let new = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 0,
            bytes: Bytes::from_static(b"a\nb\n"),
        };
        assert_eq!(new.size(), 36);
        let batch = new.at(Position(100));
        assert_eq!(batch.end(), Position(136));
        for offset in 0..=4 {
            assert_eq!(batch.offset_of(batch.position_of(offset)), offset);
        }
        for before in [0, 100, 120, 132] {
            assert_eq!(batch.offset_of(Position(before)), 0);
        }
    }

    #[test]
    fn what_is_shown_of_a_batch_is_its_length_and_no_hit() {
        let new = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 0,
            bytes: Bytes::from_static(b"hush"),
        };
        let shown = format!("{new:?} {:?}", new.clone().at(Position(100)));
        assert_eq!(shown.matches("length: 4").count(), 2, "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("104"), "{shown}");
    }
}
