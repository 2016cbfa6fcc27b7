//! One request and its answer on one socket, driven by whoever reads it.
//!
//! hyper's connection future and the answer's body are polled in the same task. So nothing is read from the socket unless it is
//! asked for here, and dropping a [`Link`] closes the socket there and then.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, response};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::activity::{Activity, SocketEnd, Watched};
use super::connector::Transport;
use super::printable::chain;
use super::tcp_socket::Wakeups;
use crate::lifecycle::EndReason;

/// The most that is read at once, and the longest response head.
const READ_BUFFER: usize = 64 * 1024;

/// The most headers of an answer. hyper's own default, but a promise of ours: a head is bounded in both ways.
const MOST_HEADERS: usize = 100;

/// An answer's body, and the connection that brings it.
pub(super) struct Link<Io: Transport> {
    /// `None` once it is over; dropping it closes the socket.
    connection: Option<Connection<TokioIo<Watched<Io>>, Full<Bytes>>>,
    incoming: Incoming,
    activity: Activity,
    wakeups: Wakeups,
    /// While it lives hyper expects that more may be asked, and leaves the connection alone.
    _sender: SendRequest<Full<Bytes>>,
}

/// Sends `request` on `io` and waits for the response head.
///
/// # Errors
/// The connection broke, or what came was not HTTP, before the head was whole: why.
pub(super) async fn exchange<Io: Transport>(
    io: Io,
    request: Request<Full<Bytes>>,
) -> Result<(response::Parts, Link<Io>), String> {
    let wakeups = io.wakeups();
    let (watched, activity) = Watched::new(io);
    let (mut sender, connection) = Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(watched))
        .await
        .map_err(|error| chain(&error))?;
    let mut connection = Some(connection);
    let mut response = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        poll_connection(&mut connection, cx);
        response.as_mut().poll(cx)
    })
    .await
    .map_err(|error| match activity.socket_end() {
        Some(SocketEnd::Failed(why)) => why,
        Some(SocketEnd::Eof) => "the connection was closed before the response head was whole".to_owned(),
        None => chain(&error),
    })?;
    let (head, incoming) = response.into_parts();
    Ok((
        head,
        Link {
            connection,
            incoming,
            activity,
            wakeups,
            _sender: sender,
        },
    ))
}

impl<Io: Transport> Link<Io> {
    pub(super) const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Whether what comes wakes who waits for it.
    pub(super) const fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// The next bytes of the body; `None` when the framing says that it is complete.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EndReason>>> {
        loop {
            poll_connection(&mut self.connection, cx);
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    // Trailers: they mean nothing to us.
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.why_it_failed(&error)))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Closes the socket, at once. What was already read can still be had.
    pub(super) fn close(&mut self) {
        self.connection = None;
    }

    /// Reads the body into `body`, up to `limit` bytes in all. Whether that was all of it.
    ///
    /// # Errors
    /// The body broke off; what came before is in `body`.
    pub(super) async fn read_into(&mut self, body: &mut Vec<u8>, limit: usize) -> Result<bool, EndReason> {
        while let Some(bytes) = poll_fn(|cx| self.poll_frame(cx)).await.transpose()? {
            let room = limit.saturating_sub(body.len());
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The socket's own end says more than hyper's error, whose wording and kinds are not promised.
    fn why_it_failed(&self, error: &hyper::Error) -> EndReason {
        match self.activity.socket_end() {
            Some(SocketEnd::Failed(why)) => EndReason::Reset(why),
            Some(SocketEnd::Eof) => EndReason::Cut,
            None => EndReason::CorruptFraming(chain(error)),
        }
    }
}

/// Lets the connection work. Its outcome reaches the response or the body by itself.
fn poll_connection<Io: Transport>(
    connection: &mut Option<Connection<TokioIo<Watched<Io>>, Full<Bytes>>>,
    cx: &mut Context<'_>,
) {
    if let Some(running) = connection
        && Pin::new(running).poll(cx).is_ready()
    {
        *connection = None;
    }
}
