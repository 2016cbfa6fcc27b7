//! Certificates for tests: an authority, and what it issues.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Issues certificates.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority's own certificate, with the name of a server in it: what `openssl req -x509` makes.
    pub(crate) fn self_signed_server(name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Issued::new(&params.self_signed(&key).unwrap(), key)
    }

    /// Valid from yesterday on for some hundred days.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let now = SystemTime::now();
        self.issue_for(names, now - DAY, now + 300 * DAY)
    }

    pub(crate) fn issue_for(&self, names: &[&str], from: SystemTime, until: SystemTime) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (from.into(), until.into());
        let key = KeyPair::generate().unwrap();
        Issued::new(&params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A self-signed certificate of X.509 version 1, for `old.example`.
pub(crate) const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBKDCBzwIUf4cAPC1V3mWWHAiAa+RVw44SwJEwCgYIKoZIzj0EAwIwFjEUMBIG
A1UEAwwLb2xkLmV4YW1wbGUwIBcNMjYxMTIxMTcwMzU3WhgPMjEyNjEwMjgxNzAz
NTdaMBYxFDASBgNVBAMMC29sZC5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAE/DAp93brdt4elbtk4Z4kb5tUn3o7RyU/NRYUO5Ly2ZPoCWsUyuLw/Zlr
vJIuny3fE8FsGOwWuzDZWeLUIC21UDAKBggqhkjOPQQDAgNIADBFAiEAvkUKJQZD
BPxoDKxwc9V18JsWFQZFPyZaVo2BwyK5eXQCIClSufdQu0egjge04emdrCecODD5
9XddoRQJURHy8/3S
-----END CERTIFICATE-----
";

impl Issued {
    fn new(certificate: &Certificate, key: KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

/// Writes a file that only we may read.
pub(crate) fn write(directory: &Path, name: &str, content: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}
