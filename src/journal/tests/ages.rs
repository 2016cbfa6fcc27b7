//! What a journal on disk tells of its age and its syncs.

use std::time::Duration;

use super::super::{DEFAULT_CURSOR, Journals};
use super::shell::{batch, settings};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn the_oldest_batch_is_known_however_far_the_cursor_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 64 * MIB)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    assert_eq!(journal.status().oldest_ms, None);
    // More than stays in memory, and all of it read before any is passed.
    let (mut at, mut ends) = (journal.cursor(DEFAULT_CURSOR).unwrap(), Vec::new());
    for nth in 1..=24 {
        journal.append(batch(nth * 10_000, 512 * 1024)).await.unwrap();
        let read = journal.next(at).await.unwrap();
        at = read.end();
        ends.push((nth * 10_000, at));
    }
    assert!(journal.status().shared_bytes < 12 * MIB);
    for (received_ms, end) in &ends {
        assert_eq!(journal.status().oldest_ms, Some(*received_ms));
        journal.advance(DEFAULT_CURSOR, *end);
        // A rewind.
        if *end < at {
            journal.next(*end).await.unwrap();
        }
    }
    assert_eq!(journal.status().oldest_ms, None);
    drop(journal);
    assert!(journals.stop());
}

#[tokio::test]
async fn after_a_restart_the_oldest_batch_is_known_as_soon_as_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..2 {
        let journals = Journals::start(settings(dir.path(), 64 * MIB)).unwrap();
        let journal = journals.open("web", &[]).unwrap();
        if run == 0 {
            for received_ms in [7_000, 90_000] {
                journal.append(batch(received_ms, 10)).await.unwrap();
            }
        } else {
            let cursor = journal.cursor(DEFAULT_CURSOR).unwrap();
            journal.next(cursor).await.unwrap();
        }
        assert_eq!(journal.status().oldest_ms, Some(7_000), "{run}");
        drop(journal);
        assert!(journals.stop());
    }
}

#[tokio::test]
async fn rounds_are_measured_in_which_something_was_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
    let (journal, rounds) = (journals.open("web", &[]).unwrap(), journals.sync_rounds());
    journal.append(batch(1, 10)).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while journal.status().sync_lag > Duration::ZERO || rounds.snapshot().count == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(journal);
    assert!(journals.stop());
    let synced = rounds.snapshot();
    // The file, its name and its cursor: a few rounds, and not one in each interval of 5 ms.
    assert!(synced.count <= 4 && synced.sum > 0.0, "{synced:?}");
}
