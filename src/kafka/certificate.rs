//! Why the certificate of a broker is not trusted. librdkafka does not say, so the broker is asked once more, for its certificate alone.
//!
//! Only `check --connect` does that. It decides nothing: whom producers trust is librdkafka's to say.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore};

use crate::settings::KafkaSettings;
use crate::upstream::of_their_certificate;

/// For the connect, and again for each word of the handshake.
const LIMIT: Duration = Duration::from_secs(5);
/// So many words at the most: a handshake takes a few, and somebody who drips bytes must not hold us for hours.
const MOST_READS: usize = 32;

/// What is wrong with the certificate of the broker at `host:port`, in words that say what to mend; nothing if we see no fault in it.
/// Blocks.
pub(super) fn why_not_trusted(broker: &str, settings: &KafkaSettings) -> Option<String> {
    let (host, _) = broker.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(authorities(settings))
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), name).ok()?;
    let addresses = broker.to_socket_addrs().ok()?;
    let mut tcp = addresses
        .into_iter()
        .find_map(|address| TcpStream::connect_timeout(&address, LIMIT).ok())?;
    tcp.set_read_timeout(Some(LIMIT)).ok()?;
    tcp.set_write_timeout(Some(LIMIT)).ok()?;
    for _ in 0..MOST_READS {
        while tls.wants_write() {
            tls.write_tls(&mut tcp).ok()?;
        }
        if !tls.is_handshaking() || tls.read_tls(&mut tcp).ok()? == 0 {
            return None;
        }
        if let Err(error) = tls.process_new_packets() {
            return told(&error);
        }
    }
    None
}

fn told(error: &Error) -> Option<String> {
    if let Error::InvalidCertificate(fault) = error {
        Some(of_their_certificate(fault, "ssl.ca.location in kafka.properties"))
    } else {
        None
    }
}

/// Whom librdkafka trusts by these settings, as far as we can read it.
fn authorities(settings: &KafkaSettings) -> RootCertStore {
    let property = |name| {
        settings
            .properties
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let certificates: Vec<CertificateDer<'static>> = match (property("ssl.ca.pem"), property("ssl.ca.location")) {
        (Some(pem), _) => CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect(),
        (None, Some(path)) if path != "probe" => {
            let path = Path::new(path);
            let (file, directory) = if path.is_dir() {
                (None, Some(path))
            } else {
                (Some(path), None)
            };
            rustls_native_certs::load_certs_from_paths(file, directory).certs
        }
        (None, _) => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}
