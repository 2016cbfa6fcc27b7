//! The binary as a child process that cannot outlive the test: what it is given, what it says, and how it ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::guarded::Guarded;
use crate::support::wait_until;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_livestreamd");

/// How long anything may take that should happen at once, on a machine that has much else to do.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A directory of a test's own under `target/tmp`, gone with the test and with the test process.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("process-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a directory can be made under target");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it, for this user alone.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file can be written under target");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner may do that");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `livestreamd`, running or ended. Dropping it kills it.
pub struct Livestreamd {
    guarded: Option<Guarded>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What is left of a command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Livestreamd {
    /// Starts it with these arguments, and with no environment but `variables`.
    pub fn start(scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_by(r#"out=$1; shift; exec "$@" >"$out""#, scratch, arguments, variables)
    }

    /// The same, with a standard error that takes nothing.
    pub fn start_unheard(scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::start_by(
            r#"out=$1; shift; exec "$@" >"$out" 2>/dev/full"#,
            scratch,
            arguments,
            &[],
        )
    }

    fn start_by(script: &str, scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stdout = scratch.path().join(format!("{number}.out"));
        let stderr = scratch.path().join(format!("{number}.err"));
        let assignments: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let to_stdout = ["sh", "-c", script, "sh", path(&stdout)];
        let command = to_stdout
            .into_iter()
            .chain(["env", "-i"])
            .chain(assignments.iter().map(String::as_str))
            .chain([BINARY])
            .chain(arguments.iter().copied());
        let guarded = Some(Guarded::spawn(scratch.path(), &stderr, command));
        Self {
            guarded,
            stdout,
            stderr,
        }
    }

    /// Starts it and waits for its end.
    pub fn run(scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::start(scratch, arguments, variables).ended()
    }

    /// The most memory that it has had resident so far, in bytes.
    pub fn peak_rss(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory of its own, not of files, that it has resident now, in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("RssAnon:")
    }

    fn memory(&self, line: &str) -> u64 {
        let pid = self.guarded.as_ref().expect("it has not ended").pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let kib = status
            .lines()
            .find_map(|found| found.strip_prefix(line)?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("the kernel counts it in KiB")
            * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.guarded.as_ref().expect("it has not ended").signal(signal);
    }

    /// Stops it where it is (SIGSTOP); returns when none of its threads runs. SIGCONT lets it go on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let pid = self.guarded.as_ref().expect("it has not ended").pid();
        wait_until("all its threads have stopped", LIMIT, || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
            threads.flatten().all(|thread| {
                // A thread that is gone meanwhile runs no more.
                let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                stat.rsplit_once(')').is_none_or(|(_, state)| state.starts_with(" T "))
            })
        });
    }

    /// `kill -9`; returns when it is dead.
    pub fn kill(mut self) {
        self.guarded.take().expect("it has not ended").kill();
    }

    /// Waits for its end. Panics if it does not come.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let status = self.guarded.as_mut().expect("it has not ended").wait(LIMIT);
        let status = status.unwrap_or_else(|| panic!("livestreamd did not end within {LIMIT:?}"));
        Ended {
            code: status.code().expect("the guard passes the code on"),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Sends a signal, and waits for its end.
    #[track_caller]
    pub fn ended_by(self, signal: Signal) -> Ended {
        self.signal(signal);
        self.ended()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until a line of its log, in JSON, is the one looked for, and returns that line.
    #[track_caller]
    pub fn logged(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        wait_until(&format!("the log says: {what}"), LIMIT, || {
            found = log_lines(&self.stderr()).into_iter().find(|line| is_it(line));
            found.is_some()
        });
        found.expect("it was found")
    }
}

impl Drop for Livestreamd {
    fn drop(&mut self) {
        // Before its directory goes.
        if std::thread::panicking() {
            let text = self.stderr();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            #[expect(clippy::print_stderr, reason = "the test framework shows it with the failure")]
            {
                eprintln!("livestreamd said last:\n{last}");
            }
        }
    }
}

/// The lines of a log in JSON; what is no JSON, such as a line that is not finished yet, is left out.
pub fn log_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// A path of ours, as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths under target are text")
}
