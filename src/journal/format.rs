//! A batch as bytes on disk. Pure: what is written and read elsewhere is made and understood here.
//!
//! A segment file is batches, one after another, and nothing else: its name says at which position it begins, and every batch says
//! of which version it is. All numbers are little-endian.
//!
//! ```text
//!  0        4         5      6      7       8        12       16             24                32
//!  | magic  | version | kind | slot | flags | length | CRC-32C | receive time | too-long length | bytes ...
//! ```
//!
//! | field | means |
//! | --- | --- |
//! | magic | [`MAGIC`]; begins with a byte that no UTF-8 text has, so that records are not mistaken for a batch |
//! | version | [`VERSION`] |
//! | kind | 0: whole records; 1: the first bytes of a record that was too long |
//! | slot | the connection slot |
//! | flags | 0 |
//! | length | of the bytes after the header |
//! | CRC-32C | of the header without this field, then the bytes |
//! | receive time | milliseconds since the Unix epoch |
//! | too-long length | of the whole record, if that was too long; else 0 |
//!
//! Magic, version, length and CRC-32C stay where they are in every version to come. So a batch of a newer version, which is refused, can be
//! told from a broken one, which is set aside.

use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

use super::batch::HEADER_BYTES;
use super::{Batch, BatchKind, NewBatch, Position};

/// The version that is written. This one and all before it are read.
pub const VERSION: u8 = 1;
/// How every batch begins, in every version.
pub const MAGIC: [u8; 4] = *b"\xFFLSJ";
/// [`HEADER_BYTES`], where an array is as long.
pub const HEADER: usize = HEADER_BYTES as usize;
/// The longest bytes that a batch can have.
pub const MOST_BYTES: usize = u32::MAX as usize;

const VERSION_AT: usize = 4;
const KIND_AT: usize = 5;
const SLOT_AT: usize = 6;
const FLAGS_AT: usize = 7;
const LENGTH: Range<usize> = 8..12;
const CRC: Range<usize> = 12..16;
const RECEIVED: Range<usize> = 16..24;
const TOO_LONG: Range<usize> = 24..32;

/// Why there is no batch in some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoBatch {
    /// There are fewer bytes than the batch would have, if it is one.
    #[error("the batch is cut off: it would have {0} bytes")]
    Short(u64),
    /// It does not begin as a batch does.
    #[error("no batch begins here")]
    Magic,
    /// Something in it was changed since it was written.
    #[error("the checksum is wrong")]
    Checksum,
    /// It is whole, and says something that this version never writes.
    #[error("its kind {kind} or flags {flags} are unknown")]
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its flags.
        flags: u8,
    },
    /// It is whole, and of a version after [`VERSION`].
    #[error("it is of version {0}, and this livestreamd reads versions up to {VERSION}")]
    TooNew(u8),
}

/// The header that goes before `batch.bytes`.
///
/// Bytes beyond [`MOST_BYTES`] cannot be written; no setting lets so long a record in.
pub fn header(batch: &NewBatch) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[VERSION_AT] = VERSION;
    let (kind, too_long) = match batch.kind {
        BatchKind::Records => (0, 0),
        BatchKind::TooLong { length } => (1, length),
    };
    header[KIND_AT] = kind;
    header[SLOT_AT] = batch.slot;
    header[LENGTH].copy_from_slice(&(batch.bytes.len() as u32).to_le_bytes());
    header[RECEIVED].copy_from_slice(&batch.received_ms.to_le_bytes());
    header[TOO_LONG].copy_from_slice(&too_long.to_le_bytes());
    let crc = checksum(&header, &batch.bytes);
    header[CRC].copy_from_slice(&crc.to_le_bytes());
    header
}

/// How many bytes the batch would have, header included, whose header `bytes` begin with. Nothing but the magic is checked.
///
/// # Errors
/// [`NoBatch::Short`] and [`NoBatch::Magic`].
pub fn size(bytes: &[u8]) -> Result<u64, NoBatch> {
    let magic = bytes.len().min(MAGIC.len());
    if bytes[..magic] != MAGIC[..magic] {
        return Err(NoBatch::Magic);
    }
    if bytes.len() < HEADER {
        return Err(NoBatch::Short(HEADER_BYTES));
    }
    Ok(HEADER_BYTES + u64::from(u32_at(bytes, LENGTH)))
}

/// The version of the batch that `bytes` begin with, if they begin as a batch does. Nothing else is checked.
pub fn version(bytes: &[u8]) -> Option<u8> {
    let version = bytes.get(VERSION_AT)?;
    bytes.starts_with(&MAGIC).then_some(*version)
}

/// Reads the batch that `bytes` begin with. Its bytes are a part of `bytes`, not a copy.
///
/// # Errors
/// Says why there is none.
pub fn decode(bytes: &Bytes, position: Position) -> Result<Batch, NoBatch> {
    let size = checked(bytes)?;
    let (kind, flags) = (bytes[KIND_AT], bytes[FLAGS_AT]);
    let too_long = u64_at(bytes, TOO_LONG);
    let kind = match (kind, flags, too_long) {
        (0, 0, 0) => BatchKind::Records,
        (1, 0, length) => BatchKind::TooLong { length },
        _ => return Err(NoBatch::Unknown { kind, flags }),
    };
    Ok(Batch {
        position,
        kind,
        received_ms: u64_at(bytes, RECEIVED),
        slot: bytes[SLOT_AT],
        bytes: bytes.slice(HEADER..size),
    })
}

/// The size of the batch that `bytes` begin with, if its checksum is right and its version is known.
fn checked(bytes: &[u8]) -> Result<usize, NoBatch> {
    let size = size(bytes)?;
    let Some(batch) = usize::try_from(size).ok().and_then(|size| bytes.get(..size)) else {
        return Err(NoBatch::Short(size));
    };
    if checksum(batch, &batch[HEADER..]) != u32_at(batch, CRC) {
        return Err(NoBatch::Checksum);
    }
    match batch[VERSION_AT] {
        1..=VERSION => Ok(batch.len()),
        0 => Err(NoBatch::Checksum),
        newer => Err(NoBatch::TooNew(newer)),
    }
}

fn checksum(header: &[u8], bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(header_checksum(header), bytes)
}

fn header_checksum(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CRC.start]), &header[CRC.end..HEADER])
}

/// The checksum of a batch that is looked at piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct Checksum {
    wanted: u32,
    found: u32,
}

impl Checksum {
    /// That of the batch with this header, of whose bytes none was looked at so far.
    pub fn of(header: &[u8; HEADER]) -> Self {
        Self {
            wanted: u32_at(header, CRC),
            found: header_checksum(header),
        }
    }

    /// Goes on with the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.found = crc32c::crc32c_append(self.found, bytes);
    }

    /// Whether the bytes so far are all of the batch, as it was written.
    pub const fn is_right(&self) -> bool {
        self.wanted == self.found
    }
}

fn u32_at(bytes: &[u8], at: Range<usize>) -> u32 {
    bytes[at]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: Range<usize>) -> u64 {
    bytes[at]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new_batch() -> impl Strategy<Value = NewBatch> {
        let kind = prop_oneof![
            Just(BatchKind::Records),
            any::<u64>().prop_map(|length| BatchKind::TooLong { length }),
        ];
        let bytes = prop::collection::vec(any::<u8>(), 0..300);
        (kind, any::<u64>(), any::<u8>(), bytes).prop_map(|(kind, received_ms, slot, bytes)| NewBatch {
            kind,
            received_ms,
            slot,
            bytes: bytes.into(),
        })
    }

    fn encoded(batch: &NewBatch) -> Vec<u8> {
        [&header(batch)[..], &batch.bytes].concat()
    }

    fn with_version(batch: &NewBatch, version: u8) -> Vec<u8> {
        let mut bytes = encoded(batch);
        bytes[VERSION_AT] = version;
        let crc = checksum(&bytes, &bytes[HEADER..]);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn the_bytes_of_a_batch_stay_what_they_are() {
        let batch = NewBatch {
            kind: BatchKind::TooLong { length: 0x0102 },
            received_ms: 0x0304,
            slot: 5,
            bytes: Bytes::from_static(b"123456789"),
        };
        let header = header(&batch);
        assert_eq!(header[..12], *b"\xFFLSJ\x01\x01\x05\x00\x09\x00\x00\x00");
        assert_eq!(header[16..], *b"\x04\x03\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0");
        // CRC-32C's own check value, so that it is that checksum and no other.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(header[CRC], 0x8F09_3D44_u32.to_le_bytes());
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_one() {
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 0,
            bytes: Bytes::from_static(b"a\n"),
        };
        let newer = with_version(&batch, 2);
        assert_eq!(decode(&newer.into(), Position(0)), Err(NoBatch::TooNew(2)));
        let mut flipped = encoded(&batch);
        flipped[VERSION_AT] = 2;
        assert_eq!(decode(&flipped.into(), Position(0)), Err(NoBatch::Checksum));
    }

    #[test]
    fn what_this_version_never_writes_is_no_batch() {
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 0,
            bytes: Bytes::new(),
        };
        for (at, value) in [(KIND_AT, 2), (FLAGS_AT, 1), (TOO_LONG.start, 1)] {
            let mut bytes = encoded(&batch);
            bytes[at] = value;
            let crc = checksum(&bytes, &[]);
            bytes[CRC].copy_from_slice(&crc.to_le_bytes());
            let found = decode(&bytes.into(), Position(0));
            assert!(matches!(found, Err(NoBatch::Unknown { .. })), "{at}: {found:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn a_batch_is_read_back_as_it_was_whatever_follows(batch in new_batch(), more in prop::collection::vec(any::<u8>(), 0..50)) {
            let bytes = [encoded(&batch), more].concat();
            prop_assert_eq!(size(&bytes), Ok(batch.size()));
            prop_assert_eq!(decode(&bytes.into(), Position(77)), Ok(batch.at(Position(77))));
        }

        #[test]
        fn a_cut_batch_is_short_wherever_it_is_cut(batch in new_batch(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encoded(&batch);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(matches!(decode(&bytes.into(), Position(0)), Err(NoBatch::Short(_))));
        }

        #[test]
        fn no_flipped_bit_goes_unnoticed(batch in new_batch(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = encoded(&batch);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes.into(), Position(0)).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_no_batch_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), as_batch in any::<bool>()) {
            let bytes = if as_batch { [&MAGIC[..], &bytes].concat() } else { bytes };
            prop_assert!(decode(&bytes.into(), Position(u64::MAX)).is_err());
        }
    }
}
