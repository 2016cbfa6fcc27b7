//! The rules. The judge goes by what went over the emulated network, what the journal holds, and the service's own ledger.

use std::fmt;

use tokio::time::Instant;

use super::decode::{self, Item};
use super::line::Record;
use super::world::{COOLDOWN, Kept, MAX_RECORD_BYTES, NOTICE, Past};
use crate::journal::BatchKind;
use crate::simulator::{Accept, fingerprint};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nobody connects within a cooldown of the slot's last connection that reached the service, but for redirects and the one retry after
    /// a 401.
    Cooldown,
    /// The journal holds every whole record that was read, unchanged, in order and once; and nothing else.
    Journal,
    /// What was read is what the service wrote, from the connection's first record on.
    Ledger,
    /// When nothing goes wrong any more, every slot streams before long.
    ComesBack,
    /// No panic; at a stop every task ends and every connection is closed.
    Ends,
    /// After a stop every lease says so.
    LeaseClosed,
}

/// A rule that was broken.
#[derive(Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// The first rule that a history breaks.
pub fn judge(past: &Past) -> Result<(), Violation> {
    for slot in 0..2 {
        let connections: Vec<&Record> = past
            .connections
            .iter()
            .filter(|record| record.slot == Some(slot))
            .collect();
        cooldown(&connections)?;
        let batches: Vec<&Kept> = past.batches.iter().filter(|batch| batch.slot == slot).collect();
        journal(&connections, &batches)?;
    }
    for connection in past.connections.iter().filter(|record| record.slot.is_some()) {
        ledger(connection, past)?;
        if connection.closed.is_none() {
            return broken(Rule::Ends, "a connection is open after the stop".to_owned());
        }
    }
    // The service notices a connection that was lost in silence long after its client has come back; and of several slots it does not know
    // which one an attempt belongs to. It may end by itself what the client has closed, as long as it does not know of that yet.
    let early = past.ledger.early_accepts();
    let hasty = early
        .iter()
        .find(|accept| accept.waited.is_none_or(|waited| waited + NOTICE < COOLDOWN));
    if past
        .connections
        .iter()
        .all(|record| !record.silent && record.slot != Some(1))
        && let Some(early) = hasty
    {
        let what = format!("the service found {} early: {:?}", early.connection, early.waited);
        return broken(Rule::Cooldown, what);
    }
    match past.troubles.first() {
        Some((rule, what)) => broken(*rule, what.clone()),
        None => Ok(()),
    }
}

fn broken(rule: Rule, what: String) -> Result<(), Violation> {
    Err(Violation { rule, what })
}

/// Counted from the client's close, which is when the client may begin to count.
fn cooldown(connections: &[&Record]) -> Result<(), Violation> {
    let mut last: Option<&Record> = None;
    let mut retried: Option<Instant> = None;
    for connection in connections {
        if let Some(last) = last {
            let waited = last
                .closed
                .map(|closed| connection.asked.saturating_duration_since(closed));
            let may_retry = retried.is_none_or(|at| connection.asked - at >= COOLDOWN);
            match excuse(last, connection) {
                _ if waited >= Some(COOLDOWN) => {}
                Some(Excuse::Redirect) => {}
                Some(Excuse::Unauthorized) if may_retry => retried = Some(connection.asked),
                Some(Excuse::Unauthorized) | None => {
                    let what = format!("a connect {waited:?} after the last one was closed");
                    return broken(Rule::Cooldown, what);
                }
            }
        }
        if !connection.wrote.is_empty() {
            last = Some(connection);
        }
    }
    Ok(())
}

enum Excuse {
    Redirect,
    Unauthorized,
}

fn excuse(last: &Record, next: &Record) -> Option<Excuse> {
    match decode::status(&last.read)? {
        301 | 302 | 307 | 308 if next.wrote.starts_with(b"GET /_hop/") => Some(Excuse::Redirect),
        401 => Some(Excuse::Unauthorized),
        _ => None,
    }
}

fn journal(connections: &[&Record], batches: &[&Kept]) -> Result<(), Violation> {
    let mut held = batches.iter().flat_map(|batch| items(batch)).peekable();
    for (number, connection) in connections.iter().enumerate() {
        for (place, record) in decode::records(&connection.read).iter().enumerate() {
            let wanted = decode::kept(record, MAX_RECORD_BYTES);
            if held.next_if_eq(&wanted).is_some() {
                continue;
            }
            if connection.killed_with_a_full_journal {
                break;
            }
            let what = format!("record {place} of connection {number} was read whole, and is not next in the journal");
            return broken(Rule::Journal, what);
        }
    }
    match held.next() {
        Some(_) => broken(Rule::Journal, "the journal holds more than was read whole".to_owned()),
        None => Ok(()),
    }
}

fn items(batch: &Kept) -> Vec<Item> {
    match batch.kind {
        BatchKind::Records => batch
            .bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map(|record| Item::Whole(record.to_vec()))
            .collect(),
        BatchKind::TooLong { length } => vec![Item::TooLong(length, batch.bytes.clone())],
    }
}

fn ledger(connection: &Record, past: &Past) -> Result<(), Violation> {
    let read = decode::records(&connection.read);
    if read.is_empty() {
        return Ok(());
    }
    // Two slots may be accepted in the same millisecond.
    let accepts = past.ledger.accepts();
    let mut accepted = accepts.iter().filter(|accept| accept.at == connection.accepted);
    let is_of = |accept: &Accept| {
        let written = past.ledger.records(accept.connection);
        let mut pairs = read.iter().zip(&written);
        read.len() <= written.len()
            && pairs.all(|(record, (entry, _))| fingerprint(decode::bare(record)) == entry.fingerprint)
    };
    if accepted.any(is_of) {
        return Ok(());
    }
    let what = format!(
        "what came on the connection of {:?} is not what was written",
        connection.accepted
    );
    broken(Rule::Ledger, what)
}
