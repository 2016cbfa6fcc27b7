//! `[credentials.NAME]`: a client with its secret, or a ready-made token; never both, never half of one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use super::address;
use super::defaults;
use super::fault::{Place, Reported};
use super::resolve::Surroundings;
use super::resolved::{Credential, Grant, SecretSource};
use super::secret::{self, SecretError};
use super::source::Origin;
use super::tree::{Found, Maybe, Section};

/// The credentials by name; a name whose section is faulty is here too, so that nobody says that it is missing.
pub(super) type Credentials = BTreeMap<String, Result<Arc<Credential>, Reported>>;

/// Takes all of `[credentials]`.
pub(super) fn take(root: &mut Section<'_>, around: &Surroundings) -> Credentials {
    root.named("credentials", |name, section| {
        let grant = grant(section, around)?;
        Ok(Arc::new(Credential {
            name: name.to_owned(),
            grant,
        }))
    })
}

fn grant(section: &mut Section<'_>, around: &Surroundings) -> Result<Grant, Reported> {
    let client_id = section.parsed("client_id", "text in quotes", header_word);
    let client_secret = source(section, "client_secret", "client_secret_file", around);
    let scopes = section.list("scopes", scope);
    let token_url = section.parsed("token_url", "text in quotes", address::token_url);
    let token = source(section, "access_token", "access_token_file", around);

    let scopes = match scopes {
        Ok(Some(found)) if found.value.is_empty() => {
            Err(found.fault(section.report, "is empty; name the scopes, or remove the key"))
        }
        scopes => scopes,
    };
    let place = Place::absent(section.path());
    match (client_secret.transpose(), token.transpose()) {
        (Some(_), Some(_)) => {
            let problem = "has both a client secret and an access token; keep one of the two";
            Err(section.report.fault(&place, None, problem))
        }
        (None, None) => {
            let problem = "has no secret; set client_id and client_secret_file (or client_secret), or access_token_file (or \
                           access_token)";
            Err(section.report.fault(&place, None, problem))
        }
        (Some(client_secret), None) => {
            let client_id = match client_id {
                Ok(Some(client_id)) => Ok(client_id.value),
                Ok(None) => {
                    let place = section.absent("client_id");
                    Err(section.report.fault(
                        &place,
                        None,
                        "is missing; set it to the client id that the secret belongs to",
                    ))
                }
                Err(reported) => Err(reported),
            };
            Ok(Grant::Client {
                client_id: client_id?,
                client_secret: client_secret?,
                scopes: scopes?.map_or_else(|| defaults::SCOPES.map(str::to_owned).to_vec(), |found| found.value),
                token_url: token_url?.map_or_else(defaults::token_url, |found| found.value),
            })
        }
        (None, Some(token)) => {
            let scopes = unused(scopes, section);
            let token_url = unused(token_url, section);
            scopes.and(token_url)?;
            Ok(Grant::Token {
                client_id: client_id?.map(|found| found.value),
                token: token?,
            })
        }
    }
}

/// Refuses what only a client has a use for.
fn unused<T>(found: Maybe<T>, section: &mut Section<'_>) -> Result<(), Reported> {
    match found? {
        Some(found) => Err(found.fault(section.report, "is of no use with an access token; remove it")),
        None => Ok(()),
    }
}

/// The secret under `inline`, or in the file that `file` names. A secret file must be there and fit for use now.
pub(super) fn source(
    section: &mut Section<'_>,
    inline: &'static str,
    file: &'static str,
    around: &Surroundings,
) -> Result<Option<SecretSource>, Reported> {
    let secret = section.secret(inline);
    let path = secret_file(section, file, around);
    match (secret?, path?) {
        (None, None) => Ok(None),
        (Some(_), Some(path)) => {
            Err(path.fault(section.report, format!("{inline} is set as well; keep one of the two")))
        }
        (Some(secret), None) => {
            if secret.place.origin == Origin::File {
                around.warn_of_secret(secret.place.key, section.report);
            }
            Ok(Some(SecretSource::Inline(secret.value)))
        }
        (None, Some(path)) => fit_for_use(&path, SecretSource::read, section).map(Some),
    }
}

/// The secret file that `key` names, which must be there.
pub(super) fn secret_file(section: &mut Section<'_>, key: &'static str, around: &Surroundings) -> Maybe<PathBuf> {
    section.parsed(key, "text in quotes", |name| {
        secret::locate(name, around.credentials_directory.as_deref(), &around.base_dir)
    })
}

/// A secret file whose content can be read now and is what it should be. Warns if everybody may read it.
pub(super) fn fit_for_use(
    path: &Found<PathBuf>,
    read: impl FnOnce(&SecretSource) -> Result<SecretString, SecretError>,
    section: &mut Section<'_>,
) -> Result<SecretSource, Reported> {
    if secret::is_readable_by_all(&path.value) {
        let message = format!(
            "everybody on this machine may read {}; take that away with chmod o-r",
            path.value.display()
        );
        section.report.warn(path.place.key.as_str(), message);
    }
    let source = SecretSource::File(path.value.clone());
    match read(&source) {
        Ok(_) => Ok(source),
        Err(error) => Err(path.fault(section.report, error.to_string())),
    }
}

/// Goes into a header as it is.
fn header_word(text: &str) -> Result<String, String> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("goes into a header, so it must be ASCII without white space".to_owned())
    }
}

/// Scopes are sent with commas between them (protocol notes, section 7).
fn scope(text: &str) -> Result<String, String> {
    if text.contains([',', ' ']) {
        Err("holds a comma or a space; write each scope as an item of its own".to_owned())
    } else {
        header_word(text)
    }
}
