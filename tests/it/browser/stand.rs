//! A simulated service in this process, the real binary with a port for its page, and topics that fit.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use livestreamd::simulator::{Rate, Running, SimulatedStream, Simulator, SimulatorSettings, TokenRules};

use crate::process::child::{Livestreamd, Scratch, path};
use crate::support::broker::free_ports;
use crate::support::kafka::Kafka;

pub const CLIENT_ID: &str = "page-client";
pub const CLIENT_SECRET: &str = "quiet-7Qz9-page";
/// Hits a second of each stream.
pub const RATE: f64 = 50.0;

/// Where a daemon runs that a page shows.
pub struct Stand {
    pub simulator: Running,
    /// `http://host:port/` of the page, the same after a restart.
    pub url: String,
    scratch: Scratch,
    config: PathBuf,
}

impl Stand {
    /// Starts the service, and makes topics and a configuration. `more` are further lines of it, for its end.
    pub async fn new(kafka: &Kafka, streams: &[&str], cooldown: Duration, more: &str) -> Self {
        let settings = SimulatorSettings {
            streams: streams
                .iter()
                .map(|name| SimulatedStream {
                    rate: Rate::PerSecond(RATE),
                    ..SimulatedStream::new(*name)
                })
                .collect(),
            tokens: TokenRules {
                client: Some((CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned())),
                ..TokenRules::default()
            },
            ..SimulatorSettings::default()
        };
        let simulator = Simulator::start(settings.with_cooldown(cooldown))
            .await
            .expect("a simulator can be started on a free port");
        let scratch = Scratch::new();
        scratch.write("secret", CLIENT_SECRET);
        let [port] = free_ports();
        let mut text = format!(
            "state_dir = {:?}\n\
             [credentials.default]\nclient_id = \"{CLIENT_ID}\"\nclient_secret_file = {:?}\ntoken_url = \"{}\"\n\
             [upstream]\ncooldown = \"{}ms\"\n\
             [kafka]\nbrokers = \"{}\"\ndead_letter_topic = \"{}\"\n\
             [kafka.properties]\n\"statistics.interval.ms\" = 500\n\
             [admin]\nlisten = \"127.0.0.1:{port}\"\n\
             [log]\nformat = \"json\"\n",
            path(&scratch.path().join("state")),
            path(&scratch.path().join("secret")),
            simulator.token_url(),
            cooldown.as_millis(),
            kafka.addr(),
            kafka.fresh_topic("page-dead-letters", 1),
        );
        for name in streams {
            let (url, topic) = (simulator.url(name), kafka.fresh_topic(name, 1));
            writeln!(
                text,
                "[streams.{name}]\nurl = \"{url}\"\nreport_suite = \"example{name}\"\ntopic = \"{topic}\""
            )
            .expect("text can be written to");
        }
        text.push_str(more);
        let config = scratch.write("livestreamd.toml", &text);
        Self {
            simulator,
            url: format!("http://127.0.0.1:{port}/"),
            scratch,
            config,
        }
    }

    /// Changes the file that the secret is read from.
    pub fn write_secret(&self, secret: &str) {
        self.scratch.write("secret", secret);
    }

    /// Starts `livestreamd run`; its page can be asked for when this returns.
    pub fn run(&self) -> Livestreamd {
        let daemon = Livestreamd::start(&self.scratch, &["run", "--config", path(&self.config)], &[]);
        daemon.logged("that it has started", |line| line["message"] == "started");
        daemon
    }
}
