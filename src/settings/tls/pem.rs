//! What a PEM file holds: certificates, a private key, and for how long they are valid. Pure: bytes in, words for people out.
//!
//! Promise: no error repeats anything of a file, which may be a key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as SyntaxError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};

/// Past the last year that a certificate can name.
const END_OF_TIME: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_800));
/// A certificate that ends within this time is warned of: time enough to have a new one issued.
const SOON: Duration = Duration::from_hours(30 * 24);

/// What is wrong with a file; completes "FILE ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// There is no certificate.
    #[error(
        "holds no certificate; it must be PEM, with -----BEGIN CERTIFICATE----- (openssl x509 -inform der -in FILE turns DER into that)"
    )]
    NoCertificate,
    /// There is no private key.
    #[error("holds no private key; it must be PEM, with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// There is a private key, but nobody to type its pass phrase.
    #[error(
        "holds an encrypted key, and nobody is there to type its pass phrase; decrypt it with: openssl pkey -in FILE -out DECRYPTED"
    )]
    EncryptedKey,
    /// It is no PEM.
    #[error("{0}; write it anew")]
    Syntax(&'static str),
    /// A certificate cannot be used.
    #[error("cannot be used: certificate {number} in it is not valid ({why})")]
    BadCertificate {
        /// Counted from 1.
        number: usize,
        /// In rustls' words.
        why: String,
    },
    /// A key cannot be used.
    #[error("holds a private key of a kind that cannot be used; RSA from 2048 bits, P-256, P-384 and Ed25519 can")]
    BadKey,
    /// The key belongs to another certificate.
    #[error(
        "holds a key that does not fit the first certificate of client_certificate_file; name the pair that belongs together"
    )]
    OtherKey,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Validity {
    pub(super) until: SystemTime,
    pub(super) from: SystemTime,
}

/// All certificates of a file; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found = sections(pem)?;
    for (index, certificate) in found.iter().enumerate() {
        ParsedCertificate::try_from(certificate).map_err(|error| bad_certificate(index, &error))?;
    }
    Ok(found)
}

/// All certificates of a file, each of which can be the end of a chain of trust; at least one.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found = sections(pem)?;
    for (index, certificate) in found.iter().enumerate() {
        // Old ones of X.509 version 1 may be this, and nothing else.
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| bad_certificate(index, &error))?;
    }
    Ok(found)
}

fn sections(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Flaw::NoCertificate),
        Ok(found) => Ok(found),
        Err(error) => Err(syntax(&error)),
    }
}

/// The private key of `key_pem`, for the certificates of another file (or of the same).
pub(super) fn identity(chain: Vec<CertificateDer<'static>>, key_pem: &[u8]) -> Result<Arc<CertifiedKey>, Flaw> {
    let key = match PrivateKeyDer::from_pem_slice(key_pem) {
        Ok(key) => key,
        Err(_) if is_encrypted(key_pem) => return Err(Flaw::EncryptedKey),
        Err(SyntaxError::NoItemsFound) => return Err(Flaw::NoKey),
        Err(error) => return Err(syntax(&error)),
    };
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(identity) => Ok(Arc::new(identity)),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Flaw::OtherKey),
        Err(_) => Err(Flaw::BadKey),
    }
}

/// From when until when a certificate is valid; `None` if it does not say so in a way that rustls understands.
///
/// rustls tells it only when it refuses a certificate for it, so it is asked about a time before all others and one after.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let at = |time| {
        let nobody = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, &[]) {
            Err(Error::InvalidCertificate(refused)) => Some(refused),
            Ok(()) | Err(_) => None,
        }
    };
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    // Whatever else it says at that time: the certificate is from 1970 or before.
    let from = if let CertificateError::NotValidYetContext { not_before, .. } = at(epoch)? {
        not_before
    } else {
        epoch
    };
    let CertificateError::ExpiredContext { not_after, .. } = at(END_OF_TIME)? else {
        return None;
    };
    let wall = |time: UnixTime| SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
    Some(Validity {
        until: wall(not_after),
        from: wall(from),
    })
}

impl Validity {
    /// What an operator should know about it now, if anything; completes "certificate 1 of FILE ".
    pub(super) fn warning(self, now: SystemTime) -> Option<String> {
        if self.until <= now {
            Some(format!("has expired on {self}; put a new one there"))
        } else if self.until <= now + SOON {
            Some(format!("expires on {self}; have a new one issued in time"))
        } else if now < self.from {
            let from = humantime::format_rfc3339_seconds(self.from);
            Some(format!(
                "is not valid before {from}; is the clock of this machine right?"
            ))
        } else {
            None
        }
    }
}

/// Its end.
impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.until).fmt(f)
    }
}

fn bad_certificate(index: usize, error: &Error) -> Flaw {
    let why = error.to_string();
    Flaw::BadCertificate {
        number: index + 1,
        // The one that is met with: what `openssl x509 -req` makes unless told otherwise.
        why: if why.contains("UnsupportedCertVersion") {
            "it is of X.509 version 1: have it issued as version 3".to_owned()
        } else {
            why
        },
    }
}

/// Said in our own words: rustls repeats lines.
fn syntax(error: &SyntaxError) -> Flaw {
    Flaw::Syntax(if matches!(error, SyntaxError::MissingSectionEnd { .. }) {
        "breaks off before an -----END line"
    } else if matches!(error, SyntaxError::IllegalSectionStart { .. }) {
        "has a -----BEGIN line that is not whole"
    } else if matches!(error, SyntaxError::Base64Decode(_)) {
        "holds something that is not base64"
    } else {
        "is not PEM that can be read"
    })
}

/// In the format of today, or in the older one of OpenSSL.
fn is_encrypted(pem: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pem);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
