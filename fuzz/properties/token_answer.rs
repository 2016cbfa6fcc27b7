//! An answer of the token endpoint, whatever its bytes: a token or a failure, in bounded time and of bounded bytes; and neither our secret nor
//! a token that was granted is in any text.
//!
//! An input is either the bytes as they are, or a status and a body of parts, with the secret and a token among them.

use std::sync::Arc;
use std::time::Duration;

use livestreamd::upstream::TokenSource;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::wire::{End, Splits, Wire};
use super::{SECRET, TELLING, assert_showable, in_virtual_time, stream};

const GRANTED: &str = "gr4nted-t0ken.of+the/endpoint";
const LIMIT: Duration = Duration::from_secs(10);
/// A head and a body at their limits, and a read buffer.
const MOST_READ: usize = 256 * 1024;

const PARTS: [&str; 26] = [
    "{\"access_token\":\"",
    GRANTED,
    "\",\"expires_in\":3600,\"token_type\":\"bearer\"}",
    "\",\"expires_in\":",
    "\"token_type\":",
    "1e400",
    "-1",
    "0.5",
    "18446744073709551616",
    "null",
    "\"error\":\"",
    "\"error_description\":\"",
    "\"message\":\"",
    SECRET,
    "p8e-s3cr3t%2Fwith%2Bsigns%3D",
    "p8e-s3cr3t\\/with+signs=",
    "Bearer ",
    "eyJhbGciOiJub25lIn0.e30.",
    "{",
    "}",
    "\"",
    "\\u0000",
    "\\u202e",
    "\\n",
    ",",
    "x",
];
const STATUSES: [u16; 10] = [200, 200, 200, 400, 401, 302, 429, 503, 204, 299];
const HEADERS: [&str; 6] = [
    "",
    "Retry-After: 99999999999999999999\r\n",
    "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
    "Location: https://evil.example/\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 9\r\n",
];

pub fn check(input: &[u8]) {
    let mut cursor = Cursor(input);
    let kind = cursor.byte();
    let splits = [
        Splits::Whole,
        Splits::Single,
        Splits::Random(u64::from(cursor.number())),
    ][usize::from(kind >> 2) % 3];
    let end = if kind & 2 == 0 { End::Closed } else { End::Reset };
    let answer = if kind & 1 == 0 {
        cursor.0.to_vec()
    } else {
        built(&mut cursor)
    };
    let wire = Arc::new(Wire::new(&answer, splits, end));
    let credential = stream(true).credential.clone();
    in_virtual_time(async {
        let tokens = TokenSource::new(credential, wire.clone(), LIMIT, LIMIT);
        let began = Instant::now();
        let outcome = tokens.token(None).await;
        assert!(began.elapsed() <= 2 * LIMIT, "{:?}", began.elapsed());
        assert!(wire.bytes_read() <= MOST_READ, "{} bytes", wire.bytes_read());
        match outcome {
            Ok(token) => assert!(!format!("{token:?} {tokens:?}").contains(&GRANTED[..TELLING])),
            Err(failure) => {
                let text = failure.to_string();
                assert_showable(&text, &[SECRET]);
                let is_grant = answer.starts_with(b"HTTP/1.1 200");
                assert!(!is_grant || !text.contains(&GRANTED[..TELLING]), "{text:?}");
                assert!(!format!("{failure:?}").contains(&SECRET[..TELLING]));
            }
        }
    });
}

fn built(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let (status, header, repeats) = (cursor.pick(&STATUSES), cursor.pick(&HEADERS), cursor.byte());
    let mut body = Vec::new();
    while !cursor.is_empty() {
        match PARTS.get(usize::from(cursor.byte())) {
            Some(part) => body.extend_from_slice(part.as_bytes()),
            None => body.extend_from_slice(cursor.bytes(1)),
        }
    }
    // Now and then longer than anybody should read.
    if repeats > 250 {
        body = body.repeat(80_000 / body.len().max(1));
    }
    [format!("HTTP/1.1 {status} X\r\n{header}\r\n").as_bytes(), &body].concat()
}
