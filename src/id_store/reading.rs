//! Reads a file of ids at a start, and takes out on the way what must not stay.
//!
//! What stays moves up over what does not, within the file and a chunk at a time, whatever its size. A crash meanwhile leaves some
//! entries twice, which means nothing, or damages one, which costs a duplicate at most; what should go and is still there goes at the
//! next start, because the cursor cannot have moved before this one is done.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Found;
use super::layout::{Header, PIECE_BYTES, Piece, decode, read_header};
use crate::dedup::Entry;
use crate::state_dir::open_regular;

/// How many entries are read at a time.
const CHUNK: usize = 1024;

/// Which entries stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Those of records before the cursor ...
    pub(super) before: u64,
    /// ... that were received at this time or later.
    pub(super) since_ms: u64,
}

/// A file that holds what stays, and no more.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) file: File,
    pub(super) entries: usize,
    /// When the first entry was received.
    pub(super) began_ms: Option<u64>,
}

/// Reads a file. `None` if there is none, or if it was of no use and is removed.
pub(super) fn read_file(
    path: &Path,
    kept: Kept,
    found: &mut Found,
    remember: &mut impl FnMut(Entry),
) -> io::Result<Option<Read>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    match first_piece(&file)? {
        Header::Known => {}
        Header::Newer(version) => return Err(io::Error::other(format!("it is of the newer version {version}"))),
        Header::Unreadable => {
            found.damaged += 1;
            return fs::remove_file(path).map(|()| None);
        }
    }
    let mut read = Read {
        file,
        entries: 0,
        began_ms: None,
    };
    let mut buffer = vec![0; CHUNK * PIECE_BYTES];
    let mut at = PIECE_BYTES as u64;
    let mut end = at;
    while at < length {
        let filled = read_up_to(&read.file, &mut buffer, at)?;
        if filled == 0 {
            break;
        }
        let (pieces, torn) = buffer[..filled].as_chunks::<PIECE_BYTES>();
        found.torn_bytes += torn.len() as u64;
        let staying = staying(pieces, kept, found, &mut read, remember);
        if end != at || staying.len() != filled {
            read.file.write_all_at(&staying, end)?;
        }
        at += filled as u64;
        end += staying.len() as u64;
    }
    if end != length {
        read.file.set_len(end)?;
    }
    // What an earlier daemon wrote may not be durable yet, and what this one has cut must be.
    read.file.sync_all()?;
    Ok(Some(read))
}

/// What a file begins with.
pub(super) fn header_of(path: &Path) -> io::Result<Header> {
    first_piece(&open_regular(path)?)
}

fn first_piece(file: &File) -> io::Result<Header> {
    let mut first = [0; PIECE_BYTES];
    Ok(match read_up_to(file, &mut first, 0)? {
        PIECE_BYTES => read_header(&first),
        _ => Header::Unreadable,
    })
}

fn staying(
    pieces: &[Piece],
    kept: Kept,
    found: &mut Found,
    read: &mut Read,
    remember: &mut impl FnMut(Entry),
) -> Vec<u8> {
    let mut staying = Vec::with_capacity(pieces.len() * PIECE_BYTES);
    for piece in pieces {
        match decode(piece) {
            None => found.damaged += 1,
            Some(entry) if entry.position >= kept.before => found.not_delivered += 1,
            Some(entry) if entry.received_ms < kept.since_ms => found.too_old += 1,
            Some(entry) => {
                found.kept += 1;
                read.entries += 1;
                read.began_ms.get_or_insert(entry.received_ms);
                staying.extend_from_slice(piece);
                remember(entry);
            }
        }
    }
    staying
}

/// When the last entry of a file was received, if that is undamaged.
pub(super) fn last_received_ms(path: &Path) -> io::Result<Option<u64>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let pieces = file.metadata()?.len() / PIECE_BYTES as u64;
    let mut last = [0; PIECE_BYTES];
    if pieces < 2 || read_up_to(&file, &mut last, (pieces - 1) * PIECE_BYTES as u64)? < PIECE_BYTES {
        return Ok(None);
    }
    Ok(decode(&last).map(|entry| entry.received_ms))
}

/// Fills the buffer from `offset` on, as far as the file goes.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
