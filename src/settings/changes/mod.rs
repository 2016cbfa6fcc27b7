//! What a reload has to do: the pure difference between the settings in use and those that are wanted.
//!
//! | what of a stream changed | what happens |
//! | --- | --- |
//! | `url`, `max_connections`, `smoothing`, `smoothing_bucket_size` | *reconnect*: they are in the request of an open connection |
//! | `connections` | only the surplus connections end, or start |
//! | where the token comes from, `cooldown`, timeouts, `trusted_hosts`, ... | *at the next connect*: nobody is disconnected for them |
//! | `topic`, `dead_letter_topic`, `key`, `timestamp`, `shape`, `outputs`, `report_suite` | *in place*: a forwarder changes between two records |
//!
//! Of the rest of the daemon, `[dedup]`, `log.filter` and `shutdown_timeout` change in place. What needs a restart is named
//! ([`Changes::needs_restart`]), and stays as it was.
//!
//! Promise: what did not change is not mentioned; two settings that differ are never taken for equal, secrets included; and no secret is
//! in what is mentioned, only keys are.

mod daemon;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::resolved::{JournalSettings, Settings, StreamSettings};
pub use daemon::DaemonChanges;
pub use stream::ChangedKeys;
pub use stream::same_credential;

/// What has to happen so that a daemon with the current settings comes to run with the wanted ones.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The streams that are touched, in the order of their names.
    pub streams: Vec<StreamChange>,
    /// How many streams are left as they are.
    pub unchanged: usize,
    /// What changes for all streams.
    pub daemon: DaemonChanges,
    /// Keys whose new values take effect at the next start of the daemon.
    pub needs_restart: Vec<String>,
}

/// What happens to one stream.
#[derive(Clone, Debug)]
pub enum StreamChange {
    /// It is new.
    Added(Arc<StreamSettings>),
    /// It is gone.
    Removed {
        /// Its name.
        name: String,
    },
    /// It goes on with other settings.
    Changed {
        /// All of them, as wanted.
        settings: Arc<StreamSettings>,
        /// Which keys are other than before, and so what is to be done.
        keys: ChangedKeys,
    },
}

impl Changes {
    /// The difference. The order of streams does not matter, nor who shares what.
    pub fn between(current: &Settings, wanted: &Settings) -> Self {
        let mut before: BTreeMap<&str, &StreamSettings> = by_name(current);
        let (mut streams, mut unchanged) = (Vec::new(), 0);
        let (daemon, mut needs_restart) = daemon::between(current, wanted);
        for (name, settings) in by_name(wanted) {
            let mut settings = settings.clone();
            let longest = longest_record(current);
            if settings.max_record_bytes > longest {
                settings.max_record_bytes = longest;
                needs_restart.push(format!("streams.{name}.max_record_bytes"));
            }
            let change = match before.remove(name) {
                None => StreamChange::Added(Arc::new(settings)),
                Some(before) => {
                    let keys = ChangedKeys::between(before, &settings);
                    if keys.is_empty() {
                        unchanged += 1;
                        continue;
                    }
                    StreamChange::Changed {
                        settings: Arc::new(settings),
                        keys,
                    }
                }
            };
            streams.push(change);
        }
        streams.extend(
            before
                .into_keys()
                .map(|name| StreamChange::Removed { name: name.to_owned() }),
        );
        streams.sort_by(|a, b| a.name().cmp(b.name()));
        Self {
            streams,
            unchanged,
            daemon,
            needs_restart,
        }
    }

    /// Whether there is nothing to do, and nothing that waits for a restart.
    pub const fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.daemon.is_empty() && self.needs_restart.is_empty()
    }

    /// The settings in use after these changes were made to `current`: what needs a restart is in them as it was.
    pub fn applied_to(&self, current: &Settings) -> Settings {
        let mut settings = current.clone();
        self.daemon.apply_to(&mut settings);
        for change in &self.streams {
            settings.streams.retain(|stream| stream.name != change.name());
            match change {
                StreamChange::Added(stream) | StreamChange::Changed { settings: stream, .. } => {
                    settings.streams.push(StreamSettings::clone(stream));
                }
                StreamChange::Removed { .. } => {}
            }
        }
        settings.streams.sort_by(|a, b| a.name.cmp(&b.name));
        settings
    }
}

impl StreamChange {
    /// The stream's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Added(settings) | Self::Changed { settings, .. } => &settings.name,
            Self::Removed { name } => name,
        }
    }
}

/// The longest record that the journal and the quarantine in use can hold. Wanted ones may hold longer ones, but come with a restart only.
fn longest_record(current: &Settings) -> usize {
    let JournalSettings {
        max_bytes,
        max_bytes_in_all,
        sync_interval: _,
    } = current.journal;
    let longest = max_bytes.min(max_bytes_in_all).min(current.quarantine.max_bytes);
    usize::try_from(longest).unwrap_or(usize::MAX)
}

fn by_name(settings: &Settings) -> BTreeMap<&str, &StreamSettings> {
    settings
        .streams
        .iter()
        .map(|stream| (stream.name.as_str(), stream))
        .collect()
}
