//! What differs outside the streams: what changes while the daemon runs, and what needs a restart.
//!
//! Settings are taken apart field by field, so that a new one cannot be forgotten here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::stream::{named, same_secret};
use crate::settings::proxy::{Proxy, ProxySettings};
use crate::settings::resolved::{
    AdminSettings, DedupSettings, JournalSettings, KafkaSettings, LogSettings, QuarantineSettings, Settings,
};
use crate::settings::tls::TlsSettings;

/// What changes for all streams while the daemon runs. What does not is `None`.
#[derive(Clone, Debug, Default)]
pub struct DaemonChanges {
    /// `shutdown_timeout`.
    pub shutdown_timeout: Option<Duration>,
    /// `log.filter`.
    pub log_filter: Option<String>,
    /// `[dedup]`: all of it, if anything of it differs.
    pub dedup: Option<DedupSettings>,
    /// `[admin]`, but for where it listens: that stays.
    pub admin: Option<AdminSettings>,
    /// The keys that differ.
    pub keys: Vec<String>,
}

impl DaemonChanges {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn apply_to(&self, settings: &mut Settings) {
        let Self {
            shutdown_timeout,
            log_filter,
            dedup,
            admin,
            keys: _,
        } = self;
        if let Some(timeout) = shutdown_timeout {
            settings.shutdown_timeout = *timeout;
        }
        if let Some(filter) = log_filter {
            settings.log.filter.clone_from(filter);
        }
        if let Some(dedup) = dedup {
            settings.dedup = dedup.clone();
        }
        if let Some(admin) = admin {
            settings.admin = admin.clone();
        }
    }
}

/// What changes in place, and the keys that need a restart.
pub(super) fn between(current: &Settings, wanted: &Settings) -> (DaemonChanges, Vec<String>) {
    let Settings {
        state_dir,
        shutdown_timeout,
        proxy,
        tls,
        kafka,
        journal,
        quarantine,
        dedup,
        admin,
        log,
        streams: _,
        // Only `check` runs them.
        tests: _,
    } = wanted;
    let mut restart = named([("state_dir", *state_dir == current.state_dir)]);
    restart.extend(proxy_keys(&current.proxy, proxy));
    restart.extend(tls_keys(&current.tls, tls));
    restart.extend(kafka_keys(&current.kafka, kafka));
    restart.extend(journal_keys(&current.journal, journal));
    restart.extend(quarantine_keys(&current.quarantine, quarantine));
    let (admin_keys, admin_listen) = admin_keys(&current.admin, admin);
    restart.extend(admin_listen);
    let LogSettings { filter, format } = log;
    restart.extend(named([("log.format", *format == current.log.format)]));

    let mut keys = named([
        ("shutdown_timeout", *shutdown_timeout == current.shutdown_timeout),
        ("log.filter", *filter == current.log.filter),
    ]);
    let dedup_keys = dedup_keys(&current.dedup, dedup);
    let changes = DaemonChanges {
        shutdown_timeout: (*shutdown_timeout != current.shutdown_timeout).then_some(*shutdown_timeout),
        log_filter: (*filter != current.log.filter).then(|| filter.clone()),
        dedup: (!dedup_keys.is_empty()).then(|| dedup.clone()),
        admin: (!admin_keys.is_empty()).then(|| AdminSettings {
            listen: current.admin.listen.clone(),
            ..admin.clone()
        }),
        keys: {
            keys.extend(dedup_keys);
            keys.extend(admin_keys);
            keys
        },
    };
    (changes, restart)
}

/// What is in effect is compared, not where it was written: a proxy may move from the environment into the file.
fn proxy_keys(current: &ProxySettings, wanted: &ProxySettings) -> Vec<String> {
    let ProxySettings {
        proxy,
        origin: _,
        exceptions,
        exceptions_origin: _,
    } = wanted;
    let same_proxy = match (&current.proxy, proxy) {
        (None, None) => true,
        (Some(one), Some(other)) => same_proxy(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    named([
        ("upstream.proxy", same_proxy),
        ("upstream.no_proxy", *exceptions == current.exceptions),
    ])
}

fn same_proxy(one: &Proxy, other: &Proxy) -> bool {
    let Proxy {
        scheme,
        host,
        port,
        credentials,
    } = one;
    let same_credentials = match (credentials, &other.credentials) {
        (None, None) => true,
        (Some(one), Some(other)) => same_secret(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    (*scheme, host, *port) == (other.scheme, &other.host, other.port) && same_credentials
}

fn tls_keys(current: &TlsSettings, wanted: &TlsSettings) -> Vec<String> {
    let TlsSettings { ca_file, client } = wanted;
    let certificate = |tls: &TlsSettings| tls.client.as_ref().map(|files| files.certificate.clone());
    let key = |tls: &TlsSettings| tls.client.as_ref().map(|files| files.key.clone());
    named([
        ("upstream.tls.ca_file", *ca_file == current.ca_file),
        (
            "upstream.tls.client_certificate_file",
            *client == current.client || certificate(wanted) == certificate(current),
        ),
        (
            "upstream.tls.client_key_file",
            *client == current.client || key(wanted) == key(current),
        ),
    ])
}

/// What is in effect is compared, not where it was written: a value may move into a file. Of a file that a property names, both its name and
/// what was in it.
fn kafka_keys(current: &KafkaSettings, wanted: &KafkaSettings) -> Vec<String> {
    let KafkaSettings {
        brokers,
        properties,
        property_files: _,
        contents,
    } = wanted;
    let mut keys = named([("kafka.brokers", *brokers == current.brokers)]);
    let names: BTreeSet<&String> = properties.keys().chain(current.properties.keys()).collect();
    let other = names.into_iter().filter(|name| {
        properties.get(*name) != current.properties.get(*name) || contents.get(*name) != current.contents.get(*name)
    });
    keys.extend(other.map(|name| {
        let set = if properties.contains_key(name) { wanted } else { current };
        set.key_of(name)
    }));
    keys
}

fn journal_keys(current: &JournalSettings, wanted: &JournalSettings) -> Vec<String> {
    let JournalSettings {
        sync_interval,
        max_bytes,
        max_bytes_in_all,
    } = wanted;
    named([
        ("journal.sync_interval", *sync_interval == current.sync_interval),
        ("journal.max_bytes", *max_bytes == current.max_bytes),
        (
            "journal.max_bytes_in_all",
            *max_bytes_in_all == current.max_bytes_in_all,
        ),
    ])
}

fn quarantine_keys(current: &QuarantineSettings, wanted: &QuarantineSettings) -> Vec<String> {
    let QuarantineSettings { max_bytes, max_age } = wanted;
    named([
        ("quarantine.max_bytes", *max_bytes == current.max_bytes),
        ("quarantine.max_age", *max_age == current.max_age),
    ])
}

fn dedup_keys(current: &DedupSettings, wanted: &DedupSettings) -> Vec<String> {
    let DedupSettings { mode, window, max_ids } = wanted;
    named([
        ("dedup.mode", *mode == current.mode),
        ("dedup.window", *window == current.window),
        ("dedup.max_ids", *max_ids == current.max_ids),
    ])
}

/// What changes in place, and what needs a restart.
fn admin_keys(current: &AdminSettings, wanted: &AdminSettings) -> (Vec<String>, Vec<String>) {
    let AdminSettings { listen, token, hosts } = wanted;
    let same_token = match (&current.token, token) {
        (None, None) => true,
        (Some(one), Some(other)) => same_secret(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    let access = named([("admin.token", same_token), ("admin.hosts", *hosts == current.hosts)]);
    let place = named([("admin.listen", *listen == current.listen)]);
    // A token that is wanted no more is wanted no more somewhere else: until then it stays where it is.
    if place.is_empty() || token.is_some() {
        (access, place)
    } else {
        (Vec::new(), [place, access].concat())
    }
}
