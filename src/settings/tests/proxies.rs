//! Where a proxy comes from: `[upstream]` and the environment, which of them wins, and what is refused or only warned about.

use secrecy::ExposeSecret as _;
use url::Url;

use super::*;
use crate::settings::proxy::{Direct, Route, shown};
use crate::settings::{SecretSource, load, summary};

const CORP: &str = "proxy = \"http://proxy.corp:3128\"";

fn upstream(keys: &str) -> String {
    with(&format!("[upstream]\n{keys}"))
}

/// The proxy for a URL, or "direct"; and who named it.
fn way(settings: &Settings, url: &str) -> String {
    let url = Url::parse(url).unwrap();
    match settings
        .proxy
        .route(&url.host().unwrap().to_owned(), url.port_or_known_default().unwrap())
    {
        Route::Through(proxy) => proxy.to_string(),
        Route::Direct(_) => "direct".to_owned(),
    }
}

fn user_and_password(settings: &Settings) -> Option<String> {
    let source = settings.proxy.proxy.as_ref()?.credentials.as_ref()?;
    Some(source.read_user_and_password().unwrap().expose_secret().to_owned())
}

const STREAM_URL: &str = "https://livestream.adobe.net/";

#[test]
fn the_first_that_names_a_proxy_wins() {
    let all = [
        ("https_proxy", "http://one:1"),
        ("HTTPS_PROXY", "http://two:2"),
        ("all_proxy", "http://three:3"),
        ("ALL_PROXY", "http://four:4"),
    ];
    let expected = [
        "http://one:1",
        "http://two:2",
        "http://three:3",
        "http://four:4",
        "direct",
    ];
    for (first, expected) in expected.into_iter().enumerate() {
        let mut env = all[first..].to_vec();
        // An empty one counts as not set.
        env.extend(all[..first].iter().map(|(name, _)| (*name, "")));
        let settings = settings(&upstream(""), &env);
        assert_eq!(way(&settings, STREAM_URL), expected, "{env:?}");
        assert_eq!(settings.proxy.origin.as_deref(), all.get(first).map(|(name, _)| *name));
    }
    let settings = settings(&upstream(CORP), &all);
    assert_eq!(way(&settings, STREAM_URL), "http://proxy.corp:3128");
    assert_eq!(settings.proxy.origin.as_deref(), Some("upstream.proxy"));
}

#[test]
fn http_proxy_and_what_others_look_at_is_not_looked_at() {
    let env = [
        ("HTTP_PROXY", "http://one:1"),
        ("http_proxy", "http://two:2"),
        ("Https_Proxy", "http://three:3"),
    ];
    assert_eq!(way(&settings(&upstream(""), &env), STREAM_URL), "direct");
}

#[test]
fn none_is_no_proxy_whatever_the_environment_says() {
    let settings = settings(&upstream("proxy = \"none\""), &[("HTTPS_PROXY", "socks5://nonsense")]);
    assert_eq!(way(&settings, STREAM_URL), "direct");
    assert!(summary(&settings).contains("proxy         none (from upstream.proxy)\n"));
}

#[test]
fn a_key_from_the_environment_counts_as_the_key() {
    let env = [
        ("LIVESTREAMD__UPSTREAM__PROXY", "https://safe:8443"),
        ("LIVESTREAMD__UPSTREAM__NO_PROXY", "a.example, .b.example"),
        ("HTTPS_PROXY", "http://two:2"),
    ];
    let settings = settings(&upstream(CORP), &env);
    assert_eq!(way(&settings, STREAM_URL), "https://safe:8443");
    assert_eq!(way(&settings, "https://x.b.example"), "direct");
    assert_eq!(settings.proxy.origin.as_deref(), Some("LIVESTREAMD__UPSTREAM__PROXY"));
}

#[test]
fn exceptions_hold_whoever_named_the_proxy_and_ours_stand_instead_of_those_of_the_environment() {
    let env = [
        ("HTTPS_PROXY", "http://two:2"),
        ("NO_PROXY", "upper.example"),
        ("no_proxy", "a.example,b.example c.example:8443, 10.0.0.0/8 ,,"),
    ];
    for text in [upstream(""), upstream(CORP)] {
        let settings = settings(&text, &env);
        for url in [
            "https://a.example",
            "https://x.b.example",
            "https://c.example:8443",
            "https://10.1.2.3",
        ] {
            assert_eq!(way(&settings, url), "direct", "{url}");
        }
        for url in ["https://upper.example", "https://c.example", "https://11.1.2.3"] {
            assert_ne!(way(&settings, url), "direct", "{url}");
        }
    }
    for text in [
        upstream("no_proxy = [\"d.example\"]"),
        upstream(&format!("{CORP}\nno_proxy = [\"d.example\"]")),
    ] {
        let settings = settings(&text, &env);
        assert_eq!(way(&settings, "https://d.example"), "direct");
        assert_ne!(way(&settings, "https://a.example"), "direct", "ours stand instead");
    }
    let nobody = settings(&upstream("no_proxy = []"), &env);
    assert_ne!(way(&nobody, "https://a.example"), "direct", "an empty list is one too");
}

#[test]
fn what_no_proxy_of_the_environment_has_that_we_do_not_understand_is_passed_over_with_a_warning() {
    let env = [
        ("HTTPS_PROXY", "http://two:2"),
        ("NO_PROXY", "192.168.*,a.example,<local>"),
    ];
    let loaded = from(&upstream(""), &env).unwrap();
    assert_eq!(way(&loaded.settings, "https://a.example"), "direct");
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("NO_PROXY: \"192.168.*\" is passed over: it has a *"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("NO_PROXY: \"<local>\" is passed over"),
        "{warnings:?}"
    );
    let unused = from(&upstream(""), &env[1..]).unwrap();
    assert_eq!(unused.warnings, [], "without a proxy nobody is excepted");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_with_its_place() {
    for (text, env, says) in [
        (
            upstream("proxy = \"proxy.corp:3128\""),
            vec![],
            "upstream.proxy: is no URL; write as in",
        ),
        (
            upstream("proxy = \"socks5://proxy.corp\""),
            vec![],
            "upstream.proxy: is a SOCKS proxy",
        ),
        (upstream("proxy = \"\""), vec![], "upstream.proxy: is empty"),
        (
            upstream("proxy = 3128"),
            vec![],
            "upstream.proxy: a number stands where text in quotes belongs",
        ),
        (
            upstream(""),
            vec![("HTTPS_PROXY", "socks5://u:hush@x")],
            "upstream.proxy (from HTTPS_PROXY): is a SOCKS proxy",
        ),
        (
            upstream(""),
            vec![("all_proxy", "http://u:hu/sh@x")],
            "upstream.proxy (from all_proxy): is not the URL of a proxy",
        ),
        (
            upstream(""),
            vec![("LIVESTREAMD__UPSTREAM__PROXY", "u:hush@x")],
            "upstream.proxy (from LIVESTREAMD__UPSTREAM__PROXY): is no URL",
        ),
    ] {
        assert_refused(&text, &env, "upstream.proxy", says);
    }
    for (item, says) in [
        ("10.0.0.0/40", "\"10.0.0.0/40\" is no network: "),
        ("", "\"\" is empty"),
        ("a.*", "\"a.*\" has a *"),
    ] {
        assert_refused(
            &upstream(&format!("no_proxy = [{item:?}]")),
            &[],
            "upstream.no_proxy",
            says,
        );
    }
    assert_refused(
        &upstream("no_proxy = \"a\""),
        &[],
        "upstream.no_proxy",
        "text stands where a list belongs",
    );
    assert_refused(&upstream("prxy = \"a\""), &[], "upstream.prxy", "did you mean proxy?");
}

#[test]
fn a_stream_has_no_proxy_of_its_own() {
    for key in [CORP, "no_proxy = []", "proxy_credentials_file = \"x\"", "proxy = 5"] {
        let name = format!("streams.web.{}", key.split(' ').next().unwrap());
        assert_refused(&with_stream(key), &[], &name, "set it in [upstream], and name hosts");
    }
    assert_refused(
        &with_stream("proxi = 5"),
        &[],
        "streams.web.proxi",
        "is not a known key",
    );
    assert_refused(
        &with_stream("proxy = \"http://u:hush@x\""),
        &[],
        "streams.web.proxy",
        "is for all streams",
    );
}

#[test]
fn credentials_come_from_the_url_or_from_a_file_and_the_file_goes_before_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy");
    std::fs::write(&file, "filed:from a file\n").unwrap();
    let key = format!("proxy_credentials_file = {:?}\n", file.display());
    let env = [("HTTPS_PROXY", "http://env:p%40ss@two:2")];

    assert_eq!(user_and_password(&settings(&upstream(CORP), &[])), None);
    let inline = upstream("proxy = \"http://own:p%3Aq@proxy.corp:3128\"");
    assert_eq!(user_and_password(&settings(&inline, &env)).as_deref(), Some("own:p:q"));
    assert_eq!(
        user_and_password(&settings(&upstream(""), &env)).as_deref(),
        Some("env:p@ss")
    );
    for text in [key.clone(), format!("{key}{CORP}")] {
        let settings = settings(&upstream(&text), &env);
        assert_eq!(user_and_password(&settings).as_deref(), Some("filed:from a file"));
        assert!(
            shown(&settings)
                .proxy
                .ends_with(&format!(", credentials in {}", file.display()))
        );
    }
    assert_refused(
        &upstream(&format!("{key}proxy = \"http://u:hush@x\"")),
        &[],
        "upstream.proxy_credentials_file",
        "upstream.proxy has a user and password as well; keep one of the two",
    );
    for text in [key.clone(), format!("{key}proxy = \"none\"")] {
        let warnings = from(&upstream(&text), &[]).unwrap().warnings;
        let says = "upstream.proxy_credentials_file: has no effect";
        assert!(
            warnings.iter().any(|warning| warning.to_string().starts_with(says)),
            "{warnings:?}"
        );
    }
    let proxies = settings(&upstream(&format!("{key}{CORP}")), &[]).proxy;
    let source = proxies.proxy.as_ref().unwrap().credentials.clone();
    std::fs::write(&file, "filed:changed").unwrap();
    let Some(source @ SecretSource::File(_)) = source else {
        panic!("{proxies:?}")
    };
    assert_eq!(
        source.read_user_and_password().unwrap().expose_secret(),
        "filed:changed",
        "it is read again"
    );
}

#[test]
fn a_credentials_file_must_be_there_and_hold_a_user_and_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("proxy");
    let text = upstream(&format!("{CORP}\nproxy_credentials_file = {:?}", file.display()));
    let key = "upstream.proxy_credentials_file";
    assert_refused(&text, &[], key, "there is no such file");
    for (content, says) in [
        ("", "is empty"),
        ("hush", "has no colon"),
        ("u:hush\nu:hush", "holds a control character"),
    ] {
        std::fs::write(&file, content).unwrap();
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn credentials_that_everybody_may_read_are_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let [config, file] = ["c.toml", "proxy"].map(|name| directory.path().join(name));
    std::fs::write(&file, "u:hush").unwrap();
    let warnings = |keys: &str, mode: u32| {
        let text = format!(
            "[upstream]\n{keys}\n[streams.web]\nurl = \"https://a.example\"\n[credentials.default]\naccess_token_file = \"token\""
        );
        std::fs::write(directory.path().join("token"), "hush").unwrap();
        std::fs::write(&config, text).unwrap();
        for (path, mode) in [(&config, mode), (&file, mode), (&directory.path().join("token"), 0o600)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let loaded = load(&config, []).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (keys, says) in [
        (
            "proxy = \"http://u:hush@x\"".to_owned(),
            "upstream.proxy: is a secret in ",
        ),
        (
            format!("{CORP}\nproxy_credentials_file = \"proxy\""),
            "upstream.proxy_credentials_file: everybody on this machine may read ",
        ),
    ] {
        assert_eq!(warnings(&keys, 0o600), Vec::<String>::new());
        let warned = warnings(&keys, 0o644);
        assert!(warned.len() == 1 && warned[0].starts_with(says), "{warned:?}");
    }
    assert_eq!(
        warnings(CORP, 0o644),
        Vec::<String>::new(),
        "a proxy alone is no secret"
    );
}

#[test]
fn the_summary_shows_the_effective_proxy_for_each_host_and_no_password() {
    let text = format!(
        "{CREDENTIAL}token_url = \"https://ims.corp.example/token\"\n{STREAM}[streams.here]\nurl = \"http://localhost:8088/x\"\n\
         [streams.near]\nurl = \"https://near.example:8443/x\"\n[streams.far]\nurl = \"https://livestream.adobe.net/far\"\n"
    );
    let env = [
        ("HTTPS_PROXY", "http://user:hush@proxy.corp:3128"),
        ("NO_PROXY", "near.example:8443,.corp.example"),
    ];
    let direct = settings(&text, &[]);
    assert!(
        summary(&direct).contains("proxy         none\njournal"),
        "{}",
        summary(&direct)
    );
    let settings = settings(&text, &env);
    let summary = summary(&settings);
    let expected = "proxy         http://proxy.corp:3128 (from HTTPS_PROXY), credentials given inline\n  \
                    through it  livestream.adobe.net:443\n  \
                    direct      ims.corp.example:443 (.corp.example in NO_PROXY), localhost:8088 (this machine), \
                    near.example:8443 (near.example:8443 in NO_PROXY)\n";
    assert!(summary.contains(expected), "{summary}");
    for text in [summary, format!("{settings:?} {settings:#?} {:?}", shown(&settings))] {
        assert!(!text.contains("hush"), "{text}");
    }
    let ims = Url::parse("https://ims.corp.example").unwrap();
    let route = settings.proxy.route(&ims.host().unwrap().to_owned(), 443);
    assert!(matches!(route, Route::Direct(Direct::Excepted(_))), "{route:?}");
}
