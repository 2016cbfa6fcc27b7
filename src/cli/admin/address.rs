//! Where an admin server is, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::settings::AdminListen;

const HOW: &str = "use HOST:PORT, http://HOST:PORT or unix:/PATH";

/// Where an admin server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Address {
    /// On a host's port. An IPv6 address is without brackets.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Where to reach a server that listens on `listen`.
    ///
    /// # Errors
    /// What to do, if that cannot be told.
    pub(in crate::cli) fn of_listener(listen: &AdminListen) -> Result<Self, &'static str> {
        let listen = match listen {
            AdminListen::Off => {
                return Err("admin.listen is \"off\": the daemon serves no status to ask for; set it to an address");
            }
            AdminListen::Unix(path) => return Ok(Self::Unix(path.clone())),
            AdminListen::Tcp(listen) => listen,
        };
        if listen.port() == 0 {
            return Err(
                "admin.listen leaves the port to the system: take it from the daemon's log, and give it by --admin",
            );
        }
        // A server on all addresses is on this machine's own too.
        let host = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        Ok(Self::Tcp {
            host: host.to_string(),
            port: listen.port(),
        })
    }

    /// What the header `Host` says.
    pub(in crate::cli) fn authority(&self) -> String {
        match self {
            Self::Tcp { .. } => self.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') && path.len() > 1 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err("a socket's path is written whole, as in unix:/run/livestreamd/admin.sock".to_owned())
            };
        }
        if text.starts_with("https://") {
            return Err(format!("the admin server speaks no TLS: {HOW}"));
        }
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&whole).map_err(|error| format!("{error}: {HOW}"))?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        let (Some(host), "http", true, true) = (url.host_str(), url.scheme(), bare, anonymous) else {
            return Err(HOW.to_owned());
        };
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(HOW)?;
        Ok(Self::Tcp {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (given, shown) in [
            ("127.0.0.1:9600", "127.0.0.1:9600"),
            ("http://127.0.0.1:9600", "127.0.0.1:9600"),
            ("http://[::1]:9600/", "[::1]:9600"),
            ("daemon.example:1", "daemon.example:1"),
            ("http://daemon", "daemon:80"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(
                given.parse::<Address>().map(|address| address.to_string()),
                Ok(shown.to_owned())
            );
        }
        for bad in [
            "",
            "/run/a.sock",
            "unix:",
            "unix:a.sock",
            "https://127.0.0.1:9600",
            "ftp://a:1",
            "a:0",
            "a:70000",
            "a:1/status",
            "u:p@a:1",
            "a b:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_on_all_addresses_is_asked_on_this_machines_own() {
        let of = |listen: &str| {
            let listen = AdminListen::Tcp(listen.parse().unwrap());
            Address::of_listener(&listen).map(|address| address.to_string())
        };
        assert_eq!(of("0.0.0.0:9600").as_deref(), Ok("127.0.0.1:9600"));
        assert_eq!(of("[::]:9600").as_deref(), Ok("[::1]:9600"));
        assert_eq!(of("10.0.0.7:80").as_deref(), Ok("10.0.0.7:80"));
        assert!(of("127.0.0.1:0").is_err() && Address::of_listener(&AdminListen::Off).is_err());
    }
}
