//! Where sockets come from: the one seam between the client and the network.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use url::{Host, Url};

use super::tcp_socket::Wakeups;

/// Makes connections. TLS is its business too: what it hands out is ready for the first byte of HTTP.
pub trait Connector: Send + Sync + 'static {
    /// A connection. Dropping it closes the socket.
    type Io: Transport;

    /// Connects to `target`. The caller gives up after `limit`; within it all addresses of a name should have had their turn.
    ///
    /// # Errors
    /// Name resolution, TCP or TLS failed: no byte of a request has gone out.
    fn connect(&self, target: &Target, limit: Duration) -> impl Future<Output = Result<Self::Io, ConnectError>> + Send;
}

/// What a connection's bytes go through.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Whether bytes that come wake somebody, if that can be changed.
    fn wakeups(&self) -> Wakeups {
        Wakeups::default()
    }
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// With TLS or without.
    pub scheme: Scheme,
    /// A name or an address.
    pub host: Host,
    /// The port, the scheme's own if the URL names none.
    pub port: u16,
}

/// With TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP; only ever to a loopback host.
    Http,
    /// TLS.
    Https,
}

/// Name resolution, TCP or TLS failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

impl Target {
    /// The target that `url` names; `None` for a scheme other than http and https.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Some(Self {
            scheme,
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

/// `host:port`, as people write it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_the_port_of_its_scheme_unless_the_url_names_one() {
        let target =
            |url: &str| Target::of(&Url::parse(url).unwrap()).map(|target| (target.scheme, target.to_string()));
        assert_eq!(
            target("https://a.example/x?y"),
            Some((Scheme::Https, "a.example:443".to_owned()))
        );
        assert_eq!(
            target("http://localhost:8088/x"),
            Some((Scheme::Http, "localhost:8088".to_owned()))
        );
        assert_eq!(target("http://[::1]/"), Some((Scheme::Http, "[::1]:80".to_owned())));
        assert_eq!(target("ftp://a.example/"), None);
        assert_eq!(target("data:text/plain,x"), None);
    }
}
