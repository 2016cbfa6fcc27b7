//! Rules for URLs, hosts and brokers: what we are willing to talk to, and to send a token to. Pure.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use url::{Host, Url};

/// Query parameters of a stream URL that a key of ours stands for, and what to say to who writes them into the URL.
const OWN_PARAMETERS: [(&str, &str); 4] = [
    ("maxConnections", "set max_connections instead"),
    ("smoothing", "set smoothing = true instead"),
    ("smoothingBucketSize", "set smoothing_bucket_size instead"),
    (
        "reset",
        "it must be sent once and on purpose, and is never sent automatically: take it out",
    ),
];

/// Whether a URL's host is this machine, going by its name or address alone.
pub fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback_host(&host))
}

/// Whether a host is this machine, going by its name or address alone.
pub(super) fn is_loopback_host<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => matches!(name.as_ref(), "localhost" | "localhost."),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// A host as it is compared: in lower case, ASCII, an IPv6 address in brackets, without the dot that may end a name. `None` for what is no
/// host, such as one with a port.
pub fn canonical_host(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Host::<String>::Ipv6(address).to_string());
    }
    match Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()? {
        Host::Domain(name) => name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            .then_some(name),
        address @ (Host::Ipv4(_) | Host::Ipv6(_)) => Some(address.to_string()),
    }
}

/// A stream's URL (protocol notes, section 2), or all that is wrong with it.
pub(super) fn stream_url(text: &str) -> Result<Url, String> {
    let url = parse(text)?;
    let mut problems = problems(&url);
    for (name, _) in url.query_pairs() {
        if let Some((own, instead)) = OWN_PARAMETERS.iter().find(|(own, _)| own.eq_ignore_ascii_case(&name)) {
            problems.push(format!("its query has {own}: {instead}"));
        }
    }
    if problems.is_empty() {
        Ok(url)
    } else {
        Err(problems.join("; and "))
    }
}

/// The URL of a token endpoint (protocol notes, section 7), or all that is wrong with it.
pub(super) fn token_url(text: &str) -> Result<Url, String> {
    let url = parse(text)?;
    let problems = problems(&url);
    if problems.is_empty() {
        Ok(url)
    } else {
        Err(problems.join("; and "))
    }
}

/// The one spelling of a stream's URL by which two are compared: streams among each other, and a lease with its stream.
///
/// Without a fragment, an empty query, a dot after the host or the scheme's own port; the host in lower case; what need not be
/// percent-encoded is not; the query's pairs in order. `/api/1/stream/X` and `/api/2/stream/X` are one endpoint: since 2026-04-13
/// "both effectively function identically" (protocol notes, section 2). To compare and to show, not to connect to.
pub fn canonical(url: &Url) -> String {
    let mut canonical = url.clone();
    canonical.set_fragment(None);
    let pairs: BTreeSet<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    canonical.set_query(None);
    if !pairs.is_empty() {
        canonical.query_pairs_mut().extend_pairs(pairs);
    }
    let path = decode_unreserved(url.path());
    match path.strip_prefix("/api/2/stream/") {
        Some(endpoint) => canonical.set_path(&format!("/api/1/stream/{endpoint}")),
        None => canonical.set_path(&path),
    }
    if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')) {
        // What was a host with its dot is one without; if not, it stays as it is.
        let _ = canonical.set_host(Some(host));
    }
    canonical.into()
}

/// `path` with the letters, digits and `-._~` that were percent-encoded as themselves, and the other encodings in upper case.
fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = after.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some((two, byte)) = digits.and_then(|two| Some((two, u8::from_str_radix(two, 16).ok()?))) {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                decoded.push(char::from(byte));
            } else {
                decoded.push('%');
                decoded.push_str(&two.to_ascii_uppercase());
            }
            rest = &after[2..];
        } else {
            decoded.push('%');
            rest = after;
        }
    }
    decoded.push_str(rest);
    decoded
}

/// A host name that the token may be sent to, in lower case.
pub(super) fn trusted_host(text: &str) -> Result<String, String> {
    let host = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.contains('*') {
        Err("has a wildcard; write the domain alone, its subdomains are meant too".to_owned())
    } else if host.contains("://") || host.contains('/') {
        Err("is a URL; write the host name alone".to_owned())
    } else if host.contains(':') {
        Err("has a port; write the host name alone".to_owned())
    } else if host.len() > 253 || !host.split('.').all(is_label) {
        Err("is not a host name".to_owned())
    } else if !host.contains('.') && host != "localhost" {
        Err("is a whole top-level domain, or a name without one; write the domain in full".to_owned())
    } else {
        Ok(host)
    }
}

/// A list of brokers as librdkafka takes it: `host[:port]`, comma-separated.
pub(super) fn brokers(text: &str) -> Result<String, String> {
    let mut brokers = Vec::new();
    for broker in text.split(',').map(str::trim) {
        if !is_broker(broker) {
            return Err(format!(
                "{} is not host or host:port; write as in \"kafka1:9092,kafka2:9092\"",
                super::tree::quoted(broker)
            ));
        }
        brokers.push(broker);
    }
    Ok(brokers.join(","))
}

fn is_broker(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", port),
            _ => return false,
        }
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        if host.is_empty() {
            return false;
        }
        (host, port)
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    host.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}); write it whole, from https:// on"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("is a {} URL; it must begin with https://", url.scheme()));
    }
    Ok(url)
}

fn problems(url: &Url) -> Vec<String> {
    let mut problems = Vec::new();
    if url.scheme() == "http" && !is_loopback(url) {
        problems.push(
            "http:// would send the secret in the clear, and is allowed to loopback hosts only; use https://"
                .to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        problems.push("it has a user or password in it; take them out, they are not used".to_owned());
    }
    if url.fragment().is_some() {
        problems.push("it has a fragment (#...), which is never sent; take it out".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_host_alone() {
        for here in [
            "http://localhost:1/",
            "http://LOCALHOST/",
            "http://localhost./",
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://[::1]:80/",
            "http://2130706433/",
        ] {
            assert!(is_loopback(&Url::parse(here).unwrap()), "{here}");
        }
        for there in [
            "http://localhost.example.com/",
            "http://128.0.0.1/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example/",
            "http://0.0.0.0/",
            "http://[::2]/",
            "http://example.com/?localhost",
            "data:localhost",
        ] {
            assert!(!is_loopback(&Url::parse(there).unwrap()), "{there}");
        }
    }

    #[test]
    fn two_spellings_of_one_url_have_one_canonical_form() {
        const ONE: &str = "https://livestream.adobe.net/api/1/stream/web-%C3%A4?a=1&beta=true";
        let canonical = |text: &str| canonical(&Url::parse(text).unwrap());
        assert_eq!(canonical(ONE), ONE);
        for other in [
            "HTTPS://Livestream.Adobe.NET/api/1/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net:443/api/1/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net./api/1/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net.:443/api/1/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net/api/1/stream/web-%C3%A4?beta=true&a=1",
            "https://livestream.adobe.net/api/1/stream/web-%C3%A4?&a=1&&beta=true&",
            "https://livestream.adobe.net/api/1/stream/web-%C3%A4?%61=1&b%65ta=tru%65",
            "https://livestream.adobe.net/api/1/stream/web-%C3%A4?a=1&beta=true#there",
            "https://livestream.adobe.net/api/1/x/../stream/./web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net/api/1/x/%2e%2E/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net/api/1/stream/%77eb%2d%c3%a4?a=1&beta=true",
            "https://livestream.adobe.net/api/1/stream/web-\u{e4}?a=1&beta=true",
            "https://livestream.adobe.net/api/2/stream/web-%C3%A4?a=1&beta=true",
            "https://livestream.adobe.net/api/%32/stre%61m/web-%C3%A4?a=1&beta=true",
        ] {
            assert_eq!(canonical(other), ONE, "{other}");
        }
        assert_eq!(canonical("https://a.example/s?"), "https://a.example/s");
        for (given, kept) in [
            ("https://a.example/s?beta=true", "https://a.example/s?beta=true"),
            ("https://a.example/S", "https://a.example/S"),
            ("https://a.example:8443/s", "https://a.example:8443/s"),
            ("http://localhost/s", "http://localhost/s"),
            ("https://a.example/a%2fs", "https://a.example/a%2Fs"),
            ("https://a.example/%2573", "https://a.example/%2573"),
            ("https://a.example/100%/%4", "https://a.example/100%/%4"),
            ("https://a.example/api/3/stream/s", "https://a.example/api/3/stream/s"),
            (
                "https://a.example/x/api/2/stream/s",
                "https://a.example/x/api/2/stream/s",
            ),
        ] {
            assert_eq!(canonical(given), kept);
        }
    }

    #[test]
    fn brokers_are_hosts_with_or_without_ports() {
        for (given, taken) in [
            ("localhost", "localhost"),
            ("localhost:9092", "localhost:9092"),
            ("a:1, b_2.example:65535 ,10.0.0.1", "a:1,b_2.example:65535,10.0.0.1"),
            ("[::1]:9092", "[::1]:9092"),
            ("[fe80::1]", "[fe80::1]"),
        ] {
            assert_eq!(brokers(given).as_deref(), Ok(taken));
        }
        for bad in [
            "",
            ",",
            "a,",
            ":9092",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:b",
            "a b",
            "SSL://a:9092",
            "u@a",
            "[::1",
            "[]:1",
            "[::1]9092",
            "::1",
        ] {
            assert!(brokers(bad).is_err(), "{bad}");
        }
    }
}
