//! A server for tests that gives one answer to whoever connects.

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::address::Address;
use crate::settings::AdminListen;

/// What the server does once it has read a request.
#[derive(Clone)]
enum Deed {
    Answer(String),
    Endless(String),
    Silence,
}

/// The server. It ends when it is dropped.
pub(in crate::cli) struct Server {
    /// Where it is.
    pub(in crate::cli) address: Address,
    asked: tokio::sync::Mutex<mpsc::Receiver<String>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Gives this answer.
    pub(in crate::cli) async fn tcp(answer: String) -> Self {
        Self::on_tcp(Deed::Answer(answer)).await
    }

    /// Gives this beginning of an answer, and then blanks without an end.
    pub(in crate::cli) async fn endless(head: &str) -> Self {
        Self::on_tcp(Deed::Endless(head.to_owned())).await
    }

    /// Gives no answer, and does not hang up.
    pub(in crate::cli) async fn silent() -> Self {
        Self::on_tcp(Deed::Silence).await
    }

    /// The same as [`Self::tcp`], on a socket in the file system.
    pub(in crate::cli) fn unix(path: PathBuf, answer: String) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let (tell, asked) = mpsc::channel(8);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Deed::Answer(answer.clone()), tell.clone()));
            }
        });
        Self {
            address: Address::Unix(path),
            asked: asked.into(),
            task,
        }
    }

    async fn on_tcp(deed: Deed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = AdminListen::Tcp(listener.local_addr().unwrap());
        let address = Address::of_listener(&listen).unwrap();
        let (tell, asked) = mpsc::channel(8);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, deed.clone(), tell.clone()));
            }
        });
        Self {
            address,
            asked: asked.into(),
            task,
        }
    }

    /// An answer with this body.
    pub(in crate::cli) fn ok(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The head of the next request.
    pub(in crate::cli) async fn asked(&self) -> String {
        self.asked.lock().await.recv().await.unwrap()
    }

    /// Listens no more.
    pub(in crate::cli) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: impl AsyncRead + AsyncWrite + Unpin, deed: Deed, tell: mpsc::Sender<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let _ = tell.send(String::from_utf8(head).unwrap()).await;
    match deed {
        Deed::Answer(answer) => {
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
        Deed::Endless(head) => {
            let _ = socket.write_all(head.as_bytes()).await;
            let blanks = vec![b' '; 65_536];
            while socket.write_all(&blanks).await.is_ok() {}
        }
        Deed::Silence => std::future::pending().await,
    }
}
