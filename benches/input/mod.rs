//! What is measured on: hits as the simulator makes them, 2.5 KB on average, gzipped and flushed every 16 KB.
//!
//! Promise: the same bytes on every machine and in every run. Other hits of the simulator, or another compressor, change them, and every
//! figure with them: [`Input::fingerprint`] tells.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use livestreamd::framing::records::RUN_BYTES;
use livestreamd::simulator::HitMaker;
use twox_hash::XxHash3_64;

/// Plain bytes between two flushes of the compressor.
pub const FLUSHED_EVERY: usize = 16 * 1024;
/// When everything was received: milliseconds since the Unix epoch.
pub const RECEIVED_MS: u64 = 1_600_000_000_000;

const SEED: u64 = 42;
const SUITE: &str = "examplecomprod";
const VISITORS: u32 = 100_000;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Some hits, plain and compressed.
pub struct Input {
    /// How many they are.
    pub hits: u64,
    /// The records with their line endings.
    pub plain: Vec<u8>,
    /// The same, compressed, cut where the compressor flushed.
    pub pieces: Vec<Vec<u8>>,
}

impl Input {
    /// So many hits, of the lengths that the simulator gives them.
    pub fn of(hits: u64) -> Self {
        let maker = HitMaker::new(SEED, SUITE, SUITE, VISITORS);
        Self::made_by(hits, |number, out| maker.write(number, RECEIVED_MS / 1000, out))
    }

    /// So many hits of about `bytes` each, from 300 on.
    pub fn of_size(hits: u64, bytes: usize) -> Self {
        Self::made_by(hits, |number, out| write_sized(number, bytes, out))
    }

    fn made_by(hits: u64, write: impl Fn(u64, &mut Vec<u8>)) -> Self {
        let mut plain = Vec::new();
        for number in 0..hits {
            write(number, &mut plain);
            plain.extend_from_slice(b"\r\n");
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut pieces: Vec<Vec<u8>> = plain
            .chunks(FLUSHED_EVERY)
            .map(|chunk| {
                gzip.write_all(chunk).expect("memory takes all");
                gzip.flush().expect("memory takes all");
                std::mem::take(gzip.get_mut())
            })
            .collect();
        pieces.push(gzip.finish().expect("memory takes all"));
        Self { hits, plain, pieces }
    }

    /// The records with their line endings, one by one.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.plain.split_inclusive(|byte| *byte == b'\n')
    }

    /// The records, line endings stripped.
    pub fn records(&self) -> Vec<&[u8]> {
        self.lines().map(<[u8]>::trim_ascii_end).collect()
    }

    /// Runs of whole records, about as long as a connection makes them in a burst.
    pub fn batches(&self) -> Vec<Bytes> {
        let mut batches = vec![Vec::new()];
        for line in self.lines() {
            if batches.last().is_some_and(|batch| batch.len() + line.len() > RUN_BYTES) {
                batches.push(Vec::new());
            }
            batches.last_mut().expect("there is one").extend_from_slice(line);
        }
        batches.into_iter().map(Bytes::from).collect()
    }

    /// The whole of it as the service would answer: a head, a chunk for each flush, the last chunk.
    pub fn answer(&self) -> Vec<u8> {
        let mut answer = HEAD.as_bytes().to_vec();
        for piece in &self.pieces {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    }

    /// Tells other bytes from these.
    pub fn fingerprint(&self) -> u64 {
        XxHash3_64::oneshot(&self.answer())
    }
}

/// A hit of about `bytes`, its ids in the middle, the way they stand in those of the service.
fn write_sized(number: u64, bytes: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let ids = HitMaker::new(SEED, SUITE, SUITE, VISITORS).id(number);
    let mut write = |text: &str| out.extend_from_slice(text.as_bytes());
    write("{\"browser\":\"Example 1.0 (desktop)\",\"evars\":{\"evars\":{\"campaign\":\"spring\"");
    let mut variable = 0;
    let mut fill = |out: &mut Vec<u8>, name: &str, to: usize| {
        while out.len() - start < to {
            variable += 1;
            let value = ids.low.rotate_left(variable) % 100_000;
            out.extend_from_slice(format!(",\"{name}{variable}\":\"garden hose {value}\"").as_bytes());
        }
    };
    fill(out, "evar", bytes / 2);
    let (high, low) = (ids.high, ids.low);
    out.extend_from_slice(
        format!("}}}},\"hitIdHigh\":{high},\"hitIdLow\":{low},\"props\":{{\"prop0\":\"shop\"").as_bytes(),
    );
    fill(out, "prop", bytes.saturating_sub(100));
    out.extend_from_slice(
        format!("}},\"receivedTimeGMT\":1600000000,\"visIdHigh\":{low},\"visIdLow\":{high}}}").as_bytes(),
    );
}
