//! The daemon's directory on disk: made private, and held by one daemon at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

mod too_new;

pub use too_new::TooNew;

/// The mode of directories: they hold hits and URLs, nobody else's business.
pub const PRIVATE_DIR: u32 = 0o700;
/// The mode of files, likewise.
pub const PRIVATE_FILE: u32 = 0o600;

/// `state_dir`, locked. The lock is the kernel's (`flock`) and ends with the process, however that ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why `state_dir` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another daemon holds it. Two would not see each other's connections.
    #[error("state_dir {0} is in use by another livestreamd: stop that one, or give this one a state_dir of its own")]
    InUse(PathBuf),
    /// It cannot be made, or written to.
    #[error("state_dir {0} cannot be used ({1}): it must be a directory that this user may write to")]
    Unusable(PathBuf, io::Error),
}

impl StateDir {
    /// Makes the directory if it is missing, and locks it.
    pub fn lock(path: &Path) -> Result<Self, StateDirError> {
        let unusable = |error| StateDirError::Unusable(path.to_owned(), error);
        make_private_dir(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .write(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(path.join("lock"));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory, and those above it, for this user alone. One that is there already stays as it is.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(path)
}

/// Opens a file to read it. Anything but a regular file is an error: a pipe would block.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Writes a whole file so that after a crash there is the old one or the new one, never a part: a temporary file, synced, renamed
/// over the old one, and the directory synced. Returns when it is durable. Whatever stood in the temporary file's place is gone, and
/// what could not be written leaves nothing there.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Half a file is of no use, and where the disk is full its space is.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    // A new one: otherwise a link would be written through, and a pipe waited for.
    let mut options = OpenOptions::new();
    let mut file = options.create_new(true).write(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_daemon_on_one_state_dir_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = StateDir::lock(&path).unwrap();
        assert!(matches!(StateDir::lock(&path), Err(StateDirError::InUse(_))));
        drop(first);
        let again = StateDir::lock(&path).unwrap();
        assert_eq!(
            std::fs::metadata(again.path()).unwrap().permissions().mode() & 0o777,
            PRIVATE_DIR
        );
        assert_eq!(
            std::fs::metadata(path.join("lock")).unwrap().permissions().mode() & 0o777,
            PRIVATE_FILE
        );
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        for content in ["long content", "short"] {
            write_durably(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            PRIVATE_FILE
        );
    }

    #[test]
    fn what_stands_in_the_temporary_file_s_place_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("x.json"), dir.path().join("other"));
        fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("x.tmp")).unwrap();
        write_durably(&path, b"content").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("x.json/not-empty")).unwrap();
        assert!(write_durably(&dir.path().join("x.json"), b"content").is_err());
        assert!(!dir.path().join("x.tmp").exists());
    }
}
