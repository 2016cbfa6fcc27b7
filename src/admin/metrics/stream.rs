//! The families of one stream and its connections.

use super::family::{Family, Out, Samples, counter, gauge, histogram};
use crate::journal::JournalFaults;
use crate::lifecycle::answers;
use crate::status::{ConnectionState, DeliveryState, JournalState, Stream};
use crate::telemetry::counters::DeadLetterSnapshot;

/// The outcome of an attempt that got a stream. All others are names of the table of answers.
const STREAMING: &str = "streaming";

/// All of them.
pub const ALL: &[Family] = &[
    counter(
        "stream_bytes_total",
        "Bytes of records that were read from the service and appended to the journal.",
        Samples::Stream(|stream, out| out.number(stream.counts.bytes)),
    ),
    counter(
        "stream_batches_total",
        "Batches that were appended to the journal: what one look into the socket brought.",
        Samples::Stream(|stream, out| out.number(stream.counts.batches)),
    ),
    counter(
        "stream_records_total",
        "Records that were read from the service and appended to the journal, empty ones included: whether Kafka takes them or not.",
        Samples::Stream(|stream, out| out.number(stream.counts.records)),
    ),
    counter(
        "hits_total",
        "Hits that were found in what was read, duplicates included. A hit that is produced again counts once.",
        Samples::Stream(|stream, out| out.number(stream.counts.hits)),
    ),
    counter(
        "hits_without_id_total",
        "Hits without a usable hit id (hitIdHigh, hitIdLow): forwarded, and never a duplicate.",
        Samples::Stream(|stream, out| out.number(stream.counts.hits_without_ids)),
    ),
    counter(
        "hits_without_visitor_total",
        "Hits without a usable visitor id (visIdHigh, visIdLow): with key = \"visitor\" they have no key in Kafka.",
        Samples::Stream(|stream, out| out.number(stream.counts.hits_without_visitor)),
    ),
    counter(
        "duplicates_total",
        "Hits of which a copy, ids and bytes, stood before them in the stream.",
        Samples::Stream(|stream, out| out.number(stream.counts.duplicates)),
    ),
    counter(
        "twins_total",
        "Hits with the id of another one and other bytes: forwarded.",
        Samples::Stream(|stream, out| out.number(stream.counts.twins)),
    ),
    counter(
        "empty_records_total",
        "Records that were nothing but a line ending, which the service sends now and then.",
        Samples::Stream(|stream, out| out.number(stream.counts.empty_records)),
    ),
    counter(
        "cut_records_total",
        "Records that a disconnect cut off before their line ending: dropped, because nobody knows the rest.",
        Samples::Stream(|stream, out| out.number(stream.counts.cut_records)),
    ),
    counter(
        "dedup_window_shortened_total",
        "Times that ids were forgotten before dedup.window was over, because dedup.max_ids was reached.",
        Samples::Stream(|stream, out| out.number(stream.counts.dedup_window_shortened)),
    ),
    counter(
        "dead_letters_total",
        "Records that went to the dead-letter topic, by reason: not_utf8, not_json, not_an_object, trailing_bytes (they are no hits), \
         too_long (upstream.max_record_bytes), too_large_for_kafka.",
        Samples::Stream(|stream, out| dead_letters(&stream.counts.dead_letters, out)),
    )
    .by("reason"),
    counter(
        "connects_total",
        "Attempts to connect that are over, by outcome: streaming, or the name of the answer or reason in docs/answers.md. An outcome \
         that has not occurred yet is absent.",
        Samples::Stream(|stream, out| out.by_name(&stream.connects, |name| name == STREAMING || is_an_answer(name))),
    )
    .by("outcome"),
    counter(
        "disconnects_total",
        "Open streams that ended, by reason: the names in docs/answers.md. A reason that has not occurred yet is absent.",
        Samples::Stream(|stream, out| out.by_name(&stream.disconnects, is_an_answer)),
    )
    .by("reason"),
    counter(
        "redirects_refused_total",
        "Redirects that were not followed, such as to a host that is not trusted.",
        Samples::Stream(|stream, out| out.number(stream.counts.redirects_refused)),
    ),
    gauge(
        "connection_state",
        "What a connection slot does: 1 for the state that it is in, 0 for the others. waiting (in a cooldown, or after a failure), \
         authorizing (a token is fetched), connecting, streaming, stopped.",
        Samples::Connection(|connection, out| {
            out.state(
                connection.state.name(),
                ConnectionState::ALL.iter().map(|state| state.name()),
            );
        }),
    )
    .by("state"),
    gauge(
        "connection_failing",
        "1 if the connection does not come about and somebody should look. A cooldown in the normal course of things is not that.",
        Samples::Connection(|connection, out| out.flag(connection.failing)),
    ),
    gauge(
        "cooldown_remaining_seconds",
        "For how long the connection slot still waits until it may connect, in seconds; 0 if it does not wait.",
        Samples::Connection(|connection, out| out.value(connection.remaining_seconds.unwrap_or_default())),
    ),
    gauge(
        "last_byte_age_seconds",
        "How long ago the last byte came on this connection slot, in seconds. Absent before the first one. A quiet report suite may be \
         silent for long.",
        Samples::Connection(|connection, out| out.known(connection.last_byte_seconds)),
    ),
    counter(
        "gaps_total",
        "Times without connection that are over: possible (up to upstream.backfill_horizon: the service goes on where it was, as a \
         rule) and probable (longer: hits are probably lost).",
        Samples::Stream(|stream, out| {
            out.at("possible", stream.counts.gaps_possible as f64);
            out.at("probable", stream.counts.gaps_probable as f64);
        }),
    )
    .by("kind"),
    counter(
        "probable_gap_seconds_total",
        "How long the probable gaps lasted that are over, in seconds, all connections together.",
        Samples::Stream(|stream, out| out.number(stream.counts.probable_gap_seconds)),
    ),
    gauge(
        "gap_seconds",
        "For how long the connection slot has been without connection, in seconds; 0 while it has one, and before its first.",
        Samples::Connection(|connection, out| {
            out.value(connection.gap.as_ref().map_or(0.0, |gap| gap.seconds));
        }),
    ),
    histogram(
        "upstream_lag_seconds",
        "How old hits were when they were read: time of reading less the hit's receivedTimeGMT, in seconds. The service takes 20 s to \
         5 min as a rule. Hits without a sensible receivedTimeGMT are left out.",
        Samples::Stream(|stream, out| out.histogram(&stream.upstream_lag)),
    ),
    histogram(
        "delivery_latency_seconds",
        "How long it took from reading a record until Kafka had acknowledged it and all before it, in seconds. What waited in the \
         journal, through restarts too, counts with its true age.",
        Samples::Stream(|stream, out| out.histogram(&stream.delivery_latency)),
    ),
    counter(
        "delivered_records_total",
        "Records that Kafka has acknowledged, dead letters included.",
        Samples::Stream(|stream, out| out.number(stream.counts.delivered)),
    ),
    counter(
        "delivery_failures_total",
        "Delivery reports, or refusals to take a record for delivery, that told of a failure.",
        Samples::Stream(|stream, out| out.number(stream.counts.delivery_failures)),
    ),
    counter(
        "rewinds_total",
        "Times that the stream went back to its cursor to produce again.",
        Samples::Stream(|stream, out| out.number(stream.counts.rewinds)),
    ),
    counter(
        "reproduced_records_total",
        "Records that were produced again after a rewind, and so may stand twice in their topic.",
        Samples::Stream(|stream, out| out.number(stream.counts.reproduced)),
    ),
    gauge(
        "delivery_state",
        "How Kafka takes the stream's records: 1 for the state that it is in, 0 for the others. well, set_back (Kafka refused, it is \
         tried again), stalled (records wait and no delivery report comes).",
        Samples::Stream(|stream, out| out.state(delivery_state(stream.delivery.state), DELIVERY_STATES.map(delivery_state))),
    )
    .by("state"),
    gauge(
        "last_delivery_age_seconds",
        "How long ago Kafka last acknowledged a record of the stream, in seconds. Absent before the first time.",
        Samples::Stream(|stream, out| out.known(stream.delivery.last_seconds)),
    ),
    counter(
        "quarantined_records_total",
        "Records that were too large for Kafka and are kept whole in the quarantine.",
        Samples::Stream(|stream, out| out.number(stream.counts.quarantined)),
    ),
    counter(
        "quarantine_failures_total",
        "Attempts to keep such a record that failed: nobody has more of it than the first bytes in its dead letter.",
        Samples::Stream(|stream, out| out.number(stream.counts.quarantine_failures)),
    ),
    counter(
        "undescribed_records_total",
        "Records that are in the quarantine alone, because Kafka found even an empty dead letter too large.",
        Samples::Stream(|stream, out| out.number(stream.counts.undescribed)),
    ),
    gauge(
        "journal_backlog_bytes",
        "What was read and is not delivered yet, in bytes.",
        Samples::Stream(|stream, out| out.number(stream.journal.backlog_bytes)),
    ),
    gauge(
        "journal_backlog_records",
        "About how many records that is, by the mean length of those that were delivered. Absent before the first delivery.",
        Samples::Stream(|stream, out| out.known(stream.journal.backlog_records.map(|records| records as f64))),
    ),
    gauge(
        "journal_oldest_record_age_seconds",
        "How long ago the oldest record was read that is not delivered yet, in seconds; 0 if all are. Absent while it is not known, \
         until the journal was read for the first time after a start.",
        Samples::Stream(|stream, out| out.known(stream.journal.oldest_seconds)),
    ),
    gauge(
        "journal_held_bytes",
        "What the stream's journal takes up on disk, in bytes: the backlog, and what is delivered and not removed yet.",
        Samples::Stream(|stream, out| out.number(stream.journal.held_bytes)),
    ),
    gauge(
        "journal_max_bytes",
        "How much the stream's journal may hold, in bytes (journal.max_bytes): when it is full, reading waits.",
        Samples::Stream(|stream, out| out.number(stream.journal.max_bytes)),
    ),
    gauge(
        "journal_state",
        "Whether the journal takes batches: 1 for the state that it is in, 0 for the others. good, full (deliveries do not keep up), \
         disk_full, disk_failing.",
        Samples::Stream(|stream, out| out.state(journal_state(stream.journal.state), JOURNAL_STATES.map(journal_state))),
    )
    .by("state"),
    gauge(
        "journal_unreadable",
        "1 while what is on disk cannot be read back: nothing behind that place is delivered until it can.",
        Samples::Stream(|stream, out| out.flag(stream.journal.read_trouble.is_some())),
    ),
    gauge(
        "journal_sync_lag_seconds",
        "For how long something has been waiting to be made durable, in seconds: so much a power loss may take now.",
        Samples::Stream(|stream, out| out.value(stream.journal.sync_lag_seconds)),
    ),
    counter(
        "journal_faults_total",
        "What was found wrong with the journal on disk since it was opened, by kind: cuts and cut_bytes (an unfinished end, as after a \
         crash), damaged_bytes, segments_set_aside, segments_missing, missing_bytes, cursors_unreadable, unsynced_bytes (a power loss may take them).",
        Samples::Stream(faults),
    )
    .by("kind"),
];

fn is_an_answer(name: &str) -> bool {
    answers::all().any(|one| one.name == name)
}

pub(super) fn dead_letters(counts: &DeadLetterSnapshot, out: &mut Out) {
    let DeadLetterSnapshot {
        not_utf8,
        not_json,
        not_an_object,
        trailing_bytes,
        too_long,
        too_large_for_kafka,
    } = *counts;
    for (reason, count) in [
        ("not_utf8", not_utf8),
        ("not_json", not_json),
        ("not_an_object", not_an_object),
        ("trailing_bytes", trailing_bytes),
        ("too_long", too_long),
        ("too_large_for_kafka", too_large_for_kafka),
    ] {
        out.at(reason, count as f64);
    }
}

/// Kinds that did not occur are left out of the model, and are 0 here: a count that begins with 1 is no growth to Prometheus.
fn faults(stream: &Stream, out: &mut Out) {
    let none = JournalFaults::default().named();
    let mut counts = stream.journal.faults.clone();
    for (kind, zero) in none {
        counts.entry(kind.to_owned()).or_insert(zero);
    }
    out.by_name(&counts, |kind| none.iter().any(|(known, _)| *known == kind));
}

pub(super) const DELIVERY_STATES: [DeliveryState; 3] =
    [DeliveryState::Well, DeliveryState::SetBack, DeliveryState::Stalled];

pub(super) const fn delivery_state(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Well => "well",
        DeliveryState::SetBack => "set_back",
        DeliveryState::Stalled => "stalled",
    }
}

const JOURNAL_STATES: [JournalState; 4] = [
    JournalState::Good,
    JournalState::Full,
    JournalState::DiskFull,
    JournalState::DiskFailing,
];

const fn journal_state(state: JournalState) -> &'static str {
    match state {
        JournalState::Good => "good",
        JournalState::Full => "full",
        JournalState::DiskFull => "disk_full",
        JournalState::DiskFailing => "disk_failing",
    }
}
