//! The simulator's side of TLS, from a certificate and key that it is given.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsIdentity;

/// Reads the identity. Errors name the file.
pub(super) fn acceptor(identity: &TlsIdentity) -> io::Result<TlsAcceptor> {
    let (chain, key) = match identity {
        TlsIdentity::Pem { certificate, key } => {
            let named = |path: &std::path::Path, error: rustls::pki_types::pem::Error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}: no PEM that can be read: {error}", path.display()),
                )
            };
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| named(certificate, error))?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, error))?;
            (chain, key_der)
        }
        TlsIdentity::Der { chain, key } => (
            chain.iter().cloned().map(CertificateDer::from).collect(),
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone())),
        ),
    };
    let refused = |error: rustls::Error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("certificate and key cannot be used for TLS: {error}"),
        )
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
