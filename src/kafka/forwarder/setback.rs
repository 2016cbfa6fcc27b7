//! What comes between two generations: a failed one is told, once and in the words of its kind, and its stream waits; a stream that
//! went apart from the others and has caught up goes back to them.

use std::time::{Duration, Instant, SystemTime};

use tracing::{debug, info, warn};

use super::Forwarder;
use crate::journal::Position;
use crate::kafka::failure::{Failure, FailureClass};
use crate::kafka::lane::Lane;
use crate::kafka::producer::{Company, ProducerError};
use crate::kafka::trouble::Over;
use crate::kafka::watchdog::Stall;
use crate::telemetry::Delivery;
use crate::telemetry::digest::likeness;

/// How a generation ended badly. All its reports are in, unless the producer has failed for good.
pub(super) struct Setback {
    failure: Failure,
    /// Up to where records are to go out one by one: those of a batch too large, to find the one that is; or those up to the first that is refused until somebody does
    /// something, so that what comes after it does not go out again at each attempt.
    pub(super) one_by_one_to: Option<Position>,
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
            one_by_one_to: lane.one_by_one_to(),
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
            one_by_one_to: None,
            undelivered: 0,
            stall: None,
            no_producer: Some(error),
        }
    }
}

impl Forwarder {
    /// Takes a setback in and tells of it. Returns how long the stream is to wait.
    pub(super) fn suffer(&mut self, setback: &Setback) -> Duration {
        if let Some(stall) = &setback.stall {
            self.leave(setback.undelivered, stall);
            return Duration::ZERO;
        }
        let class = setback.failure.class;
        self.counters.rewinds.one();
        let company = self.trouble.company();
        let failures = self.trouble.failed(class, setback.is_own());
        let wait = class.delay(failures);
        let reason = match &setback.no_producer {
            Some(error) => error.to_string(),
            None => setback.failure.to_string(),
        };
        // Who has nothing to deliver is held up by nothing, and no delivery would ever show that it is over.
        let backlog = self.journal.backlog_of(self.settings.output.name());
        if setback.is_own() || backlog.unwrap_or_default() > 0 {
            self.show_setback(reason, setback.failure.advice(), failures, wait);
        }
        self.tell_setback(setback, failures, wait);
        if company != self.trouble.company() {
            let (stream, output) = (&self.settings.name, self.settings.output.further());
            let text = "the stream goes on apart from the others, until it has caught up";
            if self.digest.note("apart", self.born.elapsed()).is_some() {
                info!(stream, output, "{text}");
            } else {
                debug!(stream, output, "{text}");
            }
        }
        wait
    }

    fn tell_setback(&mut self, setback: &Setback, failures: u32, wait: Duration) {
        let Failure { class, code } = setback.failure;
        let kind = match &setback.no_producer {
            Some(error) => likeness(&error.to_string()),
            None => format!("{code:?} {class:?}"),
        };
        let told = self.setbacks.note(kind, self.born.elapsed());
        let (stream, output) = (&self.settings.name, self.settings.output.further());
        let (cursor, wait_ms) = (self.cursor(), wait.as_millis() as u64);
        let Some(told) = told else {
            debug!(stream, output, %cursor, ?code, ?class, failures, wait_ms, "kafka did not take a record, as told before");
            return;
        };
        let (times, since) = (told.repeated(), told.since(SystemTime::now()));
        if let Some(error) = &setback.no_producer {
            warn!(stream, output, %cursor, %error, times, since, failures, wait_ms, "no kafka producer can be had: it is tried again");
        } else {
            warn!(
                stream,
                output,
                %cursor,
                ?code,
                ?class,
                topic = %self.settings.output.settings().topic,
                dead_letter_topic = self.settings.output.dead_letter_topic(),
                advice = setback.failure.advice(),
                times,
                since,
                failures,
                wait_ms,
                "kafka did not take a record: the stream goes back to its cursor"
            );
        }
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
        let (stream, output) = (&self.settings.name, self.settings.output.further());
        if undelivered == 0 {
            debug!(stream, output, "the stream goes on with another kafka producer");
            return;
        }
        self.counters.rewinds.one();
        let since = self.delivery.now().since();
        self.delivery.show(Delivery::Stalled {
            since: since.unwrap_or(stall.since),
        });
        self.trouble.stalled(stall.others_deliver);
        let told = self.setbacks.note("stalled".to_owned(), self.born.elapsed());
        let (stream, output) = (&self.settings.name, self.settings.output.further());
        let (cursor, apart) = (self.cursor(), self.trouble.company() == Company::Troubled);
        let (silent_s, records) = (stall.since.elapsed().as_secs(), undelivered);
        if let Some(told) = told {
            let (times, since) = (told.repeated(), told.since(SystemTime::now()));
            warn!(
                stream,
                output,
                %cursor,
                records,
                silent_s,
                apart,
                times,
                since,
                "records wait and no delivery report comes: the stream goes back to its cursor, with another kafka producer"
            );
        } else {
            debug!(stream, output, %cursor, records, silent_s, apart, "still no delivery report comes");
        }
    }

    /// Records were delivered after there was trouble.
    pub(super) fn recover(&mut self, cursor: Position) {
        let end = self.journal.end();
        if let Some(over) = self.trouble.delivered(cursor, end) {
            self.delivery.show(Delivery::Well);
            let Over { failures, stalls } = over;
            let (stream, output) = (&self.settings.name, self.settings.output.further());
            if let Some(over) = self.setbacks.over(self.born.elapsed()) {
                let (times, trouble_s) = (over.times, over.lasted.as_secs());
                info!(stream, output, %cursor, failures, stalls, times, trouble_s, "kafka takes records again");
            } else {
                debug!(stream, output, %cursor, failures, stalls, "kafka takes records again");
            }
        }
        if self.may_go_back() {
            let (stream, output) = (&self.settings.name, self.settings.output.further());
            let text = "the stream has caught up, and goes on together with the others";
            if self.digest.note("caught up", self.born.elapsed()).is_some() {
                info!(stream, output, "{text}");
            } else {
                debug!(stream, output, "{text}");
            }
        }
    }

    /// Whether the stream is apart in this generation, and need not be in the next.
    pub(super) fn may_go_back(&self) -> bool {
        self.company == Company::Troubled && self.trouble.company() == Company::All
    }
}
