//! What is refused anywhere: unknown keys, values of another kind, bad names, times and sizes; and how faults are reported.

use super::*;

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (text, key, says) in [
        (with("statedir = \"/tmp\""), "statedir", "did you mean state_dir?"),
        (with("[kafak]\nbrokers = \"a\""), "kafak", "did you mean kafka?"),
        (with("\"kafka.brokers\" = \"a\""), "kafka.brokers", "is not a known key"),
        (
            with("\"streams[9223372036854775807]\" = \"a\""),
            "streams[9223372036854775807]",
            "is not a known key",
        ),
        (
            with("[upstream]\ncool-down = \"60s\""),
            "upstream.cool-down",
            "did you mean cooldown?",
        ),
        (
            with("[upstream]\nurl = \"60s\""),
            "upstream.url",
            "known here are credentials, cooldown,",
        ),
        (with("[upstream]\ntopic = \"a\""), "upstream.topic", "known here are"),
        (with("[kafka]\nbroker = \"a\""), "kafka.broker", "did you mean brokers?"),
        (
            with("[journal]\nmax_size = \"1GiB\""),
            "journal.max_size",
            "known here are sync_interval, max_bytes, max_bytes_in_all",
        ),
        (
            with("[quarantine]\nkeep = 3"),
            "quarantine.keep",
            "known here are max_bytes, max_age",
        ),
        (with("[dedup]\nmodes = \"drop\""), "dedup.modes", "did you mean mode?"),
        (with("[admin]\nport = \"9600\""), "admin.port", "known here are listen"),
        (
            with("[log]\nlevel = \"info\""),
            "log.level",
            "known here are filter, format",
        ),
        (
            with_stream("maxConnections = 1"),
            "streams.web.maxConnections",
            "did you mean max_connections?",
        ),
        (
            with_stream("brokers = \"a\""),
            "streams.web.brokers",
            "known here are url,",
        ),
        (
            with_credential("client_id = \"a\"\nclient_secret = \"hush\"\nsecret = \"hush\""),
            "credentials.default.secret",
            "is not a known key",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_value_of_another_kind_is_refused() {
    for (text, key, says) in [
        (
            with("state_dir = 1"),
            "state_dir",
            "= 1: a number stands where text in quotes belongs",
        ),
        (with("state_dir = true"), "state_dir", "true or false stands where text"),
        (
            with("shutdown_timeout = 25"),
            "shutdown_timeout",
            "a number stands where a time in quotes, as in \"60s\", belongs",
        ),
        (
            with("shutdown_timeout = [\"25s\"]"),
            "shutdown_timeout",
            "a list stands where a time",
        ),
        (
            with("[kafka]\nbrokers = 9092"),
            "kafka.brokers",
            "a number stands where text",
        ),
        (
            with("[kafka]\ntopic = {}"),
            "kafka.topic",
            "a section stands where text",
        ),
        (
            with("[kafka]\nkey = false"),
            "kafka.key",
            "true or false stands where a word",
        ),
        (
            with("[upstream]\nconnections = \"2\""),
            "upstream.connections",
            "text stands where a whole number belongs",
        ),
        (
            with("[upstream]\nconnections = 1.0"),
            "upstream.connections",
            "a number stands where a whole number belongs",
        ),
        (
            with("[upstream]\nsmoothing = \"true\""),
            "upstream.smoothing",
            "text stands where true or false belongs",
        ),
        (
            with("[upstream]\nsmoothing = 1"),
            "upstream.smoothing",
            "a number stands where true or false belongs",
        ),
        (
            with("[upstream]\ntrusted_hosts = \"adobe.net\""),
            "upstream.trusted_hosts",
            "text stands where a list belongs",
        ),
        (
            with("[upstream]\ntrusted_hosts = [1]"),
            "upstream.trusted_hosts",
            "a number stands in the list",
        ),
        (
            with("[upstream]\nmax_record_bytes = 8388608"),
            "upstream.max_record_bytes",
            "a size in quotes, as in \"8MiB\"",
        ),
        (
            with_stream("report_suite = 7"),
            "streams.web.report_suite",
            "a number stands where text",
        ),
        (
            with_credential("client_id = 7\nclient_secret = \"hush\""),
            "credentials.default.client_id",
            "a number stands",
        ),
        (
            with_credential("client_id = \"c\"\nclient_secret = 7"),
            "credentials.default.client_secret",
            "a number stands",
        ),
        (
            with("kafka = \"localhost\""),
            "kafka",
            "text stands where the section [kafka] belongs",
        ),
        (
            with("[kafka]\nproperties = 1"),
            "kafka.properties",
            "a number stands where the section [kafka.properties]",
        ),
        (
            format!("streams = 1\n{CREDENTIAL}"),
            "streams",
            "a number stands where the section [streams] belongs",
        ),
        (
            format!("credentials = 1\n{STREAM}"),
            "credentials",
            "a number stands where the section [credentials] belongs",
        ),
        (
            format!("[streams]\nweb = \"https://a.example\"\n{CREDENTIAL}"),
            "streams.web",
            "text stands where the section",
        ),
    ] {
        if text.starts_with("credentials = 1") || text.starts_with("[streams]\nweb") {
            // What hangs on it is said too.
            let faults = from_toml(&text).unwrap_err();
            assert!(
                faults
                    .iter()
                    .any(|fault| fault.key() == key && fault.problem().contains(says)),
                "{faults}"
            );
        } else {
            assert_refused(&text, &[], key, says);
        }
    }
}

#[test]
fn empty_text_and_text_with_invisible_parts_is_refused() {
    for (text, key, says) in [
        (with("state_dir = \"\""), "state_dir", "is empty"),
        (with("state_dir = \" /tmp\""), "state_dir", "white space around it"),
        (with("state_dir = \"/tmp\\n\""), "state_dir", "control character"),
        (
            with_stream("report_suite = \"\""),
            "streams.web.report_suite",
            "is empty",
        ),
        (
            with_stream("report_suite = \"a\\r\\nX-Evil: 1\""),
            "streams.web.report_suite",
            "control character",
        ),
        (with_stream("topic = \"\""), "streams.web.topic", "is empty"),
        (with_url(""), "streams.web.url", "is empty"),
        (
            with_url("https://a.example/\tx"),
            "streams.web.url",
            "control character",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_bad_name_is_refused() {
    let long = "x".repeat(65);
    for name in ["Web", "my.site", "my site", "söt", "", &long] {
        let text = format!("{CREDENTIAL}[streams.{name:?}]\nurl = \"https://a.example/\"\ntopic = \"t\"\n");
        assert_refused(
            &text,
            &[],
            &format!("streams.{name}"),
            "use 1 to 64 of a-z, 0-9, - and _",
        );
        let text = with(&format!("[credentials.{name:?}]\naccess_token = \"hush\"\n"));
        assert_refused(
            &text,
            &[],
            &format!("credentials.{name}"),
            "use 1 to 64 of a-z, 0-9, - and _",
        );
    }
}

#[test]
fn a_time_or_size_that_makes_no_sense_is_refused() {
    for (text, key, says) in [
        (
            with("shutdown_timeout = \"25\""),
            "shutdown_timeout",
            "is not a time; write a number and a unit",
        ),
        (with("shutdown_timeout = \"soon\""), "shutdown_timeout", "is not a time"),
        (with("shutdown_timeout = \"-1s\""), "shutdown_timeout", "is not a time"),
        (
            with("shutdown_timeout = \"0s\""),
            "shutdown_timeout",
            "it may be 1ms to 1h",
        ),
        (
            with("shutdown_timeout = \"2h\""),
            "shutdown_timeout",
            "it may be 1ms to 1h",
        ),
        (
            with_stream("cooldown = \"61m\""),
            "streams.web.cooldown",
            "it may be 1ms to 1h",
        ),
        (
            with_stream("connect_timeout = \"0s\""),
            "streams.web.connect_timeout",
            "it may be 1ms to 5m",
        ),
        (
            with_stream("connect_timeout = \"6m\""),
            "streams.web.connect_timeout",
            "it may be 1ms to 5m",
        ),
        (
            with_stream("stall_timeout = \"0s\""),
            "streams.web.stall_timeout",
            "it may be 1ms to 30m",
        ),
        (
            with_stream("stall_timeout = \"31m\""),
            "streams.web.stall_timeout",
            "it may be 1ms to 30m",
        ),
        (
            with_stream("backfill_horizon = \"0s\""),
            "streams.web.backfill_horizon",
            "it may be 1ms to 1day",
        ),
        (
            with_stream("long_retry = \"2days\""),
            "streams.web.long_retry",
            "it may be 1ms to 1day",
        ),
        (
            with_stream("long_retry = \"59s\""),
            "streams.web.long_retry",
            "is shorter than the cooldown of 1m",
        ),
        (
            with_stream("max_record_bytes = \"many\""),
            "streams.web.max_record_bytes",
            "is not a size; write a number",
        ),
        (
            with_stream("max_record_bytes = \"63KiB\""),
            "streams.web.max_record_bytes",
            "it may be 64.0 KiB to 1.0 GiB",
        ),
        (
            with_stream("max_record_bytes = \"2GiB\""),
            "streams.web.max_record_bytes",
            "it may be 64.0 KiB to 1.0 GiB",
        ),
        (
            with("[journal]\nsync_interval = \"0s\""),
            "journal.sync_interval",
            "it may be 1ms to 1m",
        ),
        (
            with("[journal]\nsync_interval = \"2m\""),
            "journal.sync_interval",
            "it may be 1ms to 1m",
        ),
        (
            with("[journal]\nmax_bytes = \"1KiB\""),
            "journal.max_bytes",
            "it may be 64.0 KiB to 1.0 PiB",
        ),
        (
            with("[journal]\nmax_bytes = \"2PiB\""),
            "journal.max_bytes",
            "it may be 64.0 KiB to 1.0 PiB",
        ),
        (
            with("[journal]\nmax_bytes = \"1MiB\""),
            "journal.max_bytes",
            "raise it, or lower max_record_bytes",
        ),
        (
            with("[journal]\nmax_bytes_in_all = \"1MiB\""),
            "journal.max_bytes_in_all",
            "raise it, or lower max_record_bytes",
        ),
        (
            with("[quarantine]\nmax_bytes = \"1KiB\""),
            "quarantine.max_bytes",
            "it may be 64.0 KiB to 1.0 PiB",
        ),
        (
            with("[quarantine]\nmax_bytes = \"1MiB\""),
            "quarantine.max_bytes",
            "is less than one record of stream web may have (8388608 bytes); raise it, or lower max_record_bytes",
        ),
        (
            with("[quarantine]\nmax_age = \"59m\""),
            "quarantine.max_age",
            "it may be 1h to ",
        ),
        (
            with("[quarantine]\nmax_age = 30"),
            "quarantine.max_age",
            "a number stands where a time in quotes",
        ),
        (with("[dedup]\nwindow = \"0s\""), "dedup.window", "it may be 1s to 1day"),
        (
            with("[dedup]\nmax_ids = 999"),
            "dedup.max_ids",
            "must be a whole number from 1000 to 100000000",
        ),
        (
            with("[dedup]\nmax_ids = 100000001"),
            "dedup.max_ids",
            "must be a whole number from 1000 to 100000000",
        ),
        (
            with("[dedup]\nwindow = \"25h\""),
            "dedup.window",
            "it may be 1s to 1day",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn what_operators_set_is_checked() {
    for (text, key, says) in [
        (
            with("[kafka]\nbrokers = \"a:b\""),
            "kafka.brokers",
            "\"a:b\" is not host or host:port",
        ),
        (
            with("[kafka]\nbrokers = \"a:1,,b:1\""),
            "kafka.brokers",
            "\"\" is not host or host:port",
        ),
        (
            with("[admin]\nlisten = \"9600\""),
            "admin.listen",
            "is not an address and port",
        ),
        (
            with("[admin]\nlisten = \"localhost:9600\""),
            "admin.listen",
            "is not an address and port",
        ),
        (
            with("[admin]\nlisten = \"127.0.0.1:65536\""),
            "admin.listen",
            "is not an address and port",
        ),
        (with("[log]\nfilter = \"a=b=c\""), "log.filter", "is not a log filter"),
        (
            with("[log]\nfilter = \"livestreamd=loud\""),
            "log.filter",
            "is not a log filter",
        ),
        (
            with("[log]\nformat = \"xml\""),
            "log.format",
            "is none of auto, text, json, journald",
        ),
        (
            with("[dedup]\nmode = \"dorp\""),
            "dedup.mode",
            "is none of drop, mark, off",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = r#"
        state_dir = 1
        colour = "red"
        [credentials.default]
        client_secret = "hush"
        client_secret_file = "gone"
        scopes = "all"
        [upstream]
        cooldown = "1s"
        connections = 9
        [kafka]
        brokers = ""
        key = "user"
        [kafka.properties]
        acks = 0
        retries = 0
        [journal]
        max_byte = "1GiB"
        [quarantine]
        max_bytes = "1KiB"
        max_age = "1m"
        [log]
        format = 1
        [streams.Web]
        url = "http://a.example/"
        [streams.shop]
        topic = "{shop}"
        credentials = "other"
    "#;
    let faults = from(
        text,
        &[
            ("LIVESTREAMD__ADMIN__LISTEN", "here"),
            ("LIVESTREAMD__ADMIN__PORT", "1"),
        ],
    )
    .unwrap_err();
    let mut keys: Vec<&str> = faults.iter().map(super::super::Fault::key).collect();
    keys.sort_unstable();
    let mut expected = vec![
        "admin.listen",
        "admin.port",
        "colour",
        "credentials.default.client_id",
        "credentials.default.client_secret_file",
        "credentials.default.scopes",
        "journal.max_byte",
        "kafka.brokers",
        "kafka.key",
        "kafka.properties.acks",
        "kafka.properties.retries",
        "log.format",
        "quarantine.max_age",
        "quarantine.max_bytes",
        "state_dir",
        "streams.Web",
        "streams.Web.url",
        "streams.shop.credentials",
        "streams.shop.topic",
        "streams.shop.url",
        "upstream.connections",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected, "{faults}");
    assert_eq!(faults.to_string().lines().count(), expected.len());
    assert!(!faults.to_string().contains("hush"), "{faults}");
}

#[test]
fn a_fault_of_the_environment_names_its_variable() {
    let faults = from(&with(""), &[("LIVESTREAMD__STREAMS__WEB__COOLDOWN", "5s")]).unwrap_err();
    let line = faults.to_string();
    assert!(
        line.starts_with("streams.web.cooldown = \"5s\" (from LIVESTREAMD__STREAMS__WEB__COOLDOWN): is under 1m"),
        "{line}"
    );
    assert_eq!(
        faults.iter().next().unwrap().variable(),
        Some("LIVESTREAMD__STREAMS__WEB__COOLDOWN")
    );
    let faults = from_toml(&with("state_dir = 1")).unwrap_err();
    assert_eq!(faults.iter().next().unwrap().variable(), None);
}
