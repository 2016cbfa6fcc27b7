//! A network in memory: a connection answers its request with the same bytes each time, in reads of the sizes that are asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use livestreamd::upstream::{ConnectError, Connector, Target, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How an answer is cut into reads.
#[derive(Clone, Copy, Debug)]
pub enum Splits {
    /// As much as the reader has room for.
    Whole,
    /// One byte, and then nothing until the reader asks again.
    Single,
    /// Pieces of any size, by a seed.
    Random(u64),
}

/// What comes after the last byte.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Closed,
    Reset,
}

/// The network.
#[derive(Debug)]
pub struct Wire {
    answer: Arc<[u8]>,
    splits: Splits,
    end: End,
    /// How many bytes were read, on all connections.
    read: Arc<AtomicUsize>,
}

impl Wire {
    pub fn new(answer: &[u8], splits: Splits, end: End) -> Self {
        Self {
            answer: answer.into(),
            splits,
            end,
            read: Arc::default(),
        }
    }

    pub fn bytes_read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

impl Connector for Wire {
    type Io = Connection;

    async fn connect(&self, _: &Target, _: Duration) -> Result<Connection, ConnectError> {
        Ok(Connection {
            answer: self.answer.clone(),
            at: 0,
            asked: false,
            waiting: None,
            splits: self.splits,
            pause: false,
            end: self.end,
            read: self.read.clone(),
        })
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    answer: Arc<[u8]>,
    at: usize,
    asked: bool,
    waiting: Option<Waker>,
    splits: Splits,
    pause: bool,
    end: End,
    read: Arc<AtomicUsize>,
}

impl Transport for Connection {}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let left = self.answer.len() - self.at;
        if left == 0 {
            return Poll::Ready(match self.end {
                End::Closed => Ok(()),
                End::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            });
        }
        let piece = match &mut self.splits {
            Splits::Whole => left,
            Splits::Single => 1,
            Splits::Random(state) => {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let draw = *state >> 33;
                // Mostly short, now and then long.
                let most = [3, 20, 300, 5_000][(draw & 3) as usize];
                1 + (draw >> 2) as usize % most
            }
        };
        // Between pieces the reader finds nothing, and so must work with what it has.
        self.pause = !self.pause;
        if self.pause && !matches!(self.splits, Splits::Whole) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = piece.min(left).min(buffer.remaining());
        buffer.put_slice(&self.answer[self.at..self.at + piece]);
        self.at += piece;
        self.read.fetch_add(piece, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
