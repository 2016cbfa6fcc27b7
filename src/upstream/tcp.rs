//! TCP: a name's addresses one after the other (happy eyeballs), and sockets that notice when their peer is dead.
//!
//! A dead peer is found by the kernel (protocol notes, section 5): a silent one by keep-alive probes, one that acknowledges
//! nothing by the user timeout. Neither ends a connection that is merely quiet. docs/network.md has what comes of these settings.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;
use url::Host;

use super::connector::{ConnectError, Target};
use super::names::Names;
use super::printable::chain;

/// Silence after which the first keep-alive probe goes out: often enough for the NAT tables and load balancers that forget an
/// idle connection after a minute or more.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between unanswered probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes until the peer counts as dead: one minute of silence and lost probes in all.
const KEEPALIVE_PROBES: u32 = 3;
/// How long sent bytes may stay unacknowledged. On Linux it takes the place of the number of probes too, so it is the same minute.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_mins(1);
/// A name may be looked up for so many percent of the time: six of eight seconds are enough for a first name server that is dead (5 s) and
/// a second one that is not.
const LOOKUP_PERCENT: u32 = 75;

/// Makes TCP connections.
#[derive(Clone)]
pub(super) struct Tcp {
    names: Names,
}

impl Tcp {
    /// Finds the addresses of a name by `names`.
    pub(super) const fn new(names: Names) -> Self {
        Self { names }
    }

    /// Looks the name up and connects to one of its addresses, all within `limit`: what the lookup leaves of it is shared out among the
    /// addresses.
    pub(super) async fn connect(&self, target: &Target, limit: Duration) -> Result<TcpStream, ConnectError> {
        let failed = |why: String| ConnectError(format!("{target}: {why}"));
        let began = Instant::now();
        let addresses = match &target.host {
            Host::Domain(name) => {
                let limit = limit / 100 * LOOKUP_PERCENT;
                self.names.addresses(name, target.port, limit).await.map_err(failed)?
            }
            Host::Ipv4(address) => vec![SocketAddr::from((*address, target.port))],
            Host::Ipv6(address) => vec![SocketAddr::from((*address, target.port))],
        };
        // The scheme is http even for TLS: this connector makes the TCP half only.
        let uri = format!("http://{target}/")
            .parse()
            .map_err(|error| failed(format!("{error}")))?;
        let stream = connector(addresses, limit.saturating_sub(began.elapsed()))
            .call(uri)
            .await;
        Ok(stream.map_err(|error| failed(chain(&error)))?.into_inner())
    }
}

fn connector(addresses: Vec<SocketAddr>, limit: Duration) -> HttpConnector<Found> {
    let mut tcp = HttpConnector::new_with_resolver(Found(addresses));
    tcp.set_connect_timeout(Some(limit));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE_IDLE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp
}

/// A resolver for a name that is looked up already.
#[derive(Clone)]
struct Found(Vec<SocketAddr>);

impl Service<Name> for Found {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::IpAddr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::{TcpListener, TcpSocket};

    use super::super::connector::Scheme;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);
    const LIVE: [u8; 4] = [127, 0, 0, 1];
    const REFUSING: [u8; 4] = [127, 0, 0, 3];

    fn target(port: u16) -> Target {
        Target {
            scheme: Scheme::Https,
            host: Host::parse("live.example").unwrap(),
            port,
        }
    }

    /// Names that have these addresses.
    fn names(addresses: &[[u8; 4]]) -> Names {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| IpAddr::from(*address)).collect();
        Names::with(move |_| Ok(addresses.clone()))
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((IpAddr::from(LIVE), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// An address that leaves connects to `port` unanswered, for as long as what comes with it is kept.
    #[cfg(target_os = "linux")]
    async fn silent(port: u16) -> ([u8; 4], (TcpListener, Vec<TcpStream>)) {
        const SILENT: [u8; 4] = [127, 0, 0, 2];
        let socket = TcpSocket::new_v4().unwrap();
        let address = SocketAddr::from((SILENT, port));
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        // Nobody accepts: once the queue is full the system lets further connects go unanswered.
        let mut queued = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (SILENT, (listener, queued))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_does_not_answer_is_passed_over_within_the_limit() {
        let (listener, port) = listener().await;
        let (silent, _kept) = silent(port).await;
        let tcp = Tcp::new(names(&[silent, REFUSING, LIVE]));
        let began = Instant::now();
        let stream = tcp.connect(&target(port), LIMIT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        let waited = began.elapsed();
        assert!(
            waited >= LIMIT / 4 && waited < LIMIT,
            "its third of the time: {waited:?}"
        );
    }

    #[tokio::test]
    async fn every_connect_looks_its_name_up_anew() {
        let (listener, port) = listener().await;
        let answers = Mutex::new(vec![
            Ok(vec![IpAddr::from(LIVE)]),
            Err(io::Error::other("Temporary failure in name resolution")),
            Ok(vec![IpAddr::from(REFUSING)]),
            Ok(vec![IpAddr::from(LIVE)]),
        ]);
        let tcp = Tcp::new(Names::with(move |name| {
            assert_eq!(name, "live.example");
            answers.lock().unwrap().remove(0)
        }));
        let connect = || async {
            tcp.connect(&target(port), LIMIT)
                .await
                .map(|stream| stream.peer_addr().unwrap())
        };
        let there = listener.local_addr().unwrap();
        assert_eq!(connect().await, Ok(there));
        let error = connect().await.unwrap_err().to_string();
        let words = "DNS has no answer for live.example: Temporary failure in name resolution";
        assert_eq!(error, format!("live.example:{port}: {words}"));
        let error = connect().await.unwrap_err().to_string();
        assert!(error.contains("refused") && !error.contains("DNS"), "{error}");
        assert_eq!(connect().await, Ok(there));
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let (listener, port) = listener().await;
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let tcp = Tcp::new(Names::with(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Vec::new())
        }));
        let host = Host::parse("127.0.0.1").unwrap();
        let stream = tcp.connect(&Target { host, ..target(port) }, LIMIT).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_is_told_how_to_find_a_dead_peer() {
        use rustix::net::sockopt;
        let (_listener, port) = listener().await;
        let socket = Tcp::new(names(&[LIVE])).connect(&target(port), LIMIT).await.unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), KEEPALIVE_PROBES);
        assert_eq!(
            sockopt::tcp_user_timeout(&socket).unwrap(),
            USER_TIMEOUT.as_millis() as u32
        );
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        // The number of probes and the user timeout, whichever the system goes by, mean the same minute.
        assert_eq!(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES, USER_TIMEOUT);
    }
}
