//! How many hits became what, in one line for each output.

use std::collections::BTreeMap;
use std::fmt;

use crate::shape::outcome::Outcome;

/// The counts of one output.
pub(super) struct Tally {
    output: String,
    forwarded: u64,
    held_back: BTreeMap<String, u64>,
    incomplete: u64,
    dead_letters: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn of(output: &str) -> Self {
        Self {
            output: output.to_owned(),
            forwarded: 0,
            held_back: BTreeMap::new(),
            incomplete: 0,
            dead_letters: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, outcome: &Outcome<'_>) {
        match outcome {
            Outcome::Forwarded(_) => self.forwarded += 1,
            Outcome::HeldBack(filter) => match self.held_back.get_mut(*filter) {
                Some(count) => *count += 1,
                None => {
                    self.held_back.insert((*filter).to_owned(), 1);
                }
            },
            Outcome::Incomplete { .. } => self.incomplete += 1,
            Outcome::DeadLetter { reason, .. } => *self.dead_letters.entry(reason.name()).or_default() += 1,
        }
    }
}

/// `output default: 2 forwarded, 1 held back (bots 1), 0 incomplete, 1 dead letters (not_json 1)`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output {}: {} forwarded, ", self.output, self.forwarded)?;
        write_all(f, "held back", &self.held_back)?;
        write!(f, ", {} incomplete, ", self.incomplete)?;
        write_all(f, "dead letters", &self.dead_letters)
    }
}

fn write_all<K: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<K, u64>) -> fmt::Result {
    write!(f, "{} {what}", counts.values().sum::<u64>())?;
    let mut before = " (";
    for (name, count) in counts {
        write!(f, "{before}{name} {count}")?;
        before = ", ";
    }
    f.write_str(if counts.is_empty() { "" } else { ")" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_an_output_are_one_line() {
        let mut tally = Tally::of("default");
        assert_eq!(
            tally.to_string(),
            "output default: 0 forwarded, 0 held back, 0 incomplete, 0 dead letters"
        );
        for filter in ["internal", "bots", "internal"] {
            tally.count(&Outcome::HeldBack(filter));
        }
        tally.count(&Outcome::Incomplete {
            field: "/a",
            message: None,
        });
        assert_eq!(
            tally.to_string(),
            "output default: 0 forwarded, 3 held back (bots 1, internal 2), 1 incomplete, 0 dead letters"
        );
    }
}
