//! Reads hits, one a line. Lines are cut as those of a stream are, by the same code; so memory is bounded, however long a line is.

use std::io::{self, ErrorKind, Read};

use super::Failed;
use crate::framing::{Piece, RecordSplitter};
use crate::hit::records;

/// One line that is not empty.
#[derive(Clone, Copy)]
pub(super) enum Line<'a> {
    /// Without its line ending.
    Record(&'a [u8]),
    /// One that is longer than it may be.
    TooLong {
        /// Its beginning.
        first_bytes: &'a [u8],
        /// All of it, in bytes, without its line ending.
        length: u64,
    },
}

/// Hands all lines of up to `max_record_bytes` and the descriptions of longer ones to `take`, each with its number, from 1 on: those that came together in one call, empty ones
/// left out. The last line may lack its line ending.
pub(super) fn read(
    mut input: impl Read,
    max_record_bytes: usize,
    mut take: impl FnMut(&mut dyn Iterator<Item = (u64, Line<'_>)>) -> io::Result<()>,
) -> Result<(), Failed> {
    let mut splitter = RecordSplitter::new(max_record_bytes);
    let mut number = 0;
    let mut is_open = true;
    while is_open {
        match input.read(splitter.room()) {
            Ok(0) => {
                is_open = false;
                if splitter.unfinished_bytes() > 0 {
                    splitter.room()[0] = b'\n';
                    splitter.filled(1);
                }
            }
            Ok(count) => splitter.filled(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failed::Input(error)),
        }
        while let Some(piece) = splitter.take() {
            let taken = match &piece {
                Piece::Records(run) => {
                    let lines = records(run).map(|record| {
                        number += 1;
                        (number, record)
                    });
                    let lines = lines.filter(|(_, record)| !record.is_empty());
                    take(&mut lines.map(|(number, record)| (number, Line::Record(record.bytes))))
                }
                Piece::TooLong(record) => {
                    number += 1;
                    let line = Line::TooLong {
                        first_bytes: &record.first_bytes,
                        length: record.length,
                    };
                    take(&mut std::iter::once((number, line)))
                }
            };
            taken.map_err(Failed::Output)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At most so many bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn lines(input: &[u8], at_a_time: usize) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let taken = read(Trickle(input, at_a_time), 8, |lines| {
            found.extend(lines.map(|(number, line)| match line {
                Line::Record(bytes) => (number, String::from_utf8_lossy(bytes).into_owned()),
                Line::TooLong { first_bytes, length } => {
                    assert!(input.windows(first_bytes.len()).any(|part| part == first_bytes));
                    (number, format!("{length} bytes"))
                }
            }));
            Ok(())
        });
        assert!(taken.is_ok());
        found
    }

    #[test]
    fn lines_are_counted_whatever_they_hold_and_however_they_come() {
        let input = b"one\r\n\ntwo\nmuch too long\n\r\n12345678\nlast";
        let expected = [(1, "one"), (3, "two"), (4, "13 bytes"), (6, "12345678"), (7, "last")];
        let expected = expected.map(|(number, text)| (number, text.to_owned()));
        for at_a_time in [1, 2, 5, 7, 1000] {
            assert_eq!(lines(input, at_a_time), expected, "{at_a_time}");
        }
        assert_eq!(lines(b"too long at the end", 3), [(1, "19 bytes".to_owned())]);
        assert_eq!((lines(b"", 1), lines(b"\n\n", 1)), (vec![], vec![]));
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let endless = io::repeat(b'x').take(64 * 1024 * 1024);
        let mut told = Vec::new();
        let taken = read(endless, 64 * 1024, |lines| {
            for (_, line) in lines {
                let Line::TooLong { first_bytes, length } = line else {
                    panic!("it is too long")
                };
                told.push((first_bytes.len(), length));
            }
            Ok(())
        });
        assert!(taken.is_ok());
        assert_eq!(told, [(crate::framing::records::KEPT_OF_TOO_LONG, 64 * 1024 * 1024)]);
    }

    #[test]
    fn what_cannot_be_written_or_read_ends_it() {
        let written = read(&b"a\nb\n"[..], 8, |_| Err(ErrorKind::BrokenPipe.into()));
        assert!(matches!(written, Err(Failed::Output(_))));
        let read_from = read(io::Cursor::new(b"a\n").chain(Broken), 8, |_| Ok(()));
        assert!(matches!(read_from, Err(Failed::Input(_))));
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::IsADirectory.into())
        }
    }
}
