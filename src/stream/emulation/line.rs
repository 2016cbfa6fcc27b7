//! One connection: two ends, and between them delay, partial reads and writes, single bytes, and the ways to lose it.
//!
//! It has no task of its own: everything happens when an end is polled, or wakes at the time for which something is due.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::tally::Tally;
use crate::simulator::{Pipe, Random};
use crate::upstream::Transport;

/// How a connection is lost by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Both ends are told; what was under way may be lost.
    Reset,
    /// The client is told that nothing more comes, behind all that was sent.
    Close,
    /// Nobody is told. What is sent vanishes, until the service gives up.
    Silence,
}

/// What a connection is like.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// How long a byte is under way, at least.
    pub delay: Duration,
    /// How much longer the service's first byte is.
    pub slow_head: Duration,
    /// How many bytes may be under way in one direction.
    pub window: usize,
    /// Lost after so many bytes of the service ...
    pub lost_after_bytes: Option<(usize, Loss)>,
    /// ... or after this time.
    pub lost_after: Option<(Duration, Loss)>,
}

/// What is known of a connection, for the judge.
#[derive(Clone, Debug)]
pub struct Record {
    /// The connection slot; nothing for a request for a token.
    pub slot: Option<u8>,
    /// When the client began to connect.
    pub asked: Instant,
    /// When the service accepted, by the simulator's clock.
    pub accepted: Duration,
    /// What the client wrote.
    pub wrote: Vec<u8>,
    /// What the client read.
    pub read: Vec<u8>,
    /// When the client closed it.
    pub closed: Option<Instant>,
    /// It was lost in silence.
    pub silent: bool,
    /// The daemon was killed while its journal took nothing: what was in hand then is gone.
    pub killed_with_a_full_journal: bool,
}

/// Shared by both ends, and by the network.
pub struct Line {
    nature: Nature,
    random: Random,
    tally: Tally,
    /// Toward the client, and toward the service.
    flows: [Flow; 2],
    /// From when on an end fails, and how.
    broken: [Option<(Instant, io::ErrorKind)>; 2],
    loss: Option<(Instant, Loss)>,
    sent: usize,
    vanishing: bool,
    pub record: Record,
}

const CLIENT: usize = 0;
const SERVICE: usize = 1;

/// One direction.
struct Flow {
    pieces: VecDeque<(Instant, VecDeque<u8>)>,
    under_way: usize,
    last_arrival: Instant,
    fin: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    reads: Grain,
    writes: Grain,
}

/// How many bytes go at once: for a stretch all, some, or one.
#[derive(Clone, Copy, Default)]
struct Grain {
    most: usize,
    left: usize,
}

impl Grain {
    fn next(&mut self, wanted: usize, random: &mut Random, tally: &Tally) -> usize {
        if self.left == 0 {
            (self.most, self.left) = match random.below(6) {
                0 => (1, 1 + random.below(120) as usize),
                1 | 2 => (1 + random.below(600) as usize, 1 + random.below(6_000) as usize),
                _ => (usize::MAX, 30_000),
            };
            if self.most == 1 {
                tally.note("network: single bytes");
            }
        }
        let count = wanted.min(self.most).min(self.left);
        self.left -= count;
        if count < wanted {
            tally.note("network: partial");
        }
        count
    }
}

impl Line {
    /// A connection that has just been made. Its two ends: the client's and the service's.
    pub fn open(nature: Nature, random: Random, tally: Tally, record: Record) -> (Arc<Mutex<Self>>, Wire, ServiceEnd) {
        let now = Instant::now();
        let flow = |slow: Duration| Flow {
            pieces: VecDeque::new(),
            under_way: 0,
            last_arrival: now + slow,
            fin: None,
            reader: None,
            writer: None,
            reads: Grain::default(),
            writes: Grain::default(),
        };
        let line = Arc::new(Mutex::new(Self {
            nature,
            random,
            tally,
            flows: [flow(nature.slow_head), flow(Duration::ZERO)],
            broken: [None; 2],
            loss: nature.lost_after.map(|(after, loss)| (now + after, loss)),
            sent: 0,
            vanishing: false,
            record,
        }));
        let end = |which| End {
            line: line.clone(),
            which,
            sleep: None,
        };
        (line.clone(), Wire(end(CLIENT)), ServiceEnd(end(SERVICE)))
    }

    /// From now on it is not lost by itself any more, if it has not been.
    pub fn calm(&mut self) {
        self.loss = None;
        self.nature.lost_after_bytes = None;
    }

    fn lose_if_due(&mut self, now: Instant) {
        let Some((_, loss)) = self.loss.take_if(|(at, _)| *at <= now) else {
            return;
        };
        self.tally.note(&format!("network: lost by {loss:?}"));
        self.nature.lost_after_bytes = None;
        let told = now + self.nature.delay;
        match loss {
            Loss::Reset => {
                self.break_client(now);
                self.broken[SERVICE] = Some((told, io::ErrorKind::ConnectionReset));
            }
            Loss::Close => {
                self.finish(CLIENT, now);
                self.broken[SERVICE] = Some((told, io::ErrorKind::BrokenPipe));
            }
            Loss::Silence => {
                (self.vanishing, self.record.silent) = (true, true);
                self.destroy(now);
                let patience = Duration::from_secs(self.random.between(50, 130));
                self.broken[SERVICE] = Some((now + patience, io::ErrorKind::TimedOut));
            }
        }
        self.wake();
    }

    /// The client is told of a reset, behind what was under way or instead of it.
    fn break_client(&mut self, at: Instant) {
        let destroys = self.random.below(2) == 0;
        if destroys {
            self.destroy(at);
        }
        let told = at.max(self.flows[CLIENT].last_arrival);
        self.broken[CLIENT].get_or_insert((told, io::ErrorKind::ConnectionReset));
        self.wake();
    }

    /// What has not arrived by `at` never does.
    fn destroy(&mut self, at: Instant) {
        let flow = &mut self.flows[CLIENT];
        flow.pieces.retain(|(arrival, _)| *arrival <= at);
        flow.under_way = flow.pieces.iter().map(|(_, piece)| piece.len()).sum();
        flow.last_arrival = at;
    }

    /// Nothing more comes to this end.
    fn finish(&mut self, end: usize, at: Instant) {
        let flow = &mut self.flows[end];
        flow.fin.get_or_insert(at.max(flow.last_arrival));
        self.wake();
    }

    fn wake(&mut self) {
        for flow in &mut self.flows {
            for waker in [flow.reader.take(), flow.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
    }

    fn failed(&self, end: usize, now: Instant) -> Option<io::Error> {
        let (_, kind) = self.broken[end].filter(|(at, _)| *at <= now)?;
        Some(kind.into())
    }

    /// Bytes, the end, or when to look again.
    fn read(&mut self, end: usize, buffer: &mut ReadBuf<'_>, now: Instant) -> Result<io::Result<()>, Option<Instant>> {
        self.lose_if_due(now);
        let failed = self.failed(end, now);
        let Self {
            flows,
            random,
            tally,
            record,
            ..
        } = self;
        let flow = &mut flows[end];
        if let Some((_, piece)) = flow.pieces.front_mut().filter(|(arrival, _)| *arrival <= now) {
            let count = flow.reads.next(piece.len().min(buffer.remaining()), random, tally);
            let bytes: Vec<u8> = piece.drain(..count).collect();
            if piece.is_empty() {
                flow.pieces.pop_front();
            }
            flow.under_way -= count;
            if let Some(writer) = flow.writer.take() {
                writer.wake();
            }
            buffer.put_slice(&bytes);
            if end == CLIENT {
                record.read.extend_from_slice(&bytes);
            }
            return Ok(Ok(()));
        }
        if let Some(error) = failed {
            return Ok(Err(error));
        }
        let next_piece = flow.pieces.front().map(|(arrival, _)| *arrival);
        if next_piece.is_none() && flow.fin.is_some_and(|fin| fin <= now) {
            return Ok(Ok(()));
        }
        let broken = self.broken[end].map(|(at, _)| at);
        let loss = self.loss.map(|(at, _)| at);
        Err([next_piece, flow.fin, broken, loss]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min())
    }

    /// How many bytes were taken, or when to look again.
    fn write(&mut self, end: usize, bytes: &[u8], now: Instant) -> Result<io::Result<usize>, Option<Instant>> {
        self.lose_if_due(now);
        if let Some(error) = self.failed(end, now) {
            return Ok(Err(error));
        }
        let Self {
            flows,
            random,
            tally,
            record,
            ..
        } = self;
        let flow = &mut flows[1 - end];
        if end == CLIENT {
            record.wrote.extend_from_slice(bytes);
        }
        // Behind a reset nothing comes, whoever has not heard of it yet.
        if self.vanishing || (end == SERVICE && self.broken[CLIENT].is_some()) {
            return Ok(Ok(bytes.len()));
        }
        let room = self.nature.window.saturating_sub(flow.under_way);
        if room == 0 {
            tally.note("network: full");
            let broken = self.broken[end].map(|(at, _)| at);
            let loss = self.loss.map(|(at, _)| at);
            return Err([broken, loss].into_iter().flatten().filter(|at| *at > now).min());
        }
        let mut count = flow.writes.next(bytes.len().min(room), random, tally);
        if end == CLIENT {
            record.wrote.truncate(record.wrote.len() - (bytes.len() - count));
        } else if let Some((limit, loss)) = self.nature.lost_after_bytes {
            count = count.min(limit.saturating_sub(self.sent).max(1));
            if self.sent + count >= limit {
                self.loss = Some((now, loss));
            }
        }
        if end == SERVICE {
            self.sent += count;
        }
        let mut arrival = now + self.nature.delay;
        if random.once_in(60) {
            arrival += Duration::from_millis(random.below(3_000));
        }
        flow.last_arrival = flow.last_arrival.max(arrival);
        flow.pieces
            .push_back((flow.last_arrival, bytes[..count].iter().copied().collect()));
        flow.under_way += count;
        if let Some(reader) = flow.reader.take() {
            reader.wake();
        }
        self.lose_if_due(now);
        Ok(Ok(count))
    }
}

/// An end.
struct End {
    line: Arc<Mutex<Line>>,
    which: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl End {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap()
    }

    /// Wakes again at this time, whatever else wakes it. Whether it is time already.
    fn is_time(&mut self, at: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(at) = at else { return false };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).is_ready()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let next = {
                let mut line = self.line();
                match line.read(self.which, buffer, Instant::now()) {
                    Ok(outcome) => return Poll::Ready(outcome),
                    Err(next) => {
                        line.flows[self.which].reader = Some(cx.waker().clone());
                        next
                    }
                }
            };
            if !self.is_time(next, cx) {
                return Poll::Pending;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let next = {
                let mut line = self.line();
                match line.write(self.which, bytes, Instant::now()) {
                    Ok(outcome) => return Poll::Ready(outcome),
                    Err(next) => {
                        line.flows[1 - self.which].writer = Some(cx.waker().clone());
                        next
                    }
                }
            };
            if !self.is_time(next, cx) {
                return Poll::Pending;
            }
        }
    }
}

/// The client's end. Dropping it closes the connection.
pub struct Wire(End);

/// The service's end. Dropping it closes the connection.
pub struct ServiceEnd(End);

impl Drop for Wire {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut line = self.0.line();
        line.record.closed = Some(now);
        line.loss = None;
        line.flows[CLIENT].pieces.clear();
        if !line.vanishing {
            let told = now + line.nature.delay;
            line.finish(SERVICE, told);
            let told = line.flows[SERVICE].fin.unwrap_or(told);
            line.broken[SERVICE].get_or_insert((told + Duration::from_millis(1), io::ErrorKind::BrokenPipe));
        }
        line.wake();
    }
}

impl Drop for ServiceEnd {
    fn drop(&mut self) {
        let mut line = self.0.line();
        let told = Instant::now() + line.nature.delay;
        if !line.vanishing && line.broken[CLIENT].is_none() {
            line.finish(CLIENT, told);
        }
    }
}

impl Pipe for ServiceEnd {
    fn reset(&mut self) {
        let mut line = self.0.line();
        let told = Instant::now() + line.nature.delay;
        if !line.vanishing {
            line.break_client(told);
        }
    }
}

impl fmt::Debug for ServiceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceEnd").finish_non_exhaustive()
    }
}

impl Transport for Wire {}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ServiceEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for ServiceEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.0.line();
        let told = Instant::now() + line.nature.delay;
        if !line.vanishing {
            line.finish(CLIENT, told);
        }
        Poll::Ready(Ok(()))
    }
}

/// For people who look into one history. What was read is told by its length.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.wrote.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let answer = self.read.split(|byte| *byte == b'\r').next().unwrap_or_default();
        write!(
            f,
            "{:>9.3} s slot {:?} {:?} -> {:?}, {} bytes, silent: {}, open for {:?}",
            self.accepted.as_secs_f64(),
            self.slot,
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(answer),
            self.read.len(),
            self.silent,
            self.closed.map(|closed| closed.saturating_duration_since(self.asked)),
        )
    }
}
