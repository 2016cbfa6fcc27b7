//! What a reload asks for is done here: streams come, go, reconnect and change, and all others are left alone.
//!
//! Nothing here waits. Streams that end are seen out by a task of their own ([`super::leaving`]); what may connect, and when, is up to
//! leases and claims, so that the order of things does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Supervisor;
use super::leaving::Leaving;
use super::stagger::Stagger;
use super::tasks::{Parts, StreamTasks};
use crate::journal::Journal;
use crate::settings::{ChangedKeys, Changes, Settings, StreamChange, StreamSettings};
use crate::stream::NextConnect;
use crate::upstream::Connector;

impl<C: Connector> Supervisor<C> {
    /// Returns when no stream of this name is on its way out any more, so that its journal can be opened. Cancel-safe.
    pub async fn has_left(&mut self, name: &str) {
        if let Some(leaving) = self.leaving.get_mut(name) {
            leaving.gone_soon().await;
            self.leaving.remove(name);
        }
    }

    /// Makes the changes, after which `settings` are in use. `journals` holds those of the added streams; one without is left out.
    pub fn apply(&mut self, changes: &Changes, settings: &Settings, mut journals: BTreeMap<String, Journal>) {
        self.leaving.retain(|_, leaving| !leaving.is_gone());
        self.dedup = settings.dedup.clone();
        self.tokens.serve(&settings.streams);
        let starting = changes.streams.iter().filter_map(|change| match change {
            StreamChange::Added(settings) | StreamChange::Changed { settings, .. } => Some(settings.connections),
            StreamChange::Removed { .. } => None,
        });
        let mut stagger = Stagger::new(starting);
        for change in &changes.streams {
            match change {
                StreamChange::Removed { name } => self.remove(name, settings),
                StreamChange::Changed { settings, keys } => self.change(settings, keys, &mut stagger),
                StreamChange::Added(settings) => {
                    if let Some(journal) = journals.remove(&settings.name) {
                        let connections = settings.connections;
                        tracing::info!(
                            stream = settings.name,
                            connections,
                            "added: it connects as soon as its lease permits"
                        );
                        self.add(settings.clone(), journal, &mut stagger);
                    }
                }
            }
        }
        // A source of tokens that is made anew is so for all who share it, and duplicates are looked for in one way by all.
        for running in self.running.values_mut() {
            running.take_tokens(self.tokens.of(running.settings()));
            running.redirect(&self.dedup);
        }
        self.show();
    }

    /// Starts a stream.
    pub(super) fn add(&mut self, settings: Arc<StreamSettings>, journal: Journal, stagger: &mut Stagger) {
        let (name, reset) = (settings.name.clone(), self.reset_of(&settings.name));
        let parts = Parts {
            tokens: self.tokens.of(&settings),
            settings,
            dedup: &self.dedup,
            journal: Arc::new(journal),
            reset,
            shared: self.shared.clone(),
        };
        self.running.insert(name, StreamTasks::start(parts, stagger));
    }

    fn remove(&mut self, name: &str, settings: &Settings) {
        let Some(running) = self.running.remove(name) else {
            return;
        };
        let (within, journals) = (settings.shutdown_timeout, self.shared.journals.clone());
        tracing::info!(
            stream = name,
            timeout_s = within.as_secs_f64(),
            "removed: its connections are closed, and what was read is delivered"
        );
        let leaving = Leaving::see_out(running.end(), within, journals);
        self.leaving.insert(name.to_owned(), leaving);
    }

    fn change(&mut self, settings: &Arc<StreamSettings>, keys: &ChangedKeys, stagger: &mut Stagger) {
        let Some(running) = self.running.get_mut(&settings.name) else {
            return;
        };
        tell(settings, keys);
        let next = NextConnect {
            stream: settings.clone(),
            tokens: self.tokens.of(settings),
        };
        if keys.reconnect.is_empty() {
            running.adjust(next, stagger);
        } else {
            running.reconnect(next, stagger);
        }
    }
}

/// One line for a stream that changes: what, and what happens next.
fn tell(settings: &StreamSettings, keys: &ChangedKeys) {
    let (stream, changed) = (settings.name.as_str(), keys.all().join(", "));
    let connections = settings.connections;
    if !keys.reconnect.is_empty() {
        let text = "changed: its connections are closed, and opened again when their cooldown is over";
        tracing::info!(stream, changed, reconnect = true, connections, "{text}");
    } else if keys.connections {
        let text = "changed: surplus connections are closed, missing ones opened, and the others stay open";
        tracing::info!(stream, changed, reconnect = false, connections, "{text}");
    } else if keys.in_place.is_empty() {
        let text = "changed: its connections stay open, and the next connect goes by it";
        tracing::info!(stream, changed, reconnect = false, connections, "{text}");
    } else {
        let text = "changed: its connections stay open, and what is read from now on goes to kafka by it";
        tracing::info!(stream, changed, reconnect = false, connections, "{text}");
    }
}
