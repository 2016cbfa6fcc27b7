//! Buffers of one size that are used again and again, for what comes and goes all the time: runs of records, and chunks of a segment.
//!
//! Promise: a buffer is with one user at a time; it comes back when the last [`Bytes`] made of it is dropped, on whichever thread; and
//! no more than a bounded number of them wait to be used. The allocator would give such blocks back to the system time and again, and
//! the system would clear and map them anew: some 3 % of a burst went there.

use std::fmt;
use std::mem::take;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Buffers of one size.
pub struct Buffers {
    size: usize,
    most: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Buffers of `size` bytes, of which no more than `most` are kept while nobody uses them.
    pub const fn new(size: usize, most: usize) -> Self {
        Self {
            size,
            most,
            free: Mutex::new(Vec::new()),
        }
    }

    /// A buffer of the full size. What is in it may be of an earlier use.
    pub fn take(&self) -> Vec<u8> {
        // The one that came back last, because it is most likely still in a cache.
        let free = self.free().pop();
        free.unwrap_or_else(|| vec![0; self.size])
    }

    /// Takes a buffer back. One of another size is dropped, and so is one too many.
    pub fn give_back(&self, buffer: Vec<u8>) {
        let mut free = self.free();
        if buffer.len() == self.size && free.len() < self.most {
            free.push(buffer);
        }
    }

    /// A part of a buffer, to be shared and kept. The whole buffer comes back when nobody has it any more.
    ///
    /// # Panics
    /// The range is not within the buffer.
    pub fn share(&'static self, buffer: Vec<u8>, part: Range<usize>) -> Bytes {
        assert!(
            part.start <= part.end && part.end <= buffer.len(),
            "{part:?} is not within the buffer"
        );
        Bytes::from_owner(Lent {
            buffer,
            part,
            home: self,
        })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Nothing panics while it holds the lock, so a poisoned one is as good as any.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what is in them: they held hits.
impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffers({} of {} bytes are free)", self.free().len(), self.size)
    }
}

struct Lent {
    buffer: Vec<u8>,
    part: Range<usize>,
    home: &'static Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.part.clone()]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaked(size: usize, most: usize) -> &'static Buffers {
        Box::leak(Box::new(Buffers::new(size, most)))
    }

    #[test]
    fn a_buffer_comes_back_when_the_last_part_of_it_is_dropped_and_not_before() {
        let buffers = leaked(8, 4);
        let mut buffer = buffers.take();
        buffer.copy_from_slice(b"abcdefgh");
        let address = buffer.as_ptr();
        let shared = buffers.share(buffer, 1..7);
        let part = shared.slice(2..4);
        drop(shared);
        assert_eq!((&part[..], buffers.free().len()), (&b"de"[..], 0));
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(buffers.free().len(), 1);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len(), buffers.free().len()), (address, 8, 0));
    }

    #[test]
    fn no_more_are_kept_than_is_said_and_none_of_another_size() {
        let buffers = leaked(8, 2);
        for size in [8, 7, 9, 0, 8, 8] {
            buffers.give_back(vec![1; size]);
        }
        assert_eq!(buffers.free().len(), 2);
        assert!(buffers.free().iter().all(|buffer| buffer.len() == 8));
    }

    #[test]
    fn what_was_in_them_is_not_shown() {
        let buffers = leaked(115, 2);
        buffers.give_back(b"s".repeat(115));
        assert_eq!(format!("{buffers:?}"), "Buffers(1 of 115 bytes are free)");
    }
}
