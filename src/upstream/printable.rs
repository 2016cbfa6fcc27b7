//! Text from the other side, made fit to be shown: printable, bounded, and without secrets.

use std::error::Error;
use std::fmt::Write as _;

use url::form_urlencoded;

/// The longest text that is shown, in characters.
pub(super) const MAX_CHARS: usize = 300;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";

/// So many characters of a secret's beginning are already too much: a text may have been cut off in the middle of one.
const TELLING_PREFIX: usize = 8;

/// `text` on one line, at most [`MAX_CHARS`] long, with each of `secrets` and whatever looks like a token taken out. `None` if
/// nothing is left.
pub(super) fn printable(text: &str, secrets: &[&str]) -> Option<String> {
    printable_within(text, secrets, MAX_CHARS)
}

/// `text` on one line, at most `max_chars` long, with each of `secrets` and whatever looks like a token taken out. `None` if nothing is
/// left.
pub fn printable_within(text: &str, secrets: &[&str], max_chars: usize) -> Option<String> {
    let text = redact(text, secrets);
    let visible = |c: char| if is_unprintable(c) { ' ' } else { c };
    let text: String = text.chars().map(visible).collect();
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => Some(format!("{}...", &text[..end])),
        None => Some(text.to_owned()),
    }
}

/// What an answer's body says: the `error_description`, `error` or `message` of a JSON object, else the start of the text.
pub(super) fn describe_body(body: &[u8], secrets: &[&str]) -> Option<String> {
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) {
        let said =
            ["error_description", "error", "message"]
                .into_iter()
                .find_map(|key| match object.get(key)?.as_str() {
                    Some(text) => printable(text, secrets),
                    None => None,
                });
        if said.is_some() {
            return said;
        }
    }
    printable(&String::from_utf8_lossy(body), secrets)
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}

fn redact(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, REDACTED);
        // An echo of our form.
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(&encoded, REDACTED);
    }
    text = redact_token_like(&text);
    for secret in secrets {
        text = redact_beginnings(&text, secret);
    }
    text
}

/// Takes out the word after `Bearer`, and words that begin as a JSON Web Token does.
fn redact_token_like(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_bearer = false;
    while !rest.is_empty() {
        let end = rest.find(|c| !of_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let looks_like_one = word.len() >= 16 && word.starts_with("eyJ");
        let is_nothing = word.is_empty() || word == "redacted";
        if (looks_like_one || after_bearer) && !is_nothing {
            redacted.push_str(REDACTED);
        } else {
            redacted.push_str(word);
        }
        if !word.is_empty() {
            after_bearer = word.eq_ignore_ascii_case("bearer");
        }
        let end = after.find(of_token).unwrap_or(after.len());
        redacted.push_str(&after[..end]);
        rest = &after[end..];
    }
    redacted
}

/// Takes out what begins as `secret` does.
fn redact_beginnings(text: &str, secret: &str) -> String {
    let Some((end, _)) = secret.char_indices().nth(TELLING_PREFIX) else {
        return text.to_owned();
    };
    let needle = &secret[..end];
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(needle) {
        redacted.push_str(&rest[..at]);
        redacted.push_str(REDACTED);
        let same: usize = rest[at..]
            .chars()
            .zip(secret.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        rest = &rest[at + same..];
    }
    redacted.push_str(rest);
    redacted
}

/// Whether a terminal would obey it, or it turns or hides what stands beside it.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn the_description_of_a_json_body_comes_first() {
        let said = |body: &str| describe_body(body.as_bytes(), &[]);
        assert_eq!(
            said(r#"{"error":"e","error_description":"too many","message":"m"}"#).as_deref(),
            Some("too many")
        );
        assert_eq!(
            said(r#"{"message":"m","error":"e","error_description":7}"#).as_deref(),
            Some("e")
        );
        assert_eq!(said(r#"{"message":"m","error_description":" "}"#).as_deref(), Some("m"));
        assert_eq!(said(r#"{"code":7}"#).as_deref(), Some(r#"{"code":7}"#));
        assert_eq!(said("not authorized\r\n").as_deref(), Some("not authorized"));
        assert_eq!(said("\r\n\0"), None);
        assert_eq!(
            describe_body(b"\xff\xfe ok", &[]).as_deref(),
            Some("\u{fffd}\u{fffd} ok")
        );
    }

    #[test]
    fn nothing_in_it_can_move_a_cursor_or_a_line() {
        assert_eq!(
            printable("a\r\nb\x1b[31mc\u{9b}d\u{202e}e\u{7f}", &[]).as_deref(),
            Some("a  b [31mc d e")
        );
    }

    #[test]
    fn a_long_text_is_cut_by_characters() {
        let text = printable(&"ä".repeat(1000), &[]).unwrap();
        assert_eq!(text, format!("{}...", "ä".repeat(MAX_CHARS)));
        assert_eq!(
            printable(&"ä".repeat(MAX_CHARS), &[]).unwrap().chars().count(),
            MAX_CHARS
        );
    }

    #[test]
    fn tokens_are_taken_out_wherever_they_stand() {
        let secret = "p8e-s3cr3t/with+signs=";
        for text in [
            "Authorization: Bearer p8e-s3cr3t/with+signs=",
            "client_secret=p8e-s3cr3t%2Fwith%2Bsigns%3D&x=y",
            "xp8e-s3cr3t/with+signs=x",
            "it was p8e-s3cr3t/wi",
            "bearer something.else.entirely",
            "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln was bad",
        ] {
            let shown = printable(text, &[secret]).unwrap();
            assert!(shown.contains(REDACTED), "{shown}");
            for leak in ["s3cr3t", "eyJ", "something.else"] {
                assert!(!shown.contains(leak), "{shown}");
            }
        }
        assert_eq!(
            printable("token type bearer", &[secret]).as_deref(),
            Some("token type bearer")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_echo_of_a_secret_comes_through(
            secret in "[A-Za-z0-9._-]{9,40}", before in "\\PC{0,40}", after in "\\PC{0,400}", kept in 9..40_usize,
        ) {
            let kept = &secret[..kept.min(secret.len())];
            let shown = printable(&format!("{before}{kept}{after}"), &[&secret]).unwrap_or_default();
            prop_assert!(!shown.contains(&secret[..9]), "{shown}");
            prop_assert!(shown.chars().count() <= MAX_CHARS + 3);
        }
    }
}
