//! `/events`.

use std::io::{BufRead as _, BufReader};

use super::*;
use crate::settings::SecretSource;

/// A reader of `/events`.
struct Reader(BufReader<TcpStream>);

/// One event, as (name, data); comments have the name "".
type Told = (String, String);

impl Reader {
    fn start(trial: &Trial) -> Self {
        Self::start_with(trial, "")
    }

    fn start_with(trial: &Trial, headers: &str) -> Self {
        let mut stream = trial.connect();
        // HTTP/1.0 is answered without chunks.
        let request = format!("GET /events HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = Self(BufReader::new(stream));
        let head = reader.block().unwrap();
        assert!(
            head.starts_with("HTTP/1.0 200 ") || head.starts_with("HTTP/1.1 200 "),
            "{head}"
        );
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert_eq!(reader.block().unwrap(), "retry: 3000\n");
        reader
    }

    /// Up to the next empty line; nothing at the end.
    fn block(&mut self) -> Option<String> {
        let mut block = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                return Some(block);
            }
            block.push_str(&line.replace('\r', ""));
        }
    }

    fn next(&mut self) -> Option<Told> {
        let block = self.block()?;
        let field = |name: &str| {
            let mut lines = block.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().unwrap_or_default().to_owned()
        };
        Some((field("event: "), field("data: ")))
    }

    /// The next status; what else comes is passed over.
    fn status(&mut self) -> Daemon {
        loop {
            let (name, data) = self.next().unwrap();
            if name == "status" {
                return serde_json::from_str(&data).unwrap();
            }
        }
    }

    /// The `seq` of the next log line; what else comes is passed over.
    fn log(&mut self) -> u64 {
        loop {
            let (name, data) = self.next().unwrap();
            if name == "log" {
                return serde_json::from_str::<Event>(&data).unwrap().seq;
            }
        }
    }
}

#[tokio::test]
async fn the_first_event_is_the_whole_status_at_once() {
    let trial = Trial::start().await;
    trial.board.post(with_events(1..=3));
    let (name, data) = Reader::start(&trial).next().unwrap();
    assert_eq!(name, "status");
    assert_eq!(serde_json::from_str::<Daemon>(&data).unwrap(), with_events(1..=3));
}

#[tokio::test]
async fn each_new_log_line_is_told_once_and_those_of_the_first_status_are_not_told_again() {
    let trial = Trial::start().await;
    trial.board.post(with_events(1..=3));
    let mut reader = Reader::start(&trial);
    reader.status();
    trial.board.post(with_events(2..=5));
    assert_eq!([reader.log(), reader.log()], [4, 5]);
    trial.board.post(with_events(4..=5));
    trial.board.post(with_events(6..=6));
    assert_eq!(reader.log(), 6);
}

#[tokio::test]
async fn a_burst_of_posts_comes_as_the_newest_only_and_after_a_while() {
    let trial = Trial::start().await;
    let mut reader = Reader::start(&trial);
    reader.status();
    let began = Instant::now();
    for nth in 1..=1000 {
        trial.board.post(Daemon {
            version: nth.to_string(),
            ..fine()
        });
    }
    let second = reader.status();
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(second.version, "1000");
}

#[tokio::test]
async fn a_reader_that_lags_skips_statuses() {
    let trial = Trial::start().await;
    trial.board.post(large(8 << 20));
    let mut reader = Reader::start(&trial);
    // It reads on only after all this was posted.
    for nth in 1..=50 {
        trial.board.post(Daemon {
            version: nth.to_string(),
            ..fine()
        });
    }
    assert_eq!(reader.status(), large(8 << 20), "what had begun to be sent");
}

#[tokio::test]
async fn a_quiet_connection_is_kept_alive_with_comments() {
    let trial = Trial::within(Limits {
        keep_alive: Duration::from_millis(50),
        ..LIMITS
    })
    .await;
    let mut reader = Reader::start(&trial);
    reader.status();
    for _ in 0..3 {
        assert_eq!(reader.block().unwrap(), ": alive\n");
    }
}

#[tokio::test]
async fn readers_beyond_the_limit_are_refused_and_a_place_is_free_again_when_one_leaves() {
    let trial = Trial::within(Limits { followers: 2, ..LIMITS }).await;
    let mut readers: Vec<Reader> = (0..2).map(|_| Reader::start(&trial)).collect();
    let refused = trial.get("/events");
    assert_eq!(refused.status, 503);
    assert!(
        refused.body.starts_with("too many readers of /events; "),
        "{}",
        refused.body
    );
    assert_eq!(trial.get("/status").status, 200, "all else is answered");
    readers.pop();
    wait_until("a place is free", || {
        let head = "HEAD /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        trial.ask(head).status == 200
    });
    Reader::start(&trial).status();
}

#[tokio::test]
async fn the_end_of_the_server_ends_the_events() {
    let trial = Trial::start().await;
    let mut reader = Reader::start(&trial);
    reader.status();
    trial.admin.stop().await;
    assert_eq!(reader.next(), None);
}

#[tokio::test]
async fn another_token_ends_what_the_last_one_opened_and_the_same_one_does_not() {
    let guarded = |token: &str| AdminSettings {
        token: Some(SecretSource::Inline(token.to_owned().into())),
        ..open()
    };
    let trial = Trial::with(&guarded("first"), LIMITS).await;
    let mut reader = Reader::start_with(&trial, "Authorization: Bearer first\r\n");
    reader.status();
    trial.admin.renew(&guarded("first")).await.unwrap();
    trial.board.post(fine());
    reader.status();
    trial.admin.renew(&guarded("second")).await.unwrap();
    let rest = std::iter::from_fn(|| reader.block()).take(20).count();
    assert!(rest < 20, "it goes on");
}
