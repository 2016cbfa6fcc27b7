//! librdkafka's log lines, repeated ones summed up. An unreachable broker makes it write the same few lines for hours, and each producer
//! writes them anew.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::{Digest, digest};

/// How many different lines are told apart.
const MOST_LINES: usize = 256;

/// Which lines were written lately, of all producers together.
#[derive(Debug)]
pub struct SharedLogDigest {
    began: Instant,
    lines: Mutex<LogDigest>,
}

impl Default for SharedLogDigest {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            lines: Mutex::default(),
        }
    }
}

impl SharedLogDigest {
    /// If the line is to be written now: how often one like it was held back, if it was.
    pub fn note(&self, text: &str) -> Option<Option<u64>> {
        let repeated = self.lines().note(text, self.began.elapsed())?;
        Some((repeated > 0).then_some(repeated))
    }

    /// Whether a line like it was written lately. librdkafka reports as an error, too, what it has just logged.
    pub fn is_known(&self, text: &str) -> bool {
        self.lines().is_known(text, self.began.elapsed())
    }

    fn lines(&self) -> MutexGuard<'_, LogDigest> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which lines were written lately.
#[derive(Debug)]
pub struct LogDigest(Digest<String>);

impl Default for LogDigest {
    fn default() -> Self {
        Self(Digest::without_end(MOST_LINES))
    }
}

impl LogDigest {
    /// Notes a line. If it is to be written: how many like it were not, since the last one that was. `now` is any clock that does
    /// not go back.
    pub fn note(&mut self, text: &str, now: Duration) -> Option<u64> {
        self.0.note(likeness(text), now).map(|told| told.untold)
    }

    /// Whether a line like it was written lately.
    pub fn is_known(&self, text: &str, now: Duration) -> bool {
        self.0.is_quiet(&likeness(text), now)
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
    // The broker's name comes first, and two brokers are two matters.
    let words = words.enumerate().map(|(nth, word)| match nth {
        0 if word.ends_with(':') => word.to_owned(),
        _ => digest::likeness(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_line_is_written_ever_more_seldom_with_its_count() {
        let mut digest = LogDigest::default();
        let at = Duration::from_secs;
        assert_eq!(digest.note("broker 1 is down after 20 ms", at(5)), Some(0));
        assert_eq!(digest.note("broker 1 is down after 21 ms", at(6)), None);
        assert_eq!(digest.note("another", at(6)), Some(0));
        assert_eq!(digest.note("broker 1 is down after 3 ms", at(64)), None);
        assert_eq!(digest.note("broker 1 is down after 4 ms", at(65)), Some(2));
        assert_eq!(digest.note("broker 1 is down after 4 ms", at(65 + 299)), None);
        assert_eq!(digest.note("broker 1 is down after 4 ms", at(65 + 300)), Some(1));
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
            "kafka2:9092/2: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "1/1 brokers are down",
        ] {
            assert!(!digest.is_known(other, Duration::from_secs(1)), "{other}");
        }
        assert!(!digest.is_known(logged, Duration::from_mins(1)));
    }
}
