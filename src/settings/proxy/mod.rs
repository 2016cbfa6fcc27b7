//! Proxies: which one there is, who is reached without it, and so how a host is reached.
//!
//! | module | job |
//! | --- | --- |
//! | [`address`] | `http://user:password@host:port` |
//! | [`exception`] | one item of `no_proxy` |
//! | [`sources`] | `[upstream]`, and the environment where that is silent |
//! | [`shown`] | the effective proxy, for a person to read |
//!
//! Promise: a loopback host never goes through a proxy, whatever is configured. Names are compared as they are: nothing is looked up.

mod address;
mod exception;
mod shown;
mod sources;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use url::Host;

use super::address::is_loopback_host;
use super::resolved::SecretSource;

pub use exception::Exception;
pub use shown::{Shown, shown};
pub(super) use sources::{ProxyVariables, refuse_in_stream, take};

/// How connections leave this machine (`upstream.proxy`, `upstream.no_proxy`, or the environment).
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// `None`: every host is reached directly.
    pub proxy: Option<Arc<Proxy>>,
    /// Who said so: `upstream.proxy`, or a variable of the environment; `None` if nobody did.
    pub origin: Option<String>,
    /// Who is reached directly all the same.
    pub exceptions: Vec<Exception>,
    /// Where the exceptions stand: `upstream.no_proxy`, or a variable of the environment; `None` if nowhere.
    pub exceptions_origin: Option<String>,
}

/// An HTTP proxy. Prints as its URL, without credentials.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// How the proxy itself is spoken to.
    pub scheme: ProxyScheme,
    /// A name or an address.
    pub host: Host,
    /// The port, the scheme's own unless given.
    pub port: u16,
    /// `user:password` for basic authentication. A file is read again at each connect.
    pub credentials: Option<SecretSource>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// In clear text. What goes through the tunnel is encrypted all the same; the proxy's credentials are not.
    Http,
    /// Over TLS.
    Https,
}

/// The way to a host.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// Through this proxy.
    Through(&'a Proxy),
    /// Without any, and why.
    Direct(Direct<'a>),
}

/// Why no proxy is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct<'a> {
    /// There is none.
    NoProxy,
    /// The host is this machine.
    Loopback,
    /// This exception is for the host.
    Excepted(&'a Exception),
}

impl ProxySettings {
    /// The way to a host's port.
    pub fn route(&self, host: &Host, port: u16) -> Route<'_> {
        let Some(proxy) = &self.proxy else {
            return Route::Direct(Direct::NoProxy);
        };
        if is_loopback_host(host) {
            return Route::Direct(Direct::Loopback);
        }
        match self.exceptions.iter().find(|exception| exception.is_for(host, port)) {
            Some(exception) => Route::Direct(Direct::Excepted(exception)),
            None => Route::Through(proxy),
        }
    }
}

impl Proxy {
    /// `host:port`, as people write it.
    pub fn address(&self) -> impl fmt::Display {
        fmt::from_fn(|f| write!(f, "{}:{}", self.host, self.port))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.address())
    }
}
