//! A look into journals from outside: for `livestreamd journal inspect|verify|export|discard DIR`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`place`] | which journals a directory means |
//! | [`contents`] | what a journal is made of |
//! | [`reading`] | all of its batches: checked, or written out |
//! | [`discard`] | throwing away what it holds |
//!
//! Promise: nothing but [`discard`] changes anything, and that only while no daemon runs. The others may run beside one: segments that
//! are unlinked meanwhile are passed over, and what a daemon is writing just now is no fault. Whatever lies in the directories,
//! nothing here hangs or takes more memory than the largest whole batch does; only regular files are opened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use thiserror::Error;

use super::files::OpenFile;
use super::recovery::OpenError;
use super::store::Trouble;

pub mod contents;
pub mod discard;
pub mod place;
pub mod reading;

pub use contents::{CursorInfo, Inspection, Kept, SegmentInfo, inspect};
pub use discard::{Held, discard, hold};
pub use place::{Place, Places, find};
pub use reading::{Beginning, Exported, Verification, export, verify};

/// Why a journal cannot be looked into, or not be discarded.
#[derive(Debug, Error)]
pub enum InspectError {
    /// There is none.
    #[error("{} is no journal: give a directory such as STATE_DIR/journal/STREAM, or STATE_DIR", .0.display())]
    NoJournal(PathBuf),
    /// It is not where the journals of a daemon are.
    #[error(
        "{} is not the journal of one stream under a state_dir: give a directory such as STATE_DIR/journal/STREAM", .0.display()
    )]
    NotInStateDir(PathBuf),
    /// The daemon runs.
    #[error("a livestreamd runs on {}: stop it first", .0.display())]
    InUse(PathBuf),
    /// What this user would make there, the daemon's could not use.
    #[error("{} belongs to the user with the id {owner}: run this as that user, for example by sudo -u '#{owner}'", path.display())]
    NotTheOwner {
        /// The journal.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// This user may not look.
    #[error("{} may not be read by this user: run this as the user that livestreamd runs as", .0.display())]
    Denied(PathBuf),
    /// The daemon could not open it either.
    #[error(transparent)]
    NotOpened(#[from] OpenError),
    /// The cursors could not be moved, so nothing was removed.
    #[error("nothing was discarded: {0}")]
    NotMoved(Trouble),
    /// What was to be written out was not taken.
    #[error("{0}")]
    Output(io::Error),
    /// The disk refused something.
    #[error("{}: {error}", path.display())]
    Disk {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// What went wrong at this path.
fn failed(path: &Path) -> impl Fn(io::Error) -> InspectError + '_ {
    |error| {
        let path = path.to_owned();
        if error.kind() == io::ErrorKind::PermissionDenied {
            InspectError::Denied(path)
        } else {
            InspectError::Disk { path, error }
        }
    }
}

/// Opens a regular file to read, and nothing else: no link, and no pipe, which would wait for somebody to write.
fn open_regular(path: &Path) -> io::Result<Arc<dyn OpenFile>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(Arc::new(file))
}
