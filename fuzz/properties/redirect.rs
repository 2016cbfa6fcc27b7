//! A chain of redirects, whatever the `Location`s: the token goes over https to trusted hosts only, or in clear text from a loopback host to
//! itself; and the chain ends.
//!
//! An input is a home, a list of trusted hosts, and `Location`s between line feeds. The judge takes the written URL apart by itself.

use livestreamd::upstream::redirect::{MAX_HOPS, Trust, follow};
use url::Url;

use super::assert_showable;
use super::cursor::Cursor;

const HOMES: [&str; 6] = [
    "https://livestream.adobe.net/api/1/stream/x?maxConnections=1",
    "https://own.example:8443/x",
    "https://127.0.0.1/x",
    "http://localhost:8088/x",
    "http://127.0.0.1:8088/x",
    "http://[::1]:8088/x",
];
const TRUSTED: [&[&str]; 4] = [
    &["adobe.net", "adobe.io"],
    &[],
    &["10.1.2.3", "localhost"],
    &["example"],
];

/// What attacks on such checks are made of; a byte above 0x7f stands for one of these.
const PARTS: [&str; 28] = [
    "https://",
    "http://",
    "//",
    "\\\\",
    "/",
    "\\",
    "@",
    ":",
    "adobe.net",
    "adobe.io",
    "evil.example",
    ".",
    "-",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0x7f.1",
    "2130706433",
    "%2e",
    "%40",
    "\u{3002}",
    "\u{ff0e}",
    "\u{ad}",
    "user:pass@",
    "?",
    "#",
    "\t",
];

pub fn check(input: &[u8]) {
    let mut cursor = Cursor(input);
    let home = cursor.pick(&HOMES);
    let hosts: Vec<String> = cursor.pick(&TRUSTED).iter().map(|host| (*host).to_owned()).collect();
    let home = Url::parse(home).expect("a URL");
    let trust = Trust {
        home: &home,
        hosts: &hosts,
    };
    let mut visited = vec![home.clone()];
    for location in cursor.0.split(|byte| *byte == b'\n').take(40) {
        match follow(&visited, &spelled(location), trust) {
            Ok(target) => {
                assert_trusted(target.as_str(), &home, &hosts);
                assert!(!visited.contains(&target), "a loop to {target}");
                visited.push(target);
            }
            Err(refused) => assert_showable(&refused.to_string(), &[]),
        }
        assert!(visited.len() <= 1 + MAX_HOPS, "{visited:?}");
    }
}

fn spelled(location: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::new();
    for byte in location {
        match PARTS.get(usize::from(*byte).wrapping_sub(0x80)) {
            Some(part) => spelled.extend_from_slice(part.as_bytes()),
            None => spelled.push(*byte),
        }
    }
    spelled
}

/// By the letters of the URL, and nothing of what follows redirects.
fn assert_trusted(target: &str, home: &Url, hosts: &[String]) {
    let (scheme, rest) = target.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    assert!(!authority.contains('@'), "{target}");
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let home_host = home.host_str().unwrap_or_default();
    let is_loopback =
        |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]" || host.ends_with(".localhost");
    assert!(
        !is_loopback(home_host) || is_loopback(host),
        "{target} leaves the machine"
    );
    match scheme {
        "https" => {
            let below = |domain: &String| {
                host == domain
                    || (!domain.starts_with(|c: char| c.is_ascii_digit()) && host.ends_with(&format!(".{domain}")))
            };
            assert!(host == home_host || hosts.iter().any(below), "{target} is not trusted");
        }
        "http" => assert!(
            home.scheme() == "http" && is_loopback(host) && host == home_host,
            "{target} in clear text"
        ),
        other => panic!("{other}: {target}"),
    }
}
