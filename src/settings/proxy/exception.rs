//! One item of `no_proxy`: whom the proxy is not for.
//!
//! | item | is for |
//! | --- | --- |
//! | `*` | every host |
//! | `example.com`, `.example.com`, `*.example.com` | that host and all below it, as curl has it |
//! | `10.1.2.3`, `2001:db8::1`, `[2001:db8::1]` | that address |
//! | `10.0.0.0/8`, `2001:db8::/32` | the addresses of that network |
//! | any of these but a network, and `:port` | the same, on that port only |
//!
//! Addresses are compared with addresses and names with names. An IPv4 address and its IPv6 form (`::ffff:10.1.2.3`) are the same.

use std::fmt;
use std::net::IpAddr;

use url::Host;

/// Whom the proxy is not for. Prints as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    written: String,
    whom: Whom,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    Everybody,
    /// In lower case, without dots around it.
    Domain(String),
    /// The first `bits` of an address.
    Network {
        address: IpAddr,
        bits: u8,
    },
}

impl Exception {
    /// Reads an item; the error completes "ITEM ".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let made = |whom, port| Self {
            written: text.to_owned(),
            whom,
            port,
        };
        if text.contains("://") {
            return Err("is a URL; write the host alone".to_owned());
        }
        if let Some((address, bits)) = text.split_once('/') {
            return Ok(made(network(address, bits)?, None));
        }
        // An IPv6 address without brackets has no port.
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(made(one(address), None));
        }
        let (host, port) = split_port(text)?;
        Ok(made(whom(host)?, port))
    }

    /// Whether it is for this host and port.
    pub fn is_for(&self, host: &Host, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        match (&self.whom, host) {
            (Whom::Everybody, _) => true,
            (Whom::Domain(domain), Host::Domain(name)) => is_at_or_below(name, domain),
            (Whom::Network { address, bits }, Host::Ipv4(host)) => is_in(IpAddr::V4(*host), *address, *bits),
            (Whom::Network { address, bits }, Host::Ipv6(host)) => is_in(IpAddr::V6(*host), *address, *bits),
            (Whom::Domain(_), Host::Ipv4(_) | Host::Ipv6(_)) | (Whom::Network { .. }, Host::Domain(_)) => false,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// `host`, `host:port` or `[address]:port`; the brackets stay.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let after_host = if text.starts_with('[') {
        text.find(']').map_or(text.len(), |end| end + 1)
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(after_host);
    if rest.is_empty() {
        return Ok((host, None));
    }
    let digits = rest
        .strip_prefix(':')
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|port| port.parse().ok()) {
        Some(port @ 1..) => Ok((host, Some(port))),
        Some(0) | None => {
            Err("is not host or host:port; write an IPv6 address with a port as [ADDRESS]:PORT".to_owned())
        }
    }
}

fn whom(host: &str) -> Result<Whom, String> {
    if host == "*" {
        return Ok(Whom::Everybody);
    }
    let name = host
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(host);
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') {
        return Err(
            "has a * elsewhere than alone or before a domain; write a domain, or a network as in 10.0.0.0/8".to_owned(),
        );
    }
    match Host::parse(name) {
        Ok(Host::Domain(name)) if !name.starts_with('.') => Ok(Whom::Domain(name)),
        Ok(Host::Ipv6(address)) => Ok(one(address.into())),
        // What the URL parser takes for one, such as 10.1, and people do not.
        Ok(Host::Ipv4(address)) if name.parse() == Ok(address) => Ok(one(address.into())),
        Ok(Host::Ipv4(_)) => Err("is no whole address; write a network as in 10.0.0.0/8".to_owned()),
        Ok(Host::Domain(_)) | Err(_) => Err("is no host, address or network".to_owned()),
    }
}

fn one(address: IpAddr) -> Whom {
    let address = address.to_canonical();
    Whom::Network {
        address,
        bits: width(address),
    }
}

fn network(address: &str, bits: &str) -> Result<Whom, String> {
    let problem = "is no network; write as in 10.0.0.0/8 or 2001:db8::/32";
    let (Ok(given), true) = (address.parse::<IpAddr>(), bits.bytes().all(|b| b.is_ascii_digit())) else {
        return Err(problem.to_owned());
    };
    let bits: u8 = bits.parse().map_err(|_| problem.to_owned())?;
    if bits > width(given) {
        return Err(format!("is no network: such an address has {} bits", width(given)));
    }
    let address = given.to_canonical();
    match bits.checked_sub(width(given) - width(address)) {
        Some(bits) => Ok(Whom::Network { address, bits }),
        None => Ok(Whom::Network { address: given, bits }),
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn is_at_or_below(name: &str, domain: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match name.strip_suffix(domain) {
        Some(before) => before.is_empty() || before.ends_with('.'),
        None => false,
    }
}

fn is_in(host: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (host.to_canonical(), network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            let differ = host.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => {
            let differ = host.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= u32::from(bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
