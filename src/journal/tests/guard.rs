//! What guards a cursor: nothing is in the cursor's file before its guard has stored what belongs before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::inspect::inspect;
use super::super::{CursorGuard, DEFAULT_CURSOR, Journal, Journals, Position};
use super::shell::{batch, settings};

/// Looks at the cursor's file each time that it is called: it may say no more than what was known at the call before.
#[derive(Debug)]
struct Witness {
    dir: PathBuf,
    journal: Arc<Journal>,
    known: AtomicU64,
    stores: AtomicU64,
    syncs: AtomicU64,
    too_early: AtomicU64,
}

fn cursor_on_disk(dir: &Path) -> Position {
    let cursors = inspect(dir).unwrap().cursors;
    cursors
        .get(DEFAULT_CURSOR)
        .map_or(Position(0), |cursor| cursor.position())
}

impl Witness {
    fn look(&self) {
        let early = cursor_on_disk(&self.dir).0 > self.known.load(Ordering::SeqCst);
        self.too_early.fetch_add(u64::from(early), Ordering::SeqCst);
    }
}

impl CursorGuard for Witness {
    fn store(&self) {
        self.look();
        self.known
            .store(self.journal.cursor(DEFAULT_CURSOR).unwrap().0, Ordering::SeqCst);
        self.stores.fetch_add(1, Ordering::SeqCst);
    }

    fn sync(&self) {
        self.look();
        self.syncs.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_cursor_is_on_disk_only_after_its_guard_has_stored_what_belongs_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 1024 * 1024)).unwrap();
    let journal = Arc::new(journals.open("web", &[]).unwrap());
    let witness = Arc::new(Witness {
        dir: dir.path().join("journal/web"),
        journal: journal.clone(),
        known: AtomicU64::new(0),
        stores: AtomicU64::new(0),
        syncs: AtomicU64::new(0),
        too_early: AtomicU64::new(0),
    });
    assert!(journal.guard_cursor(DEFAULT_CURSOR, Some(witness.clone())).is_none());
    // Until the threads have been round often enough, however slow they are.
    let mut number = 0;
    while witness.stores.load(Ordering::SeqCst) < 50 {
        let position = journal.append(batch(number, 100)).await.unwrap();
        journal.advance(DEFAULT_CURSOR, position.plus(132));
        number += 1;
    }
    assert!(journals.stop(), "all is durable");
    assert_eq!(witness.too_early.load(Ordering::SeqCst), 0);
    assert!(
        witness.syncs.load(Ordering::SeqCst) > 0,
        "the cursor was made durable at the end, if not before"
    );
    assert_eq!(cursor_on_disk(&witness.dir), journal.end());
    assert!(journal.guard_cursor(DEFAULT_CURSOR, None).is_some());
}
