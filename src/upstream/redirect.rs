//! Which redirect is followed, and so who may see the access token (protocol notes, section 3). Pure.

use thiserror::Error;
use url::{Host, Url};

use super::printable::printable;
use crate::settings::is_loopback;

/// So many redirects are followed in one attempt.
pub const MAX_HOPS: usize = 5;

/// The longest name that DNS knows. A longer one leads nowhere, and would only fill our log.
const LONGEST_HOST: usize = 253;

/// Whether a status asks to go elsewhere with the same request.
pub const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 307 | 308)
}

/// Who may be sent the token.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The stream's own URL: its host always may.
    pub home: &'a Url,
    /// Hosts that may, and all their subdomains.
    pub hosts: &'a [String],
}

/// A redirect that we do not follow. The target is named, its query is not: it may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RedirectRefused {
    /// The answer has no `Location`, or more than one.
    #[error("the answer has {0} Location headers instead of one")]
    NotOneLocation(usize),
    /// It is no URL.
    #[error("the Location {0:?} is not a URL")]
    NotAUrl(String),
    /// It has a user name or a password in it.
    #[error("the Location on {0} has a user name or a password in it")]
    UserInfo(String),
    /// From a loopback host to another machine.
    #[error(
        "{0} is not on this machine, unlike the host that redirects there: set the stream's url to it if it is meant"
    )]
    LeavesLoopback(String),
    /// Neither https nor http.
    #[error("{0}: is not an https URL")]
    Scheme(String),
    /// Plain http to somewhere other than the loopback host that we came from over plain http.
    #[error("{0} is not https, and the access token must not travel in clear text")]
    Downgrade(String),
    /// The host is not among the trusted.
    #[error("{0} is not a trusted host: if it is Adobe's, add it to trusted_hosts")]
    Untrusted(String),
    /// We have been there in this attempt.
    #[error("it leads back to {0}, where this attempt has been")]
    Loop(String),
    /// One too many.
    #[error("more than {MAX_HOPS} redirects in a row")]
    TooMany,
}

/// Where to go next. `visited` are the URLs of this attempt so far, the one that answered last; `location` is its header.
///
/// # Errors
/// The redirect must not be followed; the token has not been, and must not be, sent there.
pub fn follow(visited: &[Url], location: &[u8], trust: Trust<'_>) -> Result<Url, RedirectRefused> {
    let from = visited.last().unwrap_or(trust.home);
    let target = std::str::from_utf8(location)
        .ok()
        .and_then(|location| from.join(location).ok());
    let target = target.filter(|target| target.host_str().is_none_or(|host| host.len() <= LONGEST_HOST));
    let Some(mut target) = target else {
        let shown = printable(&String::from_utf8_lossy(location), &[]).unwrap_or_default();
        return Err(RedirectRefused::NotAUrl(shown));
    };
    target.set_fragment(None);
    let Some(host) = target.host() else {
        return Err(RedirectRefused::Scheme(
            printable(target.scheme(), &[]).unwrap_or_default(),
        ));
    };
    let named = || target[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    if !target.username().is_empty() || target.password().is_some() {
        return Err(RedirectRefused::UserInfo(named()));
    }
    // A cooldown that only a loopback stream may have must not be kept towards a real service.
    if is_loopback(from) && !is_loopback(&target) {
        return Err(RedirectRefused::LeavesLoopback(named()));
    }
    match target.scheme() {
        "https" if is_trusted(&host, trust) => {}
        "https" => return Err(RedirectRefused::Untrusted(named())),
        "http" if from.scheme() == "http" && is_loopback(&target) && from.host().as_ref() == Some(&host) => {}
        "http" => return Err(RedirectRefused::Downgrade(named())),
        other => return Err(RedirectRefused::Scheme(printable(other, &[]).unwrap_or_default())),
    }
    if visited.contains(&target) {
        return Err(RedirectRefused::Loop(named()));
    }
    if visited.len() > MAX_HOPS {
        return Err(RedirectRefused::TooMany);
    }
    Ok(target)
}

fn is_trusted(host: &Host<&str>, trust: Trust<'_>) -> bool {
    if trust.home.host().as_ref() == Some(host) {
        return true;
    }
    match host {
        Host::Domain(name) => trust.hosts.iter().any(|trusted| is_same_or_below(name, trusted)),
        // An address has no subdomains.
        Host::Ipv4(_) | Host::Ipv6(_) => trust.hosts.iter().any(|trusted| host.to_string() == *trusted),
    }
}

/// Whether `name` is `domain`, or ends with it at a dot.
fn is_same_or_below(name: &str, domain: &str) -> bool {
    let Some(rest) = name.len().checked_sub(domain.len()).filter(|_| !domain.is_empty()) else {
        return false;
    };
    // Compared as bytes: a cut in the middle of a character must not panic.
    let (front, back) = name.as_bytes().split_at(rest);
    back.eq_ignore_ascii_case(domain.as_bytes()) && (front.is_empty() || front.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const HOME: &str = "https://sjo.livestream.adobe.net/api/1/stream/x?maxConnections=1";

    fn trusted() -> Vec<String> {
        vec!["adobe.net".to_owned(), "adobe.io".to_owned()]
    }

    fn from(home: &str, location: &str) -> Result<String, RedirectRefused> {
        let home = Url::parse(home).unwrap();
        let hosts = trusted();
        follow(
            std::slice::from_ref(&home),
            location.as_bytes(),
            Trust {
                home: &home,
                hosts: &hosts,
            },
        )
        .map(Into::into)
    }

    #[test]
    fn trusted_https_hosts_and_their_subdomains_are_followed() {
        for location in [
            "https://livestream.adobe.net/x?a=b",
            "https://adobe.net/",
            "https://ADOBE.net:8443/",
            "https://a.b.adobe.io/",
        ] {
            assert_eq!(from(HOME, location), Ok(location.to_lowercase()));
        }
        let own = "https://own.example:9/x";
        assert_eq!(
            from(own, "https://own.example/y").as_deref(),
            Ok("https://own.example/y"),
            "the stream's own host always may"
        );
    }

    #[test]
    fn relative_locations_are_taken_too() {
        assert_eq!(
            from(HOME, "/other?q").as_deref(),
            Ok("https://sjo.livestream.adobe.net/other?q")
        );
        assert_eq!(
            from(HOME, "y").as_deref(),
            Ok("https://sjo.livestream.adobe.net/api/1/stream/y")
        );
        assert_eq!(from(HOME, "//adobe.net/y#part").as_deref(), Ok("https://adobe.net/y"));
    }

    #[test]
    fn a_foreign_host_is_refused() {
        for location in [
            "https://example.com/",
            "https://notadobe.net/",
            "https://adobe.net.example.com/",
            "https://example.com/adobe.net",
            "https://x.own.sjo.livestream.adobe.net.evil/",
            "//example.com/x",
            "\\\\example.com/x",
            "https:/\\example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
        ] {
            assert!(
                matches!(from(HOME, location), Err(RedirectRefused::Untrusted(_))),
                "{location}: {:?}",
                from(HOME, location)
            );
        }
        assert!(matches!(
            from("https://own.example/", "https://sub.own.example/"),
            Err(RedirectRefused::Untrusted(_))
        ));
    }

    #[test]
    fn clear_text_is_refused_but_from_a_loopback_host_to_itself() {
        for (home, location) in [
            (HOME, "http://livestream.adobe.net/"),
            (HOME, "http://localhost/"),
            ("https://localhost/", "http://localhost/"),
            ("http://localhost/", "http://127.0.0.1/"),
            ("http://127.0.0.1/", "http://127.0.0.2/"),
            ("http://127.0.0.1/", "http://[::1]/"),
        ] {
            assert!(
                matches!(from(home, location), Err(RedirectRefused::Downgrade(_))),
                "{home} {location}"
            );
        }
        assert_eq!(
            from("http://localhost:1/x", "http://localhost:2/y").as_deref(),
            Ok("http://localhost:2/y")
        );
        assert_eq!(
            from("http://[::1]:1/x", "http://[::1]:2/y").as_deref(),
            Ok("http://[::1]:2/y")
        );
    }

    #[test]
    fn a_loopback_host_never_sends_us_to_another_machine() {
        for home in [
            "http://localhost:1/x",
            "http://127.0.0.1/x",
            "http://[::1]/x",
            "https://localhost/x",
        ] {
            for location in [
                "https://adobe.net/y",
                "https://livestream.adobe.net/y",
                "http://adobe.net/y",
                "https://example.com/",
                "https://localhost.adobe.net/",
            ] {
                assert!(
                    matches!(from(home, location), Err(RedirectRefused::LeavesLoopback(_))),
                    "{home} {location}: {:?}",
                    from(home, location)
                );
            }
        }
        let home = Url::parse(HOME).unwrap();
        let trust = Trust {
            home: &home,
            hosts: &["localhost".to_owned(), "adobe.net".to_owned()],
        };
        let visited = [home.clone(), Url::parse("https://localhost/").unwrap()];
        assert!(
            matches!(
                follow(&visited, HOME.as_bytes(), trust),
                Err(RedirectRefused::LeavesLoopback(_))
            ),
            "not by a detour either"
        );
    }

    #[test]
    fn user_names_other_schemes_and_rubbish_are_refused() {
        for location in [
            "https://user@adobe.net/",
            "https://:pass@adobe.net/",
            "https://adobe.net@adobe.io/",
        ] {
            assert!(
                matches!(from(HOME, location), Err(RedirectRefused::UserInfo(_))),
                "{location}"
            );
        }
        for location in [
            "ftp://adobe.net/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ws://adobe.net/",
        ] {
            assert!(
                matches!(from(HOME, location), Err(RedirectRefused::Scheme(_))),
                "{location}"
            );
        }
        for location in ["https://", "https://[::1", "https://a b/"] {
            assert!(
                matches!(from(HOME, location), Err(RedirectRefused::NotAUrl(_))),
                "{location}"
            );
        }
        let home = Url::parse(HOME).unwrap();
        assert!(matches!(
            follow(
                &[],
                b"\xff\xfe",
                Trust {
                    home: &home,
                    hosts: &[]
                }
            ),
            Err(RedirectRefused::NotAUrl(_))
        ));
    }

    /// Found by fuzzing: the host of a refused redirect was told in full, however long it was.
    #[test]
    fn what_is_told_of_a_refused_redirect_is_bounded() {
        let long = "x".repeat(60_000);
        for location in [
            format!("https://{long}/"),
            format!("https://{long}.adobe.net/"),
            format!("https://{long}@adobe.net/"),
            format!("{long}://adobe.net/"),
            format!("{long}:y"),
            format!("https://adobe.net:{long}/"),
        ] {
            let refused = from(HOME, &location).unwrap_err().to_string();
            assert!(refused.len() < 500, "{} bytes", refused.len());
        }
        let longest = format!("https://{}adobe.net/", "abc.".repeat(61));
        assert_eq!(from(HOME, &longest), Ok(longest));
    }

    #[test]
    fn loops_and_long_chains_are_refused() {
        let home = Url::parse(HOME).unwrap();
        let trust = Trust {
            home: &home,
            hosts: &trusted(),
        };
        let mut visited = vec![home.clone()];
        assert!(matches!(
            follow(&visited, HOME.as_bytes(), trust),
            Err(RedirectRefused::Loop(_))
        ));
        for hop in 0..MAX_HOPS {
            visited.push(follow(&visited, format!("/hop{hop}#x").as_bytes(), trust).unwrap());
        }
        assert!(matches!(
            follow(&visited, b"/hop2", trust),
            Err(RedirectRefused::Loop(_))
        ));
        assert_eq!(follow(&visited, b"/hop6", trust), Err(RedirectRefused::TooMany));
    }

    #[test]
    fn an_empty_entry_trusts_nobody() {
        let home = Url::parse(HOME).unwrap();
        for hosts in [vec![String::new()], vec![".".to_owned()], vec!["net".to_owned() + "x"]] {
            let refused = follow(
                std::slice::from_ref(&home),
                b"https://example.com/",
                Trust {
                    home: &home,
                    hosts: &hosts,
                },
            );
            assert!(matches!(refused, Err(RedirectRefused::Untrusted(_))), "{hosts:?}");
        }
        assert!(!is_same_or_below("\u{e4}b", "b\u{e4}"));
    }

    /// Hosts and Locations made of the stuff that attacks on such checks are made of.
    fn locations() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "https:",
            "http:",
            "//",
            "/",
            "\\",
            "@",
            ":",
            "adobe.net",
            "adobe.io",
            "evil.com",
            ".",
            "-",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "%2e",
            "%40",
            "#",
            "?",
            "\t",
            "\n",
            " ",
            "x",
            "\u{3002}",
            "\u{ff0e}",
            "\u{ad}",
            "0x7f.1",
            "sjo.livestream.adobe.net",
            "user:pass@",
            "443",
            "..",
        ]);
        let start = prop::sample::select(vec![
            "https://", "https://", "https://", "http://", "//", "", "https:/", "\\\\",
        ]);
        (start, prop::collection::vec(part, 0..7)).prop_map(|(start, parts)| [start, &parts.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 50_000, rng_seed: RngSeed::Fixed(4), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_token_never_goes_to_an_untrusted_host(
            home in prop::sample::select(vec![HOME, "http://localhost:8088/x", "http://127.0.0.1/x", "https://own.example/x"]),
            location in locations(),
        ) {
            if let Ok(target) = from(home, &location) {
                let (home, target) = (Url::parse(home).unwrap(), Url::parse(&target).unwrap());
                let host = target.host_str().unwrap();
                let same = home.host_str() == Some(host);
                let below = ["adobe.net", "adobe.io"].iter().any(|domain| host == *domain || host.ends_with(&format!(".{domain}")));
                prop_assert!(is_loopback(&target) || !is_loopback(&home), "{home} {target}");
                prop_assert!(target.username().is_empty() && target.password().is_none());
                match target.scheme() {
                    "https" => prop_assert!(same || below, "{target}"),
                    "http" => prop_assert!(same && home.scheme() == "http" && is_loopback(&target), "{target}"),
                    other => prop_assert!(false, "{other}"),
                }
            }
        }
    }

    #[test]
    fn the_property_above_is_not_empty() {
        use proptest::strategy::ValueTree as _;
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            rng_seed: RngSeed::Fixed(4),
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let (mut followed, mut untrusted) = (0, 0);
        for _ in 0..20_000 {
            match from(HOME, &locations().new_tree(&mut runner).unwrap().current()) {
                Ok(target) => followed += usize::from(!target.contains("sjo.")),
                Err(RedirectRefused::Untrusted(_)) => untrusted += 1,
                Err(_) => {}
            }
        }
        assert!(followed > 100 && untrusted > 100, "{followed} {untrusted}");
    }
}
