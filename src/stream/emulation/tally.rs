//! What occurred in the histories, counted by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Counts by name. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    pub fn note(&self, what: &str) {
        let mut counts = self.0.lock().unwrap();
        match counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(counts.insert(what.to_owned(), 1)),
        }
    }

    pub fn count(&self, what: &str) -> u64 {
        self.0.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    pub fn add(&self, other: &Self) {
        for (what, count) in &*other.0.lock().unwrap() {
            *self.0.lock().unwrap().entry(what.clone()).or_default() += count;
        }
    }

    pub fn table(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}
