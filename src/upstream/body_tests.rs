use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::super::testing::{self, Network, Service, network};
use super::super::{Answer, ConnectError, Connector, Dialer, StreamRequest, Target, open};
use super::*;
use crate::settings::TlsSettings;

const GZIP_CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A gzip stream of which every piece is flushed, as upstream does it.
struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    fn flushed(&mut self, plain: &[u8]) -> Vec<u8> {
        self.0.write_all(plain).unwrap();
        self.0.flush().unwrap();
        std::mem::take(self.0.get_mut())
    }

    fn trailer(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new();
    [gzip.flushed(plain), gzip.trailer()].concat()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn records(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{{\"hit\":{n},\"page\":\"{}\"}}\r\n", "p".repeat(n * 37 % 500)).into_bytes())
        .collect()
}

async fn streaming_with(
    network: Arc<Network>,
    mut service: Service,
    head: &str,
    max: usize,
) -> (Body<DuplexStream>, DuplexStream) {
    let mut stream = testing::stream("http://localhost/x");
    stream.max_record_bytes = max;
    let request = StreamRequest::new(&stream, testing::access_token("t"), None);
    let (answer, io) = tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        io.write_all(head.as_bytes()).await.unwrap();
        io
    });
    let Ok(Answer::Streaming(body)) = answer else {
        panic!("{answer:?}")
    };
    (*body, io)
}

async fn streaming(head: &str) -> (Body<DuplexStream>, DuplexStream) {
    let (network, service) = network(64 * 1024);
    streaming_with(network, service, head, 8 << 20).await
}

/// Everything until the end: the records' bytes, and the end.
async fn read_all<Io: Transport>(body: &mut Body<Io>) -> (Vec<u8>, EndReason, u64) {
    let mut bytes = Vec::new();
    loop {
        match body.next().await {
            Drained::Records(run) => {
                assert!(run.ends_with(b"\n") && run.len() <= 256 * 1024, "{} bytes", run.len());
                bytes.extend_from_slice(&run);
            }
            Drained::TooLong(too_long) => panic!("{too_long:?}"),
            Drained::End { reason, cut_bytes } => {
                let again = body.next().await;
                assert_eq!(
                    again,
                    Drained::End {
                        reason: reason.clone(),
                        cut_bytes
                    },
                    "an end is for good"
                );
                return (bytes, reason, cut_bytes);
            }
        }
    }
}

/// Sends `wire` after `head`, hangs up, and reads everything.
async fn end_of(head: &str, wire: &[u8]) -> (Vec<u8>, EndReason, u64) {
    let (mut body, mut io) = streaming(head).await;
    let (read, ()) = tokio::join!(read_all(&mut body), async move {
        // The reader may have given up before the end.
        let _ = io.write_all(wire).await;
    });
    read
}

#[tokio::test(start_paused = true)]
async fn a_record_leaves_as_soon_as_it_is_flushed() {
    let (mut body, mut io) = streaming(GZIP_CHUNKED).await;
    let mut gzip = Gzip::new();
    let began = Instant::now();
    for n in 0..100 {
        let record = format!("{{\"hit\":{n}}}\r\n");
        io.write_all(&chunk(&gzip.flushed(record.as_bytes()))).await.unwrap();
        assert_eq!(body.next().await, Drained::Records(record.into()));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(
        timeout(Duration::from_hours(1), body.next()).await.is_err(),
        "silence is not an end"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_comes_in_one_batch() {
    let (mut body, mut io) = streaming(GZIP_CHUNKED).await;
    let mut gzip = Gzip::new();
    for piece in ["a\r\nb", "b\r\n\r\n", "c\nunfinished"] {
        io.write_all(&chunk(&gzip.flushed(piece.as_bytes()))).await.unwrap();
    }
    assert_eq!(body.next().await, Drained::Records("a\r\nbb\r\n\r\nc\n".into()));
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_told_from_a_cut() {
    let plain = records(50);
    let cut = [&plain[..], b"{\"cut"].concat();
    let member = |plain: &[u8]| gzip(plain);
    let flushed = |plain: &[u8]| Gzip::new().flushed(plain);
    let chunked = |bytes: Vec<u8>, end: &[u8]| [chunk(&bytes), end.to_vec()].concat();
    let length = |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {n}\r\n\r\n");
    let until_close = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_owned();
    let old = "HTTP/1.0 200 OK\r\nContent-Encoding: x-GZIP\r\n\r\n".to_owned();
    let (whole, part) = (member(&plain), flushed(&plain));
    let short = whole.len() + 1;
    let cases = [
        (
            "last chunk after a trailer",
            GZIP_CHUNKED.to_owned(),
            chunked(member(&plain), LAST_CHUNK),
            EndReason::Closed,
            0,
        ),
        (
            "last chunk in mid-member",
            GZIP_CHUNKED.to_owned(),
            chunked(flushed(&plain), LAST_CHUNK),
            EndReason::Closed,
            0,
        ),
        (
            "last chunk in mid-line",
            GZIP_CHUNKED.to_owned(),
            chunked(flushed(&cut), LAST_CHUNK),
            EndReason::Closed,
            5,
        ),
        (
            "last chunk with trailers",
            GZIP_CHUNKED.to_owned(),
            chunked(member(&plain), b"0\r\nX-A: b\r\n\r\n"),
            EndReason::Closed,
            0,
        ),
        (
            "no last chunk",
            GZIP_CHUNKED.to_owned(),
            chunked(member(&plain), b""),
            EndReason::Cut,
            0,
        ),
        (
            "half a last chunk",
            GZIP_CHUNKED.to_owned(),
            chunked(member(&plain), b"0\r\n"),
            EndReason::Cut,
            0,
        ),
        (
            "no last chunk in mid-line",
            GZIP_CHUNKED.to_owned(),
            chunked(flushed(&cut), b""),
            EndReason::Cut,
            5,
        ),
        (
            "in mid-chunk",
            GZIP_CHUNKED.to_owned(),
            chunked(flushed(&plain), b"ff\r\n\x01"),
            EndReason::Cut,
            0,
        ),
        (
            "length and trailer",
            length(whole.len()),
            whole.clone(),
            EndReason::Closed,
            0,
        ),
        (
            "length without trailer",
            length(part.len()),
            part.clone(),
            EndReason::Cut,
            0,
        ),
        ("less than the length", length(short), whole.clone(), EndReason::Cut, 0),
        (
            "close after a trailer",
            until_close.clone(),
            whole.clone(),
            EndReason::Closed,
            0,
        ),
        ("close without a trailer", until_close, part.clone(), EndReason::Cut, 0),
        ("HTTP/1.0", old, whole.clone(), EndReason::Closed, 0),
    ];
    for (name, head, wire, reason, cut_bytes) in cases {
        assert_eq!(end_of(&head, &wire).await, (plain.clone(), reason, cut_bytes), "{name}");
    }
    let empty = end_of(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        b"",
    )
    .await;
    assert_eq!(empty, (Vec::new(), EndReason::Closed, 0), "nothing at all");
}

#[tokio::test(start_paused = true)]
async fn damage_ends_the_stream_after_the_whole_records_before_it() {
    let plain = records(300);
    let good = chunk(&Gzip::new().flushed(&[&plain[..], b"{\"unfinished"].concat()));
    for bad in [[0xff; 64], [0; 64]] {
        let (got, reason, cut_bytes) = end_of(GZIP_CHUNKED, &[&good[..], &chunk(&bad)].concat()).await;
        assert!(matches!(reason, EndReason::CorruptGzip(_)), "{reason:?}");
        assert_eq!((got == plain, cut_bytes), (true, 12));
    }
    let padded = chunk(&[gzip(&plain), vec![0; 512]].concat());
    let (got, reason, _) = end_of(GZIP_CHUNKED, &padded).await;
    assert_eq!(
        (got == plain, reason),
        (true, EndReason::CorruptGzip("incorrect header check".to_owned())),
        "padding"
    );

    for bad in [&b"xyz\r\n"[..], b"fffffffffffffffff\r\n", b"5 5\r\n"] {
        let (got, reason, cut_bytes) = end_of(GZIP_CHUNKED, &[&good[..], bad].concat()).await;
        assert!(matches!(reason, EndReason::CorruptFraming(_)), "{reason:?}");
        assert_eq!((got == plain, cut_bytes), (true, 12));
    }
    // A chunk that is longer than it says.
    let mut overlong = chunk(&Gzip::new().flushed(b"a\r\n"));
    overlong.truncate(overlong.len() - 2);
    overlong.extend_from_slice(b"XX\r\n");
    let (got, reason, _) = end_of(GZIP_CHUNKED, &overlong).await;
    assert_eq!(got, b"a\r\n");
    assert!(matches!(reason, EndReason::CorruptFraming(_)), "{reason:?}");
}

#[tokio::test]
async fn a_reset_is_told_in_the_words_of_the_system() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).await.unwrap();
        stream
            .write_all(&[GZIP_CHUNKED.as_bytes(), &chunk(&Gzip::new().flushed(b"a\r\n"))].concat())
            .await
            .unwrap();
        // Until the client has read that: a reset throws away what waits.
        let mut rest = Vec::new();
        let _ = timeout(Duration::from_millis(200), stream.read_to_end(&mut rest)).await;
        stream.set_zero_linger().unwrap();
    });
    let request = StreamRequest::new(&testing::stream(&url), testing::access_token("t"), None);
    let Ok(Answer::Streaming(mut body)) = open(&Dialer::new(&TlsSettings::default(), []), &request).await else {
        panic!()
    };
    assert_eq!(body.next().await, Drained::Records("a\r\n".into()));
    let Drained::End {
        reason: EndReason::Reset(why),
        cut_bytes: 0,
    } = body.next().await
    else {
        panic!()
    };
    assert!(why.contains("reset"), "{why}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_left_alone_hands_out_what_has_come_and_waits_for_halves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let request = StreamRequest::new(&testing::stream(&url), testing::access_token("t"), None);
    let dialer = Dialer::new(&TlsSettings::default(), []);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 16]).await.unwrap();
        stream.write_all(GZIP_CHUNKED.as_bytes()).await.unwrap();
        stream
    };
    let (answer, mut stream) = tokio::join!(open(&dialer, &request), server);
    let Ok(Answer::Streaming(mut body)) = answer else {
        panic!()
    };
    let (mut gzip, most) = (Gzip::new(), Duration::from_secs(20));
    for round in 0..3 {
        stream.write_all(&chunk(&gzip.flushed(b"a\n"))).await.unwrap();
        assert_eq!(timeout(most, body.next()).await, Ok(Drained::Records("a\n".into())));
        body.leave_alone();
        let bytes = chunk(&gzip.flushed(b"half and half\n"));
        let (first, second) = bytes.split_at(bytes.len() / 2);
        stream.write_all(first).await.unwrap();
        let waits = timeout(most, body.next());
        let late = async {
            if round > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stream.write_all(second).await.unwrap();
        };
        let (got, ()) = tokio::join!(waits, late);
        assert_eq!(got, Ok(Drained::Records("half and half\n".into())), "{round}");
    }
    body.leave_alone();
    drop(stream);
    let end = timeout(most, body.next()).await.expect("the end is seen");
    assert!(matches!(end, Drained::End { .. }), "{end:?}");
}

/// A socket that, once asked, brings `bytes` and then fails with `error`.
struct Failing {
    asked: bool,
    bytes: Bytes,
    error: io::ErrorKind,
}

impl Transport for Failing {}

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.bytes.is_empty() {
            return Poll::Ready(Err(self.error.into()));
        }
        let count = buf.remaining().min(self.bytes.len());
        buf.put_slice(&self.bytes.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct FailingNetwork(Bytes, io::ErrorKind);

impl Connector for FailingNetwork {
    type Io = Failing;

    async fn connect(&self, _: &Target, _: Duration) -> Result<Failing, ConnectError> {
        Ok(Failing {
            asked: false,
            bytes: self.0.clone(),
            error: self.1,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_fails_is_reset_and_one_that_ends_without_goodbye_is_judged_like_any_end() {
    let until_close = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    let (whole, part) = (gzip(b"a\r\n"), Gzip::new().flushed(b"a\r\n"));
    let reset = EndReason::Reset("connection reset".to_owned());
    for (head, wire, error, expected) in [
        (
            GZIP_CHUNKED,
            chunk(&whole),
            io::ErrorKind::ConnectionReset,
            reset.clone(),
        ),
        (
            GZIP_CHUNKED,
            chunk(&whole),
            io::ErrorKind::UnexpectedEof,
            EndReason::Cut,
        ),
        (until_close, whole.clone(), io::ErrorKind::ConnectionReset, reset),
        (
            until_close,
            whole.clone(),
            io::ErrorKind::UnexpectedEof,
            EndReason::Closed,
        ),
        (until_close, part, io::ErrorKind::UnexpectedEof, EndReason::Cut),
    ] {
        let network = FailingNetwork([head.as_bytes(), &wire].concat().into(), error);
        let request = StreamRequest::new(&testing::stream("http://localhost/x"), testing::access_token("t"), None);
        let Ok(Answer::Streaming(mut body)) = open(&network, &request).await else {
            panic!()
        };
        assert_eq!(
            read_all(&mut body).await,
            (b"a\r\n".to_vec(), expected, 0),
            "{head} {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_long_is_told_in_its_place() {
    let (network, service) = network(64 * 1024);
    let (mut body, mut io) = streaming_with(network, service, GZIP_CHUNKED, 70_000).await;
    let plain = [b"before\r\n".to_vec(), vec![b'x'; 64 << 20], b"\r\nafter\r\n".to_vec()].concat();
    let wire = [chunk(&gzip(&plain)), LAST_CHUNK.to_vec()].concat();
    let (drained, ()) = tokio::join!(
        async {
            [
                body.next().await,
                body.next().await,
                body.next().await,
                body.next().await,
            ]
        },
        async { io.write_all(&wire).await.unwrap() },
    );
    let [before, too_long, after, end] = drained;
    assert_eq!(
        (before, after),
        (
            Drained::Records("before\r\n".into()),
            Drained::Records("after\r\n".into())
        )
    );
    let Drained::TooLong(TooLong { first_bytes, length }) = too_long else {
        panic!("{too_long:?}")
    };
    assert_eq!((length, first_bytes.len()), (64 << 20, 4096));
    assert_eq!(
        end,
        Drained::End {
            reason: EndReason::Closed,
            cut_bytes: 0
        }
    );
}

#[tokio::test(start_paused = true)]
async fn inflating_a_bomb_gives_others_their_turn() {
    let (network, service) = network(1 << 20);
    let (mut body, mut io) = streaming_with(network, service, GZIP_CHUNKED, 8 << 20).await;
    let bomb = gzip(&vec![b'x'; 32 << 20]);
    io.write_all(&chunk(&bomb)).await.unwrap();
    io.write_all(LAST_CHUNK).await.unwrap();
    let mut polls = 0;
    let mut next = std::pin::pin!(body.next());
    let drained = poll_fn(|cx| {
        polls += 1;
        next.as_mut().poll(cx)
    })
    .await;
    assert_eq!(
        drained,
        Drained::End {
            reason: EndReason::Closed,
            cut_bytes: 32 << 20
        }
    );
    assert!(polls >= 30, "{polls} turns");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_plain_bytes_leaves_in_bounded_batches() {
    let plain = b"\n".repeat(8 << 20);
    let (got, reason, _) = end_of(GZIP_CHUNKED, &[chunk(&gzip(&plain)), LAST_CHUNK.to_vec()].concat()).await;
    assert_eq!((got.len(), reason), (plain.len(), EndReason::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_dry_when_nothing_that_was_read_is_left_and_the_socket_had_no_more() {
    let (network, service) = network(64 * 1024);
    let (mut body, mut io) = streaming_with(network, service, GZIP_CHUNKED, 10).await;
    assert!(!body.is_dry(), "nobody has looked");
    let mut gzip = Gzip::new();
    io.write_all(&chunk(&gzip.flushed(b"a\nmuch too long for it\nb\nc")))
        .await
        .unwrap();
    for is_dry in [false, false, true] {
        assert!(!matches!(body.next().await, Drained::End { .. }));
        assert_eq!(body.is_dry(), is_dry);
    }
    // More than one run at hand.
    io.write_all(&chunk(&gzip.flushed(&b"d\n".repeat(200_000))))
        .await
        .unwrap();
    body.next().await;
    assert!(!body.is_dry());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_body_closes_the_socket_at_once() {
    let (mut body, mut io) = streaming(GZIP_CHUNKED).await;
    io.write_all(&chunk(&Gzip::new().flushed(b"a\r\n"))).await.unwrap();
    body.next().await;
    assert!(
        timeout(Duration::ZERO, io.read(&mut [0; 1])).await.is_err(),
        "still open"
    );
    drop(body);
    assert_eq!(timeout(Duration::ZERO, io.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_its_end_the_stream_closes_the_socket_by_itself() {
    let (mut body, mut io) = streaming(GZIP_CHUNKED).await;
    io.write_all(LAST_CHUNK).await.unwrap();
    assert_eq!(
        body.next().await,
        Drained::End {
            reason: EndReason::Closed,
            cut_bytes: 0
        }
    );
    assert_eq!(timeout(Duration::ZERO, io.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_nobody_asks() {
    let (network, service) = network(1024);
    let (mut body, mut io) = streaming_with(network, service, GZIP_CHUNKED, 8 << 20).await;
    let activity = body.activity().clone();
    let (bytes, at) = (activity.bytes_read(), activity.last_read());
    // Stored, not deflated: more than the pipe holds.
    let mut stored = Gzip(GzEncoder::new(Vec::new(), Compression::none()));
    let wire = [chunk(&stored.flushed(&records(100))), LAST_CHUNK.to_vec()].concat();
    assert!(
        timeout(Duration::from_mins(10), io.write_all(&wire[..4096]))
            .await
            .is_err(),
        "the pipe must stay full"
    );
    assert_eq!((activity.bytes_read(), activity.last_read()), (bytes, at));

    assert!(matches!(body.next().await, Drained::Records(_)));
    assert!(activity.bytes_read() > bytes && activity.last_read() == at + Duration::from_mins(10));
}

#[tokio::test(start_paused = true)]
async fn a_wait_may_be_dropped_at_any_point_and_nothing_is_lost() {
    let plain = records(400);
    let mut compressed = Gzip::new();
    let mut wire: Vec<u8> = plain
        .chunks(777)
        .flat_map(|piece| chunk(&compressed.flushed(piece)))
        .collect();
    wire.extend_from_slice(LAST_CHUNK);
    let (mut body, mut io) = streaming(GZIP_CHUNKED).await;
    let writer = tokio::spawn(async move {
        for piece in wire.chunks(61) {
            io.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
    let (mut got, mut dropped) = (Vec::new(), 0);
    loop {
        match timeout(Duration::from_millis(1), body.next()).await {
            Ok(Drained::Records(run)) => got.extend_from_slice(&run),
            Ok(Drained::TooLong(too_long)) => panic!("{too_long:?}"),
            Ok(Drained::End { reason, cut_bytes }) => {
                assert_eq!((reason, cut_bytes), (EndReason::Closed, 0));
                break;
            }
            Err(_) => dropped += 1,
        }
    }
    assert!(got == plain && dropped > 100, "{dropped} waits dropped");
    writer.await.unwrap();
}

#[test]
fn any_split_on_the_wire_gives_the_same_records() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: 150,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(
        members in prop::collection::vec(prop::collection::vec(0..900_usize, 0..12), 1..4),
        chunk_bytes in 1..3_000_usize,
        piece in 1..2_000_usize,
        pipe in prop::sample::select(vec![1, 2, 7, 1024, 65_536]),
        unfinished in 0..50_usize,
    )| {
        let plain: Vec<Vec<u8>> = members
            .iter()
            .map(|lengths| lengths.iter().flat_map(|length| [&b"h".repeat(*length)[..], b"\r\n"].concat()).collect())
            .collect();
        let mut compressed: Vec<u8> = plain.iter().flat_map(|plain| gzip(plain)).collect();
        compressed.extend_from_slice(&gzip(&b"u".repeat(unfinished)));
        let wire: Vec<u8> = compressed.chunks(chunk_bytes).flat_map(chunk).chain(LAST_CHUNK.iter().copied()).collect();
        let (got, reason, cut_bytes) = runtime.block_on(async {
            let (network, service) = network(pipe);
            let (mut body, mut io) = streaming_with(network, service, GZIP_CHUNKED, 8 << 20).await;
            let (read, ()) = tokio::join!(read_all(&mut body), async {
                for piece in wire.chunks(piece) {
                    io.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            read
        });
        prop_assert_eq!((got, reason, cut_bytes), (plain.concat(), EndReason::Closed, unfinished as u64));
    });
}
