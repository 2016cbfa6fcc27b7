//! librdkafka's log lines, repeated ones summed up. An unreachable broker makes it write the same few lines for hours.

use std::collections::HashMap;
use std::time::Duration;

/// How long a line keeps quiet the lines that are like it.
const QUIET: Duration = Duration::from_mins(1);

/// How many different lines are remembered; beyond that all are forgotten, and so written again.
const MOST_LINES: usize = 256;

/// Which lines were written lately.
#[derive(Debug, Default)]
pub struct LogDigest {
    lines: HashMap<String, Line>,
}

#[derive(Debug)]
struct Line {
    written: Duration,
    repeated: u64,
}

impl LogDigest {
    /// Notes a line. If it is to be written: how many like it were not, since the last one that was. `now` is any clock that does
    /// not go back.
    pub fn note(&mut self, text: &str, now: Duration) -> Option<u64> {
        // Counts and times in the text do not make it another line.
        let likeness: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.lines.len() >= MOST_LINES && !self.lines.contains_key(&likeness) {
            self.lines.clear();
        }
        match self.lines.get_mut(&likeness) {
            Some(line) if now.saturating_sub(line.written) < QUIET => {
                line.repeated += 1;
                None
            }
            Some(line) => {
                line.written = now;
                Some(std::mem::take(&mut line.repeated))
            }
            None => {
                self.lines.insert(
                    likeness,
                    Line {
                        written: now,
                        repeated: 0,
                    },
                );
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_line_is_written_once_a_minute_with_its_count() {
        let mut digest = LogDigest::default();
        let at = Duration::from_secs;
        assert_eq!(digest.note("broker 1 is down after 20 ms", at(5)), Some(0));
        assert_eq!(digest.note("broker 1 is down after 21 ms", at(6)), None);
        assert_eq!(digest.note("another", at(6)), Some(0));
        assert_eq!(digest.note("broker 1 is down after 3 ms", at(64)), None);
        assert_eq!(digest.note("broker 1 is down after 4 ms", at(65)), Some(2));
        assert_eq!(digest.note("broker 1 is down after 4 ms", at(66)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut digest = LogDigest::default();
        for n in 0..10_000_u32 {
            let word: String = n.to_string().bytes().map(|digit| char::from(digit + 50)).collect();
            digest.note(&word, Duration::ZERO);
        }
        assert!(digest.lines.len() <= MOST_LINES);
    }
}
