//! Log lines into the journal of systemd, by its native protocol: one datagram a line, with fields.
//!
//! ```text
//! NAME=value\n                                       a value without a line break
//! NAME\n  length: u64, little-endian  value  \n      any value
//! ```
//!
//! Promise: nothing waits for the journal. A line that it does not take at once is dropped, and the next one that it takes says how many were.
//! `MESSAGE` holds the other fields too, because that is what `journalctl` shows.

use std::fmt::Write as _;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::fields::{Bounds, Fields};

/// Where systemd-journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// What `journalctl -t` selects.
const IDENTIFIER: &str = "livestreamd";

/// Stands before the names of our fields, so that none is taken for one of the journal's own.
const PREFIX: &str = "LIVESTREAMD_";

/// The journal takes no longer name.
const LONGEST_NAME: usize = 64;

/// A line stands twice in a datagram, in `MESSAGE` and in fields; a datagram may have some 200 KiB by default.
const BOUNDS: Bounds = Bounds {
    text: 16 * 1024,
    all: 32 * 1024,
};

/// The journal of systemd.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
    dropped: AtomicU64,
}

impl Journald {
    /// Finds out whether the journal listens at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        // Not the socket that is written to: one that stays unconnected reaches a journal that was restarted.
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            dropped: AtomicU64::new(0),
        })
    }

    fn send(&self, mut entry: Entry) {
        // Whoever takes the count tells it; if it cannot, it is put back.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            entry.put(&format!("{PREFIX}LINES_DROPPED"), &dropped.to_string());
        }
        if self.socket.send_to(&entry.0, &self.path).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

impl<S: Subscriber> Layer<S> for Journald {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let fields = Fields::of(event, BOUNDS);
        let mut entry = Entry::default();
        entry.put("MESSAGE", &message(&fields));
        entry.put("PRIORITY", priority(*metadata.level()));
        entry.put("SYSLOG_IDENTIFIER", IDENTIFIER);
        if let Some(file) = metadata.file() {
            entry.put("CODE_FILE", file);
        }
        if let Some(line) = metadata.line() {
            entry.put("CODE_LINE", &line.to_string());
        }
        entry.put(&format!("{PREFIX}TARGET"), metadata.target());
        for (name, value) in &fields.values {
            entry.put(&journal_name(name), value);
        }
        self.send(entry);
    }
}

/// One datagram.
#[derive(Default)]
struct Entry(Vec<u8>);

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

/// The message, and `name=value` for each field. The journal itself shows the time and the priority.
fn message(fields: &Fields) -> String {
    let mut text = fields.message.clone();
    for (name, value) in &fields.values {
        let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        // Writing to a String cannot fail.
        let _ = if is_plain {
            write!(text, " {name}={value}")
        } else {
            write!(text, " {name}={value:?}")
        };
    }
    text
}

/// The priorities of syslog. What is below info is all the same to whoever reads them.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The journal takes capitals, digits and `_`.
fn journal_name(field: &str) -> String {
    let name = field.chars().map(|c| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    });
    PREFIX.chars().chain(name).take(LONGEST_NAME).collect()
}

#[cfg(test)]
#[path = "journald_tests.rs"]
mod tests;
