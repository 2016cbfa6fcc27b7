//! What a refusal says: its status, its words, and when to come back (protocol notes, section 4).

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};

use super::printable::describe_body;
use crate::framing::Gunzip;
use crate::lifecycle::{RETRY_AFTER_LIMIT, Refusal};

/// So much of a refusal's body is read.
pub const BODY_LIMIT: usize = 16 * 1024;

/// What can be read from an answer other than 200 or a redirect. `secrets` are taken out of its words.
pub fn refusal(status: u16, headers: &HeaderMap, body: &[u8], secrets: &[&str], now: SystemTime) -> Refusal {
    let description = match coding(headers) {
        Ok(Coding::Identity) => describe_body(body, secrets),
        Ok(Coding::Gzip) => describe_body(&gunzip_start(body), secrets),
        Err(_) => None,
    };
    Refusal {
        status,
        description,
        retry_after: retry_after(headers, now),
    }
}

/// How long `Retry-After` asks us to wait, [`RETRY_AFTER_LIMIT`] at most: in seconds, or until a date. A date is counted from the answer's own `Date`, if it has
/// one, so that it does not matter whose clock is wrong.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that are no u64 are a very long time.
        let wait = text.parse().map_or(RETRY_AFTER_LIMIT, Duration::from_secs);
        return Some(wait.min(RETRY_AFTER_LIMIT));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Some(
        until
            .duration_since(date.unwrap_or(now))
            .unwrap_or_default()
            .min(RETRY_AFTER_LIMIT),
    )
}

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
}

/// The content coding of an answer.
///
/// # Errors
/// One that we do not read: its name as given.
pub fn coding(headers: &HeaderMap) -> Result<Coding, String> {
    match &listed(headers.get_all(CONTENT_ENCODING))[..] {
        [] => Ok(Coding::Identity),
        [one] if one == "identity" => Ok(Coding::Identity),
        [one] if one == "gzip" || one == "x-gzip" => Ok(Coding::Gzip),
        others => Err(others.join(", ")),
    }
}

/// The elements of a comma-separated header, in lower case.
pub(super) fn listed<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<String> {
    let texts = values
        .into_iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    texts
        .flat_map(|text| text.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
        .filter(|one| !one.is_empty())
        .collect()
}

/// What can be inflated, up to [`BODY_LIMIT`]: the start is enough for a message.
fn gunzip_start(body: &[u8]) -> Vec<u8> {
    let mut plain = vec![0; BODY_LIMIT];
    let (mut gunzip, mut read, mut written) = (Gunzip::new(), 0, 0);
    while written < plain.len() {
        let Ok(step) = gunzip.step(&body[read..], &mut plain[written..]) else {
            break;
        };
        read += step.consumed;
        written += step.produced;
        if !step.again {
            break;
        }
    }
    plain.truncate(written);
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text: &str| retry_after(&headers(&[("retry-after", text)]), now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("99999999999999999999999999"), Some(RETRY_AFTER_LIMIT.as_secs()));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sunday, 06-Nov-94 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "a time that is past");
        for nonsense in ["", "soon", "-5", "1.5", "+3", "0x10"] {
            assert_eq!(wait(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_date_is_counted_from_the_answers_own_date() {
        let pairs = [
            ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT"),
            ("date", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ];
        assert_eq!(
            retry_after(&headers(&pairs), SystemTime::UNIX_EPOCH),
            Some(Duration::from_mins(1))
        );
    }

    #[test]
    fn codings_are_told_apart() {
        for (value, expected) in [
            ("gzip", Ok(Coding::Gzip)),
            ("GZip", Ok(Coding::Gzip)),
            (" x-gzip ", Ok(Coding::Gzip)),
            ("identity", Ok(Coding::Identity)),
            ("", Ok(Coding::Identity)),
            ("br", Err("br".to_owned())),
            ("gzip, gzip", Err("gzip, gzip".to_owned())),
        ] {
            assert_eq!(coding(&headers(&[("content-encoding", value)])), expected, "{value}");
        }
        assert_eq!(coding(&HeaderMap::new()), Ok(Coding::Identity));
    }

    #[test]
    fn a_refusal_has_the_words_of_its_body_even_when_they_are_compressed_or_cut() {
        let json = br#"{"error_description":"maximum number of connections reached for Bearer t0ken-of-ours"}"#;
        let expected = Some("maximum number of connections reached for Bearer [redacted]".to_owned());
        let plain = refusal(409, &HeaderMap::new(), json, &["t0ken-of-ours"], SystemTime::UNIX_EPOCH);
        assert_eq!((plain.status, plain.description), (409, expected.clone()));

        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(json).unwrap();
        let gzip = gzip.finish().unwrap();
        let headers = headers(&[("content-encoding", "gzip")]);
        let said = |body: &[u8]| refusal(409, &headers, body, &["t0ken-of-ours"], SystemTime::UNIX_EPOCH).description;
        assert_eq!(said(&gzip), expected);
        assert_eq!(said(&gzip[..gzip.len() - 4]), expected, "cut off");
        assert_eq!(said(b"no gzip at all"), None);
    }
}
