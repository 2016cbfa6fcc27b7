//! The real connector: TCP, the way through a proxy, and TLS.
//!
//! [`Tcp`] finds addresses and dead peers, [`proxy`] a way through, [`Tls`] knows whom to trust; here they are put together.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::connector::{ConnectError, Connector, Scheme, Target};
use super::files::FileReader;
use super::names::Names;
use super::proxy;
use super::socket::Socket;
use super::tcp::Tcp;
use super::tcp_socket::TcpSocket;
use super::tls::{Side, Sides, Tls};
use crate::settings::{Proxy, ProxyScheme, ProxySettings, Route, TlsSettings};

/// So many percent of the time for a whole connect go to DNS and TCP, the latter shared out among the addresses of a name: one dead address
/// leaves time for the others, and all of them for the TLS handshake.
const TCP_PERCENT: u32 = 80;
/// The same for a proxy. It has to connect in its turn, but is near: what is left over when its name servers are slow is enough.
const PROXY_TCP_PERCENT: u32 = 75;
/// So many percent go to the whole way through a proxy, TLS with it included. The rest is for TLS with the target; and who gives up
/// here can say that it was the proxy.
const PROXY_PERCENT: u32 = 90;

/// Connects over TCP, through a proxy if one is set for the target, and over TLS if the target asks for it.
#[derive(Clone)]
pub struct Dialer {
    tcp: Tcp,
    proxies: ProxySettings,
    proxy_secrets: FileReader,
    tls: Tls,
}

impl Dialer {
    /// A dialer that trusts the machine's authorities, those that `tls` names, and `extra_roots`. Blocks for as long as the file system does.
    pub fn new(tls: &TlsSettings, extra_roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        Self {
            tcp: Tcp::new(Names::of_the_system()),
            proxies: ProxySettings::default(),
            proxy_secrets: FileReader::default(),
            tls: Tls::new(tls.clone(), extra_roots),
        }
    }

    /// The same dialer, which reaches through a proxy whom these settings say so of. Without it every host is reached directly.
    #[must_use]
    pub fn through(self, proxies: ProxySettings) -> Self {
        Self { proxies, ..self }
    }

    /// Why no TLS connection will be possible, if so. Worth a word at the start, before the first attempt fails for it.
    pub fn tls_fault(&self) -> Option<String> {
        self.tls.fault()
    }

    /// A way to `target` through `proxy`, which sees no certificate of ours.
    async fn tunnel(
        &self,
        proxy: &Proxy,
        target: &Target,
        tls: &Result<Arc<Sides>, ConnectError>,
        limit: Duration,
    ) -> Result<Socket, ConnectError> {
        let at = Target {
            scheme: match proxy.scheme {
                ProxyScheme::Http => Scheme::Http,
                ProxyScheme::Https => Scheme::Https,
            },
            host: proxy.host.clone(),
            port: proxy.port,
        };
        let of_proxy = |ConnectError(why)| ConnectError(format!("the proxy {why}"));
        let opened = async {
            let side = match at.scheme {
                Scheme::Http => None,
                Scheme::Https => Some(&tls.as_ref().map_err(Clone::clone)?.proxy),
            };
            let credentials = proxy::credentials(proxy, &self.proxy_secrets).await?;
            let tcp = self.tcp.connect(&at, limit / 100 * PROXY_TCP_PERCENT).await;
            let socket = Socket::Plain(TcpSocket::new(tcp.map_err(of_proxy)?));
            let socket = match side {
                None => socket,
                Some(side) => handshake(side, &at, socket, limit).await.map_err(of_proxy)?,
            };
            proxy::open(socket, proxy, target, credentials.as_ref()).await
        };
        let limit = limit / 100 * PROXY_PERCENT;
        if let Ok(tunnel) = timeout(limit, opened).await {
            return Ok(Socket::Tunnel(Box::new(tunnel?)));
        }
        let and_tls = match proxy.scheme {
            ProxyScheme::Http => "",
            ProxyScheme::Https => ", and speaks TLS",
        };
        Err(ConnectError(format!(
            "the proxy {at} has not connected us to {target} within {limit:?}: ask who runs it whether it can{and_tls}, or raise connect_timeout"
        )))
    }
}

impl Connector for Dialer {
    type Io = Socket;

    async fn connect(&self, target: &Target, limit: Duration) -> Result<Socket, ConnectError> {
        let tls = self.tls.current(limit).await.map_err(ConnectError);
        // Whether there can be TLS at all is known before anything goes out.
        let side = match target.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(&tls.as_ref().map_err(Clone::clone)?.service),
        };
        let proxy = match self.proxies.route(&target.host, target.port) {
            Route::Direct(_) => None,
            Route::Through(proxy) => Some(proxy),
        };
        let socket = match proxy {
            None => Socket::Plain(TcpSocket::new(
                self.tcp.connect(target, limit / 100 * TCP_PERCENT).await?,
            )),
            Some(proxy) => self.tunnel(proxy, target, &tls, limit).await?,
        };
        let Some(side) = side else { return Ok(socket) };
        let secured = handshake(side, target, socket, limit).await;
        secured.map_err(|ConnectError(why)| match proxy {
            None => ConnectError(why),
            Some(proxy) => ConnectError(format!("{why} (through the proxy {})", proxy.address())),
        })
    }
}

/// TLS with `target` over `socket`, which leads to it.
async fn handshake(side: &Side, target: &Target, socket: Socket, limit: Duration) -> Result<Socket, ConnectError> {
    let stream = side.handshake(&target.host, socket, limit).await;
    let stream = stream.map_err(|why| ConnectError(format!("{target}: {why}")))?;
    Ok(Socket::Tls(Box::new(stream)))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rustls::ServerConfig;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use url::Host;

    use super::*;
    use crate::settings::tls::testing::{Authority, DAY};

    /// A TLS server for `name` that echoes five bytes and tells the ALPN protocol that was agreed on.
    async fn serve(
        authority: &Authority,
        name: &str,
        expired: bool,
    ) -> (u16, tokio::task::JoinHandle<Option<Vec<u8>>>) {
        let issued = if expired {
            let long_ago = SystemTime::UNIX_EPOCH + 11_323 * DAY;
            authority.issue_for(&[name], long_ago, long_ago + 365 * DAY)
        } else {
            authority.issue(&[name])
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.certificate.clone()], issued.private_key())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.ok()?;
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.ok()?;
            stream.write_all(&bytes).await.ok()?;
            stream.shutdown().await.ok()?;
            stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
        });
        (port, server)
    }

    const LIMIT: Duration = Duration::from_secs(10);

    fn target(scheme: Scheme, port: u16) -> Target {
        Target {
            scheme,
            host: Host::parse("127.0.0.1").unwrap(),
            port,
        }
    }

    #[tokio::test]
    async fn a_certificate_of_a_known_authority_is_accepted_and_only_http_1_1_is_agreed_on() {
        let authority = Authority::new("known");
        let (port, server) = serve(&authority, "127.0.0.1", false).await;
        let dialer = Dialer::new(&TlsSettings::default(), [authority.certificate.clone()]);
        assert_eq!(dialer.tls_fault(), None);
        let mut socket = dialer.connect(&target(Scheme::Https, port), LIMIT).await.unwrap();
        socket.write_all(b"hello").await.unwrap();
        socket.flush().await.unwrap();
        let mut echo = Vec::new();
        socket.read_to_end(&mut echo).await.unwrap();
        assert_eq!(echo, b"hello");
        assert_eq!(server.await.unwrap().as_deref(), Some(&b"http/1.1"[..]));
    }

    #[tokio::test]
    async fn a_refused_certificate_is_explained() {
        let (known, other) = (Authority::new("known"), Authority::new("other"));
        for (issuer, name, expired, expected) in [
            (&known, "127.0.0.1", true, "its certificate has expired"),
            (
                &known,
                "elsewhere.example",
                false,
                "its certificate is for another host",
            ),
            (
                &other,
                "127.0.0.1",
                false,
                "an authority that this machine does not know",
            ),
        ] {
            let (port, _server) = serve(issuer, name, expired).await;
            let dialer = Dialer::new(&TlsSettings::default(), [known.certificate.clone()]);
            let error = dialer
                .connect(&target(Scheme::Https, port), LIMIT)
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(expected) && error.starts_with(&format!("127.0.0.1:{port}: ")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_that_speaks_no_tls_is_explained() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let dialer = Dialer::new(&TlsSettings::default(), [Authority::new("known").certificate]);
        let error = dialer
            .connect(&target(Scheme::Https, port), LIMIT)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("the TLS handshake failed"), "{error}");
        server.await.unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_address_is_given_up_within_the_limit_of_the_connect() {
        // Nobody accepts: once the queue is full the system lets further connects go unanswered.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        let began = std::time::Instant::now();
        let limit = Duration::from_secs(1);
        let error = Dialer::new(&TlsSettings::default(), [])
            .connect(&target(Scheme::Http, address.port()), limit)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("deadline") || error.contains("timed out"), "{error}");
        let waited = began.elapsed();
        assert!(waited >= limit / 100 * TCP_PERCENT && waited < 4 * limit, "{waited:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_a_connect_error_that_names_the_target() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = Dialer::new(&TlsSettings::default(), [])
            .connect(&target(Scheme::Http, port), LIMIT)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("127.0.0.1:{port}: ")) && error.contains("refused"),
            "{error}"
        );
    }
}
