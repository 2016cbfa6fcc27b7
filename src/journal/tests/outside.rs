//! A look into journals from outside.

use std::io::{self, Write};
use std::path::Path;

use super::super::cursor;
use super::super::inspect::{
    Beginning, CursorInfo, Exported, InspectError, Inspection, Place, Verification, discard, export, find, hold,
    inspect, verify,
};
use super::super::store::{Quarantined, SEGMENT_BYTES};
use super::super::{BatchKind, DEFAULT_CURSOR, Journals, NewBatch, Position};
use super::shell::{batch, settings};
use crate::state_dir::StateDir;

/// What the 31 batches of [`fill`] take up.
const ALL: u64 = 30 * 10_032 + 37;
/// Where the cursor stands then: seven bytes into the third.
const DELIVERED: u64 = 2 * 10_032 + 32 + 7;

async fn fill(state_dir: &Path) -> Journals {
    let journals = Journals::start(settings(state_dir, 1024 * 1024)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    for number in 0..30 {
        journal.append(batch(number, 10_000)).await.unwrap();
    }
    let too_long = NewBatch {
        kind: BatchKind::TooLong { length: 99 },
        ..batch(30, 5)
    };
    journal.append(too_long).await.unwrap();
    journal.advance(DEFAULT_CURSOR, Position(DELIVERED));
    journals
}

fn web(state_dir: &Path) -> Place {
    let [place] = find(&state_dir.join("journal/web"))
        .unwrap()
        .journals
        .try_into()
        .unwrap();
    place
}

fn look(state_dir: &Path) -> Inspection {
    inspect(&web(state_dir).dir).unwrap()
}

fn verified(state_dir: &Path) -> Verification {
    verify(&look(state_dir), &mut |_, _| {}).unwrap()
}

fn exported(state_dir: &Path, from: Beginning) -> (Exported, Vec<u8>) {
    let mut out = Vec::new();
    let exported = export(&look(state_dir), from, &mut out, &mut |_, _| {}).unwrap();
    (exported, out)
}

#[tokio::test]
async fn a_journal_can_be_looked_into_while_a_daemon_runs_but_not_discarded() {
    let state_dir = tempfile::tempdir().unwrap();
    let _daemon = StateDir::lock(state_dir.path()).unwrap();
    let journals = fill(state_dir.path()).await;
    let found = verified(state_dir.path());
    assert_eq!((found.batches, found.bytes, found.damaged_places), (31, 300_005, 0));
    assert!(matches!(hold(&web(state_dir.path())), Err(InspectError::InUse(_))));
    journals.stop();
    let found = look(state_dir.path());
    assert_eq!(found.cursors[DEFAULT_CURSOR], CursorInfo::At(Position(DELIVERED)));
    assert_eq!((found.backlog_bytes, found.held_bytes()), (ALL - DELIVERED, ALL));
    assert!(found.segments.len() > 2 && found.foreign.is_empty() && found.kept.is_empty());
    assert_eq!(found.version(), Some(1));
}

#[tokio::test]
async fn what_is_renamed_or_unlinked_or_longer_since_it_was_listed_is_no_fault() {
    let state_dir = tempfile::tempdir().unwrap();
    let journals = fill(state_dir.path()).await;
    let mut listed = look(state_dir.path());
    // The daemon finds damage in one, has unlinked another, and writes on in the last.
    let second = &listed.segments[1].path;
    std::fs::rename(second, second.with_extension("damaged.seg")).unwrap();
    std::fs::remove_file(&listed.segments[0].path).unwrap();
    listed.segments.last_mut().unwrap().bytes -= 20;
    let first = listed.segments[0].bytes / 10_032;
    let mut read = Vec::new();
    let found = verify(&listed, &mut |done, of| read.push((done, of))).unwrap();
    assert_eq!((found.batches, found.damaged_places), (31 - first, 0));
    assert!(found.unfinished.is_none());
    assert_eq!(read.last(), Some(&(ALL - 20, ALL - 20)));
    assert!(read.is_sorted());
    drop(journals);
}

#[tokio::test]
async fn what_is_not_delivered_is_exported_as_it_came() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let (exported_so, out) = exported(state_dir.path(), Beginning::Undelivered);
    assert_eq!((exported_so.batches, exported_so.too_long), (28, 1));
    let wanted: Vec<u8> = (2..30_u8).flat_map(|number| vec![number; 10_000]).skip(7).collect();
    assert!(out == wanted, "{} bytes, not {}", out.len(), wanted.len());
    assert_eq!(exported(state_dir.path(), Beginning::At(Position(0))).0.bytes, 300_000);
    assert_eq!(
        exported(state_dir.path(), Beginning::At(Position(ALL))).0,
        Exported::default()
    );
}

#[tokio::test]
async fn an_export_to_one_who_takes_no_more_ends_there_and_says_so() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let outcome = export(
        &look(state_dir.path()),
        Beginning::Undelivered,
        &mut Full,
        &mut |_, _| {},
    );
    assert!(matches!(outcome, Err(InspectError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe));
}

#[tokio::test]
async fn damage_is_told_from_an_unfinished_end() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let segments = look(state_dir.path()).segments;
    let mut first = std::fs::read(&segments[0].path).unwrap();
    first[500] ^= 1;
    std::fs::write(&segments[0].path, first).unwrap();
    let last = segments.last().unwrap();
    let mut torn = std::fs::read(&last.path).unwrap();
    torn.truncate(torn.len() - 1);
    std::fs::write(&last.path, torn).unwrap();
    let found = verified(state_dir.path());
    assert_eq!(found.batches, 29);
    assert_eq!((found.damaged_places, found.damaged_bytes), (1, 10_032));
    assert_eq!(found.damage[0].0, segments[0].path);
    assert_eq!(found.damage[0].1.position, Position(0));
    assert_eq!(found.unfinished.unwrap().bytes, 36);
    // Only what is asked for counts.
    let (undelivered, all) = (Beginning::Undelivered, Beginning::At(Position(0)));
    assert_eq!(exported(state_dir.path(), undelivered).0.damaged_bytes, 0);
    assert_eq!(exported(state_dir.path(), all).0.damaged_bytes, 10_032);
}

#[tokio::test]
async fn batches_of_a_newer_version_are_told_and_are_no_damage() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let first = &look(state_dir.path()).segments[0].path;
    let mut bytes = std::fs::read(first).unwrap();
    bytes[4] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..10_032]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(first, bytes).unwrap();
    let found = verified(state_dir.path());
    assert_eq!((found.too_new, found.damaged_places, found.batches), (Some(9), 0, 30));
    assert_eq!(look(state_dir.path()).version(), Some(9));
    let (so, _) = exported(state_dir.path(), Beginning::At(Position(0)));
    assert_eq!((so.too_new, so.damaged_bytes), (Some(9), 0));
}

#[tokio::test]
async fn segments_that_overlap_are_read_as_a_daemon_reads_them() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let segments = look(state_dir.path()).segments;
    let mut longer = std::fs::read(&segments[0].path).unwrap();
    longer.extend_from_slice(&longer.clone()[..10_032]);
    std::fs::write(&segments[0].path, longer).unwrap();
    let found = verified(state_dir.path());
    assert_eq!(
        (found.batches, found.overlapping_bytes, found.damaged_places),
        (31, 10_032, 0)
    );
}

#[tokio::test]
async fn what_was_set_aside_is_shown_with_the_journal_that_it_is_of() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let quarantine = state_dir.path().join("quarantine");
    for name in [
        "web.00000000000000000100.damaged.seg",
        "web.00000000000000000200.cut",
        "web.cursor.default.01234567.unreadable",
        "web2.00000000000000000200.cut",
        "web.letters",
    ] {
        std::fs::write(quarantine.join(name), "12345").unwrap();
    }
    let kept = look(state_dir.path()).kept;
    let kinds: Vec<_> = kept.iter().map(|kept| (kept.kind, kept.bytes)).collect();
    let (segment, cut) = (Quarantined::Segment(Position(100)), Quarantined::Cut(Position(200)));
    assert_eq!(kinds, [(segment, 5), (cut, 5), (Quarantined::Cursor, 5)]);
}

#[tokio::test]
async fn what_only_looks_like_a_journal_is_left_alone_and_nothing_hangs() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let dir = state_dir.path().join("journal/web");
    let whole = verified(state_dir.path());
    let names = [
        "00000000000000100000.damaged.seg",
        "00000000000000100001.seg",
        "00000000000000100002.seg",
        "cursor.link",
        "cursor.pipe",
        "garbage",
    ];
    let mkfifo = |name| {
        let path = dir.join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
    };
    std::fs::create_dir(dir.join(names[0])).unwrap();
    mkfifo(names[1]);
    std::os::unix::fs::symlink("/dev/zero", dir.join(names[2])).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.join(names[3])).unwrap();
    mkfifo(names[4]);
    std::fs::write(dir.join(names[5]), [0xFF; 100]).unwrap();
    assert_eq!(look(state_dir.path()).foreign, names);
    assert_eq!(verified(state_dir.path()), whole);
    assert_eq!(exported(state_dir.path(), Beginning::Undelivered).0.batches, 28);
}

#[tokio::test]
async fn garbage_is_damage_and_a_cursor_of_garbage_is_unreadable() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let dir = state_dir.path().join("journal/web");
    // Ends at the largest position that there is.
    let far = dir.join("04611686018427387904.seg");
    std::fs::write(&far, b"\xFFLSJ\x01\0\0\0\xFF\xFF\xFF\xFF garbage that says it is long").unwrap();
    std::fs::write(dir.join("04611686018427387903.seg"), vec![7; 70_000]).unwrap();
    std::fs::write(dir.join("cursor.default"), b"not one of ours").unwrap();
    let found = look(state_dir.path());
    assert_eq!(found.cursors[DEFAULT_CURSOR], CursorInfo::Unreadable);
    assert_eq!(found.slowest(), Position(0));
    let found = verified(state_dir.path());
    assert_eq!((found.batches, found.damaged_places, found.damaged_bytes), (31, 1, 1));
    assert_eq!(found.overlapping_bytes, 69_999);
    assert_eq!(found.unfinished.map(|damage| damage.position), Some(Position(1 << 62)));
}

/// What must hold after a discard: nothing is there, and what comes now stands behind all that ever was.
async fn goes_on_behind(state_dir: &Path, end: Position) {
    let journals = Journals::start(settings(state_dir, 1024 * 1024)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    assert_eq!(
        (journal.backlog_bytes(), journal.cursor(DEFAULT_CURSOR).unwrap()),
        (0, end)
    );
    let position = journal.append(batch(99, 10)).await.unwrap();
    assert_eq!(position, end);
    let found = journal.next(journal.cursor(DEFAULT_CURSOR).unwrap()).await.unwrap();
    assert_eq!((found.position, found.received_ms), (end, 99));
    journals.stop();
}

#[tokio::test]
async fn a_journal_is_discarded_and_what_comes_next_stands_behind_what_was_there() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let place = web(state_dir.path());
    std::fs::write(place.dir.join("notes.txt"), "keep").unwrap();
    let held = hold(&place).unwrap();
    assert!(
        StateDir::lock(state_dir.path()).is_err(),
        "no daemon can start meanwhile"
    );
    assert_eq!(discard(&held).unwrap(), ALL);
    drop(held);
    let found = look(state_dir.path());
    assert_eq!((found.held_bytes(), found.backlog_bytes), (0, 0));
    assert_eq!(found.foreign, ["notes.txt"]);
    goes_on_behind(state_dir.path(), Position(ALL)).await;
}

#[tokio::test]
async fn a_discard_that_was_interrupted_forwards_nothing_again_and_can_be_repeated() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let place = web(state_dir.path());
    let segments = look(state_dir.path()).segments;
    let last = std::fs::read(&segments.last().unwrap().path).unwrap();
    discard(&hold(&place).unwrap()).unwrap();
    // As if the last segment had not been unlinked.
    std::fs::write(&segments.last().unwrap().path, &last).unwrap();
    assert_eq!(look(state_dir.path()).backlog_bytes, 0);
    assert_eq!(discard(&hold(&place).unwrap()).unwrap(), last.len() as u64);
    goes_on_behind(state_dir.path(), Position(ALL)).await;
}

#[tokio::test]
async fn a_journal_without_a_cursor_and_one_with_several_go_on_behind_what_was_there_too() {
    for cursors in [&[][..], &["default", "audit"]] {
        let state_dir = tempfile::tempdir().unwrap();
        fill(state_dir.path()).await.stop();
        let place = web(state_dir.path());
        let first = std::fs::read(place.dir.join("cursor.default")).unwrap();
        std::fs::remove_file(place.dir.join("cursor.default")).unwrap();
        for cursor in cursors {
            std::fs::write(place.dir.join(format!("cursor.{cursor}")), &first).unwrap();
        }
        assert_eq!(discard(&hold(&place).unwrap()).unwrap(), ALL);
        for cursor in cursors {
            let bytes = std::fs::read(place.dir.join(format!("cursor.{cursor}"))).unwrap();
            assert!(matches!(
                cursor::read(&bytes),
                cursor::Content::Cursor(Position(ALL), _)
            ));
        }
        goes_on_behind(state_dir.path(), Position(ALL)).await;
    }
}

#[tokio::test]
async fn a_large_torn_end_is_discarded_too() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let place = web(state_dir.path());
    let last = look(state_dir.path()).segments.pop().unwrap();
    let mut bytes = std::fs::read(&last.path).unwrap();
    bytes.resize(bytes.len() + 500, 3);
    assert!((bytes.len() as u64) < SEGMENT_BYTES);
    std::fs::write(&last.path, bytes).unwrap();
    discard(&hold(&place).unwrap()).unwrap();
    goes_on_behind(state_dir.path(), Position(ALL + 500)).await;
}

#[tokio::test]
async fn only_one_journal_under_a_state_dir_can_be_discarded() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let copy = state_dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    assert!(matches!(hold(&Place::new(copy)), Err(InspectError::NotInStateDir(_))));
    assert!(!state_dir.path().join("lock").exists());
    // Only its owner may, and only root can tell.
    let place = web(state_dir.path());
    if std::os::unix::fs::chown(&place.dir, Some(4711), None).is_ok() && rustix::process::geteuid().is_root() {
        assert!(matches!(
            hold(&place),
            Err(InspectError::NotTheOwner { owner: 4711, .. })
        ));
    }
}
