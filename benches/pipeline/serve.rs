//! The service: a process that answers every GET with hits, at next to no cost of its own.
//!
//! It sends pieces of the corpus as fast as the socket takes them, then, if asked for, live hits at a rate, and then ends the stream in good
//! order or keeps the connection open without a word. `/stream/K` is the K-th stream; no two streams, and no two hits of one, share an id.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::child::Child;
use super::corpus::{Corpus, Deflate, Piece, hit, write_chunk};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
/// gzip's own header: deflate, no flags, no time, an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, with nothing in it.
const DEFLATE_END: [u8; 2] = [3, 0];
/// Live hits are numbered from here, far from those of the corpus.
const LIVE_HITS: u64 = 1 << 40;

/// What is sent on each stream.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// The directory under which the corpus is.
    #[arg(long)]
    pub bench: PathBuf,
    /// Mean size of a hit.
    #[arg(long)]
    pub mean: usize,
    /// Pieces of the corpus for each stream.
    #[arg(long)]
    pub pieces: u64,
    /// Live hits a second after that, on each stream.
    #[arg(long)]
    pub rate: u64,
    /// Live hits that go out together, in one flush and one chunk.
    #[arg(long)]
    pub group: u64,
    /// For how many seconds there are live hits.
    #[arg(long)]
    pub seconds: u64,
    /// What comes then.
    #[arg(long, value_enum)]
    pub end: End,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// In good order, and with it the connection.
    Close,
    /// Not at all: it falls silent.
    Stay,
}

impl Plan {
    /// How many live hits there are on each stream.
    pub const fn live_hits(&self) -> u64 {
        self.rate * self.seconds / self.group * self.group
    }

    fn arguments(&self) -> Vec<String> {
        let end = if self.end == End::Close { "close" } else { "stay" };
        let bench = self.bench.display().to_string();
        let pairs = [
            ("--bench", bench),
            ("--mean", self.mean.to_string()),
            ("--pieces", self.pieces.to_string()),
            ("--rate", self.rate.to_string()),
            ("--group", self.group.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--end", end.to_owned()),
        ];
        pairs
            .into_iter()
            .flat_map(|(key, value)| [key.to_owned(), value])
            .collect()
    }
}

/// The service as the harness has it. Dropping it ends it.
pub struct Server {
    port: u16,
    _child: Child,
}

impl Server {
    /// Starts the process.
    pub fn start(plan: &Plan) -> anyhow::Result<Self> {
        let mut child = Child::role("as-server", &plan.arguments())?;
        let port = child.line()?.parse().context("the server says no port")?;
        Ok(Self { port, _child: child })
    }

    /// Where the K-th stream is.
    pub fn url(&self, stream: usize) -> String {
        format!("http://127.0.0.1:{}/stream/{stream}", self.port)
    }
}

/// The role: serves until its standard input ends.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let plan = Arc::new(plan.clone());
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let plan = Arc::clone(&plan);
            thread::spawn(move || {
                if let Err(error) = answer(&socket, &plan)
                    && !is_the_clients_end(&error)
                {
                    eprintln!("server: {error:#}");
                }
            });
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn is_the_clients_end(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

fn answer(socket: &TcpStream, plan: &Plan) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let stream = asked_for(socket)?;
    let mut start = HEAD.as_bytes().to_vec();
    write_chunk(&GZIP_HEADER, &mut start)?;
    (&*socket).write_all(&start)?;
    let corpus = Corpus::at(&plan.bench, plan.mean);
    let mut sent = Piece {
        raw: 0,
        compressed: 0,
        crc: 0,
    };
    for nth in stream * plan.pieces..(stream + 1) * plan.pieces {
        // The kernel copies it: no byte comes through this process.
        io::copy(&mut File::open(corpus.chunks(nth))?, &mut &*socket)?;
        sent = sent.followed_by(corpus.piece(nth)?);
    }
    let live = send_live(socket, plan, LIVE_HITS + (stream << 32))?;
    if plan.end == End::Stay {
        // Nothing comes, but the end.
        (&*socket).read_to_end(&mut Vec::new())?;
        return Ok(());
    }
    let sent = sent.followed_by(live);
    let mut end = DEFLATE_END.to_vec();
    end.extend_from_slice(&sent.crc.to_le_bytes());
    end.extend_from_slice(&(sent.raw as u32).to_le_bytes());
    let mut last = Vec::new();
    write_chunk(&end, &mut last)?;
    last.extend_from_slice(b"0\r\n\r\n");
    (&*socket).write_all(&last)?;
    Ok(())
}

/// Reads the head of a request for `/stream/K`, and returns K.
fn asked_for(socket: &TcpStream) -> anyhow::Result<u64> {
    let mut lines = BufReader::new(socket).lines();
    let request = lines.next().context("a connection without a request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    match path.strip_prefix("/stream/").and_then(|stream| stream.parse().ok()) {
        Some(stream) => Ok(stream),
        None => bail!("nobody should ask for {path}"),
    }
}

/// Sends hits at their times, group by group. One that is late goes at once, and the next keeps to its time.
fn send_live(socket: &TcpStream, plan: &Plan, first: u64) -> anyhow::Result<Piece> {
    let mut stream = Deflate::new();
    let (mut raw, mut chunk) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut number = first;
    while number < first + plan.live_hits() {
        let due = began + Duration::from_secs_f64((number - first) as f64 / plan.rate as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        raw.clear();
        chunk.clear();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
        for _ in 0..plan.group {
            hit::write(number, plan.mean, Some(now), &mut raw);
            raw.extend_from_slice(b"\r\n");
            number += 1;
        }
        write_chunk(stream.flush(&raw)?, &mut chunk)?;
        let mut socket = socket;
        socket.write_all(&chunk)?;
    }
    Ok(stream.piece())
}
