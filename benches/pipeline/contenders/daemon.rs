//! livestreamd as its operators run it: a process, a configuration, a directory on a disk, and its admin server to ask.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::metrics::sum_of;
use super::{Child, Errand};

const PROGRAM: &str = env!("CARGO_BIN_EXE_livestreamd");
/// How often the daemon is asked; each time costs it a little, which counts against it.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// In what it differs from what is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// In nothing.
    Plain,
    /// Its journal is in memory, by a switch that is for this benchmark alone.
    NoJournal,
    /// It has a shape that holds back hits of bots, of which there are none.
    Filtered,
    /// It has one with which every hit is written anew: 15 fields are dropped, two are hashed, which are in the key too, and an address is made coarser.
    Rewritten,
}

impl Variant {
    const fn shape(self) -> &'static str {
        match self {
            Self::Plain | Self::NoJournal => "",
            Self::Filtered => "[shape]\nbots = \"drop\"\nexcluded = \"keep\"\n",
            Self::Rewritten => {
                "[shape]\nbots = \"drop\"\ndrop = [\"/props/*\", \"/browser\", \"/cookies\", \"/mvvars\", \"/userAgent\"]\n\
                 [shape.privacy]\nhash = [\"/visIdHigh\", \"/visIdLow\"]\nhash_key_file = \"hash-key\"\ntruncate_ip = [\"/ip\"]\n"
            }
        }
    }
}

/// A daemon that runs. Dropping it kills it.
pub struct Daemon {
    pub child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it, with defaults for whatever has one.
    pub fn start(errand: &Errand, variant: Variant) -> anyhow::Result<Self> {
        let (mut command, socket) = command(errand, variant)?;
        if variant == Variant::NoJournal {
            command.arg("--no-journal");
        }
        let child = Child::foreign("livestreamd", &command)?;
        Ok(Self { child, socket })
    }

    /// The sum over all streams of a count or size on its metrics page; 0 before there is a page.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        Ok(sum_of(&self.metrics()?, name))
    }

    /// Its metrics page; empty before there is one.
    pub fn metrics(&self) -> anyhow::Result<String> {
        match get(&self.socket, "/metrics") {
            Ok(page) => Ok(page),
            Err(_) if !self.child.has_ended()? => Ok(String::new()),
            Err(error) => Err(error.context("livestreamd has ended")),
        }
    }

    /// Waits until it has the reports of all `hits`.
    pub fn wait_until_delivered(&self, hits: u64, limit: Duration) -> anyhow::Result<()> {
        self.wait_for("livestreamd_delivered_records_total", hits as f64, limit)
    }

    /// Waits until so many connections stream.
    pub fn wait_until_streaming(&self, connections: usize, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let streams =
            |line: &&str| line.starts_with("livestreamd_connection_state{") && line.ends_with("state=\"streaming\"} 1");
        while self.metrics()?.lines().filter(streams).count() < connections {
            if Instant::now() > deadline {
                bail!("not all of {connections} connections stream after {limit:?}");
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// Waits until a sum of its metrics is this much.
    pub fn wait_for(&self, name: &str, least: f64, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let sum = self.metric(name)?;
            if sum >= least {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{name} is {sum} and not {least} after {limit:?}");
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
}

/// The command that starts it, and the socket of its admin server. Its log goes into a file beside its state.
pub fn command(errand: &Errand, variant: Variant) -> anyhow::Result<(Command, PathBuf)> {
    let (config, socket) = (errand.dir.join("livestreamd.toml"), errand.dir.join("admin.sock"));
    // What holds a token, even one that nobody asks for, is nobody else's to read.
    let text = configuration(errand, &socket)? + variant.shape();
    let key = errand.dir.join("hash-key");
    for (path, text) in [(&config, text.as_str()), (&key, "0123456789abcdef0123456789abcdef")] {
        let file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--config"]).arg(&config);
    Ok((command, socket))
}

fn configuration(errand: &Errand, socket: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "state_dir = \"{}\"", errand.dir.join("state").display())?;
    writeln!(
        text,
        "[credentials.default]\nclient_id = \"bench\"\naccess_token = \"bench\""
    )?;
    writeln!(text, "[kafka]\nbrokers = {:?}", errand.brokers)?;
    writeln!(text, "[admin]\nlisten = \"unix:{}\"", socket.display())?;
    writeln!(text, "[log]\nfilter = \"warn\"")?;
    for (nth, (url, topic)) in errand.urls.iter().zip(&errand.topics).enumerate() {
        writeln!(text, "[streams.s{nth}]\nurl = {url:?}\ntopic = {topic:?}")?;
    }
    Ok(text)
}

/// The body of an answer.
fn get(socket: &Path, path: &str) -> anyhow::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    Ok(body.to_owned())
}
