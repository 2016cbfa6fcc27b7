//! The hits that are served, made once: compressed and in chunks as they go over the wire, in pieces that fit together.
//!
//! A piece is [`PIECE_HITS`] hits as a raw deflate stream without an end, flushed about every 16 KiB of hits, each flush an HTTP chunk. It
//! refers to nothing before it, so any pieces in a row, after a gzip header and before an end, are one gzip stream: one connection may
//! get one piece or a thousand, all with different ids, and serving them is nothing but copying files to a socket.
//!
//! ```text
//! target/bench/corpus-N/MEAN/00017.chunks   hex-length CRLF bytes CRLF, again and again
//!                            00017.json     what Piece holds
//! ```

pub mod hit;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context as _;
use flate2::{Compress, Compression, FlushCompress};
use serde::{Deserialize, Serialize};

/// Hits in a piece.
pub const PIECE_HITS: u64 = 4_000;
/// How much is gathered before it is flushed.
const FLUSH_EVERY: usize = 16 * 1024;
/// Raised whenever the bytes change, so that nothing old is served.
const FORMAT: u32 = 2;

/// What must be known of a piece to serve it among others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Bytes before compression.
    pub raw: u64,
    /// Bytes after it.
    pub compressed: u64,
    /// CRC-32 of the bytes before compression.
    pub crc: u32,
}

/// Pieces of one mean size of hits, on disk.
#[derive(Clone, Debug)]
pub struct Corpus {
    dir: PathBuf,
    /// Bytes a hit, on average, as asked for.
    pub mean: usize,
}

impl Corpus {
    /// Those of hits with this mean size, under `bench`.
    pub fn at(bench: &Path, mean: usize) -> Self {
        Self {
            dir: bench.join(format!("corpus-{FORMAT}/{mean}")),
            mean,
        }
    }

    /// Makes those of the first `pieces` that are not there yet, on all processors, and says what they are in all.
    pub fn prepare(&self, pieces: u64) -> anyhow::Result<Piece> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))?;
        let missing: Vec<u64> = (0..pieces).filter(|nth| !self.info(*nth).is_file()).collect();
        let (next, threads) = (AtomicU64::new(0), thread::available_parallelism()?.get());
        let make_some = || -> anyhow::Result<()> {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed) as usize;
                let Some(nth) = missing.get(at) else { return Ok(()) };
                self.make(*nth)?;
                if (at + 1).is_multiple_of(25) || at + 1 == missing.len() {
                    let hits = (at as u64 + 1) * PIECE_HITS;
                    eprintln!(
                        "corpus of {} bytes a hit: {hits} of {} hits made",
                        self.mean,
                        missing.len() as u64 * PIECE_HITS
                    );
                }
            }
        };
        thread::scope(|scope| -> anyhow::Result<()> {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(make_some)).collect();
            for worker in workers {
                worker
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread that makes hits has failed"))??;
            }
            Ok(())
        })?;
        let mut all = Piece {
            raw: 0,
            compressed: 0,
            crc: 0,
        };
        for nth in 0..pieces {
            all = all.followed_by(self.piece(nth)?);
        }
        Ok(all)
    }

    /// What is known of a piece.
    pub fn piece(&self, nth: u64) -> anyhow::Result<Piece> {
        let path = self.info(nth);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not what was written", path.display()))
    }

    /// Where its chunks are.
    pub fn chunks(&self, nth: u64) -> PathBuf {
        self.dir.join(format!("{nth:05}.chunks"))
    }

    fn info(&self, nth: u64) -> PathBuf {
        self.dir.join(format!("{nth:05}.json"))
    }

    fn make(&self, nth: u64) -> anyhow::Result<()> {
        let (mut chunks, mut stream, mut raw) = (Vec::new(), Deflate::new(), Vec::new());
        for number in nth * PIECE_HITS..(nth + 1) * PIECE_HITS {
            hit::write(number, self.mean, None, &mut raw);
            raw.extend_from_slice(b"\r\n");
            if raw.len() >= FLUSH_EVERY || number + 1 == (nth + 1) * PIECE_HITS {
                write_chunk(stream.flush(&raw)?, &mut chunks)?;
                raw.clear();
            }
        }
        let path = self.chunks(nth);
        fs::write(&path, chunks).with_context(|| format!("cannot write {}", path.display()))?;
        // Last, because who finds it takes the piece for whole.
        let partial = self.dir.join(format!("{nth:05}.partial"));
        fs::write(&partial, serde_json::to_vec(&stream.piece())?)?;
        fs::rename(partial, self.info(nth)).with_context(|| format!("cannot write {}", self.info(nth).display()))
    }
}

impl Piece {
    /// Both in a row.
    pub fn followed_by(self, next: Self) -> Self {
        let mut crc = crc32fast::Hasher::new_with_initial_len(self.crc, self.raw);
        crc.combine(&crc32fast::Hasher::new_with_initial_len(next.crc, next.raw));
        Self {
            raw: self.raw + next.raw,
            compressed: self.compressed + next.compressed,
            crc: crc.finalize(),
        }
    }
}

/// A raw deflate stream that is flushed again and again, and does not end.
pub struct Deflate {
    stream: Compress,
    crc: crc32fast::Hasher,
    buffer: Vec<u8>,
}

impl Deflate {
    pub fn new() -> Self {
        Self {
            stream: Compress::new(Compression::default(), false),
            crc: crc32fast::Hasher::new(),
            buffer: Vec::new(),
        }
    }

    /// Compresses `raw` so that all of it can be read at the other end.
    pub fn flush(&mut self, raw: &[u8]) -> anyhow::Result<&[u8]> {
        self.crc.update(raw);
        self.buffer.clear();
        let before = self.stream.total_in();
        loop {
            self.buffer.reserve(raw.len() / 2 + 1024);
            let taken = (self.stream.total_in() - before) as usize;
            self.stream
                .compress_vec(&raw[taken..], &mut self.buffer, FlushCompress::Sync)?;
            // Room that is left over means that nothing is held back.
            if self.buffer.len() < self.buffer.capacity() && self.stream.total_in() - before == raw.len() as u64 {
                return Ok(&self.buffer);
            }
        }
    }

    /// What it is so far.
    pub fn piece(&self) -> Piece {
        Piece {
            raw: self.stream.total_in(),
            compressed: self.stream.total_out(),
            crc: self.crc.clone().finalize(),
        }
    }
}

/// Appends one chunk of HTTP's chunked coding.
pub fn write_chunk(bytes: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    write!(out, "{:x}\r\n", bytes.len())?;
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    Ok(())
}
