//! The body of one answer: records into gzip into chunks. Nothing here touches a socket or the ledger.

use std::io;

use super::faults::Garbage;
use super::hits::{HitId, HitMaker, OddId};
use super::ledger_entries::{RecordEntry, RecordKind, fingerprint};
use super::random::Random;
use super::settings::{BodyStyle, LineEnd};
use super::source::Due;
use super::wire::{self, GzipWriter};

/// For records that have no id, or none that can be used.
const NO_ID: HitId = HitId { high: 0, low: 0 };

/// Writes a body, batch by batch: records are added, then [`Self::pack`] makes the bytes of them.
pub(super) struct Body<'a> {
    style: BodyStyle,
    maker: &'a HitMaker,
    gzip: GzipWriter,
    random: Random,
    raw: Vec<u8>,
    packed: Vec<u8>,
    entries: Vec<RecordEntry>,
    wire: Vec<u8>,
    in_member: u32,
}

impl<'a> Body<'a> {
    /// Nothing written yet.
    pub(super) fn new(style: BodyStyle, maker: &'a HitMaker, random: Random) -> Self {
        Self {
            style,
            maker,
            gzip: GzipWriter::new(),
            random,
            raw: Vec::new(),
            packed: Vec::new(),
            entries: Vec::new(),
            wire: Vec::new(),
            in_member: 0,
        }
    }

    /// The records of the batch.
    pub(super) fn entries(&self) -> &[RecordEntry] {
        &self.entries
    }

    /// The bytes that [`Self::pack`] made.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.wire
    }

    /// Begins the next batch.
    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.entries.clear();
    }

    /// Adds a hit.
    pub(super) fn add_hit(&mut self, due: Due) {
        let start = self.raw.len();
        self.maker.write(due.number, due.time, &mut self.raw);
        let kind = if due.repeat {
            RecordKind::Repeat
        } else {
            RecordKind::Hit
        };
        self.close_record(start, self.maker.id(due.number), kind);
    }

    /// Adds a hit, and now and then an empty record after it.
    pub(super) fn add_hit_and_company(&mut self, due: Due) {
        self.add_hit(due);
        if self.random.once_in(u64::from(self.style.empty_every)) {
            self.add_empty();
        }
    }

    /// Adds an empty record.
    pub(super) fn add_empty(&mut self) {
        self.close_record(self.raw.len(), NO_ID, RecordKind::Empty);
    }

    /// Adds a hit whose ids cannot be used.
    pub(super) fn add_odd(&mut self, due: Due, odd: OddId) {
        let start = self.raw.len();
        self.maker.write_odd(due.number, due.time, odd, &mut self.raw);
        self.close_record(start, NO_ID, RecordKind::OddId);
    }

    /// Adds a hit of at least so many bytes.
    pub(super) fn add_oversized(&mut self, due: Due, bytes: usize) {
        let start = self.raw.len();
        self.maker.write_long(due.number, due.time, bytes, &mut self.raw);
        self.close_record(start, self.maker.id(due.number), RecordKind::Oversized);
    }

    /// Adds a hit with the id of this one, and other bytes.
    pub(super) fn add_twin(&mut self, due: Due) {
        let start = self.raw.len();
        self.maker.write(due.number, due.time, &mut self.raw);
        // One more field, different for every twin, makes the bytes others.
        self.raw.pop();
        let twin = format!(",\"twin\":{}}}", self.random.next());
        self.raw.extend_from_slice(twin.as_bytes());
        self.close_record(start, self.maker.id(due.number), RecordKind::Twin);
    }

    /// Adds a record that is no hit.
    pub(super) fn add_garbage(&mut self, kind: Garbage) {
        let start = self.raw.len();
        // A number makes each one different, so that each can be found again.
        let number = self.random.next();
        match kind {
            Garbage::Text => self
                .raw
                .extend_from_slice(format!("upstream connect error {number}").as_bytes()),
            Garbage::Array => self
                .raw
                .extend_from_slice(format!("[{{\"hitIdHigh\":{number}}}]").as_bytes()),
            Garbage::Truncated => {
                self.raw
                    .extend_from_slice(format!("{{\"pageName\":\"{number}\",\"hitIdHi").as_bytes());
            }
            Garbage::InvalidUtf8 => {
                self.raw
                    .extend_from_slice(format!("{{\"number\":{number},\"pageName\":\"").as_bytes());
                self.raw.extend_from_slice(b"caf\xE9 \xFF\"}");
            }
        }
        self.close_record(start, NO_ID, RecordKind::Garbage);
    }

    /// Compresses and frames the batch; all of it can be inflated from what [`Self::bytes`] then gives.
    pub(super) fn pack(&mut self) -> io::Result<()> {
        self.packed.clear();
        self.gzip.write(&self.raw, &mut self.packed)?;
        self.in_member = self.in_member.saturating_add(self.entries.len() as u32);
        if self.style.member_every > 0 && self.in_member >= self.style.member_every {
            self.in_member = 0;
            self.gzip.finish(&mut self.packed)?;
        } else {
            self.gzip.flush(&mut self.packed)?;
        }
        self.wire.clear();
        if self.style.chunked {
            wire::chunks(&self.packed, &mut self.random, &mut self.wire);
        } else {
            self.wire.extend_from_slice(&self.packed);
        }
        Ok(())
    }

    /// The end of the body as it should be, with the gzip trailer or not.
    pub(super) fn ending(&mut self, trailer: bool) -> io::Result<Vec<u8>> {
        self.packed.clear();
        if trailer {
            self.gzip.finish(&mut self.packed)?;
        }
        Ok(self.framed(true))
    }

    /// The end of the body with a checksum that is wrong.
    pub(super) fn wrong_ending(&mut self) -> io::Result<Vec<u8>> {
        self.packed.clear();
        self.gzip.finish_wrongly(&mut self.packed)?;
        Ok(self.framed(true))
    }

    /// The batch up to the middle of its compressed bytes, and of the chunk that they are in.
    pub(super) fn cut_short(&mut self) -> io::Result<Vec<u8>> {
        // A record's last bytes come last in its compressed form, so that half of it cannot hold the whole record.
        self.packed.clear();
        self.gzip.write(&self.raw, &mut self.packed)?;
        self.gzip.flush(&mut self.packed)?;
        let mut bytes = Vec::with_capacity(self.packed.len());
        if self.style.chunked {
            wire::chunk_head(self.packed.len(), &mut bytes);
        }
        bytes.extend_from_slice(self.packed.get(..self.packed.len() / 2).unwrap_or_default());
        Ok(bytes)
    }

    /// Half of the batch's records, then compressed bytes that no inflater accepts.
    pub(super) fn corrupt(&mut self) -> io::Result<Vec<u8>> {
        self.half()?;
        self.packed.extend_from_slice(wire::BROKEN_BLOCK);
        Ok(self.framed(false))
    }

    /// Half of the batch's records, then the end of the chunked coding.
    pub(super) fn truncated(&mut self) -> io::Result<Vec<u8>> {
        self.half()?;
        Ok(self.framed(true))
    }

    fn half(&mut self) -> io::Result<()> {
        self.packed.clear();
        self.gzip
            .write(self.raw.get(..self.raw.len() / 2).unwrap_or_default(), &mut self.packed)?;
        self.gzip.flush(&mut self.packed)
    }

    fn framed(&self, last: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.packed.len() + 16);
        if self.style.chunked {
            wire::chunk(&self.packed, &mut bytes);
            if last {
                bytes.extend_from_slice(wire::LAST_CHUNK);
            }
        } else {
            bytes.extend_from_slice(&self.packed);
        }
        bytes
    }

    fn close_record(&mut self, start: usize, id: HitId, kind: RecordKind) {
        let record = self.raw.get(start..).unwrap_or_default();
        self.entries.push(RecordEntry {
            id,
            fingerprint: fingerprint(record),
            kind,
        });
        let bare = match self.style.line_end {
            LineEnd::CrLf => false,
            LineEnd::Lf => true,
            LineEnd::Mixed => self.random.once_in(2),
        };
        let line_end: &[u8] = if bare { b"\n" } else { b"\r\n" };
        self.raw.extend_from_slice(line_end);
    }
}
