//! `livestreamd top` on a real terminal: in tmux, against a running daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use livestreamd::simulator::{Rate, SimulatedStream, SimulatorSettings};

use super::child::{LIMIT, path};
use super::trial::Trial;
use crate::support::guarded::Guarded;
use crate::support::wait_until;

/// Long enough that a countdown is still there when it is looked at again.
const COOLDOWN: Duration = Duration::from_secs(50);

/// A terminal in a tmux of its own, which dies with the test.
struct Tmux {
    socket: PathBuf,
    _server: Guarded,
}

impl Tmux {
    /// Runs a shell's script on a terminal of this size.
    fn run(dir: &Path, columns: u16, lines: u16, script: &str) -> Self {
        // Below target, so that it goes with the test.
        let socket = dir.join("tmux");
        let its = dir.join("terminal");
        std::fs::create_dir(&its).expect("a directory can be made under target");
        let command = [
            "env",
            "TERM=xterm-256color",
            "LC_ALL=C.UTF-8",
            "tmux",
            "-u",
            "-S",
            path(&socket),
            "-f",
            "/dev/null",
            "-D",
        ];
        let server = Guarded::spawn(&its, &dir.join("tmux.log"), command);
        let tmux = Self {
            socket,
            _server: server,
        };
        wait_until("tmux is there (.ci/run installs it)", LIMIT, || tmux.socket.exists());
        let (columns, lines) = (columns.to_string(), lines.to_string());
        tmux.tell(&["new-session", "-d", "-x", &columns, "-y", &lines, script]);
        tmux
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let told = Command::new("tmux")
            .args(["-u", "-S", path(&self.socket)])
            .args(arguments)
            .output()
            .expect("tmux can be started: .ci/run installs it");
        assert!(told.status.success(), "{arguments:?}: {told:?}");
        String::from_utf8(told.stdout).expect("tmux speaks UTF-8")
    }

    fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    /// Waits until the screen shows what is looked for.
    #[track_caller]
    fn shows<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let began = std::time::Instant::now();
        loop {
            let screen = self.screen();
            if let Some(seen) = look(&screen) {
                return seen;
            }
            assert!(
                began.elapsed() < LIMIT,
                "waited {LIMIT:?} in vain until the screen shows {what}:\n{screen}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }
}

/// The seconds left that the line of `stream` tells.
fn left(screen: &str, stream: &str) -> Option<u64> {
    let line = screen.lines().find(|line| line.trim_start().starts_with(stream))?;
    let (before, _) = line.split_once("s left")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_the_daemon_live_and_is_left_as_it_was() {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(100.0),
        ..SimulatedStream::new("live")
    };
    let trial = Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await;
    let listen = format!("unix:{}", path(&trial.scratch.path().join("admin.sock")));
    let daemon = trial.run_with(&[("LIVESTREAMD__ADMIN__LISTEN", &listen)]);
    trial.streaming("live", 50).await;

    let binary = env!("CARGO_BIN_EXE_livestreamd");
    let script =
        format!("echo before; {binary} top --admin {listen}; echo code=$?; stty -a | grep -o -- '-*icanon'; exec cat");
    let tmux = Tmux::run(trial.scratch.path(), 120, 35, &script);
    tmux.shows("a stream that streams, with its rate", |screen| {
        let line = screen.lines().find(|line| line.starts_with("  live "))?;
        (line.contains("streaming") && screen.starts_with("ready  livestreamd ") && !line.contains(" 0 ")).then_some(())
    });
    assert_eq!(tmux.tell(&["display-message", "-p", "#{alternate_on}"]), "1\n");

    trial.close("live", 1).await;
    let first = tmux.shows("a countdown", |screen| left(screen, "live"));
    tmux.shows("that it goes on", |screen| {
        left(screen, "live").filter(|left| *left < first)
    });
    tmux.press("Enter");
    tmux.shows("what to do about it", |screen| {
        (screen.contains("means") && screen.contains("daemon ")).then_some(())
    });
    tmux.press("Escape");
    tmux.tell(&["resize-window", "-x", "80", "-y", "24"]);
    tmux.shows("all of it on a smaller terminal", |screen| {
        (left(screen, "live").is_some() && screen.trim_end().lines().count() == 24).then_some(())
    });

    daemon.kill();
    tmux.shows("that the daemon is gone", |screen| {
        screen.contains("NO DAEMON for ").then_some(())
    });
    tmux.press("q");
    let after = tmux.shows("the end", |screen| screen.contains("icanon").then(|| screen.to_owned()));
    let lines: Vec<&str> = after.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, ["before", "code=0", "icanon"], "{after}");
    assert_eq!(
        tmux.tell(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]),
        "0 1\n"
    );
}
