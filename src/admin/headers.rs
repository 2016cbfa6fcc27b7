//! What browsers are told not to do with our answers, in every one of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

/// What no answer may do: load, run or send anything, or be framed by others.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Puts the strict headers in. A policy that is there stays.
pub(super) fn make_strict(headers: &mut HeaderMap) {
    let all = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(NOTHING));
}

/// Sets the policy of one answer.
pub(super) fn set_policy(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
}

/// The policy of a page of our own: the scripts and styles that stand in it, by their hashes, and asking us.
pub(super) fn page_policy(html: &str) -> HeaderValue {
    let sources = |element| {
        let hashes: Vec<String> = contents(html, element).map(hash).collect();
        if hashes.is_empty() {
            "'none'".to_owned()
        } else {
            hashes.join(" ")
        }
    };
    let policy = format!(
        "{NOTHING}; script-src {}; style-src {}; img-src 'self' data:; connect-src 'self'",
        sources("script"),
        sources("style")
    );
    // Base64 and words of ours: it is one.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(NOTHING))
}

fn hash(content: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))
}

/// What stands in each element of this name, in HTML that we wrote ourselves: names in lower case, and no such words in comments.
fn contents<'h>(html: &'h str, element: &str) -> impl Iterator<Item = &'h str> {
    let (opens, closes) = (format!("<{element}"), format!("</{element}>"));
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, behind) = rest.split_once(&opens)?;
        let (_, behind) = behind.split_once('>')?;
        let (content, behind) = behind.split_once(&closes)?;
        rest = behind;
        Some(content)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_and_style_of_a_page_is_allowed_by_its_hash_and_nothing_else() {
        let html = "<style>a{}</style><script>1</script><p>x</p><script type=\"module\">2</script>";
        let policy = page_policy(html);
        let policy = policy.to_str().unwrap();
        // printf 1 | openssl dgst -sha256 -binary | base64, and so on.
        let scripts = "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=' \
                       'sha256-1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU='; ";
        assert!(policy.contains(scripts), "{policy}");
        assert!(policy.contains(&format!("style-src {}; ", hash("a{}"))), "{policy}");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_page_without_scripts_may_run_none() {
        let policy = page_policy("<p>x</p>");
        assert!(policy.to_str().unwrap().contains("script-src 'none'; style-src 'none'"));
    }
}
