//! What a stream has produced and has no report for yet. It alone decides where the stream's cursor may stand.
//!
//! Promise: the cursor stands after exactly the longest run of delivered records, counted from where the generation began. A report
//! that belongs to an earlier generation, or to nothing, changes nothing.

use std::collections::VecDeque;

use super::failure::{Failure, FailureClass};
use crate::journal::Position;

/// What librdkafka carries with a message and gives back with its delivery report: which stream's record it was.
///
/// ```text
/// bits 63..48   lane        which stream
///      47..32   generation  of the stream: a new one begins at each rewind
///      31..0    sequence    of the record, wrapping around
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which stream's lane.
    pub lane: u16,
    /// Which generation of that lane.
    pub generation: u16,
    /// Which record of that generation.
    pub sequence: u32,
}

const _: () = assert!(
    usize::BITS >= 64,
    "a ticket needs the 64 bits that librdkafka carries with a message"
);

impl Ticket {
    /// The ticket as librdkafka carries it.
    pub const fn pack(self) -> usize {
        ((self.lane as usize) << 48) | ((self.generation as usize) << 32) | self.sequence as usize
    }

    /// The ticket again.
    pub const fn unpack(packed: usize) -> Self {
        Self {
            lane: (packed >> 48) as u16,
            generation: (packed >> 32) as u16,
            sequence: packed as u32,
        }
    }
}

/// How much a stream may have in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records between the cursor and the newest one, skipped ones not counted.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Limits {
    /// One record at a time.
    pub const ALONE: Self = Self { records: 1, bytes: 0 };
}

/// What happened since somebody last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the cursor may stand.
    pub cursor: Position,
    /// Records that the cursor passed.
    pub delivered: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Reports that told of a failure.
    pub failures: u64,
}

/// Records that the cursor passed, one after another, and that came at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// When they came off the wire: milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// How many they are.
    pub records: u64,
}

/// What came of an attempt to put a record in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is in flight: its generation and sequence.
    Admitted(u16, u32),
    /// The limits are reached.
    NoRoom,
    /// A report told of a failure: nothing more goes out in this generation.
    Failed(Failure),
}

/// The records of one stream that are in flight, in the order of the journal.
#[derive(Debug)]
pub struct InFlight {
    generation: u16,
    /// The sequence of the first entry.
    first: u32,
    /// From the first record without a successful report to the newest.
    entries: VecDeque<Entry>,
    /// Bytes of all entries.
    bytes: usize,
    /// How many reports are still to come in this generation.
    unreported: usize,
    /// How many have come, in all generations.
    reports: u64,
    cursor: Position,
    failure: Option<Failure>,
    too_large_to: Option<Position>,
    refused_to: Option<Position>,
    limits: Limits,
    delivered: u64,
    delivered_bytes: u64,
    /// The same records by the time at which they came, until somebody asks.
    passed: Vec<Passed>,
    failures: u64,
    passed_since_wake: Limits,
}

/// There may be 100,000 of them, so they are small.
#[derive(Debug)]
struct Entry {
    /// Where the cursor stands once it has passed this record.
    end: Position,
    received_ms: u64,
    /// Of a record above 4 GiB, which no setting allows, only so many count.
    bytes: u32,
    report: Report,
}

const _: () = assert!(size_of::<Entry>() == 24);

#[derive(Debug, PartialEq, Eq)]
enum Report {
    Awaited,
    Delivered,
    Failed,
}

impl InFlight {
    /// Nothing in flight, the cursor at `cursor`.
    pub fn new(cursor: Position, limits: Limits) -> Self {
        Self {
            generation: 0,
            first: 0,
            entries: VecDeque::new(),
            bytes: 0,
            unreported: 0,
            reports: 0,
            cursor,
            failure: None,
            too_large_to: None,
            refused_to: None,
            limits,
            delivered: 0,
            delivered_bytes: 0,
            passed: Vec::new(),
            failures: 0,
            passed_since_wake: Limits { records: 0, bytes: 0 },
        }
    }

    /// Begins a new generation at the cursor: forgets what is in flight, and any failure.
    pub fn rewind(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.first = self.first.wrapping_add(self.entries.len() as u32);
        self.entries.clear();
        self.bytes = 0;
        self.unreported = 0;
        self.failure = None;
        self.too_large_to = None;
        self.refused_to = None;
    }

    /// Sets how much may be in flight. What already is stays.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Puts a record in flight, if the limits allow and no report has told of a failure. A record larger than the limits is
    /// admitted when nothing else is in flight. `end` is where the next record begins, and `received_ms` when this one came.
    pub fn admit(&mut self, end: Position, bytes: usize, received_ms: u64) -> Admission {
        if let Some(failure) = self.failure {
            return Admission::Failed(failure);
        }
        let full = self.entries.len() >= self.limits.records || self.bytes + bytes > self.limits.bytes;
        if full && !self.entries.is_empty() {
            return Admission::NoRoom;
        }
        let sequence = self.first.wrapping_add(self.entries.len() as u32);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.entries.push_back(Entry {
            end,
            received_ms,
            bytes,
            report: Report::Awaited,
        });
        self.bytes += bytes as usize;
        self.unreported += 1;
        Admission::Admitted(self.generation, sequence)
    }

    /// Takes back the record that was admitted last, because it never went out.
    pub fn retract(&mut self) {
        if self.entries.back().is_some_and(|entry| entry.report == Report::Awaited)
            && let Some(entry) = self.entries.pop_back()
        {
            self.bytes -= entry.bytes as usize;
            self.unreported -= 1;
        }
    }

    /// Passes over journal bytes that are not produced, such as an empty record: they count as delivered with the record before
    /// them.
    pub fn skip(&mut self, end: Position) {
        match self.entries.back_mut() {
            Some(newest) => newest.end = end,
            None => self.cursor = end,
        }
    }

    /// Takes a delivery report. True if the forwarder should look: all reports are in, one told of a failure, or a good part of
    /// what may be in flight has been passed.
    pub fn report(&mut self, generation: u16, sequence: u32, result: Result<(), Failure>) -> bool {
        if generation != self.generation {
            return false;
        }
        let index = sequence.wrapping_sub(self.first) as usize;
        let Some(entry) = self
            .entries
            .get_mut(index)
            .filter(|entry| entry.report == Report::Awaited)
        else {
            return false;
        };
        self.unreported -= 1;
        self.reports += 1;
        match result {
            Ok(()) => entry.report = Report::Delivered,
            Err(failure) => {
                entry.report = Report::Failed;
                match failure.class {
                    FailureClass::TooLarge => {
                        self.too_large_to = Some(entry.end.max(self.too_large_to.unwrap_or_default()));
                    }
                    FailureClass::NeedsAPerson => {
                        self.refused_to = Some(entry.end.min(self.refused_to.unwrap_or(entry.end)));
                    }
                    FailureClass::Passing | FailureClass::Fatal | FailureClass::Stalled => {}
                }
                self.failures += 1;
                self.failure.get_or_insert(failure);
            }
        }
        self.pass_delivered();
        self.worth_a_wake(result.is_err())
    }

    /// Fails the generation without a report.
    pub fn fail(&mut self, failure: Failure) {
        // A producer that failed for good overrules what a single report told.
        if failure.class == FailureClass::Fatal || self.failure.is_none() {
            self.failure = Some(failure);
        }
    }

    /// What happened since the last call. `passed` is emptied, and gets the records that the cursor passed, by the time at which they
    /// came.
    pub fn progress(&mut self, passed: &mut Vec<Passed>) -> Progress {
        passed.clear();
        // The two take turns, so that nothing is allocated for long.
        std::mem::swap(&mut self.passed, passed);
        Progress {
            cursor: self.cursor,
            delivered: std::mem::take(&mut self.delivered),
            bytes: std::mem::take(&mut self.delivered_bytes),
            failures: std::mem::take(&mut self.failures),
        }
    }

    /// Where the cursor may stand.
    pub const fn cursor(&self) -> Position {
        self.cursor
    }

    /// The first failure of this generation.
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Where the last record ends that was in a batch too large, if any was.
    pub const fn too_large_to(&self) -> Option<Position> {
        self.too_large_to
    }

    /// Where the first record ends that Kafka will not take before somebody does something, if any was.
    pub const fn refused_to(&self) -> Option<Position> {
        self.refused_to
    }

    /// How many reports are still to come in this generation.
    pub const fn unreported(&self) -> usize {
        self.unreported
    }

    /// How many reports have come so far that changed anything.
    pub const fn reports(&self) -> u64 {
        self.reports
    }

    /// How many records are between the cursor and the newest one.
    pub fn undelivered(&self) -> usize {
        self.entries.len()
    }

    fn pass_delivered(&mut self) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.report == Report::Delivered) {
            self.first = self.first.wrapping_add(1);
            self.cursor = entry.end;
            self.bytes -= entry.bytes as usize;
            self.delivered += 1;
            self.delivered_bytes += u64::from(entry.bytes);
            match self.passed.last_mut() {
                Some(last) if last.received_ms == entry.received_ms => last.records += 1,
                Some(_) | None => self.passed.push(Passed {
                    received_ms: entry.received_ms,
                    records: 1,
                }),
            }
            self.passed_since_wake.records += 1;
            self.passed_since_wake.bytes += entry.bytes as usize;
        }
    }

    fn worth_a_wake(&mut self, failed: bool) -> bool {
        let passed = self.passed_since_wake;
        let much = passed.records >= (self.limits.records / 4).min(WAKE_RECORDS)
            || passed.bytes >= (self.limits.bytes / 4).min(WAKE_BYTES);
        let worth = failed || self.unreported == 0 || (passed.records > 0 && much);
        if worth {
            self.passed_since_wake = Limits { records: 0, bytes: 0 };
        }
        worth
    }
}

/// A wake-up costs microseconds, a record one: look after this much, so that the journal is freed and filled again in good time.
const WAKE_RECORDS: usize = 256;
const WAKE_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rdkafka::error::RDKafkaErrorCode;

    const LIMITS: Limits = Limits {
        records: 100,
        bytes: 1000,
    };

    fn passing() -> Failure {
        RDKafkaErrorCode::MessageTimedOut.into()
    }

    fn too_large() -> Failure {
        RDKafkaErrorCode::MessageSizeTooLarge.into()
    }

    fn admit(in_flight: &mut InFlight, end: u64) -> (u16, u32) {
        match in_flight.admit(Position(end), 1, 0) {
            Admission::Admitted(generation, sequence) => (generation, sequence),
            other @ (Admission::NoRoom | Admission::Failed(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_ticket_survives_its_packing() {
        for ticket in [
            Ticket {
                lane: 0,
                generation: 0,
                sequence: 0,
            },
            Ticket {
                lane: u16::MAX,
                generation: 0,
                sequence: 1,
            },
            Ticket {
                lane: 1,
                generation: u16::MAX,
                sequence: u32::MAX,
            },
            Ticket {
                lane: 0x1234,
                generation: 0x5678,
                sequence: 0x9abc_def0,
            },
        ] {
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }

    #[test]
    fn the_cursor_waits_for_the_first_record_however_many_later_ones_are_delivered() {
        let mut in_flight = InFlight::new(Position(5), LIMITS);
        let tickets: Vec<_> = (1..=3).map(|n| admit(&mut in_flight, n * 10)).collect();
        for (generation, sequence) in &tickets[1..] {
            in_flight.report(*generation, *sequence, Ok(()));
            assert_eq!(in_flight.cursor(), Position(5));
        }
        assert!(
            in_flight.report(tickets[0].0, tickets[0].1, Ok(())),
            "all reports are in"
        );
        assert_eq!(
            in_flight.progress(&mut Vec::new()),
            Progress {
                cursor: Position(30),
                delivered: 3,
                bytes: 3,
                failures: 0
            }
        );
        assert_eq!(in_flight.progress(&mut Vec::new()).delivered, 0);
    }

    #[test]
    fn what_was_passed_is_told_once_by_the_time_at_which_it_came() {
        let mut in_flight = InFlight::new(Position(0), LIMITS);
        let tickets: Vec<_> = [7, 7, 9, 9, 8]
            .into_iter()
            .zip(1..)
            .map(
                |(received_ms, nth)| match in_flight.admit(Position(nth * 10), 2, received_ms) {
                    Admission::Admitted(generation, sequence) => (generation, sequence),
                    other @ (Admission::NoRoom | Admission::Failed(_)) => panic!("{other:?}"),
                },
            )
            .collect();
        let mut told = |reported: &[usize]| {
            for index in reported {
                let (generation, sequence) = tickets[*index];
                in_flight.report(generation, sequence, Ok(()));
            }
            let mut passed = vec![Passed {
                received_ms: 1,
                records: 99,
            }];
            let progress = in_flight.progress(&mut passed);
            assert_eq!(progress.bytes, 2 * progress.delivered);
            passed
                .iter()
                .map(|run| (run.received_ms, run.records))
                .collect::<Vec<_>>()
        };
        // The last one waits for those before it.
        assert_eq!(told(&[0, 1, 2, 4]), [(7, 2), (9, 1)]);
        assert_eq!(told(&[]), []);
        assert_eq!(told(&[3]), [(9, 1), (8, 1)]);
    }

    #[test]
    fn the_first_record_that_wants_a_person_is_remembered_until_the_rewind() {
        let mut in_flight = InFlight::new(Position(0), LIMITS);
        let refused = || Err(Failure::NOTHING_FITS);
        let [first, second, third] = [10, 20, 30].map(|end| admit(&mut in_flight, end));
        in_flight.report(third.0, third.1, refused());
        assert_eq!(in_flight.refused_to(), Some(Position(30)));
        in_flight.report(second.0, second.1, refused());
        in_flight.report(first.0, first.1, Ok(()));
        assert_eq!(
            (in_flight.refused_to(), in_flight.too_large_to()),
            (Some(Position(20)), None)
        );
        in_flight.rewind();
        assert_eq!(in_flight.refused_to(), None);
    }

    #[test]
    fn after_a_failure_nothing_goes_out_until_the_rewind() {
        let mut in_flight = InFlight::new(Position(0), LIMITS);
        let first = admit(&mut in_flight, 10);
        let second = admit(&mut in_flight, 20);
        let third = admit(&mut in_flight, 30);
        assert!(in_flight.report(second.0, second.1, Err(too_large())));
        assert_eq!(in_flight.admit(Position(40), 1, 0), Admission::Failed(too_large()));
        // What was out already still counts, up to the failed one.
        in_flight.report(first.0, first.1, Ok(()));
        in_flight.report(third.0, third.1, Err(passing()));
        assert_eq!((in_flight.cursor(), in_flight.unreported()), (Position(10), 0));
        assert_eq!(
            (in_flight.failure(), in_flight.too_large_to(), in_flight.refused_to()),
            (Some(too_large()), Some(Position(20)), None)
        );
        in_flight.rewind();
        assert_eq!(
            (in_flight.failure(), in_flight.too_large_to(), in_flight.cursor()),
            (None, None, Position(10))
        );
        let again = admit(&mut in_flight, 20);
        assert!(
            !in_flight.report(second.0, second.1, Ok(())),
            "a late report of the old generation"
        );
        assert_eq!(in_flight.cursor(), Position(10));
        in_flight.report(again.0, again.1, Ok(()));
        assert_eq!(in_flight.cursor(), Position(20));
    }

    #[test]
    fn limits_bind_but_never_shut_out_a_single_record() {
        let mut in_flight = InFlight::new(Position(0), Limits { records: 2, bytes: 100 });
        assert!(matches!(in_flight.admit(Position(1), 500, 0), Admission::Admitted(..)));
        assert_eq!(in_flight.admit(Position(2), 1, 0), Admission::NoRoom);
        in_flight.report(0, 0, Ok(()));
        assert!(matches!(in_flight.admit(Position(2), 50, 0), Admission::Admitted(..)));
        assert!(matches!(in_flight.admit(Position(3), 50, 0), Admission::Admitted(..)));
        assert_eq!(in_flight.admit(Position(4), 0, 0), Admission::NoRoom);
        in_flight.set_limits(Limits::ALONE);
        in_flight.report(0, 1, Ok(()));
        assert_eq!(in_flight.admit(Position(4), 0, 0), Admission::NoRoom);
    }

    #[test]
    fn a_producer_that_failed_for_good_overrules_a_report() {
        let mut in_flight = InFlight::new(Position(0), LIMITS);
        in_flight.fail(passing());
        in_flight.fail(too_large());
        assert_eq!(in_flight.failure(), Some(passing()));
        in_flight.fail(Failure::FATAL);
        assert_eq!(in_flight.failure(), Some(Failure::FATAL));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Admit(usize),
        Retract,
        Skip,
        /// A report for the nth record that ever went out, of whatever generation; delivered or not.
        Report(usize, bool),
        Rewind,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..60_usize).prop_map(Step::Admit),
            1 => Just(Step::Retract),
            1 => Just(Step::Skip),
            8 => (0..16_usize, prop::bool::weighted(0.9)).prop_map(|(nth, delivered)| Step::Report(nth, delivered)),
            1 => Just(Step::Rewind),
        ]
    }

    /// One record in flight, as a plain model sees it.
    struct Sent {
        generation: u16,
        sequence: u32,
        end: u64,
        reported: Option<bool>,
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

        #[test]
        fn the_cursor_stands_after_the_longest_run_of_delivered_records(
            first in prop_oneof![Just(0_u32), Just(u32::MAX - 3), any::<u32>()],
            generation in prop_oneof![Just(0_u16), Just(u16::MAX)],
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let mut in_flight = InFlight::new(Position(0), Limits { records: 8, bytes: 100 });
            in_flight.first = first;
            in_flight.generation = generation;
            let mut sent: Vec<Sent> = Vec::new();
            let mut at = 0;
            let mut floor = 0;
            let mut before = Position(0);
            for step in steps {
                match step {
                    Step::Admit(bytes) => {
                        if let Admission::Admitted(generation, sequence) = in_flight.admit(Position(at + 10), bytes, 0) {
                            at += 10;
                            sent.push(Sent { generation, sequence, end: at, reported: None });
                        }
                    }
                    Step::Retract => {
                        // Only ever done right after an admission, before a report can come.
                        if let Admission::Admitted(..) = in_flight.admit(Position(at + 10), 1, 0) {
                            in_flight.retract();
                        }
                    }
                    Step::Skip => {
                        at += 1;
                        in_flight.skip(Position(at));
                        let current = in_flight.generation;
                        match sent.iter_mut().rev().find(|sent| sent.generation == current && sent.end > floor) {
                            Some(newest) if newest.end > before.0 => newest.end = at,
                            _ => floor = at,
                        }
                    }
                    Step::Report(nth, delivered) => {
                        // Mostly recent ones; the others are of old generations or come a second time.
                        let Some(index) = sent.len().checked_sub(1 + nth) else { continue };
                        let record = &mut sent[index];
                        let result = if delivered { Ok(()) } else { Err(passing()) };
                        in_flight.report(record.generation, record.sequence, result);
                        if record.generation == in_flight.generation {
                            record.reported.get_or_insert(delivered);
                        }
                    }
                    Step::Rewind => {
                        in_flight.rewind();
                        // As if 2^32 records had gone out since: only the generation tells the old reports from the new.
                        in_flight.first = first;
                        floor = in_flight.cursor().0;
                        at = floor;
                    }
                }
                let current = in_flight.generation;
                let mut expected = floor;
                for record in sent.iter().filter(|sent| sent.generation == current) {
                    if record.reported != Some(true) {
                        break;
                    }
                    expected = expected.max(record.end);
                }
                prop_assert_eq!(in_flight.cursor(), Position(expected));
                prop_assert!(in_flight.cursor() >= before);
                before = in_flight.cursor();
                let unreported = sent.iter().filter(|sent| sent.generation == current && sent.reported.is_none()).count();
                prop_assert_eq!(in_flight.unreported(), unreported);
                let failed = sent.iter().any(|sent| sent.generation == current && sent.reported == Some(false));
                prop_assert_eq!(in_flight.failure().is_some(), failed);
            }
        }
    }
}
