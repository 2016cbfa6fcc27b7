//! The ledger as NDJSON: the lines, and the file that they are appended to.
//!
//! A line is in the file before the bytes that it speaks of leave for a client, so that a simulator that is killed has forgotten
//! nothing. Each line has a `type`:
//!
//! | type | says |
//! | --- | --- |
//! | `accept` | an attempt arrived: stream, times, parameters, whether it was early |
//! | `early` | that attempt turned out to have been early after all |
//! | `status` | what it is answered |
//! | `record` | a record is about to be written: kind, hit id, fingerprint, length |
//! | `whole` | so many records of the connection, from its first on, were handed to the kernel whole |
//! | `end` | the connection ended, by whom, and whether in good order |
//! | `taken` | whether the client read everything up to an end that the service made |
//! | `token` | a token was asked for |

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::ledger_entries::{Accept, End, RecordEntry, RecordKind, TokenFetch};

/// The file. After a failed write it takes no more, and that was logged.
#[derive(Debug)]
pub(super) struct LedgerFile(Mutex<Option<File>>);

impl LedgerFile {
    /// Makes the file anew.
    pub(super) async fn create(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("ledger file {}: {error}", path.display()));
        Ok(Self(Mutex::new(Some(File::create(path).await.map_err(named)?))))
    }

    /// Appends whole lines; they have been handed to the kernel when this returns.
    pub(super) async fn append(&self, lines: String) {
        let mut place = self.0.lock().await;
        let Some(file) = place.as_mut() else { return };
        let written = match file.write_all(lines.as_bytes()).await {
            Ok(()) => file.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(%error, "the ledger file cannot be written any more: it is not complete");
            *place = None;
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
    #[serde(flatten)]
    rest: &'a T,
}

pub(super) fn accept(accept: &Accept) -> String {
    line("accept", None, accept)
}

pub(super) fn early(connection: u64) -> String {
    format!("{{\"type\":\"early\",\"connection\":{connection}}}\n")
}

pub(super) fn status(connection: u64, status: u16) -> String {
    format!("{{\"type\":\"status\",\"connection\":{connection},\"status\":{status}}}\n")
}

pub(super) fn records(connection: u64, first: u64, records: &[RecordEntry]) -> String {
    let mut lines = String::with_capacity(records.len() * 160);
    for (number, record) in (first..).zip(records) {
        let _ = write!(
            lines,
            "{{\"type\":\"record\",\"connection\":{connection},\"number\":{number},"
        );
        record_fields(record, &mut lines);
        lines.push_str("}\n");
    }
    lines
}

pub(super) fn whole(connection: u64, records: u64) -> String {
    format!("{{\"type\":\"whole\",\"connection\":{connection},\"records\":{records}}}\n")
}

pub(super) fn end(connection: u64, end: &End) -> String {
    line("end", Some(connection), end)
}

pub(super) fn taken(connection: u64, taken: bool) -> String {
    format!("{{\"type\":\"taken\",\"connection\":{connection},\"taken\":{taken}}}\n")
}

pub(super) fn token(fetch: &TokenFetch) -> String {
    line("token", None, fetch)
}

/// A record as it stands at the end of a run: what `/_sim/ledger/records` serves.
pub(super) fn judged_record(accept: &Accept, number: u64, record: &RecordEntry, lines: &mut String) {
    let (connection, whole, clean) = (accept.connection, number < accept.whole, accept.ended_cleanly());
    let stream = serde_json::to_string(&accept.stream).unwrap_or_default();
    let _ = write!(
        lines,
        "{{\"stream\":{stream},\"connection\":{connection},\"number\":{number},"
    );
    record_fields(record, lines);
    let _ = writeln!(lines, ",\"whole\":{whole},\"clean\":{clean}}}");
}

fn record_fields(record: &RecordEntry, out: &mut String) {
    let kind = match record.kind {
        RecordKind::Hit => "hit",
        RecordKind::Repeat => "repeat",
        RecordKind::OddId => "odd_id",
        RecordKind::Twin => "twin",
        RecordKind::Oversized => "oversized",
        RecordKind::Garbage => "garbage",
        RecordKind::Empty => "empty",
    };
    let (high, low) = (record.id.high, record.id.low);
    // Ids as text: many readers of JSON make doubles of numbers.
    let _ = write!(
        out,
        "\"kind\":\"{kind}\",\"hit_id\":\"{high}_{low}\",\"bytes\":{},",
        record.bytes()
    );
    let _ = write!(out, "\"fingerprint\":\"{:016x}\"", record.fingerprint);
}

fn line<T: Serialize>(kind: &'static str, connection: Option<u64>, rest: &T) -> String {
    // Nothing that is written here can fail to be JSON; if it did, the line would be left out.
    serde_json::to_string(&Line {
        r#type: kind,
        connection,
        rest,
    })
    .map(|line| line + "\n")
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::hits::HitId;
    use super::super::ledger_entries::EndedBy;
    use super::*;

    #[tokio::test]
    async fn lines_are_json_and_in_the_file_when_append_returns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.ndjson");
        let file = LedgerFile::create(&path).await.unwrap();
        let record = RecordEntry {
            id: HitId { high: u64::MAX, low: 2 },
            fingerprint: 3 << 32 | 4,
            kind: RecordKind::Hit,
        };
        file.append(records(7, 10, &[record, record])).await;
        let closed = End {
            at: std::time::Duration::from_secs(2),
            by: EndedBy::Fault("cut"),
            orderly: false,
            taken: None,
        };
        file.append(end(7, &closed)).await;
        let lines: Vec<serde_json::Value> = std::fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1]["number"], 11);
        assert_eq!(lines[1]["hit_id"], "18446744073709551615_2");
        assert_eq!(lines[1]["bytes"], 3);
        assert_eq!(lines[2]["connection"], 7);
        assert_eq!(lines[2]["at_ms"], 2_000);
        assert_eq!(lines[2]["by"]["fault"], "cut");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_made_is_named() {
        let error = LedgerFile::create(Path::new("/no/such/place")).await.unwrap_err();
        assert!(error.to_string().starts_with("ledger file /no/such/place: "), "{error}");
    }
}
