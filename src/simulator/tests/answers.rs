//! Every answer that is not a stream: statuses, tokens, redirects.

use std::time::Duration;

use super::super::*;
use super::client::{ended, open, open_with, quiet, send, stream_request};

#[tokio::test]
async fn a_wrong_request_gets_the_status_of_the_table() {
    let simulator = quiet(|_| {}).await;
    let token = simulator.issue_token();
    let right = stream_request("/api/1/stream/s", &token);
    let cases = [
        (405, right.replace("GET", "POST")),
        (505, right.replace("HTTP/1.1", "HTTP/1.0")),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (404, right.replace("stream/s", "stream/other")),
        (404, right.replace("/api/1/stream/s", "/elsewhere")),
        (401, right.replace(&token, "stale")),
        (401, right.replace("Authorization", "X-Nothing")),
        (406, right.replace("deflate, gzip", "deflate")),
        (406, right.replace("deflate, gzip", "gzip;q=0")),
        (400, stream_request("/api/1/stream/s?maxConnections=9", &token)),
        (400, stream_request("/api/1/stream/s?maxConnections=0", &token)),
        (400, stream_request("/api/1/stream/s?reset=now", &token)),
        (400, stream_request("/api/1/stream/s?smoothingBucketSize=270", &token)),
        (
            400,
            stream_request("/api/1/stream/s?smoothing=1&smoothingBucketSize=7201", &token),
        ),
        (400, "no request\r\n\r\n".to_owned()),
        (431, format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(40_000))),
        (
            413,
            "POST /ims/token/v3 HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
        ),
        (
            411,
            "POST /ims/token/v3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        ),
    ];
    for (status, request) in cases {
        let reply = send(simulator.addr(), request.as_bytes()).await.unwrap();
        assert_eq!(reply.status, status, "{}", &request[..request.len().min(200)]);
    }
    // Header names in any case, and no api key, are right.
    let lower = right
        .to_lowercase()
        .replace("get ", "GET ")
        .replace("http/1.1", "HTTP/1.1")
        .replace("x-api-key: me\r\n", "");
    assert_eq!(send(simulator.addr(), lower.as_bytes()).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_unauthorized_answer_is_plain_text_and_a_conflict_explains_itself() {
    let simulator = quiet(|_| {}).await;
    let reply = send(simulator.addr(), stream_request("/api/1/stream/s", "wrong").as_bytes())
        .await
        .unwrap();
    assert_eq!((reply.status, reply.text().await.as_str()), (401, "not authorized"));
    let first = open_with(&simulator, "?maxConnections=2").await;
    assert_eq!(first.status, 200);
    let differing = open_with(&simulator, "?maxConnections=3").await;
    assert_eq!(differing.status, 409);
    let differs: serde_json::Value = serde_json::from_str(&differing.text().await).unwrap();
    let second = open_with(&simulator, "?maxConnections=2").await;
    assert_eq!(second.status, 200);
    let third = open_with(&simulator, "?maxConnections=2").await;
    let reached: serde_json::Value = serde_json::from_str(&third.text().await).unwrap();
    assert!(
        differs["error_description"]
            .as_str()
            .unwrap()
            .starts_with("maxConnections differs"),
        "{differs}"
    );
    assert!(
        reached["error_description"]
            .as_str()
            .unwrap()
            .starts_with("maximum number"),
        "{reached}"
    );
}

#[tokio::test]
async fn a_status_on_demand_lasts_as_long_as_asked_for() {
    for code in [302, 400, 401, 403, 404, 409, 424, 429, 500, 502, 503, 504] {
        let simulator = quiet(|settings| settings.streams[0].slots = Some(1)).await;
        simulator
            .fault(
                "s",
                AttemptFault::Status {
                    code,
                    retry_after: Some(7),
                }
                .times(2),
            )
            .unwrap();
        for _ in 0..2 {
            let reply = open(&simulator).await;
            assert_eq!(reply.status, code);
            assert_eq!(reply.header("retry-after"), (code != 401).then_some("7"));
        }
        assert_eq!(open(&simulator).await.status, 200);
        let statuses: Vec<_> = simulator
            .ledger()
            .accepts()
            .iter()
            .map(|accept| accept.status)
            .collect();
        assert_eq!(statuses, [Some(code), Some(code), Some(200)]);
    }
}

#[tokio::test]
async fn api_2_works_once_it_was_enabled() {
    let simulator = quiet(|settings| settings.streams[0].api2 = Api2::AfterEnable(Duration::ZERO)).await;
    let token = simulator.issue_token();
    let ask = async || {
        send(simulator.addr(), stream_request("/api/2/stream/s", &token).as_bytes())
            .await
            .unwrap()
    };
    let reply = ask().await;
    assert_eq!(reply.status, 424);
    assert!(reply.text().await.contains("/api/2/enable/s"));
    let enable = send(simulator.addr(), stream_request("/api/2/enable/s", &token).as_bytes())
        .await
        .unwrap();
    assert_eq!(enable.status, 200);
    assert_eq!(ask().await.status, 200);
}

#[tokio::test]
async fn attempts_can_be_left_without_a_usable_answer() {
    let simulator = quiet(|_| {}).await;
    let request = stream_request("/api/1/stream/s", &simulator.issue_token());
    simulator.fault("s", AttemptFault::HangUp).unwrap();
    assert!(send(simulator.addr(), request.as_bytes()).await.is_err());
    assert_eq!(ended_by(&simulator, 1).await, EndedBy::Fault("hang-up"));

    simulator.fault("s", AttemptFault::NoAnswer).unwrap();
    let mut silent = tokio::net::TcpStream::connect(simulator.addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut silent, request.as_bytes())
        .await
        .unwrap();
    simulator.ledger().wait_until(|ledger| ledger.accept(2)).await;
    drop(silent);
    assert_eq!(ended(&simulator, 2).await.end.unwrap().by, EndedBy::Client);

    simulator.fault("s", AttemptFault::StrangeCoding).unwrap();
    let strange = open(&simulator).await;
    assert_eq!((strange.status, strange.header("content-encoding")), (200, Some("br")));
    strange.close();

    simulator.fault("s", AttemptFault::Silence).unwrap();
    simulator.set_rate("s", Rate::Unlimited).unwrap();
    let silent = open(&simulator).await;
    assert_eq!(silent.header("content-encoding"), Some("gzip"));
    simulator.fault("s", StreamFault::CutBetween).unwrap();
    assert!(
        silent.body().await.records.is_empty(),
        "not a byte until the next fault"
    );
}

async fn ended_by(simulator: &Handle, connection: u64) -> EndedBy {
    let end = |ledger: &Ledger| ledger.accept(connection).and_then(|accept| accept.end);
    simulator.ledger().wait_until(end).await.by
}

#[tokio::test]
async fn a_token_is_fetched_and_opens_the_stream_until_it_is_revoked() {
    let simulator = quiet(|settings| settings.tokens.client = Some(("me".to_owned(), "secret".to_owned()))).await;
    let fetch = async |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id=me&client_secret={secret}&scope=openid");
        let length = form.len();
        let request = format!("POST /ims/token/v3 HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{form}");
        send(simulator.addr(), request.as_bytes()).await
    };
    let answer: serde_json::Value = serde_json::from_str(&fetch("secret").await.unwrap().text().await).unwrap();
    assert_eq!(
        (answer["token_type"].as_str(), answer["expires_in"].as_u64()),
        (Some("bearer"), Some(86_400))
    );
    let token = answer["access_token"].as_str().unwrap();
    let request = stream_request("/api/1/stream/s", token);
    assert_eq!(send(simulator.addr(), request.as_bytes()).await.unwrap().status, 200);
    simulator.revoke_tokens();
    assert_eq!(send(simulator.addr(), request.as_bytes()).await.unwrap().status, 401);

    assert_eq!(fetch("guess").await.unwrap().status, 401);
    simulator.token_fault("status:code=429,retry-after=9".parse().unwrap(), 1);
    let throttled = fetch("secret").await.unwrap();
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("9")));
    simulator.token_fault(TokenFault::Garbage, 1);
    assert!(serde_json::from_str::<serde_json::Value>(&fetch("secret").await.unwrap().text().await).is_err());
    simulator.token_fault(TokenFault::Slow(Duration::from_millis(1)), 1);
    assert_eq!(fetch("secret").await.unwrap().status, 200);
    simulator.token_fault(TokenFault::HangUp, 1);
    assert!(fetch("secret").await.is_err());
    let fetches = simulator
        .ledger()
        .wait_until(|ledger| Some(ledger.token_fetches()).filter(|it| it.len() == 6))
        .await;
    let statuses: Vec<_> = fetches.iter().map(|fetch| fetch.status).collect();
    assert_eq!(statuses, [Some(200), Some(401), Some(429), Some(200), Some(200), None]);
    // Neither token nor secret is written down anywhere.
    let printed = format!("{:?}", simulator.ledger());
    assert!(!printed.contains(token) && !printed.contains("secret="));
}

/// Path and query of a location, and whether it is relative.
fn target(location: &str) -> (String, Option<SocketAddr>) {
    match location.strip_prefix("http://") {
        None => (location.to_owned(), None),
        Some(rest) => {
            let (host, path) = rest.split_once('/').unwrap();
            (format!("/{path}"), Some(host.parse().unwrap()))
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_hop_by_hop_without_being_early() {
    for (status, target_kind) in [
        (301, RedirectTarget::Relative),
        (302, RedirectTarget::Same),
        (307, RedirectTarget::OtherListener),
    ] {
        let simulator = quiet(|settings| {
            settings.second_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            settings.streams[0].redirect = Some(Redirect {
                status,
                hops: Some(2),
                target: target_kind.clone(),
            });
        })
        .await;
        let token = simulator.issue_token();
        let (mut path, mut addr) = ("/api/1/stream/s?maxConnections=1".to_owned(), simulator.addr());
        for hop in 0..3 {
            let reply = send(addr, stream_request(&path, &token).as_bytes()).await.unwrap();
            assert_eq!(reply.status, if hop < 2 { status } else { 200 });
            let Some(location) = reply.header("location") else {
                break;
            };
            let (next_path, next_addr) = target(location);
            assert_eq!(next_addr.is_none(), matches!(target_kind, RedirectTarget::Relative));
            (path, addr) = (next_path, next_addr.unwrap_or(addr));
            let elsewhere = matches!(target_kind, RedirectTarget::OtherListener) && hop == 0;
            assert_eq!(addr != simulator.addr(), elsewhere);
        }
        let accepts = simulator.ledger().accepts();
        let follows: Vec<_> = accepts.iter().map(|accept| accept.follows).collect();
        assert_eq!(follows, [Follows::Nothing, Follows::Redirect, Follows::Redirect]);
        assert!(
            accepts
                .iter()
                .all(|accept| !accept.early && accept.headers_lost.is_empty())
        );
        assert!(
            accepts
                .iter()
                .all(|accept| accept.parameter("maxConnections").as_deref() == Some("1"))
        );
    }
}

#[tokio::test]
async fn a_hop_without_its_headers_is_noted_and_a_loop_goes_on_for_ever() {
    let redirect = Redirect {
        status: 302,
        hops: None,
        target: RedirectTarget::Relative,
    };
    let simulator = quiet(|settings| settings.streams[0].redirect = Some(redirect)).await;
    let mut reply = open(&simulator).await;
    for _ in 0..20 {
        assert_eq!(reply.status, 302);
        let path = reply.header("location").unwrap().to_owned();
        reply = send(
            simulator.addr(),
            stream_request(&path, &simulator.issue_token()).as_bytes(),
        )
        .await
        .unwrap();
    }
    let path = reply.header("location").unwrap().to_owned();
    let bare = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(send(simulator.addr(), bare.as_bytes()).await.unwrap().status, 401);
    let last = simulator.ledger().accepts().pop().unwrap();
    assert_eq!(last.headers_lost, ["accept-encoding", "authorization", "x-api-key"]);
    assert_eq!(last.token, TokenSeen::Absent);
}
