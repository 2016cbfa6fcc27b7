//! Which keys of one stream differ, and what each of them asks for.
//!
//! Settings are taken apart field by field, so that a new one cannot be forgotten here.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::settings::resolved::{
    Credential, DEFAULT_OUTPUT, Grant, Output, OutputSettings, SecretSource, StreamSettings,
};

/// The keys of a stream that differ, by what they ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys {
    /// All connections of the stream are closed, and opened again after their cooldown.
    pub reconnect: Vec<String>,
    /// `connections` differs: surplus connections are closed, missing ones opened.
    pub connections: bool,
    /// Open connections stay; the next attempt is made by the new values.
    pub next_connect: Vec<String>,
    /// The forwarder goes over to the new values between two records.
    pub in_place: Vec<String>,
}

impl ChangedKeys {
    /// The difference between two settings of one stream.
    pub(super) fn between(current: &StreamSettings, wanted: &StreamSettings) -> Self {
        let StreamSettings {
            name: _,
            url,
            report_suite,
            credential,
            cooldown,
            connect_timeout,
            stall_timeout,
            backfill_horizon,
            long_retry,
            max_record_bytes,
            connections,
            max_connections,
            smoothing,
            trusted_hosts,
            outputs,
        } = wanted;
        let bucket = |stream: &StreamSettings| stream.smoothing.map(|smoothing| smoothing.bucket_seconds);
        let mut next_connect = named([
            ("cooldown", *cooldown == current.cooldown),
            ("connect_timeout", *connect_timeout == current.connect_timeout),
            ("stall_timeout", *stall_timeout == current.stall_timeout),
            ("backfill_horizon", *backfill_horizon == current.backfill_horizon),
            ("long_retry", *long_retry == current.long_retry),
            ("max_record_bytes", *max_record_bytes == current.max_record_bytes),
            ("trusted_hosts", *trusted_hosts == current.trusted_hosts),
        ]);
        next_connect.extend(credential_keys(&current.credential, credential));
        Self {
            reconnect: named([
                ("url", *url == current.url),
                ("max_connections", *max_connections == current.max_connections),
                ("smoothing", smoothing.is_some() == current.smoothing.is_some()),
                (
                    "smoothing_bucket_size",
                    smoothing.is_some() != current.smoothing.is_some() || bucket(wanted) == bucket(current),
                ),
            ]),
            connections: *connections != current.connections,
            next_connect,
            in_place: in_place(outputs, &current.outputs, *report_suite == current.report_suite),
        }
    }

    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.reconnect.is_empty() && !self.connections && self.next_connect.is_empty() && self.in_place.is_empty()
    }

    /// All of them, for people.
    pub fn all(&self) -> Vec<&str> {
        let connections = self.connections.then_some("connections");
        let others = [&self.reconnect, &self.next_connect, &self.in_place];
        let others = others.into_iter().flatten().map(String::as_str);
        connections.into_iter().chain(others).collect()
    }
}

/// What differs in what becomes of the hits. Outputs that come or go are named as a whole.
fn in_place(wanted: &[Arc<Output>], current: &[Arc<Output>], same_suite: bool) -> Vec<String> {
    let mut keys = Vec::new();
    for output in wanted.iter().map(|output| output.settings()) {
        match current.iter().find(|before| before.name() == output.name) {
            Some(before) => keys.extend(output_keys(before.settings(), output)),
            None => keys.push(path_of(output, "")),
        }
    }
    keys.extend(named([("report_suite", same_suite)]));
    let is_gone = |before: &&Arc<Output>| wanted.iter().all(|output| output.name() != before.name());
    let gone = current.iter().filter(is_gone);
    keys.extend(gone.map(|output| path_of(output.settings(), "")));
    keys
}

fn output_keys(current: &OutputSettings, wanted: &OutputSettings) -> Vec<String> {
    let OutputSettings {
        name: _,
        topic,
        dead_letter_topic,
        key,
        timestamp,
        shape,
    } = wanted;
    let keys = named([
        ("topic", *topic == current.topic),
        ("dead_letter_topic", *dead_letter_topic == current.dead_letter_topic),
        ("key", *key == current.key),
        ("timestamp", *timestamp == current.timestamp),
        ("shape", *shape == current.shape),
    ]);
    keys.iter().map(|key| path_of(wanted, key)).collect()
}

/// The path of an output's key within its stream, or of the output as a whole.
fn path_of(output: &OutputSettings, key: &str) -> String {
    match (output.name.as_str(), key) {
        (DEFAULT_OUTPUT, key) => key.to_owned(),
        (name, "") => format!("outputs.{name}"),
        (name, key) => format!("outputs.{name}.{key}"),
    }
}

/// The names of what is not the same.
pub(super) fn named<const N: usize>(keys: [(&str, bool); N]) -> Vec<String> {
    let other = keys.into_iter().filter(|(_, same)| !same);
    other.map(|(key, _)| key.to_owned()).collect()
}

/// Whether two credentials give the same token, and so may share one.
pub fn same_credential(one: &Credential, other: &Credential) -> bool {
    credential_keys(one, other).is_empty()
}

/// What differs in where a token comes from. A secret in a file is the same for as long as the file is: it is read at each connect.
fn credential_keys(current: &Credential, wanted: &Credential) -> Vec<String> {
    if current.name != wanted.name {
        return vec!["credentials".to_owned()];
    }
    let keys = match (&current.grant, &wanted.grant) {
        (
            Grant::Client {
                client_id,
                client_secret,
                scopes,
                token_url,
            },
            Grant::Client {
                client_id: wanted_id,
                client_secret: wanted_secret,
                scopes: wanted_scopes,
                token_url: wanted_url,
            },
        ) => named([
            ("client_id", client_id == wanted_id),
            ("client_secret", same_secret(client_secret, wanted_secret)),
            ("scopes", scopes == wanted_scopes),
            ("token_url", token_url == wanted_url),
        ]),
        (
            Grant::Token { client_id, token },
            Grant::Token {
                client_id: wanted_id,
                token: wanted_token,
            },
        ) => named([
            ("client_id", client_id == wanted_id),
            ("access_token", same_secret(token, wanted_token)),
        ]),
        (Grant::Client { .. }, Grant::Token { .. }) => vec!["access_token".to_owned()],
        (Grant::Token { .. }, Grant::Client { .. }) => vec!["client_secret".to_owned()],
    };
    let full = |key: &String| format!("credentials.{}.{key}", wanted.name);
    keys.iter().map(full).collect()
}

/// Whether two secrets are the same one, or in the same place.
pub(super) fn same_secret(one: &SecretSource, other: &SecretSource) -> bool {
    match (one, other) {
        (SecretSource::Inline(one), SecretSource::Inline(other)) => one.expose_secret() == other.expose_secret(),
        (SecretSource::File(one), SecretSource::File(other)) => one == other,
        (SecretSource::Inline(_), SecretSource::File(_)) | (SecretSource::File(_), SecretSource::Inline(_)) => false,
    }
}
