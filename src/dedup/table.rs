//! A table of hits by a hash that the caller makes. It grows in small steps: one of its parts at a time.
//!
//! A table in one piece that holds a million hits stalls for a tenth of a second when it grows (measured). In parts, no insert moves
//! more than one part's hits.

use hashbrown::HashTable;

/// A power of two. With 64 the largest move in a window of the default size is that of 7,000 hits, some 0.2 ms.
const PARTS: usize = 64;
/// Tables look at the lowest and the highest bits of a hash; the part is picked by others.
const PART_SHIFT: u32 = 40;

/// A hit, and where its first copy stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: (u64, u64),
    pub(super) hash: u64,
    pub(super) position: u64,
}

#[derive(Debug)]
pub(super) struct Table {
    parts: Box<[HashTable<Place>]>,
    len: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The place under `key` that `is` it.
    pub(super) fn find(&mut self, key: u64, is: impl FnMut(&Place) -> bool) -> Option<&mut Place> {
        self.parts[part(key)].find_mut(key, is)
    }

    /// Adds a place that is not there yet. `key_of` is asked again for the places that move when the table grows.
    pub(super) fn insert(&mut self, key: u64, place: Place, key_of: impl Fn(&Place) -> u64) {
        self.parts[part(key)].insert_unique(key, place, key_of);
        self.len += 1;
    }

    /// Empties the table, and makes it the right size for about `expected` places: as many as came last time.
    pub(super) fn clear(&mut self, expected: usize) {
        let share = expected / PARTS;
        // Parts fill unevenly; four standard deviations above the mean is room enough for all of them.
        let room = share + 4 * share.isqrt();
        for part in &mut self.parts {
            if part.capacity() < room || part.capacity() / 4 > room {
                *part = HashTable::with_capacity(room);
            } else {
                part.clear();
            }
        }
        self.len = 0;
    }

    /// What it takes up in memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.parts.iter().map(HashTable::allocation_size).sum()
    }

    #[cfg(test)]
    pub(super) fn largest_part(&self) -> usize {
        self.parts.iter().map(HashTable::len).max().unwrap_or(0)
    }
}

const fn part(key: u64) -> usize {
    (key >> PART_SHIFT) as usize % PARTS
}
