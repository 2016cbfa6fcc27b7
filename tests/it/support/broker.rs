//! A broker of a test's own: one Apache Kafka (broker and controller in one JVM) on ports and in a directory of its own, which the
//! test may stop, kill and start again.
//!
//! Promise: when a call returns, it is so. A started broker has answered a request for metadata; a stopped one has ended and its
//! port is closed. The JVM and its directory are gone when the value is dropped and when the test process dies of anything.
//!
//! A broker with accounts has a second listener, where clients must say who they are (SASL/SCRAM-SHA-256, without TLS) and may do
//! nothing but what a rule allows. The first one asks nobody, and allows everything: it is for the test, the second for the daemon.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::{Pid, test_kill_process};

use super::guarded::Guarded;
use super::kafka::Kafka;
use super::{jars, wait_until};

/// Any 16 bytes in URL-safe base64 will do.
const CLUSTER_ID: &str = "bGl2ZXN0cmVhbWQtdGVzdA";
const START_LIMIT: Duration = Duration::from_mins(2);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// A name and a password.
pub type Account<'a> = (&'a str, &'a str);

/// A broker of a test's own. Always started here, whatever `LIVESTREAMD_TEST_KAFKA` says: nobody's broker is stopped by a test.
pub struct Broker {
    kafka: Kafka,
    software: jars::Kafka,
    dir: PathBuf,
    port: u16,
    accounts_port: Option<u16>,
    running: Option<Guarded>,
}

impl Broker {
    /// Starts a broker that creates no topic by itself. Panics, with a sentence for a person, if that cannot be done.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with lines of `server.properties` of the test's own, which win over ours.
    pub fn start_with(properties: &[(&str, &str)]) -> Self {
        Self::try_start(properties).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, with the reason why it could not be done.
    pub fn try_start(properties: &[(&str, &str)]) -> Result<Self, String> {
        let [port, controller_port] = free_ports();
        Self::try_start_at(port, None, server_properties(port, controller_port, properties), &[])
    }

    /// Starts a broker that has these accounts. An account may do nothing until a rule allows it.
    pub fn try_start_with_accounts(accounts: &[Account<'_>]) -> Result<Self, String> {
        let [port, accounts_port, controller_port] = free_ports();
        let listeners = format!(
            "PLAINTEXT://127.0.0.1:{port},ACCOUNTS://127.0.0.1:{accounts_port},CONTROLLER://127.0.0.1:{controller_port}"
        );
        let properties = [
            ("listeners", &*listeners),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,ACCOUNTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-256"),
            (
                "listener.name.accounts.scram-sha-256.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            ),
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            // Whoever comes without an account.
            ("super.users", "User:ANONYMOUS"),
        ];
        let config = server_properties(port, controller_port, &properties);
        let mut format_arguments = Vec::new();
        for (name, password) in accounts {
            format_arguments.push("--add-scram".to_owned());
            format_arguments.push(format!("SCRAM-SHA-256=[name={name},password={password}]"));
        }
        let format_arguments: Vec<_> = format_arguments.iter().map(String::as_str).collect();
        Self::try_start_at(port, Some(accounts_port), config, &format_arguments)
    }

    pub(super) fn try_start_at(
        port: u16,
        accounts_port: Option<u16>,
        mut config: String,
        format_arguments: &[&str],
    ) -> Result<Self, String> {
        let software = jars::find()?;
        let dir = fresh_dir().map_err(|e| format!("cannot create a directory for a broker: {e}"))?;
        let _ = writeln!(config, "log.dirs={}", dir.join("logs").display());
        fs::write(dir.join("server.properties"), config)
            .map_err(|e| format!("cannot write to {}: {e}", dir.display()))?;
        let kafka = Kafka::at(format!("127.0.0.1:{port}"));
        let mut broker = Self {
            kafka,
            software,
            dir,
            port,
            accounts_port,
            running: None,
        };
        let started = Instant::now();
        broker.format(format_arguments)?;
        broker.bring_up()?;
        say(&format!(
            "Kafka broker on port {port} started in {:.1} s",
            started.elapsed().as_secs_f64()
        ));
        Ok(broker)
    }

    /// The broker as its clients see it.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port` of the broker; the same after a restart.
    pub fn addr(&self) -> &str {
        self.kafka.addr()
    }

    /// `host:port` where clients must have an account. Panics if it was started without accounts.
    pub fn accounts_addr(&self) -> String {
        let port = self.accounts_port.expect("the broker was started with accounts");
        format!("127.0.0.1:{port}")
    }

    /// Adds lines to its `server.properties`, which win over those before; it reads them when it is started again.
    pub(super) fn reconfigure(&self, lines: &str) {
        let path = self.dir.join("server.properties");
        let mut file = fs::File::options()
            .append(true)
            .open(path)
            .expect("the broker's configuration can be opened");
        file.write_all(lines.as_bytes())
            .expect("the broker's configuration can be written");
    }

    /// The JVM's process id, while the broker runs.
    pub fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(Guarded::pid)
    }

    /// Stops the broker in good order (SIGTERM). What it holds stays on disk.
    pub fn stop(&mut self) {
        self.running.take().expect("the broker runs").stop(STOP_LIMIT);
        self.wait_for_the_port_to_close();
    }

    /// Kills the broker (SIGKILL). What it holds stays on disk.
    pub fn kill(&mut self) {
        self.running.take().expect("the broker runs").kill();
        self.wait_for_the_port_to_close();
    }

    /// Starts a stopped or killed broker again, on the same port and with what it holds.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the broker runs already");
        let started = Instant::now();
        self.bring_up().unwrap_or_else(|why| panic!("{why}"));
        say(&format!(
            "Kafka broker on port {} started again in {:.1} s",
            self.port,
            started.elapsed().as_secs_f64()
        ));
    }

    /// Stops the broker in good order and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// What the broker has logged so far, warnings and worse.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn format(&self, arguments: &[&str]) -> Result<(), String> {
        let config = self.dir.join("server.properties").to_string_lossy().into_owned();
        let format = ["format", "--cluster-id", CLUSTER_ID, "--config", &config];
        self.software.run(
            "kafka.tools.StorageTool",
            format.into_iter().chain(arguments.iter().copied()),
        )
    }

    fn bring_up(&mut self) -> Result<(), String> {
        let mut command = self.software.command("kafka.Kafka");
        command.push(self.dir.join("server.properties").to_string_lossy().into_owned());
        let running = Guarded::spawn(&self.dir, &self.dir.join("log"), command.iter().map(String::as_str));
        let running = self.running.insert(running);
        if let Err(why) = answers_metadata(self.kafka.addr(), running) {
            return Err(format!(
                "the Kafka broker did not start: {why}; its log ends:\n{}",
                last_lines(&self.log(), 20)
            ));
        }
        Ok(())
    }

    /// The kernel closes a dead process's sockets a little after its end.
    fn wait_for_the_port_to_close(&self) {
        wait_until("the broker's port is closed", Duration::from_secs(10), || {
            !port_is_open(self.port)
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.running.take().is_none() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Whether anybody listens on `port` of this machine.
pub fn port_is_open(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

pub(super) fn server_properties(port: u16, controller_port: u16, properties: &[(&str, &str)]) -> String {
    let mut text = format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
# A missing topic must be missing, and a test says how many partitions it wants.
auto.create.topics.enable=false
# One broker can hold one copy.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Small and quick: the cleaner alone would take 128 MB.
log.cleaner.dedupe.buffer.size=4194304
# A killed broker cannot register anew before its old session has expired.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
",
    );
    // Of a key that stands twice, the last counts.
    for (key, value) in properties {
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// A broker that has not registered yet, or is fenced, is in nobody's metadata.
fn answers_metadata(addr: &str, running: &mut Guarded) -> Result<(), String> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", addr)
        .set("reconnect.backoff.max.ms", "200")
        .create()
        .map_err(|e| e.to_string())?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        // Waits for a connection by itself, up to the timeout.
        let answer = client.fetch_metadata(None, Duration::from_secs(2));
        if answer.as_ref().is_ok_and(|metadata| !metadata.brokers().is_empty()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it did not answer within {START_LIMIT:?} ({:?})", answer.err()));
        }
        if let Some(status) = running.has_ended() {
            return Err(format!("its JVM ended with {status}"));
        }
    }
}

/// Ports that nobody listens on. Below the range from which the kernel gives ports to connecting sockets: there, a client that
/// dials a stopped broker could be given the broker's own port, and would be connected to itself.
pub fn free_ports<const HOW_MANY: usize>() -> [u16; HOW_MANY] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut free = std::iter::repeat_with(|| {
        // Test processes that run at once begin at different places.
        let start = std::process::id().wrapping_mul(64);
        let port = 10_000 + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 22_000) as u16;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    })
    .flatten();
    std::array::from_fn(|_| free.next().expect("endless"))
}

/// `target/tmp/kafka-PID-N`. Leavings of test processes that were killed together with their guards are swept out on the way.
fn fresh_dir() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(tmp)?;
    for entry in fs::read_dir(tmp)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("kafka-")
            .and_then(|rest| rest.split('-').next()?.parse().ok());
        if owner
            .and_then(Pid::from_raw)
            .is_some_and(|pid| test_kill_process(pid).is_err())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let dir = tmp.join(format!(
        "kafka-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Past the capture of test output: how long the tests wait for Kafka is for people to see.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
