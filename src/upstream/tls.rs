//! TLS towards the service and the token endpoint: who is trusted, and what a failed handshake means in words that say what to mend.
//!
//! Promise: a certificate is always verified; there is no way to switch that off.

use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use url::Host;

use super::connector::ConnectError;
use super::printable::chain;

/// TLS 1.2 and 1.3, with ring; ALPN offers HTTP/1.1 alone (protocol notes, section 2).
pub(super) fn tls_client(
    extra_roots: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some authorities of a machine are often unreadable; those that are not still serve.
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra_roots);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(" ({})", chain(error)))
            .unwrap_or_default();
        return Err(format!(
            "no certificate authorities were found on this machine{why}: install the ca-certificates package, or point SSL_CERT_FILE at a bundle"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, ConnectError> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|error| ConnectError(format!("{name} cannot be the name in a certificate: {error}"))),
        Host::Ipv4(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

/// A failed handshake in words that say what to mend.
pub(super) fn describe_tls(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return format!("the TLS handshake failed: {error}");
    };
    let rustls::Error::InvalidCertificate(fault) = tls else {
        return format!("the TLS handshake failed: {tls}");
    };
    if matches!(
        fault,
        CertificateError::Expired | CertificateError::ExpiredContext { .. }
    ) {
        "its certificate has expired (or the clock of this machine is wrong)".to_owned()
    } else if matches!(
        fault,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
    ) {
        "its certificate is not valid yet (or the clock of this machine is wrong)".to_owned()
    } else if matches!(fault, CertificateError::UnknownIssuer) {
        "its certificate was issued by an authority that this machine does not know".to_owned()
    } else if matches!(
        fault,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        "its certificate is for another host".to_owned()
    } else {
        format!("its certificate is not accepted: {fault}")
    }
}
