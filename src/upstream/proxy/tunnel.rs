//! What is left when the proxy agreed: its connection, and what came early on it. Promise: no byte is lost or doubled.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A way through a proxy.
#[derive(Debug)]
pub struct Tunnel<Io> {
    io: Io,
    /// What came in the same read as the proxy's answer, and is the target's.
    early: Vec<u8>,
    /// How much of it was handed out.
    taken: usize,
}

impl<Io> Tunnel<Io> {
    /// What comes on `io` follows upon `early`.
    pub(super) const fn new(io: Io, early: Vec<u8>) -> Self {
        Self { io, early, taken: 0 }
    }

    /// What it leads through.
    pub(in crate::upstream) const fn get_ref(&self) -> &Io {
        &self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Tunnel<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.early[self.taken..];
        if left.is_empty() || buf.remaining() == 0 {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = left.len().min(buf.remaining());
        buf.put_slice(&left[..length]);
        self.taken += length;
        if self.taken == self.early.len() {
            // The connection may live for weeks.
            self.early = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Tunnel<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
