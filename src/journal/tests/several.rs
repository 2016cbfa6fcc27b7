//! Several cursors on a real disk: they come, go and lag, and none costs another a batch.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::inspect::{CursorInfo, inspect};
use super::super::{CursorError, CursorGuard, DEFAULT_CURSOR, Journal, Journals, Position};
use super::shell::{Failing, FailingFiles, batch, becomes, settings, within};

const MIB: u64 = 1024 * 1024;
/// A batch of ten bytes with its header.
const BATCH: u64 = 42;

fn start(state_dir: &Path) -> Journals {
    Journals::start(settings(state_dir, 16 * MIB)).unwrap()
}

async fn append(journal: &Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        journal.append(batch(number, 10)).await.unwrap();
    }
}

/// The cursors on disk, as a start would find them.
fn on_disk(state_dir: &Path) -> Vec<(String, CursorInfo)> {
    inspect(&state_dir.join("journal/web"))
        .unwrap()
        .cursors
        .into_iter()
        .collect()
}

fn at(name: &str, batches: u64) -> (String, CursorInfo) {
    (name.to_owned(), CursorInfo::At(Position(batches * BATCH)))
}

#[tokio::test]
async fn a_cursor_that_is_wanted_begins_where_the_default_one_stands_and_is_there_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["early"]).unwrap();
    assert_eq!(on_disk(dir.path()), [at(DEFAULT_CURSOR, 0), at("early", 0)]);
    append(&web, 0..10).await;
    web.advance(DEFAULT_CURSOR, Position(4 * BATCH));
    assert!(journals.stop());

    let journals = start(dir.path());
    let web = journals.open("web", &["late", "early"]).unwrap();
    assert_eq!(
        on_disk(dir.path()),
        [at(DEFAULT_CURSOR, 4), at("early", 0), at("late", 4)]
    );
    assert_eq!(web.add_cursor("later"), Ok(Position(4 * BATCH)));
    assert_eq!(on_disk(dir.path()).last(), Some(&at("later", 4)));
    let backlogs = [DEFAULT_CURSOR, "early", "late", "later", "none"].map(|name| web.backlog_of(name));
    assert_eq!(
        backlogs,
        [
            Some(6 * BATCH),
            Some(10 * BATCH),
            Some(6 * BATCH),
            Some(6 * BATCH),
            None
        ]
    );
    assert_eq!(web.backlog_bytes(), 10 * BATCH);
}

#[tokio::test]
async fn a_cursor_at_the_very_beginning_stays_there_while_the_default_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["slow"]).unwrap();
    append(&web, 0..10).await;
    web.advance(DEFAULT_CURSOR, web.end());
    assert!(journals.stop());
    let web = start(dir.path()).open("web", &["slow"]).unwrap();
    assert_eq!(
        (web.cursor("slow"), web.backlog_of("slow")),
        (Some(Position(0)), Some(10 * BATCH))
    );
    // A file that was made and never written is of an attempt that came to nothing.
    std::fs::write(dir.path().join("journal/web/cursor.empty"), []).unwrap();
    let web = start(dir.path()).open("web", &["slow", "empty"]).unwrap();
    assert_eq!(web.cursor("empty"), Some(web.end()));
}

#[tokio::test]
async fn a_cursor_that_nobody_wants_any_more_holds_nothing_back_and_leaves_its_positions_used() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["fast"]).unwrap();
    append(&web, 0..10).await;
    let end = web.end();
    web.advance("fast", end);
    assert!(journals.stop());
    // As after a power loss that took the last segment: the cursor alone knows how far the journal was.
    for segment in inspect(&dir.path().join("journal/web")).unwrap().segments {
        std::fs::remove_file(segment.path).unwrap();
    }
    for _ in 0..3 {
        let journals = start(dir.path());
        let web = journals.open("web", &[]).unwrap();
        assert_eq!(
            (web.cursor("fast"), on_disk(dir.path())),
            (None, vec![at(DEFAULT_CURSOR, 0)])
        );
        assert!(web.end() >= end, "{} is before {end}", web.end());
        assert_eq!(web.backlog_bytes(), 0);
        assert!(journals.stop());
    }
    let journals = start(dir.path());
    let web = journals.open("web", &["fast"]).unwrap();
    assert_eq!(
        web.cursor("fast"),
        Some(Position(0)),
        "where the default one stands, and not where it was"
    );
    let position = web.append(batch(10, 10)).await.unwrap();
    assert!(position >= end);
    assert_eq!(
        within("a batch", web.next(Position(0))).await.unwrap().position,
        position
    );
}

#[tokio::test]
async fn an_unreadable_cursor_that_nobody_wants_is_kept_and_nothing_is_forwarded_again() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["gone"]).unwrap();
    append(&web, 0..10).await;
    web.advance(DEFAULT_CURSOR, Position(4 * BATCH));
    assert!(journals.stop());
    std::fs::write(dir.path().join("journal/web/cursor.gone"), "no cursor").unwrap();
    let mut end = Position(0);
    for round in 0..2 {
        let journals = start(dir.path());
        let web = journals.open("web", &[]).unwrap();
        assert_eq!(web.cursor(DEFAULT_CURSOR), Some(Position(4 * BATCH)));
        assert_eq!(web.status().faults.cursors_unreadable, 0);
        assert!(web.end() > Position(1 << 40), "it may have been anywhere");
        assert!(web.end() >= end, "{round}");
        end = web.end();
        assert!(journals.stop());
    }
    let kept = std::fs::read_dir(dir.path().join("quarantine"))
        .unwrap()
        .map(Result::unwrap);
    let kept: Vec<String> = kept.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(
        matches!(kept.as_slice(), [name] if name.starts_with("web.cursor.gone.")),
        "{kept:?}"
    );
}

#[tokio::test]
async fn a_removed_cursor_frees_what_it_held_and_no_late_move_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
    let web = Arc::new(journals.open("web", &["slow"]).unwrap());
    let mut number = 0;
    while web.backlog_bytes() < MIB - 100_000 {
        web.append(batch(number, 60_000)).await.unwrap();
        number += 1;
    }
    web.advance(DEFAULT_CURSOR, web.end());
    let waiting = tokio::spawn({
        let web = web.clone();
        async move { web.append(batch(99, 200_000)).await }
    });
    becomes("full", || web.is_full()).await;
    let held = web.backlog_of("slow").unwrap();
    let of_task = web.clone();
    let removed = tokio::task::spawn_blocking(move || of_task.remove_cursor("slow"));
    assert_eq!(within("the removal", removed).await.unwrap(), Ok(held));
    assert!(!dir.path().join("journal/web/cursor.slow").exists());
    within("room", waiting).await.unwrap().unwrap();
    web.advance("slow", Position(5));
    assert_eq!((web.cursor("slow"), web.remove_cursor("slow")), (None, Ok(0)));
    assert!(journals.stop());
    assert!(!dir.path().join("journal/web/cursor.slow").exists());
}

#[tokio::test]
async fn one_that_comes_back_under_its_name_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &[]).unwrap();
    // Beside the threads, which write cursors all the time.
    for round in 0..50 {
        append(&web, round * 4..round * 4 + 4).await;
        let default = web.cursor(DEFAULT_CURSOR).unwrap();
        assert_eq!(web.add_cursor("again"), Ok(default));
        web.advance("again", web.end());
        assert_eq!(web.remove_cursor("again"), Ok(0));
        assert_eq!(web.add_cursor("again"), Ok(default));
        assert_eq!(
            on_disk(dir.path()).iter().find(|(name, _)| name == "again"),
            Some(&("again".to_owned(), CursorInfo::At(default)))
        );
        assert!(matches!(web.remove_cursor("again"), Ok(bytes) if bytes > 0));
        web.advance(DEFAULT_CURSOR, default.plus(3 * BATCH));
    }
    let mut at = web.cursor(DEFAULT_CURSOR).unwrap();
    for number in 150..200 {
        let found = within("a batch", web.next(at)).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
    }
    assert!(journals.stop());
}

#[tokio::test]
async fn what_the_disk_refuses_is_no_cursor_and_what_it_does_not_remove_holds_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let files = Arc::new(Failing(disk.clone()));
    let journals = Journals::start_on(settings(dir.path(), 16 * MIB), files).unwrap();
    let web = journals.open("web", &["slow"]).unwrap();
    append(&web, 0..10).await;
    for breaks in [&disk.fails, &disk.syncs_fail] {
        breaks.store(true, Ordering::Relaxed);
        assert!(matches!(web.add_cursor("new"), Err(CursorError::Disk(_))));
        assert_eq!(web.cursor("new"), None);
        breaks.store(false, Ordering::Relaxed);
    }
    disk.unlinks_fail.store(true, Ordering::Relaxed);
    assert!(matches!(web.remove_cursor("slow"), Err(CursorError::Disk(_))));
    disk.unlinks_fail.store(false, Ordering::Relaxed);
    assert_eq!(web.cursor("slow"), None);
    web.advance(DEFAULT_CURSOR, web.end());
    becomes("nothing is held back", || web.backlog_bytes() == 0).await;
    let position = Position(10 * BATCH);
    assert_eq!(
        (web.add_cursor("new"), web.add_cursor("slow")),
        (Ok(position), Ok(position))
    );
    assert!(journals.stop());
    assert_eq!(
        on_disk(dir.path()),
        [at(DEFAULT_CURSOR, 10), at("new", 10), at("slow", 10)]
    );
}

#[tokio::test]
async fn an_unwanted_cursor_that_cannot_be_removed_keeps_nobody_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let open = |outputs: &[&str]| {
        let files = Arc::new(Failing(disk.clone()));
        let journals = Journals::start_on(settings(dir.path(), 16 * MIB), files).unwrap();
        let journal = journals.open("web", outputs).unwrap();
        (journals, journal)
    };
    let (journals, web) = open(&["gone"]);
    append(&web, 0..10).await;
    web.advance("gone", Position(9 * BATCH));
    assert!(journals.stop());
    disk.unlinks_fail.store(true, Ordering::Relaxed);
    let (journals, web) = open(&[]);
    assert_eq!((web.cursor("gone"), web.backlog_bytes()), (None, 10 * BATCH));
    disk.unlinks_fail.store(false, Ordering::Relaxed);
    // What is left of it is no beginning for one that is added under its name.
    assert_eq!(web.add_cursor("gone"), Ok(Position(0)));
    assert!(journals.stop());
    assert_eq!(on_disk(dir.path()), [at(DEFAULT_CURSOR, 0), at("gone", 0)]);
    let (_journals, web) = open(&[]);
    assert_eq!(
        (web.backlog_bytes(), on_disk(dir.path())),
        (10 * BATCH, vec![at(DEFAULT_CURSOR, 0)])
    );
}

#[tokio::test]
async fn a_journal_that_was_let_go_of_takes_and_removes_no_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["one"]).unwrap();
    assert!(journals.release("web", &web));
    assert_eq!(web.add_cursor("two"), Err(CursorError::Closed));
    assert_eq!(web.remove_cursor("one"), Err(CursorError::Closed));
    assert_eq!(on_disk(dir.path()), [at(DEFAULT_CURSOR, 0), at("one", 0)]);
}

/// Reads all with readers at these positions, who take turns. Says how often a segment was opened for that.
async fn read_in_turns(journal: &Journal, disk: &FailingFiles, names: &[&str]) -> u64 {
    let mut readers: Vec<Position> = names.iter().map(|name| journal.cursor(name).unwrap()).collect();
    let before = disk.opened_to_read.load(Ordering::Relaxed);
    while readers.iter().any(|at| *at < journal.end()) {
        for reader in readers.iter_mut().filter(|at| **at < journal.end()) {
            *reader = within("a batch", journal.next(*reader)).await.unwrap().end();
        }
    }
    disk.opened_to_read.load(Ordering::Relaxed) - before
}

#[tokio::test]
async fn cursors_that_lag_read_no_batch_again_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let names = [DEFAULT_CURSOR, "one", "two"];
    let open = || {
        let journals = Journals::start_on(settings(dir.path(), 64 * MIB), Arc::new(Failing(disk.clone()))).unwrap();
        let journal = journals.open("web", &names[1..]).unwrap();
        (journals, journal)
    };
    let (journals, journal) = open();
    // Twelve chunks.
    for number in 0..192 {
        journal.append(batch(number, 65_536)).await.unwrap();
    }
    assert!(journals.stop());
    // Nothing is in memory after a restart.
    let (journals, journal) = open();
    let alone = read_in_turns(&journal, &disk, &names[..1]).await;
    assert!((12..20).contains(&alone), "{alone}");
    let together = read_in_turns(&journal, &disk, &names).await;
    assert!(
        together <= alone + 2,
        "one read it in {alone} readings, and three side by side in {together}"
    );
    // Far apart.
    journal.advance("one", Position(64 * 65_568));
    journal.advance("two", Position(128 * 65_568));
    let apart = read_in_turns(&journal, &disk, &names).await;
    assert!(
        apart <= 2 * alone + 6,
        "one read it in {alone} readings, and three far apart in {apart}"
    );
    assert!(journals.stop());
}

#[tokio::test]
async fn how_old_the_oldest_is_goes_by_the_slowest_whoever_reads() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 64 * MIB)).unwrap();
    let journal = journals.open("web", &["slow"]).unwrap();
    for nth in 1..=24 {
        journal.append(batch(nth * 10_000, 512 * 1024)).await.unwrap();
    }
    let size = 512 * 1024 + 32;
    let read = async |nth: u64| journal.next(Position(nth * size)).await.unwrap();
    for nth in 0..3 {
        read(nth).await;
    }
    journal.advance("slow", Position(2 * size));
    for nth in 3..24 {
        read(nth).await;
        journal.advance(DEFAULT_CURSOR, Position(nth * size));
        assert_eq!(journal.status().oldest_ms, Some(30_000), "{nth}");
    }
    for nth in 2..23 {
        read(nth).await;
        assert_eq!(journal.status().oldest_ms, Some(10_000 * (nth + 1)));
        journal.advance("slow", Position((nth + 1) * size));
    }
    assert!(journals.stop());
}

#[derive(Debug, Default)]
struct Counted {
    stores: AtomicU64,
    syncs: AtomicU64,
}

impl CursorGuard for Counted {
    fn store(&self) {
        self.stores.fetch_add(1, Ordering::SeqCst);
    }
    fn sync(&self) {
        self.syncs.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn each_cursor_has_a_guard_of_its_own_which_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let journals = start(dir.path());
    let web = journals.open("web", &["one", "two"]).unwrap();
    let (one, two) = (Arc::new(Counted::default()), Arc::new(Counted::default()));
    assert!(web.guard_cursor("one", Some(one.clone())).is_none());
    assert!(web.guard_cursor("two", Some(two.clone())).is_none());
    assert!(web.guard_cursor("three", Some(two.clone())).is_none());
    append(&web, 0..10).await;
    web.advance("one", Position(3 * BATCH));
    becomes("durable", || {
        one.syncs.load(Ordering::SeqCst) > 0 && web.status().sync_lag.is_zero()
    })
    .await;
    assert!(one.stores.load(Ordering::SeqCst) > 0 && two.stores.load(Ordering::SeqCst) > 0);
    assert_eq!(two.syncs.load(Ordering::SeqCst), 0, "its cursor did not move");
    assert!(web.guard_cursor("two", None).is_some());
    assert!(web.guard_cursor("two", Some(two.clone())).is_none());
    web.remove_cursor("two").unwrap();
    becomes("let go of", || Arc::strong_count(&two) == 1).await;
    assert!(journals.stop());
}
