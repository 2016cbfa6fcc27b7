//! One accepted connection, with or without TLS, and the ways to end it: in good order, cut off, or reset.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// How long a client may take to close after the service did.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a client over TLS is left to close by itself first: it might not read a close alert, and the kernel then answers with
/// a reset, which would look as if the client had not read everything.
const ALERT_WAIT: Duration = Duration::from_millis(500);

/// The client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It closed in good order.
    Closed,
    /// The connection broke.
    Broken,
}

/// A connection to a client.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(test)]
    Piped(Box<dyn Pipe>),
}

/// One end of a connection in a network that a test made up.
#[cfg(test)]
pub(crate) trait Pipe: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {
    /// Resets the connection: what the other end has not read yet may be lost to it.
    fn reset(&mut self);
}

impl Socket {
    /// Whether it is by TLS.
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Hands all bytes to the kernel, unless the client goes first. What the client sends meanwhile is ignored; that it has
    /// finished sending means that it has gone.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| {
                if let Poll::Ready(gone) = self.poll_gone(cx) {
                    return Poll::Ready(Err(gone));
                }
                Pin::new(&mut *self).poll_write(cx, bytes).map_err(|_| Gone::Broken)
            })
            .await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        poll_fn(|cx| {
            // First: a client that has read all of it may close sooner than we get here, and has not gone too early.
            match Pin::new(&mut *self).poll_flush(cx) {
                Poll::Ready(flushed) => Poll::Ready(flushed.map_err(|_| Gone::Broken)),
                Poll::Pending => self.poll_gone(cx).map(Err),
            }
        })
        .await
    }

    /// Waits for the client to go.
    pub(super) async fn gone(&mut self) -> Gone {
        poll_fn(|cx| self.poll_gone(cx)).await
    }

    /// Ends the connection in good order. Returns whether the client closed in good order too, having read everything (a client
    /// that closes with unread bytes resets the connection).
    pub(super) async fn finish(mut self, body_has_an_end: bool) -> bool {
        if self.is_tls()
            && body_has_an_end
            && let Ok(gone) = timeout(ALERT_WAIT, self.gone()).await
        {
            return gone == Gone::Closed;
        }
        // It fails if the client has gone already; how it went is then still to be read.
        let _ = self.shutdown().await;
        self.closed_by_client().await
    }

    /// Ends the TCP connection without a word: no last chunk and no TLS close alert. Returns the same as [`Self::finish`].
    pub(super) async fn cut(mut self) -> bool {
        let _ = match &mut self {
            Self::Plain(tcp) => tcp.shutdown().await,
            Self::Tls(tls) => tls.get_mut().0.shutdown().await,
            #[cfg(test)]
            Self::Piped(pipe) => pipe.shutdown().await,
        };
        self.closed_by_client().await
    }

    /// Resets the connection: what the client has not read yet is lost to it.
    pub(super) fn reset(mut self) {
        let tcp = match &mut self {
            Self::Plain(tcp) => &*tcp,
            Self::Tls(tls) => tls.get_ref().0,
            #[cfg(test)]
            Self::Piped(pipe) => return pipe.reset(),
        };
        if let Err(error) = tcp.set_zero_linger() {
            tracing::warn!(%error, "a connection could not be reset and is closed instead");
        }
    }

    async fn closed_by_client(&mut self) -> bool {
        timeout(CLOSE_WAIT, self.gone()).await == Ok(Gone::Closed)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let mut ignored = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut ignored);
            match ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Gone::Closed),
                Ok(()) => {}
                // A TCP close without a TLS close alert: common, and in good order for our purposes.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Gone::Closed),
                Err(_) => return Poll::Ready(Gone::Broken),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
            #[cfg(test)]
            Self::Piped(pipe) => Pin::new(pipe).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            #[cfg(test)]
            Self::Piped(pipe) => Pin::new(pipe).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            #[cfg(test)]
            Self::Piped(pipe) => Pin::new(pipe).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            #[cfg(test)]
            Self::Piped(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}
