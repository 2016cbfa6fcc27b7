//! The families of one output of a stream: of `default`, which every stream has, and of further ones.

use super::family::{Family, Samples, counter, gauge, histogram};
use super::stream::{DELIVERY_STATES, dead_letters, delivery_state};

/// All of them.
pub const ALL: &[Family] = &[
    counter(
        "output_filtered_hits_total",
        "Hits that a filter of the output's shape has held back, by the filter's name: bots, excluded, and the names in shape.drop_if and \
         shape.keep_if.",
        Samples::Output(|output, out| out.by_name(&output.filtered, |_| true)),
    )
    .by("filter"),
    counter(
        "output_incomplete_hits_total",
        "Hits without a field that shape.required names: they go to shape.incomplete_topic, or nowhere.",
        Samples::Output(|output, out| out.number(output.incomplete)),
    ),
    counter(
        "output_duplicates_total",
        "Hits of which a copy, ids and bytes, stood before them in the stream, as the output has met them.",
        Samples::Output(|output, out| out.number(output.duplicates)),
    ),
    counter(
        "output_delivered_records_total",
        "Records that Kafka has acknowledged for the output, dead letters included.",
        Samples::Output(|output, out| out.number(output.delivered)),
    ),
    counter(
        "output_delivery_failures_total",
        "Delivery reports, or refusals to take a record for delivery, that told of a failure.",
        Samples::Output(|output, out| out.number(output.delivery_failures)),
    ),
    counter(
        "output_rewinds_total",
        "Times that the output went back to its cursor to produce again.",
        Samples::Output(|output, out| out.number(output.rewinds)),
    ),
    counter(
        "output_dead_letters_total",
        "Records that went to the output's dead-letter topic, by reason. The same words as in dead_letters_total.",
        Samples::Output(|output, out| dead_letters(&output.dead_letters, out)),
    )
    .by("reason"),
    counter(
        "output_quarantined_records_total",
        "Records that were too large for Kafka, as the output would have them, and are kept whole in the quarantine.",
        Samples::Output(|output, out| out.number(output.quarantined)),
    ),
    counter(
        "output_quarantine_failures_total",
        "Attempts to keep such a record that failed: nobody has more of it than the first bytes in its dead letter.",
        Samples::Output(|output, out| out.number(output.quarantine_failures)),
    ),
    gauge(
        "output_delivery_state",
        "How Kafka takes the output's records: 1 for the state that it is in, 0 for the others. The same words as in delivery_state.",
        Samples::Output(|output, out| out.state(delivery_state(output.delivery.state), DELIVERY_STATES.map(delivery_state))),
    )
    .by("state"),
    gauge(
        "output_last_delivery_age_seconds",
        "How long ago Kafka last acknowledged a record for the output, in seconds. Absent before the first time.",
        Samples::Output(|output, out| out.known(output.delivery.last_seconds)),
    ),
    gauge(
        "output_backlog_bytes",
        "What was read and is not delivered to the output yet, in bytes. The journal keeps it until all outputs have it.",
        Samples::Output(|output, out| out.number(output.backlog_bytes)),
    ),
    histogram(
        "output_delivery_latency_seconds",
        "How long it took from reading a record until Kafka had acknowledged it and all before it for the output, in seconds.",
        Samples::Output(|output, out| out.histogram(&output.delivery_latency)),
    ),
];
