//! All that is known of one connection and its stream, as lines with a name before each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::shown::figures::{bytes, count, countdown, length, rate};
use super::super::shown::rows::{Row, state, time};
use crate::status::{Delivery, DeliveryState, Journal, JournalState, Output, Reason, Stream};
use crate::telemetry::histogram::Histogram;

/// One line: its name, and what it says.
pub(super) type Line = (&'static str, String);

/// What stands above them.
pub(super) fn title(row: &Row<'_>, passed: f64) -> String {
    format!(
        "{}: {} {}",
        row.cells[0].trim_start_matches(['!', ' ']),
        state(row.connection),
        time(row.connection, passed)
    )
}

/// The lines: what a person needs first comes first.
pub(super) fn lines(row: &Row<'_>, passed: f64) -> Vec<Line> {
    let Row { stream, connection, .. } = row;
    let mut lines = Vec::new();
    if let Some(reason) = &connection.reason {
        lines.push(("why", format!("{} ({})", reason.title, reason.name)));
        explained(&mut lines, reason);
    }
    let attempts = connection.failures.max(connection.tries);
    if attempts > 0 {
        lines.push(("attempts", format!("{attempts} in a row without a stream")));
    }
    if let Some(gap) = &connection.gap {
        let loss = if gap.probable {
            "hits are probably lost"
        } else {
            "a small loss is possible"
        };
        let seconds = length(gap.seconds + passed);
        lines.push((
            "gap",
            format!("{seconds} without a connection, since {}: {loss}", gap.from),
        ));
    }
    lines.push(("delivery", delivery(stream, passed)));
    if let Some(advice) = &stream.delivery.advice {
        lines.push(("you", advice.clone()));
    }
    lines.push(("journal", journal(&stream.journal)));
    lines.push(("hits", hits(stream)));
    if let Some(seconds) = connection.last_byte_seconds {
        lines.push(("last byte", format!("{} ago", length(seconds + passed))));
    }
    if let Some(ended) = &connection.last_disconnect {
        let (ago, lasted) = (length(ended.ago_seconds + passed), length(ended.lasted_seconds));
        let said = &ended.reason.text;
        lines.push((
            "last end",
            format!("{ago} ago, after {lasted}: {said} ({})", ended.reason.name),
        ));
    }
    for (name, tally) in [("connects", &stream.connects), ("ends", &stream.disconnects)] {
        if !tally.is_empty() {
            lines.push((name, tallied(tally)));
        }
    }
    lines.push(("lag", spread(stream.upstream_lag_seconds, &stream.upstream_lag)));
    lines.push((
        "latency",
        spread(stream.delivery_latency_seconds, &stream.delivery_latency),
    ));
    lines.push((
        "topics",
        format!("{}, dead letters {}", stream.topic, stream.dead_letter_topic),
    ));
    lines.push(("suite", stream.report_suite.clone()));
    let filtered = &stream.counts.filtered;
    if filtered.values().any(|count| *count > 0) {
        lines.push(("filters", tallied(filtered)));
    }
    if stream.counts.incomplete > 0 {
        lines.push(("incomplete", count(stream.counts.incomplete, "hit", "hits")));
    }
    lines.extend(stream.outputs.iter().skip(1).map(|output| ("output", further(output))));
    lines
}

/// A further output, in a line.
fn further(output: &Output) -> String {
    let Output {
        name,
        topic,
        delivery,
        backlog_bytes,
        delivered,
        filtered,
        incomplete,
        dead_letters,
        quarantined,
        ..
    } = output;
    let mut said = format!("{name} to {topic}: {delivered} delivered");
    let held_back = filtered
        .values()
        .fold(*incomplete, |sum, count| sum.saturating_add(*count));
    if held_back > 0 {
        let _ = write!(said, ", {held_back} held back or incomplete");
    }
    if dead_letters.total() > 0 {
        let _ = write!(said, ", {}", count(dead_letters.total(), "dead letter", "dead letters"));
    }
    if *quarantined > 0 {
        let _ = write!(said, ", {quarantined} in quarantine");
    }
    match delivery.state {
        DeliveryState::Well => {}
        DeliveryState::SetBack => said.push_str(", set back"),
        DeliveryState::Stalled => said.push_str(", no delivery report"),
    }
    if *backlog_bytes > 0 {
        let _ = write!(said, ", {} to deliver", bytes(*backlog_bytes));
    }
    said
}

fn explained(lines: &mut Vec<Line>, reason: &Reason) {
    for (name, says) in [
        ("said", &reason.text),
        ("means", &reason.means),
        ("daemon", &reason.daemon),
        ("you", &reason.operator),
    ] {
        // Some have nothing to say of their very case.
        if !says.is_empty() && *says != reason.title {
            lines.push((name, says.clone()));
        }
    }
}

fn delivery(stream: &Stream, passed: f64) -> String {
    let Delivery {
        state,
        since_seconds,
        retry_seconds,
        reason,
        failures,
        last_seconds,
        advice: _,
    } = &stream.delivery;
    let since = length(since_seconds.unwrap_or_default() + passed);
    let mut said = match state {
        DeliveryState::Well => "well".to_owned(),
        DeliveryState::SetBack => format!(
            "set back for {since}, {}",
            count(u64::from(*failures), "failure", "failures")
        ),
        DeliveryState::Stalled => format!("no delivery report for {since}"),
    };
    if let Some(seconds) = retry_seconds {
        let _ = write!(said, ", again in {}", countdown(seconds - passed));
    }
    if let Some(seconds) = last_seconds {
        let _ = write!(said, ", last acknowledged {} ago", length(seconds + passed));
    }
    if let Some(reason) = reason {
        let _ = write!(said, ": {reason}");
    }
    said
}

fn journal(journal: &Journal) -> String {
    let mut said = match journal.state {
        JournalState::Good => String::new(),
        JournalState::Full => "FULL, reading has paused; ".to_owned(),
        JournalState::DiskFull => "DISK FULL, reading has paused; ".to_owned(),
        JournalState::DiskFailing => "DISK FAILS, reading has paused; ".to_owned(),
    };
    said.push_str(&bytes(journal.backlog_bytes));
    if let Some(records) = journal.backlog_records.filter(|records| *records > 0) {
        let _ = write!(said, " (about {})", count(records, "record", "records"));
    }
    said.push_str(" not delivered");
    if let Some(seconds) = journal.oldest_seconds.filter(|_| journal.backlog_bytes > 0) {
        let _ = write!(said, ", the oldest {} old", length(seconds));
    }
    let _ = write!(
        said,
        ", {} of {} on disk",
        bytes(journal.held_bytes),
        bytes(journal.max_bytes)
    );
    for trouble in [&journal.trouble, &journal.read_trouble].into_iter().flatten() {
        let _ = write!(said, ": {trouble}");
    }
    said
}

fn hits(stream: &Stream) -> String {
    let counts = &stream.counts;
    let dead = &counts.dead_letters;
    let dead_letters = [
        dead.not_utf8,
        dead.not_json,
        dead.not_an_object,
        dead.trailing_bytes,
        dead.too_long,
        dead.too_large_for_kafka,
    ]
    .into_iter()
    .fold(0_u64, u64::saturating_add);
    format!(
        "{} a second; since the start {} read, {} delivered, {} repeats, {} dead letters",
        rate(stream.rates.now),
        counts.hits,
        counts.delivered,
        counts.duplicates,
        dead_letters
    )
}

fn tallied(tally: &BTreeMap<String, u64>) -> String {
    let mut entries: Vec<(&String, &u64)> = tally.iter().collect();
    entries.sort_by(|a, b| b.1.cmp(a.1));
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    entries.join(", ")
}

/// The last value, and how they are spread.
fn spread(last: Option<f64>, all: &Histogram) -> String {
    let Some(last) = last else {
        return "not known yet".to_owned();
    };
    let quantile = |q| all.quantile(q).map(length);
    match (quantile(0.5), quantile(0.99)) {
        (Some(half), Some(most)) => format!("{} (half up to {half}, 99% up to {most})", length(last)),
        (None, _) | (_, None) => length(last),
    }
}
