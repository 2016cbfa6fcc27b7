//! How a forwarder goes over to other settings: between two generations, when nothing of it is in flight.

use std::sync::Arc;

use tracing::info;

use super::{Forwarder, ForwarderSettings, Repeats, filtered};

impl Forwarder {
    /// Whether the settings of this generation are those that are wanted.
    pub(super) fn has_wanted_settings(&self) -> bool {
        Arc::ptr_eq(&self.settings, &self.wanted.borrow()) && self.wanted.has_changed().is_ok()
    }

    /// Goes over to the settings that are wanted. False if nobody is left who could want any.
    pub(super) async fn take_settings(&mut self) -> bool {
        let wanted = Arc::clone(&self.wanted.borrow_and_update());
        if self.wanted.has_changed().is_err() {
            return false;
        }
        if Arc::ptr_eq(&self.settings, &wanted) {
            return true;
        }
        let before = std::mem::replace(&mut self.settings, wanted);
        let ForwarderSettings {
            name,
            report_suite: _,
            output,
            dedup,
        } = &*self.settings;
        self.filtered = filtered(output, &self.counters);
        if *dedup != before.dedup {
            // Goes by what is on disk, which has all that was delivered: what is in flight no more.
            self.repeats = None;
            self.repeats = Repeats::read(&self.ids, name, output.name(), dedup, &self.journal).await;
        }
        let (stream, cursor) = (name, self.cursor());
        let (topic, dead_letter_topic) = (&output.settings().topic, output.dead_letter_topic());
        info!(stream, output = output.further(), %cursor, %topic, dead_letter_topic, "forwarding goes on from here by the new settings");
        true
    }
}
