//! The bytes of an answer's body: gzip members and chunked coding, written by hand.
//!
//! Nothing here is shared with the reading side of livestreamd, so that one misunderstanding cannot hide in both.
//!
//! ```text
//! member   1f 8b 08 FLAGS 00000000 00 ff [name 00] [crc16] | deflate ... | crc32 (LE) length mod 2^32 (LE)
//! chunk    HEX-LENGTH CR LF  bytes  CR LF        last chunk  0 CR LF CR LF
//! ```

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::random::Random;

/// Ends the chunked coding.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// A chunk head that no reader may accept.
pub(super) const BROKEN_CHUNK: &[u8] = b"zz\r\nnot a chunk\r\n";
/// The start of a deflate block of the reserved type 3, on a byte boundary: every inflater must refuse it.
pub(super) const BROKEN_BLOCK: &[u8] = &[0x07, 0xFF, 0x55, 0xAA];

/// Header flag: a CRC-16 of the header follows it.
const HEADER_CRC: u8 = 0x02;
/// Header flag: a file name, ended by a zero, follows the header.
const NAME: u8 = 0x08;
/// The file name in every second member's header.
const MEMBER_NAME: &[u8] = b"livestream.json\0";
/// Room made in the output whenever it is full.
const ROOM: usize = 16 * 1024;

/// Writes gzip members one after the other. The next member begins by itself at the first byte after the last one's end.
#[derive(Debug)]
pub(super) struct GzipWriter {
    deflate: Compress,
    crc: Crc,
    inside: bool,
    members: u32,
}

impl GzipWriter {
    /// A writer in front of its first member.
    pub(super) fn new() -> Self {
        // Level 1: the service is not what is measured, and a burst should be limited by the client.
        Self {
            deflate: Compress::new(Compression::fast(), false),
            crc: Crc::new(),
            inside: false,
            members: 0,
        }
    }

    /// Takes bytes in. They may stay inside until [`Self::flush`] or [`Self::finish`].
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.crc.update(bytes);
        self.deflate(bytes, FlushCompress::None, out)
    }

    /// Brings everything out, so that all that was taken in can be inflated, and stands on a byte boundary.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.deflate(&[], FlushCompress::Sync, out)
    }

    /// Ends the member with its trailer.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.finish_with(0, out)
    }

    /// Ends the member with a trailer whose checksum is wrong.
    pub(super) fn finish_wrongly(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.finish_with(1, out)
    }

    fn finish_with(&mut self, crc_damage: u32, out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.deflate(&[], FlushCompress::Finish, out)?;
        out.extend_from_slice(&(self.crc.sum() ^ crc_damage).to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        self.deflate.reset();
        self.crc.reset();
        self.inside = false;
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.inside {
            return;
        }
        self.inside = true;
        let start = out.len();
        // Every second member carries the optional parts of a header, which a reader must step over.
        let named = self.members % 2 == 1;
        let flags = if named { NAME | HEADER_CRC } else { 0 };
        out.extend_from_slice(&[0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 0xFF]);
        if named {
            out.extend_from_slice(MEMBER_NAME);
            let mut crc = Crc::new();
            crc.update(&out[start..]);
            out.extend_from_slice(&(crc.sum() as u16).to_le_bytes());
        }
        self.members += 1;
    }

    fn deflate(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
        let ending = matches!(flush, FlushCompress::Finish);
        loop {
            if out.capacity() == out.len() {
                out.reserve(ROOM);
            }
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(bytes, out, flush).map_err(io::Error::other)?;
            let taken = (self.deflate.total_in() - before) as usize;
            bytes = bytes.get(taken..).unwrap_or_default();
            let done = if ending {
                status == Status::StreamEnd
            } else {
                // With room left over, nothing is waiting to come out.
                bytes.is_empty() && out.len() < out.capacity()
            };
            if done {
                return Ok(());
            }
        }
    }
}

/// Writes `bytes` as one chunk; an empty chunk would end the body, so nothing is written for no bytes.
pub(super) fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        chunk_head(bytes.len(), out);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the head of a chunk of this length.
pub(super) fn chunk_head(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

/// Writes `bytes` as one to three chunks, whose bounds have nothing to do with those of records.
pub(super) fn chunks(mut bytes: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..random.below(3) {
        let (first, rest) = bytes.split_at(random.between(0, bytes.len() as u64) as usize);
        chunk(first, out);
        bytes = rest;
    }
    chunk(bytes, out);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_independent_decoder_reads_every_member() {
        let mut gzip = GzipWriter::new();
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        let mut random = Random::new(3);
        for _ in 0..5 {
            for _ in 0..20 {
                let text = vec![b'a' + random.below(26) as u8; random.between(0, 40_000) as usize];
                gzip.write(&text, &mut packed).unwrap();
                gzip.flush(&mut packed).unwrap();
                plain.extend_from_slice(&text);
            }
            gzip.finish(&mut packed).unwrap();
        }
        let mut read = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..])
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, plain);
    }

    #[test]
    fn after_a_flush_everything_can_be_inflated() {
        let mut gzip = GzipWriter::new();
        let mut packed = Vec::new();
        let mut plain = Vec::new();
        for number in 0..200 {
            let record = format!("record {number} of the stream\r\n");
            gzip.write(record.as_bytes(), &mut packed).unwrap();
            gzip.flush(&mut packed).unwrap();
            plain.extend_from_slice(record.as_bytes());
            let mut read = Vec::new();
            // The stream has no end yet: the decoder says so after handing out all there is.
            flate2::read::GzDecoder::new(&packed[..])
                .read_to_end(&mut read)
                .unwrap_err();
            assert_eq!(read, plain);
        }
    }

    #[test]
    fn a_wrong_trailer_and_a_broken_block_are_refused() {
        let mut gzip = GzipWriter::new();
        let mut packed = Vec::new();
        gzip.write(b"text, and more of it", &mut packed).unwrap();
        gzip.flush(&mut packed).unwrap();
        let mut broken = packed.clone();
        broken.extend_from_slice(BROKEN_BLOCK);
        gzip.finish_wrongly(&mut packed).unwrap();
        for bytes in [packed, broken] {
            let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
            let mut read = [0; 4];
            decoder.read_exact(&mut read).unwrap();
            assert_eq!(&read, b"text");
            let error = decoder.read_to_end(&mut Vec::new()).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::UnexpectedEof, "damaged, not merely short");
        }
    }

    #[test]
    fn chunks_add_up_to_what_went_in() {
        let bytes: Vec<u8> = (0..5_000_u32).map(|number| number as u8).collect();
        let mut random = Random::new(9);
        for _ in 0..100 {
            let mut out = Vec::new();
            chunks(&bytes, &mut random, &mut out);
            let (mut rest, mut read) = (&out[..], Vec::new());
            while !rest.is_empty() {
                let line = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
                let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                assert_ne!(length, 0);
                read.extend_from_slice(&rest[line + 2..line + 2 + length]);
                rest = &rest[line + 4 + length..];
            }
            assert_eq!(read, bytes);
        }
    }
}
