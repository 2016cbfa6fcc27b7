//! A refusal, whatever its headers and its body: what is shown of it is one printable line, bounded, without the token.
//!
//! An input is a status, headers, and a body of parts with the token among them; compressed or not, whole or cut.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use livestreamd::lifecycle::RETRY_AFTER_LIMIT;
use livestreamd::upstream::answer::refusal;

use super::cursor::Cursor;
use super::{SECRET, TELLING, assert_showable};

const PARTS: [&str; 20] = [
    "{\"error_description\":\"",
    "\"error\":\"",
    "\"message\":\"",
    "\"}",
    "\",",
    SECRET,
    "p8e-s3cr3t",
    "p8e-s3cr3t%2Fwith%2Bsigns%3D",
    "Bearer ",
    "eyJhbGciOiJub25lIn0.e30.",
    "\\u001b[2J",
    "\\u202e",
    "\\r\\n",
    "\\ud800",
    "\u{1b}[31m",
    "\r\n",
    "\u{2028}",
    "\u{200b}",
    "\u{feff}",
    "maximum number of connections reached ",
];
const CODINGS: [&str; 5] = ["", "gzip", "x-gzip", "br", "gzip, gzip"];
const WAITS: [&str; 6] = [
    "",
    "120",
    "99999999999999999999999",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "-1",
];

pub fn check(input: &[u8]) {
    let mut cursor = Cursor(input);
    let mut headers = HeaderMap::new();
    let status = cursor.number();
    let (coding, wait, kind) = (cursor.pick(&CODINGS), cursor.pick(&WAITS), cursor.byte());
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
    let count = usize::from(cursor.byte() % 32);
    if let (true, Ok(value)) = (kind & 1 == 1, HeaderValue::from_bytes(cursor.bytes(count))) {
        headers.insert(if kind & 2 == 2 { RETRY_AFTER } else { DATE }, value);
    }
    let mut body = Vec::new();
    while !cursor.is_empty() {
        match PARTS.get(usize::from(cursor.byte())) {
            Some(part) => body.extend_from_slice(part.as_bytes()),
            None => body.extend_from_slice(cursor.bytes(1)),
        }
    }
    if kind & 4 == 4 {
        body = body.repeat(40);
    }
    if kind & 8 == 8 {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&body).expect("in memory");
        body = gzip.finish().expect("in memory");
        body.truncate(body.len() - usize::from(kind >> 5));
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    let refusal = refusal(status, &headers, &body, &[SECRET], now);
    assert_eq!(refusal.status, status);
    assert!(refusal.retry_after <= Some(RETRY_AFTER_LIMIT));
    assert_showable(&refusal.to_string(), &[SECRET]);
    assert!(!format!("{refusal:?}").contains(&SECRET[..TELLING]));
    if let Some(description) = &refusal.description {
        assert!(!description.is_empty() && description.chars().count() <= 303);
    }
}
