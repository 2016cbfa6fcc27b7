//! `[upstream.tls]`: whom TLS trusts besides the machine's own authorities, and what we show to a server that asks who we are.
//!
//! The files are read when the configuration is, so that faults are told together with all others; and again while the daemon runs
//! ([`TlsSettings::read`]), because certificates are rotated. There is no key that switches verification off.

mod pem;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::fault::{Report, Reported};
use super::resolve::Surroundings;
use super::secret::{is_readable_by_all, locate, read_bounded};
use super::tree::{Found, Maybe, Section};
use pem::Flaw;

/// The authorities of a whole machine have a quarter of this.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

const CA_FILE: &str = "ca_file";
const CERTIFICATE_FILE: &str = "client_certificate_file";
const KEY_FILE: &str = "client_key_file";

/// Files for TLS towards the service, the token endpoint and proxies (`[upstream.tls]`). By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// `ca_file`: authorities that are trusted besides those of the machine.
    pub ca_file: Option<PathBuf>,
    /// What is shown to a server that asks.
    pub client: Option<ClientFiles>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// `client_certificate_file`: the certificate first, then those that lead to its authority.
    pub certificate: PathBuf,
    /// `client_key_file`; may be the same file.
    pub key: PathBuf,
}

/// The files as they were read: not yet looked into.
pub struct TlsFiles {
    ca: Option<Named>,
    client: Option<(Named, Named)>,
}

/// What is in the files. Its `Debug` shows no key.
#[derive(Clone, Debug, Default)]
pub struct TlsMaterial {
    /// Authorities that are trusted besides those of the machine.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The client certificate with its key.
    pub client: Option<Arc<CertifiedKey>>,
}

/// Why a file is of no use. Names it, and never repeats what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {problem}", path.display())]
pub struct TlsFileError {
    path: PathBuf,
    problem: String,
}

struct Named {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TlsSettings {
    /// Reads the files as they are now. Blocks for as long as the file system does.
    pub fn read(&self) -> Result<TlsFiles, TlsFileError> {
        let ca = self.ca_file.as_deref().map(Named::read).transpose()?;
        let client = match &self.client {
            Some(files) => Some((Named::read(&files.certificate)?, Named::read(&files.key)?)),
            None => None,
        };
        Ok(TlsFiles { ca, client })
    }

    /// Whether there are files at all.
    pub const fn is_empty(&self) -> bool {
        self.ca_file.is_none() && self.client.is_none()
    }

    /// What is in the files now, a line for each, for people to read. Blocks for as long as the file system does.
    pub fn contents(&self) -> Vec<String> {
        let certificates = self.client.as_ref().map(|client| &client.certificate);
        [(CA_FILE, self.ca_file.as_ref()), (CERTIFICATE_FILE, certificates)]
            .into_iter()
            .filter_map(|(key, path)| Some((key, path?)))
            .map(|(key, path)| {
                // An old authority need not be a certificate that could be shown.
                let found = Named::read(path).and_then(|file| match key {
                    CA_FILE => file.authorities(),
                    _ => file.certificates(),
                });
                let listed = found.map(|found| listed(&found));
                let listed = listed.unwrap_or_else(|error| error.to_string());
                format!("upstream.tls.{key}: {listed}")
            })
            .collect()
    }
}

impl TlsFiles {
    /// Tells whether the files hold what they held before, without keeping a key to compare with.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        for file in self.ca.iter().chain(client) {
            hash.update((file.bytes.len() as u64).to_le_bytes());
            hash.update(&file.bytes);
        }
        hash.finalize().into()
    }

    /// Looks into the files.
    pub fn parse(self) -> Result<TlsMaterial, TlsFileError> {
        let authorities = self.ca.as_ref().map(Named::authorities).transpose()?;
        let client = match &self.client {
            Some((certificate, key)) => Some(key.identity(certificate.certificates()?)?),
            None => None,
        };
        Ok(TlsMaterial {
            authorities: authorities.unwrap_or_default(),
            client,
        })
    }
}

impl Named {
    fn read(path: &Path) -> Result<Self, TlsFileError> {
        let bytes = read_bounded(path, MAX_FILE_BYTES).and_then(|bytes| {
            if bytes.len() as u64 > MAX_FILE_BYTES {
                Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"))
            } else {
                Ok(bytes)
            }
        });
        match bytes {
            Ok(bytes) => Ok(Self {
                path: path.to_owned(),
                bytes,
            }),
            Err(error) => Err(TlsFileError {
                path: path.to_owned(),
                problem: format!("cannot be read: {error}"),
            }),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        pem::certificates(&self.bytes).map_err(|flaw| self.error(&flaw))
    }

    fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
        pem::authorities(&self.bytes).map_err(|flaw| self.error(&flaw))
    }

    fn identity(&self, chain: Vec<CertificateDer<'static>>) -> Result<Arc<CertifiedKey>, TlsFileError> {
        pem::identity(chain, &self.bytes).map_err(|flaw| self.error(&flaw))
    }

    fn error(&self, flaw: &Flaw) -> TlsFileError {
        TlsFileError {
            path: self.path.clone(),
            problem: flaw.to_string().replace("FILE", &self.path.display().to_string()),
        }
    }
}

/// The path alone: what is in it may be a key.
impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.path).finish()
    }
}

/// Takes `[upstream.tls]`.
pub(super) fn take(upstream: &mut Section<'_>, around: &Surroundings) -> Result<TlsSettings, Reported> {
    upstream.section("tls", |section| {
        let authorities = file(section, CA_FILE, around, Named::authorities);
        let chain = file(section, CERTIFICATE_FILE, around, Named::certificates);
        let key = file(section, KEY_FILE, around, |_| Ok(()));
        if let Ok(Some(authorities)) = &authorities {
            warn_of_age(authorities, section.report);
        }
        if let Ok(Some(chain)) = &chain {
            warn_of_age(chain, section.report);
        }
        if let Ok(Some(key)) = &key {
            warn_if_open(key, section.report);
        }
        let client = client(chain?, key?, section);
        Ok(TlsSettings {
            ca_file: authorities?.map(|found| found.value.0.path),
            client: client?,
        })
    })
}

/// A certificate and its key, or neither.
fn client(
    chain: Option<Found<(Named, Vec<CertificateDer<'static>>)>>,
    key: Option<Found<(Named, ())>>,
    section: &mut Section<'_>,
) -> Result<Option<ClientFiles>, Reported> {
    match (chain, key) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            let problem = format!(
                "is missing; set it to the key that belongs to {CERTIFICATE_FILE} (the same file, if that holds both)"
            );
            Err(section.report.fault(&section.absent(KEY_FILE), None, problem))
        }
        (None, Some(_)) => {
            let problem = format!("is missing; set it to the certificate that belongs to {KEY_FILE}, or remove that");
            Err(section.report.fault(&section.absent(CERTIFICATE_FILE), None, problem))
        }
        (Some(chain), Some(key)) => {
            let (certificate, chain) = chain.value;
            match key.value.0.identity(chain) {
                Ok(_) => Ok(Some(ClientFiles {
                    certificate: certificate.path,
                    key: key.value.0.path,
                })),
                Err(error) => Err(key.fault(section.report, error.to_string())),
            }
        }
    }
}

/// The file that `key` names, and what `look` finds in it.
fn file<T>(
    section: &mut Section<'_>,
    key: &'static str,
    around: &Surroundings,
    look: impl FnOnce(&Named) -> Result<T, TlsFileError>,
) -> Maybe<(Named, T)> {
    section.parsed(key, "text in quotes", |name| {
        let path = locate(name, around.credentials_directory.as_deref(), &around.base_dir)?;
        let file = Named::read(&path).map_err(|error| error.to_string())?;
        let found = look(&file).map_err(|error| error.to_string())?;
        Ok((file, found))
    })
}

/// What is to be said of how long the certificates in a file are valid. Nothing if they cannot be made out.
pub(super) fn warnings_of_age(bytes: &[u8], path: &Path) -> Vec<String> {
    let now = SystemTime::now();
    let certificates = pem::authorities(bytes).unwrap_or_default();
    warnings(&certificates, path, now).collect()
}

fn warnings(certificates: &[CertificateDer<'_>], path: &Path, now: SystemTime) -> impl Iterator<Item = String> {
    certificates.iter().enumerate().filter_map(move |(index, certificate)| {
        let warning = pem::validity(certificate)?.warning(now)?;
        Some(format!("certificate {} of {} {warning}", index + 1, path.display()))
    })
}

fn warn_of_age(found: &Found<(Named, Vec<CertificateDer<'static>>)>, report: &mut Report) {
    let (file, certificates) = &found.value;
    for message in warnings(certificates, &file.path, SystemTime::now()) {
        report.warn(found.place.key.as_str(), message);
    }
}

fn warn_if_open(found: &Found<(Named, ())>, report: &mut Report) {
    let path = &found.value.0.path;
    if is_readable_by_all(path) {
        let message = format!(
            "everybody on this machine may read {}; take that away with chmod o-r",
            path.display()
        );
        report.warn(found.place.key.as_str(), message);
    }
}

/// How many there are, and which of them ends first.
fn listed(certificates: &[CertificateDer<'_>]) -> String {
    let number = match certificates.len() {
        1 => "1 certificate".to_owned(),
        number => format!("{number} certificates"),
    };
    match certificates
        .iter()
        .filter_map(|certificate| pem::validity(certificate))
        .min()
    {
        Some(first) if certificates.len() > 1 => format!("{number}, the first to expire on {first}"),
        Some(first) => format!("{number}, valid until {first}"),
        None => number,
    }
}
