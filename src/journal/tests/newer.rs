//! What a newer livestreamd has written is refused, wherever it stands, and not a byte is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::inspect::inspect;
use super::super::{DEFAULT_CURSOR, Journals, OpenError, Position, newer};
use super::shell::{batch, becomes, settings};

const SMALL: u64 = 512 * 1024;

/// A journal of several segments, with a cursor in the first, and a broken end.
async fn journal(state_dir: &Path) -> Vec<PathBuf> {
    let journals = Journals::start(settings(state_dir, SMALL)).unwrap();
    let journal = journals.open("web", &[]).unwrap();
    for number in 0..10 {
        journal.append(batch(number, 40_000)).await.unwrap();
    }
    let cursor = Position(20_000);
    journal.advance(DEFAULT_CURSOR, cursor);
    becomes("the cursor is noted", || {
        inspect(&state_dir.join("journal/web")).is_ok_and(|found| found.slowest() == cursor)
    })
    .await;
    drop(journal);
    drop(journals);
    let dir = state_dir.join("journal/web");
    let segments: Vec<PathBuf> = inspect(&dir).unwrap().segments.into_iter().map(|s| s.path).collect();
    let torn = segments.last().unwrap();
    let bytes = std::fs::read(torn).unwrap();
    std::fs::write(torn, [&bytes[..], b"torn"].concat()).unwrap();
    segments
}

/// All files below, with what is in them.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.append(&mut content(&path));
        } else {
            all.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    all
}

#[track_caller]
fn assert_refused(state_dir: &Path, file: &Path) {
    let before = content(state_dir);
    let found = newer(state_dir, "web").unwrap();
    let known = if file.extension().is_some_and(|extension| extension == "seg") {
        1
    } else {
        2
    };
    assert_eq!((found.file.as_path(), found.found, found.known), (file, 9, known));
    let journals = Journals::start(settings(state_dir, SMALL)).unwrap();
    let refused = journals.open("web", &[]).unwrap_err();
    assert!(
        matches!(&refused, OpenError::TooNew(newer) if *newer == found),
        "{refused}"
    );
    drop(journals);
    assert_eq!(content(state_dir), before, "{} is refused", file.display());
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let before = std::fs::read(path).unwrap();
    let mut bytes = before.clone();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
    before
}

/// The first batch, of this size, becomes one of version 9.
fn newer_batch(bytes: &mut [u8]) {
    let end = 32 + 40_000;
    bytes[4] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..end]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

#[tokio::test]
async fn a_newer_segment_or_cursor_is_refused_wherever_it_stands_and_nothing_is_changed() {
    let state_dir = tempfile::tempdir().unwrap();
    let segments = journal(state_dir.path()).await;
    assert!(segments.len() >= 3, "{segments:?}");
    assert_eq!(newer(state_dir.path(), "web"), None);
    for segment in &segments {
        let before = rewrite(segment, |bytes| newer_batch(bytes));
        assert_refused(state_dir.path(), segment);
        std::fs::write(segment, before).unwrap();
    }
    // Its first batch is damaged as well: the next whole one tells.
    let before = rewrite(&segments[0], |bytes| {
        newer_batch(bytes);
        let mut broken = bytes[..32 + 40_000].to_vec();
        broken[100] ^= 1;
        bytes.splice(0..0, broken);
    });
    assert_refused(state_dir.path(), &segments[0]);
    std::fs::write(&segments[0], before).unwrap();

    let cursor = state_dir.path().join("journal/web/cursor.default");
    let before = rewrite(&cursor, |bytes| {
        bytes[4] = 9;
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    });
    assert_refused(state_dir.path(), &cursor);
    std::fs::write(&cursor, before).unwrap();
    // All is as it was, so it is opened again.
    Journals::start(settings(state_dir.path(), SMALL))
        .unwrap()
        .open("web", &[])
        .unwrap();
}

#[tokio::test]
async fn a_damaged_version_is_damage_and_no_newer_version() {
    let state_dir = tempfile::tempdir().unwrap();
    let segments = journal(state_dir.path()).await;
    rewrite(&segments[0], |bytes| bytes[4] = 9);
    rewrite(&state_dir.path().join("journal/web/cursor.default"), |bytes| {
        bytes[4] = 9;
    });
    assert_eq!(newer(state_dir.path(), "web"), None);
    Journals::start(settings(state_dir.path(), SMALL))
        .unwrap()
        .open("web", &[])
        .unwrap();
}

#[test]
fn what_is_not_there_or_no_file_is_nothing_newer() {
    let state_dir = tempfile::tempdir().unwrap();
    assert_eq!(newer(state_dir.path(), "web"), None);
    let dir = state_dir.path().join("journal/web");
    std::fs::create_dir_all(dir.join("00000000000000000000.seg")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("cursor.default"), rustix::fs::Mode::RWXU).unwrap();
    assert_eq!(newer(state_dir.path(), "web"), None);
}
