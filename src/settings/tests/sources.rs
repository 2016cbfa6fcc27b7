//! Where settings come from: formats, files, the environment, and which wins.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::*;
use crate::settings::{Grant, SecretSource, load};

const TOML: &str = r#"
state_dir = "/tmp/state"
shutdown_timeout = "5s"
[credentials.default]
client_id = "client"
client_secret = "hush"
scopes = ["a", "b"]
[upstream]
connections = 2
smoothing = true
[kafka]
brokers = "a:1,b:2"
key = "none"
[kafka.properties]
"compression.type" = "zstd"
"linger.ms" = 5.5
"log_level" = 3
"socket.keepalive.enable" = true
[quarantine]
max_age = "12h"
[dedup]
mode = "off"
[streams.web]
url = "https://livestream.adobe.net/web"
[streams.my-site]
url = "https://livestream.adobe.net/my"
"#;

const YAML: &str = r"
state_dir: /tmp/state
shutdown_timeout: 5s
credentials:
  default:
    client_id: client
    client_secret: hush
    scopes: [a, b]
upstream:
  connections: 2
  smoothing: true
kafka:
  brokers: a:1,b:2
  key: none
  properties:
    compression.type: zstd
    linger.ms: 5.5
    log_level: 3
    socket.keepalive.enable: true
journal:
quarantine:
  max_age: 12h
dedup:
  mode: off
streams:
  web:
    url: https://livestream.adobe.net/web
  my-site:
    url: https://livestream.adobe.net/my
";

const JSON: &str = r#"{
    "state_dir": "/tmp/state",
    "shutdown_timeout": "5s",
    "credentials": {"default": {"client_id": "client", "client_secret": "hush", "scopes": ["a", "b"]}},
    "upstream": {"connections": 2, "smoothing": true},
    "kafka": {
        "brokers": "a:1,b:2",
        "key": "none",
        "properties": {"compression.type": "zstd", "linger.ms": 5.5, "log_level": 3, "socket.keepalive.enable": true}
    },
    "quarantine": {"max_age": "12h"},
    "dedup": {"mode": "off"},
    "streams": {
        "web": {"url": "https://livestream.adobe.net/web"},
        "my-site": {"url": "https://livestream.adobe.net/my"}
    }
}"#;

/// The same settings, from nothing but variables.
const VARIABLES: [(&str, &str); 16] = [
    ("LIVESTREAMD__STATE_DIR", "/tmp/state"),
    ("LIVESTREAMD__SHUTDOWN_TIMEOUT", "5s"),
    ("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_ID", "client"),
    ("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", "hush"),
    ("LIVESTREAMD__CREDENTIALS__DEFAULT__SCOPES", "a, b"),
    ("LIVESTREAMD__UPSTREAM__CONNECTIONS", "2"),
    ("LIVESTREAMD__UPSTREAM__SMOOTHING", "true"),
    ("LIVESTREAMD__KAFKA__BROKERS", "a:1,b:2"),
    ("LIVESTREAMD__KAFKA__KEY", "none"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__COMPRESSION_TYPE", "zstd"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__LINGER_MS", "5.5"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__LOG_LEVEL", "3"),
    ("LIVESTREAMD__KAFKA__PROPERTIES__SOCKET_KEEPALIVE_ENABLE", "true"),
    ("LIVESTREAMD__QUARANTINE__MAX_AGE", "12h"),
    ("LIVESTREAMD__DEDUP__MODE", "off"),
    ("LIVESTREAMD__STREAMS__WEB__URL", "https://livestream.adobe.net/web"),
];

/// Everything in the settings, properties included, which `Debug` leaves out. Tests only.
fn everything(settings: &Settings) -> String {
    format!("{settings:?} {:?}", settings.kafka.properties)
}

#[test]
fn toml_yaml_json_and_the_environment_say_the_same() {
    let load = |text: &str, format, env: &[(&str, &str)]| {
        let loaded = load_str(text, format, variables(env), Path::new("/nonexistent"));
        everything(&loaded.unwrap_or_else(|faults| panic!("{format:?}: {faults}")).settings)
    };
    let toml = load(TOML, Format::Toml, &[]);
    for part in [
        "/tmp/state",
        "my-site",
        "zstd",
        "\"5.5\"",
        "\"log_level\": \"3\"",
        "connections: 2",
        "smoothing: Some",
    ] {
        assert!(toml.contains(part), "{part} is not in {toml}");
    }
    assert_eq!(load(YAML, Format::Yaml, &[]), toml);
    assert_eq!(load(JSON, Format::Json, &[]), toml);
    let my_site = "[streams.my-site]\nurl = \"https://livestream.adobe.net/my\"";
    assert_eq!(load(my_site, Format::Toml, &VARIABLES), toml);
}

#[test]
fn the_environment_stands_on_top_of_the_file() {
    let env = [
        ("LIVESTREAMD__STATE_DIR", "/elsewhere"),
        ("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", "hush-hush"),
        ("LIVESTREAMD__CREDENTIALS__DEFAULT__SCOPES", "c,d"),
        ("LIVESTREAMD__UPSTREAM__SMOOTHING", "false"),
        ("LIVESTREAMD__UPSTREAM__COOLDOWN", "90s"),
        ("LIVESTREAMD__STREAMS__WEB__CONNECTIONS", "3"),
        ("LIVESTREAMD__STREAMS__WEB__TRUSTED_HOSTS", ""),
        ("LIVESTREAMD__KAFKA__PROPERTIES__LINGER_MS", "9"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__COMPRESSION_CODEC", "gzip"),
        ("LIVESTREAMD_CONFIG", "not ours"),
        ("PATH", "/bin"),
    ];
    let settings = settings(TOML, &env);
    assert_eq!(settings.state_dir, PathBuf::from("/elsewhere"));
    assert_eq!(
        settings.shutdown_timeout.as_secs(),
        5,
        "what the environment does not set stays"
    );
    let [my_site, web] = &settings.streams[..] else {
        panic!("{settings:?}")
    };
    assert_eq!((my_site.connections, web.connections), (2, 3));
    assert_eq!(web.cooldown.as_secs(), 90);
    assert_eq!((&web.smoothing, &web.trusted_hosts), (&None, &vec![]));
    let Grant::Client {
        client_secret, scopes, ..
    } = &web.credential.grant
    else {
        panic!("{settings:?}")
    };
    assert_eq!(scopes, &["c", "d"]);
    assert_eq!(client_secret.read().unwrap().expose_secret(), "hush-hush");
    assert_eq!(settings.kafka.properties["linger.ms"], "9");
    assert_eq!(
        settings.kafka.properties["compression.type"], "gzip",
        "under another of its names"
    );
}

#[test]
fn a_name_with_a_hyphen_is_found_from_a_variable() {
    for variable in [
        "LIVESTREAMD__STREAMS__MY_SITE__COOLDOWN",
        "LIVESTREAMD__STREAMS__MY-SITE__COOLDOWN",
        "LIVESTREAMD__streams__my_site__cooldown",
    ] {
        let settings = settings(TOML, &[(variable, "77s")]);
        let cooldowns: Vec<u64> = settings
            .streams
            .iter()
            .map(|stream| stream.cooldown.as_secs())
            .collect();
        assert_eq!(cooldowns, [77, 60], "{variable}");
    }
    let odd = "[streams.a__b-]\nurl = \"https://a.example/\"";
    let settings = settings(&with(odd), &[("LIVESTREAMD__STREAMS__A__B___COOLDOWN", "77s")]);
    assert_eq!(
        (
            settings.streams[0].name.as_str(),
            settings.streams[0].cooldown.as_secs()
        ),
        ("a__b-", 77)
    );
}

#[test]
fn a_variable_that_could_mean_two_streams_is_refused() {
    let text = format!("{TOML}[streams.my_site]\nurl = \"https://a.example/\"");
    let variable = "LIVESTREAMD__STREAMS__MY_SITE__COOLDOWN";
    assert_refused(
        &text,
        &[(variable, "77s")],
        "streams.my_site.cooldown",
        "may mean any of my-site, my_site",
    );
    let settings = settings(&text, &[("LIVESTREAMD__STREAMS__MY-SITE__COOLDOWN", "77s")]);
    assert_eq!(settings.streams[0].cooldown.as_secs(), 77);
}

#[test]
fn a_variable_that_names_no_key_is_refused() {
    for (variable, key, says) in [
        ("LIVESTREAMD__", "", "is not a known key"),
        ("LIVESTREAMD__STATEDIR", "statedir", "did you mean state_dir?"),
        (
            "LIVESTREAMD__STATE_DIR__X",
            "state_dir.x",
            "is one value and has no keys",
        ),
        (
            "LIVESTREAMD__KAFKA",
            "kafka",
            "set one of its keys with LIVESTREAMD__KAFKA__KEY",
        ),
        ("LIVESTREAMD__KAFKA__BROKER", "kafka.broker", "did you mean brokers?"),
        (
            "LIVESTREAMD__KAFKA__BROKERS__X",
            "kafka.brokers__x",
            "is not a known key",
        ),
        (
            "LIVESTREAMD__KAFKA__PROPERTIES",
            "kafka.properties",
            "LIVESTREAMD__KAFKA__PROPERTIES__NAME",
        ),
        (
            "LIVESTREAMD__KAFKA__PROPERTIES__ENABLED_EVENTS",
            "kafka.properties.enabled_events",
            "may not be set",
        ),
        ("LIVESTREAMD__STREAMS", "streams", "LIVESTREAMD__STREAMS__NAME__KEY"),
        (
            "LIVESTREAMD__STREAMS__WEB",
            "streams.web",
            "LIVESTREAMD__STREAMS__WEB__KEY",
        ),
        (
            "LIVESTREAMD__STREAMS__WEB__COOLDWON",
            "streams.web.cooldwon",
            "did you mean cooldown?",
        ),
        (
            "LIVESTREAMD__UPSTREAM__CONNECTIONS",
            "upstream.connections",
            "must be a whole number from 1 to 8",
        ),
        (
            "LIVESTREAMD__UPSTREAM__SMOOTHING",
            "upstream.smoothing",
            "must be true or false",
        ),
    ] {
        assert_refused(TOML, &[(variable, "wrong")], key, says);
        assert_refused(TOML, &[(variable, "wrong")], key, &format!("(from {variable})"));
    }
    let acks = [("LIVESTREAMD__KAFKA__PROPERTIES__ACKS", "1")];
    assert_refused(TOML, &acks, "kafka.properties.acks", "may only be all");
    let twice = [("LIVESTREAMD__STATE_DIR", "/a"), ("LIVESTREAMD__state_dir", "/b")];
    assert_refused(
        TOML,
        &twice,
        "state_dir",
        "LIVESTREAMD__STATE_DIR sets the same key; keep one",
    );
}

#[test]
fn a_missing_unreadable_or_unnamed_file_gives_one_clear_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let large = vec![b'#'; 1024 * 1024 + 1];
    for (path, says) in [
        (
            directory.path().join("gone.toml"),
            "the configuration file cannot be read: No such file",
        ),
        (directory.path().join("gone"), "the extension tells the format"),
        (file("a.ini", b""), "name the file .toml, .yaml, .yml or .json"),
        (file("b.toml", b"\xff"), "is not UTF-8 text"),
        (file("c.toml", &large), "is larger than 1048576 bytes"),
        (file("d.toml", b"state_dir = ]"), "line 1, column 13 is not valid TOML"),
    ] {
        let faults = load(&path, []).unwrap_err();
        assert_eq!(faults.iter().count(), 1, "{faults}");
        assert!(
            faults.to_string().starts_with(&format!("{}: ", path.display())),
            "{faults}"
        );
        assert!(faults.to_string().contains(says), "{faults}");
    }
    let no_file = directory.path().join("e.toml");
    std::fs::create_dir(&no_file).unwrap();
    assert!(
        load(&no_file, [])
            .unwrap_err()
            .to_string()
            .contains("it is not a regular file")
    );
}

#[test]
fn broken_syntax_is_placed_in_every_format() {
    for (format, text, says) in [
        (Format::Toml, "a = 1\nb = ", "line 2, column 5 is not valid TOML"),
        (
            Format::Toml,
            "a = 1\na = 2",
            "line 2, column 1 is not valid TOML: duplicate key",
        ),
        (
            Format::Toml,
            "a = 99999999999999999999",
            "is not valid TOML: number too large",
        ),
        (
            Format::Json,
            "{\n\"a\": }",
            "line 2, column 6 is not valid JSON: expected value",
        ),
        (Format::Json, "[1]", "is JSON, but not a table of keys at its top level"),
        (
            Format::Yaml,
            "a: [1\nb: 2",
            "line 2, column 2 is not valid YAML: illegal placement of ':' indicator",
        ),
        (
            Format::Yaml,
            "a: 1\na: 2",
            "is not valid YAML: duplicated key in mapping",
        ),
        (
            Format::Yaml,
            "just text",
            "is YAML, but not a table of keys at its top level",
        ),
        (Format::Yaml, "a: 1\n---\nb: 2", "is not valid YAML"),
    ] {
        let faults = load_str(text, format, [], Path::new("/")).unwrap_err();
        assert_eq!(faults.iter().count(), 1, "{faults}");
        assert!(faults.to_string().contains(says), "{faults}");
    }
    // A byte order mark is no fault.
    assert!(load_str(&format!("\u{feff}{}", with("")), Format::Toml, [], Path::new("/")).is_ok());
    assert!(
        load_str("", Format::Yaml, [], Path::new("/"))
            .unwrap_err()
            .to_string()
            .starts_with("streams: ")
    );
}

#[test]
fn a_relative_secret_file_is_found_beside_the_configuration_or_where_the_service_manager_puts_it() {
    let [beside, given] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let config = beside.path().join("livestreamd.toml");
    std::fs::write(&config, with_credential("access_token_file = \"token\"")).unwrap();
    let env = [("CREDENTIALS_DIRECTORY", given.path().to_str().unwrap())];
    let faults = load(&config, variables(&env)).unwrap_err();
    for directory in [&beside, &given] {
        assert!(
            faults
                .to_string()
                .contains(directory.path().join("token").to_str().unwrap()),
            "{faults}"
        );
    }
    let secret_of = |env: &[(&str, &str)]| {
        let settings = load(&config, variables(env))
            .unwrap_or_else(|faults| panic!("{faults}"))
            .settings;
        let Grant::Token { client_id: None, token } = &settings.streams[0].credential.grant else {
            panic!("{settings:?}")
        };
        let SecretSource::File(path) = token else {
            panic!("{token:?}")
        };
        (path.clone(), token.read().unwrap().expose_secret().to_owned())
    };
    std::fs::write(beside.path().join("token"), "one\n").unwrap();
    assert_eq!(secret_of(&env), (beside.path().join("token"), "one".to_owned()));
    std::fs::write(given.path().join("token"), "two\n").unwrap();
    assert_eq!(secret_of(&env), (given.path().join("token"), "two".to_owned()));
    assert_eq!(secret_of(&[]), (beside.path().join("token"), "one".to_owned()));
    std::fs::write(beside.path().join("token"), "").unwrap();
    let faults = load(&config, []).unwrap_err();
    assert!(
        faults.to_string().contains("is empty; put the secret into it"),
        "{faults}"
    );
}

#[test]
fn a_secret_that_everybody_may_read_is_warned_about() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mode = |name: &str, mode| std::fs::set_permissions(path(name), PermissionsExt::from_mode(mode)).unwrap();
    let text = "[kafka.properties]\n\"sasl.password\" = \"hush\"\n\"linger.ms\" = 5\n\
                [credentials.other]\naccess_token_file = \"token\"\n\
                [streams.other]\nurl = \"https://a.example/\"\ncredentials = \"other\"";
    std::fs::write(path("c.toml"), with(text)).unwrap();
    std::fs::write(path("token"), "hush").unwrap();
    let warnings = |env: &[(&str, &str)]| -> Vec<String> {
        let loaded = load(&path("c.toml"), variables(env)).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.warnings.iter().map(ToString::to_string).collect()
    };
    mode("c.toml", 0o640);
    mode("token", 0o640);
    assert_eq!(warnings(&[]), Vec::<String>::new());
    mode("token", 0o644);
    let of_token = format!(
        "credentials.other.access_token_file: everybody on this machine may read {}; take that away with chmod o-r",
        path("token").display()
    );
    assert_eq!(warnings(&[]), std::slice::from_ref(&of_token));
    mode("c.toml", 0o604);
    let secret = |key: &str| {
        let file = path("c.toml");
        format!(
            "{key}: is a secret in {}, which everybody on this machine may read; take that away with chmod o-r",
            file.display()
        )
    };
    let [client, property] = [
        secret("credentials.default.client_secret"),
        secret("kafka.properties.sasl.password"),
    ];
    assert_eq!(warnings(&[]), [client, of_token.clone(), property]);
    let env = [
        ("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", "hush"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_PASSWORD", "hush"),
    ];
    assert_eq!(
        warnings(&env),
        [of_token],
        "what the environment holds is not in the file"
    );
}

#[test]
fn who_asks_a_daemon_needs_none_of_its_other_secrets_nor_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("livestreamd.toml");
    let text = "[admin]\nlisten = \"127.0.0.1:7\"\n[credentials.default]\nclient_id = \"c\"\nclient_secret_file = \"gone\"\n[streams.web]\n";
    std::fs::write(&config, text).unwrap();
    assert!(super::super::load(&config, []).is_err());
    let listen = |path: Option<&Path>, env: &[(&str, &str)]| {
        let settings = super::super::load_admin(path, variables(env)).map_err(|faults| faults.to_string())?;
        Ok::<_, String>(settings.listen.to_string())
    };
    assert_eq!(listen(Some(&config), &[]).as_deref(), Ok("127.0.0.1:7"));
    let variable = [("LIVESTREAMD__ADMIN__LISTEN", "unix:/run/a.sock")];
    assert_eq!(listen(Some(&config), &variable).as_deref(), Ok("unix:/run/a.sock"));
    assert_eq!(listen(None, &[]).as_deref(), Ok("127.0.0.1:9600"));
    assert_eq!(listen(None, &variable).as_deref(), Ok("unix:/run/a.sock"));
    let error = listen(Some(&config), &[("LIVESTREAMD__ADMIN__LISTEN", "9600")]).unwrap_err();
    assert!(error.starts_with("admin.listen"), "{error}");
    let error = listen(Some(&directory.path().join("no.toml")), &[]).unwrap_err();
    assert!(error.contains("cannot be read"), "{error}");
}
