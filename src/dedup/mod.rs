//! Has this hit been there before? Live Stream repeats some after a reconnect (protocol notes, section 6).
//!
//! | module | holds |
//! | --- | --- |
//! | [`window`] | [`Window`]: which hits came lately, and where the first copy of each stands |
//! | `table` | the table behind it, which grows in small steps |
//!
//! Promise: nothing is called a duplicate but a record with the ids *and* the bytes of another one that stands before it in the
//! journal. So whatever is left out has a copy that the cursor cannot pass undelivered: it is delivered already, or it lies between
//! the cursor and the duplicate and is produced first, after a rewind too. A window that forgets, for age, for want of room or after
//! a crash, lets a duplicate through; it never takes a hit.
//!
//! ```text
//! position   10      20      30        40                      70
//!            hit A   hit B   A again   A's ids, other bytes    A again
//! verdict    first   first   of 10     twin                    of 10
//!                    ^ cursor: after a rewind the copies at 30 and 70 still yield to the one at 10, which is delivered
//! ```
//!
//! Ids are compared whole. Bytes are compared by [`hash`], 64 bits: a twin is taken for a duplicate once in 2^64 twins, and twins
//! are rare to begin with. Positions are the journal's, as plain numbers, because the journal stands above the pure floor.

use twox_hash::XxHash3_64;

mod table;
pub mod window;

pub use window::{Verdict, Window};

/// What is remembered of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `(hitIdHigh, hitIdLow)`. A hit without usable ids is never asked about.
    pub id: (u64, u64),
    /// The [`hash`] of its bytes.
    pub hash: u64,
    /// Where the record begins in the stream's journal.
    pub position: u64,
    /// When its batch came off the wire: milliseconds since the Unix epoch.
    pub received_ms: u64,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how long at least, by the time at which batches were received: milliseconds. Up to twice as long in fact.
    pub window_ms: u64,
    /// How many ids at most. The newest half of them is certain to be remembered.
    pub max_ids: usize,
}

impl Limits {
    /// How many ids one generation of the window, or one file on disk, holds.
    pub const fn ids_in_a_generation(&self) -> usize {
        if self.max_ids < 2 { 1 } else { self.max_ids / 2 }
    }
}

/// A hash of a record's bytes, its line ending stripped. XXH3 with 64 bits and no seed: the same in every build and on every machine,
/// because it is stored. It is no defence against somebody who picks bytes on purpose; he would have to pick the hit's ids as well,
/// and those are the service's.
pub fn hash(record: &[u8]) -> u64 {
    XxHash3_64::oneshot(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_is_stored() {
        // Whoever changes these numbers must change the version of the files that hold them.
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash(b"{\"hitIdHigh\":1,\"hitIdLow\":2}"), 13_781_008_777_319_568_726);
        assert_eq!(hash(&[b'x'; 2500]), 12_736_189_920_476_262_813);
    }
}
