//! Who may ask for what: first by which name the server was asked for, then with which token. Pure.
//!
//! A web page of a stranger can let a name of its own point to 127.0.0.1, and then read what a browser on this machine can ask for (DNS
//! rebinding). It cannot change the Host header, which holds that name; so we answer to our own names only.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::settings::{AdminSettings, SecretError, canonical_host};

/// What probes ask for. These answer without a token too, and then say nothing but yes or no.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Who is let in.
pub(super) struct Access {
    token: Option<Token>,
    hosts: BTreeSet<String>,
}

/// The SHA-256 of a token: all of the same length, so that a comparison tells nothing of the token's. What somebody shows is compared in
/// constant time; `==` is for tokens of our own.
#[derive(PartialEq, Eq)]
struct Token([u8; 32]);

/// At which of our ends a connection came in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reached {
    /// At this address of ours.
    Tcp(IpAddr),
    /// At the socket in the file system, which has no name that anybody could fake.
    Unix,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// One who may see everything.
    Known,
    /// One without the token, who is told yes or no.
    Stranger,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no Host header, more than one, or one that is no host.
    #[error("the request must have one Host header, with a host in it")]
    BadHost,
    /// It is not one of our names.
    #[error("this server does not go by the name in the Host header; add the name to admin.hosts if it should")]
    ForeignHost,
    /// There is no token, or a wrong one.
    #[error(
        "a token is needed: send \"Authorization: Bearer TOKEN\", or the token as the password of any user; it is what admin.token or \
         admin.token_file holds"
    )]
    NoToken,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Access {
    /// Reads the token; blocks for as long as the file system does.
    pub(super) fn new(settings: &AdminSettings) -> Result<Self, SecretError> {
        let token = match &settings.token {
            Some(source) => Some(Token::of(source.read()?.expose_secret().as_bytes())),
            None => None,
        };
        Ok(Self {
            token,
            hosts: settings.hosts.iter().cloned().collect(),
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request is answered, and as whose.
    pub(super) fn judge(&self, request: &Parts, reached: Reached) -> Result<Caller, Refusal> {
        let host = only(&request.headers, &HOST).ok_or(Refusal::BadHost)?;
        let host = host.to_str().map_err(|_| Refusal::BadHost)?;
        // A target that is a whole URL names a host of its own, which counts as well.
        let of_target = request.uri.authority().map(http::uri::Authority::as_str);
        for host in [host].into_iter().chain(of_target) {
            let host = without_port(host).and_then(canonical_host).ok_or(Refusal::BadHost)?;
            if !self.is_ours(&host, reached) {
                return Err(Refusal::ForeignHost);
            }
        }
        let Some(token) = &self.token else {
            return Ok(Caller::Known);
        };
        if given(&request.headers).is_some_and(|given| token.is(&given)) {
            Ok(Caller::Known)
        } else if OPEN.contains(&request.uri.path()) {
            Ok(Caller::Stranger)
        } else {
            Err(Refusal::NoToken)
        }
    }

    fn is_ours(&self, host: &str, reached: Reached) -> bool {
        let Reached::Tcp(reached) = reached else { return true };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let by_address = address.is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || address == reached.to_canonical()
        });
        host == "localhost" || by_address || self.hosts.contains(host)
    }
}

impl Token {
    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    fn is(&self, given: &[u8]) -> bool {
        Self::of(given).0.ct_eq(&self.0).into()
    }
}

/// The only header of that name.
fn only<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// The token that a request shows: as bearer, or as the password of whichever user.
fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let header = only(headers, &AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

/// The host of `host:port`, where the port may be left out.
fn without_port(text: &str) -> Option<&str> {
    let end = match text.strip_prefix('[') {
        Some(_) => text.find(']')? + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let is_port = port.is_empty() || port.strip_prefix(':')?.bytes().all(|b| b.is_ascii_digit());
    is_port.then_some(host)
}

/// The [`Access`] that holds now.
pub(super) struct AccessCell {
    access: RwLock<Arc<Access>>,
    /// How many tokens there were.
    tokens: watch::Sender<u64>,
}

impl AccessCell {
    pub(super) fn new(access: Access) -> Self {
        Self {
            access: RwLock::new(Arc::new(access)),
            tokens: watch::Sender::new(0),
        }
    }

    pub(super) fn now(&self) -> Arc<Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, access: Access) {
        let access = Arc::new(access);
        let before = {
            let mut now = self.access.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, access.clone())
        };
        if before.token != access.token {
            self.tokens.send_modify(|tokens| *tokens += 1);
        }
    }

    /// Changes when there is another token, or none any more: who was let in by the last one is to ask again.
    pub(super) fn tokens(&self) -> watch::Receiver<u64> {
        self.tokens.subscribe()
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
