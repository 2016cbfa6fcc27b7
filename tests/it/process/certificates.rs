//! The files of `[upstream.tls]`, as `livestreamd check` sees them.

use std::os::unix::fs::PermissionsExt as _;

use super::child::{Ended, Livestreamd, Scratch, path};
use crate::support::certificates::Authority;

fn check(scratch: &Scratch, keys: &str) -> Ended {
    let text = format!(
        "[upstream.tls]\n{keys}\n[credentials.default]\nclient_id = \"client\"\nclient_secret = \"hush\"\n\
         [streams.web]\nurl = \"https://livestream.adobe.net/api/1/stream/web\"\n"
    );
    let config = scratch.write("livestreamd.toml", &text);
    Livestreamd::run(scratch, &["check", "--config", path(&config)], &[])
}

const ALL: &str = "ca_file = \"ca.pem\"\nclient_certificate_file = \"client.pem\"\nclient_key_file = \"client.key\"";

#[test]
fn good_files_are_shown_with_how_long_they_are_valid() {
    let (scratch, authority) = (Scratch::new(), Authority::new("own"));
    let (certificate, key) = authority.client();
    scratch.write("ca.pem", authority.pem());
    scratch.write("client.pem", &certificate);
    let key_file = scratch.write("client.key", &key);
    let ended = check(&scratch, ALL);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    for told in [
        "\ntls           trusts the authorities of this machine and of ",
        "\n              shows the certificate ",
        "\nupstream.tls.ca_file: 1 certificate, valid until ",
        "\nupstream.tls.client_certificate_file: 1 certificate, valid until ",
    ] {
        assert!(ended.stdout.contains(told), "{told:?}: {}", ended.stdout);
    }
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = check(&scratch, ALL);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with("warning: upstream.tls.client_key_file: everybody on this machine may read "),
        "{ended:?}"
    );
}

#[test]
fn every_file_that_is_of_no_use_is_named_with_the_reason() {
    let (scratch, authority) = (Scratch::new(), Authority::new("own"));
    let (certificate, _) = authority.client();
    let (_, other_key) = authority.client();
    let ca_file = scratch.write("ca.pem", "nothing");
    scratch.write("client.pem", &certificate);
    let key_file = scratch.write("client.key", &other_key);
    let ended = check(&scratch, ALL);
    assert_eq!(ended.code, 78, "{ended:?}");
    for (key, file, says) in [
        ("ca_file = \"ca.pem\"", &ca_file, "holds no certificate"),
        (
            "client_key_file = \"client.key\"",
            &key_file,
            "holds a key that does not fit",
        ),
    ] {
        let told = format!("upstream.tls.{key}: {} {says}", path(file));
        assert!(ended.stderr.contains(&told), "{told}: {}", ended.stderr);
    }
    let key_text = other_key.lines().nth(1).unwrap();
    assert!(
        !ended.stderr.contains(key_text) && !ended.stdout.contains(key_text),
        "{ended:?}"
    );
}
