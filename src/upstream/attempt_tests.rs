use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::super::body::Drained;
use super::super::testing::{self, Connect, answer, network};
use super::*;
use crate::lifecycle::{EndReason, ResetTo};

const URL: &str = "https://livestream.adobe.net/api/1/stream/x?beta=true";
const TOKEN: &str = "t0ken-that-nobody-may-see";

fn request(url: &str) -> StreamRequest {
    StreamRequest::new(&testing::stream(url), testing::access_token(TOKEN), None)
}

/// The outcome when the service answers the one request with `bytes` and hangs up.
async fn outcome(bytes: impl AsRef<[u8]>) -> Result<Answer<tokio::io::DuplexStream>, AttemptError> {
    let (network, mut service) = network(64 * 1024);
    let (outcome, ()) = tokio::join!(
        async {
            let request = request(URL);
            open(&*network, &request).await
        },
        async {
            let (_, _, mut io) = service.request().await;
            let _ = io.write_all(bytes.as_ref()).await;
        },
    );
    assert!(service.is_idle(), "no second connect");
    outcome
}

async fn refused(bytes: impl AsRef<[u8]>) -> Refusal {
    match outcome(bytes).await {
        Ok(Answer::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn lost(bytes: impl AsRef<[u8]>) -> Lost {
    match outcome(bytes).await {
        Err(AttemptError::Lost(lost)) => lost,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_on_the_wire_is_that_of_the_protocol() {
    let (network, mut service) = network(1);
    let request = StreamRequest::new(
        &testing::stream(URL),
        testing::access_token(TOKEN),
        Some(ResetTo::Latest),
    );
    let read = async {
        match open(&*network, &request).await {
            Ok(Answer::Streaming(mut body)) => body.next().await,
            other => panic!("{other:?}"),
        }
    };
    let (drained, ()) = tokio::join!(read, async {
        let (target, head, io) = service.request().await;
        assert_eq!(target.to_string(), "livestream.adobe.net:443");
        assert!(head.starts_with(
            "GET /api/1/stream/x?beta=true&maxConnections=1&reset=latest HTTP/1.1\r\nhost: livestream.adobe.net\r\n"
        ));
        for header in [
            format!("authorization: Bearer {TOKEN}"),
            "x-api-key: client-1".to_owned(),
            "accept-encoding: gzip".to_owned(),
            format!("user-agent: livestreamd/{}", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} in {head}");
        }
        answer(
            io,
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .await;
    });
    assert_eq!(
        drained,
        Drained::End {
            reason: EndReason::Closed,
            cut_bytes: 0
        }
    );
}

#[tokio::test(start_paused = true)]
async fn every_status_but_200_and_a_redirect_is_a_refusal() {
    for status in [
        201, 204, 206, 300, 303, 304, 400, 401, 403, 404, 405, 406, 409, 424, 429, 500, 502, 503, 504, 505, 599,
    ] {
        let length = if matches!(status, 204 | 304) {
            String::new()
        } else {
            "Content-Length: 14\r\n".to_owned()
        };
        let body = if length.is_empty() { "" } else { "not authorized" };
        let refusal = refused(format!("HTTP/1.1 {status} X\r\n{length}Retry-After: 90\r\n\r\n{body}")).await;
        let description = (!body.is_empty()).then(|| body.to_owned());
        assert_eq!(
            refusal,
            Refusal {
                status,
                description,
                retry_after: Some(Duration::from_secs(90))
            }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_what_its_body_says_but_never_the_token() {
    let body = format!(r#"{{"error_description":"too many\u001b connections for Bearer {TOKEN}"}}"#);
    let head = format!("HTTP/1.1 409 Conflict\r\nContent-Length: {}\r\n\r\n", body.len());
    let description = refused(format!("{head}{body}")).await.description;
    assert_eq!(
        description.as_deref(),
        Some("too many  connections for Bearer [redacted]")
    );

    let long = refused(format!("HTTP/1.1 503 X\r\n\r\n{}", "w ".repeat(1 << 20)))
        .await
        .description
        .unwrap();
    assert_eq!(long.chars().count(), 303);
    let cut = refused("HTTP/1.1 503 X\r\nContent-Length: 999\r\n\r\ncut off").await;
    assert_eq!((cut.status, cut.description.as_deref()), (503, Some("cut off")));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_never_ends_is_told_after_the_time_limit() {
    let (network, mut service) = network(1024);
    let request = request(URL);
    let began = Instant::now();
    let (outcome, _io) = tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        io.write_all(b"HTTP/1.1 503 X\r\n\r\nmaintenance").await.unwrap();
        io
    });
    let Ok(Answer::Refused(refusal)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (refusal.description.as_deref(), began.elapsed()),
        (Some("maintenance"), Duration::from_secs(10))
    );
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_with_all_headers() {
    for status in [301, 302, 307, 308] {
        let (network, mut service) = network(64 * 1024);
        let request = request(URL);
        let (outcome, heads) = tokio::join!(open(&*network, &request), async {
            let mut heads = Vec::new();
            for (host, location) in [
                ("livestream.adobe.net:443", "https://sjo.livestream.adobe.net/y?z"),
                ("sjo.livestream.adobe.net:443", "//lon.adobe.io:8443/w"),
                ("lon.adobe.io:8443", "/v"),
            ] {
                let (target, head, io) = service.request().await;
                assert_eq!(target.to_string(), host);
                heads.push(head);
                answer(
                    io,
                    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"),
                )
                .await;
            }
            let (_, head, io) = service.request().await;
            heads.push(head);
            answer(
                io,
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            )
            .await;
            heads
        });
        assert!(matches!(outcome, Ok(Answer::Streaming(_))), "{status}: {outcome:?}");
        let (lines, headers): (Vec<_>, Vec<_>) = heads.iter().map(|head| head.split_once("\r\n").unwrap()).unzip();
        assert_eq!(
            lines,
            [
                "GET /api/1/stream/x?beta=true&maxConnections=1 HTTP/1.1",
                "GET /y?z HTTP/1.1",
                "GET /w HTTP/1.1",
                "GET /v HTTP/1.1"
            ]
        );
        for (headers, host) in headers.iter().zip([
            "livestream.adobe.net",
            "sjo.livestream.adobe.net",
            "lon.adobe.io:8443",
            "lon.adobe.io:8443",
        ]) {
            assert_eq!(
                headers.replace(host, "HOST"),
                headers_of(&request),
                "the same on every hop"
            );
        }
    }
}

fn headers_of(request: &StreamRequest) -> String {
    let message = request.to(&Url::parse("https://HOST/").unwrap()).unwrap();
    let lines = message
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    lines.collect::<String>().replace("host: host", "host: HOST") + "\r\n"
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_foreign_host_is_refused_and_not_connected_to() {
    for (location, why) in [
        (
            "Location: https://example.com/\r\n",
            "example.com is not a trusted host",
        ),
        ("Location: http://livestream.adobe.net/\r\n", "clear text"),
        ("Location: https://u:p@adobe.net/\r\n", "user name"),
        (
            "Location: https://livestream.adobe.net/api/1/stream/x?beta=true&maxConnections=1\r\n",
            "leads back",
        ),
        ("", "0 Location headers"),
        ("Location: /a\r\nLocation: /b\r\n", "2 Location headers"),
    ] {
        let Lost::RedirectRefused(text) = lost(format!("HTTP/1.1 302 Found\r\n{location}\r\n")).await else {
            panic!()
        };
        assert!(text.contains(why), "{text}");
        assert!(!text.contains(TOKEN));
    }
}

#[tokio::test(start_paused = true)]
async fn endless_redirects_are_refused_after_five() {
    let (network, mut service) = network(64 * 1024);
    let request = request(URL);
    let (outcome, connects) = tokio::join!(open(&*network, &request), async {
        for hop in 0..6 {
            let (_, _, io) = service.request().await;
            answer(io, format!("HTTP/1.1 302 Found\r\nLocation: /hop{hop}\r\n\r\n")).await;
        }
        6
    });
    assert_eq!(
        outcome.unwrap_err(),
        AttemptError::Lost(Lost::RedirectRefused("more than 5 redirects in a row".to_owned()))
    );
    assert!(service.is_idle(), "{connects} connects and no more");
}

#[tokio::test(start_paused = true)]
async fn a_first_connect_that_fails_has_not_reached_the_service() {
    let (network, mut service) = network(1024);
    network.plan([Connect::Refused("no such host"), Connect::Hangs]);
    let request = request(URL);
    let began = Instant::now();
    assert_eq!(
        open(&*network, &request).await.unwrap_err(),
        AttemptError::Unreached(Unreached("no such host".to_owned()))
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    let hung = AttemptError::Unreached(Unreached(
        "livestream.adobe.net:443: no connection within 10s".to_owned(),
    ));
    assert_eq!(open(&*network, &request).await.unwrap_err(), hung);
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert!(service.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_later_hop_that_fails_has_reached_the_service() {
    for (second, why) in [
        (Connect::Refused("no such host"), "no such host"),
        (Connect::Hangs, "sjo.adobe.net:443: no connection within 10s"),
    ] {
        let (network, mut service) = network(1024);
        network.plan([Connect::Accepted, second]);
        let request = request(URL);
        let (outcome, ()) = tokio::join!(open(&*network, &request), async {
            let (_, _, io) = service.request().await;
            answer(io, "HTTP/1.1 302 Found\r\nLocation: https://sjo.adobe.net/\r\n\r\n").await;
        });
        assert_eq!(
            outcome.unwrap_err(),
            AttemptError::Lost(Lost::RedirectHop(why.to_owned()))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_head_that_does_not_become_whole_in_time_is_given_up() {
    for trickle in [false, true] {
        let (network, mut service) = network(1024);
        let request = request(URL);
        let began = Instant::now();
        tokio::select! {
            outcome = open(&*network, &request) => {
                assert_eq!(outcome.unwrap_err(), AttemptError::Lost(Lost::HeadTimeout));
            }
            () = async {
                let (_, _, mut io) = service.request().await;
                io.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if trickle {
                        io.write_all(b"x").await.unwrap();
                    }
                }
            } => {}
        }
        assert_eq!(began.elapsed(), Duration::from_secs(10), "trickle: {trickle}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_broken() {
    for (bytes, why) in [
        (&b""[..], "closed before the response head was whole"),
        (
            b"HTTP/1.1 200 OK\r\nX: y\r\n",
            "closed before the response head was whole",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "content-length"),
    ] {
        let Lost::Broken(text) = lost(bytes).await else {
            panic!("{bytes:?}")
        };
        assert!(text.contains(why), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_head_is_given_up_before_it_fills_the_memory() {
    let (network, mut service) = network(4096);
    let request = request(URL);
    let (outcome, sent) = tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        let mut sent = 0;
        io.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while io
            .write_all(b"X-Filler: 0123456789012345678901234567890123456789\r\n")
            .await
            .is_ok()
        {
            sent += 51;
        }
        sent
    });
    let Err(AttemptError::Lost(Lost::Broken(why))) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        why.contains("too large") && sent < 200 * 1024,
        "{why} after {sent} bytes"
    );

    let (network, mut service) = testing::network(4096);
    let (outcome, sent) = tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        let mut sent = 0;
        io.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
        while io.write_all(&[b'x'; 100]).await.is_ok() {
            sent += 100;
        }
        sent
    });
    let Err(AttemptError::Lost(Lost::Broken(why))) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        why.contains("too large") && sent < 200 * 1024,
        "{why} after {sent} bytes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_coding_that_we_do_not_read_is_lost_and_named() {
    for (header, name) in [
        (
            "Content-Encoding: br\r\nTransfer-Encoding: chunked",
            "content coding \"br\"",
        ),
        (
            "Content-Encoding: gzip, gzip\r\nTransfer-Encoding: chunked",
            "content coding \"gzip, gzip\"",
        ),
        (
            "Content-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked",
            "transfer coding \"gzip, chunked\"",
        ),
        ("Transfer-Encoding: chunked", "the answer is not compressed"),
        (
            "Content-Encoding: identity\r\nTransfer-Encoding: chunked",
            "from a proxy in between",
        ),
        (
            "Content-Type: text/html\r\nContent-Length: 5",
            "the answer is not compressed",
        ),
    ] {
        let Lost::Unreadable(text) = lost(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n0\r\n\r\n")).await else {
            panic!()
        };
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_an_attempt_closes_its_socket() {
    let (network, mut service) = network(1024);
    let request = request(URL);
    let mut io = tokio::select! {
        outcome = open(&*network, &request) => panic!("{outcome:?}"),
        (_, _, io) = service.request() => io,
    };
    assert_eq!(
        tokio::time::timeout(Duration::ZERO, io.read(&mut [0; 1]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}
