//! What librdkafka has to say, received on the poll thread: delivery reports, log lines, errors, and the numbers of partitions.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tracing::{debug, error, info, warn};

use super::failure::Failure;
use super::in_flight::Ticket;
use super::lane::LaneState;
use super::link::Shared;
use super::partitions::PartitionChange;
use super::refusal::advice;
use super::statistics::Statistics;

/// Passes on what librdkafka says of one producer.
pub(super) struct Reports {
    shared: Arc<Shared>,
}

impl Reports {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(Failure::from(error)),
        };
        self.shared.report(Ticket::unpack(ticket), result);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if matches!(level, RDKafkaLogLevel::Debug) {
            // Whoever has set the property debug wants all of it.
            debug!(target: "librdkafka", facility, "{text}");
            return;
        }
        let text = &*self.shared.said.shown(text);
        let Some(repeated) = self.shared.digest.note(text) else {
            return;
        };
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                error!(target: "librdkafka", facility, repeated, "{text}");
            }
            // What librdkafka calls an error, such as a broker that is away, it tries again by itself. What comes of it for a
            // stream is told by that stream.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                warn!(target: "librdkafka", facility, repeated, advice = advice(text), "{text}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                info!(target: "librdkafka", facility, repeated, advice = advice(text), "{text}");
            }
            RDKafkaLogLevel::Debug => {}
        }
    }

    /// Never told apart here whether it is fatal: librdkafka gives the code of what is behind it. The poll thread asks.
    fn error(&self, _: KafkaError, reason: &str) {
        let reason = &*self.shared.said.shown(reason);
        if !self.shared.digest.is_known(reason)
            && let Some(repeated) = self.shared.digest.note(reason)
        {
            warn!(target: "librdkafka", repeated, advice = advice(reason), "{reason}");
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match Statistics::read(statistics) {
            Ok(statistics) => {
                self.shared.statistics.note(&statistics);
                let (known, told) = (&self.shared.partitions, &self.shared.told_partitions);
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                for change in known.note(&mut told, &statistics.topics) {
                    self.tell(&change);
                }
            }
            Err(error) => debug!(%error, "librdkafka's statistics cannot be read"),
        }
    }
}

impl Reports {
    fn tell(&self, change: &PartitionChange) {
        let lanes = self.shared.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let into = |lane: &&Arc<LaneState>| lane.goes_to(&change.topic);
        let into: Vec<_> = lanes.iter().flatten().filter(into).collect();
        let shown = into
            .first()
            .map_or_else(|| change.topic.clone(), |lane| lane.topic_shown(&change.topic));
        let streams: BTreeSet<&str> = into.iter().map(|lane| lane.stream()).collect();
        let streams = streams.into_iter().collect::<Vec<_>>().join(", ");
        let PartitionChange {
            topic: _,
            before,
            after,
        } = change;
        warn!(
            streams,
            topic = shown,
            before,
            after,
            "the number of partitions has changed: visitors may move to other partitions, and a visitor's hits are in order within \
             one partition only"
        );
    }
}
