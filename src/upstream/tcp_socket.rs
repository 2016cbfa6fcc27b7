//! A TCP socket that its reader can leave alone.
//!
//! tokio has every socket watched all the time: each segment that arrives wakes one of its threads, also while nobody wants bytes. A stream
//! of 1,000 hits a second whose reader looks every 20 ms would cost 1,000 wake-ups a second for 50 looks. So a reader that will look again
//! by itself [suspends](Wakeups::suspend) them: the socket is taken from tokio's driver and read directly, until it is to wake somebody again.

use std::io::{self, Read as _, Write as _};
use std::mem::replace;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The most that is read at once while nobody is woken: the room is cleared beforehand.
const READ_AT_ONCE: usize = 16 * 1024;

/// A connected TCP socket. Dropping it closes it.
#[derive(Debug)]
pub struct TcpSocket(Arc<Mutex<State>>);

/// Whether bytes that come on a socket wake whoever waits for them. By default that of no socket, where nothing can be changed.
#[derive(Clone, Debug, Default)]
pub struct Wakeups(Weak<Mutex<State>>);

#[derive(Debug)]
enum State {
    /// The driver watches it.
    Watched(TcpStream),
    /// Nobody does. A read or write for which it is not ready is pending, and nobody is woken when it could be made.
    Alone(std::net::TcpStream),
    /// The system would not let it go from one to the other, and it is closed.
    Failed(io::ErrorKind, String),
}

impl TcpSocket {
    /// Takes a socket over.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(State::Watched(stream))))
    }

    /// Whether what comes on it wakes somebody.
    pub(super) fn wakeups(&self) -> Wakeups {
        Wakeups(Arc::downgrade(&self.0))
    }
}

impl Wakeups {
    /// From now on nothing that comes, not even the end, wakes anybody. Whoever asks for this reads again by himself; and before he waits
    /// for bytes, he [resumes](Self::resume) and reads once more.
    pub(super) fn suspend(&self) {
        self.change(|state| match state {
            State::Watched(stream) => stream
                .into_std()
                .map_or_else(|error| State::failed(&error), State::Alone),
            other @ (State::Alone(_) | State::Failed(..)) => other,
        });
    }

    /// What comes wakes whoever reads from now on. True if it did not before: what has come meanwhile may have been missed. Wants a runtime.
    pub(super) fn resume(&self) -> bool {
        let mut changed = false;
        self.change(|state| match state {
            State::Alone(stream) => {
                changed = true;
                // The driver looks at a socket when it is added, so bytes that are there already wake as well.
                TcpStream::from_std(stream).map_or_else(|error| State::failed(&error), State::Watched)
            }
            other @ (State::Watched(_) | State::Failed(..)) => other,
        });
        changed
    }

    fn change(&self, to: impl FnOnce(State) -> State) {
        if let Some(state) = self.0.upgrade() {
            let mut state = lock(&state);
            let before = replace(&mut *state, State::Failed(io::ErrorKind::Other, String::new()));
            *state = to(before);
        }
    }
}

impl State {
    fn failed(error: &io::Error) -> Self {
        Self::Failed(error.kind(), format!("the socket cannot be watched: {error}"))
    }

    /// What a socket that is not watched, and so never blocks, says.
    fn alone<T>(mut attempt: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
        loop {
            return match attempt() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                outcome => Poll::Ready(outcome),
            };
        }
    }
}

impl AsyncRead for TcpSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *lock(&self.0) {
            State::Watched(stream) => Pin::new(stream).poll_read(cx, buf),
            State::Alone(stream) => {
                let room = buf.initialize_unfilled_to(buf.remaining().min(READ_AT_ONCE));
                State::alone(|| stream.read(room)).map_ok(|count| buf.advance(count))
            }
            State::Failed(kind, why) => Poll::Ready(Err(io::Error::new(*kind, why.clone()))),
        }
    }
}

impl AsyncWrite for TcpSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *lock(&self.0) {
            State::Watched(stream) => Pin::new(stream).poll_write(cx, buf),
            State::Alone(stream) => State::alone(|| stream.write(buf)),
            State::Failed(kind, why) => Poll::Ready(Err(io::Error::new(*kind, why.clone()))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *lock(&self.0) {
            State::Watched(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Alone(stream) => Poll::Ready(stream.shutdown(Shutdown::Write)),
            State::Failed(..) => Poll::Ready(Ok(())),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Whoever panicked left a socket that has failed, at worst.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// A socket, its peer, and another handle of it by which a test sees what has arrived.
    async fn connected() -> (TcpSocket, TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let ours = ours.into_std().unwrap();
        let seen = ours.try_clone().unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        (TcpSocket::new(TcpStream::from_std(ours).unwrap()), theirs, seen)
    }

    /// Waits until so many bytes have arrived.
    async fn arrived(seen: &std::net::TcpStream, count: usize) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while seen.peek(&mut [0; 64]).unwrap_or(0) < count {
            assert!(std::time::Instant::now() < deadline, "nothing arrives");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What a read brings at once, if anything.
    fn read(socket: &mut TcpSocket, waker: &Waker) -> Option<Vec<u8>> {
        let (mut room, mut cx) = ([0; 64], Context::from_waker(waker));
        let mut buf = ReadBuf::new(&mut room);
        match Pin::new(socket).poll_read(&mut cx, &mut buf) {
            Poll::Ready(outcome) => {
                outcome.unwrap();
                Some(buf.filled().to_vec())
            }
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_socket_that_is_left_alone_wakes_nobody_and_loses_nothing() {
        let (mut socket, mut peer, seen) = connected().await;
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert_eq!(read(&mut socket, &waker), None);
        let wakeups = socket.wakeups();
        wakeups.suspend();
        peer.write_all(b"one").await.unwrap();
        arrived(&seen, 3).await;
        // The driver has looked since: this goes through it.
        let (mut other, mut its_peer, _) = connected().await;
        its_peer.write_all(b"x").await.unwrap();
        other.read_exact(&mut [0]).await.unwrap();
        let before = woken.0.load(Ordering::SeqCst);
        peer.write_all(b" two").await.unwrap();
        arrived(&seen, 7).await;
        its_peer.write_all(b"x").await.unwrap();
        other.read_exact(&mut [0]).await.unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), before, "woken while alone");
        assert_eq!(read(&mut socket, &waker).as_deref(), Some(&b"one two"[..]));
        assert_eq!(read(&mut socket, &waker), None);
        // What came while it was alone wakes too.
        peer.write_all(b"three").await.unwrap();
        arrived(&seen, 5).await;
        assert!(wakeups.resume());
        assert!(!wakeups.resume(), "it was already");
        let mut got = [0; 5];
        let read = timeout(Duration::from_secs(20), socket.read_exact(&mut got)).await;
        read.expect("woken").unwrap();
        assert_eq!(&got, b"three");
    }

    #[tokio::test]
    async fn a_socket_that_is_left_alone_writes_and_sees_the_end() {
        let (mut socket, mut peer, _seen) = connected().await;
        socket.wakeups().suspend();
        socket.write_all(b"ping").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"ping");
        drop(peer);
        // Nobody is woken by the end, so it is asked for until it is there.
        let end = timeout(Duration::from_secs(20), async {
            loop {
                if let Some(bytes) = read(&mut socket, Waker::noop()) {
                    return bytes;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(end.await.unwrap(), b"");
    }

    #[tokio::test]
    async fn dropping_the_socket_closes_it_whoever_could_change_it() {
        for alone in [false, true] {
            let (socket, mut peer, seen) = connected().await;
            drop(seen);
            let wakeups = socket.wakeups();
            if alone {
                wakeups.suspend();
            }
            drop(socket);
            assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
            wakeups.suspend();
            assert!(!wakeups.resume());
        }
    }

    #[test]
    fn a_socket_of_which_nothing_is_known_cannot_be_left_alone() {
        let wakeups = Wakeups::default();
        wakeups.suspend();
        assert!(!wakeups.resume());
    }
}
