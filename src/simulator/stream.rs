//! One stream that is open: when which records are written, what is made to go wrong, and how it ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::body::Body;
use super::faults::StreamFault;
use super::hits::OddId;
use super::ledger_entries::{End, EndedBy};
use super::random::Random;
use super::settings::AtTotal;
use super::slots::Ending;
use super::socket::{Gone, Socket};
use super::source::Due;
use super::wire;
use super::world::{Stream, World};

/// The most records of one fault that are written at once.
const MOST_AT_ONCE: usize = 64;

/// An accepted stream whose head is written.
pub(super) struct Connection<'a> {
    world: &'a World,
    stream: &'a Stream,
    number: u64,
    socket: Socket,
    random: Random,
    body: Body<'a>,
    due: Vec<Due>,
}

/// The client went before the service ended the answer.
struct ClientGone;

impl From<Gone> for ClientGone {
    fn from(_: Gone) -> Self {
        Self
    }
}

impl From<std::io::Error> for ClientGone {
    /// The compressor refused its input, which it never does: the connection is given up as if the client had gone.
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "the simulator could not compress what it made");
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
        let mut random = Random::new(world.seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let body = Body::new(stream.settings.body, &stream.maker, Random::new(random.next()));
        Self {
            world,
            stream,
            number,
            socket,
            random,
            body,
            due: Vec::new(),
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
            let (mut fault, calm) = {
                let mut state = self.stream.state();
                (state.next_stream_fault(), state.is_calm())
            };
            if calm {
                chaos_at = None;
            }
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
            if !self.due.is_empty() {
                self.due.drain(..).for_each(|due| self.body.add_hit_and_company(due));
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
                biased;
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
            StreamFault::CorruptChunk if !self.stream.settings.body.chunked => {
                return self.cut_short(by, Closing::Cut).await;
            }
            StreamFault::CorruptChunk => return Ok(last(by, wire::BROKEN_CHUNK.to_vec(), Closing::Finish)),
            StreamFault::CorruptGzip => {
                self.note_victim().await;
                let bytes = self.body.corrupt()?;
                return Ok(last(by, bytes, Closing::Finish));
            }
            StreamFault::TruncatedGzip => {
                self.note_victim().await;
                let bytes = self.body.truncated()?;
                return Ok(last(by, bytes, Closing::Finish));
            }
            StreamFault::WrongTrailer => return Ok(last(by, self.body.wrong_ending()?, Closing::Finish)),
            StreamFault::Stall { lasts } => return self.stall(lasts, poke).await,
            StreamFault::Garbage { kind, times } => self.several(times, |it| it.body.add_garbage(kind)).await?,
            StreamFault::Empty { times } => self.several(times, |it| it.body.add_empty()).await?,
            StreamFault::OddIds { times } => {
                let odd = [OddId::Missing, OddId::Text, OddId::TooLarge, OddId::Doubled];
                let mut turn = odd.iter().cycle();
                self.several(times, |it| {
                    if let Some(odd) = turn.next() {
                        let due = it.victim();
                        it.body.add_odd(due, *odd);
                    }
                })
                .await?;
            }
            StreamFault::Oversized { bytes } => {
                let due = self.victim();
                self.body.add_oversized(due, bytes);
                self.send_batch().await?;
            }
            StreamFault::Twin => {
                let before = self.stream.state().source.last_sent(1).pop();
                let due = before.unwrap_or_else(|| self.victim());
                self.body.add_twin(due);
                self.send_batch().await?;
            }
            StreamFault::Repeat { records } => {
                let again = self.stream.state().source.last_sent(records);
                for part in again.chunks(MOST_AT_ONCE) {
                    for due in part {
                        self.body.add_hit(*due);
                    }
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
                biased;
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
        self.note_victim().await;
        Ok(last(by, self.body.cut_short()?, how))
    }

    /// Notes a record of which only a part will be written.
    async fn note_victim(&mut self) {
        let due = self.victim();
        self.body.add_hit(due);
        self.world.ledger.begins(self.number, self.body.entries()).await;
    }

    /// Ends the answer as it should be, with the gzip trailer or not.
    fn orderly_end(&mut self, by: EndedBy, trailer: bool) -> Result<Last, ClientGone> {
        let bytes = self.body.ending(trailer)?;
        // Without chunked coding the trailer alone tells an end from a cut (protocol notes, section 5).
        Ok(Last {
            by,
            bytes,
            orderly: trailer || self.stream.settings.body.chunked,
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
        state.source.pull(now, self.number, most, &mut self.due);
        (state.source.next_due(), state.source.is_exhausted(self.number))
    }

    fn victim(&self) -> Due {
        self.stream.state().source.victim(self.world.ledger.now(), self.number)
    }

    async fn several(&mut self, times: u32, mut add: impl FnMut(&mut Self)) -> Result<(), ClientGone> {
        for number in 1..=times {
            add(self);
            if number == times || self.body.entries().len() >= MOST_AT_ONCE {
                self.send_batch().await?;
            }
        }
        Ok(())
    }

    /// Notes the batch, hands it to the kernel, and notes that it is whole.
    async fn send_batch(&mut self) -> Result<(), ClientGone> {
        self.body.pack()?;
        self.world.ledger.begins(self.number, self.body.entries()).await;
        self.socket.send(self.body.bytes()).await?;
        self.batch_is_whole().await;
        Ok(())
    }

    async fn batch_is_whole(&mut self) {
        self.world
            .ledger
            .wrote(self.number, self.body.entries().len() as u64)
            .await;
        self.body.clear();
    }

    async fn send_slowly(&mut self, pause: Duration) -> Result<(), ClientGone> {
        let due = self.victim();
        self.body.add_hit(due);
        self.body.pack()?;
        self.world.ledger.begins(self.number, self.body.entries()).await;
        for byte in self.body.bytes().chunks(1) {
            self.socket.send(byte).await?;
            if !pause.is_zero() {
                tokio::select! {
                    biased;
                    gone = self.socket.gone() => return Err(gone.into()),
                    () = sleep(pause) => {}
                }
            }
        }
        self.batch_is_whole().await;
        Ok(())
    }
}

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
