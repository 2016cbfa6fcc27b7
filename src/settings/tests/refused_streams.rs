//! What is refused of streams and upstream: URLs, cooldowns, counts and trusted hosts.

use super::*;

#[test]
fn a_configuration_without_streams_is_refused() {
    for text in [
        CREDENTIAL.to_owned(),
        format!("[streams]\n{CREDENTIAL}"),
        format!("streams = []\n{CREDENTIAL}"),
    ] {
        assert_refused(
            &text,
            &[],
            "streams",
            "there is no stream; add a section [streams.NAME]",
        );
    }
}

#[test]
fn a_bad_stream_url_is_refused() {
    for (url, says) in [
        ("livestream.adobe.net/x", "is not a URL"),
        ("https://", "is not a URL"),
        ("ftp://a.example/", "is a ftp URL; it must begin with https://"),
        (
            "http://livestream.adobe.net/x",
            "http:// would send the secret in the clear",
        ),
        ("http://localhost.example/x", "allowed to loopback hosts only"),
        ("http://127.0.0.1@evil.example/x", "allowed to loopback hosts only"),
        ("https://user@a.example/x", "a user or password"),
        ("https://user:hush@a.example/x", "a user or password"),
        ("https://a.example/x#y", "a fragment"),
        ("https://a.example/x#", "a fragment"),
        ("https://a.example/x?maxConnections=2", "set max_connections instead"),
        (
            "https://a.example/x?a=b&MAXCONNECTIONS=2",
            "set max_connections instead",
        ),
        ("https://a.example/x?smoothing=1", "set smoothing = true instead"),
        (
            "https://a.example/x?smoothingBucketSize=9",
            "set smoothing_bucket_size instead",
        ),
        ("https://a.example/x?reset=largest", "never sent automatically"),
        ("https://a.example/x?res%65t", "never sent automatically"),
    ] {
        assert_refused(&with_url(url), &[], "streams.web.url", says);
    }
    assert_refused(
        &format!("{CREDENTIAL}[streams.web]\n"),
        &[],
        "streams.web.url",
        "is missing; set it to the whole URI",
    );
    let all = from_toml(&with_url("http://u@a.example/?reset=smallest&smoothing=1#x"))
        .unwrap_err()
        .to_string();
    for part in [
        "in the clear",
        "user or password",
        "fragment",
        "has reset",
        "has smoothing",
    ] {
        assert!(all.contains(part), "{all}");
    }
}

#[test]
fn two_streams_with_one_url_are_refused() {
    let text = |other: &str| with(&format!("[streams.other]\nurl = {other:?}"));
    for other in [
        "https://livestream.adobe.net/api/1/stream/web",
        "https://LIVESTREAM.adobe.net:443/api/1/stream/web?",
        "https://livestream.adobe.net/api/1/./stream/web",
        "https://livestream.adobe.net./api/1/stream/web",
        "https://livestream.adobe.net/api/1/stream/%77eb",
        "https://livestream.adobe.net/api/2/stream/web",
    ] {
        assert_refused(&text(other), &[], "streams.web.url", "is the URL of stream other too");
    }
    let faults = from_toml(&text("https://livestream.adobe.net/api/1/stream/web#2")).unwrap_err();
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{faults}");
    assert!(said.iter().any(|line| line.contains("fragment")), "{faults}");
    assert!(
        said.iter().any(|line| line.contains("is the URL of stream other too")),
        "{faults}"
    );
}

#[test]
fn a_short_cooldown_is_refused_unless_the_host_is_loopback() {
    let says = "is under 1m, which is allowed for loopback hosts only, and livestream.adobe.net is not one";
    for short in ["1ms", "59s", "59999ms"] {
        assert_refused(
            &with_stream(&format!("cooldown = {short:?}")),
            &[],
            "streams.web.cooldown",
            says,
        );
        assert_refused(
            &with(&format!("[upstream]\ncooldown = {short:?}")),
            &[],
            "upstream.cooldown",
            says,
        );
    }
    assert_refused(
        &with_stream("cooldown = \"0s\""),
        &[],
        "streams.web.cooldown",
        "is out of range; it may be 1ms to 1h",
    );
    let loopback = |cooldown: &str| format!("{}cooldown = {cooldown:?}\n", with_url("http://127.0.0.1:8088/s"));
    assert_eq!(settings(&loopback("2s"), &[]).streams[0].cooldown.as_secs(), 2);
    assert_refused(&loopback("0s"), &[], "streams.web.cooldown", "is out of range");
}

#[test]
fn a_count_out_of_its_bounds_is_refused() {
    for (text, key, says) in [
        (
            with_stream("connections = 0"),
            "streams.web.connections",
            "= 0: must be a whole number from 1 to 8",
        ),
        (with_stream("connections = 9"), "streams.web.connections", "from 1 to 8"),
        (
            with_stream("connections = -1"),
            "streams.web.connections",
            "from 1 to 8",
        ),
        (
            with_stream("connections = 65537"),
            "streams.web.connections",
            "from 1 to 8",
        ),
        (
            with_stream("max_connections = 9"),
            "streams.web.max_connections",
            "from 1 to 8",
        ),
        (
            with_stream("connections = 3\nmax_connections = 2"),
            "streams.web.max_connections",
            "is less than connections, which is 3 (streams.web.connections)",
        ),
        (
            with("[upstream]\nmax_connections = 2\n") + "connections = 3",
            "upstream.max_connections",
            "is less than connections, which is 3 (streams.web.connections)",
        ),
        (
            with_stream("smoothing = true\nsmoothing_bucket_size = 0"),
            "streams.web.smoothing_bucket_size",
            "from 1 to 7200",
        ),
        (
            with_stream("smoothing = true\nsmoothing_bucket_size = 7201"),
            "streams.web.smoothing_bucket_size",
            "from 1 to 7200",
        ),
        (
            with_stream("smoothing_bucket_size = 270"),
            "streams.web.smoothing_bucket_size",
            "no effect without smoothing",
        ),
        (
            with_stream("smoothing = false\nsmoothing_bucket_size = 270"),
            "streams.web.smoothing_bucket_size",
            "no effect without smoothing",
        ),
        (
            with("[upstream]\nsmoothing_bucket_size = 270"),
            "upstream.smoothing_bucket_size",
            "no effect without smoothing",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_trusted_host_that_is_more_than_a_name_is_refused() {
    for (host, says) in [
        ("https://adobe.net", "is a URL"),
        ("adobe.net/x", "is a URL"),
        ("adobe.net:443", "has a port"),
        ("*.adobe.net", "has a wildcard"),
        (".adobe.net", "is not a host name"),
        ("adobe..net", "is not a host name"),
        ("-adobe.net", "is not a host name"),
        ("adobe_net.com", "is not a host name"),
        ("user@adobe.net", "is not a host name"),
        ("net", "is a whole top-level domain"),
        ("", "is empty"),
        ("adobe.net ", "white space"),
    ] {
        let text = with(&format!("[upstream]\ntrusted_hosts = [\"adobe.io\", {host:?}]"));
        assert_refused(&text, &[], "upstream.trusted_hosts", says);
    }
}
