//! The client's half of CONNECT against proxies that agree, refuse, hang, go away and talk nonsense.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Host;

use super::super::connector::{Connector as _, Scheme};
use super::super::files::FileReader;
use super::super::{Dialer, testing};
use super::*;
use crate::settings::{ProxyScheme, ProxySettings, TlsSettings};

const SECRET: &str = "user:s3cr3t-pass";
const ENCODED: &str = "dXNlcjpzM2NyM3QtcGFzcw==";
const LIMIT: Duration = Duration::from_secs(10);

fn target() -> Target {
    Target {
        scheme: Scheme::Http,
        host: Host::parse("nonexistent.invalid").unwrap(),
        port: 8443,
    }
}

fn proxy(port: u16, credentials: Option<SecretSource>) -> Proxy {
    Proxy {
        scheme: ProxyScheme::Http,
        host: Host::parse("127.0.0.1").unwrap(),
        port,
        credentials,
    }
}

/// Asks a proxy that answers so, each piece written by itself, and then hangs up; pipes hold `pipe` bytes.
async fn ask(pieces: Vec<Vec<u8>>, pipe: usize, credentials: bool) -> Result<Tunnel<DuplexStream>, String> {
    let (ours, mut theirs) = duplex(pipe);
    tokio::spawn(async move {
        let request = testing::read_request(&mut theirs).await;
        assert!(
            request.starts_with("CONNECT nonexistent.invalid:8443 HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(request.contains(ENCODED), credentials, "{request}");
        for piece in pieces {
            // It may have heard enough.
            if theirs.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let proxy = proxy(3128, credentials.then(|| SecretSource::Inline(SECRET.into())));
    let secret = super::credentials(&proxy, &FileReader::default()).await.unwrap();
    let opened = open(ours, &proxy, &target(), secret.as_ref()).await;
    opened.map_err(|error| error.to_string())
}

async fn refusal(answer: &str, credentials: bool) -> String {
    let answered = ask(vec![answer.as_bytes().to_vec()], 4096, credentials).await;
    let error = answered.map(|_| ()).unwrap_err();
    for secret in [SECRET, "s3cr3t", ENCODED, &ENCODED[..12]] {
        assert!(!error.contains(secret), "{error}");
    }
    error
}

#[tokio::test]
async fn no_byte_after_the_head_is_lost_however_it_comes() {
    let bytes =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\nearly and later";
    for pipe in [1, 7, 4096] {
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            let mut tunnel = ask(vec![before.to_vec(), after.to_vec()], pipe, false).await.unwrap();
            let mut text = String::new();
            tunnel.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "early and later", "cut at {cut}, pipes of {pipe}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_hands_out_what_came_early_bit_by_bit_and_carries_what_is_written() {
    let (ours, mut theirs) = duplex(64);
    let mut tunnel = Tunnel::new(ours, b"early".to_vec());
    theirs.write_all(b"later").await.unwrap();
    let mut text = Vec::new();
    for _ in 0..10 {
        text.push(tunnel.read_u8().await.unwrap());
    }
    assert_eq!(text, b"earlylater");
    tunnel.write_all(b"up").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut sent = Vec::new();
    theirs.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"up");
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let wants = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"corp\"\r\n\r\n";
    for (answer, credentials, says) in [
        (
            wants,
            false,
            "the proxy 127.0.0.1:3128 wants credentials (407 Proxy Authentication Required): set upstream.proxy_credentials_file",
        ),
        ("HTTP/1.1 407 \r\n\r\n", false, "wants credentials (407): set"),
        (
            wants,
            true,
            "refuses the user and password in its URL (407 Proxy Authentication Required): correct them",
        ),
        (
            "HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
            true,
            "wants Negotiate, NTLM (407 x), and livestreamd knows basic authentication only",
        ),
        (
            "HTTP/1.0 401 Unauthorized\r\n\r\n",
            true,
            "refuses the user and password in its URL (401 Unauthorized)",
        ),
        (
            "HTTP/1.0 403 Filtered\r\n\r\n",
            true,
            "does not let us connect to nonexistent.invalid:8443 (403 Filtered): have it allowed there",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            true,
            "cannot reach nonexistent.invalid:8443 (503 Service Unavailable)",
        ),
        (
            "HTTP/1.1 502 Bad Gateway\r\n\r\n",
            false,
            "cannot reach nonexistent.invalid:8443",
        ),
        (
            "HTTP/1.1 504 Gateway Timeout\r\n\r\n",
            false,
            "cannot reach nonexistent.invalid:8443",
        ),
        (
            "HTTP/1.0 500 Unable to connect\r\n\r\n",
            false,
            "cannot reach nonexistent.invalid:8443 (500 Unable to connect)",
        ),
        (
            "HTTP/1.1 405 Not Allowed\r\n\r\n",
            false,
            "does not know CONNECT (405 Not Allowed)",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n",
            false,
            "refuses to connect to nonexistent.invalid:8443 (302 Found)",
        ),
    ] {
        let error = refusal(answer, credentials).await;
        assert!(
            error.starts_with("the proxy 127.0.0.1:3128 ") && error.contains(says),
            "{answer:?}: {error}"
        );
    }
}

#[tokio::test]
async fn what_is_no_proxy_is_told_apart() {
    for (answer, says) in [
        (
            "SSH-2.0-OpenSSH_9.6\r\n",
            "127.0.0.1:3128 does not answer as an HTTP proxy: see to the host and port",
        ),
        (
            "\x15\x03\x01\0\x02\x02\x50",
            "127.0.0.1:3128 does not answer as an HTTP proxy: it speaks TLS, so write https:// for it",
        ),
        ("", "closed the connection without an answer"),
        (
            "HTTP/1.1 200 OK\r\nHalf: ",
            "closed the connection in the middle of its answer",
        ),
    ] {
        let error = refusal(answer, true).await;
        assert!(error.contains(says), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up_at_a_bound() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(10 * HEAD_LIMIT));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(HEAD_LIMIT);
    for (answer, pipe) in [(endless.clone(), 64), (endless, 1 << 20), (interim, 64)] {
        let (ours, mut theirs) = duplex(pipe);
        let writer = tokio::spawn(async move {
            testing::read_request(&mut theirs).await;
            let mut written = 0;
            for piece in answer.as_bytes().chunks(64) {
                if theirs.write_all(piece).await.is_err() {
                    break;
                }
                written += piece.len();
            }
            written
        });
        let error = open(ours, &proxy(3128, None), &target(), None).await.unwrap_err();
        assert!(
            error.to_string().contains("the head of its answer has no end"),
            "{error}"
        );
        let written = writer.await.unwrap();
        assert!(
            pipe > HEAD_LIMIT || written < 2 * HEAD_LIMIT,
            "{written} bytes were taken"
        );
    }
}

#[tokio::test]
async fn a_proxy_that_repeats_our_credentials_is_not_quoted_with_them() {
    for echo in [
        SECRET.to_owned(),
        "s3cr3t-pass".to_owned(),
        format!("Basic {ENCODED}"),
        ENCODED[..20].to_owned(),
    ] {
        let answer = format!(
            "HTTP/1.1 407 no {echo} here\r\nProxy-Authenticate: {}\r\n\r\n",
            echo.replace(' ', "_")
        );
        let error = refusal(&answer, true).await;
        assert!(error.contains("[redacted]"), "{error}");
    }
}

/// A proxy of one answer for each connection, which then sends the first line of the tunnel back; tells the requests.
async fn listen(answer: &'static str) -> (u16, JoinHandle<Vec<String>>, Arc<tokio::sync::Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopped = stop.clone();
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        loop {
            let (mut stream, _) = tokio::select! {
                () = stopped.notified() => return requests,
                accepted = listener.accept() => accepted.unwrap(),
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            requests.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    (port, server, stop)
}

fn dialer(proxy: Proxy) -> Dialer {
    // Some authority: a machine may have none.
    let authority = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    Dialer::new(&TlsSettings::default(), [authority.cert.der().clone()]).through(ProxySettings {
        proxy: Some(Arc::new(proxy)),
        ..ProxySettings::default()
    })
}

#[tokio::test]
async fn the_name_goes_to_the_proxy_and_credentials_are_read_again_at_each_connect() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy");
    let (port, server, stop) = listen("HTTP/1.1 200 OK\r\n\r\n").await;
    let dialer = dialer(proxy(port, Some(SecretSource::File(file.clone()))));
    for credentials in ["first:one", "second:two"] {
        std::fs::write(&file, credentials).unwrap();
        let mut socket = dialer.connect(&target(), LIMIT).await.unwrap();
        socket.write_all(b"there and back").await.unwrap();
        let mut echo = [0; 14];
        socket.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"there and back");
    }
    std::fs::remove_file(&file).unwrap();
    let error = dialer.connect(&target(), LIMIT).await.unwrap_err().to_string();
    let says = format!(
        "the proxy 127.0.0.1:{port}: the secret file {} cannot be read",
        file.display()
    );
    assert!(error.starts_with(&says), "{error}");
    stop.notify_one();
    let requests = server.await.unwrap();
    let [first, second] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert!(
        first.starts_with("CONNECT nonexistent.invalid:8443 HTTP/1.1\r\nHost: nonexistent.invalid:8443\r\n"),
        "{first}"
    );
    assert!(
        first.contains("\r\nProxy-Authorization: Basic Zmlyc3Q6b25l\r\n"),
        "{first}"
    );
    assert!(
        second.contains("\r\nProxy-Authorization: Basic c2Vjb25kOnR3bw==\r\n"),
        "{second}"
    );
}

/// A port that nobody listens on.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_loopback_host_is_reached_past_the_proxy() {
    let (port, service, stop) = listen("hello").await;
    let closed = closed_port().await;
    let here = Target {
        scheme: Scheme::Http,
        host: Host::parse("localhost").unwrap(),
        port,
    };
    let mut socket = dialer(proxy(closed, None)).connect(&here, LIMIT).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut hello = [0; 5];
    socket.read_exact(&mut hello).await.unwrap();
    stop.notify_one();
    assert_eq!(service.await.unwrap(), ["GET / HTTP/1.1\r\n\r\n"]);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let closed = closed_port().await;
    let error = dialer(proxy(closed, None))
        .connect(&target(), LIMIT)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("the proxy 127.0.0.1:{closed}: ")) && error.contains("refused"),
        "{error}"
    );
    let nowhere = Proxy {
        host: Host::parse("proxy.invalid").unwrap(),
        ..proxy(3128, None)
    };
    let error = dialer(nowhere).connect(&target(), LIMIT).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the proxy proxy.invalid:3128: ") && error.contains("lookup"),
        "{error}"
    );
}

/// Connects within `limit` to somebody who never answers, though the system accepts; the error.
async fn hang(scheme: ProxyScheme, limit: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hanging = Proxy {
        scheme,
        ..proxy(port, None)
    };
    let began = Instant::now();
    let connecting = timeout(20 * limit, dialer(hanging).connect(&target(), limit)).await;
    let error = connecting.expect("it gives up by itself").unwrap_err().to_string();
    assert!(began.elapsed() >= limit / 2, "{:?}", began.elapsed());
    drop::<(TcpStream, _)>(listener.accept().await.unwrap());
    error.replace(&port.to_string(), "PORT")
}

#[tokio::test]
async fn a_proxy_that_hangs_is_named_within_the_limit_of_the_connect() {
    let limit = Duration::from_secs(2);
    let plain = hang(ProxyScheme::Http, limit).await;
    let says = "the proxy 127.0.0.1:PORT has not connected us to nonexistent.invalid:8443 within 1.8s: ask who runs it whether it can";
    assert!(plain.starts_with(says) && !plain.contains("TLS"), "{plain}");
    let secure = hang(ProxyScheme::Https, limit).await;
    assert!(
        secure.contains("within 1.8s: ask who runs it whether it can, and speaks TLS"),
        "{secure}"
    );
}
