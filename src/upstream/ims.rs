//! One fetch of an access token (protocol notes, section 7).
//!
//! The secret goes to the token endpoint only: over https, or plain http to a loopback host, and no redirect is followed with it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::answer::retry_after;
use super::connector::{Connector, Target};
use super::exchange::exchange;
use super::printable::{describe_body, printable};
use super::request::{OUR_NAME, host_of, origin_form};
use crate::lifecycle::TokenFailure;
use crate::settings::is_loopback;

/// A longer answer is refused: a token is a few KB.
const ANSWER_LIMIT: usize = 64 * 1024;

/// A longer lifetime is taken for this one: 24 h is the rule, and fetching once a day costs nothing.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

/// What to fetch, and with what.
pub(super) struct TokenRequest<'a> {
    pub(super) url: &'a Url,
    pub(super) client_id: &'a str,
    pub(super) secret: &'a SecretString,
    pub(super) scopes: &'a [String],
    /// For the connect, and again for the answer.
    pub(super) limit: Duration,
}

/// What was granted.
pub(super) struct Granted {
    pub(super) token: SecretString,
    pub(super) lifetime: Duration,
}

/// Why nothing was, and how long we were asked to wait.
pub(super) struct NotGranted {
    pub(super) failure: TokenFailure,
    pub(super) retry_after: Option<Duration>,
}

impl From<TokenFailure> for NotGranted {
    fn from(failure: TokenFailure) -> Self {
        Self {
            failure,
            retry_after: None,
        }
    }
}

/// Fetches a token.
pub(super) async fn fetch<C: Connector>(connector: &C, request: &TokenRequest<'_>) -> Result<Granted, NotGranted> {
    let (target, message) = prepare(request)?;
    let unavailable =
        |why: String| TokenFailure::Unavailable(printable(&why, &[request.secret.expose_secret()]).unwrap_or_default());
    let late = |_| TokenFailure::Unavailable(format!("{target}: no answer within {:?}", request.limit));

    let io = timeout(request.limit, connector.connect(&target, request.limit))
        .await
        .map_err(late)?;
    let io = io.map_err(|error| unavailable(error.to_string()))?;
    let answered = timeout(request.limit, async {
        let (head, mut link) = exchange(io, message).await?;
        let mut body = Vec::new();
        let whole = link
            .read_into(&mut body, ANSWER_LIMIT)
            .await
            .map_err(|reason| reason.to_string())?;
        Ok((head, body, whole))
    });
    let (head, body, whole) = answered
        .await
        .map_err(late)?
        .map_err(|why: String| unavailable(format!("{target}: {why}")))?;

    let status = head.status.as_u16();
    if status == 200 {
        let granted = if whole {
            read_grant(&body)
        } else {
            Err("the answer is longer than 64 KiB".to_owned())
        };
        return granted.map_err(|why| refused(format!("{target} answered 200, but {why}"), None).into());
    }
    let wait = retry_after(&head.headers, SystemTime::now());
    let said = describe_body(&body, &[request.secret.expose_secret()]);
    let mut words = format!("{target} answered {status}");
    if head.status.is_redirection() {
        words.push_str(", a redirect, which is not followed with a secret: set token_url to where it leads");
    } else if let Some(said) = said {
        words = format!("{words}: {said}");
    }
    let failure = match status {
        408 | 425 | 429 | 500..=599 => TokenFailure::Unavailable(words),
        _ => refused(words, wait),
    };
    Err(NotGranted {
        failure,
        retry_after: wait,
    })
}

fn refused(description: String, retry_after: Option<Duration>) -> TokenFailure {
    TokenFailure::Refused {
        description,
        retry_after,
    }
}

/// The POST, and where it goes.
fn prepare(request: &TokenRequest<'_>) -> Result<(Target, Request<Full<Bytes>>), TokenFailure> {
    let url = request.url;
    let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    let (true, Some(target), Some(host), Some(uri)) = (safe, Target::of(url), host_of(url), origin_form(url)) else {
        let host = url.host_str().unwrap_or_default();
        return Err(refused(
            format!("token_url on {host:?} is not https, so the secret is not sent there"),
            None,
        ));
    };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", request.client_id)
        .append_pair("client_secret", request.secret.expose_secret())
        .append_pair("scope", &request.scopes.join(","))
        .finish();
    let mut message = Request::new(Full::from(form));
    *message.method_mut() = Method::POST;
    *message.uri_mut() = uri;
    let headers = message.headers_mut();
    headers.insert(HOST, host);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    headers.insert(USER_AGENT, OUR_NAME);
    Ok((target, message))
}

/// Reads a grant; or says what is wrong with it, in our own words: nothing of it is repeated, a token may be in it.
fn read_grant(body: &[u8]) -> Result<Granted, String> {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return Err("not with a JSON object".to_owned());
    };
    let token = match answer.get("access_token") {
        Some(Value::String(token)) if is_sendable(token) => SecretString::from(token.clone()),
        Some(Value::String(token)) if token.is_empty() => return Err("its access_token is empty".to_owned()),
        Some(Value::String(_)) => return Err("its access_token has characters that no header may hold".to_owned()),
        Some(_) => return Err("its access_token is not text".to_owned()),
        None => return Err("without an access_token".to_owned()),
    };
    let kind = answer.get("token_type");
    if kind.is_some_and(|kind| !kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"))) {
        return Err("its token_type is not bearer".to_owned());
    }
    let lifetime = match answer.get("expires_in") {
        Some(Value::Number(seconds)) => seconds.as_f64().filter(|seconds| *seconds >= 1.0),
        Some(_) => return Err("its expires_in is not a number".to_owned()),
        None => return Err("without expires_in".to_owned()),
    };
    let Some(seconds) = lifetime else {
        return Err("its expires_in is less than one second".to_owned());
    };
    let lifetime = Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64()));
    Ok(Granted { token, lifetime })
}

/// Whether a token can stand in a header as one word.
pub(super) fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
