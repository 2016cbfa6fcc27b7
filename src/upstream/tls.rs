//! TLS towards the service, the token endpoint and proxies: whom we trust, what we show, and one handshake.
//!
//! Promise: a certificate is always verified; there is no way to switch that off. The files of `[upstream.tls]` are read again at each
//! connect, so a certificate that was renewed is used from the next connection on; while they are broken, what was read last is.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SignatureScheme};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::files::{FileReader, LONGEST_READING};
use super::printable::chain;
use super::rotation::{Rotation, Seen, Turn};
use super::tls_fault::{OurCertificate, Peer, describe};
use crate::settings::{TlsFiles, TlsMaterial, TlsSettings};

/// How long we wait for what a server of TLS 1.3 says to our certificate. Silence is consent: few send nothing at all.
const LONGEST_VERDICT: Duration = Duration::from_secs(1);

/// What TLS needs, from files that may change. Clones share it.
#[derive(Clone)]
pub(super) struct Tls {
    shared: Arc<Shared>,
    reader: FileReader,
}

struct Shared {
    files: TlsSettings,
    /// The authorities of the machine, or why there are none.
    machine: Result<RootCertStore, String>,
    rotation: Mutex<Rotation<Arc<Sides>>>,
}

/// Whom we talk to.
pub(super) struct Sides {
    /// The service and the token endpoint: they are shown the client certificate.
    pub(super) service: Side,
    /// A proxy: it has the same authorities, and is shown no certificate.
    pub(super) proxy: Side,
}

/// TLS with one of them.
pub(super) struct Side {
    config: ClientConfig,
    /// What is shown to who asks for a certificate.
    certificate: Option<Arc<CertifiedKey>>,
    peer: Peer,
}

impl Tls {
    /// Trusts the machine's authorities (as they are now), `extra_roots`, and what `files` name. Blocks for as long as the file system does.
    pub(super) fn new(files: TlsSettings, extra_roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let machine = authorities(extra_roots);
        let (seen, read) = see(&files);
        let made = make(read, &machine);
        Self {
            shared: Arc::new(Shared {
                files,
                machine,
                rotation: Mutex::new(Rotation::new(seen, made)),
            }),
            reader: FileReader::default(),
        }
    }

    /// Why there can be no TLS just now, if so.
    pub(super) fn fault(&self) -> Option<String> {
        self.shared.rotation().in_use().err().cloned()
    }

    /// TLS with what the files hold now, if they can be read within a tenth of `limit`; else with what they held before.
    ///
    /// # Errors
    /// There is nobody to trust, in words that say what to mend.
    pub(super) async fn current(&self, limit: Duration) -> Result<Arc<Sides>, String> {
        if !self.shared.files.is_empty() {
            let shared = self.shared.clone();
            let looked = self
                .reader
                .read(LONGEST_READING.min(limit / 10), move || shared.look_again());
            // Late or failed: there is what was read last, because a disk that hangs is no reason not to connect.
            let _ = looked.await;
        }
        self.shared.rotation().in_use().cloned().map_err(Clone::clone)
    }
}

impl Shared {
    /// Locked for a look or a pointer's change only.
    fn rotation(&self) -> MutexGuard<'_, Rotation<Arc<Sides>>> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_again(&self) {
        let (seen, read) = see(&self.files);
        if self.rotation().is_known(&seen) {
            return;
        }
        let made = make(read, &self.machine);
        let turn = self.rotation().offer(seen, made);
        match turn {
            Turn::Renewed => tracing::info!("the files of [upstream.tls] have changed: new connections use them"),
            Turn::Kept(error) => tracing::warn!(
                error,
                "the files of [upstream.tls] have changed and cannot be used: mend them; until then connections go on with what was read before"
            ),
        }
    }
}

/// Reads the files.
fn see(files: &TlsSettings) -> (Seen, Result<TlsFiles, String>) {
    match files.read() {
        Ok(files) => (Seen::Content(files.fingerprint()), Ok(files)),
        Err(error) => (Seen::Unreadable(error.to_string()), Err(error.to_string())),
    }
}

fn make(read: Result<TlsFiles, String>, machine: &Result<RootCertStore, String>) -> Result<Arc<Sides>, String> {
    let material = read?.parse().map_err(|error| error.to_string())?;
    sides(machine, material).map(Arc::new)
}

/// The authorities that the machine knows, and more.
fn authorities(extra_roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some authorities of a machine are often unreadable; those that are not still serve.
    roots.add_parsable_certificates(found.certs);
    roots.add_parsable_certificates(extra_roots);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let why = found
        .errors
        .first()
        .map(|error| format!(" ({})", chain(error)))
        .unwrap_or_default();
    Err(format!(
        "no certificate authorities were found on this machine{why}: install the ca-certificates package, point SSL_CERT_FILE at a bundle, or set upstream.tls.ca_file"
    ))
}

fn sides(machine: &Result<RootCertStore, String>, material: TlsMaterial) -> Result<Sides, String> {
    let mut roots = match machine {
        Ok(roots) => roots.clone(),
        Err(why) if material.authorities.is_empty() => return Err(why.clone()),
        Err(_) => RootCertStore::empty(),
    };
    // Each has been looked at.
    roots.add_parsable_certificates(material.authorities);
    let config = client_config(roots)?;
    Ok(Sides {
        service: Side {
            config: config.clone(),
            certificate: material.client,
            peer: Peer::Service,
        },
        proxy: Side {
            config,
            certificate: None,
            peer: Peer::Proxy,
        },
    })
}

/// TLS 1.2 and 1.3, with ring; ALPN offers HTTP/1.1 alone (protocol notes, section 2).
fn client_config(roots: RootCertStore) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // There is a minute between two connects. And a resumed session would not ask for the certificate, of which we would not know then
    // whether it is still the one that was shown.
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl Side {
    /// TLS with `host` over `io`, as part of a connect that may take `limit`.
    ///
    /// # Errors
    /// What failed, in words that say what to mend. Nothing but the handshake has gone out.
    pub(super) async fn handshake<Io>(&self, host: &Host, io: Io, limit: Duration) -> Result<TlsStream<Io>, String>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(host)?;
        let ours = Arc::new(Ours {
            certificate: self.certificate.clone(),
            asked: AtomicBool::new(false),
        });
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = ours.clone();
        let connected = match TlsConnector::from(Arc::new(config)).connect(name, io).await {
            Ok(stream) if ours.was_asked() => heard_out(stream, LONGEST_VERDICT.min(limit / 10)).await,
            connected => connected,
        };
        connected.map_err(|error| describe(&error, self.peer, ours.shown()))
    }
}

/// In TLS 1.3 our half of the handshake is over before the server has seen our certificate: what it says to it is waited for, so that a
/// refusal is one of the connection, and not of a request.
async fn heard_out<Io>(mut stream: TlsStream<Io>, limit: Duration) -> io::Result<TlsStream<Io>>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(stream);
    }
    let verdict = poll_fn(|cx| {
        let is_over = Pin::new(&mut stream).poll_fill_buf(cx).map_ok(<[u8]>::is_empty);
        // It gives tickets only to who is let in.
        let is_let_in = stream.get_ref().1.tls13_tickets_received() > 0;
        match is_over {
            // Whatever comes after that is for the request to find out.
            _ if is_let_in => Poll::Ready(Ok(())),
            Poll::Ready(Ok(true)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(false)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    });
    let verdict: Result<io::Result<()>, _> = timeout(limit, verdict).await;
    verdict.unwrap_or(Ok(())).map(|()| stream)
}

/// What one connection shows, and whether it was asked to.
#[derive(Debug)]
struct Ours {
    certificate: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Ours {
    fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    fn shown(&self) -> OurCertificate {
        match (self.was_asked(), &self.certificate) {
            (false, _) => OurCertificate::NotAskedFor,
            (true, None) => OurCertificate::Missing,
            (true, Some(_)) => OurCertificate::Shown,
        }
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|error| format!("{name} cannot be the name in a certificate: {error}")),
        Host::Ipv4(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
