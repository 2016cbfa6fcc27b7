//! What the ledger is made of: attempts and their ends, records, requests for tokens, and sums.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::hits::HitId;
use super::slots::Follows;

/// The same for equal bytes, and hardly for others: the length in the upper half, the CRC-32 (as of gzip) in the lower one, so that a
/// judge in any language can compute it.
pub fn fingerprint(record: &[u8]) -> u64 {
    let mut crc = flate2::Crc::new();
    crc.update(record);
    (record.len() as u64) << 32 | u64::from(crc.sum())
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A hit that was not sent before.
    Hit,
    /// A hit that was sent before, wholly or in part.
    Repeat,
    /// A hit whose ids cannot be used; its entry's id is zero.
    OddId,
    /// A hit with the id of another and other bytes.
    Twin,
    /// A hit that was made long on purpose.
    Oversized,
    /// No hit; its entry's id is zero.
    Garbage,
    /// Nothing but a line end.
    Empty,
}

/// A record that was written, or begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordEntry {
    /// The hit's id, or zero where there is none.
    pub id: HitId,
    /// [`fingerprint`] of the record without its line end.
    pub fingerprint: u64,
    /// What it is.
    pub kind: RecordKind,
}

impl RecordEntry {
    /// The record's length in bytes, without its line end.
    pub const fn bytes(&self) -> u64 {
        self.fingerprint >> 32
    }
}

/// Whether an attempt came with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSeen {
    /// It came without.
    Absent,
    /// With one that is not valid, or no longer.
    Invalid,
    /// With a valid one.
    Valid,
}

/// A request for a stream: one attempt.
#[derive(Clone, Debug, Serialize)]
pub struct Accept {
    /// Numbers all accepts of the simulator, from 1; also the connection's number.
    pub connection: u64,
    /// The stream's name, or the one that was asked for, if there is no such stream.
    pub stream: String,
    /// When its TCP connection was accepted, since the simulator's start.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// The same in wall time, for people; in Unix milliseconds.
    pub wall_ms: u64,
    /// How it relates to the attempts before it.
    pub follows: Follows,
    /// The time since the end that it follows.
    #[serde(rename = "waited_ms", serialize_with = "maybe_millis")]
    pub waited: Option<Duration>,
    /// Whether that was less than the cooldown, without an excuse.
    pub early: bool,
    /// What was answered; nothing if it was left without an answer.
    pub status: Option<u16>,
    /// The method and path, without the query.
    pub request: String,
    /// The query as it came.
    pub query: String,
    /// Whether there was a token.
    pub token: TokenSeen,
    /// The names of the headers that came, in lower case, sorted.
    pub headers: Vec<String>,
    /// On a redirect hop: headers that the request before it had, and this one has not, or with another value.
    pub headers_lost: Vec<String>,
    /// Whether it came by TLS.
    pub tls: bool,
    /// How many records were begun.
    pub records: u64,
    /// How many of them, from the first on, are whole.
    pub whole: u64,
    /// How it ended, if it did.
    pub end: Option<End>,
}

impl Accept {
    /// Whether the service ended the answer in good order and the client took everything up to the end.
    pub fn ended_cleanly(&self) -> bool {
        self.status == Some(200)
            && self.whole == self.records
            && self
                .end
                .as_ref()
                .is_some_and(|end| end.orderly && end.taken == Some(true))
    }

    /// Whether it is streaming.
    pub fn is_streaming(&self) -> bool {
        self.status == Some(200) && self.end.is_none()
    }

    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// How an attempt or its connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// When, since the simulator's start.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// Who ended it, and why.
    pub by: EndedBy,
    /// Whether the answer came to its last chunk (or to its gzip trailer, if it is not chunked) and no byte of it was wrong.
    pub orderly: bool,
    /// Whether the client then closed having read everything; nothing while that is not known yet.
    pub taken: Option<bool>,
}

/// Who ended an attempt, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// It was not granted: another status than 200 or a redirect.
    Refusal,
    /// It was sent elsewhere.
    Redirect,
    /// The client went.
    Client,
    /// A fault, by its name.
    Fault(&'static str),
    /// All hits were sent, and that was to be the end.
    Total,
    /// Its token expired.
    Token,
    /// The simulator was stopped.
    Stop,
}

/// A request for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenFetch {
    /// When, since the simulator's start.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// What was answered, if anything was.
    pub status: Option<u16>,
}

/// What a ledger comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerSummary {
    /// How many attempts there were.
    pub accepts: u64,
    /// How many of them were early.
    pub early: u64,
    /// How many were answered with each status.
    pub statuses: std::collections::BTreeMap<u16, u64>,
    /// How many are streaming now.
    pub streaming: u64,
    /// How many ended cleanly.
    pub clean_ends: u64,
    /// Records begun, of every kind.
    pub records: u64,
    /// Records that are whole.
    pub whole: u64,
    /// Different hits among the records: of the kinds hit, odd id, twin and oversized.
    pub hits: u64,
    /// Hits sent again.
    pub repeats: u64,
    /// Records that are no hit, and not empty.
    pub garbage: u64,
    /// Empty records.
    pub empty: u64,
    /// Records that the ledger could not keep, because of its limit: what [`Ledger::owed`] says is then not complete.
    pub records_not_kept: u64,
    /// Accepts that the ledger could not keep.
    pub accepts_not_kept: u64,
    /// Tokens asked for.
    pub token_fetches: u64,
}

impl LedgerSummary {
    /// Counts a record.
    pub(super) fn count(&mut self, kind: RecordKind) {
        self.records += 1;
        match kind {
            RecordKind::Hit | RecordKind::OddId | RecordKind::Twin | RecordKind::Oversized => self.hits += 1,
            RecordKind::Repeat => self.repeats += 1,
            RecordKind::Garbage => self.garbage += 1,
            RecordKind::Empty => self.empty += 1,
        }
    }
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn maybe_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_millis() as u64)
        .serialize(serializer)
}
