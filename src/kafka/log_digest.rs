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
        let likeness = likeness(text);
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

impl LogDigest {
    /// Whether a line like it was written lately. librdkafka reports as an error, too, what it has just logged.
    pub fn is_known(&self, text: &str, now: Duration) -> bool {
        self.lines
            .get(&likeness(text))
            .is_some_and(|line| now.saturating_sub(line.written) < QUIET)
    }
}

/// What is the same in lines that are alike. Not a part of it: the thread, how long it took and how often it came, the address that
/// a name was resolved to, and any other number.
fn likeness(text: &str) -> String {
    let text = match text.strip_prefix("[thrd:").and_then(|text| text.split_once("]: ")) {
        Some((_thread, text)) => text,
        None => text,
    };
    let text = match text.rsplit_once(" (after ") {
        Some((text, rest)) if rest.ends_with(')') => text,
        Some(_) | None => text,
    };
    let words = text.split(' ').filter(|word| !word.contains('#'));
    words
        .flat_map(|word| word.chars().filter(|c| !c.is_ascii_digit()).chain([' ']))
        .collect()
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
    fn one_failure_of_a_broker_is_one_line_however_librdkafka_tells_it() {
        let mut digest = LogDigest::default();
        let logged = "[thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused \
                      (after 0ms in state CONNECT)";
        assert_eq!(digest.note(logged, Duration::ZERO), Some(0));
        for again in [
            "[thrd:kafka:9092/bootstrap]: kafka:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 3ms \
             in state CONNECT, 1 identical error(s) suppressed)",
            "kafka:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Connection refused (after 0ms in state CONNECT)",
        ] {
            assert!(digest.is_known(again, Duration::from_secs(1)), "{again}");
            assert_eq!(digest.note(again, Duration::from_secs(1)), None, "{again}");
        }
        for other in [
            "[thrd:kafka:9092/bootstrap]: other:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms)",
            "kafka:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: No route to host (after 0ms in state CONNECT)",
            "1/1 brokers are down",
        ] {
            assert!(!digest.is_known(other, Duration::from_secs(1)), "{other}");
        }
        assert!(!digest.is_known(logged, QUIET));
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
