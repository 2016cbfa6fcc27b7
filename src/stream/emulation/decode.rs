//! A reading of our own of what the client was handed, by the slow way and all at once: it shares no code with the client, nor with the
//! simulator.

use flate2::{Decompress, FlushDecompress, Status};

/// A record, as it has to stand in the journal.
#[derive(Clone, PartialEq, Eq)]
pub enum Item {
    /// With its line end.
    Whole(Vec<u8>),
    /// Too long: its length without the line end, and its beginning.
    TooLong(u64, Vec<u8>),
}

/// How many bytes of a record that is too long are kept.
const KEPT: usize = 4_096;

/// The status of an answer, if its first line came.
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.get(..12)?.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// The whole records of an answer to a request for a stream, with their line ends. None if it is no stream that can be read.
pub fn records(answer: &[u8]) -> Vec<Vec<u8>> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Vec::new();
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if status(answer) != Some(200) || !head.contains("\r\ncontent-encoding: gzip") {
        return Vec::new();
    }
    let body = &answer[end + 4..];
    let packed = if head.contains("\r\ntransfer-encoding: chunked") {
        dechunked(body)
    } else {
        body.to_vec()
    };
    let plain = inflated(&packed);
    let whole = plain.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    plain[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// What the journal has to hold of a record.
pub fn kept(record: &[u8], most: usize) -> Item {
    let bare = bare(record);
    if bare.len() > most {
        Item::TooLong(bare.len() as u64, bare[..KEPT.min(bare.len())].to_vec())
    } else {
        Item::Whole(record.to_vec())
    }
}

/// A record without its line end.
pub fn bare(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// Up to the last chunk, or to where it is none.
fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(line) = body.windows(2).position(|pair| pair == b"\r\n") {
        let Some(length) = std::str::from_utf8(&body[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok())
        else {
            break;
        };
        body = &body[line + 2..];
        bytes.extend_from_slice(&body[..length.min(body.len())]);
        if length == 0 || body.len() < length + 2 {
            break;
        }
        body = &body[length + 2..];
    }
    bytes
}

/// Member after member, up to where it is damaged or ends.
fn inflated(mut packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some(data) = after_header(packed) {
        let mut inflate = Decompress::new(false);
        let before = plain.len();
        let mut room = vec![0; 1 << 16];
        loop {
            let (read, written) = (inflate.total_in() as usize, inflate.total_out() as usize);
            let outcome = inflate.decompress(&data[read..], &mut room, FlushDecompress::None);
            let count = inflate.total_out() as usize - written;
            plain.extend_from_slice(&room[..count]);
            let moved = count > 0 || inflate.total_in() as usize > read;
            match outcome {
                Ok(Status::Ok | Status::BufError) if moved => {}
                Ok(Status::StreamEnd) => break,
                Ok(_) | Err(_) => return plain,
            }
        }
        let trailer = &data[inflate.total_in() as usize..];
        let Some((trailer, rest)) = trailer.split_at_checked(8) else {
            return plain;
        };
        let mut crc = flate2::Crc::new();
        crc.update(&plain[before..]);
        if trailer[..4] != crc.sum().to_le_bytes() {
            return plain;
        }
        packed = rest;
    }
    plain
}

/// What follows the header of a member, if all of that has come.
fn after_header(packed: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = packed.split_at_checked(10)?;
    let [0x1f, 0x8b, 8, flags, ..] = fixed else { return None };
    if flags & 8 != 0 {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = &rest[end + 1..];
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}
