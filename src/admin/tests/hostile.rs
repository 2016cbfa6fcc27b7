//! Clients that mean no good, or hang.

use super::*;

/// Long enough for a good client on a busy machine, short enough to wait for.
const IMPATIENT: Limits = Limits {
    head: Duration::from_millis(300),
    write: Duration::from_millis(300),
    ..LIMITS
};

/// Reads until the server ends the connection.
fn is_ended(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let trial = Trial::within(IMPATIENT).await;
    for beginning in ["", "GET /status HTTP/1.1\r\nHost: localhost\r\nX-Slow"] {
        let mut stream = trial.connect();
        stream.write_all(beginning.as_bytes()).unwrap();
        assert!(is_ended(stream), "after {beginning:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_idle_after_an_answer_ends() {
    let trial = Trial::within(IMPATIENT).await;
    let mut stream = trial.connect();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    assert!(is_ended(stream));
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_refused() {
    let trial = Trial::start().await;
    for headers in [format!("X: {}\r\n", "x".repeat(64 * 1024)), "X: x\r\n".repeat(200)] {
        let mut stream = trial.connect();
        let request = format!("GET /status HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        // The server may close before it has read all.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(trial.get("/healthz").status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_hung_ones_make_room() {
    let trial = Trial::within(Limits {
        connections: 2,
        ..IMPATIENT
    })
    .await;
    let _hung: Vec<TcpStream> = (0..4).map(|_| trial.connect()).collect();
    assert_eq!(trial.get("/healthz").status, 200);
}

#[tokio::test]
async fn a_reader_that_does_not_take_its_answer_is_cut_off() {
    let trial = Trial::within(Limits {
        connections: 1,
        ..IMPATIENT
    })
    .await;
    // More than the system takes for a reader that is not there.
    trial.board.post(large(64 << 20));
    let mut slow = trial.connect();
    slow.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut first = [0; 16];
    slow.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200 "));
    // There is room for one: this is answered when the other is gone.
    assert_eq!(trial.get("/healthz").status, 200);
}

#[tokio::test]
async fn no_body_of_a_request_is_read() {
    let trial = Trial::start().await;
    for method in ["GET", "POST"] {
        let mut stream = trial.connect();
        let head = format!("{method} /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let status = Answer::of(&answer).status;
        assert_eq!(
            status,
            if method == "GET" { 200 } else { 405 },
            "answered and closed, and not a byte was sent"
        );
    }
}

#[tokio::test]
async fn clients_that_hang_do_not_hold_up_the_end() {
    let trial = Trial::start().await;
    trial.board.post(large(64 << 20));
    let mut hung: Vec<TcpStream> = (0..3).map(|_| trial.connect()).collect();
    hung[0].write_all(b"GET /sta").unwrap();
    for (stream, path) in hung[1..].iter_mut().zip(["/status", "/events"]) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
    }
    let address = trial.address();
    let began = Instant::now();
    trial.admin.stop().await;
    assert!(began.elapsed() < LONGEST_END * 2, "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_too() {
    let trial = Trial::start().await;
    let address = trial.address();
    drop(trial.admin);
    wait_until("nobody listens", || TcpStream::connect(&address).is_err());
}
