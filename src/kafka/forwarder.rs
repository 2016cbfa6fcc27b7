//! Tails a stream's journal into Kafka, and moves the stream's cursor.
//!
//! Promise: the cursor moves only over records whose delivery report said success, hits and dead letters alike; nothing is retried
//! report by report, because later records may have been delivered meanwhile. Instead:
//!
//! ```text
//!             +--> produce in batches --first failure--> take the reports that are still out --> wait --> back to the cursor --+
//!             |                                                    |                                                       |
//!             +----------------------------------------------------|-------------------------------------------------------+
//!             |                                                    a batch was too large, or a record is refused until a person mends it
//!             +-- past what was in it <-- produce one by one <-----+
//!                                         (what is too large alone is a dead letter with its first bytes; what is refused is tried again, and nothing overtakes it)
//! ```
//!
//! A record that is too large itself is in the quarantine, whole and durable, before its dead letter goes out. If not even an empty dead
//! letter fits, the quarantine counts as delivery.
//!
//! [`forward`] is one loop over generations: a generation ends at its first failure, and the next begins at the cursor. What comes
//! between them is in `forwarder/setback.rs`, what becomes of each record in `forwarder/producing.rs`. Other settings end a generation too, when all that is in flight has its report: the next
//! one goes by them, from the cursor, which then stands behind all that was produced.

mod keeping;
mod producing;
mod setback;
mod settings;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep};

use super::failure::{Failure, FailureClass};
use super::in_flight::Passed;
use super::lane::{Errand, Lane};
use super::producer::{Company, Pace, Producer};
use super::repeats::{IdsKept, Repeats};
use super::trouble::Trouble;
use crate::clock::since_epoch;
use crate::journal::{Journal, Position};
use crate::quarantine::Quarantine;
use crate::settings::{DedupSettings, Output, StreamSettings};
use crate::shape::Scratch;
use crate::shape::message::Texts;
use crate::shape::template::Names;
use crate::telemetry::counters::{Count, StreamCounters};
use crate::telemetry::{Delivery, DeliveryStatus, Digest, OutputStatus, StreamMeasures};
use setback::Setback;

/// Where a stream's records go, and as what.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwarderSettings {
    /// The stream's name.
    pub name: String,
    /// Its report suite.
    pub report_suite: String,
    /// What becomes of its hits. Another one of the same stream has a forwarder of its own.
    pub output: Arc<Output>,
    /// What a duplicate is, and what becomes of it.
    pub dedup: DedupSettings,
}

impl ForwarderSettings {
    /// Those of a stream for one of its outputs.
    pub fn new(stream: &StreamSettings, output: &Arc<Output>, dedup: &DedupSettings) -> Self {
        Self {
            name: stream.name.clone(),
            report_suite: stream.report_suite.clone(),
            output: Arc::clone(output),
            dedup: dedup.clone(),
        }
    }

    /// What templates may ask for beside fields.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            stream: &self.name,
            report_suite: &self.report_suite,
        }
    }
}

/// The journal was closed, and everything in it is delivered; or whoever gave the settings is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardEnd {
    /// Where the cursor stands: the end of the journal, in the first case.
    pub cursor: Position,
}

/// Forwards the stream until its journal is closed and everything in it is delivered. Retries for as long as that takes.
///
/// Duplicates are left out, or marked, as the settings say; the cursor passes what is left out with the record before it, so not before
/// the first copy, which is delivered then. Ids are remembered where `ids` says.
///
/// Other `settings` hold from a record on, and for all after it: those before it are delivered by the old ones first, if Kafka takes them.
/// If it does not, what is not delivered goes out by the new ones. The stream's name stays. When the sender is gone, forwarding ends as soon
/// as nothing is in flight.
///
/// Dropping the future is safe at any time: the cursor stands where everything before it is delivered. What is delivered beyond it
/// is then produced again by the next forwarder.
pub async fn forward(
    settings: watch::Receiver<Arc<ForwarderSettings>>,
    journal: Arc<Journal>,
    producer: Arc<Producer>,
    status: OutputStatus,
    ids: IdsKept,
    quarantine: Quarantine,
) -> ForwardEnd {
    let mut wanted = settings;
    let settings = Arc::clone(&wanted.borrow_and_update());
    let counted_to = journal.cursor(settings.output.name()).unwrap_or_else(|| journal.end());
    let repeats = Repeats::read(&ids, &settings.name, settings.output.name(), &settings.dedup, &journal).await;
    let OutputStatus {
        name: _,
        counters,
        measures,
        delivery,
    } = status;
    // Whatever the forwarder before has shown.
    delivery.show(Delivery::Well);
    Forwarder {
        filtered: filtered(&settings.output, &counters),
        scratch: Scratch::default(),
        settings,
        wanted,
        ids,
        journal,
        producer,
        counters,
        measures,
        passed: Vec::new(),
        delivery,
        repeats,
        quarantine,
        counted_to,
        trouble: Trouble::default(),
        company: Company::All,
        texts: Texts::default(),
        digest: Digest::without_end(8),
        setbacks: Digest::new(16),
        born: Instant::now(),
    }
    .run()
    .await
}

struct Forwarder {
    /// What this generation goes by.
    settings: Arc<ForwarderSettings>,
    /// What the next one will.
    wanted: watch::Receiver<Arc<ForwarderSettings>>,
    ids: IdsKept,
    journal: Arc<Journal>,
    producer: Arc<Producer>,
    counters: Arc<StreamCounters>,
    /// How many hits each filter of the output has held back, by its index.
    filtered: Vec<Arc<Count>>,
    /// For shaping.
    scratch: Scratch,
    measures: Arc<StreamMeasures>,
    /// For [`Lane::progress`].
    passed: Vec<Passed>,
    /// Where it is shown how it goes.
    delivery: DeliveryStatus,
    /// `None` if duplicates are not looked for.
    repeats: Option<Repeats>,
    /// For what Kafka does not take whole.
    quarantine: Quarantine,
    /// Up to where records have been counted: replays count none again.
    counted_to: Position,
    trouble: Trouble,
    /// Which streams share the producer of this generation.
    company: Company,
    texts: Texts,
    /// Sums up what would be a line for each record, or each time that the stream goes apart.
    digest: Digest<&'static str>,
    /// Sums up what goes wrong with Kafka again and again.
    setbacks: Digest<String>,
    born: Instant,
}

/// How the records of a generation go out.
#[derive(Clone, Copy, Debug)]
enum Mode {
    InBatches,
    /// One in flight, in a batch of its own, up to this position.
    OneByOne {
        to: Position,
    },
}

/// How a generation ended well.
enum GenerationEnd {
    /// The journal is closed, and all of it delivered.
    JournalEnd,
    /// What was to go out one by one is delivered.
    OneByOneEnd,
    /// The stream was apart, and may go back to the others.
    CaughtUp,
    /// Other settings are wanted.
    OtherSettings,
}

/// A record as it stands in the journal.
#[derive(Clone, Copy)]
struct Place<'r> {
    start: Position,
    /// Where the next record begins.
    end: Position,
    received_ms: u64,
    /// As it came, or its first bytes if it was too long; for the quarantine.
    record: &'r [u8],
}

impl Forwarder {
    async fn run(mut self) -> ForwardEnd {
        let mut mode = Mode::InBatches;
        loop {
            if !self.take_settings().await {
                return ForwardEnd { cursor: self.cursor() };
            }
            match self.generation(mode).await {
                Ok(GenerationEnd::JournalEnd) => return ForwardEnd { cursor: self.cursor() },
                Ok(GenerationEnd::OneByOneEnd | GenerationEnd::CaughtUp) => mode = Mode::InBatches,
                Ok(GenerationEnd::OtherSettings) => {}
                Err(setback) => {
                    if let (Mode::InBatches, Some(to)) = (mode, setback.one_by_one_to) {
                        mode = Mode::OneByOne { to };
                    }
                    let wait = self.suffer(&setback);
                    tokio::select! {
                        () = sleep(wait) => {}
                        // They may be what mends it.
                        () = other_settings(&mut self.wanted) => {}
                    }
                }
            }
        }
    }

    /// Produces from the cursor on, until something fails or there is nothing more to do.
    async fn generation(&mut self, mode: Mode) -> Result<GenerationEnd, Setback> {
        let cursor = self.cursor();
        self.company = self.trouble.company();
        let pace = match mode {
            Mode::InBatches => Pace::InBatches(self.company),
            Mode::OneByOne { .. } => Pace::OneByOne,
        };
        if let Some(repeats) = &mut self.repeats {
            repeats.rewind();
        }
        let errand = Errand {
            stream: &self.settings.name,
            topic: &self.settings.output.settings().topic,
            cursor,
            patience: self.trouble.patience(self.producer.patience()),
        };
        let lane = self.producer.lane(pace, errand).await?;
        let result = self.produce_from(cursor, &lane, mode).await;
        if let Err(failure) = &result
            && failure.class == FailureClass::Fatal
        {
            lane.condemn(&failure.to_string());
        }
        // What is out already may still be delivered, and then need not be produced again; and what is not must not come after it.
        let failed_since = self.drain(&lane).await;
        match (result, failed_since) {
            (Ok(end), None) => Ok(end),
            (Ok(_), Some(failure)) | (Err(failure), _) => Err(Setback::on(&lane, failure)),
        }
    }

    async fn produce_from(&mut self, cursor: Position, lane: &Lane, mode: Mode) -> Result<GenerationEnd, Failure> {
        let journal = Arc::clone(&self.journal);
        let mut at = cursor;
        loop {
            self.settle(lane);
            if let Some(failure) = lane.failure() {
                return Err(failure);
            }
            if !self.has_wanted_settings() {
                return Ok(GenerationEnd::OtherSettings);
            }
            match mode {
                Mode::InBatches if self.may_go_back() => return Ok(GenerationEnd::CaughtUp),
                Mode::InBatches => lane.take_share(),
                Mode::OneByOne { to } if at >= to => return Ok(GenerationEnd::OneByOneEnd),
                Mode::OneByOne { .. } => {}
            }
            let batch = tokio::select! {
                biased;
                () = lane.changed() => continue,
                () = other_settings(&mut self.wanted) => continue,
                batch = journal.next(at) => batch,
            };
            let Some(batch) = batch else {
                return match self.drain(lane).await {
                    None => Ok(GenerationEnd::JournalEnd),
                    Some(failure) => Err(failure),
                };
            };
            self.produce_batch(&batch, at, lane, mode).await?;
            at = batch.end();
            // A long backlog is always ready; other tasks want their turn.
            consume_budget().await;
        }
    }

    /// Waits until every report of the generation is in, or the producer has failed for good; moves the cursor meanwhile. Returns
    /// the failure, if there was one.
    async fn drain(&mut self, lane: &Lane) -> Option<Failure> {
        let _hurry = lane.hurry();
        loop {
            self.settle(lane);
            if lane.is_drained() {
                return lane.failure();
            }
            lane.changed().await;
        }
    }

    /// Moves the stream's cursor to where everything before it is delivered. The only place that does.
    fn settle(&mut self, lane: &Lane) {
        let progress = lane.progress(&mut self.passed);
        if progress.delivered > 0 {
            self.measure_delivery(progress.bytes);
            if self.trouble.is_any() {
                self.recover(progress.cursor);
            }
        }
        self.counters.delivered.add(progress.delivered);
        self.counters.delivery_failures.add(progress.failures);
        if let Some(repeats) = &mut self.repeats {
            repeats.before_the_cursor_moves(progress.cursor, &self.counters);
        }
        self.journal.advance(self.settings.output.name(), progress.cursor);
    }

    /// Measures how long it took what was delivered just now: since its batch was read, whichever run of the daemon did that. A look at
    /// the clock for all of it, and not one at each report: whoever is woken here is so within milliseconds of the report.
    fn measure_delivery(&self, bytes: u64) {
        let now_ms = since_epoch(SystemTime::now()).as_millis() as u64;
        for passed in &self.passed {
            self.measures.delivered(passed.records, passed.received_ms, now_ms);
        }
        self.measures.delivered_just_now(bytes);
    }

    fn cursor(&self) -> Position {
        // Of a cursor that was removed, nothing is left to forward.
        let cursor = self.journal.cursor(self.settings.output.name());
        cursor.unwrap_or_else(|| self.journal.end())
    }

    fn is_new(&self, start: Position) -> bool {
        start >= self.counted_to
    }
}

/// The counts of an output's filters, by their index.
fn filtered(output: &Output, counters: &StreamCounters) -> Vec<Arc<Count>> {
    output.filters().map(|name| counters.filtered.of(name)).collect()
}

/// Waits until other settings are wanted, or none any more.
async fn other_settings(wanted: &mut watch::Receiver<Arc<ForwarderSettings>>) {
    // An error means that nobody is left who could want any.
    let _ = wanted.changed().await;
}

#[cfg(test)]
#[path = "forwarder_tests.rs"]
mod tests;
