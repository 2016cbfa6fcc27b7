//! The leanest loop that does what the daemon does to a hit: socket, inflate, split, ids, de-duplication, librdkafka; with the daemon's
//! properties, key and headers. One thread beside librdkafka's; no journal, no reconnects, no counts, nothing to look at.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use flate2::{Decompress, FlushDecompress, Status};
use livestreamd::hit::inspect;
use livestreamd::kafka::config::client_config;
use livestreamd::settings::KafkaSettings;
use memchr::memchr;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

const GZIP_HEADER: usize = 10;
const GZIP_TRAILER: usize = 8;
/// Reports are taken so often, in hits.
const POLL_EVERY: usize = 1024;
/// How many ids there is room for before the table must grow.
const IDS: usize = 1 << 20;

/// What the loop is told.
#[derive(Args, Clone, Debug)]
pub struct Errand {
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub brokers: String,
    #[arg(long)]
    pub topic: String,
}

struct Undelivered;

impl ClientContext for Undelivered {}

impl ProducerContext for Undelivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("lean: a hit was not delivered: {error}");
        }
    }
}

/// The role: reads the stream to its end, and ends when all is delivered.
pub fn run(errand: &Errand) -> anyhow::Result<()> {
    let settings = KafkaSettings {
        brokers: errand.brokers.clone(),
        properties: BTreeMap::new(),
        property_files: BTreeMap::new(),
        contents: BTreeMap::new(),
    };
    let config = client_config(&settings).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let mut output = Output {
        producer: config.create_with_context(Undelivered)?,
        topic: &errand.topic,
        seen: hashbrown::HashSet::with_capacity(IDS),
        key: String::new(),
        id: String::new(),
        number: itoa::Buffer::new(),
        since_poll: 0,
    };
    let mut socket = connect(&errand.url)?;
    let mut inflate = Inflate::new();
    let mut size = String::new();
    let mut chunk = Vec::with_capacity(64 * 1024);
    loop {
        size.clear();
        socket.read_line(&mut size)?;
        let length = usize::from_str_radix(size.trim_end(), 16).context("no length of a chunk")?;
        if length == 0 {
            break;
        }
        chunk.resize(length + 2, 0);
        socket.read_exact(&mut chunk)?;
        let is_over = inflate.push(&chunk[..length], |hit| output.take(hit))?;
        if is_over {
            break;
        }
    }
    output.producer.flush(Duration::from_mins(1))?;
    Ok(())
}

fn connect(url: &str) -> anyhow::Result<BufReader<TcpStream>> {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .context("no http:// URL")?;
    let mut socket = TcpStream::connect(host)?;
    write!(
        socket,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n"
    )?;
    let mut socket = BufReader::with_capacity(64 * 1024, socket);
    let mut line = String::new();
    socket.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        bail!("the service says {line}");
    }
    while line != "\r\n" {
        line.clear();
        socket.read_line(&mut line)?;
    }
    Ok(socket)
}

/// Raw deflate and the checksum by `crc32fast`: faster than flate2's own gzip with the same inflate.
struct Inflate {
    raw: Decompress,
    crc: crc32fast::Hasher,
    header: usize,
    /// A record that is not whole yet, at its start.
    out: Vec<u8>,
}

impl Inflate {
    fn new() -> Self {
        Self {
            raw: Decompress::new(false),
            crc: crc32fast::Hasher::new(),
            header: GZIP_HEADER,
            out: Vec::with_capacity(256 * 1024),
        }
    }

    /// Gives out the records that are whole now. True at the end of the stream.
    fn push(&mut self, mut bytes: &[u8], mut record: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let skipped = self.header.min(bytes.len());
        self.header -= skipped;
        bytes = &bytes[skipped..];
        loop {
            let (before, length) = (self.raw.total_in(), self.out.len());
            if self.out.capacity() - length < 16 * 1024 {
                self.out.reserve(64 * 1024);
            }
            let status = self.raw.decompress_vec(bytes, &mut self.out, FlushDecompress::None)?;
            self.crc.update(&self.out[length..]);
            bytes = &bytes[(self.raw.total_in() - before) as usize..];
            let had_room = self.out.len() < self.out.capacity();
            self.split(&mut record)?;
            if status == Status::StreamEnd {
                let trailer = bytes.get(..GZIP_TRAILER).context("the end is cut off")?;
                if trailer[..4] != self.crc.clone().finalize().to_le_bytes() {
                    bail!("the checksum is wrong");
                }
                return Ok(true);
            }
            if had_room && bytes.is_empty() {
                return Ok(false);
            }
        }
    }

    fn split(&mut self, record: &mut impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut start = 0;
        while let Some(newline) = memchr(b'\n', &self.out[start..]) {
            let line = &self.out[start..start + newline];
            record(line.strip_suffix(b"\r").unwrap_or(line))?;
            start += newline + 1;
        }
        self.out.drain(..start);
        Ok(())
    }
}

struct Output<'a> {
    producer: BaseProducer<Undelivered>,
    topic: &'a str,
    seen: hashbrown::HashSet<(u64, u64)>,
    key: String,
    id: String,
    number: itoa::Buffer,
    since_poll: usize,
}

impl Output<'_> {
    fn take(&mut self, hit: &[u8]) -> anyhow::Result<()> {
        if hit.is_empty() {
            return Ok(());
        }
        // The daemon's own: faster than what crates have that check a record as strictly.
        let ids = inspect(hit).map_err(|why| anyhow::anyhow!("{why}"))?;
        let ((hit_high, hit_low), (visitor_high, visitor_low)) =
            ids.hit_id.zip(ids.visitor_id).context("a hit without ids")?;
        if !self.seen.insert((hit_high, hit_low)) {
            return Ok(());
        }
        self.id.clear();
        self.id.push_str(self.number.format(hit_high));
        self.id.push('_');
        self.id.push_str(self.number.format(hit_low));
        self.key.clear();
        self.key.push_str(self.number.format(visitor_high));
        self.key.push('_');
        self.key.push_str(self.number.format(visitor_low));
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header {
                key: "livestream.stream",
                value: Some("s0"),
            })
            .insert(Header {
                key: "livestream.report_suite",
                value: Some("s0"),
            })
            .insert(Header {
                key: "livestream.hit_id",
                value: Some(&self.id),
            });
        let mut record = BaseRecord::to(self.topic).payload(hit).key(&self.key).headers(headers);
        while let Err((error, refused)) = self.producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            record = refused;
            self.producer.poll(Duration::from_millis(1));
        }
        self.since_poll += 1;
        if self.since_poll == POLL_EVERY {
            self.since_poll = 0;
            self.producer.poll(Duration::ZERO);
        }
        Ok(())
    }
}
