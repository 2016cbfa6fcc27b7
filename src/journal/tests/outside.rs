//! A look into a journal from outside.

use std::path::{Path, PathBuf};

use super::super::inspect::{InspectError, discard, export, inspect, verify};
use super::super::{BatchKind, DEFAULT_CURSOR, Journals, NewBatch, Position};
use super::shell::{batch, settings};
use crate::state_dir::StateDir;

async fn fill(state_dir: &Path) -> Journals {
    let journals = Journals::start(settings(state_dir, 1024 * 1024)).unwrap();
    let journal = journals.open("web").unwrap();
    for number in 0..30 {
        journal.append(batch(number, 10_000)).await.unwrap();
    }
    let too_long = NewBatch {
        kind: BatchKind::TooLong { length: 99 },
        ..batch(30, 5)
    };
    journal.append(too_long).await.unwrap();
    journal.advance(DEFAULT_CURSOR, Position(2 * 10_032 + 32 + 7));
    journals
}

fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("journal/web")
}

#[tokio::test]
async fn a_journal_can_be_looked_into_while_a_daemon_runs_but_not_discarded() {
    let state_dir = tempfile::tempdir().unwrap();
    let _daemon = StateDir::lock(state_dir.path()).unwrap();
    let journals = fill(state_dir.path()).await;
    let dir = dir(state_dir.path());
    let verified = verify(&dir).unwrap();
    assert_eq!(
        (verified.batches, verified.bytes, verified.damage.len()),
        (31, 300_005, 0)
    );
    assert!(matches!(discard(&dir), Err(InspectError::InUse(_))));
    journals.stop();
    let found = inspect(&dir).unwrap();
    assert_eq!(found.cursors[DEFAULT_CURSOR], Some(Position(20_103)));
    assert_eq!(found.backlog_bytes, 30 * 10_032 + 37 - 20_103);
    assert!(found.segments.len() > 2 && found.foreign.is_empty());
}

#[tokio::test]
async fn what_is_not_delivered_is_exported_as_it_came() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let mut out = Vec::new();
    let exported = export(&dir(state_dir.path()), None, &mut out).unwrap();
    assert_eq!((exported.batches, exported.too_long), (28, 1));
    let wanted: Vec<u8> = (2..30_u8).flat_map(|number| vec![number; 10_000]).skip(7).collect();
    assert!(out == wanted, "{} bytes, not {}", out.len(), wanted.len());
    let mut all = Vec::new();
    assert_eq!(
        export(&dir(state_dir.path()), Some(Position(0)), &mut all)
            .unwrap()
            .bytes,
        300_000
    );
}

#[tokio::test]
async fn damage_is_told_from_an_unfinished_end() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let dir = dir(state_dir.path());
    let segments = inspect(&dir).unwrap().segments;
    let mut first = std::fs::read(&segments[0].path).unwrap();
    first[500] ^= 1;
    std::fs::write(&segments[0].path, first).unwrap();
    let last = segments.last().unwrap();
    let mut torn = std::fs::read(&last.path).unwrap();
    torn.truncate(torn.len() - 1);
    std::fs::write(&last.path, torn).unwrap();
    let verified = verify(&dir).unwrap();
    assert_eq!(verified.batches, 29);
    assert_eq!(verified.damage.len(), 1);
    assert_eq!(verified.damage[0].1.position, Position(0));
    assert_eq!(verified.unfinished.unwrap().bytes, 36);
}

#[tokio::test]
async fn a_journal_is_discarded_whole_and_nothing_else_is() {
    let state_dir = tempfile::tempdir().unwrap();
    fill(state_dir.path()).await.stop();
    let dir = dir(state_dir.path());
    for wrong in [
        state_dir.path().to_owned(),
        state_dir.path().join("journal"),
        dir.join("nothing"),
    ] {
        assert!(
            matches!(discard(&wrong), Err(InspectError::NoJournal(_))),
            "{}",
            wrong.display()
        );
    }
    assert_eq!(discard(&dir).unwrap(), 30 * 10_032 + 37);
    assert!(!dir.exists() && state_dir.path().join("journal").exists());
}
