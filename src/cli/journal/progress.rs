//! How far a long reading has come, on standard error: nothing in the first second, then a line now and then.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::super::output::tell;
use super::size;

/// Whoever waits for less does not ask.
const FIRST_AFTER: Duration = Duration::from_secs(1);
/// On a terminal one line is written over and over; elsewhere each one stays.
const NEXT_ON_A_TERMINAL: Duration = Duration::from_secs(1);
const NEXT_ELSEWHERE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    what: String,
    due: Instant,
    on_terminal: bool,
    said: bool,
}

impl Progress {
    /// Of reading `what`.
    pub(super) fn of(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            due: Instant::now() + FIRST_AFTER,
            on_terminal: io::stderr().is_terminal(),
            said: false,
        }
    }

    /// So many bytes of so many are read.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        if let Some(text) = self.text_at(Instant::now(), done, total) {
            if self.on_terminal {
                let mut err = io::stderr().lock();
                // Back to the beginning of the line, and clear to its end.
                let _ = write!(err, "\r{text}\x1B[K").and_then(|()| err.flush());
            } else {
                tell(text);
            }
            self.said = true;
        }
    }

    /// What is to be said at this moment, if anything.
    fn text_at(&mut self, now: Instant, done: u64, total: u64) -> Option<String> {
        if now < self.due {
            return None;
        }
        self.due = now
            + if self.on_terminal {
                NEXT_ON_A_TERMINAL
            } else {
                NEXT_ELSEWHERE
            };
        Some(format!("{}: {} of {} are read", self.what, size(done), size(total)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.said && self.on_terminal {
            let _ = write!(io::stderr().lock(), "\r\x1B[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_in_the_first_second_and_then_not_all_the_time() {
        let mut progress = Progress::of("web");
        progress.on_terminal = false;
        let start = progress.due.checked_sub(FIRST_AFTER).unwrap();
        let texts: Vec<String> = (0..=210)
            .filter_map(|tenths| {
                let now = start + Duration::from_millis(100) * tenths;
                progress.text_at(now, 2048, 1 << 21)
            })
            .collect();
        assert_eq!(texts, ["web: 2.0 KiB of 2.0 MiB are read"; 3]);
        let mut at_once = Progress::of("web");
        assert_eq!(at_once.text_at(Instant::now(), 1, 2), None);
    }
}
