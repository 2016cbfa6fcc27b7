//! The families of what all streams share: journals together, quarantine, Kafka, credentials.

use super::family::{Family, Samples, counter, gauge, histogram};

/// All of them.
pub const ALL: &[Family] = &[
    gauge(
        "journals_held_bytes",
        "What all journals take up on disk, in bytes.",
        Samples::Daemon(|daemon, out| out.number(daemon.journals.held_bytes)),
    ),
    gauge(
        "journals_max_bytes",
        "How much all journals together may take up, in bytes (journal.max_bytes_in_all).",
        Samples::Daemon(|daemon, out| out.number(daemon.journals.max_bytes)),
    ),
    histogram(
        "journal_sync_seconds",
        "How long rounds of making journals durable took, in seconds, those of all streams together. Rounds that found nothing to do \
         are not counted.",
        Samples::Daemon(|daemon, out| out.histogram(&daemon.journals.sync_seconds)),
    ),
    gauge(
        "quarantine_files",
        "Files in the quarantine: what could not be read or sent, kept for a person to look at.",
        Samples::Daemon(|daemon, out| out.number(daemon.quarantine.files)),
    ),
    gauge(
        "quarantine_bytes",
        "What they take up, in bytes.",
        Samples::Daemon(|daemon, out| out.number(daemon.quarantine.bytes)),
    ),
    gauge(
        "quarantine_max_bytes",
        "How much the quarantine may hold, in bytes (quarantine.max_bytes): beyond it the oldest files are removed.",
        Samples::Daemon(|daemon, out| out.number(daemon.quarantine.max_bytes)),
    ),
    gauge(
        "quarantine_oldest_age_seconds",
        "How old the oldest file in the quarantine is, in seconds; 0 if there is none.",
        Samples::Daemon(|daemon, out| out.number(daemon.quarantine.oldest_seconds)),
    ),
    counter(
        "quarantine_removed_files_total",
        "Files that were removed from the quarantine because it was full or they were too old.",
        Samples::Daemon(|daemon, out| out.number(daemon.quarantine.removed_files)),
    ),
    gauge(
        "kafka_brokers_up",
        "Brokers that a producer is connected to. One that leads no partition of ours need not be. As all numbers from librdkafka it \
         is as old as statistics.interval.ms at most, 15 s by default.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.brokers_up)),
    ),
    gauge(
        "kafka_brokers_known",
        "Brokers that are known: those of the cluster, or those of kafka.brokers before one of them was reached.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.brokers_known)),
    ),
    gauge(
        "kafka_producers",
        "Producers in use: one that all streams share, and while a stream needs them, one for streams in trouble and one that gathers \
         no batches.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.producers)),
    ),
    counter(
        "kafka_producer_rebuilds_total",
        "Producers that were built in the place of others, which had failed for good or brought no delivery reports.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.rebuilds)),
    ),
    gauge(
        "kafka_queue_records",
        "Records in librdkafka's queues, all producers together: handed over, and not acknowledged by Kafka.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.queue_records)),
    ),
    gauge(
        "kafka_queue_bytes",
        "Their bytes.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.queue_bytes)),
    ),
    counter(
        "kafka_request_errors_total",
        "Requests to brokers that could not be sent, got no answer, or one that could not be read.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.request_errors)),
    ),
    counter(
        "kafka_connection_errors_total",
        "Connections to brokers that could not be made or were lost; those too that a broker closed because they were idle.",
        Samples::Daemon(|daemon, out| out.number(daemon.kafka.connection_errors)),
    ),
    gauge(
        "kafka_round_trip_seconds",
        "The mean round trip to the slowest broker lately, in seconds. Absent while nothing is sent.",
        Samples::Daemon(|daemon, out| out.known(daemon.kafka.round_trip_seconds)),
    ),
    gauge(
        "token_age_seconds",
        "How long ago the access token was fetched, in seconds; a ready-made one: was first read. Absent while there is none.",
        Samples::Credential(|credential, out| out.known(credential.token_age_seconds)),
    ),
    gauge(
        "token_expires_seconds",
        "For how long the access token is still good, in seconds; 0 once it has run out. Absent while there is none, and for a \
         ready-made one.",
        Samples::Credential(|credential, out| out.known(credential.token_expires_seconds)),
    ),
    counter(
        "token_fetches_total",
        "Access tokens that were fetched; ready-made ones: that were found in the place of another.",
        Samples::Credential(|credential, out| out.number(credential.fetches)),
    ),
    counter(
        "token_failures_total",
        "Times that no access token could be had.",
        Samples::Credential(|credential, out| out.number(credential.failures)),
    ),
];
