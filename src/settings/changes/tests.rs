//! Random pairs of settings, and each key by itself. What two settings are is told here by printing them, secrets too: not by the code
//! under test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::subsequence;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::settings::resolved::{
    AdminListen, Credential, DedupMode, Grant, LogFormat, MessageKey, MessageTime, Output, OutputSettings,
    SecretSource, Smoothing, Topics,
};
use crate::settings::{ClientFiles, Format, load_str};

const SECRET: &str = "credentials.default.client_secret";
const TOKEN: &str = "credentials.default.access_token";

const TEXT: &str = "
    [credentials.default]
    client_id = \"client\"
    client_secret = \"hush\"
    [streams.web]
    url = \"https://livestream.adobe.net/api/1/stream/web\"
    ";

/// The settings of one stream with defaults everywhere.
fn plain() -> Settings {
    load_str(TEXT, Format::Toml, [], Path::new("/nonexistent"))
        .unwrap()
        .settings
}

/// Everything that settings are.
fn shown(settings: &Settings) -> String {
    let mut text = format!("{settings:#?}{:?}", settings.kafka.properties);
    let mut show = |secret: &SecretSource| {
        if let SecretSource::Inline(secret) = secret {
            write!(text, " {}", secret.expose_secret()).unwrap();
        }
    };
    for stream in &settings.streams {
        match &stream.credential.grant {
            Grant::Client { client_secret, .. } => show(client_secret),
            Grant::Token { token, .. } => show(token),
        }
    }
    text
}

fn changes(change: impl FnOnce(&mut Settings)) -> Changes {
    let mut wanted = plain();
    change(&mut wanted);
    Changes::between(&plain(), &wanted)
}

/// What a change of the one stream asks for.
fn keys(change: impl FnOnce(&mut StreamSettings)) -> ChangedKeys {
    let changes = changes(|settings| change(&mut settings.streams[0]));
    assert!(
        changes.daemon.is_empty() && changes.needs_restart.is_empty(),
        "{changes:?}"
    );
    match changes.streams.as_slice() {
        [StreamChange::Changed { keys, .. }] => keys.clone(),
        other => panic!("{other:?}"),
    }
}

fn secret(text: &str) -> SecretSource {
    SecretSource::Inline(SecretString::from(text.to_owned()))
}

fn client(client_secret: SecretSource) -> Arc<Credential> {
    Arc::new(Credential {
        name: "default".to_owned(),
        grant: Grant::Client {
            client_id: "client".to_owned(),
            client_secret,
            scopes: vec!["openid".to_owned()],
            token_url: "https://ims-na1.adobelogin.com/ims/token/v3".parse().unwrap(),
        },
    })
}

#[test]
fn what_is_in_the_request_of_an_open_connection_asks_for_a_reconnect() {
    let reconnect = |expected: &str, change: fn(&mut StreamSettings)| {
        let found = keys(change);
        let wanted = ChangedKeys {
            reconnect: vec![expected.to_owned()],
            ..ChangedKeys::default()
        };
        assert_eq!(found, wanted);
    };
    reconnect("url", |stream| stream.url.set_path("/api/1/stream/other"));
    reconnect("url", |stream| stream.url.set_path("/api/2/stream/web"));
    reconnect("max_connections", |stream| stream.max_connections = 2);
    reconnect("smoothing", |stream| {
        stream.smoothing = Some(Smoothing {
            bucket_seconds: Some(3),
        });
    });
}

#[test]
fn another_bucket_of_a_stream_that_smooths_asks_for_a_reconnect() {
    let smoothing = |seconds| {
        let mut settings = plain();
        settings.streams[0].smoothing = Some(Smoothing {
            bucket_seconds: seconds,
        });
        settings
    };
    let changes = Changes::between(&smoothing(None), &smoothing(Some(270)));
    let [StreamChange::Changed { keys, .. }] = changes.streams.as_slice() else {
        panic!("{changes:?}")
    };
    assert_eq!(keys.reconnect, ["smoothing_bucket_size"]);
}

#[test]
fn what_an_open_connection_does_not_depend_on_waits_for_the_next_connect() {
    let next = |expected: &str, change: fn(&mut StreamSettings)| {
        let found = keys(change);
        let wanted = ChangedKeys {
            next_connect: vec![expected.to_owned()],
            ..ChangedKeys::default()
        };
        assert_eq!(found, wanted);
    };
    next("cooldown", |stream| stream.cooldown = Duration::from_hours(1));
    next("connect_timeout", |stream| stream.connect_timeout *= 2);
    next("stall_timeout", |stream| stream.stall_timeout *= 2);
    next("backfill_horizon", |stream| stream.backfill_horizon *= 2);
    next("long_retry", |stream| stream.long_retry *= 2);
    next("max_record_bytes", |stream| stream.max_record_bytes *= 2);
    next("trusted_hosts", |stream| stream.trusted_hosts.clear());
}

#[test]
fn where_a_token_comes_from_is_compared_by_what_it_is_and_named_without_it() {
    let between = |one: Arc<Credential>, other: Arc<Credential>| {
        let with = |credential: Arc<Credential>| {
            let mut settings = plain();
            settings.streams[0].credential = credential;
            settings
        };
        let changes = Changes::between(&with(one), &with(other));
        assert!(!format!("{changes:?}").contains("hush"), "{changes:?}");
        match changes.streams.as_slice() {
            [] => Vec::new(),
            [StreamChange::Changed { keys, .. }] => keys.all().into_iter().map(str::to_owned).collect(),
            other => panic!("{other:?}"),
        }
    };
    let file = |path: &str| SecretSource::File(PathBuf::from(path));
    let token = |token| {
        Arc::new(Credential {
            name: "default".to_owned(),
            grant: Grant::Token { client_id: None, token },
        })
    };
    assert_eq!(between(client(secret("hush-1")), client(secret("hush-1"))), [""; 0]);
    assert_eq!(between(client(secret("hush-1")), client(secret("hush-2"))), [SECRET]);
    assert_eq!(between(client(secret("hush-1")), client(file("/secret"))), [SECRET]);
    assert_eq!(between(client(file("/one")), client(file("/one"))), [""; 0]);
    assert_eq!(between(client(file("/one")), client(file("/other"))), [SECRET]);
    assert_eq!(between(client(secret("hush-1")), token(secret("hush-1"))), [TOKEN]);
    assert_eq!(between(token(secret("hush-1")), token(secret("hush-2"))), [TOKEN]);
    assert_eq!(between(token(secret("hush-1")), client(secret("hush-1"))), [SECRET]);
    let renamed = Credential {
        name: "other".to_owned(),
        grant: Grant::Token {
            client_id: None,
            token: secret("hush-1"),
        },
    };
    assert_eq!(between(token(secret("hush-1")), Arc::new(renamed)), ["credentials"]);
}

/// Changes the output that the stream has in any case.
fn change(stream: &mut StreamSettings, how: impl FnOnce(&mut OutputSettings)) {
    let mut settings = stream.outputs[0].settings().clone();
    how(&mut settings);
    stream.outputs[0] = Arc::new(Output::new(settings).unwrap());
}

#[test]
fn outputs_come_and_go_as_a_whole_and_change_by_their_keys() {
    let output = |name: &str, topic: &str| {
        let settings = OutputSettings {
            name: name.to_owned(),
            ..OutputSettings::to(topic, "dead")
        };
        Arc::new(Output::new(settings).unwrap())
    };
    let mut before = plain().streams.remove(0);
    before
        .outputs
        .extend([output("gone", "a"), output("kept", "b"), output("other", "c")]);
    let mut after = before.clone();
    after.outputs[3] = output("other", "d");
    after.outputs[1] = output("new", "a");
    let keys = ChangedKeys::between(&before, &after).in_place;
    assert_eq!(keys, ["outputs.new", "outputs.other.topic", "outputs.gone"]);
}

#[test]
fn where_hits_go_changes_in_place() {
    let found = keys(|stream| {
        change(stream, |output| {
            *output = OutputSettings {
                key: MessageKey::None,
                timestamp: MessageTime::TimeGmt,
                ..OutputSettings::to("elsewhere", "graveyard")
            };
            output.shape.incomplete_topic = Some("incomplete".to_owned());
        });
        stream.report_suite = "suite".to_owned();
    });
    let wanted = ChangedKeys {
        in_place: [
            "topic",
            "dead_letter_topic",
            "key",
            "timestamp",
            "shape",
            "report_suite",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..ChangedKeys::default()
    };
    assert_eq!(found, wanted);
}

#[test]
fn more_connections_with_room_for_them_touch_no_other() {
    let found = keys(|stream| stream.connections = 2);
    let wanted = ChangedKeys {
        connections: true,
        ..ChangedKeys::default()
    };
    assert_eq!(found, wanted);
}

#[test]
fn what_needs_a_restart_is_named_by_its_key_and_stays_as_it_is() {
    let needs = |expected: &[&str], change: fn(&mut Settings)| {
        let changes = changes(change);
        assert_eq!(changes.needs_restart, expected);
        assert!(changes.streams.is_empty() && changes.daemon.is_empty(), "{changes:?}");
        assert_eq!(shown(&changes.applied_to(&plain())), shown(&plain()));
    };
    needs(&["state_dir"], |settings| settings.state_dir.push("elsewhere"));
    needs(&["kafka.brokers"], |settings| settings.kafka.brokers.push_str(",b:1"));
    needs(
        &["kafka.properties.linger.ms", "kafka.properties.sasl.password"],
        |settings| {
            let properties = [("linger.ms", "5"), ("sasl.password", "hush")];
            let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
            settings.kafka.properties.extend(properties);
        },
    );
    needs(&["journal.max_bytes"], |settings| settings.journal.max_bytes += 1);
    needs(&["journal.sync_interval"], |settings| {
        settings.journal.sync_interval *= 2;
    });
    needs(&["journal.max_bytes_in_all"], |settings| {
        settings.journal.max_bytes_in_all += 1;
    });
    needs(&["quarantine.max_bytes"], |settings| settings.quarantine.max_bytes += 1);
    needs(&["quarantine.max_age"], |settings| settings.quarantine.max_age *= 2);
    needs(&["admin.listen"], |settings| settings.admin.listen = AdminListen::Off);
    needs(&["log.format"], |settings| settings.log.format = LogFormat::Json);
    needs(&["upstream.tls.ca_file"], |settings| {
        settings.tls.ca_file = Some(PathBuf::from("/ca"));
    });
    needs(
        &["upstream.tls.client_certificate_file", "upstream.tls.client_key_file"],
        |settings| {
            settings.tls.client = Some(ClientFiles {
                certificate: PathBuf::from("/certificate"),
                key: PathBuf::from("/key"),
            });
        },
    );
}

#[test]
fn a_proxy_is_compared_by_what_it_does_and_not_by_who_said_so() {
    let with = |text: &str, env: &[(&str, &str)]| {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = load_str(&format!("{text}{TEXT}"), Format::Toml, env, Path::new("/nonexistent"));
        loaded.unwrap().settings
    };
    let none = with("", &[]);
    let in_file = with("[upstream]\nproxy = \"http://proxy:8080\"\n", &[]);
    let around = with("", &[("HTTPS_PROXY", "http://proxy:8080")]);
    let other = with("", &[("HTTPS_PROXY", "http://user:hush@proxy:8080")]);
    let another = with("", &[("HTTPS_PROXY", "http://user:hush-2@proxy:8080")]);
    let except = with("", &[("HTTPS_PROXY", "http://proxy:8080"), ("NO_PROXY", "example.com")]);
    let named = |one: &Settings, other: &Settings| Changes::between(one, other).needs_restart;
    assert_eq!(named(&in_file, &around), [""; 0]);
    assert_eq!(named(&none, &in_file), ["upstream.proxy"]);
    assert_eq!(named(&around, &other), ["upstream.proxy"]);
    assert_eq!(named(&other, &another), ["upstream.proxy"]);
    assert_eq!(named(&around, &except), ["upstream.no_proxy"]);
}

#[test]
fn what_is_for_all_streams_and_changes_in_place_touches_none_of_them() {
    let changes = changes(|settings| {
        settings.shutdown_timeout *= 2;
        settings.log.filter = "debug".to_owned();
        settings.dedup.mode = DedupMode::Mark;
        settings.dedup.window *= 2;
    });
    assert_eq!(
        changes.daemon.keys,
        ["shutdown_timeout", "log.filter", "dedup.mode", "dedup.window"]
    );
    assert_eq!((changes.streams.len(), changes.unchanged), (0, 1));
    assert!(changes.needs_restart.is_empty());
}

/// How random settings differ from [`plain`]: one number for each thing that may.
#[derive(Clone, Debug)]
struct Draw {
    /// (name, which of its settings differ, secret)
    streams: Vec<(&'static str, [bool; 17], u8)>,
    daemon: [bool; 8],
}

impl Draw {
    fn settings(&self) -> Settings {
        let mut settings = plain();
        let model = settings.streams.remove(0);
        for (name, differs, hush) in &self.streams {
            let mut stream = model.clone();
            stream.name = (*name).to_owned();
            stream.credential = client(secret(&format!("hush-{hush}")));
            vary(&mut stream, *differs);
            settings.streams.push(stream);
        }
        let [timeout, filter, mode, window, brokers, properties, state_dir, admin] = self.daemon;
        settings.shutdown_timeout *= 1 + u32::from(timeout);
        settings.dedup.window *= 1 + u32::from(window);
        settings.admin.listen = AdminListen::Unix(format!("/{admin}").into());
        if filter {
            settings.log.filter = "debug".to_owned();
        }
        if mode {
            settings.dedup.mode = DedupMode::Off;
        }
        if brokers {
            settings.kafka.brokers = "elsewhere:9092".to_owned();
        }
        if properties {
            settings.kafka.properties.insert("linger.ms".to_owned(), "7".to_owned());
        }
        if state_dir {
            settings.state_dir.push("elsewhere");
        }
        settings
    }
}

fn vary(stream: &mut StreamSettings, differs: [bool; 17]) {
    let [
        url,
        suite,
        cooldown,
        connect,
        stall,
        horizon,
        retry,
        record,
        own,
        most,
        rest @ ..,
    ] = differs;
    let [smooth, bucket, hosts, topic, dead, key, port] = rest;
    let times = |flag| 1 + u32::from(flag);
    if url {
        stream.url.set_path("/api/1/stream/other");
    }
    stream.url.set_port(port.then_some(8443)).unwrap();
    if suite {
        stream.report_suite = "suite".to_owned();
    }
    stream.cooldown *= times(cooldown);
    stream.connect_timeout *= times(connect);
    stream.stall_timeout *= times(stall);
    stream.backfill_horizon *= times(horizon);
    stream.long_retry *= times(retry);
    stream.max_record_bytes *= times(record) as usize;
    stream.connections = 1 + u8::from(own);
    stream.max_connections = 2 + u8::from(most);
    if smooth {
        stream.smoothing = Some(Smoothing {
            bucket_seconds: bucket.then_some(270),
        });
    }
    if hosts {
        stream.trusted_hosts.push("example.com".to_owned());
    }
    change(stream, |output| {
        if topic {
            output.topic = Topics::One(format!("{}-2", output.topic));
        }
        if dead {
            output.dead_letter_topic.push_str("-2");
        }
        if key {
            output.key = MessageKey::Hit;
        }
    });
}

fn draw() -> impl Strategy<Value = Draw> {
    let streams = subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_flat_map(|names| {
        let each = names.into_iter().map(|name| (Just(name), few::<17>(), 0..2_u8));
        each.collect::<Vec<_>>()
    });
    (streams, few::<8>()).prop_map(|(streams, daemon)| Draw { streams, daemon })
}

/// Mostly nothing differs, so that unchanged streams come up too.
fn few<const N: usize>() -> impl Strategy<Value = [bool; N]> {
    proptest::array::uniform(proptest::bool::weighted(0.05))
}

#[test]
fn a_record_that_the_quarantine_in_use_cannot_hold_is_let_in_after_a_restart_only() {
    let (mut current, mut wanted) = (plain(), plain());
    current.quarantine.max_bytes = 16 << 20;
    wanted.quarantine.max_bytes = 64 << 20;
    wanted.streams[0].max_record_bytes = 64 << 20;
    let changes = Changes::between(&current, &wanted);
    let name = &wanted.streams[0].name;
    assert_eq!(
        changes.needs_restart,
        [
            "quarantine.max_bytes".to_owned(),
            format!("streams.{name}.max_record_bytes")
        ]
    );
    let applied = changes.applied_to(&current);
    assert_eq!(applied.streams[0].max_record_bytes, 16 << 20, "as much as it can hold");
    assert_eq!(applied.quarantine.max_bytes, 16 << 20);
}

#[test]
fn a_token_is_not_taken_off_a_place_that_stays() {
    let (mut current, mut wanted) = (plain(), plain());
    current.admin.token = Some(secret("shown"));
    wanted.admin.listen = AdminListen::Off;
    let changes = Changes::between(&current, &wanted);
    assert_eq!(changes.needs_restart, ["admin.listen", "admin.token"]);
    assert!(changes.daemon.is_empty() && changes.applied_to(&current).admin.token.is_some());
}

#[test]
fn who_may_see_the_admin_server_changes_in_place_and_where_it_listens_does_not() {
    let (current, mut wanted) = (plain(), plain());
    wanted.admin.token = Some(secret("another"));
    wanted.admin.hosts = vec!["page.example".to_owned()];
    wanted.admin.listen = AdminListen::Off;
    let changes = Changes::between(&current, &wanted);
    assert_eq!(changes.daemon.keys, ["admin.token", "admin.hosts"]);
    assert_eq!(changes.needs_restart, ["admin.listen"]);
    let applied = changes.applied_to(&current).admin;
    assert_eq!(
        (applied.listen, applied.hosts),
        (current.admin.listen, wanted.admin.hosts)
    );
    assert!(applied.token.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn applied_changes_give_the_wanted_settings_but_for_what_needs_a_restart(before in draw(), after in draw()) {
        let (current, wanted) = (before.settings(), after.settings());
        let changes = Changes::between(&current, &wanted);
        let mut expected = wanted.clone();
        expected.state_dir.clone_from(&current.state_dir);
        expected.kafka = current.kafka.clone();
        expected.admin = current.admin.clone();
        let applied = changes.applied_to(&current);
        prop_assert_eq!(shown(&applied), shown(&expected));
        let left = Changes::between(&applied, &wanted);
        prop_assert!(left.streams.is_empty() && left.daemon.is_empty(), "{left:?}");
        prop_assert_eq!(left.needs_restart, changes.needs_restart);
    }

    #[test]
    fn only_what_differs_is_touched(before in draw(), after in draw()) {
        let (current, wanted) = (before.settings(), after.settings());
        let changes = Changes::between(&current, &wanted);
        let alone = |stream: &StreamSettings| {
            let mut settings = plain();
            settings.streams = vec![stream.clone()];
            shown(&settings)
        };
        let find = |settings: &Settings, name: &str| settings.streams.iter().find(|stream| stream.name == name).map(alone);
        let mut untouched = 0;
        for name in ["a", "b", "c", "d"] {
            let touched = changes.streams.iter().find(|change| change.name() == name);
            match (find(&current, name), find(&wanted, name)) {
                (None, None) => prop_assert!(touched.is_none()),
                (None, Some(_)) => prop_assert!(matches!(touched, Some(StreamChange::Added(_)))),
                (Some(_), None) => {
                    let removed = matches!(touched, Some(StreamChange::Removed { .. }));
                    prop_assert!(removed, "{touched:?}");
                }
                (Some(one), Some(other)) if one == other => {
                    untouched += 1;
                    prop_assert!(touched.is_none(), "{touched:?}");
                }
                (Some(_), Some(_)) => {
                    let Some(StreamChange::Changed { keys, .. }) = touched else {
                        panic!("{touched:?}")
                    };
                    prop_assert!(!keys.all().is_empty());
                }
            }
        }
        prop_assert_eq!(changes.unchanged, untouched);
        prop_assert!(changes.streams.is_sorted_by_key(StreamChange::name));
    }

    #[test]
    fn settings_do_not_differ_from_themselves_and_the_order_of_streams_does_not_matter(draw in draw()) {
        let settings = draw.settings();
        let mut reversed = draw.settings();
        reversed.streams.reverse();
        let changes = Changes::between(&settings, &reversed);
        prop_assert!(changes.is_empty(), "{changes:?}");
        prop_assert_eq!(changes.unchanged, settings.streams.len());
    }
}
