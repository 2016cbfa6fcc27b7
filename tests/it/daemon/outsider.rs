//! Who else is on the network: another client of the service, and hosts that the daemon has no business with.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A plain GET on a socket of its own, which stays open with the value.
pub struct Client {
    /// The answer's status.
    pub status: u16,
    _socket: TcpStream,
}

impl Client {
    /// Blocks until the head of the answer is there.
    pub fn get(addr: SocketAddr, path: &str, token: &str) -> Self {
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: gzip\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        Self {
            status: head[9..12].parse().unwrap(),
            _socket: socket,
        }
    }
}

/// A host that notes who connects, and answers nobody.
pub struct Host {
    addr: SocketAddr,
    visitors: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Host {
    /// Listens on a free port of this address.
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let visitors = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&visitors);
        // Ends with the process.
        std::thread::spawn(move || {
            let mut open = Vec::new();
            while let Ok((socket, visitor)) = listener.accept() {
                noted.lock().unwrap().push(visitor);
                open.push(socket);
            }
        });
        Self { addr, visitors }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How many have connected so far. Looks with a connection of its own, so that a host that notes nobody is found out; those who
    /// came before it are noted before it.
    pub fn visits(&self) -> usize {
        let probe = TcpStream::connect(self.addr).unwrap();
        let own = probe.local_addr().unwrap();
        crate::support::wait_until("the host has noted us", Duration::from_secs(30), || {
            self.visitors.lock().unwrap().contains(&own)
        });
        self.visitors.lock().unwrap().len() - 1
    }
}

/// A port of this machine that nobody listens on, below the range from which the kernel gives ports to connecting sockets.
pub fn closed_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let offset = std::process::id() as usize * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 5_000 + (offset % 4_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
