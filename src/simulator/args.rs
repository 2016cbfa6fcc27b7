//! `livestreamd simulate`: the simulator from a command line.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::faults::{Fault, StreamFault};
use super::ledger_entries::LedgerSummary;
use super::settings::{
    Api2, AtTotal, Backfill, BodyStyle, Chaos, LineEnd, PlannedFault, Rate, Redirect, RedirectTarget, SimulatedStream,
    SimulatorSettings, TlsIdentity, TokenRules,
};
use super::{Handle, Simulator};

/// The record entries that are kept in memory, 32 bytes each: all are in the ledger file, if there is one.
const KEPT_RECORDS: usize = 5_000_000;

/// Run a Live Stream service for trials, without an Adobe contract.
///
/// It issues access tokens to anybody, serves made-up hits as Adobe Analytics Live Stream does, and lets things go wrong when told
/// to. While it runs, `curl http://127.0.0.1:8088/_sim` says what can be asked of it.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct SimulateArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    pub listen: SocketAddr,

    /// A stream to serve, by the name at the end of its URL; may be given several times
    #[arg(long = "stream", value_name = "NAME", default_value = "examplecomprod")]
    pub streams: Vec<String>,

    /// Hits a second on each stream; 0 for silence, max for as fast as the client reads
    #[arg(long, value_name = "HITS", default_value = "100", value_parser = Rate::from_str)]
    pub rate: Rate,

    /// Make only this many hits on each stream
    #[arg(long, value_name = "HITS")]
    pub total: Option<u64>,

    /// Close the stream once all hits of --total are sent, instead of falling silent
    #[arg(long, requires = "total")]
    pub close_at_total: bool,

    /// How many visitors there are (rounded up to a power of two)
    #[arg(long, value_name = "NUMBER", default_value_t = 256)]
    pub visitors: u32,

    /// The same seed makes the same hits
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// Insist on this client id (with --client-secret); otherwise anybody gets a token
    #[arg(long, value_name = "ID", requires = "client_secret")]
    pub client_id: Option<String>,

    /// The secret that goes with --client-id
    #[arg(long, value_name = "SECRET", requires = "client_id")]
    pub client_secret: Option<String>,

    /// How long a token is valid
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub token_lifetime: Duration,

    /// A reconnect sooner than this after a disconnect is noted as early
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub cooldown: Duration,

    /// How long a lost connection is still counted, so that a reconnect gets 409
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = humantime::parse_duration)]
    pub linger: Duration,

    /// After a reconnect, send this many of the last hits again
    #[arg(long, value_name = "HITS", default_value_t = 0)]
    pub repeat: usize,

    /// After a reconnect, send what was missed if the gap is no longer than this
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub backfill: Option<Duration>,

    /// Answer every attempt with so many redirects first
    #[arg(long, value_name = "HOPS", default_value_t = 0)]
    pub redirects: u8,

    /// Where redirects lead, such as `https://stream.example.net`; by default back to the simulator
    #[arg(long, value_name = "URL", requires = "redirects")]
    pub redirect_to: Option<String>,

    /// Start a new gzip member after about this many records; 0 for one member only
    #[arg(long, value_name = "RECORDS", default_value_t = 0)]
    pub member_every: u32,

    /// Mix bare line feeds among the line ends
    #[arg(long)]
    pub mixed_line_ends: bool,

    /// End the body with the connection instead of using chunked coding
    #[arg(long)]
    pub no_chunks: bool,

    /// Refuse /api/2 with 424 until it is enabled
    #[arg(long)]
    pub api2_disabled: bool,

    /// Let something go wrong on each connection, on the average this often
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub fault_every: Option<Duration>,

    /// What goes wrong with --fault-every: faults such as cut or stall:for=5s, may be given several times; by default a mixture
    #[arg(long = "fault", value_name = "FAULT", value_parser = stream_fault, requires = "fault_every")]
    pub faults: Vec<StreamFault>,

    /// Let something go wrong at a set time after the start, for example 10s/reset or 1m/status:code=503,times=3
    #[arg(long = "fault-at", value_name = "TIME/FAULT", value_parser = planned_fault)]
    pub planned: Vec<PlannedFault>,

    /// Serve by TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Turn away who has no client certificate of an authority in this file (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// The host to name in URLs, if it is not the address listened on
    #[arg(long, value_name = "HOST")]
    pub public_host: Option<String>,

    /// Write down every accept, record and end in this file, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// An address, a file or a stream's name cannot be used; the text names it.
    #[error("the simulator cannot start: {0}")]
    Start(#[from] io::Error),
}

/// Runs the simulator until `shutdown` is done. `announce` is given a short text that says what to put into a configuration, once
/// it listens. Returns what the ledger came to.
pub async fn run(
    args: SimulateArgs,
    announce: impl FnOnce(&str),
    shutdown: impl Future<Output = ()>,
) -> Result<LedgerSummary, SimulateError> {
    let names = args.streams.clone();
    let running = Simulator::start(args.settings()).await?;
    tracing::info!(address = %running.addr(), streams = names.len(), "the simulator listens");
    announce(&start_up_text(&running, &names));
    shutdown.await;
    running.stop().await;
    let summary = running.ledger().summary();
    tracing::info!(
        accepts = summary.accepts,
        early = summary.early,
        records = summary.records,
        "the simulator stopped"
    );
    Ok(summary)
}

impl SimulateArgs {
    /// The settings that these arguments stand for.
    pub fn settings(self) -> SimulatorSettings {
        let stream = SimulatedStream {
            rate: self.rate,
            total: self.total,
            at_total: if self.close_at_total {
                AtTotal::Close
            } else {
                AtTotal::StaySilent
            },
            visitors: self.visitors,
            backfill: Backfill {
                repeat_last: self.repeat,
                missed_within: self.backfill,
            },
            body: BodyStyle {
                chunked: !self.no_chunks,
                line_end: if self.mixed_line_ends {
                    LineEnd::Mixed
                } else {
                    LineEnd::CrLf
                },
                member_every: self.member_every,
                ..BodyStyle::default()
            },
            redirect: (self.redirects > 0).then(|| Redirect {
                status: 302,
                hops: Some(self.redirects),
                target: self.redirect_to.map_or(RedirectTarget::Same, RedirectTarget::Base),
            }),
            api2: if self.api2_disabled {
                Api2::AfterEnable(API2_DELAY)
            } else {
                Api2::Enabled
            },
            chaos: self.fault_every.map(|mean_interval| Chaos {
                mean_interval,
                faults: if self.faults.is_empty() {
                    StreamFault::usual()
                } else {
                    self.faults
                },
            }),
            ..SimulatedStream::new("")
        };
        let named = |name: String| SimulatedStream {
            report_suite: name.clone(),
            name,
            ..stream.clone()
        };
        SimulatorSettings {
            listen: self.listen,
            public_host: self.public_host,
            tls: self
                .tls_cert
                .zip(self.tls_key)
                .map(|(certificate, key)| TlsIdentity::Pem { certificate, key }),
            tls_client_ca: self.tls_client_ca,
            seed: self.seed,
            streams: self.streams.into_iter().map(named).collect(),
            tokens: TokenRules {
                client: self.client_id.zip(self.client_secret),
                lifetime: self.token_lifetime,
                ..TokenRules::default()
            },
            cooldown: self.cooldown,
            linger: self.linger,
            ledger_limit: KEPT_RECORDS,
            ledger_file: self.ledger,
            planned: self.planned,
            ..SimulatorSettings::default()
        }
        .with_notice_for_cooldown()
    }
}

/// How long `/api/2` takes to be enabled (protocol notes, section 4).
const API2_DELAY: Duration = Duration::from_mins(15);

impl SimulatorSettings {
    /// Keeps what is allowed for well below the cooldown.
    fn with_notice_for_cooldown(mut self) -> Self {
        self.notice = self.notice.min(self.cooldown / 4);
        self
    }
}

impl FromStr for Rate {
    type Err = String;

    /// Hits a second, or `max`. The error is the text itself.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Unlimited);
        }
        match text.parse::<f64>() {
            Ok(0.0) => Ok(Self::Silent),
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self::PerSecond(rate)),
            Ok(_) | Err(_) => Err(text.to_owned()),
        }
    }
}

fn stream_fault(text: &str) -> Result<StreamFault, String> {
    match text.parse() {
        Ok(Fault::Stream(fault)) => Ok(fault),
        Ok(Fault::Attempts(..)) => Err("befalls attempts, not open streams: use --fault-at".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn planned_fault(text: &str) -> Result<PlannedFault, String> {
    let (at, fault) = text.split_once('/').ok_or("use TIME/FAULT, for example 10s/reset")?;
    let at = humantime::parse_duration(at).map_err(|_| format!("{at:?} is no time: use 10s, for example"))?;
    let fault = fault.parse::<Fault>().map_err(|error| error.to_string())?;
    Ok(PlannedFault {
        at,
        stream: None,
        fault,
    })
}

/// What a person needs to connect to this simulator.
fn start_up_text(handle: &Handle, streams: &[String]) -> String {
    let mut text = format!("A simulated Live Stream service listens on {}.\n", handle.base_url());
    text.push_str("In the configuration of livestreamd:\n\n");
    let _ = writeln!(
        text,
        "[credentials.default]\nclient_id = \"simulated\"\nclient_secret = \"simulated\""
    );
    let _ = writeln!(text, "token_url = \"{}\"", handle.token_url());
    for stream in streams {
        // Names of streams in a configuration are in lower case.
        let _ = writeln!(
            text,
            "\n[streams.{}]\nurl = \"{}\"",
            stream.to_lowercase().replace('.', "-"),
            handle.url(stream)
        );
    }
    let _ = writeln!(text, "\nWhat can be asked of it: curl {}/_sim", handle.base_url());
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn settings(args: &[&str]) -> SimulatorSettings {
        Command::try_parse_from([&["simulate"], args].concat())
            .unwrap()
            .args
            .settings()
    }

    #[test]
    fn without_arguments_one_stream_is_served() {
        let settings = settings(&[]);
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8088");
        assert_eq!(settings.streams[0].name, "examplecomprod");
        assert_eq!(settings.streams[0].report_suite, "examplecomprod");
        assert_eq!(settings.cooldown, Duration::from_mins(1));
    }

    #[test]
    fn arguments_become_settings() {
        let settings = settings(&[
            "--stream=a",
            "--stream=b",
            "--rate=max",
            "--cooldown=400ms",
            "--repeat=20",
            "--backfill=3m",
            "--redirects=2",
            "--fault-every=30s",
            "--fault=cut",
            "--fault=stall:for=5s",
            "--fault-at=10s/status:code=503,times=3",
        ]);
        assert_eq!(settings.streams.len(), 2);
        let stream = &settings.streams[1];
        assert_eq!((stream.name.as_str(), stream.rate), ("b", Rate::Unlimited));
        assert_eq!(stream.backfill, Backfill::both(20));
        assert_eq!(stream.chaos.as_ref().unwrap().faults.len(), 2);
        assert_eq!(stream.redirect.as_ref().unwrap().hops, Some(2));
        assert_eq!(settings.planned[0].at, Duration::from_secs(10));
        assert_eq!(settings.notice, Duration::from_millis(100));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for args in [
            &["--rate=-1"][..],
            &["--fault=cut"],
            &["--fault-every=1s", "--fault=status:code=503"],
            &["--fault-at=reset"],
            &["--client-id=me"],
            &["--tls-cert=x"],
            &["--tls-client-ca=x"],
            &["--close-at-total"],
        ] {
            assert!(
                Command::try_parse_from([&["simulate"], args].concat()).is_err(),
                "{args:?}"
            );
        }
    }

    #[tokio::test]
    async fn it_runs_until_told_to_stop_and_says_how_to_connect() {
        let args = Command::try_parse_from(["simulate", "--listen=127.0.0.1:0"])
            .unwrap()
            .args;
        let mut said = String::new();
        let summary = run(args, |text| said = text.to_owned(), async {}).await.unwrap();
        assert_eq!(summary.accepts, 0);
        assert!(
            said.contains("[streams.examplecomprod]\nurl = \"http://127.0.0.1:"),
            "{said}"
        );
        assert!(said.contains("/ims/token/v3\""), "{said}");
    }
}
