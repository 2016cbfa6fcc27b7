//! A child process that cannot outlive the test process: not after a panic, not after a normal end (statics are never dropped),
//! not after `kill -9`.
//!
//! Between the two stands a small shell. It holds the reading end of a pipe whose writing end only the test process has; the kernel
//! closes that end when the test process is gone, for whatever reason, and then the shell kills the child and removes its directory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// `$1` is the directory, the rest the command. `gone` is written before the kill, so that whoever sees the child die of it sees the
/// file too; by `true`, because `:` would end the shell before the kill if the directory is gone already. Ctrl-C reaches the whole process
/// group: the shell must survive it to do its work.
const GUARD: &str = r#"
trap '' INT HUP
dir=$1; shift
exec 3<&0
"$@" </dev/null >&2 3<&- &
child=$!
echo "$child"
{ read -r _; true >"$dir/gone"; kill -s KILL "$child"; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&- </dev/null >/dev/null
wait "$child"; code=$?
if [ -e "$dir/gone" ]; then rm -rf "$dir"; else kill "$watch"; fi
exit "$code"
"#;

/// A running child process; dropping it kills the child, waits for its death, and removes its directory.
pub struct Guarded {
    pid: Pid,
    dir: PathBuf,
    /// The writing end of the pipe. Nothing is ever written.
    lifeline: Option<ChildStdin>,
    ended: Receiver<ExitStatus>,
}

impl Guarded {
    /// Starts `command` (program and arguments) with its output appended to `log`. `dir` must exist, and is removed with
    /// everything in it when the test process, or this value, ends while the child still runs.
    pub fn spawn<'a>(dir: &Path, log: &Path, command: impl IntoIterator<Item = &'a str>) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log of a child process can be opened");
        let mut shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(dir)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("sh can be started");
        let lifeline = shell.stdin.take();
        let mut first_line = String::new();
        BufReader::new(shell.stdout.take().expect("stdout is a pipe"))
            .read_line(&mut first_line)
            .expect("the guard can be read");
        let pid = first_line
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("the guard says its child's process id");
        let (tell, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let status = shell.wait().expect("a child process can be waited for");
            // Nobody listens any more once the value is dropped.
            let _ = tell.send(status);
        });
        Self {
            pid,
            dir: dir.to_owned(),
            lifeline,
            ended,
        }
    }

    /// The child's process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether the child has ended by itself.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.ended.try_recv().ok()
    }

    /// Sends a signal, and does not wait for what comes of it. The child must not have ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("a child process can be signalled");
    }

    /// Waits for the child to end by itself, or of a signal (its code is then 128 and the signal's number). Returns `None` if it has not
    /// after `limit`. Once it has ended the directory stays.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let status = self.ended.recv_timeout(limit).ok()?;
        self.lifeline = None;
        Some(status)
    }

    /// Sends SIGTERM and waits for the child's end; after `limit` it panics (and the child is killed). The directory stays.
    pub fn stop(mut self, limit: Duration) {
        self.end(Signal::TERM, limit);
    }

    /// Sends SIGKILL and waits for the child's end. The directory stays.
    pub fn kill(mut self) {
        self.end(Signal::KILL, Duration::from_secs(10));
    }

    fn end(&mut self, signal: Signal, limit: Duration) {
        // The process id is still the child's: the guard has not reported its end.
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(Duration::ZERO) {
            kill_process(self.pid, signal).expect("a child process can be signalled");
            self.ended
                .recv_timeout(limit)
                .unwrap_or_else(|_| panic!("the child did not end within {limit:?}"));
        }
        self.lifeline = None;
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.lifeline.take().is_some() {
            let _ = self.ended.recv_timeout(Duration::from_secs(10));
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
