//! Tests of the whole way from text and environment to settings or faults.

mod accepted;
mod admin;
mod example;
mod fuzz;
mod hush;
mod kafka_files;
mod proxies;
mod refusals;
mod refused_credentials;
mod refused_kafka;
mod refused_streams;
mod shapes;
mod sources;
mod tls;
mod trials;

use std::path::Path;

use super::{Faults, Format, Loaded, Settings, load_str};

/// A credential that needs no file.
const CREDENTIAL: &str = "[credentials.default]\nclient_id = \"client\"\nclient_secret = \"hush\"\n";

/// A stream that needs nothing else.
const STREAM: &str = "[streams.web]\nurl = \"https://livestream.adobe.net/api/1/stream/web\"\n";

/// The least configuration, with `text` before it: top-level keys, then sections.
fn with(text: &str) -> String {
    format!("{text}\n{CREDENTIAL}{STREAM}")
}

/// The least configuration, with `keys` in its stream.
fn with_stream(keys: &str) -> String {
    format!("{CREDENTIAL}{STREAM}{keys}\n")
}

/// A whole configuration whose one stream has this URL.
fn with_url(url: &str) -> String {
    format!("{CREDENTIAL}[streams.web]\nurl = {url:?}\n")
}

/// A whole configuration whose one credential has these keys.
fn with_credential(keys: &str) -> String {
    format!("{STREAM}[credentials.default]\n{keys}\n")
}

fn from_toml(text: &str) -> Result<Loaded, Faults> {
    from(text, &[])
}

fn from(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Faults> {
    load_str(text, Format::Toml, variables(env), Path::new("/nonexistent"))
}

fn variables(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The settings of a configuration that must be fine.
fn settings(text: &str, env: &[(&str, &str)]) -> Settings {
    from(text, env)
        .unwrap_or_else(|faults| panic!("{faults}\n---\n{text}"))
        .settings
}

/// Asserts that a configuration has one fault, of this key, and that it says this.
fn assert_refused(text: &str, env: &[(&str, &str)], key: &str, says: &str) {
    let Err(faults) = from(text, env) else {
        panic!(
            "accepted, where {key} should have been refused ({says}):
{text}"
        )
    };
    assert_eq!(faults.iter().count(), 1, "{faults}\n---\n{text}");
    let fault = faults.iter().next().unwrap();
    assert_eq!(fault.key(), key, "{faults}\n---\n{text}");
    assert!(
        faults.to_string().contains(says),
        "{faults}\ndoes not say {says:?}\n---\n{text}"
    );
    assert!(!faults.to_string().contains("hush"), "{faults}");
}
