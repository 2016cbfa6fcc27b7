//! Accepting connections, and answering requests: which path leads where.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::admin;
use super::attempt::{Attempt, HOP, attempt};
use super::faults::TokenFault;
use super::http::{Answer, Request, Unreadable};
use super::ledger_entries::TokenFetch;
use super::settings::Api2;
use super::socket::Socket;
use super::world::World;

/// The most connections that are open at once; further ones wait in the listener's queue.
const MOST_CONNECTIONS: usize = 1_024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long connections may take to end when the simulator stops.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// One place that is listened on.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    pub(super) number: usize,
    pub(super) tls: Option<TlsAcceptor>,
}

/// Accepts connections until the simulator stops, then ends the open ones.
pub(super) async fn accept(world: Arc<World>, listening: Listening) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = world.stopping() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the simulator failed");
                }
                continue;
            }
            accepted = accept_one(&listening.listener, &room) => accepted,
        };
        match accepted {
            Ok((tcp, peer, permit)) => {
                let at = world.ledger.now();
                let (world, tls, number) = (Arc::clone(&world), listening.tls.clone(), listening.number);
                connections.spawn(async move {
                    serve(&world, number, tcp, tls, peer, at).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors, as a rule: connections that end make room.
                tracing::warn!(%error, "the simulator cannot accept");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listening.listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_WAIT, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept_one(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (tcp, peer) = listener.accept().await?;
    Ok((tcp, peer, permit))
}

async fn serve(
    world: &World,
    listener: usize,
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    peer: SocketAddr,
    at: Duration,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let socket = match tls {
        None => Socket::Plain(tcp),
        Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => Socket::Tls(Box::new(tls)),
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "the TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
        },
    };
    tracing::debug!(%peer, "connected");
    answer(world, listener, socket, at).await;
}

/// Answers the one request of a connection that was accepted at this time.
pub(super) async fn answer(world: &World, listener: usize, mut socket: Socket, at: Duration) {
    let request = tokio::select! {
        biased;
        () = world.stopping() => return,
        request = Request::read(&mut socket) => request,
    };
    let request = match request {
        Ok(request) => request,
        Err(Unreadable::Nobody) => return tracing::debug!("a connection without a request"),
        Err(Unreadable::Status(status)) => return Answer::error(status, "unreadable request").send(socket).await,
    };
    tracing::debug!(method = request.method, path = request.path, "request");
    route(world, listener, request, socket, at).await;
}

async fn route(world: &World, listener: usize, mut request: Request, mut socket: Socket, at: Duration) {
    let mut ticket = None;
    if let Some((number, path)) = request.path.strip_prefix(HOP).and_then(|rest| rest.split_once('/')) {
        ticket = number.parse().ok().and_then(|number| world.use_ticket(number));
        request.path = format!("/{path}");
    }
    let path = request.path.clone();
    let stream = ["/api/1/stream/", "/api/2/stream/"]
        .iter()
        .find_map(|api| path.strip_prefix(api));
    if let Some(name) = stream {
        return attempt(
            world,
            Attempt {
                listener,
                name,
                request: &request,
                ticket,
                at,
            },
            socket,
        )
        .await;
    }
    let answer = if path == "/ims/token/v3" {
        match token(world, &mut request, &mut socket, at).await {
            Some(answer) => answer,
            None => return,
        }
    } else if let Some(name) = path.strip_prefix("/api/2/enable/") {
        enable(world, &request, name)
    } else if path == "/api/1/schema" {
        Answer::json(200, &schema())
    } else if path == "/_sim" || path.starts_with("/_sim/") {
        return admin::serve(world, request, socket).await;
    } else {
        Answer::error(404, "no such place")
    };
    answer.send(socket).await;
}

async fn token(world: &World, request: &mut Request, socket: &mut Socket, at: Duration) -> Option<Answer> {
    let fault = world.tokens.next_fault();
    let body = match request.body(socket).await {
        Ok(body) => body,
        Err(Unreadable::Nobody) => return None,
        Err(Unreadable::Status(status)) => return Some(Answer::error(status, "unreadable body")),
    };
    let answer = match fault {
        Some(TokenFault::HangUp) => {
            world.ledger.token_asked(TokenFetch { at, status: None }).await;
            return None;
        }
        Some(TokenFault::Status { code, retry_after }) => {
            Answer::error(code, "simulated trouble of the token endpoint").retry_after(retry_after)
        }
        Some(TokenFault::Garbage) => Answer::text(200, "<html>please sign in</html>"),
        Some(TokenFault::Slow(pause)) => {
            tokio::select! {
                biased;
                () = world.stopping() => return None,
                _ = socket.gone() => return None,
                () = sleep(pause) => world.tokens.answer(&body, world.ledger.now()),
            }
        }
        None if request.method != "POST" => Answer::error(405, "POST only"),
        None => world.tokens.answer(&body, at),
    };
    world
        .ledger
        .token_asked(TokenFetch {
            at,
            status: Some(answer.status),
        })
        .await;
    Some(answer)
}

fn enable(world: &World, request: &Request, name: &str) -> Answer {
    let now = world.ledger.now();
    if request.method != "GET" {
        return Answer::error(405, "GET only");
    }
    let (seen, _) = world.tokens.check(request.header("authorization"), now);
    if world.tokens.is_refused(seen) {
        return Answer::text(401, "not authorized");
    }
    let Ok(stream) = world.stream(name) else {
        return Answer::error(404, "no such endpoint");
    };
    let delay = match stream.settings.api2 {
        Api2::Enabled => Duration::ZERO,
        Api2::AfterEnable(delay) => delay,
    };
    stream.state().enabled_at.get_or_insert(now + delay);
    Answer::json(
        200,
        &serde_json::json!({ "enabled": name, "available_after_seconds": delay.as_secs() }),
    )
}

fn schema() -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "properties": {
            "hitIdHigh": { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            "hitIdLow": { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            "receivedTimeGMT": { "type": "integer" },
            "reportSuite": { "type": "string" },
        },
    })
}
