//! `config/livestreamd.toml`, the commented example: it works, it shows every key, and the defaults that it shows are the defaults.

use super::*;
use crate::settings::{load, summary};

const EXAMPLE: &str = include_str!("../../../config/livestreamd.toml");

/// Every key of the configuration; in a named section, as of an example.
const KEYS: [&str; 72] = [
    "state_dir",
    "shutdown_timeout",
    "client_id",
    "client_secret",
    "client_secret_file",
    "scopes",
    "token_url",
    "access_token",
    "access_token_file",
    "credentials",
    "cooldown",
    "connect_timeout",
    "stall_timeout",
    "backfill_horizon",
    "long_retry",
    "max_record_bytes",
    "connections",
    "max_connections",
    "smoothing",
    "smoothing_bucket_size",
    "trusted_hosts",
    "proxy",
    "proxy_credentials_file",
    "no_proxy",
    "tls",
    "ca_file",
    "client_certificate_file",
    "client_key_file",
    "brokers",
    "topic",
    "dead_letter_topic",
    "key",
    "timestamp",
    "allowed_topics",
    "fallback_topic",
    "shape",
    "bots",
    "excluded",
    "drop_if",
    "keep_if",
    "keep",
    "drop",
    "required",
    "incomplete_topic",
    "headers",
    "privacy",
    "remove",
    "hash",
    "mask",
    "mask_leaves",
    "truncate_ip",
    "hash_key_file",
    "outputs",
    "input",
    "held_back_by",
    "output",
    "properties",
    "property_files",
    "sync_interval",
    "max_bytes",
    "max_bytes_in_all",
    "max_age",
    "mode",
    "window",
    "listen",
    "token",
    "token_file",
    "hosts",
    "filter",
    "format",
    "url",
    "report_suite",
];

#[test]
fn the_example_is_a_working_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let settings = load_example(EXAMPLE, directory.path());
    println!("{}", summary(&settings));
    assert_eq!(settings.streams.len(), 1);
    assert_eq!(
        settings.streams[0].outputs[0].settings().topic.to_string(),
        "livestream.examplecomprod"
    );
}

#[test]
fn the_example_shows_every_key() {
    for key in KEYS {
        let shown = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches(['#', '[']);
            line.starts_with(&format!("{key} ="))
                || line.contains(&format!(".{key}]"))
                || line.contains(&format!(".{key}."))
                || line.contains(&format!(" {key} = "))
        });
        assert!(shown, "{key} is not in config/livestreamd.toml");
    }
}

#[test]
fn the_values_that_the_example_shows_are_the_defaults() {
    let shown: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '"' || c == '[') => {
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(
        shown
            .lines()
            .filter(|line| line.contains(" = ") && !line.starts_with('#'))
            .count()
            > 30,
        "{shown}"
    );
    let directory = tempfile::tempdir().unwrap();
    let [plain, mut shown] = [EXAMPLE, &shown].map(|text| load_example(text, directory.path()));
    // These are set by the producer, not by the settings.
    assert_eq!(
        shown.kafka.properties.keys().collect::<Vec<_>>(),
        ["compression.type", "linger.ms", "statistics.interval.ms"]
    );
    shown.kafka.properties.clear();
    assert_eq!(summary(&shown), summary(&plain));
    assert_eq!(format!("{shown:?}"), format!("{plain:?}"));
}

fn load_example(text: &str, directory: &Path) -> Settings {
    for secret in ["client_secret", "access_token"] {
        std::fs::write(directory.join(secret), "hush\n").unwrap();
    }
    let path = directory.join("livestreamd.toml");
    std::fs::write(&path, text).unwrap();
    load(&path, [])
        .unwrap_or_else(|faults| panic!("{faults}\n---\n{text}"))
        .settings
}
