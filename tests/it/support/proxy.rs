//! An HTTP proxy: takes CONNECT, over TLS or not, with credentials or not, and remembers who asked it for what. It knows one name,
//! which is no name anywhere else: [`NAME`] is this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use livestreamd::simulator::TlsIdentity;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The name that only a proxy knows.
pub const NAME: &str = "livestream.test";

/// A proxy that runs until it is dropped.
pub struct ConnectProxy {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// `user:password` in base64, if anybody must say so.
    credentials: Option<String>,
    /// What everybody is answered, if not what is asked for.
    refusal: Mutex<Option<String>>,
    asked: Mutex<Vec<Asked>>,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `host:port`.
    pub target: String,
    /// The whole request.
    pub head: String,
    /// The status that it was answered.
    pub status: u16,
}

impl ConnectProxy {
    /// Starts one on a free port: with TLS if it has an identity, and for those who know `credentials` (in base64) if there are any.
    pub async fn start(identity: Option<TlsIdentity>, credentials: Option<&str>) -> Self {
        let acceptor = identity.map(acceptor);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            credentials: credentials.map(str::to_owned),
            ..State::default()
        });
        let serving = state.clone();
        let task = tokio::spawn(async move {
            // They end with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, acceptor) = (serving.clone(), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => serve(stream, &state).await,
                        Some(acceptor) => serve(acceptor.accept(stream).await.ok()?, &state).await,
                    }
                });
            }
        });
        Self { port, state, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Answers everybody so from now on, such as `403 Filtered`; or `None`: what is asked for.
    pub fn refuse(&self, refusal: Option<&str>) {
        *self.state.refusal.lock().unwrap() = refusal.map(str::to_owned);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<Io: AsyncRead + AsyncWrite + Unpin>(mut client: Io, state: &State) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let (answer, service) = answer(state, &head, &target).await;
    state.asked.lock().unwrap().push(Asked {
        target,
        status: answer[..3].parse().unwrap(),
        head,
    });
    let more = "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n";
    let answer = format!("HTTP/1.1 {answer}\r\n{more}\r\n");
    client.write_all(answer.as_bytes()).await.ok()?;
    client.flush().await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut service?).await.ok()?;
    Some(())
}

async fn answer(state: &State, head: &str, target: &str) -> (String, Option<TcpStream>) {
    let refused = |answer: &str| (answer.to_owned(), None);
    if let Some(refusal) = state.refusal.lock().unwrap().as_deref() {
        return refused(refusal);
    }
    let shown = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    if state.credentials.is_some() && state.credentials.as_deref() != shown {
        return refused("407 Proxy Authentication Required");
    }
    let port = target
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(':')?.parse().ok());
    let Some(port) = port else {
        return refused("502 No such name");
    };
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(service) => ("200 Connection established".to_owned(), Some(service)),
        Err(_) => refused("503 Nobody there"),
    }
}

fn acceptor(identity: TlsIdentity) -> TlsAcceptor {
    let TlsIdentity::Der { chain, key } = identity else {
        panic!("an identity in memory")
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.into_iter().map(CertificateDer::from).collect(),
            PrivateKeyDer::Pkcs8(key.into()),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
