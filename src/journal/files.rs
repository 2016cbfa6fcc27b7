//! The few file operations that the journal is made of. Tests put a disk in their place that loses, tears and refuses.
//!
//! Promise: no operation does more than its name says. What must be durable when is decided above, in plain sight.

use std::fmt::Debug;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::state_dir::{PRIVATE_DIR, PRIVATE_FILE};

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// The length of a file.
    pub bytes: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is a regular file: no link, pipe or device either.
    pub is_file: bool,
}

/// The space of the file system under a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write, in bytes.
    pub free: u64,
    /// All there is, in bytes.
    pub total: u64,
}

/// Directories and names.
pub trait Files: Debug + Send + Sync {
    /// Makes a directory for this user alone. One that is there already is no error.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes an empty file for this user alone. One that is there already is an error.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// Opens a file to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// Opens a file to read only.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// What is in a directory, sorted by name. Names that are no UTF-8 are none of ours, and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which names are in a directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How much space there is.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// A file that is open.
pub trait OpenFile: Debug + Send + Sync {
    /// Writes at `offset`, and says how many bytes it wrote: maybe not all.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Reads at `offset`, and says how many bytes it read: maybe not all, and none at the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Makes what was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file off.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// How long it is.
    fn length(&self) -> io::Result<u64>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(PRIVATE_DIR).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            made => made,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(PRIVATE_FILE);
        Ok(Arc::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(std::fs::File::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Gone since, as happens to those who look while a daemon runs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            entries.push(Entry {
                name,
                bytes: metadata.len(),
                is_dir: metadata.is_dir(),
                is_file: metadata.is_file(),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Space {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

impl OpenFile for std::fs::File {
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::pwritev(self, parts, offset)?)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Writes all of `bytes` at `offset`.
pub fn write_all_at(file: &dyn OpenFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, &[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads from `offset` until `into` is full or the file ends, and says how many bytes that were.
pub fn read_full_at(file: &dyn OpenFile, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(offset + filled as u64, &mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_written_in_parts_and_read_at_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = SystemFiles.create(&path).unwrap();
        assert!(SystemFiles.create(&path).is_err(), "it is there already");
        let written = file
            .write_at(0, &[IoSlice::new(b"one "), IoSlice::new(b"two")])
            .unwrap();
        assert_eq!((written, file.length().unwrap()), (7, 7));
        write_all_at(&*file, 4, b"three").unwrap();
        file.sync().unwrap();
        SystemFiles.sync_dir(dir.path()).unwrap();
        let mut into = [0; 20];
        let read = read_full_at(&*SystemFiles.open_to_read(&path).unwrap(), 2, &mut into).unwrap();
        assert_eq!(&into[..read], b"e three");
        file.truncate(3).unwrap();
        let entries = SystemFiles.list(dir.path()).unwrap();
        assert_eq!((entries[0].name.as_str(), entries[0].bytes), ("a", 3));
    }

    #[test]
    fn nobody_else_may_look() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let private = dir.path().join("d");
        SystemFiles.make_dir(&private).unwrap();
        SystemFiles.make_dir(&private).unwrap();
        SystemFiles.create(&private.join("f")).unwrap();
        assert_eq!((mode(&private), mode(&private.join("f"))), (0o700, 0o600));
    }

    #[test]
    fn the_space_of_a_disk_is_told() {
        let space = SystemFiles.space(&std::env::temp_dir()).unwrap();
        assert!(space.free > 0 && space.free <= space.total);
    }
}
