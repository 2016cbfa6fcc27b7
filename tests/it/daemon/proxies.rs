//! A proxy in between: everything goes through it, and what it refuses has not reached the service.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use livestreamd::lifecycle::{Unreached, Why};
use livestreamd::simulator::{Running, Simulator, SimulatorSettings, TlsIdentity};

use super::trial::{Config, quiet};
use crate::support::certificates::Authority;
use crate::support::logs;
use crate::support::proxy::{ConnectProxy, NAME};

/// The least that is allowed for a host that is not this machine.
const COOLDOWN: Duration = Duration::from_secs(60);

const PASSWORD: &str = "open sesame";
/// `Aladdin:open sesame`, from RFC 7617.
const ENCODED: &str = "QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

/// A service under a name that only the proxy knows.
async fn simulate(authority: &Authority, stream: &str) -> Running {
    let mut settings = SimulatorSettings {
        tls: Some(authority.issue(&[NAME], false)),
        public_host: Some(NAME.to_owned()),
        ..SimulatorSettings::with_stream(quiet(stream))
    };
    settings.tokens.also_valid.push("ready-made".to_owned());
    Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap()
}

async fn hits_arrive_through(scheme: &str, identity: Option<TlsIdentity>, authority: &Authority) {
    let simulator = simulate(authority, scheme).await;
    let proxy = ConnectProxy::start(identity, Some(ENCODED)).await;
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("proxy");
    std::fs::write(&credentials, format!("Aladdin:{PASSWORD}\n")).unwrap();
    let mut config = Config::new().await;
    config.roots.push(authority.certificate.clone());
    config.upstream = format!("proxy = \"{scheme}://{}\"\n", proxy.address());
    writeln!(config.upstream, "proxy_credentials_file = {:?}", credentials.display()).unwrap();
    config.stream(&simulator, scheme);
    let trial = config.start().await;
    let stream = trial.stream(scheme);
    stream.streams().await;
    // More than any buffer on the way.
    for _ in 0..20 {
        simulator.burst(scheme, 500).unwrap();
    }
    stream.has_hits(10_000).await;
    assert_eq!(trial.finish().await.judge(&simulator, scheme).hits, 10_000);

    let target = simulator.url(scheme).replace("https://", "");
    let target = target.split('/').next().unwrap();
    let asked = proxy.asked();
    assert_eq!(asked.len(), 2, "the token, then the stream: {asked:?}");
    for asked in asked {
        assert_eq!((asked.target.as_str(), asked.status), (target, 200), "{asked:?}");
        assert!(asked.head.contains("\r\nUser-Agent: livestreamd/"), "{asked:?}");
    }
    let summary = simulator.ledger().summary();
    assert_eq!((summary.accepts, summary.token_fetches), (1, 1));
    for secret in [PASSWORD, ENCODED] {
        assert_eq!(logs::lines_with(&[secret]), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_and_the_token_come_through_an_http_proxy() {
    hits_arrive_through("http", None, &Authority::new("known")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_and_the_token_come_through_an_https_proxy() {
    let authority = Authority::new("known");
    let identity = authority.issue(&["127.0.0.1"], false);
    hits_arrive_through("https", Some(identity), &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_refuses_leaves_nothing_behind_and_owes_no_cooldown() {
    let authority = Authority::new("known");
    let simulator = simulate(&authority, "refused").await;
    let proxy = ConnectProxy::start(None, None).await;
    proxy.refuse(Some("403 Filtered"));
    let mut config = Config::new().await;
    config.roots.push(authority.certificate.clone());
    config.upstream = format!("proxy = \"http://{}\"\n", proxy.address());
    let url = simulator.url("refused");
    config.stream_as("refused", &url, "access_token = \"ready-made\"", "");
    config.stream_at("token", &simulator.url("token"), &simulator.token_url(), "");
    let started = Instant::now();
    let trial = config.start().await;
    let stream = trial.stream("refused");
    // 1 s and 2 s after the first.
    stream.counted("three tries", |counts| counts.connects >= 3).await;
    let (why, _) = stream.waits().await;
    let Why::Unreached(Unreached(text)) = &why else {
        panic!("{why:?}")
    };
    let words = format!("the proxy {} does not let us connect to {NAME}:", proxy.address());
    assert!(
        text.starts_with(&words) && text.ends_with(" (403 Filtered): have it allowed there"),
        "{text}"
    );
    let (why, _) = trial.stream("token").waits().await;
    assert!(
        matches!(why, Why::Token(_)) && why.to_string().contains(&words),
        "{why}"
    );
    assert_eq!(
        (
            simulator.ledger().summary().accepts,
            simulator.ledger().summary().token_fetches
        ),
        (0, 0)
    );

    proxy.refuse(None);
    stream.streams().await;
    assert!(
        started.elapsed() < COOLDOWN,
        "a backoff, and no cooldown: {:?}",
        started.elapsed()
    );
    simulator.burst("refused", 5).unwrap();
    stream.has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "refused").hits, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_tls_behind_or_at_the_proxy_is_told_apart() {
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let simulator = simulate(&other, "behind").await;
    let plain = ConnectProxy::start(None, None).await;
    let secure = ConnectProxy::start(Some(other.issue(&["127.0.0.1"], false)), None).await;
    let (at, behind) = (secure.address(), plain.address());
    for (proxy, says) in [
        (
            format!("https://{at}"),
            format!("the proxy {at}: its certificate was issued by an authority"),
        ),
        (
            format!("http://{behind}"),
            format!("set upstream.tls.ca_file to that (through the proxy {behind})"),
        ),
    ] {
        let mut config = Config::new().await;
        config.roots.push(known.certificate.clone());
        config.upstream = format!("proxy = \"{proxy}\"\n");
        config.stream_as("behind", &simulator.url("behind"), "access_token = \"ready-made\"", "");
        let trial = config.start().await;
        let (why, _) = trial.stream("behind").waits().await;
        assert!(
            matches!(why, Why::Unreached(_)) && why.to_string().contains(&says),
            "{why}"
        );
        trial.finish().await;
    }
    assert_eq!(secure.asked().len(), 0);
    assert_eq!(simulator.ledger().summary().accepts, 0);
}
