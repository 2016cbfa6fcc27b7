//! One attempt, redirects included: to an open stream, or to the reason why there is none (protocol notes, sections 1 to 4).
//!
//! The service has been *reached* from the moment when the first request byte may have gone out: so a connect that fails on the
//! first hop is [`Unreached`], and everything after that is not.

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use http::response::Parts;
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use super::answer::{self, BODY_LIMIT, Coding};
use super::body::{Body, Framing};
use super::connector::{Connector, Target, Transport};
use super::exchange::{Link, exchange};
use super::printable::printable;
use super::redirect::{RedirectRefused, Trust, follow, is_redirect};
use super::request::StreamRequest;
use crate::lifecycle::{Lost, Refusal, Unreached};

/// What the service answered.
#[derive(Debug)]
pub enum Answer<Io: Transport> {
    /// 200: the stream is open.
    Streaming(Box<Body<Io>>),
    /// Anything else but a redirect.
    Refused(Refusal),
}

/// Why there is no answer that we can use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AttemptError {
    /// Nothing was left behind upstream.
    #[error("{}", .0.0)]
    Unreached(Unreached),
    /// The service was, or may have been, reached.
    #[error("{0}")]
    Lost(Lost),
}

impl From<Lost> for AttemptError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// Connects, asks, and follows redirects. Each connect, each wait for a response head and the reading of a refusal's body may
/// take the stream's `connect_timeout`. Dropping the future closes the socket.
///
/// # Errors
/// See [`AttemptError`].
pub async fn open<C: Connector>(connector: &C, request: &StreamRequest) -> Result<Answer<C::Io>, AttemptError> {
    let mut visited = vec![request.url.clone()];
    let mut url = request.url.clone();
    loop {
        let (head, link) = one_hop(connector, request, &url, visited.len() == 1).await?;
        if head.status.as_u16() == 200 {
            return Ok(Answer::Streaming(Box::new(stream(
                &head,
                link,
                request.max_record_bytes,
            )?)));
        }
        if !is_redirect(head.status.as_u16()) {
            return Ok(Answer::Refused(refusal(&head, link, request).await));
        }
        drop(link);
        url = next_hop(&head, &visited, request).map_err(|refused| Lost::RedirectRefused(refused.to_string()))?;
        debug!(status = head.status.as_u16(), host = url.host_str(), "redirected");
        visited.push(url.clone());
    }
}

/// Connects to `url`, sends the request and waits for the response head.
async fn one_hop<C: Connector>(
    connector: &C,
    request: &StreamRequest,
    url: &Url,
    first: bool,
) -> Result<(Parts, Link<C::Io>), AttemptError> {
    let not_connected = |why: String| {
        if first {
            AttemptError::Unreached(Unreached(why))
        } else {
            Lost::RedirectHop(why).into()
        }
    };
    let (Some(target), Some(message)) = (Target::of(url), request.to(url)) else {
        return Err(not_connected(format!(
            "{} cannot be asked for over HTTP",
            url.host_str().unwrap_or_default()
        )));
    };
    let io = match timeout(
        request.connect_timeout,
        connector.connect(&target, request.connect_timeout),
    )
    .await
    {
        Ok(Ok(io)) => io,
        Ok(Err(error)) => return Err(not_connected(error.to_string())),
        Err(_) => {
            return Err(not_connected(format!(
                "{target}: no connection within {:?}",
                request.connect_timeout
            )));
        }
    };
    match timeout(request.connect_timeout, exchange(io, message)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(Lost::Broken(why).into()),
        Err(_) => Err(Lost::HeadTimeout.into()),
    }
}

fn next_hop(head: &Parts, visited: &[Url], request: &StreamRequest) -> Result<Url, RedirectRefused> {
    let mut locations = head.headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else {
        return Err(RedirectRefused::NotOneLocation(
            head.headers.get_all(LOCATION).iter().count(),
        ));
    };
    follow(
        visited,
        location.as_bytes(),
        Trust {
            home: &request.url,
            hosts: &request.trusted_hosts,
        },
    )
}

/// The body of a 200, if we can read it.
fn stream<Io: Transport>(head: &Parts, link: Link<Io>, max_record_bytes: usize) -> Result<Body<Io>, Lost> {
    let unreadable = |what: &str, name: &str| {
        let name = printable(name, &[]).unwrap_or_default();
        Lost::Unreadable(format!("the {what} {name:?} is none that we read"))
    };
    match answer::coding(&head.headers).map_err(|name| unreadable("content coding", &name))? {
        Coding::Gzip => {}
        // The service compresses always (protocol notes, section 2).
        Coding::Identity => {
            let why = "the answer is not compressed: probably not from the service but from a proxy in between";
            return Err(Lost::Unreadable(why.to_owned()));
        }
    }
    let transfer = answer::listed(head.headers.get_all(TRANSFER_ENCODING));
    let framing = match &transfer[..] {
        [] if head.headers.contains_key(CONTENT_LENGTH) => Framing::Length,
        [] => Framing::UntilClose,
        [one] if one == "chunked" => Framing::Chunked,
        others => return Err(unreadable("transfer coding", &others.join(", "))),
    };
    Ok(Body::new(link, framing, max_record_bytes))
}

/// Reads what a refusal says; its status counts even if the rest never comes.
async fn refusal<Io: Transport>(head: &Parts, mut link: Link<Io>, request: &StreamRequest) -> Refusal {
    let mut body = Vec::new();
    // Cut off, too long or too late: what came is still worth showing.
    let _ = timeout(request.connect_timeout, link.read_into(&mut body, BODY_LIMIT)).await;
    let secrets = [request.token.expose()];
    answer::refusal(head.status.as_u16(), &head.headers, &body, &secrets, SystemTime::now())
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
