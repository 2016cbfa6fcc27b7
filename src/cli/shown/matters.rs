//! What is said beside the table: the first line, what stands in the way, Kafka, the journals, the quarantine, the last reload.

use super::figures::{bytes, count, length};
use crate::status::{Daemon, Hindrance, Kafka};

/// Ready or not, in words.
pub(in crate::cli) fn readiness(daemon: &Daemon) -> String {
    if daemon.stopping {
        "STOPPING".to_owned()
    } else if daemon.ready {
        "ready".to_owned()
    } else {
        "NOT READY".to_owned()
    }
}

/// What a hindrance is about: a stream, one of its connections, or the daemon.
pub(in crate::cli) fn about(hindrance: &Hindrance) -> String {
    match (&hindrance.stream, hindrance.slot) {
        (Some(stream), Some(slot)) => format!("{stream}/{slot}"),
        (Some(stream), None) => stream.clone(),
        (None, _) => hindrance.kind.name().to_owned(),
    }
}

/// Brokers, their round trip, and what librdkafka holds.
pub(in crate::cli) fn kafka(kafka: &Kafka) -> String {
    let known = match kafka.brokers_known {
        0 => "no broker has answered yet".to_owned(),
        known => format!("{} of {} up", kafka.brokers_up, count(known, "broker", "brokers")),
    };
    let mut said = vec![format!("{}: {known}", kafka.brokers)];
    if let Some(seconds) = kafka.round_trip_seconds {
        said.push(format!("round trip {:.1} ms", (seconds * 1000.0).clamp(0.0, 1e9)));
    }
    if kafka.queue_records > 0 {
        said.push(format!("{} queued", count(kafka.queue_records, "record", "records")));
    }
    if kafka.connection_errors > 0 {
        said.push(count(kafka.connection_errors, "connection error", "connection errors"));
    }
    if kafka.rebuilds > 0 {
        said.push(format!("producer rebuilt {}", count(kafka.rebuilds, "time", "times")));
    }
    said.join(", ")
}

/// What all streams have not delivered yet, and what the journals hold.
pub(in crate::cli) fn journals(daemon: &Daemon) -> String {
    let backlog = daemon
        .streams
        .iter()
        .fold(0_u64, |sum, stream| sum.saturating_add(stream.journal.backlog_bytes));
    format!(
        "{} not delivered, {} of {} on disk",
        bytes(backlog),
        bytes(daemon.journals.held_bytes),
        bytes(daemon.journals.max_bytes)
    )
}

/// The quarantine, if there is anything in it.
pub(in crate::cli) fn quarantine(daemon: &Daemon) -> Option<String> {
    let quarantine = &daemon.quarantine;
    (quarantine.files > 0).then(|| {
        format!(
            "{}, {} of {}, the oldest {} old",
            count(quarantine.files, "file", "files"),
            bytes(quarantine.bytes),
            bytes(quarantine.max_bytes),
            length(quarantine.oldest_seconds as f64)
        )
    })
}

/// The last reload, if there was any, and what came of it.
pub(in crate::cli) fn reload(daemon: &Daemon) -> Option<String> {
    let reload = daemon.last_reload.as_ref()?;
    let how = if reload.ok { "" } else { "REFUSED: " };
    let mut said = format!("{}: {how}{}", reload.at, reload.summary);
    for fault in &reload.faults {
        said.push_str("; ");
        said.push_str(fault);
    }
    if !reload.needs_restart.is_empty() {
        said.push_str("; after a restart only: ");
        said.push_str(&reload.needs_restart.join(", "));
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::super::made_up::daemon;
    use super::*;

    #[test]
    fn each_matter_is_one_line() {
        let daemon = daemon();
        assert_eq!(
            kafka(&daemon.kafka),
            "kafka-1:9092,kafka-2:9092: 1 of 2 brokers up, round trip 2.4 ms, 12 records queued, 7 connection errors"
        );
        assert_eq!(journals(&daemon), "1.0 GiB not delivered, 1.2 GiB of 20.0 GiB on disk");
        assert_eq!(
            quarantine(&daemon).as_deref(),
            Some("3 files, 12.0 KiB of 1.0 GiB, the oldest 2d03h old")
        );
        assert_eq!(
            reload(&daemon).as_deref(),
            Some("2026-11-21T09:15:00Z: 1 stream added; after a restart only: state_dir")
        );
        assert_eq!(
            (readiness(&daemon).as_str(), about(&daemon.hindrances[0]).as_str()),
            ("NOT READY", "app")
        );
        let well = Daemon {
            ready: true,
            ..Daemon::default()
        };
        assert_eq!(
            (readiness(&well).as_str(), quarantine(&well), reload(&well)),
            ("ready", None, None)
        );
    }
}
