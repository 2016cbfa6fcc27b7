//! The bytes of a file of ids: pieces of 48 bytes, each with a checksum of its own, numbers little-endian.
//!
//! ```text
//! offset   0        8        16      24         32            40
//! header   | magic  | version, then zeros                     | XXH3 of what is before |
//! entry    | id high| id low | hash  | position | received_ms | XXH3 of what is before |
//! ```
//!
//! The header has its length, magic, version and checksum where they are in every version to come, so that a newer file can be told from
//! a damaged one.
//!
//! Constraints: all pieces have one length, so that a damaged one costs itself and never hides where the next begins; a file may
//! end anywhere; a piece of zeros, which a power loss may leave, is not valid.

use twox_hash::XxHash3_64;

use crate::dedup::Entry;

/// The length of an entry, and of the header.
pub(super) const PIECE_BYTES: usize = 48;
const SUM_AT: usize = PIECE_BYTES - 8;

/// The format that is written. This one and all before it are read; it is the only one so far.
pub(super) const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"livestid";

/// One entry or header.
pub(super) type Piece = [u8; PIECE_BYTES];

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// It is of [`VERSION`].
    Known,
    /// A later livestreamd wrote it.
    Newer(u32),
    /// It is no header.
    Unreadable,
}

pub(super) fn header() -> Piece {
    let mut piece = [0; PIECE_BYTES];
    piece[..8].copy_from_slice(&MAGIC);
    piece[8..12].copy_from_slice(&VERSION.to_le_bytes());
    seal(&mut piece);
    piece
}

/// Reads a header.
pub(super) fn read_header(piece: &Piece) -> Header {
    let version = number(piece, 8) as u32;
    if piece[..8] != MAGIC || number(piece, SUM_AT) != sum(piece) {
        Header::Unreadable
    } else if version > VERSION {
        Header::Newer(version)
    } else if *piece == header() {
        Header::Known
    } else {
        Header::Unreadable
    }
}

/// A header as a later livestreamd may write it.
#[cfg(test)]
pub(super) fn header_of_version(version: u32) -> Piece {
    let mut piece = header();
    piece[8..12].copy_from_slice(&version.to_le_bytes());
    piece[16] = 1;
    seal(&mut piece);
    piece
}

pub(super) fn encode(entry: &Entry) -> Piece {
    let mut piece = [0; PIECE_BYTES];
    let numbers = [entry.id.0, entry.id.1, entry.hash, entry.position, entry.received_ms];
    for (place, number) in piece.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    seal(&mut piece);
    piece
}

/// `None` if the checksum says otherwise.
pub(super) fn decode(piece: &Piece) -> Option<Entry> {
    (number(piece, SUM_AT) == sum(piece)).then(|| Entry {
        id: (number(piece, 0), number(piece, 8)),
        hash: number(piece, 16),
        position: number(piece, 24),
        received_ms: number(piece, 32),
    })
}

fn seal(piece: &mut Piece) {
    let sum = sum(piece);
    piece[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
}

fn sum(piece: &Piece) -> u64 {
    XxHash3_64::oneshot(&piece[..SUM_AT])
}

fn number(piece: &Piece, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&piece[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        id: (u64::MAX, 2),
        hash: 3,
        position: 4,
        received_ms: 5,
    };

    #[test]
    fn an_entry_comes_back_as_it_was_and_not_after_any_change() {
        let piece = encode(&ENTRY);
        assert_eq!(decode(&piece), Some(ENTRY));
        for bit in 0..PIECE_BYTES * 8 {
            let mut changed = piece;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&changed), None, "bit {bit}");
        }
    }

    #[test]
    fn what_a_power_loss_leaves_is_no_entry() {
        for filler in [0, 0xff] {
            assert_eq!(decode(&[filler; PIECE_BYTES]), None);
            assert_eq!(read_header(&[filler; PIECE_BYTES]), Header::Unreadable);
        }
        assert_eq!(
            decode(&header()).map(|entry| entry.id.0),
            Some(u64::from_le_bytes(MAGIC))
        );
    }

    #[test]
    fn a_header_tells_its_version() {
        assert_eq!(read_header(&header()), Header::Known);
        assert_eq!(read_header(&header_of_version(2)), Header::Newer(2));
        assert_eq!(read_header(&header_of_version(u32::MAX)), Header::Newer(u32::MAX));
        assert_eq!(
            read_header(&header_of_version(0)),
            Header::Unreadable,
            "nobody writes that"
        );
        let mut flipped = header();
        flipped[8] = 2;
        assert_eq!(read_header(&flipped), Header::Unreadable);
        let mut damaged = header();
        damaged[20] = 1;
        assert_eq!(read_header(&damaged), Header::Unreadable);
        assert_eq!(read_header(&encode(&ENTRY)), Header::Unreadable);
    }

    #[test]
    fn the_bytes_are_the_ones_that_are_drawn_above() {
        let piece = encode(&ENTRY);
        let numbers: Vec<u64> = (0..5).map(|index| number(&piece, index * 8)).collect();
        assert_eq!(numbers, [u64::MAX, 2, 3, 4, 5]);
        assert_eq!(piece[SUM_AT..], XxHash3_64::oneshot(&piece[..SUM_AT]).to_le_bytes());
        assert_eq!(&header()[..12], b"livestid\x01\0\0\0");
    }
}
