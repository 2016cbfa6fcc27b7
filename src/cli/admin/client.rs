//! Asks an admin server one thing, within limits: whatever listens there, it takes neither long nor much memory to find out.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Place;
use super::address::Address;
use super::document::{self, Document};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the whole answer may take after that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read. 200 streams with eight connections each make a quarter of it.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why there is no answer that can be used. Each says what was tried, and what to do.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum AskError {
    /// Nobody is there.
    #[error("no daemon answers at {address}: {source} (is it running, and is this its admin.listen?)")]
    Unreachable {
        /// Where.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// It takes too long.
    #[error("{address} has not answered within {} s (is the daemon stuck, or is something else there?)", ANSWER_TIMEOUT.as_secs())]
    Slow {
        /// Where.
        address: Address,
    },
    /// It wants another token, or one at all.
    #[error(
        "the admin server at {address} refuses {what} ({}): give admin.token by --token-file FILE or {}",
        status.as_u16(), super::TOKEN_VARIABLE
    )]
    Refused {
        /// Where.
        address: Address,
        /// What it refuses.
        what: &'static str,
        /// With what status.
        status: StatusCode,
    },
    /// It is asked by a name that it does not know.
    #[error("the admin server at {address} does not go by this name: use its address, or add the name to admin.hosts")]
    Misnamed {
        /// Where.
        address: Address,
    },
    /// Something else is there.
    #[error("what answers at {address} is no livestreamd that this one understands: {what}")]
    Foreign {
        /// Where.
        address: Address,
        /// What is strange about it.
        what: String,
    },
}

/// The daemon's status.
///
/// # Errors
/// If it cannot be had.
pub(in crate::cli) async fn status(place: &Place) -> Result<Document, AskError> {
    let (status, body) = ask(place, "/status").await?;
    if status != StatusCode::OK {
        return Err(place.foreign(format!("it answers {} for /status", status.as_u16())));
    }
    document::read(body).map_err(|what| place.foreign(what))
}

/// Whether the threads that do the daemon's work are alive.
///
/// # Errors
/// If that cannot be learnt.
pub(in crate::cli) async fn is_alive(place: &Place) -> Result<bool, AskError> {
    match ask(place, "/healthz").await? {
        (StatusCode::OK, _) => Ok(true),
        (StatusCode::SERVICE_UNAVAILABLE, _) => Ok(false),
        (status, _) => Err(place.foreign(format!("it answers {} for /healthz", status.as_u16()))),
    }
}

impl Place {
    fn foreign(&self, what: impl Into<String>) -> AskError {
        AskError::Foreign {
            address: self.address.clone(),
            what: what.into(),
        }
    }

    fn slow(&self) -> AskError {
        AskError::Slow {
            address: self.address.clone(),
        }
    }
}

async fn ask(place: &Place, path: &str) -> Result<(StatusCode, Bytes), AskError> {
    let connect = async {
        match &place.address {
            Address::Tcp { host, port } => TcpStream::connect((host.as_str(), *port)).await.map(Either::Tcp),
            Address::Unix(path) => UnixStream::connect(path).await.map(Either::Unix),
        }
    };
    let unreachable = |source| AskError::Unreachable {
        address: place.address.clone(),
        source,
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "connecting takes too long");
    let socket = timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(late)
        .flatten()
        .map_err(unreachable)?;
    let exchange = async {
        match socket {
            Either::Tcp(socket) => exchange(place, socket, path).await,
            Either::Unix(socket) => exchange(place, socket, path).await,
        }
    };
    timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| place.slow())?
}

enum Either {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn exchange<S>(place: &Place, socket: S, path: &str) -> Result<(StatusCode, Bytes), AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let no_http = |error: &dyn std::fmt::Display| place.foreign(format!("its answer cannot be read ({error})"));
    let request = request(place, path).map_err(|error| no_http(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|error| no_http(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| no_http(&error))?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(AskError::Refused {
                address: place.address.clone(),
                what: if place.token.is_some() {
                    "this token"
                } else {
                    "to answer without a token"
                },
                status,
            });
        }
        if status == StatusCode::MISDIRECTED_REQUEST {
            let address = place.address.clone();
            return Err(AskError::Misnamed { address });
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        body.map(|body| (status, body.to_bytes()))
            .map_err(|error| no_http(&error))
    };
    // Polled together: neither outlives the other, nor this call.
    let ended = async {
        // Its error comes to the request or the body too.
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        answer = ended => answer,
    }
}

fn request(place: &Place, path: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
    let mut request = Request::get(path)
        .header(header::HOST, place.address.authority())
        .header(header::ACCEPT, "application/json");
    if let Some(token) = &place.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
    }
    request.body(Empty::new())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::super::testing::Server;
    use super::*;
    use crate::cli::shown::made_up::daemon;

    fn place(server: &Server, token: Option<&str>) -> Place {
        Place {
            address: server.address.clone(),
            token: token.map(Into::into),
        }
    }

    async fn error_of(answer: &str) -> String {
        let server = Server::tcp(answer.to_owned()).await;
        status(&place(&server, None)).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_status_is_read_over_tcp_and_over_a_socket_in_the_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let answer = Server::ok(&serde_json::to_string(&daemon()).unwrap());
        for server in [
            Server::tcp(answer.clone()).await,
            Server::unix(dir.path().join("admin.sock"), answer),
        ] {
            let document = status(&place(&server, Some("t0k3n"))).await.unwrap();
            assert_eq!((document.daemon, document.notice), (daemon(), None));
            let asked = server.asked().await;
            assert!(asked.starts_with("GET /status HTTP/1.1\r\n"), "{asked}");
            let lower = asked.to_ascii_lowercase();
            assert!(lower.contains("authorization: bearer t0k3n\r\n"), "{asked}");
            assert!(
                lower.contains(&format!("host: {}\r\n", server.address.authority())),
                "{asked}"
            );
        }
    }

    #[tokio::test]
    async fn liveness_is_asked_for_apart() {
        for (status, alive) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let server = Server::tcp(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
            assert_eq!(is_alive(&place(&server, None)).await.unwrap(), alive);
            assert!(server.asked().await.starts_with("GET /healthz "));
        }
    }

    #[tokio::test]
    async fn who_is_not_there_is_named() {
        let server = Server::tcp(String::new()).await;
        let gone = place(&server, None);
        server.close().await;
        let error = status(&gone).await.unwrap_err().to_string();
        let address = gone.address.to_string();
        assert!(
            error.contains(&address) && error.contains("refused") && error.contains("running"),
            "{error}"
        );
        let nowhere = Place {
            address: Address::Unix("/nonexistent/admin.sock".into()),
            token: None,
        };
        let error = status(&nowhere).await.unwrap_err().to_string();
        assert!(error.contains("unix:/nonexistent/admin.sock: No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_says_how_to_give_a_token() {
        let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        let server = Server::tcp(refusal.to_owned()).await;
        let error = status(&place(&server, Some("hush-hush")))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("refuses this token (401)") && error.contains("--token-file"),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
        assert!(error_of(refusal).await.contains("refuses to answer without a token"));
    }

    #[tokio::test]
    async fn something_else_that_listens_there_is_no_livestreamd() {
        for answer in [
            Server::ok("<html>"),
            Server::ok("{}"),
            Server::ok("[]"),
            Server::ok("7"),
            Server::ok(&json!({ "format": "1", "streams": [] }).to_string()),
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut".to_owned(),
            String::new(),
        ] {
            let error = error_of(&answer).await;
            assert!(error.contains("is no livestreamd"), "{answer}: {error}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let server = Server::endless("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").await;
        let error = status(&place(&server, None)).await.unwrap_err().to_string();
        assert!(error.contains("length limit"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_an_end() {
        let server = Server::silent().await;
        let began = Instant::now();
        let error = status(&place(&server, None)).await.unwrap_err().to_string();
        assert!(error.contains("has not answered within 5 s"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(4), "by the test's clock");
    }
}
