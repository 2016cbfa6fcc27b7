//! `[admin]`: where it listens, the token that goes with it, and the names it goes by.

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::settings::{AdminListen, AdminSettings, SecretSource, load, summary};

fn admin(keys: &str) -> AdminSettings {
    settings(&with(&format!("[admin]\n{keys}")), &[]).admin
}

fn refused(keys: &str, key: &str, says: &str) {
    assert_refused(&with(&format!("[admin]\n{keys}")), &[], key, says);
}

#[test]
fn it_listens_on_an_address_a_socket_or_nowhere() {
    for (listen, shown) in [
        ("127.0.0.1:9600", "http://127.0.0.1:9600/, without a token\n"),
        ("[::1]:0", "http://[::1]:0/, without a token\n"),
        (
            "[::ffff:127.0.0.1]:1",
            "http://[::ffff:127.0.0.1]:1/, without a token\n",
        ),
        (
            "unix:/run/livestreamd/admin.sock",
            "unix:/run/livestreamd/admin.sock, without a token\n",
        ),
        ("off", "off\n"),
    ] {
        let settings = settings(&with(&format!("[admin]\nlisten = {listen:?}")), &[]);
        assert_eq!(settings.admin.listen.to_string(), listen);
        let summary = summary(&settings);
        assert!(summary.contains(&format!("admin         {shown}")), "{summary}");
    }
    for relative in ["unix:", "unix:admin.sock", "unix:/", "unix:/run/.."] {
        refused(&format!("listen = {relative:?}"), "admin.listen", "is no whole path");
    }
    let long = format!("listen = \"unix:/{}\"", "x".repeat(100));
    refused(&long, "admin.listen", "is longer than the path of a socket may be");
    refused("listen = \"Off\"", "admin.listen", "is not an address and port");
    refused("listen = \":9600\"", "admin.listen", "is not an address and port");
}

#[test]
fn beyond_this_machine_it_wants_a_token_and_the_fault_says_what_to_do() {
    for beyond in [
        "0.0.0.0:9600",
        "[::]:9600",
        "10.0.0.1:9600",
        "[::ffff:10.0.0.1]:9600",
        "[2001:db8::1]:1",
    ] {
        let listen = format!("listen = {beyond:?}");
        refused(
            &listen,
            "admin.listen",
            "so a token is needed: set admin.token_file (or admin.token), or listen on 127.0.0.1",
        );
        let admin = admin(&format!("{listen}\ntoken = \"s3cret\""));
        assert!(
            admin.token.is_some() && admin.listen.is_beyond_this_machine(),
            "{beyond}"
        );
    }
    // The token's own fault is enough.
    refused(
        "listen = \"0.0.0.0:1\"\ntoken_file = \"gone\"",
        "admin.token_file",
        "there is no such file",
    );
    refused("listen = \"0.0.0.0:1\"\ntoken = \"\"", "admin.token", "is empty");
}

#[test]
fn a_token_is_held_to_what_other_secrets_are() {
    refused("token = \"hush hush\"", "admin.token", "holds white space");
    refused(
        "token = 1",
        "admin.token",
        "a number stands where text in quotes belongs",
    );
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.toml");
    std::fs::write(&config, with("[admin]\ntoken_file = \"token\"")).unwrap();
    std::fs::write(directory.path().join("token"), "hush-hush\n").unwrap();
    let loaded = load(&config, []).unwrap();
    let Some(token) = &loaded.settings.admin.token else {
        panic!("{loaded:?}")
    };
    assert_eq!(token.read().unwrap().expose_secret(), "hush-hush");
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let warned = warnings
        .iter()
        .any(|warning| warning.contains("admin.token_file") && warning.contains("chmod o-r"));
    assert!(warned, "{warnings:?}");
    let summary = summary(&loaded.settings);
    assert!(
        summary.contains(", with the token in ") && !summary.contains("hush"),
        "{summary}"
    );

    std::fs::write(&config, with("[admin]\ntoken_file = \"token\"\ntoken = \"hush\"")).unwrap();
    let faults = load(&config, []).unwrap_err().to_string();
    assert!(
        faults.contains("token is set as well; keep one of the two") && !faults.contains("hush\""),
        "{faults}"
    );
}

#[test]
fn hosts_are_names_or_addresses_alone_and_compared_without_regard_to_case() {
    let admin = admin("hosts = [\"Livestreamd.Example.COM.\", \"10.0.0.1\", \"2001:DB8::1\", \"[::2]\"]");
    assert_eq!(
        admin.hosts,
        ["livestreamd.example.com", "10.0.0.1", "[2001:db8::1]", "[::2]"]
    );
    for bad in ["a:9600", "http://a", "a/b", "*.example.com", "*", "a b", "[::1"] {
        refused(&format!("hosts = [{bad:?}]"), "admin.hosts", "is not a host");
    }
    let env = [
        ("LIVESTREAMD__ADMIN__HOSTS", "a.example, b.example"),
        ("LIVESTREAMD__ADMIN__LISTEN", "0.0.0.0:9600"),
        ("LIVESTREAMD__ADMIN__TOKEN", "s3cret"),
    ];
    let settings = settings(&with(""), &env);
    assert_eq!(settings.admin.hosts, ["a.example", "b.example"]);
    assert!(matches!(settings.admin.token, Some(SecretSource::Inline(_))));
    assert!(summary(&settings).contains("http://0.0.0.0:9600/, with a token\n  also as     a.example, b.example\n"));
}

proptest! {
    #[test]
    fn settings_that_listen_beyond_this_machine_have_a_token(
        address in prop_oneof![
            any::<std::net::SocketAddr>().prop_map(|address| address.to_string()),
            (127_u8..=128, any::<u16>()).prop_map(|(first, port)| format!("{first}.0.0.1:{port}")),
            Just("unix:/run/x.sock".to_owned()),
            Just("off".to_owned()),
        ],
        token in proptest::option::of("[a-z ]{0,12}"),
    ) {
        let token = token.map(|token| format!("token = {token:?}")).unwrap_or_default();
        if let Ok(loaded) = from_toml(&with(&format!("[admin]\nlisten = {address:?}\n{token}"))) {
            let admin = loaded.settings.admin;
            let reachable = match &admin.listen {
                AdminListen::Tcp(address) => !address.ip().to_canonical().is_loopback(),
                AdminListen::Off | AdminListen::Unix(_) => false,
            };
            prop_assert!(!reachable || admin.token.is_some(), "{:?}", admin);
        }
    }
}
