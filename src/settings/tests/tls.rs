//! `[upstream.tls]`: its files are found, looked into, and never shown.

use std::time::SystemTime;

use super::*;
use crate::settings::tls::testing::{Authority, DAY, write};
use crate::settings::{ClientFiles, TlsSettings, summary};

/// A directory with files as they should be.
struct Files {
    directory: tempfile::TempDir,
    authority: Authority,
    key: String,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new("a"),
            key: String::new(),
        };
        let issued = files.authority.issue(&["client.example"]);
        files.write("ca.pem", &files.authority.pem);
        files.write("client.pem", &format!("{}{}", issued.pem, files.authority.pem));
        files.write("client.key", &issued.key_pem());
        let key = issued.key_pem().lines().nth(1).unwrap().to_owned();
        Self { key, ..files }
    }

    fn write(&self, name: &str, content: &str) -> std::path::PathBuf {
        write(self.directory.path(), name, content)
    }

    fn load(&self, keys: &str, env: &[(&str, &str)]) -> Result<Loaded, Faults> {
        let text = with(&format!("[upstream.tls]\n{keys}"));
        load_str(&text, Format::Toml, variables(env), self.directory.path())
    }

    /// The one fault of these keys.
    fn fault(&self, keys: &str) -> (String, String) {
        let faults = self.load(keys, &[]).unwrap_err();
        let all: Vec<_> = faults.iter().collect();
        let [fault] = all[..] else { panic!("{faults}") };
        assert!(!faults.to_string().contains(&self.key), "{faults}");
        (fault.key().to_owned(), faults.to_string())
    }
}

const ALL: &str = "ca_file = \"ca.pem\"\nclient_certificate_file = \"client.pem\"\nclient_key_file = \"client.key\"\n";

#[test]
fn the_files_stand_in_upstream_tls_and_are_found_as_secret_files_are() {
    let files = Files::new();
    let loaded = files.load(ALL, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let at = |name: &str| files.directory.path().join(name);
    let expected = TlsSettings {
        ca_file: Some(at("ca.pem")),
        client: Some(ClientFiles {
            certificate: at("client.pem"),
            key: at("client.key"),
        }),
    };
    assert_eq!(loaded.settings.tls, expected);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let material = loaded.settings.tls.read().unwrap().parse().unwrap();
    assert_eq!(material.authorities, std::slice::from_ref(&files.authority.certificate));
    assert_eq!(material.client.as_ref().unwrap().cert.len(), 2);
    let printed = format!(
        "{loaded:?} {material:?} {} {:?}",
        summary(&loaded.settings),
        loaded.settings.tls.contents()
    );
    assert!(
        printed.contains("client.key") && !printed.contains(&files.key),
        "{printed}"
    );

    let given = tempfile::tempdir().unwrap();
    write(given.path(), "ca.pem", &files.authority.pem);
    let directory = given.path().to_str().unwrap();
    let env = [
        ("CREDENTIALS_DIRECTORY", directory),
        ("LIVESTREAMD__UPSTREAM__TLS__CA_FILE", "ca.pem"),
    ];
    let loaded = files.load("", &env).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.settings.tls.ca_file, Some(given.path().join("ca.pem")));
    assert!(settings(&with(""), &[]).tls.is_empty());
}

#[test]
fn what_the_files_hold_is_told() {
    let files = Files::new();
    let loaded = files.load(ALL, &[]).unwrap();
    let [authorities, certificate] = &loaded.settings.tls.contents()[..] else {
        panic!()
    };
    assert!(
        authorities.starts_with("upstream.tls.ca_file: 1 certificate, valid until 4096-"),
        "{authorities}"
    );
    assert!(
        certificate.starts_with("upstream.tls.client_certificate_file: 2 certificates, the first to expire on 20"),
        "{certificate}"
    );
}

#[test]
fn a_file_that_is_of_no_use_is_refused_with_its_name_and_the_reason() {
    let files = Files::new();
    let other = files.authority.issue(&["other.example"]);
    files.write("empty", "");
    files.write("other.key", &other.key_pem());
    files.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    files.write("large", &"x".repeat(1024 * 1024 + 1));
    let pair =
        |certificate: &str, key: &str| format!("client_certificate_file = {certificate:?}\nclient_key_file = {key:?}");
    for (keys, key, names, says) in [
        (
            "ca_file = \"gone\"".to_owned(),
            "ca_file",
            "gone",
            "there is no such file",
        ),
        ("ca_file = \".\"".to_owned(), "ca_file", "", "it is not a regular file"),
        (
            "ca_file = \"empty\"".to_owned(),
            "ca_file",
            "empty",
            "holds no certificate",
        ),
        (
            "ca_file = \"large\"".to_owned(),
            "ca_file",
            "large",
            "larger than 1 MiB",
        ),
        (
            "ca_file = \"client.key\"".to_owned(),
            "ca_file",
            "client.key",
            "holds no certificate",
        ),
        ("ca_file = \"a\\nb\"".to_owned(), "ca_file", "", "control character"),
        ("ca_file = 7".to_owned(), "ca_file", "", "a number stands where text"),
        (
            "client_certificate_file = \"client.pem\"".to_owned(),
            "client_key_file",
            "",
            "is missing",
        ),
        (
            "client_key_file = \"client.key\"".to_owned(),
            "client_certificate_file",
            "",
            "is missing",
        ),
        (
            pair("client.pem", "other.key"),
            "client_key_file",
            "other.key",
            "does not fit the first certificate",
        ),
        (
            pair("client.pem", "client.pem"),
            "client_key_file",
            "client.pem",
            "holds no private key",
        ),
        (
            pair("client.key", "client.key"),
            "client_certificate_file",
            "client.key",
            "holds no certificate",
        ),
        (
            pair("client.pem", "encrypted.key"),
            "client_key_file",
            "encrypted.key",
            &format!(
                "openssl pkey -in {}",
                files.directory.path().join("encrypted.key").display()
            ),
        ),
    ] {
        let (at, told) = files.fault(&keys);
        assert_eq!(at, format!("upstream.tls.{key}"), "{told}");
        assert!(told.contains(names) && told.contains(says), "{told}, not {says}");
    }
}

#[test]
fn there_is_no_key_that_switches_verification_off() {
    let files = Files::new();
    for key in ["verify", "insecure", "skip_verify", "verify_certificate"] {
        let (at, told) = files.fault(&format!("{key} = false"));
        assert_eq!(at, format!("upstream.tls.{key}"));
        assert!(told.contains("is not a known key"), "{told}");
    }
}

#[test]
fn tls_is_for_all_streams_and_refused_in_one() {
    for keys in ["[streams.web.tls]\nca_file = \"ca.pem\"", "tls = true"] {
        assert_refused(
            &with_stream(keys),
            &[],
            "streams.web.tls",
            "stands in [upstream] only, as [upstream.tls]",
        );
    }
    assert_refused(
        &with("[upstream]\ntls = \"ca.pem\""),
        &[],
        "upstream.tls",
        "where the section [upstream.tls] belongs",
    );
    for (variable, key, says) in [
        (
            "LIVESTREAMD__UPSTREAM__TLS",
            "upstream.tls",
            "set one of its keys with LIVESTREAMD__UPSTREAM__TLS__KEY",
        ),
        (
            "LIVESTREAMD__UPSTREAM__TLS__CAFILE",
            "upstream.tls.cafile",
            "did you mean ca_file?",
        ),
    ] {
        assert_refused(&with(""), &[(variable, "x")], key, says);
    }
}

#[test]
fn an_old_certificate_and_an_open_key_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    let now = SystemTime::now();
    let expired = files.authority.issue_for(&["old.example"], now - 90 * DAY, now - DAY);
    files.write("ca.pem", &format!("{}{}", files.authority.pem, expired.pem));
    let soon = files
        .authority
        .issue_for(&["client.example"], now - 90 * DAY, now + 29 * DAY);
    files.write("client.pem", &soon.pem);
    let key = files.write("client.key", &soon.key_pem());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = files.load(ALL, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    for (said, key, says) in [
        (&told[0], "ca_file", "certificate 2 of "),
        (&told[0], "ca_file", "has expired on "),
        (&told[1], "client_certificate_file", "client.pem expires on "),
        (&told[2], "client_key_file", "everybody on this machine may read "),
    ] {
        assert!(
            said.starts_with(&format!("upstream.tls.{key}: ")) && said.contains(says),
            "{told:#?}"
        );
    }
    assert_eq!(told.len(), 3, "{told:#?}");
}
