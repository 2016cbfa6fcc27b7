//! The journal with its threads, on real files.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::super::files::{Entry, Files, OpenFile, Space, SystemFiles};
use super::super::inspect::{CursorInfo, inspect};
use super::super::segment::FileName;
use super::super::{
    AppendError, BatchKind, Condition, DEFAULT_CURSOR, Journal, JournalFaults, Journals, JournalsSettings, NewBatch,
    Position,
};

const MIB: u64 = 1024 * 1024;

pub fn settings(state_dir: &Path, max_bytes: u64) -> JournalsSettings {
    JournalsSettings {
        state_dir: state_dir.to_owned(),
        sync_interval: Duration::from_millis(5),
        max_bytes,
        max_bytes_in_all: max_bytes,
        streams: 1,
    }
}

pub fn batch(number: u64, length: usize) -> NewBatch {
    NewBatch {
        kind: BatchKind::Records,
        received_ms: number,
        slot: 1,
        bytes: vec![number as u8; length].into(),
    }
}

fn segments(state_dir: &Path) -> Vec<Entry> {
    let mut entries = SystemFiles.list(&state_dir.join("journal/web")).unwrap();
    entries.retain(|entry| matches!(FileName::of(&entry.name), FileName::Segment { .. }));
    entries
}

/// Nothing here takes long: what does not happen in this time does not happen.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits for what the threads bring about by themselves.
pub async fn becomes(what: &str, is_so: impl Fn() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart_and_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = Position(0);
    for round in 0..3_u64 {
        let journals = Journals::start(settings(dir.path(), 10 * MIB)).unwrap();
        let journal = journals.open("web", &[]).unwrap();
        assert_eq!(journal.cursor(DEFAULT_CURSOR).unwrap(), Position(round * 42));
        assert_eq!(journal.backlog_bytes(), round * 42);
        for number in 0..2 {
            let position = journal.append(batch(round * 2 + number, 10)).await.unwrap();
            assert!(position >= last);
            last = position.plus(42);
        }
        let mut at = journal.cursor(DEFAULT_CURSOR).unwrap();
        for number in round..round * 2 + 2 {
            let found = within("a batch", journal.next(at)).await.unwrap();
            assert_eq!((found.received_ms, found.slot), (number, 1));
            at = found.end();
            if number == round {
                journal.advance(DEFAULT_CURSOR, at);
            }
        }
        assert_eq!(at, journal.end());
        journal.close();
        assert!(within("the end", journal.next(at)).await.is_none());
        journals.stop();
    }
}

#[tokio::test]
async fn what_was_appended_survives_without_an_orderly_end() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 10 * MIB)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    for number in 0..100 {
        journal.append(batch(number, 5_000)).await.unwrap();
        if number == 70 {
            // What a kill would leave at this moment.
            let to = copy.path().join("journal/web");
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(dir.path().join("journal/web"))
                .unwrap()
                .map(Result::unwrap)
            {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let journals = Journals::start(settings(copy.path(), 10 * MIB)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    let mut at = Position(0);
    for number in 0..=70 {
        let found = within("a batch", journal.next(at)).await.unwrap();
        assert_eq!((found.received_ms, found.bytes.len()), (number, 5_000));
        at = found.end();
    }
    assert_eq!(at, journal.end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_and_a_reader_go_on_for_long_in_little_room() {
    const EACH: u64 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let appended = journal
                        .append(batch(number * 2 + writer, (number % 5_000) as usize))
                        .await;
                    appended.unwrap();
                }
            })
        })
        .collect();
    let reader = {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            let (mut at, mut seen) = (Position(0), [0, 1]);
            while let Some(found) = journal.next(at).await {
                assert!(found.position >= at);
                let writer = (found.received_ms % 2) as usize;
                assert_eq!(found.received_ms, seen[writer], "each writer's batches are in order");
                assert_eq!(found.bytes.len() as u64, found.received_ms / 2 % 5_000);
                seen[writer] += 2;
                at = found.end();
                journal.advance(DEFAULT_CURSOR, at);
            }
            seen
        })
    };
    for writer in writers {
        within("a writer", writer).await.unwrap();
    }
    journal.close();
    assert_eq!(within("the reader", reader).await.unwrap(), [2 * EACH, 2 * EACH + 1]);
    assert_eq!(journal.backlog_bytes(), 0);
    journals.stop();
    let left: u64 = segments(dir.path()).iter().map(|entry| entry.bytes).sum();
    assert!(left <= MIB / 8, "{left} bytes are left of segments");
}

#[tokio::test]
async fn a_full_journal_makes_its_writers_wait_until_a_segment_can_go() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    let writer = {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            for number in 0..40 {
                journal.append(batch(number, 60_000)).await.unwrap();
            }
        })
    };
    becomes("full", || {
        journal.is_full() && journal.status().condition == Condition::Full
    })
    .await;
    assert!(!writer.is_finished() && journal.status().held_bytes <= MIB);
    let mut at = Position(0);
    for number in 0..40 {
        let found = within("a batch", journal.next(at)).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
        journal.advance(DEFAULT_CURSOR, at);
    }
    within("the writer", writer).await.unwrap();
    assert_eq!(journal.status().condition, Condition::Good);
}

#[tokio::test]
async fn a_batch_larger_than_the_journal_gets_in_when_that_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 100_000)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    journal.append(batch(0, 10)).await.unwrap();
    let large = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.append(batch(1, 300_000)).await }
    });
    becomes("full", || journal.is_full()).await;
    journal.advance(DEFAULT_CURSOR, Position(42));
    within("the large one", large).await.unwrap().unwrap();
    assert_eq!(
        within("it", journal.next(Position(42))).await.unwrap().bytes.len(),
        300_000
    );
}

#[tokio::test]
async fn a_large_batch_gets_in_although_all_before_it_was_passed_long_ago() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 100_000)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    journal.append(batch(0, 10)).await.unwrap();
    journal.advance(DEFAULT_CURSOR, Position(42));
    let is_durable = || {
        let found = inspect(&dir.path().join("journal/web")).unwrap();
        found.cursors.get(DEFAULT_CURSOR) == Some(&CursorInfo::At(Position(42)))
    };
    becomes("noted", is_durable).await;
    // A cursor is made durable once a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    within("the large one", journal.append(batch(1, 300_000)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_stop_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let journals = Journals::start_on(settings(dir.path(), MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    disk.fails.store(true, Ordering::Relaxed);
    let waiting = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.append(batch(0, 10)).await }
    });
    becomes("failing", || {
        matches!(journal.status().condition, Condition::DiskFailing(_))
    })
    .await;
    within("the stop", tokio::task::spawn_blocking(move || journals.stop()))
        .await
        .unwrap();
    assert_eq!(within("the append", waiting).await.unwrap(), Err(AppendError::Closed));
    assert!(within("the end", journal.next(Position(0))).await.is_none());
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 100_000)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    journal.append(batch(0, 60_000)).await.unwrap();
    for _ in 0..20 {
        let waited = tokio::time::timeout(Duration::from_millis(3), journal.append(batch(9, 60_000))).await;
        assert!(waited.is_err());
    }
    assert!(!journal.is_full());
    // Given up as soon as it is on its way, it may be there or not, and whole in any case.
    for number in 1..50 {
        tokio::select! {
            biased;
            _ = journal.append(batch(number, 100)) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    let last = journal.append(batch(50, 0)).await.unwrap();
    let (mut at, mut number) = (Position(0), 0);
    while at <= last {
        let found = within("a batch", journal.next(at)).await.unwrap();
        assert!(found.received_ms == 0 || found.received_ms > number);
        number = found.received_ms;
        at = found.end();
    }
    assert_eq!(number, 50);
}

#[tokio::test]
async fn a_closed_journal_is_read_to_its_end_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 100_000)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    journal.append(batch(0, 90_000)).await.unwrap();
    let waiting = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.append(batch(1, 90_000)).await }
    });
    becomes("full", || journal.is_full()).await;
    let reader = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.next(journal.end()).await }
    });
    journal.close();
    assert_eq!(within("the writer", waiting).await.unwrap(), Err(AppendError::Closed));
    assert!(within("the reader", reader).await.unwrap().is_none());
    assert_eq!(journal.append(batch(2, 1)).await, Err(AppendError::Closed));
    assert!(within("what is there", journal.next(Position(0))).await.is_some());
}

#[tokio::test]
async fn journals_of_streams_that_are_not_configured_are_kept_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
    for name in ["web", "app"] {
        journals.open(name, &[]).unwrap().append(batch(0, 10)).await.unwrap();
    }
    journals.open("empty", &[]).unwrap();
    assert_eq!(
        journals.orphans(&BTreeSet::from(["web"])).unwrap(),
        [("app".to_owned(), 42)]
    );
}

/// The system's files, until the disk is told to fail. Counts what is read.
#[derive(Debug, Default)]
pub struct FailingFiles {
    pub fails: AtomicBool,
    full: AtomicBool,
    reads_fail: AtomicBool,
    pub syncs_fail: AtomicBool,
    pub unlinks_fail: AtomicBool,
    pub opened_to_read: AtomicU64,
}

#[derive(Debug)]
struct FailingFile(Arc<dyn OpenFile>, Arc<FailingFiles>);

#[derive(Clone, Debug)]
pub struct Failing(pub Arc<FailingFiles>);

impl Files for Failing {
    fn make_dir(&self, dir: &Path) -> std::io::Result<()> {
        SystemFiles.make_dir(dir)
    }
    fn create(&self, path: &Path) -> std::io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(FailingFile(SystemFiles.create(path)?, Arc::clone(&self.0))))
    }
    fn open(&self, path: &Path) -> std::io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(FailingFile(SystemFiles.open(path)?, Arc::clone(&self.0))))
    }
    fn open_to_read(&self, path: &Path) -> std::io::Result<Arc<dyn OpenFile>> {
        self.0.opened_to_read.fetch_add(1, Ordering::Relaxed);
        let file = SystemFiles.open_to_read(path)?;
        Ok(Arc::new(FailingFile(file, Arc::clone(&self.0))))
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<Entry>> {
        SystemFiles.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        SystemFiles.rename(from, to)
    }
    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        if self.0.unlinks_fail.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        SystemFiles.unlink(path)
    }
    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        SystemFiles.sync_dir(dir)
    }
    fn space(&self, _: &Path) -> std::io::Result<Space> {
        let free = if self.0.full.load(Ordering::Relaxed) {
            10
        } else {
            500 * MIB
        };
        Ok(Space {
            free,
            total: 1000 * MIB,
        })
    }
}

impl OpenFile for FailingFile {
    fn write_at(&self, offset: u64, parts: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        if self.1.fails.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        self.0.write_at(offset, parts)
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<usize> {
        if self.1.reads_fail.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        self.0.read_at(offset, into)
    }
    fn sync(&self) -> std::io::Result<()> {
        if self.1.fails.load(Ordering::Relaxed) || self.1.syncs_fail.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        self.0.sync()
    }
    fn truncate(&self, length: u64) -> std::io::Result<()> {
        self.0.truncate(length)
    }
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
}

#[tokio::test]
async fn while_the_disk_fails_appends_wait_and_go_on_when_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let journals = Journals::start_on(settings(dir.path(), MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    journal.append(batch(0, 10)).await.unwrap();
    for (number, (failing, is_full_disk)) in [(1, (&disk.fails, false)), (2, (&disk.full, true))] {
        failing.store(true, Ordering::Relaxed);
        let waiting = tokio::spawn({
            let journal = Arc::clone(&journal);
            async move { journal.append(batch(number, 10)).await }
        });
        if is_full_disk {
            // Free space is looked up every now and then, and at once when something has failed.
            waiting.await.unwrap().unwrap();
            disk.fails.store(true, Ordering::Relaxed);
            let waiting = tokio::spawn({
                let journal = Arc::clone(&journal);
                async move { journal.append(batch(3, 10)).await }
            });
            becomes("failing", || {
                matches!(journal.status().condition, Condition::DiskFailing(_))
            })
            .await;
            disk.fails.store(false, Ordering::Relaxed);
            becomes("full", || matches!(journal.status().condition, Condition::DiskFull(_))).await;
            failing.store(false, Ordering::Relaxed);
            within("the append", waiting).await.unwrap().unwrap();
        } else {
            becomes("failing", || {
                matches!(journal.status().condition, Condition::DiskFailing(_))
            })
            .await;
            assert!(!waiting.is_finished());
            failing.store(false, Ordering::Relaxed);
            within("the append", waiting).await.unwrap().unwrap();
        }
        becomes("good", || journal.status().condition == Condition::Good).await;
    }
    let mut at = Position(0);
    for number in 0..4 {
        let found = within("a batch", journal.next(at)).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
    }
}

#[tokio::test]
async fn a_disk_that_recovers_is_noticed_without_an_append() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let journals = Journals::start_on(settings(dir.path(), MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    journal.append(batch(0, 10)).await.unwrap();
    disk.fails.store(true, Ordering::Relaxed);
    journal.advance(DEFAULT_CURSOR, Position(42));
    becomes("failing", || {
        matches!(journal.status().condition, Condition::DiskFailing(_))
    })
    .await;
    disk.fails.store(false, Ordering::Relaxed);
    becomes("good", || journal.status().condition == Condition::Good).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_says_so_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let start = || Journals::start_on(settings(dir.path(), MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journals = start();
    journals.open("web", &[]).unwrap().append(batch(7, 10)).await.unwrap();
    journals.stop();
    let journals = start();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    assert_eq!(journal.status().read_trouble, None);
    disk.reads_fail.store(true, Ordering::Relaxed);
    let reader = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.next(Position(0)).await }
    });
    becomes("trouble", || journal.status().read_trouble.is_some()).await;
    let tried = disk.opened_to_read.load(Ordering::Relaxed);
    becomes("tried again", || disk.opened_to_read.load(Ordering::Relaxed) > tried).await;
    let status = journal.status();
    assert!(status.read_trouble.is_some_and(|text| text.contains("os error 5")));
    assert_eq!(status.condition, Condition::Good, "it takes batches all the same");
    disk.reads_fail.store(false, Ordering::Relaxed);
    assert_eq!(within("a batch", reader).await.unwrap().unwrap().received_ms, 7);
    assert_eq!(journal.status().read_trouble, None);
}

#[tokio::test]
async fn what_is_found_wrong_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let start = || Journals::start_on(settings(dir.path(), MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journals = start();
    let journal = journals.open("web", &[]).unwrap();
    for number in 0..40 {
        journal.append(batch(number, 10_000)).await.unwrap();
    }
    assert_eq!(journal.status().faults, JournalFaults::default());
    drop(journal);
    journals.stop();
    let web = dir.path().join("journal/web");
    let names: Vec<String> = segments(dir.path()).into_iter().map(|segment| segment.name).collect();
    let mut first = std::fs::read(web.join(&names[0])).unwrap();
    first[3 * 10_032 + 100] ^= 1;
    std::fs::write(web.join(&names[0]), first).unwrap();
    let last = std::fs::read(web.join(names.last().unwrap())).unwrap();
    std::fs::write(web.join(names.last().unwrap()), &last[..last.len() - 1]).unwrap();
    std::fs::write(web.join("cursor.default"), "no cursor").unwrap();

    let journals = start();
    let journal = journals.open("web", &[]).unwrap();
    let mut wanted = JournalFaults {
        cuts: 1,
        cut_bytes: 10_031,
        cursors_unreadable: 1,
        ..JournalFaults::default()
    };
    assert_eq!(journal.status().faults, wanted);
    std::fs::remove_file(web.join(&names[1])).unwrap();
    let mut at = Position(0);
    // The last one is cut off.
    while at < Position(39 * 10_032) {
        at = within("a batch", journal.next(at)).await.unwrap().end();
    }
    wanted.damaged_bytes = 10_032;
    wanted.segments_missing = 1;
    wanted.missing_bytes = 13 * 10_032;
    assert_eq!(journal.status().faults, wanted);
    journal.advance(DEFAULT_CURSOR, at);
    wanted.segments_set_aside = 1;
    becomes("set aside", || journal.status().faults == wanted).await;

    disk.syncs_fail.store(true, Ordering::Relaxed);
    journal.append(batch(0, 10)).await.unwrap();
    becomes("failing", || journal.status().condition != Condition::Good).await;
    disk.syncs_fail.store(false, Ordering::Relaxed);
    becomes("good", || journal.status().condition == Condition::Good).await;
    wanted.unsynced_bytes = 42;
    assert_eq!(journal.status().faults, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_backlog_is_read_chunk_by_chunk_and_what_keeps_up_is_not_read_back() {
    const BATCHES: u64 = 1_024;
    const LENGTH: u64 = 256 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingFiles::default());
    let start = || Journals::start_on(settings(dir.path(), 400 * MIB), Arc::new(Failing(Arc::clone(&disk)))).unwrap();
    let journals = start();
    let journal = journals.open("web", &[]).unwrap();
    let mut at = Position(0);
    for number in 0..BATCHES {
        journal.append(batch(number, LENGTH as usize)).await.unwrap();
        // A reader that keeps up.
        let found = within("a batch", journal.next(at)).await.unwrap();
        at = found.end();
        assert!(journal.status().shared_bytes <= 4 * MIB);
    }
    assert_eq!(disk.opened_to_read.load(Ordering::Relaxed), 0);
    drop(journal);
    journals.stop();
    let journals = start();
    let journal = journals.open("web", &[]).unwrap();
    assert_eq!(journal.backlog_bytes(), BATCHES * (LENGTH + 32));
    let (mut at, mut alive) = (Position(0), Vec::new());
    for number in 0..BATCHES {
        let found = within("a batch", journal.next(at)).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
        alive.push(Arc::downgrade(&found));
        drop(found);
        alive.retain(|batch| batch.strong_count() > 0);
        assert!(
            alive.len() as u64 * LENGTH <= 4 * MIB,
            "{} batches are held",
            alive.len()
        );
    }
    // Chunks of a MiB, and no more readings than that takes.
    let readings = disk.opened_to_read.load(Ordering::Relaxed);
    assert!(
        (BATCHES * LENGTH / MIB / 2..=BATCHES).contains(&readings),
        "{readings} readings"
    );
}

#[tokio::test]
async fn a_reader_that_is_called_off_all_the_time_still_gets_on() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let journals = Journals::start(settings(dir.path(), MIB)).unwrap();
        let journal: Journal = journals.open("web", &[]).unwrap();
        (journals, journal)
    };
    let (journals, journal) = open();
    for number in 0..5 {
        journal.append(batch(number, 10)).await.unwrap();
    }
    drop(journal);
    journals.stop();
    let (_journals, journal) = open();
    let mut at = Position(0);
    within("all", async {
        while at < journal.end() {
            tokio::select! {
                biased;
                found = journal.next(at) => at = found.unwrap().end(),
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
}
