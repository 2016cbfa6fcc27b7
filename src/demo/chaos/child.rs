//! The daemon as a child process that can be killed at any moment, and that cannot outlive this process.
//!
//! Between the two stands a small shell. It holds the reading end of a pipe whose writing end only this process has: the kernel closes
//! that when this process is gone, for whatever reason, and then the shell kills the daemon.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

/// The command stands in `$@`. Its process id is told on standard output; standard error is the daemon's log.
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null >&2 3<&- &
child=$!
echo "$child"
{ read -r _; kill -s KILL "$child"; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&- </dev/null >/dev/null
wait "$child"; code=$?
kill "$watch"
exit "$code"
"#;

/// How the names of environment variables begin that the daemon takes for configuration.
const CONFIGURES: &[u8] = b"LIVESTREAMD__";

/// `livestreamd run`, running or ended. Dropping it kills it.
pub struct Child {
    pid: Pid,
    /// The writing end of the pipe. Nothing is ever written.
    _lifeline: ChildStdin,
    ended: watch::Receiver<Option<i32>>,
}

impl Child {
    /// Starts `program run --config FILE`, and appends what it says to the file `log`. Our own environment changes nothing of its
    /// configuration.
    pub fn start(program: &Path, config: &Path, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut shell = Command::new("sh");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(CONFIGURES)) {
            shell.env_remove(name);
        }
        let mut shell = shell
            .args(["-c", GUARD, "guard"])
            .arg(program)
            .arg("run")
            .arg("--config")
            .arg(config)
            // A Ctrl-C in a terminal is for this process, which then ends the daemon.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let pipes = shell.stdin.take().zip(shell.stdout.take());
        let (lifeline, stdout) = pipes.ok_or_else(|| io::Error::other("a child process without pipes"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the shell did not start livestreamd"))?;
        let (tell, ended) = watch::channel(None);
        std::thread::Builder::new().name("child".to_owned()).spawn(move || {
            let code = shell.wait().ok().and_then(|status| status.code());
            tell.send_replace(Some(code.unwrap_or(-1)));
        })?;
        Ok(Self {
            pid,
            _lifeline: lifeline,
            ended,
        })
    }

    /// Sends a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.ended.borrow().is_none() {
            kill_process(self.pid, signal)?;
        }
        Ok(())
    }

    /// Waits for its end, and tells its exit code; 128 and the signal's number if a signal ended it.
    pub async fn ended(&self) -> i32 {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(code) => code.unwrap_or(-1),
            Err(_) => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_child_says_something_and_dies_of_a_kill() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, "#!/bin/sh\necho \"$@\" >&2\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let log = dir.path().join("log");
        let child = Child::start(&program, Path::new("some.toml"), &log).unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), child.ended()).await;
        assert!(early.is_err(), "it lives: {early:?}");
        child.signal(Signal::KILL).unwrap();
        assert_eq!(child.ended().await, 128 + 9);
        // Once more harms nobody.
        child.signal(Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_child_s_exit_code_and_words_come_through() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, "#!/bin/sh\necho \"$@\" >&2\nexit 78\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let log = dir.path().join("log");
        let child = Child::start(&program, Path::new("some.toml"), &log).unwrap();
        assert_eq!(child.ended().await, 78);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "run --config some.toml\n");
    }
}
