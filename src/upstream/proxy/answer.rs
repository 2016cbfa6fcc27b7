//! How a proxy's answer to CONNECT is read. Pure.

/// A head with more lines than this is none.
const MAX_HEADERS: usize = 64;

/// What has come so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A head that is not whole yet.
    Unfinished,
    /// 1xx: another answer follows after so many bytes.
    Interim {
        /// Of the head.
        length: usize,
    },
    /// 2xx: what follows after so many bytes comes from the target, whatever the head says of a body (RFC 9110, section 9.3.6).
    Open {
        /// Of the head.
        length: usize,
    },
    /// Anything else.
    Refused(Refused),
    /// Not HTTP/1.
    NotHttp,
}

/// A refusal in the proxy's own words, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// The status.
    pub(super) status: u16,
    /// The words after it.
    pub(super) reason: String,
    /// The ways of authentication that it would take.
    pub(super) schemes: Vec<String>,
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Answer::Unfinished,
        Err(_) => return Answer::NotHttp,
    };
    match head.code {
        // A change to another protocol, which nobody has asked for, is no interim answer.
        Some(101) | None => Answer::NotHttp,
        Some(100..=199) => Answer::Interim { length },
        Some(200..=299) => Answer::Open { length },
        Some(status) => Answer::Refused(Refused {
            status,
            reason: head.reason.unwrap_or_default().to_owned(),
            schemes: schemes(head.headers),
        }),
    }
}

/// The authentication schemes of all `Proxy-Authenticate`: one of these headers may list several challenges, with commas between them and
/// between the parameters of each (RFC 9110, section 11.6.1). What has a `=` is a parameter, as far as it matters here.
fn schemes(headers: &[httparse::Header<'_>]) -> Vec<String> {
    let challenges = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("proxy-authenticate"));
    let listed = challenges.flat_map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        let words = value
            .split(',')
            .filter_map(|part| part.split_whitespace().next().map(str::to_owned));
        words.filter(|word| !word.contains('=')).collect::<Vec<_>>()
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: &str = "HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn two_hundred_and_its_like_open_the_way_and_the_head_ends_where_the_blank_line_does() {
        for head in [OPEN, "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 299\n\n"] {
            let length = head.len();
            assert_eq!(read(format!("{head}early").as_bytes()), Answer::Open { length });
            for end in 0..length {
                assert_eq!(read(&head.as_bytes()[..end]), Answer::Unfinished, "{end} of {head:?}");
            }
        }
        assert_eq!(
            read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP"),
            Answer::Interim { length: 25 }
        );
    }

    #[test]
    fn a_refusal_keeps_its_words_and_the_ways_of_authentication() {
        let head = "HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: Basic realm=\"x\"\r\n\r\n";
        let expected = Refused {
            status: 407,
            reason: "Who are you?".to_owned(),
            schemes: vec!["Negotiate".to_owned(), "Basic".to_owned()],
        };
        assert_eq!(read(head.as_bytes()), Answer::Refused(expected.clone()));
        let listed =
            "HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Negotiate, Basic realm=\"x\", charset=\"UTF-8\"\r\n\r\n";
        assert_eq!(read(listed.as_bytes()), Answer::Refused(expected));
        for (head, status) in [
            ("HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", 302),
            ("HTTP/1.0 599 \r\n\r\n", 599),
        ] {
            let Answer::Refused(refused) = read(head.as_bytes()) else {
                panic!("{head}")
            };
            assert_eq!((refused.status, refused.schemes), (status, vec![]));
        }
    }

    #[test]
    fn what_is_not_http_1_is_told_at_once() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1));
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x50",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            many.as_bytes(),
            b"<html>",
            b"\0",
        ] {
            assert_eq!(read(bytes), Answer::NotHttp, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_to_some_answer(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..90_usize) {
            read(&bytes);
            let mut head = OPEN.as_bytes().to_vec();
            head.splice(at.min(head.len())..at.min(head.len()), bytes);
            if let Answer::Open { length } | Answer::Interim { length } = read(&head) {
                prop_assert!(length <= head.len());
            }
        }
    }
}
