//! Connections: each is served by a task of its own, so many at once and no more, and none for longer than it may dawdle.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::access::{AccessCell, Reached};
use super::listen::{Bound, SocketFile};
use super::shown::Showcase;
use super::slow::Impatient;
use super::{LONGEST_END, headers, routes};
use crate::status::Board;

/// What clients may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many connections are served at once; further ones wait in the system's queue.
    pub(super) connections: usize,
    /// So many readers may follow `/events` at once: fewer than connections, so that they leave room for probes.
    pub(super) followers: usize,
    /// How long a request's head may take, and how long a connection may be idle between two requests.
    pub(super) head: Duration,
    /// How long what was asked for may take to be read, from when the system takes no more of it.
    pub(super) write: Duration,
    /// After so long without an event a follower is sent a comment, so that both sides, and proxies between them, know that the other is
    /// there.
    pub(super) keep_alive: Duration,
}

/// A page has one or two connections, a probe one.
pub(super) const LIMITS: Limits = Limits {
    connections: 64,
    followers: 16,
    head: Duration::from_secs(10),
    write: Duration::from_secs(60),
    keep_alive: Duration::from_secs(15),
};

/// How large a request's head may be, in bytes. A browser's, with cookies of other programs on this host, has some KB.
const LARGEST_HEAD: usize = 32 * 1024;
/// How many headers it may have.
const MOST_HEADERS: usize = 100;
/// How long nothing is accepted after the system refused a connection for want of something, such as file descriptors. There is nothing
/// that would wake us.
const PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(super) struct Shared {
    pub(super) board: Board,
    pub(super) showcase: Showcase,
    pub(super) followers: Arc<Semaphore>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) limits: Limits,
    pub(super) access: Arc<AccessCell>,
}

impl Shared {
    pub(super) fn new(
        board: Board,
        access: Arc<AccessCell>,
        stopping: watch::Receiver<bool>,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            showcase: Showcase::new(board.clone()),
            board,
            followers: Arc::new(Semaphore::new(limits.followers)),
            stopping,
            limits,
            access,
        })
    }
}

/// A listener of this runtime's.
enum Socket {
    Tcp(tokio::net::TcpListener),
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "goes with the listener")] SocketFile,
    ),
}

impl Socket {
    /// Must be called within a runtime.
    fn of(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener, _) => Self::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Bound::Unix(listener, file) => Self::Unix(tokio::net::UnixListener::from_std(listener)?, file),
        })
    }
}

/// A connection that came in.
enum Visitor {
    Tcp(tokio::net::TcpStream, Reached),
    Unix(tokio::net::UnixStream),
}

/// Serves until the end is asked for; then connections have a moment to finish. Tells by `started` whether it could begin.
pub(super) async fn serve(bound: Bound, shared: Arc<Shared>, started: oneshot::Sender<io::Result<()>>) {
    let socket = match Socket::of(bound) {
        Ok(socket) => socket,
        Err(error) => return drop(started.send(Err(error))),
    };
    if started.send(Ok(())).is_err() {
        return;
    }
    let router = routes::router(shared.clone());
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    loop {
        let (place, visitor) = tokio::select! {
            // A sender that is gone asks for the end too.
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = accept(&socket, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (router, shared) = (router.clone(), shared.clone());
        match visitor {
            Visitor::Tcp(stream, reached) => connections.spawn(connection(stream, reached, router, shared, place)),
            Visitor::Unix(stream) => connections.spawn(connection(stream, Reached::Unix, router, shared, place)),
        };
    }
    drop(socket);
    let finish = async { while connections.join_next().await.is_some() {} };
    // Whoever takes longer is cut off when the runtime goes.
    let _ = tokio::time::timeout(LONGEST_END, finish).await;
}

/// Waits for a free place, then for a connection.
async fn accept(socket: &Socket, places: &Arc<Semaphore>) -> (OwnedSemaphorePermit, Visitor) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // It is never closed.
            std::future::pending().await
        };
        let accepted = match socket {
            Socket::Tcp(listener) => listener.accept().await.and_then(|(stream, _)| {
                // What is written is whole, and somebody waits for it.
                stream.set_nodelay(true)?;
                let reached = Reached::Tcp(stream.local_addr()?.ip());
                Ok(Visitor::Tcp(stream, reached))
            }),
            Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Visitor::Unix(stream)),
        };
        match accepted {
            Ok(visitor) => return (place, visitor),
            // The client went away before we looked.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    reached: Reached,
    router: Router,
    shared: Arc<Shared>,
    _place: OwnedSemaphorePermit,
) {
    let mut stopping = shared.stopping.clone();
    let service = hyper::service::service_fn(|request| {
        let (router, shared) = (router.clone(), shared.clone());
        async move { Ok::<_, Infallible>(answer(request, reached, router, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Impatient::new(stream, shared.limits.write)), service);
    tokio::pin!(connection);
    // How a connection ended is its client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Answers a request, or refuses to. No body of a request is ever read.
async fn answer(request: Request<Incoming>, reached: Reached, mut router: Router, shared: &Shared) -> Response {
    let (mut parts, _body) = request.into_parts();
    let mut response = match shared.access.now().judge(&parts, reached) {
        Ok(caller) => {
            parts.extensions.insert(caller);
            let answered: Result<Response, Infallible> = router.call(Request::from_parts(parts, Body::empty())).await;
            match answered {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Err(refusal) => routes::refused(refusal),
    };
    headers::make_strict(response.headers_mut());
    response
}
