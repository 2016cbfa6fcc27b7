//! What it means when a proxy gives no way, in words that say what to mend. Pure. Promise: no credentials in them.

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretString};

use super::super::connector::Target;
use super::super::printable::printable;
use super::answer::Refused;
use super::request::encoded;
use crate::settings::{Proxy, ProxyScheme, SecretSource};

/// A TLS record of a handshake or an alert begins so.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

/// The proxy answered, and not with a way.
pub(super) fn describe(
    refused: &Refused,
    proxy: &Proxy,
    target: &Target,
    credentials: Option<&SecretString>,
) -> String {
    let address = proxy.address();
    let said = said(refused, credentials);
    match refused.status {
        // 401 is wrong of a proxy, and tinyproxy says so to wrong credentials.
        401 | 407 if !takes_basic(refused) => {
            let schemes = shown(&refused.schemes.join(", "), credentials);
            format!(
                "the proxy {address} wants {schemes} ({said}), and livestreamd knows basic authentication only: have that, or this \
                 machine, allowed there"
            )
        }
        401 | 407 => match &proxy.credentials {
            None => format!("the proxy {address} wants credentials ({said}): set upstream.proxy_credentials_file"),
            Some(SecretSource::File(path)) => {
                format!(
                    "the proxy {address} refuses the credentials in {} ({said}): correct them",
                    path.display()
                )
            }
            Some(SecretSource::Inline(_)) => {
                format!("the proxy {address} refuses the user and password in its URL ({said}): correct them")
            }
        },
        403 => format!("the proxy {address} does not let us connect to {target} ({said}): have it allowed there"),
        405 | 501 => format!("the proxy {address} does not know CONNECT ({said}): is it an HTTP proxy?"),
        500 | 502..=504 => {
            format!("the proxy {address} cannot reach {target} ({said}): see why there, it looks up the name itself")
        }
        _ => format!("the proxy {address} refuses to connect to {target} ({said}): ask who runs it"),
    }
}

/// What answered is not an HTTP proxy.
pub(super) fn not_http(proxy: &Proxy, received: &[u8]) -> String {
    let mut text = format!("{} does not answer as an HTTP proxy", proxy.address());
    let speaks_tls = received.first().is_some_and(|byte| TLS_RECORDS.contains(byte));
    if speaks_tls && proxy.scheme == ProxyScheme::Http {
        text.push_str(": it speaks TLS, so write https:// for it");
    } else {
        text.push_str(": see to the host and port of the proxy");
    }
    text
}

/// It went away, in the middle of its answer or before.
pub(super) fn closed(proxy: &Proxy, has_begun: bool) -> String {
    let when = if has_begun {
        "in the middle of its answer"
    } else {
        "without an answer"
    };
    format!(
        "the proxy {} closed the connection {when}: see to the host and port of the proxy, or ask who runs it",
        proxy.address()
    )
}

/// Its head has no end.
pub(super) fn endless(proxy: &Proxy) -> String {
    format!(
        "{} does not answer as an HTTP proxy: the head of its answer has no end",
        proxy.address()
    )
}

/// Without any challenge there is nothing better to try than basic.
fn takes_basic(refused: &Refused) -> bool {
    refused.schemes.is_empty()
        || refused
            .schemes
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case("basic"))
}

/// Status and words.
fn said(refused: &Refused, credentials: Option<&SecretString>) -> String {
    let mut text = refused.status.to_string();
    let words = shown(&refused.reason, credentials);
    if !words.is_empty() {
        let _ = write!(text, " {words}");
    }
    text
}

/// Words of the proxy, without our credentials.
fn shown(words: &str, credentials: Option<&SecretString>) -> String {
    let Some(credentials) = credentials else {
        return printable(words, &[]).unwrap_or_default();
    };
    let both = credentials.expose_secret();
    let password = both.split_once(':').map_or(both, |(_, password)| password);
    printable(words, &[both, password, &encoded(credentials)]).unwrap_or_default()
}
