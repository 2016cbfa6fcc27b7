//! Writing one stream: records into gzip into chunks into the socket, and whatever is made to go wrong on the way.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::faults::{Garbage, StreamFault};
use super::hits::{HitId, OddId};
use super::ledger::{End, EndedBy, RecordEntry, RecordKind, fingerprint};
use super::random::Random;
use super::settings::{AtTotal, LineEnd};
use super::slots::Ending;
use super::socket::{Gone, Socket};
use super::source::Due;
use super::wire::{self, GzipWriter};
use super::world::{Stream, World};

/// The most records of one fault that are written at once.
const MOST_AT_ONCE: usize = 64;

/// An accepted stream whose head is written.
pub(super) struct Connection<'a> {
    world: &'a World,
    stream: &'a Stream,
    number: u64,
    socket: Socket,
    gzip: GzipWriter,
    random: Random,
    batch: Batch,
    wire: Vec<u8>,
    records_in_member: u32,
}

/// Records that are written together.
#[derive(Default)]
struct Batch {
    due: Vec<Due>,
    raw: Vec<u8>,
    packed: Vec<u8>,
    entries: Vec<RecordEntry>,
}

/// The client went before the service ended the answer.
struct ClientGone;

impl From<Gone> for ClientGone {
    fn from(_: Gone) -> Self {
        Self
    }
}

/// What the loop does next.
enum Next {
    GoOn,
    /// This ends it.
    End(Last),
}

/// How the service ends an answer.
struct Last {
    by: EndedBy,
    /// Written after the end is noted.
    bytes: Vec<u8>,
    orderly: bool,
    how: Closing,
}

#[derive(Clone, Copy)]
enum Closing {
    Finish,
    Cut,
    Reset,
}

impl<'a> Connection<'a> {
    /// Takes a connection over once it was admitted and its head written.
    pub(super) fn new(world: &'a World, stream: &'a Stream, number: u64, socket: Socket) -> Self {
        Self {
            world,
            stream,
            number,
            socket,
            gzip: GzipWriter::new(),
            random: Random::new(world.seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93)),
            batch: Batch::default(),
            wire: Vec::new(),
            records_in_member: 0,
        }
    }

    /// Streams until somebody ends it, and notes the end.
    pub(super) async fn run(mut self, silent: bool, token_until: Option<Duration>) {
        match self.stream_hits(silent, token_until).await {
            Ok(last) => self.end(last).await,
            Err(ClientGone) => note_client_gone(self.world, self.stream, self.number).await,
        }
    }

    async fn stream_hits(&mut self, silent: bool, token_until: Option<Duration>) -> Result<Last, ClientGone> {
        let mut poke = self.stream.poke.subscribe();
        let chaos = self.stream.settings.chaos.clone();
        let mut chaos_at = chaos
            .as_ref()
            .map(|it| self.world.ledger.now() + self.random.waiting_time(it.mean_interval));
        if silent && let Next::End(last) = self.stall(None, &mut poke).await? {
            return Ok(last);
        }
        loop {
            poke.borrow_and_update();
            let now = self.world.ledger.now();
            if self.world.is_stopping() {
                return self.orderly_end(EndedBy::Stop, true);
            }
            if token_until.is_some_and(|until| until <= now) {
                return self.orderly_end(EndedBy::Token, true);
            }
            let mut fault = self.stream.state().next_stream_fault();
            if let (None, Some(chaos), Some(at)) = (&fault, &chaos, chaos_at)
                && at <= now
            {
                fault = self.random.pick(&chaos.faults).cloned();
                chaos_at = Some(now + self.random.waiting_time(chaos.mean_interval));
            }
            if let Some(fault) = fault {
                match self.strike(fault, &mut poke).await? {
                    Next::GoOn => continue,
                    Next::End(last) => return Ok(last),
                }
            }
            let most = self
                .random
                .between(1, u64::from(self.stream.settings.body.batch.max(1))) as usize;
            let (next_due, exhausted) = self.pull(now, most);
            if !self.batch.due.is_empty() {
                self.add_due();
                self.send_batch().await?;
                continue;
            }
            if exhausted && self.stream.settings.at_total == AtTotal::Close {
                return self.orderly_end(EndedBy::Total, true);
            }
            let wake = [next_due.map(|wait| now + wait), chaos_at, token_until]
                .into_iter()
                .flatten()
                .min();
            let wake = wake.map(|at| self.world.ledger.instant(at));
            tokio::select! {
                () = self.world.stopping() => {}
                _ = poke.changed() => {}
                gone = self.socket.gone() => return Err(gone.into()),
                () = async { match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }} => {}
            }
        }
    }

    /// Lets a fault happen.
    async fn strike(&mut self, fault: StreamFault, poke: &mut watch::Receiver<u64>) -> Result<Next, ClientGone> {
        tracing::debug!(
            stream = self.stream.settings.name,
            connection = self.number,
            fault = fault.name(),
            "fault"
        );
        let by = EndedBy::Fault(fault.name());
        match fault {
            StreamFault::Close { trailer } => return self.orderly_end(by, trailer).map(Next::End),
            StreamFault::Cut => return self.cut_short(by, Closing::Cut).await,
            StreamFault::Reset => return self.cut_short(by, Closing::Reset).await,
            StreamFault::CutBetween => return Ok(last(by, Vec::new(), Closing::Cut)),
            StreamFault::CorruptChunk if !self.is_chunked() => return self.cut_short(by, Closing::Cut).await,
            StreamFault::CorruptChunk => return Ok(last(by, wire::BROKEN_CHUNK.to_vec(), Closing::Finish)),
            StreamFault::CorruptGzip => {
                // Half a record up to a byte boundary, then a block that does not exist.
                let half = self.half_victim().await;
                self.deflate(&half, true)?;
                self.batch.packed.extend_from_slice(wire::BROKEN_BLOCK);
                let bytes = self.framed_packed();
                return Ok(last(by, bytes, Closing::Finish));
            }
            StreamFault::TruncatedGzip => {
                let half = self.half_victim().await;
                self.deflate(&half, true)?;
                let mut bytes = self.framed_packed();
                self.last_chunk(&mut bytes);
                return Ok(last(by, bytes, Closing::Finish));
            }
            StreamFault::WrongTrailer => {
                self.batch.packed.clear();
                self.gzip
                    .finish_wrongly(&mut self.batch.packed)
                    .map_err(|error| broken(&error))?;
                let mut bytes = self.framed_packed();
                self.last_chunk(&mut bytes);
                return Ok(last(by, bytes, Closing::Finish));
            }
            StreamFault::Stall { lasts } => return self.stall(lasts, poke).await,
            StreamFault::Garbage { kind, times } => self.several(times, |it| it.add_garbage(kind)).await?,
            StreamFault::Empty { times } => self.several(times, Self::add_empty).await?,
            StreamFault::OddIds { times } => {
                let odd = [OddId::Missing, OddId::Text, OddId::TooLarge, OddId::Doubled];
                let mut turn = odd.iter().cycle();
                self.several(times, |it| {
                    if let Some(odd) = turn.next() {
                        it.add_odd(*odd);
                    }
                })
                .await?;
            }
            StreamFault::Oversized { bytes } => {
                self.add_oversized(bytes);
                self.send_batch().await?;
            }
            StreamFault::Twin => {
                self.add_twin();
                self.send_batch().await?;
            }
            StreamFault::Repeat { records } => {
                let again = self.stream.state().source.last_sent(records);
                for part in again.chunks(MOST_AT_ONCE) {
                    self.batch.due.extend_from_slice(part);
                    self.add_due();
                    self.send_batch().await?;
                }
            }
            StreamFault::Slow { records, pause } => {
                for _ in 0..records {
                    if self.world.is_stopping() {
                        break;
                    }
                    self.send_slowly(pause).await?;
                }
            }
        }
        Ok(Next::GoOn)
    }

    async fn stall(&mut self, lasts: Option<Duration>, poke: &mut watch::Receiver<u64>) -> Result<Next, ClientGone> {
        let until = lasts.map(|lasts| self.world.ledger.instant(self.world.ledger.now() + lasts));
        loop {
            poke.borrow_and_update();
            if self.world.is_stopping() || self.stream.state().has_stream_fault() {
                return Ok(Next::GoOn);
            }
            tokio::select! {
                () = self.world.stopping() => {}
                _ = poke.changed() => {}
                gone = self.socket.gone() => return Err(gone.into()),
                () = async { match until {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }} => return Ok(Next::GoOn),
            }
        }
    }

    /// Writes a part of one record and of one chunk, to be ended there.
    async fn cut_short(&mut self, by: EndedBy, how: Closing) -> Result<Next, ClientGone> {
        self.add_victim();
        self.world.ledger.begins(self.number, &self.batch.entries).await;
        let raw = std::mem::take(&mut self.batch.raw);
        // A record's last bytes come last in its compressed form, so that half of it cannot hold the whole record.
        self.deflate(&raw, true)?;
        self.batch.packed.truncate((self.batch.packed.len() / 2).max(1));
        self.batch.clear_records();
        let packed = std::mem::take(&mut self.batch.packed);
        let mut bytes = Vec::with_capacity(packed.len() + 8);
        if self.is_chunked() {
            // The chunk would have been twice as long.
            wire::chunk_head(packed.len() * 2, &mut bytes);
        }
        bytes.extend_from_slice(&packed);
        Ok(last(by, bytes, how))
    }

    /// Notes a record of which only the first half will be written, and returns that half.
    async fn half_victim(&mut self) -> Vec<u8> {
        self.add_victim();
        self.world.ledger.begins(self.number, &self.batch.entries).await;
        let mut raw = std::mem::take(&mut self.batch.raw);
        raw.truncate(raw.len() / 2);
        self.batch.clear_records();
        raw
    }

    /// Ends the answer as it should be, with the gzip trailer or not.
    fn orderly_end(&mut self, by: EndedBy, trailer: bool) -> Result<Last, ClientGone> {
        self.batch.packed.clear();
        if trailer {
            self.gzip
                .finish(&mut self.batch.packed)
                .map_err(|error| broken(&error))?;
        }
        let mut bytes = self.framed_packed();
        self.last_chunk(&mut bytes);
        // Without chunked coding the trailer alone tells an end from a cut (protocol notes, section 5).
        Ok(Last {
            by,
            bytes,
            orderly: trailer || self.is_chunked(),
            how: Closing::Finish,
        })
    }

    async fn end(self, last: Last) {
        let Self {
            world,
            stream,
            number,
            mut socket,
            ..
        } = self;
        // Before the client can know of it, so that nobody who waits long enough comes early by this clock.
        let at = world.ledger.now();
        note_end(world, stream, number, at, Ending::Made).await;
        world
            .ledger
            .ended(
                number,
                End {
                    at,
                    by: last.by,
                    orderly: last.orderly,
                    taken: None,
                },
            )
            .await;
        let taken = match (socket.send(&last.bytes).await, last.how) {
            (Err(Gone::Closed | Gone::Broken), _) => false,
            (Ok(()), Closing::Finish) => socket.finish(last.orderly && stream.settings.body.chunked).await,
            (Ok(()), Closing::Cut) => socket.cut().await,
            (Ok(()), Closing::Reset) => {
                socket.reset();
                false
            }
        };
        world.ledger.taken(number, taken).await;
    }

    /// Takes hits that are due into the batch. Returns when more are due, and whether there will never be any.
    fn pull(&mut self, now: Duration, most: usize) -> (Option<Duration>, bool) {
        let mut state = self.stream.state();
        state.source.pull(now, self.number, most, &mut self.batch.due);
        (state.source.next_due(), state.source.is_exhausted(self.number))
    }

    fn add_due(&mut self) {
        let due = std::mem::take(&mut self.batch.due);
        for due in &due {
            let start = self.batch.raw.len();
            self.stream.maker.write(due.number, due.time, &mut self.batch.raw);
            let kind = if due.repeat {
                RecordKind::Repeat
            } else {
                RecordKind::Hit
            };
            self.close_record(start, self.stream.maker.id(due.number), kind);
            if self.random.once_in(u64::from(self.stream.settings.body.empty_every)) {
                self.add_empty();
            }
        }
        self.batch.due = due;
        self.batch.due.clear();
    }

    fn add_victim(&mut self) {
        let due = self.victim();
        self.batch.due.push(due);
        self.add_due();
        // An empty record may have come along; only the victim is to be hit.
        self.batch.entries.truncate(1);
    }

    fn victim(&self) -> Due {
        self.stream.state().source.victim(self.world.ledger.now(), self.number)
    }

    fn add_empty(&mut self) {
        let start = self.batch.raw.len();
        self.close_record(start, NO_ID, RecordKind::Empty);
    }

    fn add_odd(&mut self, odd: OddId) {
        let due = self.victim();
        let start = self.batch.raw.len();
        self.stream
            .maker
            .write_odd(due.number, due.time, odd, &mut self.batch.raw);
        self.close_record(start, NO_ID, RecordKind::OddId);
    }

    fn add_oversized(&mut self, bytes: usize) {
        let due = self.victim();
        let start = self.batch.raw.len();
        self.stream
            .maker
            .write_long(due.number, due.time, bytes, &mut self.batch.raw);
        self.close_record(start, self.stream.maker.id(due.number), RecordKind::Oversized);
    }

    fn add_twin(&mut self) {
        let last = self.stream.state().source.last_sent(1).pop();
        let due = last.unwrap_or_else(|| self.victim());
        let start = self.batch.raw.len();
        self.stream.maker.write(due.number, due.time, &mut self.batch.raw);
        // One more field, different for every twin, makes the bytes others.
        self.batch.raw.pop();
        let twin = format!(",\"twin\":{}}}", self.random.next());
        self.batch.raw.extend_from_slice(twin.as_bytes());
        self.close_record(start, self.stream.maker.id(due.number), RecordKind::Twin);
    }

    fn add_garbage(&mut self, kind: Garbage) {
        let start = self.batch.raw.len();
        // A number makes each one different, so that each can be found again.
        let number = self.random.next();
        match kind {
            Garbage::Text => self
                .batch
                .raw
                .extend_from_slice(format!("upstream connect error {number}").as_bytes()),
            Garbage::Array => self
                .batch
                .raw
                .extend_from_slice(format!("[{{\"hitIdHigh\":{number}}}]").as_bytes()),
            Garbage::Truncated => {
                self.batch
                    .raw
                    .extend_from_slice(format!("{{\"pageName\":\"{number}\",\"hitIdHi").as_bytes());
            }
            Garbage::InvalidUtf8 => {
                self.batch
                    .raw
                    .extend_from_slice(format!("{{\"number\":{number},\"pageName\":\"").as_bytes());
                self.batch.raw.extend_from_slice(b"caf\xE9 \xFF\"}");
            }
        }
        self.close_record(start, NO_ID, RecordKind::Garbage);
    }

    fn close_record(&mut self, start: usize, id: HitId, kind: RecordKind) {
        let record = self.batch.raw.get(start..).unwrap_or_default();
        self.batch.entries.push(RecordEntry {
            id,
            fingerprint: fingerprint(record),
            kind,
        });
        let bare = match self.stream.settings.body.line_end {
            LineEnd::CrLf => false,
            LineEnd::Lf => true,
            LineEnd::Mixed => self.random.once_in(2),
        };
        let line_end: &[u8] = if bare { b"\n" } else { b"\r\n" };
        self.batch.raw.extend_from_slice(line_end);
    }

    async fn several(&mut self, times: u32, mut add: impl FnMut(&mut Self)) -> Result<(), ClientGone> {
        for number in 1..=times {
            add(self);
            if number == times || self.batch.entries.len() >= MOST_AT_ONCE {
                self.send_batch().await?;
            }
        }
        Ok(())
    }

    /// Notes the batch, hands it to the kernel, and notes that it is whole.
    async fn send_batch(&mut self) -> Result<(), ClientGone> {
        self.pack_batch()?;
        self.world.ledger.begins(self.number, &self.batch.entries).await;
        self.socket.send(&self.wire).await?;
        self.world
            .ledger
            .wrote(self.number, self.batch.entries.len() as u64)
            .await;
        self.batch.clear_records();
        Ok(())
    }

    async fn send_slowly(&mut self, pause: Duration) -> Result<(), ClientGone> {
        self.add_victim_and_company();
        self.pack_batch()?;
        self.world.ledger.begins(self.number, &self.batch.entries).await;
        let wire = std::mem::take(&mut self.wire);
        for byte in wire.chunks(1) {
            self.socket.send(byte).await?;
            if !pause.is_zero() {
                tokio::select! {
                    gone = self.socket.gone() => return Err(gone.into()),
                    () = sleep(pause) => {}
                }
            }
        }
        self.world
            .ledger
            .wrote(self.number, self.batch.entries.len() as u64)
            .await;
        self.batch.clear_records();
        Ok(())
    }

    fn add_victim_and_company(&mut self) {
        let due = self.victim();
        self.batch.due.push(due);
        self.add_due();
    }

    /// Compresses and frames the batch into `wire`.
    fn pack_batch(&mut self) -> Result<(), ClientGone> {
        let raw = std::mem::take(&mut self.batch.raw);
        self.records_in_member = self.records_in_member.saturating_add(self.batch.entries.len() as u32);
        let every = self.stream.settings.body.member_every;
        let ends_member = every > 0 && self.records_in_member >= every;
        self.deflate(&raw, !ends_member)?;
        if ends_member {
            self.records_in_member = 0;
            self.gzip
                .finish(&mut self.batch.packed)
                .map_err(|error| broken(&error))?;
        }
        self.batch.raw = raw;
        self.wire.clear();
        if self.is_chunked() {
            wire::chunks(&self.batch.packed, &mut self.random, &mut self.wire);
        } else {
            self.wire.extend_from_slice(&self.batch.packed);
        }
        Ok(())
    }

    fn deflate(&mut self, raw: &[u8], flush: bool) -> Result<(), ClientGone> {
        self.batch.packed.clear();
        let packed = &mut self.batch.packed;
        let mut deflate = || {
            self.gzip.write(raw, packed)?;
            if flush { self.gzip.flush(packed) } else { Ok(()) }
        };
        deflate().map_err(|error| broken(&error))
    }

    fn framed_packed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.batch.packed.len() + 16);
        if self.is_chunked() {
            wire::chunk(&self.batch.packed, &mut bytes);
        } else {
            bytes.extend_from_slice(&self.batch.packed);
        }
        bytes
    }

    fn last_chunk(&self, bytes: &mut Vec<u8>) {
        if self.is_chunked() {
            bytes.extend_from_slice(wire::LAST_CHUNK);
        }
    }

    const fn is_chunked(&self) -> bool {
        self.stream.settings.body.chunked
    }
}

impl Batch {
    fn clear_records(&mut self) {
        self.raw.clear();
        self.entries.clear();
    }
}

const NO_ID: HitId = HitId { high: 0, low: 0 };

/// Notes that an attempt or connection of a stream is over: its slot, and the hits that waited for it.
pub(super) async fn note_end(world: &World, stream: &Stream, number: u64, at: Duration, ending: Ending) {
    let early = {
        let mut state = stream.state();
        state.source.leave(at, number);
        state.slots.end(number, at, ending)
    };
    if let Some(early) = early {
        world.ledger.was_early(early).await;
    }
}

/// Notes that the client went.
pub(super) async fn note_client_gone(world: &World, stream: &Stream, number: u64) {
    let at = world.ledger.now();
    note_end(world, stream, number, at, Ending::Noticed).await;
    world
        .ledger
        .ended(
            number,
            End {
                at,
                by: EndedBy::Client,
                orderly: false,
                taken: None,
            },
        )
        .await;
}

fn last(by: EndedBy, bytes: Vec<u8>, how: Closing) -> Next {
    Next::End(Last {
        by,
        bytes,
        orderly: false,
        how,
    })
}

/// The compressor refused its input, which it never does; the connection is given up as if the client had gone.
fn broken(error: &std::io::Error) -> ClientGone {
    tracing::error!(%error, "the simulator could not compress what it made");
    ClientGone
}
