//! Two hundred streams in one daemon, over TLS: they start one after another, cost little each, and none starves another.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use livestreamd::simulator::{Rate, Running, SimulatedStream, Simulator, SimulatorSettings, TlsIdentity};
use rustix::process::Signal;

use super::child::{LIMIT, Livestreamd, Scratch, log_lines, path};
use crate::support::kafka::{self, Kafka};
use crate::support::wait_until;

const STREAMS: usize = 200;
/// What each stream after the first may cost while it is connected and silent.
const MOST_SILENT: u64 = ByteSize::kib(150).0;
/// The same after a burst on all of them: what Kafka's client took for it stays with the C library, in pieces.
const MOST_QUIET: u64 = ByteSize::kib(400).0;
/// The first connects of so many streams are spread over 10 s; a machine that is busy at the start makes it less.
const LEAST_SPREAD: Duration = Duration::from_secs(5);
const HITS: u64 = 20;
/// Threads that helped at the start are gone by then.
const SETTLED: Duration = Duration::from_secs(120);

/// A service with TLS, topics, and configurations for some of its streams.
struct Crowd {
    simulator: Running,
    kafka: &'static Kafka,
    scratch: Scratch,
    topics: HashMap<String, String>,
}

impl Crowd {
    async fn new(names: &[String]) -> Self {
        let scratch = Scratch::new();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        scratch.write("authorities.pem", &key.cert.pem());
        let settings = SimulatorSettings {
            tls: Some(TlsIdentity::Der {
                chain: vec![key.cert.der().to_vec()],
                key: key.signing_key.serialize_der(),
            }),
            streams: names
                .iter()
                .map(|name| SimulatedStream {
                    rate: Rate::Silent,
                    ..SimulatedStream::new(name)
                })
                .collect(),
            ..SimulatorSettings::default()
        };
        let kafka = kafka::shared();
        Self {
            simulator: Simulator::start(settings).await.unwrap(),
            kafka,
            scratch,
            topics: names.iter().cloned().zip(kafka.fresh_topics(names, 1)).collect(),
        }
    }

    /// Starts a daemon that reads the streams of these names, with a state of its own.
    fn run(&self, state: &str, names: &[String]) -> Livestreamd {
        let mut text = format!(
            "state_dir = {:?}\n\
             [credentials.default]\naccess_token = \"{}\"\n\
             [kafka]\nbrokers = \"{}\"\ndead_letter_topic = \"{}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\n",
            path(&self.scratch.path().join(state)),
            self.simulator.issue_token(),
            self.kafka.addr(),
            Kafka::fresh_name("dead-letters"),
        );
        for name in names {
            let (url, topic) = (self.simulator.url(name), &self.topics[name]);
            writeln!(text, "[streams.{name}]\nurl = \"{url}\"\ntopic = \"{topic}\"").unwrap();
        }
        let config = self.scratch.write(&format!("{state}.toml"), &text);
        let authorities = self.scratch.path().join("authorities.pem");
        let variables = [("SSL_CERT_FILE", path(&authorities))];
        Livestreamd::start(&self.scratch, &["run", "--config", path(&config)], &variables)
    }

    /// Waits until the daemon says that all of these stream.
    fn stream(daemon: &Livestreamd, names: &[String]) {
        wait_until("all stream", LIMIT, || {
            let lines = log_lines(&daemon.stderr());
            let streaming = lines.iter().filter(|line| line["message"] == "streaming");
            streaming.count() == names.len()
        });
    }

    /// Makes hits on each of these, and waits until Kafka has them, and what was there before.
    fn deliver(&self, names: &[String], before: u64) {
        for name in names {
            self.simulator.burst(name, HITS).unwrap();
        }
        for name in names {
            wait_until(&format!("the hits of {name} are in Kafka"), LIMIT, || {
                self.kafka.count(&self.topics[name]) >= before + HITS
            });
        }
    }
}

/// What one more stream costs, by the memory of a daemon with one stream and of one with two hundred.
fn each(alone: &Livestreamd, many: &Livestreamd) -> u64 {
    many.resident().saturating_sub(alone.resident()) / (STREAMS as u64 - 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_start_one_after_another_cost_little_each_and_none_starves_another() {
    let names: Vec<String> = (0..=STREAMS).map(|number| format!("suite-{number}")).collect();
    let (one, others) = names.split_at(1);
    let crowd = Crowd::new(&names).await;
    let alone = crowd.run("alone", one);
    let many = crowd.run("many", others);
    Crowd::stream(&alone, one);
    Crowd::stream(&many, others);

    let accepts = crowd.simulator.ledger().accepts();
    let of_many = accepts.iter().filter(|accept| accept.stream != one[0]);
    let (first, last) = of_many.fold((Duration::MAX, Duration::ZERO), |(first, last), accept| {
        (first.min(accept.at), last.max(accept.at))
    });
    assert!(last > first + LEAST_SPREAD, "from {first:?} to {last:?}");

    // Threads that write leases come with the start, more of them the busier the machine is, and go some seconds after it.
    let began = Instant::now();
    let mut silent = each(&alone, &many);
    while silent >= MOST_SILENT && began.elapsed() < SETTLED {
        tokio::time::sleep(Duration::from_millis(200)).await;
        silent = each(&alone, &many);
    }
    crowd.deliver(&names, 0);
    let quiet = each(&alone, &many);
    println!(
        "{} with one stream, {} with {STREAMS}: each further one took {} while it was silent, and {} once all had {HITS} hits at once",
        ByteSize(alone.resident()),
        ByteSize(many.resident()),
        ByteSize(silent),
        ByteSize(quiet),
    );
    assert!(silent < MOST_SILENT, "{}", ByteSize(silent));
    assert!(quiet < MOST_QUIET, "{}", ByteSize(quiet));

    // One takes all that it can get, and the others are not held up.
    let (greedy, modest) = others.split_at(1);
    let greedy = &greedy[0];
    crowd.simulator.set_rate(greedy, Rate::PerSecond(20_000.0)).unwrap();
    wait_until("the greedy stream is in full flow", LIMIT, || {
        crowd.kafka.count(&crowd.topics[greedy]) > 10_000
    });
    crowd.deliver(modest, HITS);
    let made = crowd.simulator.made(greedy).unwrap();
    wait_until("the greedy stream flows on", LIMIT, || {
        crowd.simulator.made(greedy).unwrap() > made
    });

    for daemon in [alone, many] {
        assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    }
    assert!(crowd.simulator.ledger().early_accepts().is_empty());
    assert_eq!(
        crowd.simulator.ledger().accepts().len(),
        names.len(),
        "nobody had to connect again"
    );
}
