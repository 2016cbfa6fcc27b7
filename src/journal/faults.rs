//! What is wrong on disk: each fault as it is found, their numbers since the journal was opened, and whether it can be read just now.

use std::io;
use std::path::PathBuf;

use super::Position;
use super::walk::Damage;

/// What is wrong on disk, or was. Each is reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The journal ended in something that is no whole batch, as after a crash. It was cut off.
    Cut {
        /// What was cut off.
        damage: Damage,
        /// Where it is kept, unless it was nothing but zeros.
        kept: Option<PathBuf>,
    },
    /// In the middle of a segment there is something that is no batch. The segment will be set aside.
    Damaged {
        /// The segment's file.
        segment: String,
        /// What is no batch.
        damage: Damage,
    },
    /// A segment with damage was set aside, after all had passed it.
    SetAside {
        /// Where it is now.
        to: PathBuf,
    },
    /// A segment's file is not there any more. Nobody here has removed it.
    Missing {
        /// The segment's file.
        segment: String,
        /// How many bytes it had.
        bytes: u64,
    },
    /// A cursor's file is not one: its stream goes on at the oldest batch.
    CursorUnreadable {
        /// The cursor.
        name: String,
        /// Where a copy of the file is.
        kept: PathBuf,
    },
    /// A cursor was there that no output has: it was removed, so that it holds nothing back.
    CursorNotWanted {
        /// The cursor.
        name: String,
        /// How much of what is held it had not passed, in bytes.
        bytes: u64,
        /// Where a copy of the file is, if it could not be read.
        kept: Option<PathBuf>,
        /// Why its file is still there, if it is. The next start tries again.
        left: Option<String>,
    },
    /// A sync failed. What it was for may not survive a power loss.
    NotSynced {
        /// Where that begins.
        from: Position,
        /// Where it ends.
        to: Position,
        /// What the system said.
        error: String,
    },
}

/// What was found wrong with a journal since it was opened. Each was logged too; numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFaults {
    /// How often the journal ended in something that was no whole batch, as after a crash, and was cut off there.
    pub cuts: u64,
    /// How many bytes that were.
    pub cut_bytes: u64,
    /// Bytes in the middle that are no batch, and are passed over.
    pub damaged_bytes: u64,
    /// Segments with damage that were set aside, after all had passed them.
    pub segments_set_aside: u64,
    /// Segments that are gone, and nobody here has removed them.
    pub segments_missing: u64,
    /// How many bytes those had.
    pub missing_bytes: u64,
    /// Cursors that could not be read.
    pub cursors_unreadable: u64,
    /// Bytes that were appended and could not be made durable: a power loss may take them.
    pub unsynced_bytes: u64,
}

impl JournalFaults {
    /// Each number with its name, for labels and JSON.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        let Self {
            cuts,
            cut_bytes,
            damaged_bytes,
            segments_set_aside,
            segments_missing,
            missing_bytes,
            cursors_unreadable,
            unsynced_bytes,
        } = *self;
        [
            ("cuts", cuts),
            ("cut_bytes", cut_bytes),
            ("damaged_bytes", damaged_bytes),
            ("segments_set_aside", segments_set_aside),
            ("segments_missing", segments_missing),
            ("missing_bytes", missing_bytes),
            ("cursors_unreadable", cursors_unreadable),
            ("unsynced_bytes", unsynced_bytes),
        ]
    }

    /// Counts one more.
    pub fn count(&mut self, fault: &Fault) {
        match fault {
            Fault::Cut { damage, .. } => {
                self.cuts += 1;
                self.cut_bytes += damage.bytes;
            }
            Fault::Damaged { damage, .. } => self.damaged_bytes += damage.bytes,
            Fault::SetAside { .. } => self.segments_set_aside += 1,
            Fault::Missing { bytes, .. } => {
                self.segments_missing += 1;
                self.missing_bytes += bytes;
            }
            Fault::CursorUnreadable { .. } => self.cursors_unreadable += 1,
            // Nothing of what is wanted is wrong.
            Fault::CursorNotWanted { .. } => {}
            Fault::NotSynced { from, to, .. } => self.unsynced_bytes += to.since(*from),
        }
    }
}

/// Whether readings from disk fail. A reading is tried again and again, and its trouble is one until there is a good one of the same place.
#[derive(Debug, Default)]
pub struct ReadTrouble(Option<(Position, String)>);

impl ReadTrouble {
    /// A reading of what stands at `at` has failed. Says whether that is news.
    pub fn failed(&mut self, at: Position, error: &io::Error) -> bool {
        let begins = self.0.is_none();
        let at = self.0.as_ref().map_or(at, |(first, _)| *first);
        self.0 = Some((at, error.to_string()));
        begins
    }

    /// Everything from `from` to `to` was read. Says whether that ends the trouble.
    pub fn read(&mut self, from: Position, to: Position) -> bool {
        let ended = self.0.take_if(|(at, _)| (from..to).contains(at));
        ended.is_some()
    }

    /// What the system says, if readings fail.
    pub fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_fails_again_and_again_is_news_once_and_so_is_its_end() {
        let (mut trouble, eio) = (ReadTrouble::default(), io::Error::from_raw_os_error(5));
        assert!(!trouble.read(Position(0), Position(9)), "there was none");
        let news: Vec<bool> = (0..3).map(|_| trouble.failed(Position(7), &eio)).collect();
        assert_eq!(news, [true, false, false]);
        assert!(trouble.text().is_some_and(|text| text.contains("os error 5")));
        // Another reader that gets on elsewhere is not the end of it, nor is one that fails elsewhere another.
        assert!(!trouble.read(Position(0), Position(7)) && !trouble.read(Position(8), Position(20)));
        assert!(!trouble.failed(Position(30), &eio));
        assert!(trouble.read(Position(3), Position(8)));
        assert!(trouble.text().is_none() && trouble.failed(Position(30), &eio));
    }
}
