//! `CONNECT host:port`, byte by byte. Pure. Promise: nothing in a target or in credentials can add a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use super::super::connector::Target;
use super::super::request::OUR_NAME;

/// The request, which holds a secret if there are credentials.
///
/// # Errors
/// The target's name has something in it that no name has.
pub(super) fn connect(target: &Target, credentials: Option<&SecretString>) -> Result<SecretBox<Vec<u8>>, String> {
    let place = target.to_string();
    if !place.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{place:?} cannot be asked for: its name is none"));
    }
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n").into_bytes();
    request.extend_from_slice(b"User-Agent: ");
    request.extend_from_slice(OUR_NAME.as_bytes());
    request.extend_from_slice(b"\r\n");
    if let Some(credentials) = credentials {
        let line = format!("Proxy-Authorization: Basic {}\r\n", encoded(credentials));
        request.extend_from_slice(line.as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    Ok(SecretBox::new(Box::new(request)))
}

/// `user:password` as it is sent.
pub(super) fn encoded(credentials: &SecretString) -> String {
    STANDARD.encode(credentials.expose_secret())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Host;

    use super::super::super::connector::Scheme;
    use super::*;

    fn text(host: Host, port: u16, credentials: Option<&str>) -> Result<String, String> {
        let target = Target {
            scheme: Scheme::Https,
            host,
            port,
        };
        let credentials = credentials.map(SecretString::from);
        let request = connect(&target, credentials.as_ref())?;
        Ok(String::from_utf8(request.expose_secret().clone()).unwrap())
    }

    #[test]
    fn the_request_names_the_target_twice_and_us_once() {
        let ours = format!("User-Agent: livestreamd/{}\r\n", env!("CARGO_PKG_VERSION"));
        let host = Host::parse("livestream.adobe.net").unwrap();
        assert_eq!(
            text(host, 443, None).unwrap(),
            format!("CONNECT livestream.adobe.net:443 HTTP/1.1\r\nHost: livestream.adobe.net:443\r\n{ours}\r\n")
        );
        // The example of RFC 7617, section 2.
        assert_eq!(
            text(Host::parse("[2001:db8::1]").unwrap(), 8443, Some("Aladdin:open sesame")).unwrap(),
            format!(
                "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n{ours}\
                 Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
            )
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_target_and_no_credentials_add_a_line(host in "[a-z\\r\\n :\\u{e4}@/]{1,20}", credentials in ".{0,80}|[\\r\\n:a-z]{0,200}") {
            match text(Host::Domain(host.clone()), 443, Some(&credentials)) {
                Ok(request) => {
                    prop_assert_eq!(request.matches("\r\n").count(), 5);
                    prop_assert_eq!(request.matches(['\r', '\n']).count(), 10);
                    let first = format!("CONNECT {host}:443 HTTP/1.1\r\n");
                    prop_assert!(request.starts_with(&first));
                }
                Err(error) => {
                    prop_assert!(!host.bytes().all(|byte| byte.is_ascii_graphic()));
                    prop_assert!(!error.contains(['\r', '\n']));
                }
            }
        }
    }
}
