//! What the simulator did: every accept, every record, every end. A run is judged by it.
//!
//! # Promise
//! An entry is made *before* its bytes can leave, so that whatever a client holds is in the ledger; a record is called *whole* only
//! *after* all its compressed bytes were handed to the kernel. The end of a connection that the service ends carries a time from
//! before the client could know of it. The ledger never holds a token or a secret.
//!
//! # What may be asked of a client
//! - [`Ledger::owed`]: whole records on connections that the service ended in good order and whose client took everything up to the
//!   end. A client that loses one of these (and was not killed) has a fault.
//! - [`Ledger::written`]: all there is. A client that forwards anything else has a fault too.
//! - [`Ledger::early_accepts`]: reconnects that came too soon; there should be none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

use super::ledger_entries::{Accept, End, LedgerSummary, RecordEntry, RecordKind, TokenFetch};
use super::ledger_file::{self, LedgerFile};
use super::slots::{Arrival, Follows};

/// The most accepts and token fetches that are kept; later ones are only counted.
const MOST_ACCEPTS: usize = 200_000;

/// The ledger of a running or stopped simulator. Clones are the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    epoch: SystemTime,
    limit: usize,
    book: Mutex<Book>,
    changes: watch::Sender<u64>,
    file: Option<LedgerFile>,
}

#[derive(Debug, Default)]
struct Book {
    accepts: Vec<Accept>,
    // For each accept, its records.
    records: Vec<Vec<RecordEntry>>,
    tokens: Vec<TokenFetch>,
    totals: LedgerSummary,
    kept: usize,
}

impl Ledger {
    pub(super) fn new(limit: usize, file: Option<LedgerFile>) -> Self {
        Self::since(SystemTime::now(), limit, file)
    }

    /// One that begins at this wall time.
    pub(super) fn since(epoch: SystemTime, limit: usize, file: Option<LedgerFile>) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            epoch,
            limit,
            book: Mutex::default(),
            changes: watch::channel(0).0,
            file,
        }))
    }

    /// The simulator's own clock: time since its start.
    pub fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// The wall time of the start, in Unix seconds.
    pub(super) fn epoch_secs(&self) -> u64 {
        self.0.epoch.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// A reading of the simulator's clock as an instant of the runtime's.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.0.started + at
    }

    /// Waits until `seen` finds what it looks for; it is asked again after every change. Never polls.
    pub async fn wait_until<T>(&self, mut seen: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.0.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = seen(self) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`: this cannot end.
                std::future::pending::<()>().await;
            }
        }
    }

    /// All attempts, in the order of their arrival.
    pub fn accepts(&self) -> Vec<Accept> {
        self.book().accepts.clone()
    }

    /// The attempts on one stream.
    pub fn accepts_of(&self, stream: &str) -> Vec<Accept> {
        self.book()
            .accepts
            .iter()
            .filter(|accept| accept.stream == stream)
            .cloned()
            .collect()
    }

    /// The last attempt on a stream.
    pub fn last_of(&self, stream: &str) -> Option<Accept> {
        let book = self.book();
        let of_stream = |accept: &&Accept| accept.stream == stream;
        book.accepts.iter().rfind(of_stream).cloned()
    }

    /// The attempt with this connection number.
    pub fn accept(&self, connection: u64) -> Option<Accept> {
        self.book().accepts.get(place(connection)).cloned()
    }

    /// Attempts that came early; see the module `slots` for what exactly that means.
    pub fn early_accepts(&self) -> Vec<Accept> {
        self.book()
            .accepts
            .iter()
            .filter(|accept| accept.early)
            .cloned()
            .collect()
    }

    /// Whole records of a stream on connections that ended cleanly ([`Accept::ended_cleanly`]), empty ones left out.
    pub fn owed(&self, stream: &str) -> Vec<RecordEntry> {
        self.select(stream, |accept, whole| accept.ended_cleanly() && whole)
    }

    /// Whole records of a stream on all connections, empty ones left out.
    pub fn whole(&self, stream: &str) -> Vec<RecordEntry> {
        self.select(stream, |_, whole| whole)
    }

    /// Every record of a stream that was begun, empty ones left out.
    pub fn written(&self, stream: &str) -> Vec<RecordEntry> {
        self.select(stream, |_, _| true)
    }

    /// Every record of one connection, in order, each with whether it is whole.
    pub fn records(&self, connection: u64) -> Vec<(RecordEntry, bool)> {
        let book = self.book();
        let whole = book.accepts.get(place(connection)).map_or(0, |accept| accept.whole);
        let records = book.records.get(place(connection)).map_or(&[][..], Vec::as_slice);
        (0..)
            .zip(records)
            .map(|(number, record)| (*record, number < whole))
            .collect()
    }

    /// Some records of a connection, from the one with this number on.
    pub(super) fn page(&self, connection: u64, from: usize, most: usize) -> Vec<RecordEntry> {
        let book = self.book();
        let records = book.records.get(place(connection)).map_or(&[][..], Vec::as_slice);
        records.iter().skip(from).take(most).copied().collect()
    }

    /// The requests for tokens.
    pub fn token_fetches(&self) -> Vec<TokenFetch> {
        self.book().tokens.clone()
    }

    /// What it all comes to.
    pub fn summary(&self) -> LedgerSummary {
        let book = self.book();
        let mut summary = book.totals.clone();
        summary.streaming = book.accepts.iter().filter(|accept| accept.is_streaming()).count() as u64;
        summary.clean_ends = book.accepts.iter().filter(|accept| accept.ended_cleanly()).count() as u64;
        summary
    }

    /// The same for one stream; what is not kept, and tokens, are not told apart by stream.
    pub fn summary_of(&self, stream: &str) -> LedgerSummary {
        let book = self.book();
        let mut summary = LedgerSummary::default();
        for (accept, records) in book
            .accepts
            .iter()
            .zip(&book.records)
            .filter(|(accept, _)| accept.stream == stream)
        {
            summary.accepts += 1;
            summary.early += u64::from(accept.early);
            summary.streaming += u64::from(accept.is_streaming());
            summary.clean_ends += u64::from(accept.ended_cleanly());
            summary.whole += accept.whole;
            if let Some(status) = accept.status {
                *summary.statuses.entry(status).or_default() += 1;
            }
            for record in records {
                summary.count(record.kind);
            }
        }
        summary
    }

    /// The next connection number; the attempt itself is noted by [`Self::accepted`].
    pub(super) async fn accepted(&self, mut accept: Accept, arrival: impl FnOnce(u64) -> Arrival) -> u64 {
        let (accept, kept) = {
            let mut book = self.book();
            accept.connection = book.totals.accepts + 1;
            let arrival = arrival(accept.connection);
            (accept.follows, accept.waited, accept.early) = (arrival.follows, arrival.waited, arrival.early);
            book.totals.accepts += 1;
            book.totals.early += u64::from(accept.early);
            let kept = book.accepts.len() < MOST_ACCEPTS;
            if kept {
                book.accepts.push(accept.clone());
                book.records.push(Vec::new());
            } else {
                book.totals.accepts_not_kept += 1;
            }
            (accept, kept)
        };
        if kept {
            self.write(|| ledger_file::accept(&accept)).await;
        }
        self.changed();
        accept.connection
    }

    /// The wall time of a reading of the clock, in Unix milliseconds.
    pub(super) fn wall_ms(&self, at: Duration) -> u64 {
        (self.0.epoch.duration_since(UNIX_EPOCH).unwrap_or_default() + at).as_millis() as u64
    }

    /// The attempt turned out to have been early after all.
    pub(super) async fn was_early(&self, connection: u64) {
        self.edit(connection, |accept, totals| {
            accept.early = true;
            accept.follows = Follows::End;
            accept.waited = Some(Duration::ZERO);
            totals.early += 1;
        });
        self.write(|| ledger_file::early(connection)).await;
        self.changed();
    }

    /// This status is about to be answered.
    pub(super) async fn answers(&self, connection: u64, status: u16) {
        *self.book().totals.statuses.entry(status).or_default() += 1;
        self.edit(connection, |accept, _| accept.status = Some(status));
        self.write(|| ledger_file::status(connection, status)).await;
        self.changed();
    }

    /// These records are about to be written.
    pub(super) async fn begins(&self, connection: u64, records: &[RecordEntry]) {
        let first = {
            let mut book = self.book();
            let room = self.0.limit.saturating_sub(book.kept).min(records.len());
            for record in records {
                book.totals.count(record.kind);
            }
            let kept = match book.records.get_mut(place(connection)) {
                Some(list) => {
                    list.extend_from_slice(&records[..room]);
                    room
                }
                None => 0,
            };
            book.kept += kept;
            book.totals.records_not_kept += (records.len() - kept) as u64;
            book.accepts.get_mut(place(connection)).map_or(0, |accept| {
                let first = accept.records;
                accept.records += records.len() as u64;
                first
            })
        };
        self.write(|| ledger_file::records(connection, first, records)).await;
    }

    /// So many more records are whole.
    pub(super) async fn wrote(&self, connection: u64, records: u64) {
        if records == 0 {
            return;
        }
        self.book().totals.whole += records;
        let mut whole = 0;
        self.edit(connection, |accept, _| {
            accept.whole += records;
            whole = accept.whole;
        });
        self.write(|| ledger_file::whole(connection, whole)).await;
        self.changed();
    }

    /// The attempt ended.
    pub(super) async fn ended(&self, connection: u64, end: End) {
        self.edit(connection, |accept, _| accept.end = Some(end.clone()));
        self.write(|| ledger_file::end(connection, &end)).await;
        self.changed();
    }

    /// What became of the end of an attempt that the service ended.
    pub(super) async fn taken(&self, connection: u64, taken: bool) {
        self.edit(connection, |accept, _| {
            if let Some(end) = &mut accept.end {
                end.taken = Some(taken);
            }
        });
        self.write(|| ledger_file::taken(connection, taken)).await;
        self.changed();
    }

    /// A token was asked for.
    pub(super) async fn token_asked(&self, fetch: TokenFetch) {
        {
            let mut book = self.book();
            book.totals.token_fetches += 1;
            if book.tokens.len() < MOST_ACCEPTS {
                book.tokens.push(fetch.clone());
            }
        }
        self.write(|| ledger_file::token(&fetch)).await;
        self.changed();
    }

    fn select(&self, stream: &str, wanted: impl Fn(&Accept, bool) -> bool) -> Vec<RecordEntry> {
        let book = self.book();
        let mut selected = Vec::new();
        for (accept, records) in book
            .accepts
            .iter()
            .zip(&book.records)
            .filter(|(accept, _)| accept.stream == stream)
        {
            let (whole, begun) = records.split_at(records.len().min(accept.whole as usize));
            for (part, is_whole) in [(whole, true), (begun, false)] {
                if wanted(accept, is_whole) {
                    selected.extend(part.iter().filter(|record| record.kind != RecordKind::Empty));
                }
            }
        }
        selected
    }

    fn edit(&self, connection: u64, change: impl FnOnce(&mut Accept, &mut LedgerSummary)) {
        let mut book = self.book();
        let Book { accepts, totals, .. } = &mut *book;
        if let Some(accept) = accepts.get_mut(place(connection)) {
            change(accept, totals);
        }
    }

    async fn write(&self, lines: impl FnOnce() -> String) {
        if let Some(file) = &self.0.file {
            file.append(lines()).await;
        }
    }

    fn changed(&self) {
        self.0.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change of the book is complete in itself, so a panic elsewhere leaves it sound.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(connection: u64) -> usize {
    // Connections are numbered from 1; 0 is none of them.
    connection.checked_sub(1).map_or(usize::MAX, |place| place as usize)
}

#[cfg(test)]
mod tests {
    use super::super::hits::HitId;
    use super::super::ledger_entries::{EndedBy, TokenSeen, fingerprint};
    use super::*;

    pub(super) fn accept() -> Accept {
        Accept {
            connection: 0,
            stream: "s".to_owned(),
            at: Duration::from_millis(1_500),
            wall_ms: 0,
            follows: Follows::Nothing,
            waited: None,
            early: false,
            status: None,
            request: "GET /api/1/stream/s".to_owned(),
            query: "maxConnections=2".to_owned(),
            token: TokenSeen::Valid,
            headers: Vec::new(),
            headers_lost: Vec::new(),
            tls: false,
            records: 0,
            whole: 0,
            end: None,
        }
    }

    fn hit(number: u64) -> RecordEntry {
        RecordEntry {
            id: HitId { high: 1, low: number },
            fingerprint: fingerprint(b"{}"),
            kind: RecordKind::Hit,
        }
    }

    const FIRST: Arrival = Arrival {
        follows: Follows::Nothing,
        waited: None,
        early: false,
    };

    #[tokio::test]
    async fn only_whole_records_of_clean_ends_are_owed() {
        let ledger = Ledger::new(100, None);
        for (number, orderly, taken) in [(1, true, true), (2, true, false), (3, false, true)] {
            assert_eq!(ledger.accepted(accept(), |_| FIRST).await, number);
            ledger.answers(number, 200).await;
            ledger.begins(number, &[hit(number * 10), hit(number * 10 + 1)]).await;
            ledger.wrote(number, 2).await;
            assert!(
                ledger.owed("s").iter().all(|record| record.id.low < number * 10),
                "not while it streams"
            );
            ledger
                .ended(
                    number,
                    End {
                        at: ledger.now(),
                        by: EndedBy::Stop,
                        orderly,
                        taken: None,
                    },
                )
                .await;
            ledger.taken(number, taken).await;
        }
        let owed: Vec<u64> = ledger.owed("s").iter().map(|record| record.id.low).collect();
        assert_eq!(owed, [10, 11]);
        ledger.begins(3, &[hit(32)]).await;
        assert_eq!((ledger.whole("s").len(), ledger.written("s").len()), (6, 7));
        assert_eq!(ledger.written("other"), []);
        assert_eq!(ledger.summary().clean_ends, 1);
    }

    #[tokio::test]
    async fn beyond_its_limit_the_ledger_counts_and_says_so() {
        let ledger = Ledger::new(3, None);
        let number = ledger.accepted(accept(), |_| FIRST).await;
        ledger.begins(number, &[hit(1), hit(2), hit(3), hit(4)]).await;
        assert_eq!(ledger.written("s").len(), 3);
        assert_eq!((ledger.summary().records, ledger.summary().records_not_kept), (4, 1));
    }

    #[test]
    fn a_fingerprint_is_length_and_crc() {
        // The check value of CRC-32 in its catalogue.
        assert_eq!(fingerprint(b"123456789"), 9 << 32 | 0xCBF4_3926);
        assert_eq!(size_of::<RecordEntry>(), 32);
    }

    #[test]
    fn an_accept_knows_its_parameters() {
        assert_eq!(accept().parameter("maxConnections").as_deref(), Some("2"));
        assert_eq!(accept().parameter("reset"), None);
    }
}
