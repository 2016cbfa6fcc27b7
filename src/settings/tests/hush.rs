//! Secrets are planted wherever one may stand, and looked for in everything that can be printed.

use proptest::prelude::*;

use super::*;
use crate::settings::{Grant, load, summary};

const PLANTED: &str = "pl4nted";

/// Every place for a secret, and a value where each fits; `{}` is the secret.
const TOML: &str = r#"
[credentials.default]
client_id = "client"
client_secret = "{}"
[credentials.ready-made]
access_token = "{}"
[upstream]
proxy = "http://user:{}@proxy.example:3128"
[kafka.properties]
"sasl.password" = "{}"
"ssl.key.password" = '{}'
"ssl.key.pem" = """-----BEGIN PRIVATE KEY-----
{}
-----END PRIVATE KEY-----"""
"sasl.oauthbearer.config" = "secret={}"
"sasl.oauthbearer.client.secret" = "{}"
"sasl.jaas.config" = "{}"
"no.such.property" = "{}"
[admin]
token = "{}"
[streams.web]
url = "https://livestream.adobe.net/web"
[streams.shop]
url = "https://livestream.adobe.net/shop"
credentials = "ready-made"
"#;

const YAML: &str = r#"
credentials:
  default:
    client_id: client
    client_secret: "{}"
  ready-made:
    access_token: {}
upstream:
  proxy: http://{}@proxy.example
kafka:
  properties:
    sasl.password: {}
    ssl.key.password: '{}'
    ssl.key.pem: |
      {}
admin:
  token: "{}"
streams:
  web:
    url: https://livestream.adobe.net/web
"#;

const JSON: &str = r#"{
    "credentials": {"default": {"client_id": "client", "client_secret": "{}"}, "ready-made": {"access_token": "{}"}},
    "kafka": {"properties": {"sasl.password": "{}", "ssl.key.password": "{}", "ssl.key.pem": "x\n{}\n"}},
    "admin": {"token": "{}"},
    "streams": {"web": {"url": "https://livestream.adobe.net/web"}}
}"#;

#[test]
fn no_secret_is_in_anything_that_can_be_printed() {
    for (text, format) in [(TOML, Format::Toml), (YAML, Format::Yaml), (JSON, Format::Json)] {
        let loaded = load_str(&text.replace("{}", PLANTED), format, [], Path::new("/")).unwrap();
        let settings = &loaded.settings;
        assert_eq!(
            settings.kafka.properties["sasl.password"], PLANTED,
            "or else this test shows nothing"
        );
        let stream = &settings.streams[0];
        let (Grant::Client {
            client_secret: secret, ..
        }
        | Grant::Token { token: secret, .. }) = &stream.credential.grant;
        let printed = [
            format!("{loaded:?} {loaded:#?}"),
            format!("{settings:?} {settings:#?} {:#?} {stream:?}", settings.kafka),
            format!("{:?} {secret:?} {:?}", stream.credential, secret.read()),
            summary(settings),
            loaded.warnings.iter().map(ToString::to_string).collect(),
        ];
        for text in printed {
            assert!(!text.contains(PLANTED), "{text}");
        }
    }
}

#[test]
fn no_secret_from_the_environment_or_a_file_is_in_anything_that_can_be_printed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), PLANTED).unwrap();
    let config = directory.path().join("c.toml");
    std::fs::write(
        &config,
        with("[streams.x]\nurl = \"https://a.example\"\ncredentials = \"t\""),
    )
    .unwrap();
    let env = [
        ("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", PLANTED),
        ("LIVESTREAMD__CREDENTIALS__T__ACCESS_TOKEN_FILE", "token"),
        ("LIVESTREAMD__KAFKA__PROPERTIES__SASL_PASSWORD", PLANTED),
        ("LIVESTREAMD__ADMIN__TOKEN", PLANTED),
        ("HTTPS_PROXY", "http://user:pl4nted@proxy.example"),
    ];
    let loaded = load(&config, variables(&env)).unwrap_or_else(|faults| panic!("{faults}"));
    for text in [format!("{loaded:#?}"), summary(&loaded.settings)] {
        assert!(!text.contains(PLANTED), "{text}");
    }
}

#[test]
fn no_fault_repeats_a_secret() {
    for (text, env) in [
        (with_credential("client_id = \"c\"\nclient_secret = \"{}\\n\""), vec![]),
        (with_credential("client_id = \"c\"\nclient_secret = [\"{}\"]"), vec![]),
        (
            with_credential("client_id = \"c\"\nclient_secret = \"{}\"\naccess_token = \"{}\""),
            vec![],
        ),
        (with_credential("client_id = \"c\"\nclient_secert = \"{}\""), vec![]),
        (with_credential("client_id = \"c\"\nclient_secret = \"{}"), vec![]),
        (with_credential("client_id = \"c\"\nclient_secret = {}"), vec![]),
        (with_credential("client_id = \"c\"\nclient_secret = \"x\" {}"), vec![]),
        (with("client_secret = \"{}\""), vec![]),
        (with("[kafka.properties]\n\"sasl.password\" = [\"{}\"]"), vec![]),
        (with("[kafka.properties]\n\"sasl.password\" = \"{}\\u0000\""), vec![]),
        (with("[kafka.properties]\n\"transactional.id\" = \"{}\""), vec![]),
        (with("[kafka]\n\"sasl.password\" = \"{}\""), vec![]),
        (with_url("https://user:{}@a.example/"), vec![]),
        (with_url("https://{}@a.example:bad/"), vec![]),
        (with_url("http:user:{}@a.example"), vec![]),
        (with("[upstream]\nproxy = \"user:{}\""), vec![]),
        (with("[upstream]\nproxy = \"http://user:{}\""), vec![]),
        (with("[upstream]\nproxy = \"http://user:a/{}@b\""), vec![]),
        (with("[upstream]\nproxy = [\"http://user:{}@b\"]"), vec![]),
        (with("[upstream]\nno_proxy = [\"http://user:{}@b\"]"), vec![]),
        (with_stream("proxy = \"http://user:{}@b\""), vec![]),
        (with(""), vec![("HTTPS_PROXY", "socks5://user:{}@b")]),
        (with(""), vec![("ALL_PROXY", "http://user:%00{}@b")]),
        (with("[kafka]\nbrokers = \"user:{}@a:9092\""), vec![]),
        (
            with(""),
            vec![("LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET", " {}")],
        ),
        (with(""), vec![("LIVESTREAMD__CREDENTIALS__DEFAULT__SECRET", "{}")]),
        (with(""), vec![("LIVESTREAMD__CLIENT_SECRET", "{}")]),
        (with(""), vec![("LIVESTREAMD__CREDENTIALS__DEFAULT", "{}")]),
    ] {
        let env: Vec<(&str, String)> = env
            .into_iter()
            .map(|(name, value)| (name, value.replace("{}", PLANTED)))
            .collect();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let faults = from(&text.replace("{}", PLANTED), &env).unwrap_err();
        assert!(
            !format!("{faults} {faults:?}").contains(PLANTED),
            "{faults}\n---\n{text}"
        );
    }
    for (text, format) in [
        ("{}", Format::Yaml),
        ("- {}", Format::Yaml),
        ("client_secret: \"{}", Format::Yaml),
        ("? [{}]\n: 1", Format::Yaml),
        ("{}: 1\n{}: 2", Format::Yaml),
        ("a: !!float {}", Format::Yaml),
        ("\"{}\"", Format::Json),
        ("{\"client_secret\": \"{}", Format::Json),
        ("{\"client_secret\": {}", Format::Json),
    ] {
        let faults = load_str(&text.replace("{}", PLANTED), format, [], Path::new("/")).unwrap_err();
        // A key is repeated, so that it can be found; what stands after it is not.
        let at_key = format == Format::Yaml && text.starts_with("{}: 1\n");
        assert!(
            at_key || !format!("{faults} {faults:?}").contains(PLANTED),
            "{faults}\n---\n{text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A slip anywhere in a file with secrets: a few characters lost, doubled or exchanged for those that steer a format.
    #[test]
    fn a_slip_of_the_pen_never_brings_a_secret_into_a_fault(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        lost in 0..4_usize,
        put in "[\\[\\]{}\"':=#,\\-\n @a]{0,2}",
    ) {
        let (text, format) = [(TOML, Format::Toml), (YAML, Format::Yaml), (JSON, Format::Json)][which];
        let mut broken: Vec<char> = text.replace("{}", PLANTED).chars().collect();
        let at = at.index(broken.len());
        let end = (at + lost).min(broken.len());
        broken.splice(at..end, put.chars());
        let broken: String = broken.into_iter().collect();
        if let Err(faults) = load_str(&broken, format, [], Path::new("/")) {
            // Where the slip makes the secret a key, or part of one, it is repeated as a key.
            let in_value = faults.iter().any(|fault| !fault.key().contains(PLANTED) && fault.to_string().contains(PLANTED));
            prop_assert!(!in_value, "{}\n---\n{}", faults, broken);
        }
    }
}
