//! A plain client: one request on a socket, then whatever comes.

use std::io::{self, Read as _};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::*;

/// The head of an answer, and the socket to read the rest from.
pub struct Reply {
    pub status: u16,
    pub headers: String,
    socket: TcpStream,
    body: Vec<u8>,
}

/// What a body came to.
pub struct Body {
    /// Whole records, without their line ends, empty ones left out.
    pub records: Vec<Vec<u8>>,
    /// How many empty records there were.
    pub empty: usize,
    /// What came after the last line end.
    pub rest: Vec<u8>,
    /// Whether the last chunk came.
    pub last_chunk: bool,
    /// Whether the gzip data was right up to its trailer.
    pub trailer: bool,
    /// How reading ended, if not with an end of file.
    pub error: Option<io::ErrorKind>,
}

impl Body {
    pub fn fingerprints(&self) -> Vec<u64> {
        self.records.iter().map(|record| fingerprint(record)).collect()
    }
}

/// Starts a simulator for one stream, on which nothing happens by itself.
pub async fn quiet(change: impl FnOnce(&mut SimulatorSettings)) -> Running {
    let stream = SimulatedStream {
        rate: Rate::Silent,
        body: BodyStyle {
            empty_every: 0,
            ..BodyStyle::default()
        },
        ..SimulatedStream::new("s")
    };
    let mut settings = SimulatorSettings::with_stream(stream);
    change(&mut settings);
    Simulator::start(settings).await.unwrap()
}

/// Sends these bytes and reads the head of the answer.
pub async fn send(addr: SocketAddr, request: &[u8]) -> io::Result<Reply> {
    let mut socket = TcpStream::connect(addr).await?;
    socket.write_all(request).await?;
    let mut body = Vec::new();
    loop {
        if let Some(end) = body.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(body.drain(..end + 4).collect()).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Ok(Reply {
                status,
                headers: head,
                socket,
                body,
            });
        }
        if socket.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The request that a well-behaved client sends.
pub fn stream_request(target: &str, token: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nX-Api-Key: me\r\n\
         Accept-Encoding: deflate, gzip\r\n\r\n"
    )
}

/// Asks for a stream, with this behind its name.
pub async fn open_with(simulator: &Handle, query: &str) -> Reply {
    let token = simulator.issue_token();
    send(
        simulator.addr(),
        stream_request(&format!("/api/1/stream/s{query}"), &token).as_bytes(),
    )
    .await
    .unwrap()
}

/// Asks for the stream.
pub async fn open(simulator: &Handle) -> Reply {
    open_with(simulator, "").await
}

/// Waits until an attempt has ended, and how that went is known.
pub async fn ended(simulator: &Handle, connection: u64) -> Accept {
    simulator
        .ledger()
        .wait_until(|ledger| {
            ledger.accept(connection).filter(|accept| {
                accept.end.as_ref().is_some_and(|end| {
                    end.taken.is_some() || matches!(end.by, EndedBy::Client | EndedBy::Refusal | EndedBy::Redirect)
                })
            })
        })
        .await
}

impl Reply {
    /// Reads a plain answer to its end.
    pub async fn text(mut self) -> String {
        self.socket.read_to_end(&mut self.body).await.unwrap();
        String::from_utf8(self.body).unwrap()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            line.split_once(": ")
                .is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        self.headers
            .lines()
            .find(|it| line(it))?
            .split_once(": ")
            .map(|(_, value)| value)
    }

    /// Closes without having read everything.
    pub fn close(self) {
        drop(self.socket);
    }

    /// Reads until so many whole records are there.
    pub async fn records(&mut self, records: usize) -> Vec<Vec<u8>> {
        loop {
            let decoded = decode(&self.body, self.is_chunked());
            if decoded.records.len() >= records {
                return decoded.records;
            }
            assert_ne!(
                self.socket.read_buf(&mut self.body).await.unwrap(),
                0,
                "ended before {records} records"
            );
        }
    }

    /// Reads a stream until its end, or until the connection breaks.
    pub async fn body(mut self) -> Body {
        let error = loop {
            match self.socket.read_buf(&mut self.body).await {
                Ok(0) => break None,
                Ok(_) => {}
                Err(error) => break Some(error.kind()),
            }
        };
        Body {
            error,
            ..decode(&self.body, self.is_chunked())
        }
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }
}

/// Decodes as much as can be.
pub fn decode(body: &[u8], chunked: bool) -> Body {
    let (packed, last_chunk) = if chunked { dechunk(body) } else { (body.to_vec(), false) };
    let (mut plain, trailer) = gunzip(&packed);
    let end = plain.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let rest = plain.split_off(end);
    let lines = plain.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line).to_vec()
    });
    let (records, empty): (Vec<_>, Vec<_>) = lines.partition(|line| !line.is_empty());
    Body {
        records,
        empty: empty.len(),
        rest,
        last_chunk,
        trailer,
        error: None,
    }
}

/// Inflates one byte at a time, because flate2 keeps back what it inflated in the very call that fails.
fn gunzip(packed: &[u8]) -> (Vec<u8>, bool) {
    let mut decoder = flate2::read::MultiGzDecoder::new(packed);
    let (mut plain, mut byte) = (Vec::new(), [0]);
    loop {
        match decoder.read(&mut byte) {
            Ok(0) => return (plain, !packed.is_empty()),
            Ok(_) => plain.push(byte[0]),
            Err(_) => return (plain, false),
        }
    }
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    while let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let Ok(length) = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..line]), 16) else {
            break;
        };
        bytes = &bytes[line + 2..];
        if length == 0 {
            return (plain, bytes == b"\r\n");
        }
        plain.extend_from_slice(&bytes[..length.min(bytes.len())]);
        bytes = bytes.get(length + 2..).unwrap_or_default();
    }
    (plain, false)
}
