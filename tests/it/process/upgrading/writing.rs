//! A small state directory with something of everything in it, written by the library as the daemon uses it. Clock, boot and times are made
//! up, so that it is the same bytes each time.
//!
//! ```text
//! lock
//! leases      slot 0: closed, with ten minutes to wait, after a reset on purpose; slot 1: streaming
//! journal     segment 1: a batch that is delivered, the cursor, a batch that is not; segment 2: two batches more
//! dedup       the ids of what is delivered, in both files
//! quarantine  a record
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use livestreamd::clock::{Clock, Sleep};
use livestreamd::dedup::{Entry, Limits, hash};
use livestreamd::id_store::IdStore;
use livestreamd::journal::{BatchKind, DEFAULT_CURSOR, Journals, JournalsSettings, NewBatch, Position};
use livestreamd::leases::{LeaseDir, LeaseKey};
use livestreamd::lifecycle::life::Stamp;
use livestreamd::lifecycle::{BootId, Lease, Moment, Phase, ResetDone, ResetTo};
use livestreamd::quarantine::Quarantine;
use livestreamd::settings::QuarantineSettings;
use livestreamd::state_dir::StateDir;
use livestreamd::telemetry::counters::DeadLetterReason;

use super::{STREAM, URL};

/// What the lease of slot 0 still has to wait.
pub const WAIT: Duration = Duration::from_mins(10);
/// How many lines of what is not delivered are no hits, and become dead letters.
pub const DEAD_LETTERS: usize = 2;

/// When the first batch was received, in milliseconds since the Unix epoch; the others a second later each.
const RECEIVED_MS: u64 = 1_795_000_000_000;
/// When the leases were written, since the boot.
const NOW: Moment = Moment::from_secs(1000);

/// A hit, by its number: the same each time.
fn hit(number: u64, page: &str) -> String {
    format!(
        r#"{{"hitIdHigh":{},"hitIdLow":{number},"visIdHigh":1,"visIdLow":2,"pageName":"{page}"}}"#,
        id(number).0
    )
}

const fn id(number: u64) -> (u64, u64) {
    (9_000_000_000_000_000_000 + number, number)
}

/// What is to arrive in Kafka of the journal, in order: nothing that was delivered, nor a repeat of that.
pub fn undelivered() -> Vec<String> {
    vec![hit(4, "four"), hit(5, "five"), hit(2, "another two")]
}

/// Writes the whole directory.
pub async fn write(dir: &Path) {
    let state_dir = StateDir::lock(dir).unwrap();
    write_leases(dir).await;
    let delivered = [hit(1, "one"), hit(2, "two"), hit(3, "three")];
    let positions = write_journal(dir, &delivered).await;
    let entries: Vec<Entry> = (1..)
        .zip(&delivered)
        .zip(positions)
        .map(|((number, record), position)| Entry {
            id: id(number),
            hash: hash(record.as_bytes()),
            position,
            received_ms: RECEIVED_MS,
        })
        .collect();
    // Room for two in a file, so that both are there.
    let limits = Limits {
        window_ms: 900_000,
        max_ids: 4,
    };
    let (mut ids, _) = IdStore::open(dir, STREAM, DEFAULT_CURSOR, limits, Position(0), |_| {}).unwrap();
    ids.append(&entries).unwrap();
    let limits = QuarantineSettings {
        max_bytes: 1_000_000,
        max_age: Duration::from_hours(1),
    };
    let quarantine = Quarantine::open(dir, limits).unwrap();
    let record = hit(6, "too large for its topic");
    quarantine
        .keep_record(
            STREAM,
            Position(0),
            record.as_bytes(),
            DeadLetterReason::TooLargeForKafka,
        )
        .unwrap();
    drop(state_dir);
}

async fn write_leases(dir: &Path) {
    let clock = Arc::new(Still(BootId::known("00000000-0000-4000-8000-000000000000")));
    let leases = LeaseDir::open(dir, clock.clone()).unwrap();
    let key = |slot| LeaseKey::new(&URL.parse().unwrap(), slot);
    leases.note_reset(
        &key(0),
        Some(ResetDone {
            to: ResetTo::Smallest,
            wall: "2026-11-18T20:00:00.000Z".to_owned(),
        }),
    );
    leases.last_alive(
        &key(0),
        Stamp {
            boot: clock.boot().clone(),
            at: NOW,
            wall: Duration::from_millis(RECEIVED_MS),
        },
    );
    let closed = Lease {
        phase: Phase::Closed,
        not_before: NOW + WAIT,
        failures: 3,
    };
    let streaming = Lease {
        phase: Phase::Streaming,
        not_before: NOW,
        failures: 0,
    };
    leases.store(&key(0), closed).await.unwrap();
    leases.store(&key(1), streaming).await.unwrap();
}

/// Returns where the records of the first batch begin.
async fn write_journal(dir: &Path, delivered: &[String]) -> Vec<u64> {
    let batch = |nth: u64, kind, lines: &[String]| NewBatch {
        kind,
        received_ms: RECEIVED_MS + nth * 1000,
        slot: (nth % 2) as u8,
        bytes: lines
            .iter()
            .flat_map(|line| [line.as_str(), "\r\n"])
            .collect::<String>()
            .into(),
    };
    // What opens a journal begins a segment.
    let journals = journals(dir);
    let journal = journals.open(STREAM, &[]).unwrap();
    let first = journal.append(batch(0, BatchKind::Records, delivered)).await.unwrap();
    journal.advance(DEFAULT_CURSOR, journal.end());
    let repeats_one = [hit(4, "four"), hit(1, "one")];
    journal
        .append(batch(1, BatchKind::Records, &repeats_one))
        .await
        .unwrap();
    assert!(journals.stop());

    let journals = self::journals(dir);
    let journal = journals.open(STREAM, &[]).unwrap();
    let with_a_twin = [
        "this is no hit".to_owned(),
        hit(5, "five"),
        hit(3, "three"),
        hit(2, "another two"),
    ];
    journal
        .append(batch(2, BatchKind::Records, &with_a_twin))
        .await
        .unwrap();
    let too_long = BatchKind::TooLong { length: 9_000_000 };
    let beginning = [r#"{"hitIdHigh":7,"hitIdLow":7,"pageName":"and so on"#.to_owned()];
    journal.append(batch(3, too_long, &beginning)).await.unwrap();
    assert!(journals.stop());

    let mut at = first.0 + livestreamd::journal::batch::HEADER_BYTES;
    let positions = delivered.iter().map(|record| {
        let position = at;
        at += record.len() as u64 + 2;
        position
    });
    positions.collect()
}

fn journals(dir: &Path) -> Journals {
    let settings = JournalsSettings {
        state_dir: dir.to_owned(),
        sync_interval: Duration::from_millis(5),
        max_bytes: 1 << 30,
        max_bytes_in_all: 1 << 30,
        streams: 1,
    };
    Journals::start(settings).unwrap()
}

/// A clock that stands still, in a boot of its own.
struct Still(BootId);

impl Clock for Still {
    fn now(&self) -> Moment {
        NOW
    }

    fn boot(&self) -> &BootId {
        &self.0
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(RECEIVED_MS)
    }

    fn sleep_until(&self, _: Moment) -> Sleep<'_> {
        Box::pin(std::future::ready(()))
    }
}
