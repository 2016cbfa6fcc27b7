//! TLS: certificates that are accepted and that are not. What fails before the first request byte leaves nothing behind upstream.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use livestreamd::lifecycle::{State, Unreached, Why};
use livestreamd::simulator::{
    Redirect, RedirectTarget, Running, SimulatedStream, Simulator, SimulatorSettings, StreamFault, TlsIdentity,
};

use super::trial::{COOLDOWN, Config, all_at_once, assert_waited, attempt, quiet};
use crate::support::certificates::Authority;

async fn simulate_with(identity: TlsIdentity, stream: SimulatedStream) -> Running {
    let settings = SimulatorSettings {
        tls: Some(identity),
        second_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..SimulatorSettings::with_stream(stream)
    };
    Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_come_over_tls_and_a_cut_without_a_goodbye_is_a_cut() {
    let authority = Authority::new("known");
    let simulator = simulate_with(authority.issue(&["127.0.0.1"], false), quiet("tls")).await;
    assert!(simulator.url("tls").starts_with("https://"));
    let mut config = Config::new().await;
    config.roots.push(authority.certificate.clone());
    config.stream(&simulator, "tls");
    let trial = config.start().await;
    let stream = trial.stream("tls");
    let mut hits = 0;
    let ends = [
        (StreamFault::Close { trailer: true }, "closed"),
        (StreamFault::Cut, "cut"),
        (StreamFault::Reset, "reset"),
        (StreamFault::CorruptGzip, "corrupt_gzip"),
    ];
    for (number, (fault, reason)) in ends.iter().enumerate() {
        stream.streams().await;
        simulator.burst("tls", 20).unwrap();
        hits += 20;
        stream.has_hits(hits).await;
        simulator.fault("tls", fault.clone()).unwrap();
        let (why, _) = stream.waits().await;
        let Why::Ended(end) = &why else { panic!("{why:?}") };
        assert_eq!(end.name(), *reason, "{end}");
        let next = attempt(&simulator, "tls", number + 1).await;
        assert!(next.tls);
        assert_waited(&next, COOLDOWN);
    }
    assert_eq!(trial.finish().await.judge(&simulator, "tls").hits, hits as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_over_tls_goes_to_a_trusted_host_and_to_no_other() {
    let authority = Authority::new("known");
    let identity = || authority.issue(&["127.0.0.1", "localhost"], false);
    // The target knows nothing of the stream, and says so: what counts is who asks it.
    let target = simulate_with(identity(), quiet("elsewhere")).await;
    let base = format!("https://localhost:{}", target.addr().port());
    let redirect = Some(Redirect {
        status: 302,
        hops: Some(1),
        target: RedirectTarget::Base(base),
    });
    let simulator = simulate_with(
        identity(),
        SimulatedStream {
            redirect,
            ..quiet("moved")
        },
    )
    .await;
    for (trusted, is_followed) in [("adobe.net", false), ("localhost", true)] {
        let mut config = Config::new().await;
        config.roots.push(authority.certificate.clone());
        writeln!(config.upstream, "trusted_hosts = [\"{trusted}\"]").unwrap();
        config.stream(&simulator, "moved");
        let trial = config.start().await;
        let (why, _) = trial.stream("moved").waits().await;
        trial.finish().await;
        let seen = target.ledger().accepts();
        if is_followed {
            assert!(why.to_string().starts_with("the service answered 404"), "{why}");
            let there = &seen[0];
            assert_eq!((there.stream.as_str(), there.tls), ("moved", true));
            for header in ["authorization", "accept-encoding", "x-api-key"] {
                assert!(there.headers.iter().any(|name| name == header), "{:?}", there.headers);
            }
        } else {
            assert!(
                why.to_string().contains("localhost") && why.to_string().contains("is not a trusted host"),
                "{why}"
            );
            assert_eq!(seen.len(), 0, "{seen:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_accepted_leaves_nothing_behind_and_is_explained() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let cases = [
        (
            "unknown-issuer",
            unknown.issue(&["127.0.0.1"], false),
            "was issued by an authority that this machine does not know",
        ),
        (
            "wrong-host",
            known.issue(&["livestream.adobe.net"], false),
            "is for another host",
        ),
        ("expired", known.issue(&["127.0.0.1"], true), "has expired"),
    ];
    let mut config = Config::new().await;
    config.roots.push(known.certificate.clone());
    // A cooldown would be seen: the test would take minutes.
    config.upstream = "cooldown = \"60s\"\n".to_owned();
    let mut simulators = Vec::new();
    for (name, identity, _) in &cases {
        let simulator = simulate_with(identity.clone(), quiet(name)).await;
        config.stream_as(name, &simulator.url(name), "access_token = \"ready-made\"", "");
        simulators.push(simulator);
    }
    // The token endpoint has a certificate too.
    config.stream_at("token", &simulators[0].url("token"), &simulators[0].token_url(), "");
    let started = Instant::now();
    let trial = config.start().await;
    let checks = cases.clone().map(|(name, _, words)| {
        let stream = trial.stream(name);
        async move {
            // 1 s after the first try, 2 s after the second.
            stream.counted("three tries", |counts| counts.connects >= 3).await;
            assert!(
                started.elapsed() >= Duration::from_secs(3),
                "{name}: {:?}",
                started.elapsed()
            );
            let (why, _) = stream.waits().await;
            let Why::Unreached(Unreached(text)) = &why else {
                panic!("{name}: {why:?}")
            };
            assert!(text.starts_with("127.0.0.1:") && text.contains(words), "{name}: {text}");
            assert!(!why.is_failing());
        }
    });
    all_at_once(checks).await;
    let (why, _) = trial.stream("token").waits().await;
    assert!(
        matches!(why, Why::Token(_)) && why.to_string().contains(cases[0].2),
        "{why}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "a backoff, and no cooldown"
    );
    trial.finish().await;
    for simulator in &simulators {
        let summary = simulator.ledger().summary();
        assert_eq!((summary.accepts, summary.token_fetches), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_speaks_no_tls_is_explained() {
    let plain = super::trial::simulate([quiet("plain")]).await;
    let mut config = Config::new().await;
    config.roots.push(Authority::new("known").certificate);
    let url = plain.url("plain").replace("http://", "https://");
    config.stream_at(
        "plain",
        &url,
        &plain.token_url(),
        "cooldown = \"60s\"\nlong_retry = \"60s\"\nconnect_timeout = \"2s\"\n",
    );
    let trial = config.start().await;
    let stream = trial.stream("plain");
    let state = stream
        .slot(0, "cannot connect", |state| {
            matches!(
                state,
                State::Waiting {
                    why: Why::Unreached(_),
                    ..
                }
            )
        })
        .await;
    let State::Waiting { why, .. } = state else {
        unreachable!()
    };
    assert!(
        why.to_string().contains("the TLS handshake failed") || why.to_string().contains("no connection within"),
        "{why}"
    );
    trial.finish().await;
    assert_eq!(plain.ledger().summary().accepts, 0);
}

/// A simulator that lets in who has a certificate of these clients.
async fn simulate_for(clients: &Path, authority: &Authority, stream: &str) -> Running {
    let settings = SimulatorSettings {
        tls: Some(authority.issue(&["127.0.0.1"], false)),
        tls_client_ca: Some(clients.to_owned()),
        ..SimulatorSettings::with_stream(quiet(stream))
    };
    Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap()
}

const fn is_unreached(state: &State) -> bool {
    matches!(
        state,
        State::Waiting {
            why: Why::Unreached(_),
            ..
        }
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_lets_the_daemon_in_and_is_read_again_when_it_changes() {
    let [authority, clients, strangers] = ["own", "clients", "strangers"].map(Authority::new);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    std::fs::write(file("clients.pem"), clients.pem()).unwrap();
    let show = |by: &Authority| {
        let (certificate, key) = by.client();
        std::fs::write(file("client.pem"), certificate).unwrap();
        std::fs::write(file("client.key"), key).unwrap();
    };
    show(&clients);
    let simulator = simulate_for(&file("clients.pem"), &authority, "mutual").await;
    let mut config = Config::new().await;
    writeln!(
        config.upstream,
        "[upstream.tls]\nca_file = {:?}\nclient_certificate_file = {:?}\nclient_key_file = {:?}",
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    )
    .unwrap();
    config.stream(&simulator, "mutual");
    let trial = config.start().await;
    let stream = trial.stream("mutual");
    stream.streams().await;
    simulator.burst("mutual", 5).unwrap();
    stream.has_hits(5).await;

    show(&strangers);
    simulator.fault("mutual", StreamFault::Close { trailer: true }).unwrap();
    let State::Waiting { why, .. } = stream.slot(0, "is not let in", is_unreached).await else {
        unreachable!()
    };
    assert!(
        why.to_string().contains("it does not accept our client certificate"),
        "{why}"
    );
    show(&clients);
    stream.streams().await;
    simulator.burst("mutual", 5).unwrap();
    stream.has_hits(10).await;
    assert_eq!(trial.finish().await.judge(&simulator, "mutual").hits, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_requires_a_client_certificate_says_so_before_a_request_goes_out() {
    let authority = Authority::new("own");
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let simulator = simulate_for(&ca_file, &authority, "closed").await;
    let mut config = Config::new().await;
    writeln!(config.upstream, "[upstream.tls]\nca_file = {ca_file:?}").unwrap();
    config.stream_as("closed", &simulator.url("closed"), "access_token = \"ready-made\"", "");
    let trial = config.start().await;
    let State::Waiting { why, .. } = trial.stream("closed").slot(0, "is not let in", is_unreached).await else {
        unreachable!()
    };
    let words = "it requires a client certificate";
    assert!(
        why.to_string().contains(words) && why.to_string().contains("upstream.tls.client_certificate_file"),
        "{why}"
    );
    trial.finish().await;
    assert_eq!(simulator.ledger().summary().accepts, 0);
}
