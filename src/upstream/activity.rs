//! What a socket did: how many bytes it brought, when the last one came, and how it ended.
//!
//! Counted in a wrapper right under hyper, so on top of TLS: what is read is what was sent to us, whichever way it was wrapped. A
//! TLS record is 16 KiB at most, so a byte on the wire is seen here at the latest when its record is whole.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What one connection's socket did; clones share it. For the stall watch: it says when bytes came, the caller knows whether it
/// was reading at all (a socket that is not asked for bytes brings none).
#[derive(Clone, Debug)]
pub struct Activity(Arc<Record>);

#[derive(Debug)]
struct Record {
    began: Instant,
    bytes_read: AtomicU64,
    /// Microseconds after `began`.
    last_read: AtomicU64,
    end: Mutex<Option<SocketEnd>>,
}

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SocketEnd {
    /// The peer sends no more.
    Eof,
    /// It failed: the system's own words.
    Failed(String),
}

impl Activity {
    fn new() -> Self {
        let record = Record {
            began: Instant::now(),
            bytes_read: AtomicU64::new(0),
            last_read: AtomicU64::new(0),
            end: Mutex::new(None),
        };
        Self(Arc::new(record))
    }

    /// Bytes read so far, the response head included.
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.load(Ordering::Relaxed)
    }

    /// When bytes last came; when the connection was made, if none came yet.
    pub fn last_read(&self) -> Instant {
        self.0.began + Duration::from_micros(self.0.last_read.load(Ordering::Relaxed))
    }

    /// How the socket ended, once it has.
    pub(super) fn socket_end(&self) -> Option<SocketEnd> {
        self.0.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read(&self, count: usize) {
        self.0.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        self.0
            .last_read
            .store(self.0.began.elapsed().as_micros() as u64, Ordering::Relaxed);
    }

    /// The first end counts: what follows is its echo.
    fn ended(&self, end: SocketEnd) {
        self.0
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(end);
    }

    fn failed(&self, error: &io::Error) {
        // TLS says so when the peer closes without its goodbye.
        let eof = error.kind() == io::ErrorKind::UnexpectedEof;
        self.ended(if eof {
            SocketEnd::Eof
        } else {
            SocketEnd::Failed(error.to_string())
        });
    }
}

/// A socket that tells its [`Activity`] what it does.
#[derive(Debug)]
pub(super) struct Watched<Io> {
    io: Io,
    activity: Activity,
}

impl<Io> Watched<Io> {
    pub(super) fn new(io: Io) -> (Self, Activity) {
        let activity = Activity::new();
        (
            Self {
                io,
                activity: activity.clone(),
            },
            activity,
        )
    }

    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome {
            self.activity.failed(error);
        }
        outcome
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (filled, room) = (buf.filled().len(), buf.remaining());
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &outcome {
            match buf.filled().len() - filled {
                0 if room > 0 => self.activity.ended(SocketEnd::Eof),
                0 => {}
                count => self.activity.read(count),
            }
        }
        self.note(outcome)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.note(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.note(outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn bytes_and_the_time_of_the_last_are_counted() {
        pause();
        let (mut peer, io) = duplex(1024);
        let (mut watched, activity) = Watched::new(io);
        let began = Instant::now();
        assert_eq!((activity.bytes_read(), activity.last_read()), (0, began));

        advance(Duration::from_secs(90)).await;
        peer.write_all(b"hello").await.unwrap();
        watched.read_exact(&mut [0; 5]).await.unwrap();
        advance(Duration::from_secs(5)).await;
        assert_eq!(
            (activity.bytes_read(), activity.last_read()),
            (5, began + Duration::from_secs(90))
        );
        assert_eq!(activity.socket_end(), None);

        drop(peer);
        assert_eq!(watched.read(&mut [0; 5]).await.unwrap(), 0);
        assert_eq!(
            (activity.bytes_read(), activity.last_read()),
            (5, began + Duration::from_secs(90)),
            "an end is no byte"
        );
        assert_eq!(activity.socket_end(), Some(SocketEnd::Eof));
    }

    #[tokio::test]
    async fn the_first_end_counts() {
        let (peer, io) = duplex(1024);
        let (mut watched, activity) = Watched::new(io);
        drop(peer);
        watched.write_all(b"x").await.unwrap_err();
        assert_eq!(watched.read(&mut [0; 5]).await.unwrap(), 0);
        assert_eq!(activity.socket_end(), Some(SocketEnd::Failed("broken pipe".to_owned())));
    }
}
