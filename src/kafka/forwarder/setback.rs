//! What comes between two generations: a failed one is told, once and in the words of its kind, and its stream waits; a stream that
//! went apart from the others and has caught up goes back to them.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::Forwarder;
use crate::journal::Position;
use crate::kafka::failure::{Failure, FailureClass};
use crate::kafka::lane::Lane;
use crate::kafka::producer::{Company, ProducerError};
use crate::kafka::watchdog::Stall;
use crate::telemetry::Delivery;

/// How a generation ended badly. All its reports are in, unless the producer has failed for good.
pub(super) struct Setback {
    failure: Failure,
    /// Where the last record ends that was in a batch too large.
    pub(super) too_large_to: Option<Position>,
    /// Records from the cursor to the newest one.
    undelivered: usize,
    /// If the producer was left: why.
    stall: Option<Stall>,
    /// Why there was no producer to begin with.
    no_producer: Option<ProducerError>,
}

impl Setback {
    /// The failure of the generation that used this lane.
    pub(super) fn on(lane: &Lane, failure: Failure) -> Self {
        Self {
            failure,
            too_large_to: lane.too_large_to(),
            undelivered: lane.undelivered(),
            stall: lane.stall().filter(|_| failure.class == FailureClass::Stalled),
            no_producer: None,
        }
    }
}

impl Setback {
    /// Whether a record of this stream was at the bottom of it. A fatal error strikes all who use the producer, also those who had
    /// nothing in flight.
    fn is_own(&self) -> bool {
        self.no_producer.is_none() && (self.undelivered > 0 || self.failure.class != FailureClass::Fatal)
    }
}

impl From<ProducerError> for Setback {
    fn from(error: ProducerError) -> Self {
        Self {
            failure: Failure::NO_PRODUCER,
            too_large_to: None,
            undelivered: 0,
            stall: None,
            no_producer: Some(error),
        }
    }
}

impl Forwarder<'_> {
    /// Takes a setback in and tells of it. Returns how long the stream is to wait.
    pub(super) fn suffer(&mut self, setback: &Setback) -> Duration {
        if let Some(stall) = &setback.stall {
            self.leave(setback.undelivered, stall);
            return Duration::ZERO;
        }
        let Failure { class, code } = setback.failure;
        self.counters.rewinds.one();
        let company = self.trouble.company();
        let failures = self.trouble.failed(class, setback.is_own());
        let wait = class.delay(failures);
        let wait_ms = wait.as_millis() as u64;
        let (stream, cursor) = (&self.settings.name, self.cursor());
        let reason = match &setback.no_producer {
            Some(error) => error.to_string(),
            None => setback.failure.to_string(),
        };
        self.show_setback(reason, setback.failure.advice(), failures, wait);
        if let Some(error) = &setback.no_producer {
            warn!(stream, %cursor, %error, failures, wait_ms, "no kafka producer can be had");
        } else {
            warn!(
                stream,
                %cursor,
                ?code,
                ?class,
                topic = self.settings.topic,
                dead_letter_topic = self.settings.dead_letter_topic,
                advice = setback.failure.advice(),
                failures,
                wait_ms,
                "kafka did not take a record: the stream goes back to its cursor"
            );
        }
        if company != self.trouble.company() {
            info!(
                stream,
                "the stream goes on apart from the others, until it has caught up"
            );
        }
        wait
    }

    fn show_setback(&self, reason: String, advice: Option<&'static str>, failures: u32, wait: Duration) {
        let now = Instant::now();
        self.delivery.show(Delivery::SetBack {
            since: self.delivery.now().since().unwrap_or(now),
            retry_at: now + wait,
            reason,
            advice,
            failures,
        });
    }

    /// Its producer was left, because of this stream or another one.
    fn leave(&mut self, undelivered: usize, stall: &Stall) {
        let stream = &self.settings.name;
        if undelivered == 0 {
            debug!(stream, "the stream goes on with another kafka producer");
            return;
        }
        self.counters.rewinds.one();
        let since = self.delivery.now().since();
        self.delivery.show(Delivery::Stalled {
            since: since.unwrap_or(stall.since),
        });
        let is_first = self.trouble.stalled(stall.others_deliver);
        let (cursor, apart) = (self.cursor(), self.trouble.company() == Company::Troubled);
        let silent_s = stall.since.elapsed().as_secs();
        if is_first {
            warn!(
                stream,
                %cursor,
                records = undelivered,
                silent_s,
                apart,
                "records wait and no delivery report comes: the stream goes back to its cursor, with another kafka producer"
            );
        } else {
            debug!(stream, %cursor, records = undelivered, silent_s, apart, "still no delivery report comes");
        }
    }

    /// Records were delivered after there was trouble.
    pub(super) fn recover(&mut self, cursor: Position) {
        let stream = &self.settings.name;
        let end = self.journal.end();
        if let Some(over) = self.trouble.delivered(cursor, end) {
            self.delivery.show(Delivery::Well);
            info!(
                stream,
                %cursor,
                failures = over.failures,
                stalls = over.stalls,
                "kafka takes records again"
            );
        }
        if self.may_go_back() {
            info!(stream, "the stream has caught up, and goes on together with the others");
        }
    }

    /// Whether the stream is apart in this generation, and need not be in the next.
    pub(super) fn may_go_back(&self) -> bool {
        self.company == Company::Troubled && self.trouble.company() == Company::All
    }
}
