//! Where the records in a batch are.

use std::fmt;

/// One record of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins, in bytes from the start of the batch.
    pub offset: usize,
    /// Where the next one begins: past the line ending.
    pub end: usize,
    /// The record without its line ending.
    pub bytes: &'a [u8],
}

impl Record<'_> {
    /// True for a record that is nothing but its line ending; the service sends such now and then (protocol notes, section 5).
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where it stands, and not what it holds.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}..{}, {} bytes)", self.offset, self.end, self.bytes.len())
    }
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} of {} bytes)", self.offset, self.batch.len())
    }
}

/// The records of a batch in their order, empty ones included. They end in LF, with or without one CR before it; the last one may
/// lack its line ending.
pub const fn records(batch: &[u8]) -> Records<'_> {
    Records { batch, offset: 0 }
}

/// The iterator that [`records`] returns.
#[derive(Clone)]
pub struct Records<'a> {
    batch: &'a [u8],
    offset: usize,
}

impl Records<'_> {
    /// The same records, but only those that begin at `offset` or after it.
    #[must_use]
    pub fn starting_at(self, offset: usize) -> Self {
        Self {
            offset: offset.min(self.batch.len()),
            ..self
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let rest = self.batch.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let offset = self.offset;
        let (line, length) = match memchr::memchr(b'\n', rest) {
            Some(newline) => (&rest[..newline], newline + 1),
            None => (rest, rest.len()),
        };
        self.offset += length;
        Some(Record {
            offset,
            end: self.offset,
            bytes: line.strip_suffix(b"\r").unwrap_or(line),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_record_holds_is_not_shown() {
        let mut batch = records(b"secret\r\n");
        assert_eq!(format!("{batch:?}"), "Records(0 of 8 bytes)");
        assert_eq!(format!("{:?}", batch.next().unwrap()), "Record(0..8, 6 bytes)");
    }

    #[test]
    fn records_are_split_at_lf_and_lose_one_cr() {
        let found: Vec<_> = records(b"a\r\n\r\nbc\n\n\rd\r\r\ne\r")
            .map(|r| (r.offset, r.end, r.bytes))
            .collect();
        let expected: Vec<(usize, usize, &[u8])> = vec![
            (0, 3, b"a"),
            (3, 5, b""),
            (5, 8, b"bc"),
            (8, 9, b""),
            (9, 14, b"\rd\r"),
            (14, 16, b"e"),
        ];
        assert_eq!(found, expected);
        assert_eq!(records(b"").count(), 0);
        assert_eq!(
            records(b"a\nb\n").starting_at(2).map(|r| r.offset).collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(records(b"a\n").starting_at(99).count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn records_cover_the_batch_without_gap(batch in "[ab\r\n]{0,40}") {
            let mut at = 0;
            for record in records(batch.as_bytes()) {
                prop_assert_eq!(record.offset, at);
                prop_assert!(record.end > at);
                prop_assert!(!record.bytes.contains(&b'\n'));
                prop_assert!(batch.as_bytes()[record.offset..].starts_with(record.bytes));
                at = record.end;
            }
            prop_assert_eq!(at, batch.len());
        }
    }
}
