//! Redirects: which are followed, with what, and that the token goes nowhere else (protocol notes, section 3).

use std::net::SocketAddr;
use std::time::Duration;

use livestreamd::lifecycle::{Lost, Why};
use livestreamd::simulator::{
    EndedBy, Follows, Redirect, RedirectTarget, SimulatedStream, Simulator, SimulatorSettings, StreamFault, TokenSeen,
};

use super::outsider::{Host, closed_port};
use super::trial::{
    COOLDOWN, Config, LONG_RETRY, all_at_once, assert_ordered, assert_waited, attempt, quiet, simulate,
};

fn redirected(name: &str, status: u16, hops: Option<u8>, target: RedirectTarget) -> SimulatedStream {
    SimulatedStream {
        redirect: Some(Redirect { status, hops, target }),
        ..quiet(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_with_all_the_headers() {
    let cases = [
        ("r302-absolute", 302, 1, RedirectTarget::Same),
        ("r301-relative", 301, 1, RedirectTarget::Relative),
        ("r307-elsewhere", 307, 1, RedirectTarget::OtherListener),
        ("r308-twice", 308, 2, RedirectTarget::OtherListener),
        ("r302-five", 302, 5, RedirectTarget::Relative),
    ];
    let streams = cases
        .clone()
        .map(|(name, status, hops, target)| redirected(name, status, Some(hops), target));
    let settings = SimulatorSettings {
        streams: streams.into(),
        second_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..SimulatorSettings::default()
    };
    let simulator = Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap();
    let mut config = Config::new().await;
    for (name, ..) in &cases {
        config.stream(&simulator, name);
    }
    let trial = config.start().await;
    let checks = cases.clone().map(|(name, status, hops, _)| {
        let (simulator, stream) = (simulator.handle(), trial.stream(name));
        async move {
            let hops = usize::from(hops);
            // Once, and once more after the stream has ended: from the first hop on.
            for round in 0..2 {
                stream.streams().await;
                for hop in 0..=hops {
                    let accept = attempt(&simulator, name, round * (hops + 1) + hop).await;
                    assert_eq!(
                        accept.status,
                        Some(if hop < hops { status } else { 200 }),
                        "{name} {hop}"
                    );
                    assert_eq!((accept.token, accept.early), (TokenSeen::Valid, false), "{name} {hop}");
                    assert_eq!(accept.headers_lost, Vec::<String>::new(), "{name} {hop}");
                    for header in ["authorization", "accept-encoding", "x-api-key"] {
                        assert!(
                            accept.headers.iter().any(|name| name == header),
                            "{name} {hop}: {:?}",
                            accept.headers
                        );
                    }
                    match (round, hop) {
                        (0, 0) => assert_eq!(accept.follows, Follows::Nothing),
                        (_, 0) => assert_waited(&accept, COOLDOWN),
                        (_, _) => assert_eq!(accept.follows, Follows::Redirect, "{name} {hop}"),
                    }
                }
                simulator.burst(name, 5).unwrap();
                stream.has_hits(5 * (round as u64 + 1)).await;
                if round == 0 {
                    simulator.fault(name, StreamFault::Close { trailer: true }).unwrap();
                    stream.waits().await;
                }
            }
        }
    });
    all_at_once(checks).await;
    let arrived = trial.finish().await;
    for (name, ..) in &cases {
        assert_eq!(arrived.judge(&simulator, name).hits, 10, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_a_foreign_host_is_refused_and_nobody_connects_there() {
    let (other_address, other_name) = (Host::at("127.0.0.2"), Host::at("127.0.0.1"));
    let (other, own) = (other_address.port(), other_name.port());
    let cases = [
        (
            "other-address",
            format!("http://127.0.0.2:{other}"),
            "is not https, and the access token must not travel in clear text",
        ),
        (
            "other-address-tls",
            format!("https://127.0.0.2:{other}"),
            "is not a trusted host",
        ),
        // Another name of the same machine is another host.
        (
            "other-name",
            format!("http://localhost:{own}"),
            "is not https, and the access token must not travel in clear text",
        ),
        (
            "other-name-tls",
            format!("https://localhost:{own}"),
            "is not a trusted host",
        ),
        (
            "with-a-password",
            format!("http://user:password@127.0.0.1:{own}"),
            "has a user name or a password in it",
        ),
        (
            "disguised",
            format!("https://adobe.net@127.0.0.2:{other}"),
            "has a user name or a password in it",
        ),
        (
            "another-scheme",
            format!("ftp://127.0.0.1:{own}"),
            "is not an https URL",
        ),
    ];
    let streams = cases
        .clone()
        .map(|(name, base, _)| redirected(name, 302, Some(1), RedirectTarget::Base(base)));
    let simulator = simulate(streams).await;
    let mut config = Config::new().await;
    for (name, ..) in &cases {
        config.stream(&simulator, name);
    }
    let trial = config.start().await;
    let checks = cases.clone().map(|(name, _, words)| {
        let (simulator, stream) = (simulator.handle(), trial.stream(name));
        async move {
            let (why, left) = stream.waits().await;
            assert!(
                matches!(why, Why::Lost(Lost::RedirectRefused(_))) && why.is_failing(),
                "{name}: {why:?}"
            );
            assert!(why.to_string().contains(words), "{name}: {why}");
            assert_ordered(left, LONG_RETRY);
            let first = attempt(&simulator, name, 0).await;
            assert_eq!(
                (first.status, first.end.unwrap().by),
                (Some(302), EndedBy::Redirect),
                "{name}"
            );
            let second = attempt(&simulator, name, 1).await;
            assert_eq!(second.status, Some(302), "{name}");
            assert_waited(&second, LONG_RETRY);
        }
    });
    all_at_once(checks).await;
    trial.finish().await;
    assert_eq!((other_address.visits(), other_name.visits()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_without_end_are_given_up_and_waited_out() {
    let simulator = simulate([redirected("endless", 302, None, RedirectTarget::Same)]).await;
    let mut config = Config::new().await;
    config.stream(&simulator, "endless");
    let trial = config.start().await;
    let (why, left) = trial.stream("endless").waits().await;
    assert_eq!(
        why.to_string(),
        "a redirect was not followed: more than 5 redirects in a row"
    );
    assert!(why.is_failing());
    assert_ordered(left, LONG_RETRY);
    // The first request and five hops; then the next attempt, and not before.
    for (number, accept) in simulator.ledger().accepts_of("endless").into_iter().take(6).enumerate() {
        let follows = if number == 0 {
            Follows::Nothing
        } else {
            Follows::Redirect
        };
        assert_eq!((accept.status, accept.follows), (Some(302), follows), "{number}");
    }
    let next = attempt(&simulator, "endless", 6).await;
    assert_eq!(next.follows, Follows::End);
    assert_waited(&next, LONG_RETRY);
    trial.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_where_nobody_is_has_reached_the_service_and_costs_a_cooldown() {
    let base = format!("http://127.0.0.1:{}", closed_port());
    let simulator = simulate([redirected("dead-end", 302, Some(1), RedirectTarget::Base(base))]).await;
    let mut config = Config::new().await;
    // A backoff would begin with one second.
    config.upstream = "cooldown = \"3s\"\nlong_retry = \"60s\"\n".to_owned();
    config.stream(&simulator, "dead-end");
    let trial = config.start().await;
    let (why, left) = trial.stream("dead-end").waits().await;
    assert!(
        matches!(why, Why::Lost(Lost::RedirectHop(_))) && why.to_string().contains("refused"),
        "{why:?}"
    );
    assert_ordered(left, Duration::from_secs(3));
    assert_waited(&attempt(&simulator, "dead-end", 1).await, Duration::from_secs(3));
    trial.finish().await;
}
