//! A cursor on disk: the file `cursor.NAME`, of two places that are written in turn.
//!
//! ```text
//!  0        4         5      8           16        20       32
//!  | magic  | version | 0 0 0 | position | CRC-32C | zeros  | the same again
//! ```
//!
//! The version is 1 in `cursor.default`, and 2 in all others: a livestreamd that knows of no further outputs would read their cursors, never
//! move them, and so fill the journal. It refuses them instead.
//!
//! Magic, version and CRC-32C stay where they are in the places of every version to come, so that a newer cursor can be told from a broken
//! one. The CRC-32C is of the sixteen bytes before it, and the cursor is the later of the two positions. Promise: the place that holds what
//! is durable is never written to, so whatever becomes of a write, the cursor is what it was or what was written. So a cursor can be noted
//! at once, in one small write that a kill survives, and made durable when that is worth a sync.

use std::io;
use std::sync::Arc;

use super::files::{OpenFile, read_full_at, write_all_at};
use super::{DEFAULT_CURSOR, Position};

const MAGIC: [u8; 4] = *b"\xFFLSC";
/// The newest version that is written. This one and all before it are read.
pub const VERSION: u8 = 2;
/// The version of the default cursor.
const OF_DEFAULT: u8 = 1;
const PLACE_BYTES: usize = 32;

/// What a cursor file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing was ever written.
    Empty,
    /// Where the cursor stands, and in which place that is written.
    Cursor(Position, usize),
    /// Something was written, and is no cursor.
    Unreadable,
    /// A newer livestreamd has written it, in this version.
    TooNew(u8),
}

/// Understands the content of a cursor file.
pub fn read(bytes: &[u8]) -> Content {
    let mut content = if bytes.iter().all(|byte| *byte == 0) {
        Content::Empty
    } else {
        Content::Unreadable
    };
    for (index, place) in bytes.chunks(PLACE_BYTES).take(2).enumerate() {
        match (read_place(place), content) {
            (Some(Ok(position)), Content::Cursor(other, _)) if position <= other => {}
            (Some(Ok(position)), _) => content = Content::Cursor(position, index),
            (Some(Err(version)), _) => return Content::TooNew(version),
            (None, _) => {}
        }
    }
    content
}

fn read_place(place: &[u8]) -> Option<Result<Position, u8>> {
    let place: &[u8; PLACE_BYTES] = place.try_into().ok()?;
    let (version, mut position, mut crc) = (place[4], [0; 8], [0; 4]);
    position.copy_from_slice(&place[8..16]);
    crc.copy_from_slice(&place[16..20]);
    let ours = place[..4] == MAGIC && u32::from_le_bytes(crc) == crc32c::crc32c(&place[..16]);
    match version {
        _ if !ours => None,
        1..=VERSION => Some(Ok(Position(u64::from_le_bytes(position)))),
        // Nobody has ever written that.
        0 => None,
        newer => Some(Err(newer)),
    }
}

fn place_of(position: Position, version: u8) -> [u8; PLACE_BYTES] {
    let mut place = [0; PLACE_BYTES];
    place[..4].copy_from_slice(&MAGIC);
    place[4] = version;
    place[8..16].copy_from_slice(&position.0.to_le_bytes());
    let crc = crc32c::crc32c(&place[..16]);
    place[16..20].copy_from_slice(&crc.to_le_bytes());
    place
}

/// A cursor file, open.
#[derive(Debug)]
pub struct CursorFile {
    file: Arc<dyn OpenFile>,
    version: u8,
    /// What the next start would read, if the daemon is killed now.
    written: Position,
    /// What it would read after a power loss.
    durable: Position,
    /// Which place holds that.
    durable_place: usize,
    /// Whether the file's name is durable.
    pub named: bool,
    is_begun: bool,
}

/// A cursor file that is to be made durable.
#[derive(Clone, Debug)]
pub struct CursorSync {
    /// The file.
    pub file: Arc<dyn OpenFile>,
    /// What it says.
    pub written: Position,
}

impl CursorFile {
    /// A new file for the cursor of this name, in which nothing is written.
    pub fn new(name: &str, file: Arc<dyn OpenFile>) -> Self {
        Self {
            file,
            version: if name == DEFAULT_CURSOR { OF_DEFAULT } else { VERSION },
            written: Position::default(),
            durable: Position::default(),
            durable_place: 1,
            named: false,
            is_begun: false,
        }
    }

    /// Reads a file, and makes durable what it says: it may have been written by a daemon that was killed before it was. What is shown may
    /// even be what the system has failed to write, and never tries to write again unless it is told to.
    pub fn open(name: &str, file: Arc<dyn OpenFile>) -> io::Result<(Self, Content)> {
        let mut bytes = [0; 2 * PLACE_BYTES];
        let read_bytes = read_full_at(&*file, 0, &mut bytes)?;
        let content = read(&bytes[..read_bytes]);
        let mut cursor = Self::new(name, file);
        if let Content::Cursor(position, place) = content {
            cursor.write_place(place, position)?;
        }
        cursor.file.sync()?;
        cursor.is_begun = content != Content::Empty;
        if let Content::Cursor(position, place) = content {
            cursor.written = position;
            cursor.durable = position;
            cursor.durable_place = place;
        }
        Ok((cursor, content))
    }

    /// Writes where a cursor begins, into a file in which nothing is written. It counts when it is synced and [`Self::begun`] says so: until
    /// then nothing may rely on it. Of the default cursor an empty file says that it stands at the beginning, and always has.
    pub fn begin(&mut self, position: Position) -> io::Result<CursorSync> {
        if position > Position::default() || self.version != OF_DEFAULT {
            self.write_place(1 - self.durable_place, position)?;
            self.is_begun = true;
        }
        self.written = position;
        Ok(CursorSync {
            file: self.file.clone(),
            written: position,
        })
    }

    /// What [`Self::begin`] wrote is durable, and so is the file's name.
    pub fn begun(&mut self, position: Position) {
        self.named = true;
        if self.is_begun {
            self.durable = position;
            self.durable_place = 1 - self.durable_place;
        }
    }

    /// Whether something is written in the file, be it that nobody can read it.
    pub const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Notes a later position. It survives a kill from now on.
    pub fn write(&mut self, position: Position) -> io::Result<()> {
        if position > self.written {
            let place = 1 - self.durable_place;
            self.write_place(place, position)?;
            self.written = position;
            self.is_begun = true;
        }
        Ok(())
    }

    fn write_place(&self, place: usize, position: Position) -> io::Result<()> {
        let bytes = place_of(position, self.version);
        write_all_at(&*self.file, (place * PLACE_BYTES) as u64, &bytes)
    }

    /// The position that survives a kill.
    pub const fn written(&self) -> Position {
        self.written
    }

    /// The position that survives a power loss.
    pub const fn durable(&self) -> Position {
        self.durable
    }

    /// What there is to make durable, if anything.
    pub fn unsynced(&self) -> Option<CursorSync> {
        (self.written > self.durable).then(|| CursorSync {
            file: self.file.clone(),
            written: self.written,
        })
    }

    /// The file was synced when it said `written`.
    pub fn synced(&mut self, written: Position) {
        // If it says something later by now, that stands in the same place and may be torn: it counts when it is synced itself. Until
        // then both places must stay as they are, which `write` sees to only if nothing was written meanwhile.
        if written > self.durable && written == self.written {
            self.durable = written;
            self.durable_place = 1 - self.durable_place;
        }
    }

    /// A sync failed: what the file says beyond the durable position is to be written again.
    pub fn sync_failed(&mut self) {
        self.written = self.durable;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::files::{Files, SystemFiles};
    use super::*;

    #[test]
    fn the_durable_place_is_never_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cursor.default");
        let mut cursor = CursorFile::new(DEFAULT_CURSOR, SystemFiles.create(&path).unwrap());
        let mut last = Position(0);
        for round in 1..20_u64 {
            let durable_before = cursor.durable();
            // Several writes between two syncs.
            for step in 0..round % 4 {
                cursor.write(Position(round * 10 + step)).unwrap();
                let mut torn = std::fs::read(&path).unwrap();
                let place = (1 - cursor.durable_place) * PLACE_BYTES;
                torn[place..]
                    .iter_mut()
                    .take(PLACE_BYTES)
                    .for_each(|byte| *byte ^= 0x55);
                let survives = match read(&torn) {
                    Content::Cursor(position, _) => position,
                    Content::Empty | Content::Unreadable => Position(0),
                    Content::TooNew(version) => panic!("{version}"),
                };
                assert_eq!(survives, durable_before);
            }
            if let Some(sync) = cursor.unsynced() {
                sync.file.sync().unwrap();
                cursor.synced(sync.written);
                last = sync.written;
            }
            assert_eq!(cursor.durable(), last);
        }
        let (again, content) = CursorFile::open(DEFAULT_CURSOR, SystemFiles.open(&path).unwrap()).unwrap();
        assert_eq!((again.durable(), again.unsynced().is_none()), (last, true));
        assert!(matches!(content, Content::Cursor(position, _) if position == last));
    }

    #[test]
    fn a_cursor_that_moved_during_its_sync_is_not_taken_for_durable() {
        let dir = tempfile::tempdir().unwrap();
        let mut cursor = CursorFile::new("c", SystemFiles.create(&dir.path().join("c")).unwrap());
        cursor.write(Position(5)).unwrap();
        let sync = cursor.unsynced().unwrap();
        cursor.write(Position(6)).unwrap();
        cursor.synced(sync.written);
        assert_eq!(cursor.durable(), Position(0));
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut place = place_of(Position(4), 1);
        place[4] = 3;
        let crc = crc32c::crc32c(&place[..16]);
        place[16..20].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read(&place), Content::TooNew(3));
        place[4] = 1;
        assert_eq!(read(&place), Content::Unreadable);
        // Beside an older place as well: that one is the cursor of before.
        place[4] = 3;
        for both in [
            [place_of(Position(9), 1), place].concat(),
            [place, place_of(Position(9), 1)].concat(),
        ] {
            assert_eq!(read(&both), Content::TooNew(3));
        }
        place[4] = 0;
        let crc = crc32c::crc32c(&place[..16]);
        place[16..20].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read(&place), Content::Unreadable, "nobody writes version 0");
    }

    #[test]
    fn a_cursor_at_the_beginning_is_told_from_one_that_was_made_and_never_written() {
        let dir = tempfile::tempdir().unwrap();
        for (name, version) in [(DEFAULT_CURSOR, 1), ("bots", 2)] {
            let path = dir.path().join(name);
            let mut cursor = CursorFile::new(name, SystemFiles.create(&path).unwrap());
            let open = || CursorFile::open(name, SystemFiles.open(&path).unwrap()).unwrap();
            let (empty, content) = open();
            assert_eq!((empty.is_begun(), content), (false, Content::Empty));
            let sync = cursor.begin(Position(0)).unwrap();
            cursor.begun(sync.written);
            assert!(cursor.named);
            assert_eq!(
                open().0.is_begun(),
                version > 1,
                "of the default one it makes no difference"
            );
            for position in [0, 7, 9].map(Position) {
                cursor.write(position).unwrap();
                assert_eq!(open().0.written(), position);
            }
            assert_eq!(std::fs::read(&path).unwrap()[4], version);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_cursor_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(matches!(read(&bytes), Content::Unreadable | Content::Empty));
        }
    }
}
