//! An OAuth token endpoint for librdkafka: client credentials in, an unsigned token out, which a broker takes that was told nothing else.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Who may fetch a token.
pub const CLIENT_ID: &str = "token-client";
/// Its secret.
pub const CLIENT_SECRET: &str = "burbot-of-the-endpoint";

/// Listens until the process ends.
pub struct TokenEndpoint {
    url: String,
    given: Arc<AtomicUsize>,
}

impl TokenEndpoint {
    /// Gives tokens that are valid for so long. librdkafka fetches the next when four fifths of that have passed.
    pub fn start(lifetime: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/token", listener.local_addr().expect("it is bound"));
        let given = Arc::new(AtomicUsize::new(0));
        let counted = given.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever hangs up in its midst gets no token.
                if let Ok(true) = answer(stream, lifetime) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { url, given }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many tokens it has given.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

/// Answers one request; whether with a token.
fn answer(mut stream: TcpStream, lifetime: Duration) -> std::io::Result<bool> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut is_client, mut length) = (false, 0);
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => is_client = value.trim() == expected,
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_grant = String::from_utf8_lossy(&body).contains("grant_type=client_credentials");
    let (status, text) = if is_client && is_grant {
        ("200 OK", token(lifetime))
    } else {
        (
            "401 Unauthorized",
            r#"{"error":"invalid_client","error_description":"who are you?"}"#.to_owned(),
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(is_client && is_grant)
}

fn token(lifetime: Duration) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let claims = format!(
        r#"{{"sub":"livestreamd","iat":{now},"exp":{}}}"#,
        now + lifetime.as_secs()
    );
    let token = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    format!(
        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{}}}"#,
        lifetime.as_secs()
    )
}
