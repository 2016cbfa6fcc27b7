//! What a configuration that is fine comes to: defaults, what streams inherit, and what is only warned about.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::settings::{DedupMode, Grant, LogFormat, MessageKey, OutputSettings, Smoothing, defaults};

#[test]
fn what_is_not_set_is_what_the_design_says() {
    let settings = settings(&with(""), &[]);
    assert_eq!(settings.state_dir.to_str(), Some("/var/lib/livestreamd"));
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(25));
    assert!(settings.proxy.proxy.is_none() && settings.proxy.exceptions.is_empty());
    assert_eq!(settings.kafka.brokers, "localhost:9092");
    assert!(settings.kafka.properties.is_empty());
    assert_eq!(settings.journal.sync_interval, Duration::from_millis(100));
    assert_eq!(settings.journal.max_bytes, 20 * 1024 * 1024 * 1024);
    assert_eq!(settings.journal.max_bytes_in_all, 100 * 1024 * 1024 * 1024);
    assert_eq!(
        (settings.quarantine.max_bytes, settings.quarantine.max_age),
        (1024 * 1024 * 1024, Duration::from_hours(30 * 24))
    );
    assert_eq!(
        (settings.dedup.mode, settings.dedup.window, settings.dedup.max_ids),
        (DedupMode::Drop, Duration::from_mins(15), 1_750_000)
    );
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9600");
    assert_eq!(
        (settings.log.filter.as_str(), settings.log.format),
        ("info", LogFormat::Auto)
    );
    let [web] = &settings.streams[..] else {
        panic!("{settings:?}")
    };
    assert_eq!(
        (
            web.name.as_str(),
            web.report_suite.as_str(),
            web.credential.name.as_str()
        ),
        ("web", "web", "default")
    );
    assert_eq!(web.url.as_str(), "https://livestream.adobe.net/api/1/stream/web");
    let seconds = [
        web.cooldown,
        web.connect_timeout,
        web.stall_timeout,
        web.backfill_horizon,
        web.long_retry,
    ];
    assert_eq!(seconds.map(|duration| duration.as_secs()), [60, 10, 120, 180, 600]);
    assert_eq!(web.max_record_bytes, 8 * 1024 * 1024);
    assert_eq!((web.connections, web.max_connections, web.smoothing), (1, 1, None));
    assert_eq!(web.trusted_hosts, ["adobe.net", "adobe.io"]);
    assert_eq!(
        web.outputs.iter().map(|output| output.settings()).collect::<Vec<_>>(),
        [&OutputSettings::to("livestream.web", "livestream.dead-letter")]
    );
    let Grant::Client {
        client_id,
        scopes,
        token_url,
        ..
    } = &web.credential.grant
    else {
        panic!("{web:?}")
    };
    assert_eq!(
        (client_id.as_str(), token_url.as_str()),
        ("client", "https://ims-na1.adobelogin.com/ims/token/v3")
    );
    assert_eq!(
        scopes.join(","),
        "openid,AdobeID,read_organizations,additional_info.projectedProductContext"
    );
    assert_eq!(defaults::token_url().as_str(), defaults::TOKEN_URL);
}

#[test]
fn a_stream_sets_again_what_all_share() {
    let text = r#"
        [upstream]
        cooldown = "61s"
        connections = 2
        smoothing = true
        smoothing_bucket_size = 300
        trusted_hosts = ["Adobe.NET"]
        [kafka]
        topic = "{report_suite}.hits"
        key = "hit"
        [streams.shop]
        url = "https://sjo.livestream.adobe.net/shop?beta=true"
        report_suite = "shopprod"
        cooldown = "62s"
        max_connections = 5
        smoothing = false
        key = "none"
        dead_letter_topic = "dead.{stream}"
    "#;
    let settings = settings(&with(text), &[]);
    let [shop, web] = &settings.streams[..] else {
        panic!("{settings:?}")
    };
    assert_eq!((shop.cooldown.as_secs(), web.cooldown.as_secs()), (62, 61));
    assert_eq!(
        (
            shop.connections,
            shop.max_connections,
            web.connections,
            web.max_connections
        ),
        (2, 5, 2, 2)
    );
    assert_eq!(
        (shop.smoothing, web.smoothing),
        (
            None,
            Some(Smoothing {
                bucket_seconds: Some(300)
            })
        )
    );
    let [of_shop, of_web] = [shop, web].map(|stream| stream.outputs[0].settings());
    assert_eq!(
        [of_shop, of_web].map(|output| output.topic.to_string()),
        ["shopprod.hits", "web.hits"]
    );
    assert_eq!(
        [of_shop, of_web].map(|output| output.dead_letter_topic.as_str()),
        ["dead.shop", "livestream.dead-letter"]
    );
    assert_eq!((&of_shop.key, &of_web.key), (&MessageKey::None, &MessageKey::Hit));
    assert_eq!(shop.trusted_hosts, ["adobe.net"]);
    assert_eq!(shop.url.query(), Some("beta=true"), "the URI is taken as it is");
    assert!(
        Arc::ptr_eq(&shop.credential, &web.credential),
        "one credential, one token"
    );
}

#[test]
fn a_fault_in_what_all_share_is_not_blamed_on_each_stream() {
    let text = "[upstream]\ncooldown = \"5s\"\n[streams.shop]\nurl = \"https://livestream.adobe.net/shop\"";
    let faults = from_toml(&with(text)).unwrap_err();
    assert_eq!(faults.iter().count(), 1, "{faults}");
}

#[test]
fn the_long_retry_is_never_shorter_than_the_cooldown() {
    assert_eq!(
        settings(&with_stream("cooldown = \"15m\""), &[]).streams[0]
            .long_retry
            .as_secs(),
        900
    );
    assert_eq!(
        settings(&with_stream("long_retry = \"60s\""), &[]).streams[0]
            .long_retry
            .as_secs(),
        60
    );
}

#[test]
fn librdkafka_properties_keep_their_dots_and_what_changes_nothing_is_let_pass() {
    let text = r#"
        [kafka.properties]
        "enable.idempotence" = true
        "acks" = "all"
        "message.timeout.ms" = 0
        "max.in.flight" = 5
        "retries" = 2147483647
        "security.protocol" = "SASL_SSL"
        "ssl.key.pem" = "-----BEGIN\nhush\n"
        "topic.partitioner" = "random"
        socket.keepalive.enable = true
        metadata.max.age.ms = 5
    "#;
    let properties = settings(&with(text), &[]).kafka.properties;
    let expected = [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("max.in.flight.requests.per.connection", "5"),
        ("message.timeout.ms", "0"),
        ("metadata.max.age.ms", "5"),
        ("partitioner", "random"),
        ("retries", "2147483647"),
        ("security.protocol", "SASL_SSL"),
        ("socket.keepalive.enable", "true"),
        ("ssl.key.pem", "-----BEGIN\nhush\n"),
    ];
    let properties: Vec<(&str, &str)> = properties
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    assert_eq!(properties, expected);
}

#[test]
fn what_is_probably_not_meant_is_warned_about() {
    for (text, says) in [
        (
            with_stream("cooldown = \"4m\""),
            "streams.web: the cooldown is longer than backfill_horizon",
        ),
        (
            with_stream("stall_timeout = \"5s\""),
            "streams.web.stall_timeout: is under 1m: a quiet but healthy",
        ),
        (
            with("[credentials.spare]\naccess_token = \"hush\""),
            "credentials.spare: no stream uses it",
        ),
    ] {
        let warnings = from_toml(&text).unwrap().warnings;
        let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(matches!(&lines[..], [line] if line.contains(says)), "{lines:?}");
    }
    assert!(from_toml(&with("")).unwrap().warnings.is_empty());
}
