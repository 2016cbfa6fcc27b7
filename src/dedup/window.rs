//! Which hits came lately, and where the first copy of each stands.
//!
//! Two generations: new hits go into the current one; when that spans `window`, or holds half of `max_ids`, it becomes the previous
//! one and the one before is forgotten at a stroke. Time is that at which batches were received, so a backlog that is read hours
//! later has the window it would have had then.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::table::{Place, Table};
use super::{Entry, Limits};

/// What a record is, by what came before it in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No other copy is known: a hit.
    First,
    /// The ids are known with other bytes only: a hit as well (protocol notes, section 6).
    Twin,
    /// A copy of the record, ids and bytes, stands before it in the journal.
    Duplicate {
        /// Where the first copy begins: always lower than the position of the record that was asked about.
        of: u64,
    },
}

/// The hits that came lately.
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    current: Generation,
    previous: Generation,
    keys: DefaultHashBuilder,
    shortened: u64,
}

impl Window {
    /// A window that knows nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            current: Generation::new(),
            previous: Generation::new(),
            keys: DefaultHashBuilder::default(),
            shortened: 0,
        }
    }

    /// Says what the record is, and remembers it unless it is a duplicate.
    ///
    /// To be asked once for each record with ids before it is produced, in the order of the journal; and again after a rewind, with
    /// the same position, when a record is no duplicate of itself: it is then what it was, unless the window has forgotten.
    pub fn judge(&mut self, entry: Entry) -> Verdict {
        self.make_way_for_time(entry.received_ms);
        let key = id_key(&self.keys, entry.id);
        let mut other_bytes = false;
        for generation in [&mut self.current, &mut self.previous] {
            match generation.firsts.find(key, |place| place.id == entry.id) {
                Some(place) if place.hash == entry.hash => return claim(place, entry.position, Verdict::First),
                Some(_) => other_bytes = true,
                None => {}
            }
        }
        for generation in [&mut self.current, &mut self.previous] {
            if generation.twins.len() > 0
                && let Some(place) = generation.twins.find(whole_key(&self.keys, &entry.place()), |place| {
                    (place.id, place.hash) == (entry.id, entry.hash)
                })
            {
                return claim(place, entry.position, Verdict::Twin);
            }
        }
        self.remember(entry, other_bytes)
    }

    /// How many ids are remembered.
    pub const fn ids(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// How many times ids were forgotten before their time, because `max_ids` was reached.
    pub const fn shortened(&self) -> u64 {
        self.shortened
    }

    /// How far back the window reaches, by the time at which batches were received: milliseconds.
    pub fn reach_ms(&self) -> u64 {
        let newest = self.current.newest_ms.max(self.previous.newest_ms);
        let began = self.previous.began_ms.or(self.current.began_ms);
        began.map_or(0, |began| newest.saturating_sub(began))
    }

    /// What it takes up in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.current.memory() + self.previous.memory()
    }

    fn remember(&mut self, entry: Entry, other_bytes: bool) -> Verdict {
        if self.current.len() >= self.limits.ids_in_a_generation() {
            self.turn(entry.received_ms);
        }
        let generation = &mut self.current;
        generation.began_ms.get_or_insert(entry.received_ms);
        generation.newest_ms = generation.newest_ms.max(entry.received_ms);
        let (place, keys) = (entry.place(), &self.keys);
        if other_bytes {
            // Apart and under another key, so that any number of hits with the same ids costs no more than others.
            let key_of = |place: &Place| whole_key(keys, place);
            generation.twins.insert(key_of(&place), place, key_of);
            Verdict::Twin
        } else {
            let key_of = |place: &Place| id_key(keys, place.id);
            generation.firsts.insert(key_of(&place), place, key_of);
            Verdict::First
        }
    }

    fn make_way_for_time(&mut self, now_ms: u64) {
        let window = self.limits.window_ms;
        match self.current.began_ms {
            Some(began) if now_ms >= began.saturating_add(window) => self.turn(now_ms),
            // The clock was set back by more than a window: nobody waits until it has caught up.
            Some(began) if now_ms.saturating_add(window) < began => self.current.began_ms = Some(now_ms),
            Some(_) | None => {}
        }
    }

    /// Forgets the previous generation, and begins a new one.
    fn turn(&mut self, now_ms: u64) {
        if self.previous.len() > 0 && self.previous.newest_ms.saturating_add(self.limits.window_ms) > now_ms {
            self.shortened += 1;
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear(&self.previous);
    }
}

#[derive(Debug)]
struct Generation {
    /// The first record with its ids.
    firsts: Table,
    /// Records with the ids of another and other bytes.
    twins: Table,
    /// When its first record was received; `None` if it is empty.
    began_ms: Option<u64>,
    newest_ms: u64,
}

impl Generation {
    fn new() -> Self {
        Self {
            firsts: Table::new(),
            twins: Table::new(),
            began_ms: None,
            newest_ms: 0,
        }
    }

    const fn len(&self) -> usize {
        self.firsts.len() + self.twins.len()
    }

    fn memory(&self) -> usize {
        self.firsts.memory() + self.twins.memory()
    }

    /// Forgets everything, and makes room for about as much as `last` holds.
    fn clear(&mut self, last: &Self) {
        self.firsts.clear(last.firsts.len());
        self.twins.clear(last.twins.len());
        self.began_ms = None;
        self.newest_ms = 0;
    }
}

impl Entry {
    const fn place(&self) -> Place {
        Place {
            id: self.id,
            hash: self.hash,
            position: self.position,
        }
    }
}

/// The lowest position is the first copy's: a record that stands before it takes its place.
fn claim(place: &mut Place, position: u64, otherwise: Verdict) -> Verdict {
    if place.position < position {
        return Verdict::Duplicate { of: place.position };
    }
    place.position = position;
    otherwise
}

fn id_key(keys: &DefaultHashBuilder, id: (u64, u64)) -> u64 {
    keys.hash_one(id)
}

fn whole_key(keys: &DefaultHashBuilder, place: &Place) -> u64 {
    keys.hash_one((place.id, place.hash))
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
