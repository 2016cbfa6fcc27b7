//! Files of `[kafka]`: properties whose value is the content of a file (`[kafka.property_files]`), and properties of librdkafka whose
//! value names a file, which is found as a secret file is and not in whatever directory the daemon was started in.
//!
//! Promise: no fault repeats what is in a file.

use std::path::{Path, PathBuf};

use config::Value;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::fault::{Place, Report, Reported};
use super::kafka_properties::{canonical, is_secret};
use super::resolve::Surroundings;
use super::secret;
use super::tls;
use super::tree::{plain_text, quoted};

/// The certificates of a whole machine have a quarter of this.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Certificates of authorities. May be a directory, or the word that makes librdkafka look for those of the machine.
    Authorities,
    /// A certificate that is shown.
    Certificate,
    /// A key, or something else that nobody else may read.
    Secret,
    /// Anything else.
    Other,
}

/// How often librdkafka reads a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// When a producer is made.
    Once,
    /// For each token.
    Again,
}

const PROBE: &str = "probe";

/// The properties of librdkafka that name a file which it reads.
const FILES: [(&str, Holds, Read); 9] = [
    ("ssl.ca.location", Holds::Authorities, Read::Once),
    ("ssl.certificate.location", Holds::Certificate, Read::Once),
    ("ssl.key.location", Holds::Secret, Read::Once),
    ("ssl.keystore.location", Holds::Secret, Read::Once),
    ("ssl.crl.location", Holds::Other, Read::Once),
    ("https.ca.location", Holds::Authorities, Read::Again),
    (
        "sasl.oauthbearer.assertion.private.key.file",
        Holds::Secret,
        Read::Again,
    ),
    ("sasl.oauthbearer.assertion.file", Holds::Secret, Read::Again),
    (
        "sasl.oauthbearer.assertion.jwt.template.file",
        Holds::Other,
        Read::Again,
    ),
];

fn kind_of(name: &str) -> Option<(Holds, Read)> {
    let found = FILES.iter().find(|(known, ..)| *known == canonical(name))?;
    Some((found.1, found.2))
}

/// The value of a property of `[kafka.properties]`.
pub(super) struct Named {
    /// The value; if it names a file, its whole path.
    pub(super) text: String,
    /// A hash of what the file holds, if it is one that librdkafka reads once.
    pub(super) content: Option<[u8; 32]>,
}

/// The value `text` of a property, with the file that it names, if it names one.
pub(super) fn named_by(
    name: &str,
    place: &Place,
    text: String,
    around: &Surroundings,
    report: &mut Report,
) -> Result<Named, Reported> {
    let as_it_is = |text| Named { text, content: None };
    let Some((holds, read)) = kind_of(name) else {
        return Ok(as_it_is(text));
    };
    // librdkafka takes an empty text for none.
    if text.is_empty() || (holds == Holds::Authorities && text == PROBE) {
        return Ok(as_it_is(text));
    }
    // Somebody who took it for the property that ends in .pem has put a key here.
    if text.chars().any(char::is_control) {
        let problem = "is no name of a file; what is in a file itself goes into the property that ends in .pem";
        return Err(report.fault(place, None, problem));
    }
    let path = locate(place, &text, around, report)?;
    let located = path.display().to_string();
    if holds == Holds::Authorities && path.is_dir() {
        return Ok(as_it_is(located));
    }
    let bytes = secret::read_bounded(&path, MAX_FILE_BYTES).map_err(|error| {
        let problem = format!("{} cannot be read: {error}", path.display());
        report.fault(place, Some(quoted(&text)), problem)
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display());
        return Err(report.fault(place, Some(quoted(&text)), problem));
    }
    match holds {
        Holds::Secret => warn_if_open(place, &path, report),
        Holds::Authorities | Holds::Certificate => {
            for warning in tls::warnings_of_age(&bytes, &path) {
                report.warn(place.key.as_str(), warning);
            }
        }
        Holds::Other => {}
    }
    Ok(Named {
        text: located,
        content: (read == Read::Once).then(|| Sha256::digest(&bytes).into()),
    })
}

/// The file that stands in `[kafka.property_files]`, and what is in it.
pub(super) fn content(
    name: &str,
    place: &Place,
    value: &Value,
    around: &Surroundings,
    report: &mut Report,
) -> Result<(PathBuf, String), Reported> {
    let text = plain_text(value, "the name of a file, in quotes,").map_err(|why| report.fault(place, None, why))?;
    if kind_of(name).is_some() {
        let problem = "names a file by itself; set it in [kafka.properties]";
        return Err(report.fault(place, Some(quoted(text)), problem));
    }
    // Where the secret itself was put in the place of its file's name, it is not repeated.
    let path = if is_secret(canonical(name)) {
        secret::locate(text, around.credentials_directory.as_deref(), &around.base_dir).map_err(|_| {
            let problem = "there is no file of the name that stands here, neither in $CREDENTIALS_DIRECTORY nor beside the configuration; \
                           create it, readable by the daemon alone";
            report.fault(place, None, problem)
        })?
    } else {
        locate(place, text, around, report)?
    };
    if is_secret(canonical(name)) {
        warn_if_open(place, &path, report);
    }
    let is_pem = Path::new(name).extension().is_some_and(|extension| extension == "pem");
    match secret::read_file(&path, |text| secret::check_property(text, is_pem)) {
        Ok(secret) => Ok((path, secret.expose_secret().to_owned())),
        Err(error) => Err(report.fault(place, Some(quoted(text)), error.to_string())),
    }
}

fn locate(place: &Place, name: &str, around: &Surroundings, report: &mut Report) -> Result<PathBuf, Reported> {
    secret::locate(name, around.credentials_directory.as_deref(), &around.base_dir)
        .map_err(|why| report.fault(place, Some(quoted(name)), why))
}

fn warn_if_open(place: &Place, path: &Path, report: &mut Report) {
    if secret::is_readable_by_all(path) {
        let message = format!(
            "everybody on this machine may read {}; take that away with chmod o-r",
            path.display()
        );
        report.warn(place.key.as_str(), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_that_names_a_file_stands_under_its_one_name() {
        for (name, ..) in FILES {
            assert_eq!(canonical(name), name);
        }
        assert!(kind_of("topic.ssl.key.location").is_some(), "librdkafka takes that too");
        assert!(kind_of("sasl.password").is_none());
    }
}
