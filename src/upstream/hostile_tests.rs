//! What has no end: each is bounded in memory, and gives others their turn or is refused.

use std::sync::Arc;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep};

use super::super::testing::{self, Network, Service, network};
use super::super::{Answer, AttemptError, StreamRequest, TokenSource, open};
use super::*;
use crate::lifecycle::{Lost, TokenFailure};
use crate::settings::{Grant, SecretSource};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const MAX_RECORD_BYTES: usize = 1 << 20;
/// Beyond a record's limit: the buffers that surround it, and what hyper and the pipe hold.
const CONSTANT: usize = 512 * 1024;
/// Whoever sends without end is listened to for no more than this.
const MOST_HEARD: usize = 256 * 1024;

fn request() -> StreamRequest {
    let mut stream = testing::stream("http://localhost/x");
    stream.max_record_bytes = MAX_RECORD_BYTES;
    StreamRequest::new(&stream, testing::access_token("t"), None)
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// What became of a body, and the most memory that it took.
struct Read {
    records: Vec<u8>,
    reason: EndReason,
    cut_bytes: u64,
    most_held: usize,
    turns: usize,
}

/// Reads what `first` and then `again`, so many times, make of a body. The service then hangs up.
async fn read(first: Vec<u8>, again: Vec<u8>, times: usize) -> Read {
    let (network, mut service) = network(64 * 1024);
    let writer = async move {
        let (_, _, mut io) = service.request().await;
        io.write_all(HEAD).await.unwrap();
        io.write_all(&first).await.unwrap();
        for _ in 0..times {
            if io.write_all(&again).await.is_err() {
                break;
            }
        }
    };
    let reader = async {
        let Ok(Answer::Streaming(mut body)) = open(&*network, &request()).await else {
            panic!("no stream")
        };
        let (mut records, mut most_held, mut turns) = (Vec::new(), 0, 0);
        loop {
            let drained = poll_fn(|cx| {
                let outcome = body.poll_next(cx);
                turns += 1;
                most_held = most_held.max(body.splitter.capacity() + body.input.len());
                outcome
            })
            .await;
            match drained {
                Drained::Records(run) => records.extend_from_slice(&run),
                Drained::TooLong(too_long) => panic!("{too_long:?}"),
                Drained::End { reason, cut_bytes } => {
                    return Read {
                        records,
                        reason,
                        cut_bytes,
                        most_held,
                        turns,
                    };
                }
            }
        }
    };
    tokio::join!(reader, writer).0
}

/// A deflate block of this many zeros that needs nothing before it, and can be repeated.
fn zeros(count: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(64 * 1024);
    let mut deflate = Compress::new(Compression::best(), false);
    deflate
        .compress_vec(&vec![0; count], &mut packed, FlushCompress::Full)
        .unwrap();
    assert_eq!(deflate.total_in(), count as u64);
    packed
}

#[tokio::test(start_paused = true)]
async fn a_record_that_inflates_without_end_takes_no_more_memory_than_its_limit_and_a_constant() {
    const TIMES: usize = 1024;
    let block = zeros(1 << 20);
    assert!(block.len() < 1100, "{} bytes for a MiB", block.len());
    let read = read(chunk(&GZIP_HEADER), chunk(&block), TIMES).await;
    assert_eq!((read.reason, read.cut_bytes), (EndReason::Cut, (TIMES as u64) << 20));
    assert!(
        read.records.is_empty() && read.most_held <= MAX_RECORD_BYTES + CONSTANT,
        "{} bytes",
        read.most_held
    );
    assert!(read.turns >= TIMES / 2, "others had {} turns", read.turns);
}

#[tokio::test(start_paused = true)]
async fn a_gzip_header_without_end_is_not_held() {
    const NAMED: u8 = 8;
    let mut header = GZIP_HEADER;
    header[3] = NAMED;
    let read = read(chunk(&header), chunk(&[b'n'; 16 * 1024]), 1024).await;
    assert_eq!((read.reason, read.cut_bytes), (EndReason::Cut, 0));
    assert!(read.most_held <= CONSTANT, "{} bytes", read.most_held);
}

#[tokio::test(start_paused = true)]
async fn empty_gzip_members_without_end_give_others_their_turn() {
    // An empty final block, and the trailer of nothing.
    let member = [&GZIP_HEADER[..], &[3, 0], &[0; 8]].concat();
    let read = read(Vec::new(), chunk(&member.repeat(1_000)), 20).await;
    assert_eq!((read.reason, read.cut_bytes), (EndReason::Cut, 0));
    assert!(read.most_held <= CONSTANT, "{} bytes", read.most_held);
    assert!(
        read.turns >= 20_000 / (YIELD_AFTER / LEAST_WORK),
        "{} turns",
        read.turns
    );
}

#[tokio::test(start_paused = true)]
async fn chunks_of_one_byte_of_nothing_are_not_held() {
    // A stored block of no bytes, byte by byte.
    let nothing: Vec<u8> = [0, 0, 0, 0xff, 0xff].iter().flat_map(|byte| chunk(&[*byte])).collect();
    let read = read(chunk(&GZIP_HEADER), nothing.repeat(100), 400).await;
    assert_eq!((read.reason, read.cut_bytes), (EndReason::Cut, 0));
    assert!(read.most_held <= CONSTANT, "{} bytes", read.most_held);
}

/// Writes `again` until nobody takes it any more: how many bytes were taken.
async fn write_on(io: &mut DuplexStream, first: &[u8], again: &[u8]) -> usize {
    let mut taken = 0;
    for part in std::iter::once(first).chain(std::iter::repeat(again)) {
        if io.write_all(part).await.is_err() {
            break;
        }
        taken += part.len();
        assert!(taken < 64 << 20, "it has no end");
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn chunk_extensions_and_trailers_without_end_end_the_stream_after_the_records_before_them() {
    let member = [&GZIP_HEADER[..], &[1, 3, 0, 0xfc, 0xff], b"a\r\n"].concat();
    for (first, again) in [
        (&b"1;x"[..], &b"xxxxxxxxxxxxxxxxxxxxxxxx"[..]),
        (b"0\r\n", b"x-trailer: xxxxxxxxxxxxxxxx\r\n"),
        (b"0\r\nx-trailer: ", b"xxxxxxxxxxxxxxxxxxxxxxxx"),
    ] {
        let (network, mut service) = network(4096);
        let request = request();
        let (outcome, taken) = tokio::join!(
            async {
                let Ok(Answer::Streaming(mut body)) = open(&*network, &request).await else {
                    panic!("no stream")
                };
                (body.next().await, body.next().await)
            },
            async {
                let (_, _, mut io) = service.request().await;
                io.write_all(HEAD).await.unwrap();
                io.write_all(&chunk(&member)).await.unwrap();
                write_on(&mut io, first, again).await
            }
        );
        let (record, end) = outcome;
        assert_eq!(record, Drained::Records("a\r\n".into()));
        let Drained::End {
            reason: EndReason::CorruptFraming(_),
            cut_bytes: 0,
        } = end
        else {
            panic!("{end:?}")
        };
        assert!(taken < MOST_HEARD, "{taken} bytes");
    }
}

async fn outcome_of_writing_on(first: &[u8], again: &[u8]) -> (Result<Answer<DuplexStream>, AttemptError>, usize) {
    let (network, mut service) = network(4096);
    let request = request();
    tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        write_on(&mut io, first, again).await
    })
}

#[tokio::test(start_paused = true)]
async fn a_head_may_have_a_hundred_headers_and_no_more() {
    for (headers, good) in [(98, true), (99, false)] {
        let head = [&HEAD[..HEAD.len() - 2], &b"x: y\r\n".repeat(headers), b"\r\n"].concat();
        let (network, mut service): (Arc<Network>, Service) = network(64 * 1024);
        let request = request();
        let (outcome, _io) = tokio::join!(open(&*network, &request), async {
            let (_, _, mut io) = service.request().await;
            io.write_all(&head).await.unwrap();
            io
        });
        match outcome {
            Ok(Answer::Streaming(_)) => assert!(good),
            Err(AttemptError::Lost(Lost::Broken(why))) => assert!(!good && why.contains("too large"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_comes_without_end_is_cut() {
    for head in ["", "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n"] {
        let head = format!("HTTP/1.1 503 X\r\n{head}\r\n");
        let words = b"7\r\nwords..\r\n";
        let (outcome, taken) = outcome_of_writing_on(head.as_bytes(), words).await;
        let Ok(Answer::Refused(refusal)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(refusal.status == 503 && refusal.description.is_some_and(|said| said.contains("words")));
        assert!(taken < MOST_HEARD, "{taken} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn informational_answers_without_end_are_given_up_after_the_time_limit() {
    let (network, mut service) = network(4096);
    let request = request();
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(open(&*network, &request), async {
        let (_, _, mut io) = service.request().await;
        while io
            .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
            .await
            .is_ok()
        {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(outcome.unwrap_err(), AttemptError::Lost(Lost::HeadTimeout));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_token_answer_without_end_is_cut() {
    for (status, head) in [(200, ""), (200, "Transfer-Encoding: chunked\r\n"), (503, "")] {
        let (network, mut service) = network(4096);
        let grant = Grant::Client {
            client_id: "client-1".to_owned(),
            client_secret: SecretSource::Inline("hush".into()),
            scopes: vec!["openid".to_owned()],
            token_url: url::Url::parse("https://ims.example/token").unwrap(),
        };
        let limit = Duration::from_secs(10);
        let tokens = TokenSource::new(testing::credential(grant), network.clone(), limit, limit);
        let (outcome, taken) = tokio::join!(tokens.token(None), async {
            let (_, _, mut io) = service.request().await;
            let head = format!("HTTP/1.1 {status} X\r\n{head}\r\n");
            write_on(&mut io, head.as_bytes(), b"7\r\n{\"a\":1,\r\n").await
        });
        match outcome {
            Err(TokenFailure::Refused { description, .. }) => {
                assert!(
                    status == 200 && description.contains("longer than 64 KiB"),
                    "{description}"
                );
            }
            Err(TokenFailure::Unavailable(_)) => assert_eq!(status, 503),
            Ok(_) => panic!("a token of nothing"),
        }
        assert!(taken < MOST_HEARD, "{taken} bytes");
    }
}
