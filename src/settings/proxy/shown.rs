//! The effective proxy, for `livestreamd check` and for the log. Promise: no password.

use std::collections::BTreeMap;

use url::{Host, Url};

use super::super::resolved::{Grant, SecretSource, Settings};
use super::{Direct, ProxySettings, Route};

/// Which hosts that the configuration names are reached through the proxy, and which are not. Where a redirect may lead is not
/// known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The proxy, who named it, and where its credentials are; or that there is none.
    pub proxy: String,
    /// `host:port` of who is reached through it.
    pub through: Vec<String>,
    /// `host:port` of who is not, each with the reason. Empty if there is no proxy at all.
    pub direct: Vec<String>,
}

/// The effective proxy for the streams and token endpoints of these settings.
pub fn shown(settings: &Settings) -> Shown {
    let proxies = &settings.proxy;
    let mut shown = Shown {
        proxy: proxy(proxies),
        through: Vec::new(),
        direct: Vec::new(),
    };
    for (name, (host, port)) in hosts(settings) {
        match proxies.route(&host, port) {
            Route::Through(_) => shown.through.push(name),
            Route::Direct(Direct::NoProxy) => {}
            Route::Direct(Direct::Loopback) => shown.direct.push(format!("{name} (this machine)")),
            Route::Direct(Direct::Excepted(exception)) => {
                let origin = proxies.exceptions_origin.as_deref().unwrap_or("no_proxy");
                shown.direct.push(format!("{name} ({exception} in {origin})"));
            }
        }
    }
    shown
}

fn proxy(proxies: &ProxySettings) -> String {
    let origin = proxies.origin.as_ref().map(|origin| format!(" (from {origin})"));
    let origin = origin.unwrap_or_default();
    let Some(proxy) = &proxies.proxy else {
        return format!("none{origin}");
    };
    match &proxy.credentials {
        None => format!("{proxy}{origin}"),
        Some(SecretSource::Inline(_)) => format!("{proxy}{origin}, credentials given inline"),
        Some(SecretSource::File(path)) => format!("{proxy}{origin}, credentials in {}", path.display()),
    }
}

/// Who is connected to, each once.
fn hosts(settings: &Settings) -> BTreeMap<String, (Host, u16)> {
    let mut urls: Vec<&Url> = Vec::new();
    for stream in &settings.streams {
        urls.push(&stream.url);
        if let Grant::Client { token_url, .. } = &stream.credential.grant {
            urls.push(token_url);
        }
    }
    let place = |url: &Url| {
        let (host, port) = (url.host()?.to_owned(), url.port_or_known_default()?);
        Some((format!("{host}:{port}"), (host, port)))
    };
    urls.into_iter().filter_map(place).collect()
}
