//! A headless Chromium with a profile of its own, as a child process that cannot outlive the test, and its `DevTools` protocol.
//!
//! The protocol goes over two named pipes (`--remote-debugging-pipe`): JSON messages with a zero byte behind each. That needs no port,
//! no WebSocket and no `WebDriver` beside it, and so no crate: the crates for it bring a hundred others and a copy of the whole protocol,
//! of which ten calls are used here.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::process::child::{Scratch, path};
use crate::support::guarded::Guarded;

/// How long Chromium may take to answer. Longer than anybody lets a page wait for something.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);
/// The names that it has on different systems.
const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Opens the pipes in the order in which the test does: each end waits for the other.
const START: &str = r#"pipes=$1; shift; exec "$@" 3<"$pipes/to" 4>"$pipes/from""#;

/// A running browser.
pub struct Chromium {
    /// Dropped first: it ends the browser.
    _running: Guarded,
    to: File,
    from: Receiver<Value>,
    last_id: u64,
    /// What came while an answer was waited for.
    events: Vec<Value>,
    log: std::path::PathBuf,
    _scratch: Scratch,
}

impl Chromium {
    /// Starts one. Panics if there is none on this machine: no test is skipped for the lack of it.
    pub fn start() -> Self {
        let program = program();
        let scratch = Scratch::new();
        // Removed by the guard, together with what Chromium leaves there.
        let dir = scratch.path().join("chromium");
        std::fs::create_dir(&dir).expect("a directory can be made under target");
        for pipe in ["to", "from"] {
            mknodat(CWD, dir.join(pipe), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe can be made");
        }
        let log = scratch.path().join("chromium.log");
        let profile = format!("--user-data-dir={}", path(&dir.join("profile")));
        let command = [
            "sh",
            "-c",
            START,
            "sh",
            path(&dir),
            &program,
            "--headless=new",
            // Tests run as root in containers, and there it cannot have one. Only pages of our own are opened.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
            &profile,
        ];
        let running = Guarded::spawn(&dir, &log, command);
        let to = File::options()
            .write(true)
            .open(dir.join("to"))
            .expect("the pipe is there");
        let from = File::open(dir.join("from")).expect("the pipe is there");
        let (tell, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("Chromium writes JSON");
                if tell.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            _running: running,
            to,
            from: answers,
            last_id: 0,
            events: Vec::new(),
            log,
            _scratch: scratch,
        }
    }

    /// Calls a method, of the browser or of the page that `session` stands for, and returns its result.
    #[track_caller]
    pub fn call(&mut self, session: Option<&str>, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if let Err(error) = self.to.write_all(&bytes) {
            panic!("Chromium does not listen ({error}); its log ends:\n{}", self.log_end());
        }
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let mut message = match self
                .from
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => panic!("Chromium did not answer {method} within {ANSWER_LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("Chromium has ended; its log ends:\n{}", self.log_end()),
            };
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The events that have come so far. Whoever wants those of something that has happened makes any call first: they come before
    /// its answer.
    pub fn take_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn program() -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = PROGRAMS.iter().find_map(|name| {
        std::env::split_paths(&paths)
            .map(|dir| dir.join(name))
            .find(|file| is_program(file))
    });
    let found = found
        .unwrap_or_else(|| panic!("no Chromium to be found: install chromium (Debian has it), or .ci/run tools does"));
    path(&found).to_owned()
}

fn is_program(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
}
