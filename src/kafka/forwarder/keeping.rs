//! What a forwarder keeps in the quarantine: records that Kafka does not take whole.
//!
//! Promise: what is said to be kept is durable. What cannot be kept is counted, and reported, ever more seldom; nothing waits for it.

use std::io;

use tracing::{error, info, warn};

use super::{Forwarder, Place};
use crate::telemetry::counters::DeadLetterReason;

impl Forwarder {
    /// Keeps what there is of a record, for this reason. True if it is durable; it may have been before.
    pub(super) async fn keep(&mut self, reason: DeadLetterReason, place: Place<'_>) -> bool {
        let (quarantine, stream) = (self.quarantine.clone(), self.settings.name.clone());
        let record = place.record.to_vec();
        let keep = move || quarantine.keep_record(&stream, place.start, &record, reason);
        let kept = tokio::task::spawn_blocking(keep).await;
        let (stream, output) = (&self.settings.name, self.settings.output.further());
        let (position, bytes) = (place.start, place.record.len());
        match kept.unwrap_or_else(|failed| Err(io::Error::other(failed))) {
            Ok(kept) => {
                if kept.is_new {
                    self.counters.quarantined.one();
                    if let Some(told) = self.digest.note("kept", self.born.elapsed()) {
                        let file = kept.path.display();
                        info!(stream, output, %position, bytes, %file, more_since_the_last_line = told.untold, "a record is kept in the quarantine");
                    }
                }
                true
            }
            Err(error) => {
                self.counters.quarantine_failures.one();
                if let Some(told) = self.digest.note("not kept", self.born.elapsed()) {
                    error!(
                        stream, output, %position, bytes, %error, more_since_the_last_line = told.untold,
                        "a record cannot be kept in the quarantine: make room there, or kafka has its first bytes and nobody the rest"
                    );
                }
                false
            }
        }
    }

    /// Reports that the cursor passes a record that is in the quarantine alone.
    pub(super) fn tell_undescribed(&mut self, place: Place<'_>) {
        self.counters.undescribed.one();
        if let Some(told) = self.digest.note("undescribed", self.born.elapsed()) {
            warn!(
                stream = self.settings.name,
                output = self.settings.output.further(),
                position = %place.start,
                topic = self.settings.output.dead_letter_topic(),
                more_since_the_last_line = told.untold,
                "not even an empty dead letter fits into its topic: the record is in the quarantine only; raise max.message.bytes of the topic"
            );
        }
    }
}
