//! An answer to a request for a stream, whatever its bytes: only whole records come out of it, within bounds, and the same ones and the
//! same end however the bytes are cut into reads.
//!
//! An input is either the bytes as they are, or a recipe for good gzip in good chunks of which some bytes are then spoilt. Unspoilt, the
//! records are those of the recipe.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use livestreamd::framing::records::{KEPT_OF_TOO_LONG, RUN_BYTES, STEP_BYTES, TooLong};
use livestreamd::lifecycle::Lost;
use livestreamd::upstream::{Answer, AttemptError, Body, Drained, StreamRequest, TokenSource, open};

use super::cursor::Cursor;
use super::wire::{Connection, End, Splits, Wire};
use super::{in_virtual_time, stream};

/// The longest record.
pub const MAX_RECORD_BYTES: usize = 6_000;

const HEADS: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 700\r\n\r\n",
    "",
];

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    items: Vec<Item>,
    /// How it ended, or why it did not begin.
    end: String,
    /// Of an unfinished record.
    cut_bytes: u64,
}

impl Outcome {
    fn without_records(end: &str) -> Self {
        Self {
            items: Vec::new(),
            end: end.to_owned(),
            cut_bytes: 0,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Item {
    Records(Vec<u8>),
    TooLong { first_bytes: Vec<u8>, length: u64 },
}

/// Lengths are what tells two outcomes apart at a glance.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records(run) => write!(f, "{} bytes of records", run.len()),
            Self::TooLong { length, .. } => write!(f, "a record of {length} bytes"),
        }
    }
}

pub fn check(input: &[u8]) {
    let mut cursor = Cursor(input);
    let kind = cursor.byte();
    let seed = u64::from(cursor.number());
    let end = if kind & 2 == 0 { End::Closed } else { End::Reset };
    let (bytes, expected) = if kind & 1 == 0 {
        let head = cursor.pick(&HEADS);
        ([head.as_bytes(), cursor.0].concat(), None)
    } else {
        built(&mut cursor)
    };
    let whole = outcome(&bytes, Splits::Whole, end);
    for splits in [Splits::Random(seed), Splits::Single] {
        assert_eq!(outcome(&bytes, splits, end), whole, "{splits:?}");
    }
    if let Some(expected) = expected {
        assert_eq!(
            (whole.items, whole.cut_bytes),
            expected,
            "not the records of the recipe"
        );
    }
}

fn outcome(bytes: &[u8], splits: Splits, end: End) -> Outcome {
    let stream = stream(false);
    let wire = std::sync::Arc::new(Wire::new(bytes, splits, end));
    in_virtual_time(async {
        let tokens = TokenSource::new(
            stream.credential.clone(),
            wire.clone(),
            Duration::from_secs(10),
            stream.cooldown,
        );
        let token = tokens.token(None).await.expect("a ready-made token");
        match open(&*wire, &StreamRequest::new(stream, token, None)).await {
            Ok(Answer::Streaming(mut body)) => read(&mut body).await,
            // Only the words depend on how much of a head is there when it is found to be none.
            Err(AttemptError::Lost(Lost::Broken(_))) => Outcome::without_records("broken"),
            other => Outcome::without_records(&format!("{other:?}")),
        }
    })
}

async fn read(body: &mut Body<Connection>) -> Outcome {
    let mut items = Vec::new();
    loop {
        match body.next().await {
            Drained::Records(run) => {
                assert!(run.ends_with(b"\n"), "a run is whole records");
                assert!(
                    run.len() <= RUN_BYTES + STEP_BYTES + MAX_RECORD_BYTES,
                    "{} bytes",
                    run.len()
                );
                let longest = run
                    .split_inclusive(|byte| *byte == b'\n')
                    .map(|record| bare(record).len())
                    .max();
                assert!(longest <= Some(MAX_RECORD_BYTES), "{longest:?}");
                match items.last_mut() {
                    Some(Item::Records(before)) => before.extend_from_slice(&run),
                    Some(Item::TooLong { .. }) | None => items.push(Item::Records(run.to_vec())),
                }
            }
            Drained::TooLong(TooLong { first_bytes, length }) => {
                assert!(length > MAX_RECORD_BYTES as u64 && first_bytes.len() == KEPT_OF_TOO_LONG);
                items.push(Item::TooLong {
                    first_bytes: first_bytes.to_vec(),
                    length,
                });
            }
            Drained::End { reason, cut_bytes } => {
                let again = body.next().await;
                assert!(
                    matches!(&again, Drained::End { reason: it, .. } if *it == reason),
                    "an end is for good"
                );
                return Outcome {
                    items,
                    // The kind of it: which words zlib has for damage depends on how much of it lies before it.
                    end: reason.name().to_owned(),
                    cut_bytes,
                };
            }
        }
    }
}

/// A body by a recipe; and what must come of it, if nothing of it is spoilt.
fn built(cursor: &mut Cursor<'_>) -> (Vec<u8>, Option<(Vec<Item>, u64)>) {
    let (spoilt, tail, extension) = (cursor.byte() % 4, cursor.byte(), cursor.byte());
    let spoilt: Vec<(u16, u8)> = (0..spoilt).map(|_| (cursor.number(), cursor.byte())).collect();
    let cut = if tail & 1 == 1 { cursor.number() } else { 0 };
    let chunk_bytes = 1 + usize::from(cursor.number());

    let (mut plain, mut packed) = (Vec::new(), Vec::new());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..64 {
        if cursor.is_empty() {
            break;
        }
        let before = plain.len();
        match cursor.byte() % 8 {
            0 => plain.extend_from_slice(&[&b"r".repeat(usize::from(cursor.byte()))[..], b"\r\n"].concat()),
            1 => plain.extend_from_slice(&[&b"s".repeat(usize::from(cursor.byte()))[..], b"\n"].concat()),
            2 => plain.extend_from_slice(b"\r\n"),
            3 => {
                let count = cursor.byte();
                plain.extend_from_slice(cursor.bytes(usize::from(count)));
            }
            4 => plain.extend_from_slice(&b"l".repeat(usize::from(cursor.number()))),
            5 => plain.extend_from_slice(
                &[
                    &b"m".repeat(MAX_RECORD_BYTES - 2 + usize::from(cursor.byte() % 5))[..],
                    b"\r\n",
                ]
                .concat(),
            ),
            6 => gzip.flush().expect("in memory"),
            _ => {
                packed.extend_from_slice(&gzip.finish().expect("in memory"));
                gzip = member(cursor.byte());
            }
        }
        gzip.write_all(&plain[before..]).expect("in memory");
    }
    packed.extend_from_slice(&gzip.finish().expect("in memory"));

    let mut bytes = HEADS[0].as_bytes().to_vec();
    for chunk in packed.chunks(chunk_bytes) {
        let extension = if extension & 1 == 1 { ";a=\"b\"" } else { "" };
        bytes.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(if extension & 2 == 2 {
        b"0\r\nx-trailer: y\r\n\r\n"
    } else {
        b"0\r\n\r\n"
    });
    bytes.truncate(bytes.len() - usize::from(cut).min(bytes.len()));
    for (at, with) in &spoilt {
        let at = usize::from(*at) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= with;
        }
    }
    let is_good = cut == 0 && spoilt.iter().all(|(_, with)| *with == 0);
    (bytes, is_good.then(|| records(&plain)))
}

/// A member with the optional parts of a header, or without.
fn member(parts: u8) -> GzEncoder<Vec<u8>> {
    let mut builder = flate2::GzBuilder::new();
    if parts & 1 == 1 {
        builder = builder.filename("a name");
    }
    if parts & 2 == 2 {
        builder = builder.extra(vec![7; usize::from(parts)]);
    }
    if parts & 4 == 4 {
        builder = builder.comment("a comment");
    }
    builder.write(Vec::new(), Compression::fast())
}

/// The records of plain bytes, by the slow way; and what is left without an end.
fn records(plain: &[u8]) -> (Vec<Item>, u64) {
    let (mut items, mut cut) = (Vec::new(), 0);
    for record in plain.split_inclusive(|byte| *byte == b'\n') {
        let length = bare(record).len();
        match items.last_mut() {
            _ if !record.ends_with(b"\n") => cut = record.len() as u64,
            _ if length > MAX_RECORD_BYTES => items.push(Item::TooLong {
                first_bytes: record[..KEPT_OF_TOO_LONG].to_vec(),
                length: length as u64,
            }),
            Some(Item::Records(before)) => before.extend_from_slice(record),
            Some(Item::TooLong { .. }) | None => items.push(Item::Records(record.to_vec())),
        }
    }
    (items, cut)
}

fn bare(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}
