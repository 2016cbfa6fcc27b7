//! Secrets: where they are, how they are read, and what makes one unfit. Promise: no message, `Debug` or `Display` holds one.
//!
//! A secret ends up in an HTTP header or form, so it must be visible ASCII: nothing that is read here can add a header of its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::resolved::SecretSource;

/// An access token has a few KB; nothing that is a secret has more than this.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Why there is no secret. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file cannot be a secret.
    #[error("the secret file {} {flaw}", path.display())]
    UnfitFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with the content.
        flaw: SecretFlaw,
    },
    /// What the configuration holds cannot be a secret.
    #[error("the secret in the configuration {0}")]
    UnfitInline(SecretFlaw),
}

/// What is wrong with a secret; completes "KEY: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFlaw {
    /// There is nothing.
    #[error("is empty; put the secret into it")]
    Empty,
    /// There is more than any secret has.
    #[error("is longer than {MAX_SECRET_BYTES} bytes, which no secret is")]
    TooLong,
    /// There is white space, a control character, or something beyond ASCII.
    #[error(
        "holds white space, a control character or a character beyond ASCII; it must hold the secret alone, on one line"
    )]
    Unprintable,
    /// It should be `user:password` and has no colon.
    #[error("has no colon; write user:password on one line")]
    NoColon,
    /// It is `user:password` with a control character, such as a second line.
    #[error("holds a control character; write user:password alone, on one line")]
    Control,
    /// It is a value that stands on one line, with a control character, such as a second line.
    #[error("holds a control character, such as a second line; it must hold the value alone, on one line")]
    SecondLine,
    /// It is no text at all.
    #[error("is not UTF-8 text; it must hold the secret alone, on one line")]
    NotText,
}

impl SecretSource {
    /// The secret as it is now. A file is read anew each time, because secrets are rotated; one line break at its end is not part
    /// of it. Blocks for as long as the file system does.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.read_as(check)
    }

    /// The same for `user:password`, which is sent in base64 and so may hold blanks and characters beyond ASCII.
    pub fn read_user_and_password(&self) -> Result<SecretString, SecretError> {
        self.read_as(check_user_and_password)
    }

    fn read_as(&self, check: impl Fn(&str) -> Result<(), SecretFlaw>) -> Result<SecretString, SecretError> {
        match self {
            Self::Inline(secret) => {
                check(secret.expose_secret()).map_err(SecretError::UnfitInline)?;
                Ok(secret.clone())
            }
            Self::File(path) => read_file(path, check),
        }
    }
}

/// Whether a text can be a secret.
pub(super) fn check(text: &str) -> Result<(), SecretFlaw> {
    if text.is_empty() {
        Err(SecretFlaw::Empty)
    } else if text.len() as u64 > MAX_SECRET_BYTES {
        Err(SecretFlaw::TooLong)
    } else if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(SecretFlaw::Unprintable)
    }
}

/// Whether a text can be `user:password`: the user has no colon (the first one ends it), and neither has control characters
/// (RFC 7617, section 2).
pub(super) fn check_user_and_password(text: &str) -> Result<(), SecretFlaw> {
    if text.is_empty() {
        Err(SecretFlaw::Empty)
    } else if text.len() as u64 > MAX_SECRET_BYTES {
        Err(SecretFlaw::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(SecretFlaw::Control)
    } else if text.contains(':') {
        Ok(())
    } else {
        Err(SecretFlaw::NoColon)
    }
}

/// Whether a text can be the value of a librdkafka property: of one line, unless the property is a key or a certificate in PEM.
pub(super) fn check_property(text: &str, is_pem: bool) -> Result<(), SecretFlaw> {
    if text.is_empty() {
        Err(SecretFlaw::Empty)
    } else if text.len() as u64 > MAX_SECRET_BYTES {
        Err(SecretFlaw::TooLong)
    } else if text
        .chars()
        .any(|c| c.is_control() && !(is_pem && "\r\n\t".contains(c)))
    {
        Err(SecretFlaw::SecondLine)
    } else {
        Ok(())
    }
}

/// Where the file `name` is (a secret, or one for TLS): as it says if it is absolute, else in the directory that the service manager gave, else beside the
/// configuration. The error says where it was looked for.
pub(super) fn locate(name: &str, credentials_directory: Option<&Path>, base_dir: &Path) -> Result<PathBuf, String> {
    let name = Path::new(name);
    let places: Vec<PathBuf> = if name.is_absolute() {
        vec![name.to_owned()]
    } else {
        credentials_directory
            .into_iter()
            .chain([base_dir])
            .map(|directory| directory.join(name))
            .collect()
    };
    // `metadata` fails on what is not there and on what we may not look at; only the first means "look elsewhere".
    let missing = |path: &Path| {
        path.metadata()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    places.iter().find(|path| !missing(path)).cloned().ok_or_else(|| {
        let tried = places
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(" nor ");
        format!("there is no such file ({tried}); create it, readable by the daemon alone")
    })
}

/// Whether everybody on the machine may read a file.
pub(super) fn is_readable_by_all(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Up to one byte more than `limit` bytes of a regular file. Anything else is not opened: a pipe would block.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file holds, without one line break at its end, if `check` has nothing against it.
pub(super) fn read_file(
    path: &Path,
    check: impl Fn(&str) -> Result<(), SecretFlaw>,
) -> Result<SecretString, SecretError> {
    let unfit = |flaw| SecretError::UnfitFile {
        path: path.to_owned(),
        flaw,
    };
    // Two more for the line break that is not part of it.
    let bytes = read_bounded(path, MAX_SECRET_BYTES + 2).map_err(|source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|_| unfit(SecretFlaw::NotText))?;
    let secret = text
        .strip_suffix('\n')
        .map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    check(secret).map_err(unfit)?;
    Ok(SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path)
            .read()
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| {
                error
                    .to_string()
                    .replace(&directory.path().display().to_string(), "DIR")
            })
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_a_secret() {
        for content in ["hush", "hush\n", "hush\r\n"] {
            assert_eq!(read(content.as_bytes()).as_deref(), Ok("hush"), "{content:?}");
        }
        assert_eq!(
            read(&vec![b'x'; MAX_SECRET_BYTES as usize]).map(|secret| secret.len()),
            Ok(MAX_SECRET_BYTES as usize)
        );
    }

    #[test]
    fn an_unfit_secret_is_refused_with_its_file_and_without_its_content() {
        for (content, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hush\n\n", "on one line"),
            (b"hush\r\nX-Evil: hush", "on one line"),
            (b"Bearer hush", "on one line"),
            (b" hush", "on one line"),
            (b"hush\0", "on one line"),
            (b"hush\xff", "on one line"),
            ("hüsh".as_bytes(), "on one line"),
            (&vec![b'h'; MAX_SECRET_BYTES as usize + 1], "longer than"),
            (&vec![b'h'; MAX_SECRET_BYTES as usize * 2], "longer than"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.starts_with("the secret file DIR/secret "), "{error}");
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("hush") && !error.contains("hhh"), "{error}");
        }
    }

    #[test]
    fn an_inline_secret_is_held_to_the_same() {
        assert_eq!(
            SecretSource::Inline("hush".into()).read().unwrap().expose_secret(),
            "hush"
        );
        for bad in ["", "hush\r\nX-Evil: 1", "hush\n"] {
            let error = SecretSource::Inline(bad.into()).read().unwrap_err();
            assert!(matches!(error, SecretError::UnfitInline(_)), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_user_and_password_may_hold_blanks_and_more_than_one_colon_and_no_second_line() {
        let read = |text: &str| {
            let read = SecretSource::Inline(text.into()).read_user_and_password();
            read.map(|secret| secret.expose_secret().to_owned())
        };
        for fit in ["user:hush", "user:", ":hush", "u ser:h\u{fc}sh: hush"] {
            assert_eq!(read(fit).unwrap(), fit);
        }
        for (unfit, why) in [
            ("", "is empty"),
            ("hush", "has no colon"),
            ("user:hush\nuser:hush", "on one line"),
            ("user:hush\r\nX-Evil: 1", "on one line"),
            ("user:hush\0", "on one line"),
            ("user:hush\u{85}", "on one line"),
        ] {
            let error = read(unfit).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proxy");
        std::fs::write(&path, "user:hush hush\r\n").unwrap();
        let secret = SecretSource::File(path).read_user_and_password().unwrap();
        assert_eq!(secret.expose_secret(), "user:hush hush");
    }

    #[test]
    fn a_file_that_is_not_there_and_one_that_is_no_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let missing = SecretSource::File(directory.path().join("gone")).read().unwrap_err();
        assert!(missing.to_string().contains("gone cannot be read: "), "{missing}");
        let no_file = SecretSource::File(directory.path().to_owned()).read().unwrap_err();
        assert!(no_file.to_string().ends_with("it is not a regular file"), "{no_file}");
    }

    #[test]
    fn a_secret_file_is_looked_for_at_the_service_manager_first() {
        let [given, base] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let locate = || super::locate("secret", Some(given.path()), base.path());
        let error = locate().unwrap_err();
        for directory in [&given, &base] {
            assert!(
                error.contains(&directory.path().join("secret").display().to_string()),
                "{error}"
            );
        }
        std::fs::write(base.path().join("secret"), "hush").unwrap();
        assert_eq!(locate(), Ok(base.path().join("secret")));
        std::fs::write(given.path().join("secret"), "hush").unwrap();
        assert_eq!(locate(), Ok(given.path().join("secret")));
        let absolute = base.path().join("secret");
        assert_eq!(
            super::locate(absolute.to_str().unwrap(), Some(given.path()), base.path()),
            Ok(absolute.clone())
        );
    }
}
