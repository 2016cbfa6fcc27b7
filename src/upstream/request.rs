//! What we ask the service for (protocol notes, section 2).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use url::{Position, Url};

use super::token::AccessToken;
use crate::lifecycle::ResetTo;
use crate::settings::StreamSettings;

/// Who we say we are.
pub(super) const OUR_NAME: HeaderValue = HeaderValue::from_static(concat!("livestreamd/", env!("CARGO_PKG_VERSION")));

/// Everything that one attempt needs.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The stream's URL with our parameters.
    pub(super) url: Url,
    pub(super) token: AccessToken,
    pub(super) trusted_hosts: Vec<String>,
    pub(super) connect_timeout: Duration,
    pub(super) max_record_bytes: usize,
}

impl StreamRequest {
    /// The request for `stream`: its URL as it is, query included, and our parameters after that. A parameter that the URL
    /// already has is left to it.
    pub fn new(stream: &StreamSettings, token: AccessToken, reset: Option<ResetTo>) -> Self {
        Self {
            url: with_parameters(stream, reset),
            token,
            trusted_hosts: stream.trusted_hosts.clone(),
            connect_timeout: stream.connect_timeout,
            max_record_bytes: stream.max_record_bytes,
        }
    }

    /// The request to send to `url`, which is ours or a redirect's: all headers go to each (protocol notes, section 3).
    /// `None` if `url` cannot be written in a request line.
    pub(super) fn to(&self, url: &Url) -> Option<Request<Full<Bytes>>> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host_of(url)?);
        headers.insert(AUTHORIZATION, self.token.authorization().clone());
        if let Some(key) = self.token.api_key() {
            headers.insert("x-api-key", key.clone());
        }
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(USER_AGENT, OUR_NAME);
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = origin_form(url)?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// Path and query, as a request line has them.
pub(super) fn origin_form(url: &Url) -> Option<Uri> {
    url[Position::BeforePath..Position::AfterQuery].parse().ok()
}

/// The `Host` header: the port only if it is not the scheme's own.
pub(super) fn host_of(url: &Url) -> Option<HeaderValue> {
    HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()
}

fn with_parameters(stream: &StreamSettings, reset: Option<ResetTo>) -> Url {
    let mut ours = vec![("maxConnections", stream.max_connections.to_string())];
    if let Some(smoothing) = stream.smoothing {
        ours.push(("smoothing", "1".to_owned()));
        ours.extend(
            smoothing
                .bucket_seconds
                .map(|seconds| ("smoothingBucketSize", seconds.to_string())),
        );
    }
    ours.extend(reset.map(|reset| ("reset", reset.as_str().to_owned())));
    ours.retain(|(name, _)| stream.url.query_pairs().all(|(given, _)| given != *name));

    let mut url = stream.url.clone();
    url.set_fragment(None);
    if !ours.is_empty() {
        url.query_pairs_mut().extend_pairs(ours);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::settings::Smoothing;

    fn url(stream: &StreamSettings, reset: Option<ResetTo>) -> String {
        StreamRequest::new(stream, testing::access_token("t"), reset).url.into()
    }

    #[test]
    fn our_parameters_follow_the_urls_own_query_which_stays_as_it_is() {
        let mut stream = testing::stream("https://livestream.adobe.net/api/1/stream/x?beta=true&odd=a%20b+c|d");
        stream.max_connections = 4;
        let base = "https://livestream.adobe.net/api/1/stream/x?beta=true&odd=a%20b+c|d&maxConnections=4";
        assert_eq!(url(&stream, None), base);
        stream.smoothing = Some(Smoothing { bucket_seconds: None });
        assert_eq!(url(&stream, None), format!("{base}&smoothing=1"));
        stream.smoothing = Some(Smoothing {
            bucket_seconds: Some(120),
        });
        assert_eq!(
            url(&stream, Some(ResetTo::Smallest)),
            format!("{base}&smoothing=1&smoothingBucketSize=120&reset=smallest")
        );
        assert_eq!(
            url(&testing::stream("http://localhost/x#frag"), Some(ResetTo::Latest)),
            "http://localhost/x?maxConnections=1&reset=latest"
        );
    }

    #[test]
    fn a_parameter_that_the_url_has_is_not_sent_twice() {
        let mut stream = testing::stream("https://a.example/x?maxConnections=3&beta=true");
        assert_eq!(url(&stream, None), stream.url.as_str());
        stream.smoothing = Some(Smoothing { bucket_seconds: None });
        assert_eq!(url(&stream, None), format!("{}&smoothing=1", stream.url));
    }

    #[test]
    fn the_headers_are_those_of_the_protocol() {
        let stream = testing::stream("https://a.example:8443/api/x?y=z");
        let request = StreamRequest::new(&stream, testing::access_token("t0ken"), None);
        let sent = request.to(&request.url).unwrap();
        assert_eq!(sent.method(), Method::GET);
        assert_eq!(sent.uri(), "/api/x?y=z&maxConnections=1");
        let header = |name: &str| sent.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("host"), "a.example:8443");
        assert_eq!(header("authorization"), "Bearer t0ken");
        assert_eq!(header("x-api-key"), "client-1");
        assert_eq!(header("accept-encoding"), "gzip");
        assert_eq!(header("accept"), "*/*");
        assert_eq!(
            header("user-agent"),
            format!("livestreamd/{}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(sent.headers().len(), 6);
        assert!(sent.headers()["authorization"].is_sensitive());
        assert!(!format!("{request:?} {sent:?}").contains("t0ken"));
    }

    #[test]
    fn the_host_header_has_no_default_port_and_keeps_an_address_in_brackets() {
        for (url, host) in [
            ("https://a.example:443/x", "a.example"),
            ("http://[::1]:8088/", "[::1]:8088"),
            ("http://u:p@a.example/", "a.example"),
        ] {
            assert_eq!(host_of(&Url::parse(url).unwrap()).unwrap(), host);
        }
    }
}
