//! `http://user:password@host:port`, in the configuration or the environment. Promise: no message repeats anything of it, because
//! a password may stand anywhere in one that is wrong.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

use super::super::resolved::SecretSource;
use super::super::secret;
use super::{Proxy, ProxyScheme};

/// How an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As a whole URL: in the configuration.
    Whole,
    /// Also without `http://`: in the environment, where other programs take that too.
    Usual,
}

/// Reads an address; the error completes "KEY: ".
pub(super) fn parse(text: &str, spelling: Spelling) -> Result<Proxy, String> {
    // The URL parser would silently leave out some of them.
    if text.chars().any(char::is_control) {
        return Err("holds a control character (such as a line break); remove it".to_owned());
    }
    let url = match spelling {
        Spelling::Usual if !text.contains("://") => Url::parse(&format!("http://{text}")),
        Spelling::Whole if !text.contains("://") => {
            return Err("is no URL; write as in \"http://proxy.example:3128\", or \"none\"".to_owned());
        }
        Spelling::Whole | Spelling::Usual => Url::parse(text),
    };
    let url = url.map_err(|error| {
        format!(
            "is not the URL of a proxy ({error}); in a password, write % and what a URL has a use for percent-encoded"
        )
    })?;
    let scheme = match url.scheme() {
        "http" => ProxyScheme::Http,
        "https" => ProxyScheme::Https,
        socks if socks.starts_with("socks") => {
            return Err("is a SOCKS proxy, which livestreamd does not know; name an http:// or https:// proxy, or \"none\" in upstream.proxy".to_owned());
        }
        _ => return Err("is neither an http:// nor an https:// proxy; name one of those".to_owned()),
    };
    let (Some(host), Some(port @ 1..)) = (url.host(), url.port_or_known_default()) else {
        return Err("has no host, or port 0; write as in \"http://proxy.example:3128\"".to_owned());
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "goes on after the port; remove that (in a password, write / as %2F, ? as %3F and # as %23)".to_owned(),
        );
    }
    Ok(Proxy {
        scheme,
        host: host.to_owned(),
        port,
        credentials: credentials(&url)?,
    })
}

fn credentials(url: &Url) -> Result<Option<SecretSource>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("has a user or password that is not UTF-8 once decoded".to_owned()),
    };
    let user = decoded(url.username())?;
    if user.contains(':') {
        return Err("has a user with a colon in it, which basic authentication cannot send".to_owned());
    }
    let both = format!("{user}:{}", decoded(url.password().unwrap_or_default())?);
    secret::check_user_and_password(&both).map_err(|flaw| format!("has a user and password whose text {flaw}"))?;
    Ok(Some(SecretSource::Inline(SecretString::from(both))))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(text: &str, spelling: Spelling) -> Result<(String, Option<String>), String> {
        let proxy = parse(text, spelling)?;
        let credentials = proxy.credentials.as_ref().map(|source| {
            let secret = source.read_user_and_password().unwrap();
            secret.expose_secret().to_owned()
        });
        Ok((proxy.to_string(), credentials))
    }

    #[test]
    fn an_address_has_a_scheme_a_host_a_port_and_maybe_credentials() {
        for (text, shown, credentials) in [
            ("http://proxy.corp:3128", "http://proxy.corp:3128", None),
            ("HTTP://Proxy.CORP:3128/", "http://proxy.corp:3128", None),
            ("http://proxy.corp", "http://proxy.corp:80", None),
            ("https://proxy.corp", "https://proxy.corp:443", None),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", None),
            ("http://10.0.0.1:8080", "http://10.0.0.1:8080", None),
            ("http://u:p@proxy:1", "http://proxy:1", Some("u:p")),
            ("http://u@proxy:1", "http://proxy:1", Some("u:")),
            ("http://:p@proxy:1", "http://proxy:1", Some(":p")),
            ("http://u:p:q@proxy:1", "http://proxy:1", Some("u:p:q")),
            ("http://u:p@q@proxy:1", "http://proxy:1", Some("u:p@q")),
            (
                "http://u%40corp:p%3A%2f%23%25%20x@proxy:1",
                "http://proxy:1",
                Some("u@corp:p:/#% x"),
            ),
            ("http://u:p%C3%A4@proxy:1", "http://proxy:1", Some("u:p\u{e4}")),
        ] {
            let expected = Ok((shown.to_owned(), credentials.map(str::to_owned)));
            assert_eq!(read(text, Spelling::Whole), expected, "{text}");
            assert_eq!(read(text, Spelling::Usual), expected, "{text}");
        }
    }

    #[test]
    fn without_a_scheme_it_is_an_http_proxy_in_the_environment_only() {
        for (text, shown, credentials) in [
            ("proxy.corp:3128", "http://proxy.corp:3128", None),
            ("proxy", "http://proxy:80", None),
            ("u:p@proxy:1", "http://proxy:1", Some("u:p")),
        ] {
            let expected = Ok((shown.to_owned(), credentials.map(str::to_owned)));
            assert_eq!(read(text, Spelling::Usual), expected, "{text}");
            assert!(
                read(text, Spelling::Whole).unwrap_err().starts_with("is no URL"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for (text, says) in [
            ("socks5://hush:hush@proxy:1080", "SOCKS"),
            ("socks5h://hush", "SOCKS"),
            ("ftp://hush", "is neither"),
            ("hush://hush:hush@hush", "is neither"),
            ("http://", "empty host"),
            ("http://hush:0", "port 0"),
            ("http://u:hush@proxy:99999", "invalid port"),
            ("http://u:hush@pro xy:1", "invalid"),
            ("http://u:hu/sh@proxy:1", "invalid port"),
            ("http://u/hush@proxy:1", "goes on after the port"),
            ("http://proxy:1/hush", "goes on after the port"),
            ("http://proxy:1/?hush", "goes on after the port"),
            ("http://proxy:1#hush", "goes on after the port"),
            ("http://u:hush\r\nX-Evil: 1@proxy:1", "control character"),
            ("http://pro\txy:1", "control character"),
            ("http://u%3Ahush:p@proxy:1", "a colon in it"),
            ("http://u:hush%0d%0aX-Evil:%201@proxy:1", "control character"),
            ("http://u:hush%00@proxy:1", "control character"),
            ("http://u:hush%ff@proxy:1", "not UTF-8"),
        ] {
            for spelling in [Spelling::Whole, Spelling::Usual] {
                let error = read(text, spelling).unwrap_err();
                assert!(error.contains(says) && !error.contains("hush"), "{text}: {error}");
            }
        }
    }
}
