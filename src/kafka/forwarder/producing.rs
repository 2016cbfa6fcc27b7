//! What of a batch goes out, and as what: hits as the output shapes them, and dead letters.
//!
//! Promise: what is left out is passed together with the record before it, so not before that one is delivered. Each record is counted the first time that it comes by.

use std::sync::Arc;

use tracing::{debug, info};

use super::super::failure::{Failure, FailureClass};
use super::super::lane::{Lane, Sent};
use super::super::message::message;
use super::super::repeats::Repeats;
use super::{Forwarder, Mode, Place};
use crate::dedup::Verdict;
use crate::hit::{Hit, inspect, records};
use crate::journal::{Batch, BatchKind, Position};
use crate::settings::Output;
use crate::shape::parcel::Parcel;
use crate::shape::{self, Scratch};
use crate::telemetry::counters::DeadLetterReason;

/// Why a parcel did not go out.
enum Unsent {
    /// librdkafka refused it.
    Refused(Failure),
    /// A record before it failed.
    GenerationOver(Failure),
}

impl Forwarder {
    /// Produces what of the batch lies at or after `from`.
    pub(super) async fn produce_batch(
        &mut self,
        batch: &Batch,
        from: Position,
        lane: &Lane,
        mode: Mode,
    ) -> Result<(), Failure> {
        match batch.kind {
            BatchKind::TooLong { length } => {
                let place = Place {
                    start: batch.position,
                    end: batch.end(),
                    received_ms: batch.received_ms,
                    record: &batch.bytes,
                };
                let reason = DeadLetterReason::TooLong;
                self.produce_dead_letter(reason, Some(length), place, lane, mode).await
            }
            BatchKind::Records => {
                // Lent out, because what is produced may be in it.
                let mut scratch = std::mem::take(&mut self.scratch);
                let produced = self.produce_records(batch, from, lane, mode, &mut scratch).await;
                scratch.trim();
                self.scratch = scratch;
                produced
            }
        }
    }

    async fn produce_records(
        &mut self,
        batch: &Batch,
        from: Position,
        lane: &Lane,
        mode: Mode,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let settings = Arc::clone(&self.settings);
        for record in records(&batch.bytes).starting_at(batch.offset_of(from)) {
            let place = Place {
                start: batch.position_of(record.offset),
                end: batch.position_of(record.end),
                received_ms: batch.received_ms,
                record: record.bytes,
            };
            if record.is_empty() {
                if self.is_new(place.start) {
                    self.counters.empty_records.one();
                    self.counted_to = place.end;
                }
                lane.skip(place.end);
                continue;
            }
            match inspect(record.bytes) {
                Ok(hit) => {
                    self.produce_hit(&settings.output, hit, place, lane, mode, scratch)
                        .await?;
                }
                Err(reason) => {
                    let reason = DeadLetterReason::NotAHit(reason);
                    self.produce_dead_letter(reason, None, place, lane, mode).await?;
                }
            }
        }
        Ok(())
    }

    /// Produces a hit, unless it is left out: as a duplicate, or by the output's shape.
    async fn produce_hit(
        &mut self,
        output: &Output,
        hit: Hit,
        place: Place<'_>,
        lane: &Lane,
        mode: Mode,
        scratch: &mut Scratch,
    ) -> Result<(), Failure> {
        let duplicate = self.is_duplicate(&hit, place);
        if duplicate && !self.repeats.as_ref().is_some_and(Repeats::are_marked) {
            self.leave_out(&hit, place, lane);
            return Ok(());
        }
        let (shaped, lacks) = match output.apply(place.record, scratch) {
            shape::Verdict::Forward(shaped) => (shaped, None),
            shape::Verdict::Incomplete { field, shaped } => {
                if self.is_new(place.start) {
                    self.counters.incomplete.one();
                }
                if output.incomplete_topic().is_none() {
                    self.leave_out(&hit, place, lane);
                    return Ok(());
                }
                (shaped, Some(output.required(field)))
            }
            shape::Verdict::Dropped { filter } => {
                if self.is_new(place.start)
                    && let Some(count) = self.filtered.get(filter)
                {
                    count.one();
                }
                self.leave_out(&hit, place, lane);
                return Ok(());
            }
            // Cannot be, of what is a hit; if it is all the same, nothing is lost.
            shape::Verdict::Unshapable(reason) => {
                let reason = DeadLetterReason::NotAHit(reason);
                return self.produce_dead_letter(reason, None, place, lane, mode).await;
            }
        };
        let parcel = Parcel::Hit {
            shaped,
            hit,
            duplicate,
            lacks,
        };
        self.produce(parcel, place, lane, mode).await
    }

    /// Produces what is not a hit. The stream has one dead letter for it, whatever its further outputs.
    async fn produce_dead_letter(
        &mut self,
        reason: DeadLetterReason,
        length: Option<u64>,
        place: Place<'_>,
        lane: &Lane,
        mode: Mode,
    ) -> Result<(), Failure> {
        if !self.settings.output.describes_what_is_no_hit() {
            lane.skip(place.end);
            return Ok(());
        }
        let output = Arc::clone(&self.settings.output);
        let bytes = output.told(reason, place.record);
        if bytes.len() < place.record.len() {
            self.keep(reason, place).await;
        }
        let parcel = Parcel::DeadLetter {
            bytes,
            length,
            reason,
            of: None,
        };
        self.produce(parcel, place, lane, mode).await
    }

    /// Whether a copy of the hit stands before it. Asked once for each time that the record comes by.
    fn is_duplicate(&mut self, hit: &Hit, place: Place<'_>) -> bool {
        let is_new = self.is_new(place.start);
        let (Some(repeats), Some(id)) = (&mut self.repeats, hit.hit_id) else {
            return false;
        };
        let (found, duplicate) = match repeats.judge(id, place.record, place.start, place.received_ms) {
            Verdict::First => return false,
            Verdict::Twin => (&self.counters.twins, false),
            Verdict::Duplicate { .. } => (&self.counters.duplicates, true),
        };
        if is_new {
            found.one();
        }
        duplicate
    }

    /// Passes a hit that is not forwarded, with the record before it.
    fn leave_out(&mut self, hit: &Hit, place: Place<'_>, lane: &Lane) {
        if self.is_new(place.start) {
            self.counters.hits.one();
            self.measures.hit_read(hit.received, place.received_ms);
            self.counted_to = place.end;
        }
        lane.skip(place.end);
    }

    /// Produces a record; as a dead letter if it is too large, and that with less and less of its bytes.
    async fn produce(
        &mut self,
        mut parcel: Parcel<'_>,
        place: Place<'_>,
        lane: &Lane,
        mode: Mode,
    ) -> Result<(), Failure> {
        self.count(&parcel, place);
        let (whole, mut told, mut kept) = (parcel, false, false);
        let reason = whole.dead_letter_reason().unwrap_or(DeadLetterReason::TooLargeForKafka);
        loop {
            let refused = match self.send(parcel, place, lane).await {
                Ok(()) => match mode {
                    Mode::InBatches => return Ok(()),
                    Mode::OneByOne { .. } => self.drain(lane).await,
                },
                Err(Unsent::Refused(failure)) => Some(failure),
                Err(Unsent::GenerationOver(failure)) => return Err(failure),
            };
            let Some(failure) = refused else { return Ok(()) };
            if failure.class != FailureClass::TooLarge {
                return Err(failure);
            }
            // It failed alone: by librdkafka's own measure, or as the only record in flight.
            if matches!(mode, Mode::OneByOne { .. }) {
                lane.rewind();
            }
            if !std::mem::replace(&mut told, true) {
                self.tell_too_large(&whole, place);
                // Before its dead letter, with which the cursor may pass it.
                kept = self.keep(reason, place).await;
            }
            let Some(smaller) = parcel.smaller() else {
                if kept || self.keep(reason, place).await {
                    self.tell_undescribed(place);
                    lane.skip(place.end);
                    return Ok(());
                }
                return Err(Failure::NOTHING_FITS);
            };
            if parcel.dead_letter_reason().is_none() {
                self.counters.dead_letters.of(DeadLetterReason::TooLargeForKafka).one();
            }
            parcel = smaller;
        }
    }

    fn tell_too_large(&mut self, parcel: &Parcel<'_>, place: Place<'_>) {
        const WHAT: &str = "a record is too large for kafka";
        let (stream, output) = (&self.settings.name, self.settings.output.further());
        let (position, bytes) = (place.start, parcel.size());
        debug!(stream, output, %position, bytes, "{WHAT}");
        if let Some(told) = self.digest.note(WHAT, self.born.elapsed()) {
            info!(stream, output, %position, bytes, more_since_the_last_line = told.untold, "{WHAT}: it becomes a dead letter with its first bytes");
        }
    }

    /// Hands a parcel to librdkafka, as soon as there is room for it.
    async fn send(&mut self, parcel: Parcel<'_>, place: Place<'_>, lane: &Lane) -> Result<(), Unsent> {
        let (mut texts, settings) = (std::mem::take(&mut self.texts), Arc::clone(&self.settings));
        let (mut message, size) = message(&mut texts, &settings, parcel, place.received_ms);
        let mut full = None;
        let sent = loop {
            match lane.send(message, place.end, size, place.received_ms) {
                Sent::Queued => break Ok(()),
                Sent::Refused(failure) => break Err(Unsent::Refused(failure)),
                Sent::Failed(failure) => break Err(Unsent::GenerationOver(failure)),
                Sent::NoRoom(back) => {
                    message = back;
                    lane.room().await;
                    self.settle(lane);
                }
                Sent::QueueFull(back) => {
                    message = back;
                    full.get_or_insert_with(|| lane.queue_is_full()).room().await;
                }
            }
        };
        self.texts = texts;
        sent
    }

    fn count(&mut self, parcel: &Parcel<'_>, place: Place<'_>) {
        let counters = &self.counters;
        if !self.is_new(place.start) {
            counters.reproduced.one();
            return;
        }
        self.counted_to = place.end;
        match parcel {
            Parcel::Hit { hit, .. } => {
                counters.hits.one();
                self.measures.hit_read(hit.received, place.received_ms);
                if hit.hit_id.is_none() {
                    counters.hits_without_ids.one();
                }
                if hit.visitor_id.is_none() {
                    counters.hits_without_visitor.one();
                }
            }
            Parcel::DeadLetter { reason, .. } => counters.dead_letters.of(*reason).one(),
        }
    }
}
