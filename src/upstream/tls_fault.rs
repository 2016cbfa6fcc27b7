//! What a failed TLS handshake means, in words that say what to mend. Pure.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

use super::printable::printable;

/// So many of the names in a certificate are repeated.
const SHOWN_NAMES: usize = 5;

/// Whom the handshake was with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The service or the token endpoint.
    Service,
    /// A proxy.
    Proxy,
}

/// What became of a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OurCertificate {
    /// The server had not asked when it failed.
    NotAskedFor,
    /// It asked, and there is none.
    Missing,
    /// It asked, and was shown ours.
    Shown,
}

/// A failed handshake, for after "HOST:PORT: ".
pub(super) fn describe(error: &io::Error, peer: Peer, ours: OurCertificate) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(fault)) => of_their_certificate(fault, "upstream.tls.ca_file"),
        Some(Error::AlertReceived(alert)) => of_alert(*alert, peer, ours),
        Some(Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => too_old(),
        Some(Error::InvalidMessage(fault)) => {
            format!("the TLS handshake failed: what answers there does not speak TLS ({fault:?})")
        }
        Some(other) => format!("the TLS handshake failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => match ours {
            OurCertificate::NotAskedFor => {
                "the TLS handshake failed: the connection was closed in its midst".to_owned()
            }
            OurCertificate::Missing | OurCertificate::Shown => {
                of_our_certificate("the connection was closed", peer, ours)
            }
        },
        None => format!("the TLS handshake failed: {error}"),
    }
}

/// A certificate that we refuse, and what to do; `key` names the file of those whom we trust besides the machine's authorities.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls' own words will do for what is rare, and for what it adds"
)]
pub fn of_their_certificate(fault: &CertificateError, key: &str) -> String {
    const CLOCK: &str = "(or the clock of this machine is wrong)";
    match fault {
        CertificateError::Expired => format!("its certificate has expired {CLOCK}"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired on {} {CLOCK}", date(*not_after))
        }
        CertificateError::NotValidYet => format!("its certificate is not valid yet {CLOCK}"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid yet, but from {} on {CLOCK}", date(*not_before))
        }
        CertificateError::UnknownIssuer => {
            format!(
                "its certificate was issued by an authority that this machine does not know: if it is to be trusted, put its certificate into a \
                 file and set {key} to that"
            )
        }
        CertificateError::NotValidForName => "its certificate is for another host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("its certificate is for another host: {}", names(presented))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for a server (its extended key usage is another)".to_owned()
        }
        // These have no names of their own in rustls.
        CertificateError::Other(rare) if format!("{rare:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is one of an authority (CA:TRUE), which no server may show as its own: it needs one that was issued for the server"
                .to_owned()
        }
        CertificateError::Other(rare) if format!("{rare:?}").contains("UnsupportedCertVersion") => {
            "its certificate is of X.509 version 1: it needs one of version 3".to_owned()
        }
        other => format!("its certificate is not accepted: {other}"),
    }
}

/// What the other side did not like.
fn of_alert(alert: Alert, peer: Peer, ours: OurCertificate) -> String {
    // Their names are those of the specification, in our spelling.
    let said = format!("it said {}", snake_case(&format!("{alert:?}")));
    match (alert, ours) {
        (Alert::ProtocolVersion, _) => too_old(),
        (Alert::CertificateRequired, OurCertificate::NotAskedFor) => {
            of_our_certificate(&said, peer, OurCertificate::Missing)
        }
        (Alert::UnrecognisedName, _) => format!("it does not serve this host name ({said})"),
        (Alert::NoApplicationProtocol, _) => format!("it does not speak HTTP/1.1 ({said})"),
        (Alert::HandshakeFailure | Alert::InsufficientSecurity, OurCertificate::NotAskedFor) => {
            format!("the TLS handshake failed: it has no cipher suite or key exchange in common with us ({said})")
        }
        (_, OurCertificate::Missing | OurCertificate::Shown) => of_our_certificate(&said, peer, ours),
        (_, OurCertificate::NotAskedFor) => format!("the TLS handshake failed: {said}"),
    }
}

/// It had asked for a client certificate, and then would not go on.
fn of_our_certificate(said: &str, peer: Peer, ours: OurCertificate) -> String {
    match (ours, peer) {
        (OurCertificate::Shown, _) => format!(
            "it does not accept our client certificate ({said}): see whether upstream.tls.client_certificate_file has expired, and holds \
             the certificates that lead to an authority it knows"
        ),
        (OurCertificate::Missing | OurCertificate::NotAskedFor, Peer::Service) => format!(
            "it requires a client certificate ({said}): set upstream.tls.client_certificate_file and upstream.tls.client_key_file"
        ),
        (OurCertificate::Missing | OurCertificate::NotAskedFor, Peer::Proxy) => {
            format!("it requires a client certificate ({said}), which is shown to no proxy: use one that does without")
        }
    }
}

fn too_old() -> String {
    "it speaks only versions of TLS that are no longer safe: it must offer TLS 1.2 or newer".to_owned()
}

fn date(time: UnixTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}

/// The names in a certificate, which are the other side's words: rustls writes them as `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        let inner = inner.strip_suffix(')').unwrap_or(inner).trim_matches('"');
        printable(inner, &[]).unwrap_or_default()
    };
    let mut list = presented
        .iter()
        .take(SHOWN_NAMES)
        .map(bare)
        .collect::<Vec<_>>()
        .join(", ");
    if list.is_empty() {
        return "it names none".to_owned();
    }
    if presented.len() > SHOWN_NAMES {
        // Writing to a String cannot fail.
        let _ = write!(list, " and {} more", presented.len() - SHOWN_NAMES);
    }
    list
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: Error, peer: Peer, ours: OurCertificate) -> String {
        describe(&io::Error::new(io::ErrorKind::InvalidData, error), peer, ours)
    }

    #[test]
    fn an_alert_is_read_in_the_light_of_our_certificate() {
        use OurCertificate::{Missing, NotAskedFor, Shown};
        use Peer::{Proxy, Service};
        for (alert, peer, ours, words) in [
            (
                Alert::CertificateRequired,
                Service,
                Missing,
                "it requires a client certificate (it said certificate_required): set upstream.tls.client_certificate_file",
            ),
            (
                Alert::HandshakeFailure,
                Service,
                Missing,
                "it requires a client certificate (it said handshake_failure)",
            ),
            (
                Alert::BadCertificate,
                Service,
                Missing,
                "it requires a client certificate",
            ),
            (
                Alert::CertificateRequired,
                Service,
                NotAskedFor,
                "it requires a client certificate",
            ),
            (
                Alert::UnknownCA,
                Service,
                Shown,
                "it does not accept our client certificate (it said unknown_ca)",
            ),
            (
                Alert::CertificateExpired,
                Service,
                Shown,
                "see whether upstream.tls.client_certificate_file has expired",
            ),
            (
                Alert::HandshakeFailure,
                Service,
                Shown,
                "it does not accept our client certificate",
            ),
            (Alert::CertificateRequired, Proxy, Missing, "which is shown to no proxy"),
            (
                Alert::HandshakeFailure,
                Service,
                NotAskedFor,
                "no cipher suite or key exchange in common",
            ),
            (
                Alert::ProtocolVersion,
                Service,
                NotAskedFor,
                "must offer TLS 1.2 or newer",
            ),
            (Alert::ProtocolVersion, Service, Missing, "must offer TLS 1.2 or newer"),
            (
                Alert::UnrecognisedName,
                Service,
                NotAskedFor,
                "does not serve this host name",
            ),
            (
                Alert::InternalError,
                Service,
                NotAskedFor,
                "the TLS handshake failed: it said internal_error",
            ),
        ] {
            let text = said(Error::AlertReceived(alert), peer, ours);
            assert!(text.contains(words), "{alert:?} {ours:?}: {text}");
        }
    }

    #[test]
    fn a_connection_closed_after_it_asked_for_a_certificate_is_about_that() {
        let eof = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let missing = describe(&eof(), Peer::Service, OurCertificate::Missing);
        assert!(missing.contains("it requires a client certificate"), "{missing}");
        let unasked = describe(&eof(), Peer::Service, OurCertificate::NotAskedFor);
        assert!(!unasked.contains("client certificate"), "{unasked}");
    }

    #[test]
    fn names_are_shown_bare_few_and_without_what_steers_a_terminal() {
        let names = |all: &[&str]| names(&all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            names(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]),
            "a.example, 127.0.0.1"
        );
        assert_eq!(names(&["DnsName(\"a\u{1b}[31m\")"]), "a [31m");
        assert_eq!(names(&[]), "it names none");
        assert_eq!(names(&["DnsName(\"a\")"; 7]), "a, a, a, a, a and 2 more");
    }

    #[test]
    fn a_date_is_told_where_it_is_known() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1_000_000_000));
        let text = said(
            CertificateError::ExpiredContext { time, not_after: time }.into(),
            Peer::Service,
            OurCertificate::NotAskedFor,
        );
        assert!(
            text.starts_with("its certificate has expired on 2001-09-09T01:46:40Z"),
            "{text}"
        );
    }
}
