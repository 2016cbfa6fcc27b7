//! Records of a batch, their ids, and whether they were there before.

use livestreamd::dedup::{Entry, Limits, Verdict, Window, hash};
use livestreamd::hit::{inspect, records};

use super::input::RECEIVED_MS;

/// The default of `dedup.window`: 15 minutes.
const WINDOW_MS: u64 = 900_000;

/// Reads the ids of all records of a batch, and says how many have some.
pub fn ids(batch: &[u8]) -> usize {
    let hits = records(batch).filter_map(|record| inspect(record.bytes).ok());
    hits.filter(|hit| hit.hit_id.is_some() && hit.visitor_id.is_some())
        .count()
}

/// A window that holds `generation` ids in each of its two generations, both full of others: so no table grows any more, as in a daemon that
/// runs for days.
pub fn seasoned_window(generation: u64) -> Window {
    let mut window = Window::new(Limits {
        window_ms: WINDOW_MS,
        max_ids: 2 * generation as usize,
    });
    for number in 0..3 * generation {
        let verdict = window.judge(Entry {
            id: (u64::MAX, number),
            hash: number,
            position: number,
            received_ms: RECEIVED_MS,
        });
        assert_eq!(verdict, Verdict::First);
    }
    window
}

/// A record's place in the window.
pub fn entry(id: (u64, u64), record: &[u8], position: u64) -> Entry {
    Entry {
        id,
        hash: hash(record),
        position,
        received_ms: RECEIVED_MS,
    }
}

/// What is known of each record, as far as it has ids: to be judged without looking for them again.
pub fn known(batch: &[u8]) -> impl Iterator<Item = ((u64, u64), &[u8])> {
    records(batch).filter_map(|record| Some((inspect(record.bytes).ok()?.hit_id?, record.bytes)))
}
