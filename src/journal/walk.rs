//! Goes through a segment's file batch by batch, and over what is broken in it.
//!
//! Promise: whatever the file holds, this ends, and all of the file is either in a batch or reported as damage. Memory: two chunks, or
//! one whole batch if that is larger.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use super::batch::HEADER_BYTES;
use super::files::{OpenFile, read_full_at};
use super::format::{self, MAGIC, NoBatch};
use super::{Batch, Position};
use crate::buffers::Buffers;

/// What is read at a time.
pub const CHUNK_BYTES: u64 = 1024 * 1024;

/// Some for those that lag at one time, each with what it reads and what is still being forwarded: 4 MiB are kept at most.
static CHUNKS: Buffers = Buffers::new(CHUNK_BYTES as usize, 4);

/// A place in a segment's file.
#[derive(Debug)]
pub struct Walk {
    file: Arc<dyn OpenFile>,
    base: Position,
    /// How much of the file counts.
    length: u64,
    at: u64,
    chunk: Bytes,
    chunk_at: u64,
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch.
    Batch(Batch),
    /// Something else, up to the next batch or the end.
    Damage(Damage),
    /// Nothing more.
    End,
}

/// Bytes of a segment that are no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin.
    pub position: Position,
    /// How many they are.
    pub bytes: u64,
    /// Why the first of them begin no batch.
    pub why: NoBatch,
    /// Whether they are all zeros, as a file system leaves them that had not written them before the power failed.
    pub zeros: bool,
}

impl Walk {
    /// Begins at `offset`, where a batch should begin, in the first `length` bytes of the file of the segment at `base`.
    pub fn new(file: Arc<dyn OpenFile>, base: Position, offset: u64, length: u64) -> Self {
        Self {
            file,
            base,
            length,
            at: offset,
            chunk: Bytes::new(),
            chunk_at: offset,
        }
    }

    /// The offset of what comes next.
    pub const fn offset(&self) -> u64 {
        self.at
    }

    /// What stands here. Then goes on behind it.
    pub fn step(&mut self) -> io::Result<Step> {
        if self.at >= self.length {
            return Ok(Step::End);
        }
        let from = self.at;
        match self.batch_at(from)? {
            Ok(batch) => {
                self.at += batch.end().since(batch.position);
                Ok(Step::Batch(batch))
            }
            Err(why) => {
                let zeros = self.go_to_next_batch()?;
                Ok(Step::Damage(Damage {
                    position: self.base.plus(from),
                    bytes: self.at - from,
                    why,
                    zeros,
                }))
            }
        }
    }

    /// The batch at `at`, or why there is none.
    fn batch_at(&mut self, at: u64) -> io::Result<Result<Batch, NoBatch>> {
        let size = match format::size(&self.bytes_at(at, HEADER_BYTES)?) {
            Ok(size) => size,
            Err(why) => return Ok(Err(why)),
        };
        if size > self.length - at {
            return Ok(Err(NoBatch::Short(size)));
        }
        // Whoever reads arbitrary bytes for a length must not take that much memory for it.
        if size > CHUNK_BYTES && !self.checksum_is_right(at, size)? {
            return Ok(Err(NoBatch::Checksum));
        }
        let bytes = self.bytes_at(at, size)?;
        Ok(format::decode(&bytes, self.base.plus(at)))
    }

    /// Whether the batch of this size at `at` is as it was written. Holds a chunk of it at a time.
    fn checksum_is_right(&mut self, at: u64, size: u64) -> io::Result<bool> {
        let header = self.bytes_at(at, HEADER_BYTES)?;
        let Some(header) = header.first_chunk() else {
            return Ok(false);
        };
        let mut checksum = format::Checksum::of(header);
        let (mut done, mut chunk) = (HEADER_BYTES, vec![0; CHUNK_BYTES as usize]);
        while done < size {
            let wanted = (size - done).min(CHUNK_BYTES) as usize;
            let read = read_full_at(&*self.file, at + done, &mut chunk[..wanted])?;
            checksum.add(&chunk[..read]);
            if read < wanted {
                return Ok(false);
            }
            done += read as u64;
        }
        Ok(checksum.is_right())
    }

    /// Moves on to the next place where a whole batch begins, or to the end, and says whether there were only zeros.
    fn go_to_next_batch(&mut self) -> io::Result<bool> {
        let mut only_zeros = true;
        // The first byte that has not been looked at.
        let mut at = self.at + 1;
        only_zeros &= self.bytes_at(self.at, 1)?.first().is_none_or(|byte| *byte == 0);
        while at < self.length {
            let window = self.bytes_at(at, MAGIC.len() as u64)?;
            if window.len() < MAGIC.len() {
                only_zeros &= window.iter().all(|byte| *byte == 0);
                break;
            }
            let Some(found) = memmem::find(&window, &MAGIC) else {
                only_zeros &= window.iter().all(|byte| *byte == 0);
                // A magic may begin in the last bytes of the window.
                at += (window.len() - MAGIC.len() + 1) as u64;
                continue;
            };
            only_zeros &= window[..found].iter().all(|byte| *byte == 0);
            at += found as u64;
            match self.batch_at(at)? {
                Ok(_) | Err(NoBatch::TooNew(_)) => {
                    self.at = at;
                    return Ok(only_zeros);
                }
                Err(NoBatch::Short(_) | NoBatch::Magic | NoBatch::Checksum | NoBatch::Unknown { .. }) => {
                    only_zeros = false;
                    at += 1;
                }
            }
        }
        self.at = self.length;
        Ok(only_zeros)
    }

    /// The bytes from `at` on: `wanted` of them or more, fewer only where the file or what counts of it ends.
    fn bytes_at(&mut self, at: u64, wanted: u64) -> io::Result<Bytes> {
        let left = self.length.saturating_sub(at);
        let wanted = wanted.min(left);
        let inside = at
            .checked_sub(self.chunk_at)
            .filter(|offset| *offset <= self.chunk.len() as u64);
        if let Some(offset) = inside
            && self.chunk.len() as u64 - offset >= wanted
        {
            return Ok(self.chunk.slice(offset as usize..));
        }
        self.chunk = Bytes::new();
        let length = wanted.max(CHUNK_BYTES).min(left) as usize;
        // Little is not worth a whole chunk, which its batches would keep.
        let mut chunk = if (CHUNK_BYTES / 2..=CHUNK_BYTES).contains(&(length as u64)) {
            CHUNKS.take()
        } else {
            vec![0; length]
        };
        let read = read_full_at(&*self.file, at, &mut chunk[..length])?;
        self.chunk = CHUNKS.share(chunk, 0..read);
        self.chunk_at = at;
        Ok(self.chunk.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::files::{Files, SystemFiles, write_all_at};
    use super::super::{BatchKind, NewBatch};
    use super::*;

    fn encoded(length: usize, fill: u8) -> Vec<u8> {
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: 1,
            slot: 2,
            bytes: vec![fill; length].into(),
        };
        [&format::header(&batch)[..], &batch.bytes].concat()
    }

    fn steps(content: &[u8]) -> Vec<Step> {
        let dir = tempfile::tempdir().unwrap();
        let file = SystemFiles.create(&dir.path().join("s")).unwrap();
        write_all_at(&*file, 0, content).unwrap();
        let mut walk = Walk::new(file, Position(1000), 0, content.len() as u64);
        let mut steps = Vec::new();
        loop {
            match walk.step().unwrap() {
                Step::End => return steps,
                step @ (Step::Batch(_) | Step::Damage(_)) => steps.push(step),
            }
        }
    }

    /// What stands where: (position, whether it is a batch, its length in bytes without a header).
    fn outline(content: &[u8]) -> Vec<(u64, bool, u64)> {
        let outline = |step| match step {
            Step::Batch(batch) => (batch.position.0, true, batch.bytes.len() as u64),
            Step::Damage(damage) => (damage.position.0, false, damage.bytes),
            Step::End => (0, false, 0),
        };
        steps(content).into_iter().map(outline).collect()
    }

    #[test]
    fn damage_is_passed_over_to_the_next_whole_batch() {
        let mut broken = encoded(10, 1);
        broken[40] ^= 1;
        let content = [encoded(8, 1), broken, encoded(5, 2), b"torn".to_vec()].concat();
        assert_eq!(
            outline(&content),
            [(1000, true, 8), (1040, false, 42), (1082, true, 5), (1119, false, 4)]
        );
    }

    #[test]
    fn a_batch_longer_than_a_chunk_and_one_across_two_are_read() {
        let long = 3 * CHUNK_BYTES as usize;
        let content = [encoded(CHUNK_BYTES as usize - 40, 1), encoded(100, 2), encoded(long, 3)].concat();
        let found: Vec<u64> = outline(&content).into_iter().map(|(_, _, length)| length).collect();
        assert_eq!(found, [CHUNK_BYTES - 40, 100, long as u64]);
    }

    #[test]
    fn a_magic_across_two_windows_is_found() {
        for shift in 0..8 {
            let garbage = vec![7; CHUNK_BYTES as usize - 4 + shift];
            let content = [garbage.clone(), encoded(3, 1)].concat();
            let after = 1000 + garbage.len() as u64;
            assert_eq!(
                outline(&content),
                [(1000, false, garbage.len() as u64), (after, true, 3)]
            );
        }
    }

    #[test]
    fn a_length_that_nobody_wrote_takes_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let file = SystemFiles.create(&dir.path().join("s")).unwrap();
        let mut header = encoded(0, 1);
        // 1 GiB, all of it a hole in the file.
        let length = 1 << 30;
        header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        write_all_at(&*file, 0, &header).unwrap();
        file.truncate(length + HEADER_BYTES).unwrap();
        let mut walk = Walk::new(file, Position(0), 0, length + HEADER_BYTES);
        assert_eq!(walk.batch_at(0).unwrap(), Err(NoBatch::Checksum));
        assert!(walk.chunk.len() as u64 <= CHUNK_BYTES);
    }

    #[test]
    fn zeros_are_told_from_other_damage() {
        let zeros = |content: &[u8]| match steps(content).pop() {
            Some(Step::Damage(damage)) => damage.zeros,
            other => panic!("{other:?}"),
        };
        assert!(zeros(&[0; 100]) && zeros(&[encoded(1, 1), vec![0; 3]].concat()) && zeros(&[0]));
        assert!(
            !zeros(&[0, 0, 0, 0, 0, 0, 0, 1]) && !zeros(&[1]) && !zeros(&[&[0; 50][..], &MAGIC, &[0; 50]].concat())
        );
    }

    proptest! {
        #[test]
        fn all_of_a_file_is_in_a_batch_or_damage(parts in prop::collection::vec((any::<bool>(), 0..80_usize, any::<u8>()), 0..12)) {
            let content: Vec<u8> = parts
                .iter()
                .flat_map(|(whole, length, fill)| if *whole { encoded(*length, *fill) } else { vec![*fill; *length] })
                .collect();
            let mut at = 1000;
            let mut batches = 0;
            for (position, is_batch, length) in outline(&content) {
                prop_assert_eq!(position, at);
                batches += usize::from(is_batch);
                at += length + if is_batch { HEADER_BYTES } else { 0 };
            }
            prop_assert_eq!(at - 1000, content.len() as u64);
            prop_assert_eq!(batches, parts.iter().filter(|(whole, ..)| *whole).count());
        }
    }
}
