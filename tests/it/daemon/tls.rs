//! TLS: certificates that are accepted and that are not. What fails before the first request byte leaves nothing behind upstream.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use livestreamd::lifecycle::{State, Unreached, Why};
use livestreamd::simulator::{
    Redirect, RedirectTarget, Running, SimulatedStream, Simulator, SimulatorSettings, StreamFault, TlsIdentity,
};

use super::trial::{COOLDOWN, Config, all_at_once, assert_waited, attempt, quiet};
use crate::support::authority::Authority;

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
