//! `livestreamd status` against a running daemon: what it shows, and its exit codes.

use std::time::Duration;

use livestreamd::simulator::{AttemptFault, Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Ended, LIMIT, Livestreamd, path};
use super::trial::Trial;
use crate::support::wait_until;

const COOLDOWN: Duration = Duration::from_secs(1);
const TOKEN: &str = "hush-status-token";

struct Asked {
    trial: Trial,
    /// Where the admin server is, as a variable of the environment.
    listen: String,
}

impl Asked {
    async fn of(name: &str) -> Self {
        let stream = SimulatedStream {
            rate: Rate::PerSecond(100.0),
            ..SimulatedStream::new(name)
        };
        let trial = Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await;
        let listen = format!("unix:{}", path(&trial.scratch.path().join("admin.sock")));
        Self { trial, listen }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [
            ("LIVESTREAMD__ADMIN__LISTEN", &self.listen),
            ("LIVESTREAMD__ADMIN__TOKEN", TOKEN),
        ]
    }

    /// Runs `status` on the daemon's own configuration.
    fn status(&self, arguments: &[&str]) -> Ended {
        let arguments = [&["status", "--config", self.trial.config()], arguments].concat();
        Livestreamd::run(&self.trial.scratch, &arguments, &self.variables())
    }

    /// The first that ends with this code and shows this.
    fn ends_with(&self, code: i32, shown: &str, arguments: &[&str]) -> Ended {
        let mut last = None;
        wait_until(&format!("status ends with {code}, and shows {shown:?}"), LIMIT, || {
            let ended = self.status(arguments);
            let is_it = ended.code == code && ended.stdout.contains(shown);
            last = Some(ended);
            is_it
        });
        last.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_tells_ready_from_not_ready_from_not_there() {
    let asked = Asked::of("health").await;
    let daemon = asked.trial.run_with(&asked.variables());
    asked.trial.streaming("health", 50).await;

    let ready = asked.ends_with(0, "streaming", &[]);
    for told in [": ready, up ", "STREAM", "  health", "streaming", "kafka ", "journals "] {
        assert!(ready.stdout.contains(told), "{told}: {ready:?}");
    }
    assert!(!ready.stdout.contains('\x1b'), "this is no terminal: {ready:?}");
    let quiet = asked.status(&["--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (0, "", ""));
    let json: Value = serde_json::from_str(&asked.status(&["--json"]).stdout).unwrap();
    assert_eq!(json["streams"][0]["connections"][0]["state"], "streaming");
    let unknown = asked.status(&["helath"]);
    assert!(
        unknown.code == 64 && unknown.stderr.contains("use one of health"),
        "{unknown:?}"
    );

    asked
        .trial
        .simulator
        .fault("health", AttemptFault::status(404))
        .unwrap();
    asked.trial.close("health", 1).await;
    let failing = asked.ends_with(3, "failing", &["health"]);
    for told in ["NOT READY", "! health", "failing", "404", "-> "] {
        assert!(failing.stdout.contains(told), "{told}: {failing:?}");
    }
    let quiet = asked.status(&["--quiet"]);
    assert_eq!(
        (quiet.code, quiet.stdout.as_str(), quiet.stderr.lines().count()),
        (3, "", 1)
    );
    assert!(quiet.stderr.contains("stream health: no connection"), "{quiet:?}");
    let alive = asked.status(&["--alive", "--quiet"]);
    assert_eq!(
        (alive.code, alive.stdout.as_str(), alive.stderr.as_str()),
        (0, "", ""),
        "waiting is no reason to restart"
    );

    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    for arguments in [&[][..], &["--quiet"], &["--alive"], &["--json"]] {
        let gone = asked.status(arguments);
        assert_eq!((gone.code, gone.stdout.as_str()), (1, ""), "{gone:?}");
        assert!(
            gone.stderr.contains(&asked.listen) && gone.stderr.contains("is it running"),
            "{gone:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_is_asked_by_its_address_with_its_token() {
    let asked = Asked::of("asked").await;
    let daemon = asked.trial.run_with(&asked.variables());
    asked.ends_with(0, "", &["--quiet"]);
    let scratch = &asked.trial.scratch;
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["status", "--admin", &asked.listen], arguments].concat();
        Livestreamd::run(scratch, &arguments, variables)
    };
    let refused = run(&[], &[]);
    assert!(
        refused.code == 1 && refused.stderr.contains("without a token (401)"),
        "{refused:?}"
    );
    let refused = run(&[], &[("LIVESTREAMD_ADMIN_TOKEN", "hush-another")]);
    assert!(
        refused.code == 1 && refused.stderr.contains("refuses this token (401)"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("hush"), "{refused:?}");
    assert_eq!(run(&[], &[("LIVESTREAMD_ADMIN_TOKEN", TOKEN)]).code, 0);
    let file = scratch.write("token", &format!("{TOKEN}\n"));
    assert_eq!(run(&["--token-file", path(&file)], &[]).code, 0);
    // Who only asks whether it is alive need not know the token.
    assert_eq!(run(&["--alive"], &[]).code, 0);

    let off = Livestreamd::run(
        scratch,
        &["status", "--config", asked.trial.config()],
        &[("LIVESTREAMD__ADMIN__LISTEN", "off")],
    );
    assert!(
        off.code == 78 && off.stderr.contains("admin.listen is \"off\""),
        "{off:?}"
    );
    let both = run(&["--config", asked.trial.config()], &[]);
    assert_eq!(both.code, 64, "{both:?}");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}
