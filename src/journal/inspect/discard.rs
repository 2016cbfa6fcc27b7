//! Throws away what a journal holds.
//!
//! The cursors stay, moved to the end and durable there before anything is removed: so no position is used twice, the ids in
//! `dedup/STREAM/` go on meaning what they meant (each is of a hit that was delivered), and an interruption leaves a journal from which
//! nothing is forwarded twice or in part.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::files::{Files, SystemFiles};
use super::super::recovery::beyond_all;
use super::super::segment::FileName;
use super::super::store::{SEGMENT_BYTES, Store, StoreSettings, Trouble};
use super::{InspectError, Place, failed};
use crate::state_dir::{StateDir, StateDirError};

/// A journal on which no daemon runs, and none can start.
#[derive(Debug)]
pub struct Held {
    place: Place,
    _state_dir: StateDir,
    settings: StoreSettings,
}

/// Keeps daemons away from the journal, for as long as the returned value lives.
///
/// # Errors
/// Refuses while a daemon runs, and for any user but the one that owns the journal.
pub fn hold(place: &Place) -> Result<Held, InspectError> {
    let dir = &place.dir;
    let state_dir = place
        .state_dir()
        .ok_or_else(|| InspectError::NotInStateDir(dir.clone()))?;
    let owner = std::fs::metadata(dir).map_err(failed(dir))?.uid();
    if rustix::process::geteuid().as_raw() != owner {
        return Err(InspectError::NotTheOwner {
            path: dir.clone(),
            owner,
        });
    }
    let locked = StateDir::lock(state_dir).map_err(|error| match error {
        StateDirError::InUse(path) => InspectError::InUse(path),
        StateDirError::Unusable(path, error) => failed(&path)(error),
    })?;
    Ok(Held {
        settings: StoreSettings {
            dir: dir.clone(),
            quarantine: state_dir.join("quarantine"),
            segment_bytes: SEGMENT_BYTES,
            if_unknown: beyond_all(SystemTime::now()),
        },
        place: place.clone(),
        _state_dir: locked,
    })
}

/// Removes all that the journal holds, delivered or not, for good. Returns how many bytes that were. What lies in quarantine stays.
pub fn discard(held: &Held) -> Result<u64, InspectError> {
    let files = Arc::new(SystemFiles);
    // As a daemon would: then its next position is the one that comes after everything that is or was here.
    let mut store = Store::open(files, held.settings.clone())?;
    move_cursors(&mut store).map_err(InspectError::NotMoved)?;
    drop(store);
    let mut bytes = 0;
    let dir = &held.place.dir;
    for entry in SystemFiles.list(dir).map_err(failed(dir))? {
        match FileName::of(&entry.name) {
            FileName::Segment { .. } if !entry.is_dir => {
                let path = dir.join(&entry.name);
                SystemFiles.unlink(&path).map_err(failed(&path))?;
                bytes += entry.bytes;
            }
            FileName::Segment { .. } | FileName::Cursor(_) | FileName::Foreign => {}
        }
    }
    SystemFiles.sync_dir(dir).map_err(failed(dir))?;
    Ok(bytes)
}

/// Moves all cursors to the end, durably.
fn move_cursors(store: &mut Store) -> Result<(), Trouble> {
    let end = store.end();
    let names: Vec<String> = store.cursors().into_keys().collect();
    // As a daemon would make it, if there is none.
    let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
    store.settle_cursors(&outputs)?;
    for name in store.cursors().keys() {
        store.write_cursor(name, end)?;
    }
    let synced = store.begin_sync(true).run(&SystemFiles, store.dir());
    store.end_sync(synced)?;
    if store.durably_passed() < end {
        // Not reached: all was synced.
        return Err(Trouble::DiskFailing(
            io::Error::other("a cursor did not move").to_string(),
        ));
    }
    Ok(())
}
