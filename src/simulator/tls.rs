//! The simulator's side of TLS, from a certificate and key that it is given; and, if it is told to, whom it lets in.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsIdentity;

/// Reads the identity, and the authority of those who are let in if not everybody is. Errors name the file.
pub(super) fn acceptor(identity: &TlsIdentity, client_ca: Option<&Path>) -> io::Result<TlsAcceptor> {
    let (chain, key) = match identity {
        TlsIdentity::Pem { certificate, key } => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| no_pem(key, &error))?;
            (chain, key)
        }
        TlsIdentity::Der { chain, key } => (
            chain.iter().cloned().map(CertificateDer::from).collect(),
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.clone())),
        ),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let config = match client_ca {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut authorities = RootCertStore::empty();
            authorities.add_parsable_certificates(certificates(path)?);
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            config.with_client_cert_verifier(clients.build().map_err(refused)?)
        }
    };
    let mut config = config.with_single_cert(chain, key).map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| no_pem(path, &error))
}

fn no_pem(path: &Path, error: &rustls::pki_types::pem::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{}: no PEM that can be read: {error}", path.display()),
    )
}

fn refused(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("certificate and key cannot be used for TLS: {error}"),
    )
}
