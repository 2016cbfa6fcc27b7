//! What becomes of a journal whose cursor cannot be read: nothing is skipped, nothing is thrown away, and no position is used twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::faults::Fault;
use super::super::files::SystemFiles;
use super::super::inspect::{Place, discard, hold};
use super::super::recovery::{OpenError, beyond_all};
use super::super::segment::LAST_POSITION;
use super::super::store::{Store, StoreSettings};
use super::super::{DEFAULT_CURSOR, Journal, Journals, Position};
use super::shell::{batch, settings};

const GARBAGE: &[u8] = b"\xFFLSC\x01 this was a cursor, and its position is not to be known any more";

fn open(state_dir: &Path) -> (Journals, Journal) {
    let journals = Journals::start(settings(state_dir, 1024 * 1024)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    (journals, journal)
}

fn cursor_file(state_dir: &Path) -> PathBuf {
    state_dir.join("journal/web/cursor.default")
}

/// A journal that had three batches, all delivered. With `segments` they are still there, as before a trim.
async fn delivered(state_dir: &Path, segments: bool) -> Position {
    let (journals, journal) = open(state_dir);
    for number in 0..3 {
        journal.append(batch(number, 100)).await.unwrap();
    }
    let end = journal.end();
    journal.advance(DEFAULT_CURSOR, end);
    journals.stop();
    if !segments {
        for entry in std::fs::read_dir(state_dir.join("journal/web")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "seg") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    std::fs::write(cursor_file(state_dir), GARBAGE).unwrap();
    end
}

/// The copies of cursors in quarantine.
fn kept(state_dir: &Path) -> Vec<Vec<u8>> {
    let quarantine = std::fs::read_dir(state_dir.join("quarantine")).unwrap();
    let paths = quarantine.map(|entry| entry.unwrap().path());
    let copies = paths.filter(|path| path.to_string_lossy().contains("web.cursor.default."));
    copies.map(|path| std::fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn positions_go_on_beyond_where_a_lost_cursor_can_have_been() {
    let dir = tempfile::tempdir().unwrap();
    let mut used_to = delivered(dir.path(), false).await;
    for round in 0..3 {
        let (journals, journal) = open(dir.path());
        // So that whoever keeps ids by position believes none of them.
        assert_eq!(journal.cursor(DEFAULT_CURSOR).unwrap(), Position(0));
        assert_eq!(journal.status().faults.cursors_unreadable, 1);
        let position = journal.append(batch(round, 10)).await.unwrap();
        assert!(position >= used_to, "{position} was used: all before {used_to} is");
        used_to = journal.end();
        journals.stop();
        assert_eq!(kept(dir.path()), [GARBAGE], "one copy, however often it is met");
    }
    let (journals, journal) = open(dir.path());
    for round in 0..3 {
        let found = journal.next(journal.cursor(DEFAULT_CURSOR).unwrap()).await.unwrap();
        assert_eq!(found.received_ms, round);
        journal.advance(DEFAULT_CURSOR, found.end());
    }
    journals.stop();
    let (_journals, journal) = open(dir.path());
    assert_eq!(journal.status().faults.cursors_unreadable, 0);
    assert_eq!(journal.cursor(DEFAULT_CURSOR).unwrap(), used_to);
}

#[tokio::test]
async fn what_is_still_there_is_forwarded_again_before_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    delivered(dir.path(), true).await;
    let (_journals, journal) = open(dir.path());
    let position = journal.append(batch(3, 10)).await.unwrap();
    assert!(position > Position(1 << 40));
    let mut at = journal.cursor(DEFAULT_CURSOR).unwrap();
    for number in 0..=3 {
        let found = journal.next(at).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
    }
}

#[tokio::test]
async fn a_discard_goes_on_beyond_a_lost_cursor_too() {
    let dir = tempfile::tempdir().unwrap();
    let end = delivered(dir.path(), true).await;
    discard(&hold(&Place::new(dir.path().join("journal/web"))).unwrap()).unwrap();
    assert_eq!(kept(dir.path()), [GARBAGE]);
    let (_journals, journal) = open(dir.path());
    let cursor = journal.cursor(DEFAULT_CURSOR).unwrap();
    assert!(cursor > end.plus(1 << 40) && journal.end() == cursor);
    assert_eq!(journal.append(batch(0, 1)).await.unwrap(), cursor);
}

fn store_settings(state_dir: &Path, if_unknown: Position) -> StoreSettings {
    StoreSettings {
        dir: state_dir.join("journal/web"),
        quarantine: state_dir.join("quarantine"),
        segment_bytes: 10_000,
        if_unknown,
    }
}

#[tokio::test]
async fn what_was_set_aside_counts_as_used_even_if_the_clock_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    delivered(dir.path(), false).await;
    let quarantine = dir.path().join("quarantine");
    for (name, bytes) in [
        ("web.00000000000000600000.cut", 7),
        (
            "web.00000000000000700000.too_large_for_kafka.0123456789abcdef.record",
            7,
        ),
        ("web.00000000000000500000.damaged.seg", 5),
        ("app.00000000000000900000.cut", 9),
        // Nobody was there.
        ("web.04611686018427387904.seg", 9),
        ("web.letters", 9),
    ] {
        std::fs::write(quarantine.join(name), vec![0; bytes]).unwrap();
    }
    let mut store = Store::open(Arc::new(SystemFiles), store_settings(dir.path(), Position(0))).unwrap();
    assert_eq!(store.end(), Position(700_007));
    assert!(matches!(
        store.take_faults().as_slice(),
        [Fault::CursorUnreadable { .. }]
    ));
}

#[tokio::test]
async fn a_lost_cursor_that_cannot_be_kept_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    delivered(dir.path(), true).await;
    let quarantine = dir.path().join("quarantine");
    std::fs::remove_dir_all(&quarantine).unwrap();
    std::fs::write(&quarantine, "in the way").unwrap();
    let opened = Store::open(Arc::new(SystemFiles), store_settings(dir.path(), Position(0)));
    assert!(matches!(opened, Err(OpenError::Disk { .. })));
    assert_eq!(std::fs::read(cursor_file(dir.path())).unwrap(), GARBAGE);
}

#[test]
fn the_position_of_a_moment_grows_and_leaves_room_after_it() {
    let at = |seconds| beyond_all(UNIX_EPOCH + Duration::from_secs(seconds));
    // 2026 and 2100. A journal that grows by 100 MB a second meanwhile is passed again.
    let (early, late) = (at(1_767_225_600), at(4_102_444_800));
    assert!(late.since(early) > 100_000_000 * (4_102_444_800 - 1_767_225_600));
    assert!(late < LAST_POSITION && at(u64::MAX / 4) < LAST_POSITION);
    assert_eq!(beyond_all(UNIX_EPOCH - Duration::from_secs(5)), Position(0));
}
