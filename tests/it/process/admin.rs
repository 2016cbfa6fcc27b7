//! The admin server of the real binary: what it answers while the daemon starts, streams, fails and ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use livestreamd::simulator::{AttemptFault, Rate, SimulatedStream, SimulatorSettings};
use livestreamd::status::{ConnectionState, Daemon, FORMAT};
use rustix::process::Signal;

use super::child::{LIMIT, Livestreamd, Scratch};
use super::trial::Trial;
use crate::support::wait_until;

const COOLDOWN: Duration = Duration::from_secs(2);

async fn trial() -> Trial {
    let stream = SimulatedStream {
        rate: Rate::PerSecond(100.0),
        ..SimulatedStream::new("web")
    };
    Trial::start(SimulatorSettings::with_stream(stream), COOLDOWN).await
}

/// Where the log says that the page is.
pub fn page(daemon: &Livestreamd) -> String {
    let started = daemon.logged("it has started", |line| line["admin"].is_string());
    started["admin"].as_str().unwrap().to_owned()
}

/// The status and the body of an answer.
pub fn get(page: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    if let Some(socket) = page.strip_prefix("unix:") {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut text).unwrap();
    } else {
        let address = page.strip_prefix("http://").unwrap().trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut text).unwrap();
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_streams_is_ready_and_shows_what_it_does() {
    let trial = trial().await;
    let daemon = trial.run();
    let page = page(&daemon);
    trial.streaming("web", 50).await;
    wait_until("it is ready", LIMIT, || {
        get(&page, "/readyz") == (200, "ready\n".to_owned())
    });
    assert_eq!(get(&page, "/healthz"), (200, "ok\n".to_owned()));

    let status = || serde_json::from_str::<Daemon>(&get(&page, "/status").1).unwrap();
    wait_until("hits are counted", LIMIT, || status().streams[0].counts.delivered >= 50);
    let status = status();
    assert_eq!((status.format, status.ready), (FORMAT, true));
    let stream = &status.streams[0];
    assert_eq!((stream.name.as_str(), &stream.topic), ("web", &trial.stream().topic));
    assert_eq!(stream.connections[0].state, ConnectionState::Streaming);

    let (code, metrics) = get(&page, "/metrics");
    assert_eq!(code, 200);
    assert!(metrics.contains("livestreamd_build_info{"), "{metrics}");
    let (code, html) = get(&page, "/");
    assert!(code == 200 && html.contains("<html"), "{html}");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_refused_makes_the_daemon_not_ready_and_says_why() {
    let trial = trial().await;
    let refusal = AttemptFault::status(404).times(1_000);
    trial.simulator.fault("web", refusal).expect("the stream is there");
    let daemon = trial.run();
    let page = page(&daemon);
    wait_until("it is told", LIMIT, || {
        let (code, text) = get(&page, "/readyz");
        code == 503 && text.starts_with("stream web: ") && text.contains("404")
    });
    assert_eq!(get(&page, "/healthz").0, 200, "it is alive all the same");
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_ends_still_answers_and_says_so_while_it_delivers() {
    let trial = trial().await;
    // A Kafka that nobody has: what was read waits until the end of the time.
    let daemon = trial.run_with(&[
        ("LIVESTREAMD__KAFKA__BROKERS", "127.0.0.1:1"),
        ("LIVESTREAMD__SHUTDOWN_TIMEOUT", "5s"),
    ]);
    let page = page(&daemon);
    trial.streaming("web", 50).await;
    daemon.signal(Signal::TERM);
    wait_until("it says that it ends", LIMIT, || {
        let (code, text) = get(&page, "/readyz");
        code == 503 && text.starts_with("stopping: ")
    });
    assert_eq!(get(&page, "/healthz").0, 200);
    assert_eq!(daemon.ended().code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_ends_the_start_before_anything_goes_out() {
    let trial = trial().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = trial.run_with(&[("LIVESTREAMD__ADMIN__LISTEN", &address)]).ended();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let wanted = format!("admin.listen = \"{address}\": is in use by another program");
    assert!(ended.stderr.contains(&wanted), "{}", ended.stderr);
    assert!(trial.ledger().accepts().is_empty(), "{:?}", trial.ledger().accepts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_outlives_a_kill_and_not_an_end() {
    let trial = trial().await;
    // A path under target is longer than the path of a socket may be.
    let short = tempfile::tempdir().unwrap();
    let socket = short.path().join("admin.sock");
    let listen = format!("unix:{}", socket.display());
    let run = || trial.run_with(&[("LIVESTREAMD__ADMIN__LISTEN", &listen)]);
    let daemon = run();
    assert_eq!(page(&daemon), listen);
    assert_eq!(get(&listen, "/healthz").0, 200);
    daemon.kill();
    assert!(socket.exists());
    let daemon = run();
    page(&daemon);
    assert_eq!(get(&listen, "/healthz").0, 200);
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert!(!socket.exists());
}

#[test]
fn check_shows_where_it_listens_and_refuses_to_be_open_to_others() {
    let scratch = Scratch::new();
    let config = |admin: &str| {
        let text = format!(
            "[credentials.default]\nclient_id = \"a\"\nclient_secret = \"b\"\n[admin]\n{admin}\n\
             [streams.web]\nurl = \"https://livestream.adobe.net/web\"\n"
        );
        scratch.write("admin.toml", &text)
    };
    let check = |config: &Path| Livestreamd::run(&scratch, &["check", "--config", super::child::path(config)], &[]);
    let ended = check(&config("listen = \"0.0.0.0:9600\"\ntoken = \"hush-hush\""));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("admin         http://0.0.0.0:9600/, with a token\n"),
        "{ended:?}"
    );
    assert!(
        !ended.stdout.contains("hush") && !ended.stderr.contains("hush"),
        "{ended:?}"
    );
    let ended = check(&config("listen = \"0.0.0.0:9600\""));
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(ended.stderr.contains("admin.listen = \"0.0.0.0:9600\""), "{ended:?}");
    assert!(
        ended.stderr.contains("set admin.token_file (or admin.token)"),
        "{ended:?}"
    );
}
