//! Compressed bytes to runs of whole records.

use livestreamd::framing::records::STEP_BYTES;
use livestreamd::framing::{Gunzip, Piece, RecordSplitter};

use super::input::FLUSHED_EVERY;

/// The default of `max_record_bytes`.
const MAX_RECORD_BYTES: usize = 8 << 20;

/// Inflates `pieces` into the same room again and again, and says how many bytes came of them.
pub fn inflate(pieces: &[Vec<u8>]) -> usize {
    let mut gunzip = Gunzip::new();
    let mut room = vec![0; STEP_BYTES];
    let mut total = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        loop {
            let step = gunzip.step(rest, &mut room).expect("the input is whole");
            rest = &rest[step.consumed..];
            total += step.produced;
            if !step.again {
                break;
            }
        }
    }
    total
}

/// A splitter as a connection has it.
pub fn splitter() -> RecordSplitter {
    RecordSplitter::new(MAX_RECORD_BYTES)
}

/// Cuts `plain` into runs of whole records, and says how many bytes and how many runs they are. The bytes are copied in where the inflater would
/// write them, as many at a time as come out of it between two flushes.
pub fn split(splitter: &mut RecordSplitter, plain: &[u8]) -> (usize, u64) {
    let (mut bytes, mut runs) = (0, 0);
    let mut take = |splitter: &mut RecordSplitter| match splitter.take() {
        Some(Piece::Records(run)) => {
            bytes += run.len();
            runs += 1;
        }
        Some(Piece::TooLong(_)) => unreachable!("no record is that long"),
        None => {}
    };
    for mut chunk in plain.chunks(FLUSHED_EVERY) {
        while !chunk.is_empty() {
            if splitter.is_due() {
                take(splitter);
            }
            let room = splitter.room();
            let (now, later) = chunk.split_at(chunk.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            splitter.filled(now.len());
            chunk = later;
        }
    }
    take(splitter);
    (bytes, runs)
}
