//! The server over real sockets. The client here blocks the thread of the test's runtime: what answers does so on a thread of its own.

mod events;
mod hostile;
mod places;
mod questions;
mod tokens;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::serve::{LIMITS, Limits};
use super::*;
use crate::settings::AdminListen;
use crate::status::{Daemon, FORMAT, Hindrance};
use crate::telemetry::events::Event;

/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A server, and the board that it shows.
struct Trial {
    admin: Admin,
    board: Board,
}

/// On a free port of this machine, without a token.
fn open() -> AdminSettings {
    AdminSettings {
        listen: AdminListen::Tcp("127.0.0.1:0".parse().unwrap()),
        token: None,
        hosts: Vec::new(),
    }
}

/// A daemon that is fine.
fn fine() -> Daemon {
    Daemon {
        format: FORMAT,
        version: "1.2.3".to_owned(),
        ready: true,
        ..Daemon::default()
    }
}

/// A daemon that has told of so much.
fn with_events(seqs: std::ops::RangeInclusive<u64>) -> Daemon {
    let event = |seq| Event {
        seq,
        text: format!("event {seq}"),
        ..Event::default()
    };
    Daemon {
        events: seqs.map(event).collect(),
        ..fine()
    }
}

/// A daemon of which there is much to say, in bytes.
fn large(bytes: usize) -> Daemon {
    Daemon {
        hindrances: vec![Hindrance {
            text: "x".repeat(bytes),
            ..Hindrance::default()
        }],
        ..fine()
    }
}

impl Trial {
    async fn start() -> Self {
        Self::with(&open(), LIMITS).await
    }

    async fn within(limits: Limits) -> Self {
        Self::with(&open(), limits).await
    }

    async fn with(settings: &AdminSettings, limits: Limits) -> Self {
        let board = Board::new(fine());
        let listener = Listener::bind(settings).await.unwrap().unwrap();
        let admin = listener.serve_within(limits, board.clone()).await.unwrap();
        Self { admin, board }
    }

    fn address(&self) -> String {
        let url = self.admin.url();
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
        format!("127.0.0.1:{port}")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Asks as a good client does.
    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        ))
    }

    /// Sends this, and reads the answer to the end of the connection.
    fn ask(&self, request: &str) -> Answer {
        ask(self.connect(), request)
    }
}

fn ask(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    Answer::of(&text)
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// All values of a header.
    fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .collect()
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
