//! The header of a gzip member (RFC 1952, section 2.3), read in whatever pieces it comes.
//!
//! Promise: nothing in it but the length of its fields and its checksum means anything to us; nothing of it is kept, however long it is.

use crc32fast::Hasher;
use memchr::memchr;

use super::gzip::CorruptGzip;

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Magic 2, method 1, flags 1, time 4, extra flags 1, system 1.
const FIXED_BYTES: usize = 10;

/// How far the header of one member has come.
#[derive(Debug, Default)]
pub(super) struct GzipHeader {
    field: Field,
    flags: u8,
    checksum: Hasher,
}

/// What comes next. A number counts the bytes of the field that have come, or those that are still to come.
#[derive(Clone, Copy, Debug)]
enum Field {
    Fixed { come: usize },
    ExtraLength { low: Option<u8> },
    Extra { left: u16 },
    Name,
    Comment,
    Checksum { low: Option<u8> },
    Whole,
}

impl Default for Field {
    fn default() -> Self {
        Self::Fixed { come: 0 }
    }
}

impl GzipHeader {
    /// Whether all of it has come.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.field, Field::Whole)
    }

    /// Takes what belongs to the header. How many bytes those are: all of the input, unless the header is whole.
    ///
    /// # Errors
    /// It is not a header.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<usize, CorruptGzip> {
        let mut at = 0;
        while at < input.len() && !self.is_whole() {
            let before = at;
            let (next, taken) = self.field_in(&input[at..])?;
            at += taken;
            if !matches!(self.field, Field::Checksum { .. }) {
                self.checksum.update(&input[before..at]);
            }
            self.field = self.present_from(next);
        }
        Ok(at)
    }

    /// What comes after some bytes of the present field, and how many they are; at least one.
    fn field_in(&mut self, input: &[u8]) -> Result<(Field, usize), CorruptGzip> {
        let first = input[0];
        Ok(match self.field {
            Field::Fixed { come } => {
                self.fixed(come, first)?;
                let next = if come + 1 < FIXED_BYTES {
                    Field::Fixed { come: come + 1 }
                } else {
                    Field::ExtraLength { low: None }
                };
                (next, 1)
            }
            Field::ExtraLength { low: None } => (Field::ExtraLength { low: Some(first) }, 1),
            Field::ExtraLength { low: Some(low) } => {
                let left = u16::from_le_bytes([low, first]);
                (if left > 0 { Field::Extra { left } } else { Field::Name }, 1)
            }
            Field::Extra { left } => {
                let taken = input.len().min(usize::from(left));
                let left = left - taken as u16;
                (if left > 0 { Field::Extra { left } } else { Field::Name }, taken)
            }
            Field::Name => text(input, Field::Name, Field::Comment),
            Field::Comment => text(input, Field::Comment, Field::Checksum { low: None }),
            Field::Checksum { low: None } => (Field::Checksum { low: Some(first) }, 1),
            Field::Checksum { low: Some(low) } => {
                if u16::from_le_bytes([low, first]) != self.checksum.clone().finalize() as u16 {
                    return Err(CorruptGzip("header crc mismatch"));
                }
                (Field::Whole, 1)
            }
            Field::Whole => (Field::Whole, 0),
        })
    }

    /// Checks one byte of those that each header has.
    const fn fixed(&mut self, at: usize, byte: u8) -> Result<(), CorruptGzip> {
        match (at, byte) {
            (0, 0x1f) | (1, 0x8b) | (2, 8) => Ok(()),
            (0 | 1, _) => Err(CorruptGzip("incorrect header check")),
            (2, _) => Err(CorruptGzip("unknown compression method")),
            (3, flags) if flags & RESERVED != 0 => Err(CorruptGzip("unknown header flags set")),
            (3, flags) => {
                self.flags = flags;
                Ok(())
            }
            // Time, extra flags and system mean nothing to us.
            (_, _) => Ok(()),
        }
    }

    /// The first field at or after `next` that this header has.
    const fn present_from(&self, next: Field) -> Field {
        let mut next = next;
        if matches!(next, Field::ExtraLength { low: None }) && self.flags & FEXTRA == 0 {
            next = Field::Name;
        }
        if matches!(next, Field::Name) && self.flags & FNAME == 0 {
            next = Field::Comment;
        }
        if matches!(next, Field::Comment) && self.flags & FCOMMENT == 0 {
            next = Field::Checksum { low: None };
        }
        if matches!(next, Field::Checksum { low: None }) && self.flags & FHCRC == 0 {
            next = Field::Whole;
        }
        next
    }
}

/// A text that ends with a zero byte.
fn text(input: &[u8], this: Field, next: Field) -> (Field, usize) {
    memchr(0, input).map_or((this, input.len()), |end| (next, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these flags, and its fields filled.
    fn header(flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 255];
        for (flag, field) in [(FEXTRA, &b"\x03\x00abc"[..]), (FNAME, b"name\0"), (FCOMMENT, b"\0")] {
            if flags & flag != 0 {
                bytes.extend_from_slice(field);
            }
        }
        if flags & FHCRC != 0 {
            let checksum = crc32fast::hash(&bytes) as u16;
            bytes.extend(checksum.to_le_bytes());
        }
        bytes
    }

    fn take(pieces: &[&[u8]]) -> Result<(usize, bool), CorruptGzip> {
        let mut header = GzipHeader::default();
        let mut taken = 0;
        for piece in pieces {
            taken += header.take(piece)?;
        }
        Ok((taken, header.is_whole()))
    }

    #[test]
    fn every_mixture_of_fields_is_read_wherever_it_is_cut() {
        // The lowest flag, "text", has no field.
        for flags in 0..32 {
            let header = header(flags);
            let followed = [&header[..], b"data"].concat();
            for cut in 0..=header.len() {
                let (front, back) = followed.split_at(cut);
                assert_eq!(
                    take(&[front, back]),
                    Ok((header.len(), true)),
                    "flags {flags}, cut at {cut}"
                );
                assert_eq!(
                    take(&[&header[..cut]]),
                    Ok((cut, cut == header.len())),
                    "flags {flags}, up to {cut}"
                );
            }
            let bytes: Vec<_> = followed.chunks(1).collect();
            assert_eq!(take(&bytes), Ok((header.len(), true)), "flags {flags}");
        }
    }

    #[test]
    fn empty_extra_fields_and_long_names_are_read() {
        let empty = [0x1f, 0x8b, 8, FEXTRA | FNAME, 0, 0, 0, 0, 0, 0, 0, 0];
        let name = vec![b'n'; 100_000];
        assert_eq!(
            take(&[&empty, &name, &name, b"\0", b"data"]),
            Ok((empty.len() + 200_001, true))
        );
    }

    #[test]
    fn what_is_not_a_header_is_refused_with_its_reason() {
        let refused = |at: usize, byte: u8| {
            let mut header = header(FHCRC | FNAME);
            header[at] = byte;
            take(&[&header]).unwrap_err().0
        };
        assert_eq!(refused(0, b'{'), "incorrect header check");
        assert_eq!(refused(1, 0), "incorrect header check");
        assert_eq!(refused(2, 7), "unknown compression method");
        assert_eq!(refused(3, 0x20), "unknown header flags set");
        for at in [4, 9, 10, 15, 16] {
            assert_eq!(refused(at, 0x55), "header crc mismatch", "{at}");
        }
    }
}
