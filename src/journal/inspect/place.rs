//! Which journals a directory means: that of one stream, or all under a `state_dir`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::super::files::{Entry, Files, SystemFiles};
use super::super::segment::{FileName, is_cursor_name};
use super::{InspectError, failed};

/// Where the journals are, in a `state_dir`.
const JOURNALS: &str = "journal";

/// The journal of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stream, by the directory's name.
    pub stream: String,
    /// The directory.
    pub dir: PathBuf,
}

/// What a directory means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its journals, by name.
    pub journals: Vec<Place>,
    /// Whether it is the journal of one stream itself.
    pub is_one: bool,
    /// What lies among the journals and is none.
    pub foreign: Vec<String>,
}

impl Place {
    /// The journal in this directory.
    pub fn new(dir: PathBuf) -> Self {
        let stream = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { stream, dir }
    }

    /// The daemon's directory, if the journal is in one and not a copy somewhere else.
    pub fn state_dir(&self) -> Option<&Path> {
        let journals = self.dir.parent().filter(|parent| is_named_journal(parent))?;
        journals.parent()
    }
}

/// Finds out what `dir` means. It is judged by what is in it, then by its name and what lies above.
pub fn find(dir: &Path) -> Result<Places, InspectError> {
    let no_journal = || InspectError::NoJournal(dir.to_owned());
    let found = dir.canonicalize().and_then(|path| Ok((SystemFiles.list(&path)?, path)));
    let (entries, path) = match found {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(no_journal());
        }
        Err(error) => return Err(failed(dir)(error)),
    };
    let has_lock = |dir: Option<&Path>| dir.is_some_and(|dir| dir.join("lock").exists());
    let parent = path.parent();
    let lies_in_journals = parent.is_some_and(is_named_journal);
    if entries.iter().any(is_of_a_journal) || lies_in_journals && has_lock(parent.and_then(Path::parent)) {
        return Ok(one(path));
    }
    if is_named_journal(&path) && has_lock(parent) {
        return Ok(all(&path, entries));
    }
    if entries.iter().any(|entry| entry.is_dir && entry.name == JOURNALS) {
        let journals = path.join(JOURNALS);
        let entries = SystemFiles.list(&journals).map_err(failed(&journals))?;
        return Ok(all(&journals, entries));
    }
    match () {
        () if lies_in_journals => Ok(one(path)),
        () if is_named_journal(&path) => Ok(all(&path, entries)),
        () => Err(no_journal()),
    }
}

fn one(dir: PathBuf) -> Places {
    Places {
        journals: vec![Place::new(dir)],
        is_one: true,
        foreign: Vec::new(),
    }
}

fn all(journals: &Path, entries: Vec<Entry>) -> Places {
    // Streams have the same alphabet as cursors.
    let is_one = |entry: &Entry| entry.is_dir && is_cursor_name(&entry.name);
    let (ours, foreign): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_one);
    let ours = ours.into_iter().map(|entry| Place::new(journals.join(entry.name)));
    Places {
        journals: ours.collect(),
        is_one: false,
        foreign: foreign.into_iter().map(|entry| entry.name).collect(),
    }
}

fn is_named_journal(dir: &Path) -> bool {
    dir.file_name() == Some(OsStr::new(JOURNALS))
}

fn is_of_a_journal(entry: &Entry) -> bool {
    match FileName::of(&entry.name) {
        FileName::Segment { .. } | FileName::Cursor(_) => true,
        FileName::Foreign => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What `dir` means: the streams, and whether it is one itself. None if it is no journal.
    fn meant(dir: &Path) -> Option<(Vec<String>, bool)> {
        let places = find(dir).ok()?;
        let streams = places.journals.into_iter().map(|place| place.stream);
        Some((streams.collect(), places.is_one))
    }

    fn made(parts: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for part in parts {
            let path = dir.path().join(part);
            if part.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
        }
        dir
    }

    #[test]
    fn a_state_dir_its_journals_and_one_of_them_are_told_apart() {
        let dir = made(&[
            "lock",
            "journal/web/cursor.default",
            "journal/app/",
            "journal/Other/",
            "leases/",
        ]);
        let all = Some((vec!["app".to_owned(), "web".to_owned()], false));
        assert_eq!(meant(dir.path()), all);
        assert_eq!(meant(&dir.path().join("journal")), all);
        assert_eq!(find(dir.path()).unwrap().foreign, ["Other"]);
        for name in ["web", "app"] {
            let one = Some((vec![name.to_owned()], true));
            assert_eq!(meant(&dir.path().join("journal").join(name)), one);
        }
        for wrong in ["leases", "journal/none", "lock"] {
            assert_eq!(meant(&dir.path().join(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_stream_and_a_state_dir_may_be_called_journal_too() {
        let dir = made(&["journal/lock", "journal/journal/journal/", "journal/journal/web/"]);
        let all = Some((vec!["journal".to_owned(), "web".to_owned()], false));
        assert_eq!(meant(&dir.path().join("journal/journal")), all);
        assert_eq!(meant(&dir.path().join("journal")), all);
        let one = Some((vec!["journal".to_owned()], true));
        assert_eq!(meant(&dir.path().join("journal/journal/journal")), one);
    }

    #[test]
    fn a_copy_of_a_journal_is_one_but_in_no_state_dir() {
        let dir = made(&["backup/00000000000000000000.seg"]);
        let places = find(&dir.path().join("backup")).unwrap();
        assert!(places.is_one && places.journals[0].state_dir().is_none());
    }
}
