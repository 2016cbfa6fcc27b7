//! Another configuration for the running daemon: what can change does, what cannot is named, and what did not change is left alone.
//!
//! Promise: a configuration that cannot be used changes nothing. One reload at a time; one that is dropped half-way has changed nothing
//! either, but may have made an empty journal for a stream to come.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Daemon, open_journal, refuse_newer_state};
use crate::journal::Journal;
use crate::settings::{Changes, Loaded, StreamChange};
use crate::status::LastReload;
use crate::telemetry::logs;
use crate::upstream::Connector;

/// How long a removed stream may take beyond `shutdown_timeout` until its journal can be opened again.
pub(super) const LONGEST_LEAVING: Duration = Duration::from_secs(10);
/// How long the rest of a reload may take: reading files, opening journals.
pub(super) const LONGEST_LOADING: Duration = Duration::from_secs(60);

/// How many streams were treated how.
#[derive(Debug, Default)]
struct Tally {
    added: usize,
    removed: usize,
    reconnected: usize,
    changed: usize,
    unchanged: usize,
}

impl<C: Connector> Daemon<C> {
    /// Takes the configuration that was loaded in place of the one in use; or what is wrong with it, each fault with its key.
    pub async fn reload(&mut self, loaded: Result<Loaded, Vec<String>>) {
        let outcome = match loaded {
            Ok(loaded) => self.apply(loaded).await,
            Err(faults) => refuse(faults),
        };
        let at = humantime::format_rfc3339_millis(self.clock.wall()).to_string();
        self.last_reload.send_replace(Some(LastReload { at, ..outcome }));
    }

    async fn apply(&mut self, Loaded { settings, warnings }: Loaded) -> LastReload {
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let mut changes = Changes::between(&self.settings, &settings);
        let mut faults = self.renew_admin(&mut changes).await;
        if changes.is_empty() && faults.is_empty() {
            let streams = changes.unchanged;
            tracing::info!(
                streams,
                "reloaded: the configuration is the one in use, and nothing changes"
            );
            return LastReload {
                ok: true,
                summary: "nothing changed".to_owned(),
                ..LastReload::default()
            };
        }
        let (journals, not_opened) = self.open_added(&changes).await;
        faults.extend(not_opened);
        // What could not be opened is tried again at the next reload.
        changes.streams.retain(|change| match change {
            StreamChange::Added(stream) => journals.contains_key(&stream.name),
            StreamChange::Removed { .. } | StreamChange::Changed { .. } => true,
        });
        if let Some(filter) = &changes.daemon.log_filter
            && let Err(error) = logs::set_filter(filter)
        {
            tracing::warn!(%error, "log.filter stays as it is until a restart");
            changes.daemon.log_filter = None;
            changes.daemon.keys.retain(|key| key != "log.filter");
            faults.push(error.to_string());
        }
        let settings = changes.applied_to(&self.settings);
        self.supervisor.apply(&changes, &settings, journals);
        self.settings = settings;
        tell(&changes, faults)
    }

    /// Has the admin server read its token again, which may have changed in its file. If it cannot, that is reported, and all of `[admin]`
    /// stays as it was.
    async fn renew_admin(&self, changes: &mut Changes) -> Vec<String> {
        let Some(admin) = &self.admin else { return Vec::new() };
        let settings = changes.daemon.admin.as_ref().unwrap_or(&self.settings.admin);
        let Err(error) = admin.renew(settings).await else {
            return Vec::new();
        };
        tracing::error!(%error, "[admin] stays as it was");
        changes.daemon.admin = None;
        changes.daemon.keys.retain(|key| !key.starts_with("admin."));
        vec![error.to_string()]
    }

    /// Opens the journals of added streams off the async threads. What of them cannot be opened is reported, and stops no other.
    async fn open_added(&mut self, changes: &Changes) -> (BTreeMap<String, Journal>, Vec<String>) {
        let (mut opened, mut faults) = (BTreeMap::new(), Vec::new());
        for change in &changes.streams {
            let StreamChange::Added(stream) = change else { continue };
            let patience = self.settings.shutdown_timeout + LONGEST_LEAVING;
            if tokio::time::timeout(patience, self.supervisor.has_left(&stream.name))
                .await
                .is_err()
            {
                let stream = &stream.name;
                tracing::error!(
                    stream,
                    "the stream is not added: the one of that name that was removed has not ended; reload again later"
                );
                faults.push(format!(
                    "streams.{stream}: the stream of that name that was removed has not ended; reload again later"
                ));
                continue;
            }
            let (journals, state_dir) = (self.journals.clone(), self.settings.state_dir.clone());
            let added = stream.clone();
            let journal = tokio::task::spawn_blocking(move || {
                refuse_newer_state(&state_dir, [&*added]).map_err(|newer| newer.to_string())?;
                let journal = open_journal(&journals, &state_dir, &added);
                journal.map_err(|error| format!("its journal cannot be opened: {error}"))
            });
            match journal.await.unwrap_or_else(|failed| Err(failed.to_string())) {
                Ok(journal) => {
                    opened.insert(stream.name.clone(), journal);
                }
                Err(error) => {
                    let stream = &stream.name;
                    tracing::error!(
                        stream,
                        error,
                        "the stream is not added: what is kept of it cannot be used; see to it, and reload again"
                    );
                    faults.push(format!("streams.{stream}: {error}"));
                }
            }
        }
        (opened, faults)
    }
}

/// Says what was done.
fn tell(changes: &Changes, faults: Vec<String>) -> LastReload {
    let tally = Tally::of(changes);
    let Tally {
        added,
        removed,
        reconnected,
        changed,
        unchanged,
    } = tally;
    let (in_place, needs_restart) = (changes.daemon.keys.join(", "), changes.needs_restart.join(", "));
    tracing::info!(
        added,
        removed,
        reconnected,
        changed,
        unchanged,
        in_place,
        needs_restart,
        "reloaded"
    );
    if !needs_restart.is_empty() {
        tracing::warn!(
            keys = needs_restart,
            "these keys have changed, and stay as they were until the daemon is restarted; everything else is in use"
        );
    }
    LastReload {
        at: String::new(),
        ok: faults.is_empty(),
        summary: tally.summary(&in_place),
        needs_restart: changes.needs_restart.clone(),
        faults,
    }
}

fn refuse(faults: Vec<String>) -> LastReload {
    for fault in &faults {
        tracing::error!(fault, "the configuration has a fault");
    }
    tracing::error!(
        faults = faults.len(),
        "not reloaded: the configuration cannot be used, and the one in use stays in use"
    );
    LastReload {
        ok: false,
        summary: "the configuration cannot be used; nothing changed".to_owned(),
        faults,
        ..LastReload::default()
    }
}

impl Tally {
    fn of(changes: &Changes) -> Self {
        let mut tally = Self {
            unchanged: changes.unchanged,
            ..Self::default()
        };
        for change in &changes.streams {
            let count = match change {
                StreamChange::Added(_) => &mut tally.added,
                StreamChange::Removed { .. } => &mut tally.removed,
                StreamChange::Changed { keys, .. } if keys.reconnect.is_empty() => &mut tally.changed,
                StreamChange::Changed { .. } => &mut tally.reconnected,
            };
            *count += 1;
        }
        tally
    }

    /// In a few words, for people.
    fn summary(&self, in_place: &str) -> String {
        let Self {
            added,
            removed,
            reconnected,
            changed,
            unchanged,
        } = self;
        let mut text = format!(
            "streams: {added} added, {removed} removed, {reconnected} reconnected, {changed} changed in place, {unchanged} unchanged"
        );
        if !in_place.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(text, "; changed for all: {in_place}");
        }
        text
    }
}
