//! Reading one request and writing one plain answer, by hand. Every answer ends its connection.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::socket::Socket;

/// The longest request head, in bytes.
const MOST_HEAD: usize = 32 * 1024;
/// The most headers.
const MOST_HEADERS: usize = 100;
/// The longest request body, in bytes.
const MOST_BODY: usize = 64 * 1024;
/// How long a request, or its body, may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request without its body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// After the question mark; empty if there is none.
    pub(super) query: String,
    /// Whether it is HTTP/1.1.
    pub(super) is_http11: bool,
    /// By names in lower case; several of one name are joined by commas.
    pub(super) headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing came, or not enough of it; nobody is there to be answered.
    Nobody,
    /// To be answered with this status.
    Status(u16),
}

impl Request {
    /// Reads a request head.
    pub(super) async fn read(socket: &mut Socket) -> Result<Self, Unreadable> {
        let mut bytes = Vec::with_capacity(2048);
        loop {
            if let Some(request) = parse(&bytes)? {
                return Ok(request);
            }
            if bytes.len() >= MOST_HEAD {
                return Err(Unreadable::Status(431));
            }
            match timeout(PATIENCE, socket.read_buf(&mut bytes)).await {
                Ok(Ok(read)) if read > 0 => {}
                Ok(Ok(_) | Err(_)) | Err(_) => return Err(Unreadable::Nobody),
            }
        }
    }

    /// A header's value, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The last value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .filter(|(key, _)| key == name)
            .last()
            .map(|(_, value)| value.into_owned())
    }

    /// Reads the body, as long as its length is given.
    pub(super) async fn body(&mut self, socket: &mut Socket) -> Result<Vec<u8>, Unreadable> {
        if self.headers.contains_key("transfer-encoding") {
            return Err(Unreadable::Status(411));
        }
        let length = match self.header("content-length") {
            None => 0,
            Some(text) => text.trim().parse::<usize>().map_err(|_| Unreadable::Status(400))?,
        };
        if length > MOST_BODY {
            return Err(Unreadable::Status(413));
        }
        let mut body = std::mem::take(&mut self.body);
        while body.len() < length {
            match timeout(PATIENCE, socket.read_buf(&mut body)).await {
                Ok(Ok(read)) if read > 0 => {}
                Ok(Ok(_) | Err(_)) | Err(_) => return Err(Unreadable::Nobody),
            }
        }
        body.truncate(length);
        Ok(body)
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Request>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) => return Err(Unreadable::Status(505)),
        Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::Status(431)),
        Err(_) => return Err(Unreadable::Status(400)),
    };
    let target = parsed.path.unwrap_or_default();
    // A proxy is sent the whole URL.
    let target = target
        .find("://")
        .and_then(|at| target[at + 3..].find('/').map(|path| &target[at + 3 + path..]))
        .unwrap_or(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        by_name
            .entry(header.name.to_ascii_lowercase())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    Ok(Some(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        is_http11: parsed.version == Some(1),
        headers: by_name,
        body: bytes.get(length..).unwrap_or_default().to_vec(),
    }))
}

/// An answer with a body of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// An answer with a text for its body.
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type", "text/plain;charset=utf-8".to_owned())];
        Self {
            status,
            headers,
            body: body.into().into_bytes(),
        }
    }

    /// An answer with JSON for its body.
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self {
            status,
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    /// An error as the service describes it: JSON with `error` and `error_description`.
    pub(super) fn error(status: u16, description: &str) -> Self {
        Self::json(
            status,
            &serde_json::json!({ "error": reason(status), "error_description": description }),
        )
    }

    /// With one more header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With `Retry-After`, if there is one.
    pub(super) fn retry_after(self, secs: Option<u64>) -> Self {
        match secs {
            Some(secs) => self.header("Retry-After", secs.to_string()),
            None => self,
        }
    }

    /// The bytes of head and body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nConnection: close\r\n",
            self.status,
            reason(self.status)
        );
        let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it and ends the connection.
    pub(super) async fn send(&self, mut socket: Socket) {
        // A client that has gone needs no answer.
        if socket.send(&self.bytes()).await.is_ok() {
            socket.finish(true).await;
        }
    }
}

/// The usual words for a status.
pub(super) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        424 => "Failed Dependency",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Simulated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_once_it_is_whole() {
        let text = b"GET /api/1/stream/x?a=1&a=2 HTTP/1.1\r\nHOST: h\r\nAccept-Encoding: gzip\r\nAccept-encoding: br\r\n\r\nrest";
        for length in 0..text.len() - 4 {
            assert!(parse(&text[..length]).unwrap().is_none(), "{length}");
        }
        let request = parse(text).unwrap().unwrap();
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("GET", "/api/1/stream/x")
        );
        assert_eq!(request.header("accept-encoding"), Some("gzip,br"));
        assert_eq!(request.parameter("a").as_deref(), Some("2"));
        assert!(request.is_http11);
        assert_eq!(request.body, b"rest");
    }

    #[test]
    fn what_is_no_request_of_http_1_is_refused() {
        assert_eq!(
            parse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_err(),
            Unreadable::Status(505)
        );
        assert_eq!(parse(b"\x16\x03\x01\x02\x00").unwrap_err(), Unreadable::Status(400));
        assert!(!parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().is_http11);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(parse(many.as_bytes()).unwrap_err(), Unreadable::Status(431));
    }
}
