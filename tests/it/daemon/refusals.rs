//! Every status of the protocol notes, section 4, and answers that are none: what is shown, how long is waited, and that hits come
//! afterwards.

use std::time::Duration;

use livestreamd::lifecycle::{Lost, State, Why};
use livestreamd::simulator::{
    Api2, AttemptFault, EndedBy, Follows, Handle, SimulatedStream, Simulator, SimulatorSettings, StreamFault,
    TokenFault, TokenSeen,
};

use super::outsider::Client;
use super::trial::{
    COOLDOWN, Config, LONG_RETRY, Observed, all_at_once, assert_ordered, assert_waited, assert_waited_after_our_end,
    attempt, blocking, quiet, simulate, within,
};

/// A status that the first attempts get.
struct Case {
    name: &'static str,
    status: u16,
    retry_after: Option<u64>,
    /// The wait after each of the attempts that get it.
    waits: &'static [Duration],
    failing: bool,
}

const fn case(name: &'static str, status: u16, waits: &'static [Duration], failing: bool) -> Case {
    Case {
        name,
        status,
        retry_after: None,
        waits,
        failing,
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const CASES: &[Case] = &[
    case("s400", 400, &[LONG_RETRY], true),
    case("s403", 403, &[LONG_RETRY], true),
    case("s404", 404, &[LONG_RETRY], true),
    case("s405", 405, &[LONG_RETRY], true),
    case("s406", 406, &[LONG_RETRY], true),
    case("s424", 424, &[LONG_RETRY], true),
    case("s505", 505, &[LONG_RETRY], true),
    case("s500", 500, &[COOLDOWN, COOLDOWN], false),
    case("s502", 502, &[COOLDOWN, COOLDOWN], false),
    case("s504", 504, &[COOLDOWN], false),
    // 409 and 503 stretch the cooldown, up to three times itself.
    case("s409", 409, &[COOLDOWN, ms(1_500), ms(2_250), ms(3_000)], false),
    case(
        "s503",
        503,
        &[COOLDOWN, ms(1_500), ms(2_250), ms(3_000), ms(3_000)],
        false,
    ),
    Case {
        retry_after: Some(3),
        ..case("s429", 429, &[ms(3_000)], false)
    },
    Case {
        retry_after: Some(4),
        ..case("s503-later", 503, &[ms(4_000)], false)
    },
    Case {
        retry_after: Some(0),
        ..case("s503-sooner", 503, &[COOLDOWN, ms(1_500)], false)
    },
    Case {
        retry_after: Some(5),
        ..case("s404-later", 404, &[ms(5_000)], true)
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_status_is_shown_and_waited_out_as_its_class_demands_and_then_hits_come() {
    let simulator = simulate(CASES.iter().map(|case| quiet(case.name))).await;
    let mut config = Config::new().await;
    for case in CASES {
        config.stream(&simulator, case.name);
        let fault = AttemptFault::Status {
            code: case.status,
            retry_after: case.retry_after,
        };
        simulator
            .fault(case.name, fault.times(case.waits.len() as u32))
            .unwrap();
    }
    let trial = config.start().await;
    all_at_once(
        CASES
            .iter()
            .map(|case| refused(simulator.handle(), trial.stream(case.name), case)),
    )
    .await;
    let arrived = trial.finish().await;
    for case in CASES {
        let accepts = simulator.ledger().accepts_of(case.name);
        assert_eq!(accepts.len(), case.waits.len() + 1, "{}: {accepts:#?}", case.name);
        assert_eq!(arrived.judge(&simulator, case.name).hits, 5, "{}", case.name);
    }
}

async fn refused(simulator: Handle, stream: Observed, case: &Case) {
    for (number, wait) in case.waits.iter().enumerate() {
        assert_eq!(
            attempt(&simulator, case.name, number).await.status,
            Some(case.status),
            "{}",
            case.name
        );
        let (why, left) = stream.waits().await;
        let Why::Refused(refusal) = &why else {
            panic!("{}: {why:?}", case.name)
        };
        assert_eq!(
            (refusal.status, why.is_failing()),
            (case.status, case.failing),
            "{}",
            case.name
        );
        assert_eq!(
            why.to_string(),
            format!("the service answered {}: simulated trouble", case.status)
        );
        assert_ordered(left, *wait);
        // The next attempt ends this wait, so that the same state is not seen twice.
        let next = attempt(&simulator, case.name, number + 1).await;
        assert_waited(&next, *wait);
    }
    stream.streams().await;
    simulator.burst(case.name, 5).unwrap();
    stream.has_hits(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_401_is_retried_at_once_with_a_fresh_token_and_once_only() {
    // The first stream's token is not accepted once, the second's never for a while; each has a credential of its own.
    let simulator = simulate([quiet("expired"), quiet("not-linked")]).await;
    simulator.fault("expired", AttemptFault::status(401)).unwrap();
    simulator
        .fault("not-linked", AttemptFault::status(401).times(4))
        .unwrap();
    let mut config = Config::new().await;
    config.stream(&simulator, "expired");
    config.stream(&simulator, "not-linked");
    let trial = config.start().await;

    trial.stream("expired").streams().await;
    let retry = attempt(&simulator, "expired", 1).await;
    assert_eq!(
        (retry.follows, retry.early, retry.status),
        (Follows::Unauthorized, false, Some(200))
    );
    assert!(retry.waited.unwrap() < COOLDOWN, "at once: {retry:?}");

    let stream = trial.stream("not-linked");
    let (why, left) = stream.waits().await;
    assert_eq!(
        (why.to_string(), why.is_failing()),
        ("the service answered 401: not authorized".to_owned(), true)
    );
    assert_ordered(left, COOLDOWN);
    for (number, follows) in [
        Follows::Nothing,
        Follows::Unauthorized,
        Follows::End,
        Follows::Unauthorized,
        Follows::End,
    ]
    .iter()
    .enumerate()
    {
        let accept = attempt(&simulator, "not-linked", number).await;
        assert_eq!((accept.follows, accept.early), (*follows, false), "attempt {number}");
        assert_eq!(
            accept.status,
            Some(if number < 4 { 401 } else { 200 }),
            "attempt {number}"
        );
        if *follows == Follows::End {
            assert_waited(&accept, COOLDOWN);
        }
    }
    stream.streams().await;
    // One token to begin with for each stream, and a fresh one for each retry.
    assert_eq!(simulator.ledger().token_fetches().len(), 2 + 1 + 2);
    for name in ["expired", "not-linked"] {
        simulator.burst(name, 5).unwrap();
        trial.stream(name).has_hits(5).await;
    }
    let arrived = trial.finish().await;
    for name in ["expired", "not-linked"] {
        assert_eq!(arrived.judge(&simulator, name).hits, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_revoked_meanwhile_costs_one_retry_and_no_further_cooldown() {
    let simulator = simulate([quiet("revoked")]).await;
    let mut config = Config::new().await;
    config.stream(&simulator, "revoked");
    let trial = config.start().await;
    trial.stream("revoked").streams().await;
    simulator.revoke_tokens();
    simulator
        .fault("revoked", StreamFault::Close { trailer: true })
        .unwrap();
    let (second, third) = (
        attempt(&simulator, "revoked", 1).await,
        attempt(&simulator, "revoked", 2).await,
    );
    assert_eq!((second.status, second.token), (Some(401), TokenSeen::Invalid));
    assert_waited(&second, COOLDOWN);
    assert_eq!(
        (third.status, third.token, third.follows),
        (Some(200), TokenSeen::Valid, Follows::Unauthorized)
    );
    assert!(third.waited.unwrap() < COOLDOWN);
    trial.stream("revoked").streams().await;
    simulator.burst("revoked", 5).unwrap();
    trial.stream("revoked").has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "revoked").hits, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_409_for_another_client_is_told_with_its_reason_until_that_client_is_gone() {
    // The other client takes a slot too.
    let streams = ["reached", "differs"].map(|name| SimulatedStream {
        slots: Some(2),
        ..quiet(name)
    });
    let simulator = simulate(streams).await;
    let (addr, token) = (simulator.addr(), simulator.issue_token());
    let others = blocking(move || {
        [("reached", 1), ("differs", 2)].map(|(name, most)| {
            let other = Client::get(addr, &format!("/api/1/stream/{name}?maxConnections={most}"), &token);
            assert_eq!(other.status, 200);
            other
        })
    })
    .await;
    let mut config = Config::new().await;
    config.stream(&simulator, "reached");
    config.stream(&simulator, "differs");
    let trial = config.start().await;
    for (name, words) in [
        (
            "reached",
            "maximum number of connections reached: 1 are allowed and counted as open",
        ),
        ("differs", "maxConnections differs: this client sent 1, another one 2"),
    ] {
        let (why, left) = trial.stream(name).waits().await;
        assert_eq!(
            (why.to_string(), why.is_failing()),
            (format!("the service answered 409: {words}"), false)
        );
        assert_ordered(left, COOLDOWN * 3);
        // Of the ledger's attempts the first is the other client's.
        let (first, second) = (attempt(&simulator, name, 1).await, attempt(&simulator, name, 2).await);
        assert_eq!(
            (first.status, second.parameter("maxConnections").as_deref()),
            (Some(409), Some("1"))
        );
        assert_waited(&second, COOLDOWN);
    }
    drop(others);
    for name in ["reached", "differs"] {
        trial.stream(name).streams().await;
        simulator.burst(name, 5).unwrap();
        trial.stream(name).has_hits(5).await;
    }
    let arrived = trial.finish().await;
    for name in ["reached", "differs"] {
        assert_eq!(arrived.judge(&simulator, name).hits, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_424_goes_on_until_somebody_enables_the_stream() {
    let simulator = simulate([SimulatedStream {
        api2: Api2::AfterEnable(Duration::ZERO),
        ..quiet("new-api")
    }])
    .await;
    let mut config = Config::new().await;
    config.stream_at("new-api", &simulator.url_api2("new-api"), &simulator.token_url(), "");
    let trial = config.start().await;
    let stream = trial.stream("new-api");
    let (why, left) = stream.waits().await;
    assert!(
        why.is_failing() && why.to_string().contains("424") && why.to_string().contains("/api/2/enable/new-api"),
        "{why}"
    );
    assert_ordered(left, LONG_RETRY);
    assert_waited(&attempt(&simulator, "new-api", 1).await, LONG_RETRY);
    let (addr, token) = (simulator.addr(), simulator.issue_token());
    let enabled = blocking(move || Client::get(addr, "/api/2/enable/new-api", &token).status).await;
    assert_eq!(enabled, 200);
    stream.streams().await;
    simulator.burst("new-api", 5).unwrap();
    stream.has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "new-api").hits, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_without_a_usable_answer_has_reached_the_service_all_the_same() {
    let cases = [
        ("no-answer", AttemptFault::NoAnswer),
        ("hang-up", AttemptFault::HangUp),
        ("strange", AttemptFault::StrangeCoding),
    ];
    let simulator = simulate(cases.iter().map(|(name, _)| quiet(name))).await;
    let mut config = Config::new().await;
    config.upstream =
        format!("cooldown = \"{COOLDOWN:?}\"\nlong_retry = \"{LONG_RETRY:?}\"\nconnect_timeout = \"1s\"\n");
    for (name, fault) in cases.clone() {
        simulator.fault(name, fault).unwrap();
        config.stream(&simulator, name);
    }
    let trial = config.start().await;
    let checks = cases.clone().map(|(name, _)| {
        let (simulator, stream) = (simulator.handle(), trial.stream(name));
        async move {
            let (why, left) = stream.waits().await;
            let (wait, failing, words) = match (name, &why) {
                ("no-answer", Why::Lost(Lost::HeadTimeout)) => {
                    (COOLDOWN, false, "no response head within the time limit")
                }
                ("hang-up", Why::Lost(Lost::Broken(_))) => {
                    (COOLDOWN, false, "closed before the response head was whole")
                }
                ("strange", Why::Lost(Lost::Unreadable(_))) => {
                    (LONG_RETRY, true, "the content coding \"br\" is none that we read")
                }
                other => panic!("{other:?}"),
            };
            assert!(
                why.is_failing() == failing && why.to_string().contains(words),
                "{name}: {why}"
            );
            assert_ordered(left, wait);
            let second = attempt(&simulator, name, 1).await;
            if attempt(&simulator, name, 0).await.end.unwrap().by == EndedBy::Client {
                assert_waited_after_our_end(&second, wait);
            } else {
                assert_waited(&second, wait);
            }
            stream.streams().await;
            simulator.burst(name, 5).unwrap();
            stream.has_hits(5).await;
        }
    });
    all_at_once(checks).await;
    let arrived = trial.finish().await;
    for (name, _) in cases {
        assert_eq!(arrived.judge(&simulator, name).hits, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_at_the_token_endpoint_is_shown_and_costs_the_service_nothing() {
    let mut settings = SimulatorSettings {
        streams: vec![quiet("unknown-client"), quiet("away")],
        ..SimulatorSettings::default()
    };
    settings.tokens.client = Some(("client".to_owned(), super::trial::SECRET.to_owned()));
    let simulator = Simulator::start(settings.with_cooldown(COOLDOWN)).await.unwrap();
    let mut config = Config::new().await;
    let credential = format!(
        "client_id = \"client\"\nclient_secret = \"a-wrong-guess\"\ntoken_url = \"{}\"",
        simulator.token_url()
    );
    config.stream_as("unknown-client", &simulator.url("unknown-client"), &credential, "");
    let trial = config.start().await;
    let (why, left) = trial.stream("unknown-client").waits().await;
    assert!(
        why.is_failing()
            && why
                .to_string()
                .contains("401: unknown client_id, or a client_secret that is not its own"),
        "{why}"
    );
    assert_ordered(left, COOLDOWN);
    // It goes on, ever more slowly.
    let refusals = |ledger: &livestreamd::simulator::Ledger| (ledger.token_fetches().len() >= 2).then_some(());
    within("a second fetch", simulator.ledger().wait_until(refusals)).await;
    assert_eq!(simulator.ledger().summary().accepts, 0, "nobody asked for a stream");
    trial.finish().await;

    simulator.token_fault(
        TokenFault::Status {
            code: 503,
            retry_after: None,
        },
        1,
    );
    simulator.token_fault(TokenFault::HangUp, 1);
    let mut config = Config::new().await;
    // With the backoff of an attempt that reached nobody, not with this.
    config.upstream = "cooldown = \"60s\"\n".to_owned();
    config.stream(&simulator, "away");
    let trial = config.start().await;
    let (why, left) = trial.stream("away").waits().await;
    assert!(!why.is_failing() && why.to_string().contains("answered 503"), "{why}");
    assert_ordered(left, Duration::from_secs(1));
    let stream = trial.stream("away");
    stream
        .slot(
            0,
            "waits for the second failure",
            |state| matches!(state, State::Waiting { why, .. } if why.to_string().contains("closed")),
        )
        .await;
    stream.streams().await;
    simulator.burst("away", 5).unwrap();
    stream.has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "away").hits, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_200_without_a_byte_is_a_quiet_stream_and_stays_open() {
    let simulator = simulate([quiet("silent")]).await;
    simulator.fault("silent", AttemptFault::Silence).unwrap();
    let mut config = Config::new().await;
    config.upstream.push_str("stall_timeout = \"500ms\"\n");
    config.stream(&simulator, "silent");
    let trial = config.start().await;
    let stream = trial.stream("silent");
    stream.streams().await;
    // Nothing to wait for: that nothing happens is what is looked at, for some stall limits.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(
        matches!(stream.state(), State::Streaming { .. }),
        "{:?}",
        stream.state()
    );
    // Any order ends the silence.
    simulator.fault("silent", StreamFault::Empty { times: 1 }).unwrap();
    simulator.burst("silent", 5).unwrap();
    stream.has_hits(5).await;
    assert_eq!(trial.finish().await.judge(&simulator, "silent").hits, 5);
    assert_eq!(simulator.ledger().accepts().len(), 1);
}
