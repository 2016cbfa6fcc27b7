//! A network in memory for the tests: what connects gets one end of a pipe, the test holds the other and writes raw bytes.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use url::Url;

use super::connector::{ConnectError, Connector, Target, Transport};
use super::token::AccessToken;
use crate::settings::{Credential, Grant, Output, OutputSettings, SecretSource, StreamSettings};

/// What a connect comes to.
#[derive(Clone, Debug)]
pub(crate) enum Connect {
    Accepted,
    Refused(&'static str),
    Hangs,
}

/// The client's side. Connects are accepted unless planned otherwise.
#[derive(Debug)]
pub(crate) struct Network {
    accepted: mpsc::UnboundedSender<(Target, DuplexStream)>,
    planned: Mutex<VecDeque<Connect>>,
    pipe_bytes: usize,
}

/// The service's side.
#[derive(Debug)]
pub(crate) struct Service(mpsc::UnboundedReceiver<(Target, DuplexStream)>);

/// A network whose pipes hold `pipe_bytes`: with 1 every read and write is of one byte.
pub(crate) fn network(pipe_bytes: usize) -> (Arc<Network>, Service) {
    let (accepted, accepts) = mpsc::unbounded_channel();
    (
        Arc::new(Network {
            accepted,
            planned: Mutex::default(),
            pipe_bytes,
        }),
        Service(accepts),
    )
}

impl Network {
    pub(crate) fn plan(&self, connects: impl IntoIterator<Item = Connect>) {
        self.planned.lock().unwrap().extend(connects);
    }
}

impl Transport for DuplexStream {}

impl Connector for Network {
    type Io = DuplexStream;

    async fn connect(&self, target: &Target, _: Duration) -> Result<DuplexStream, ConnectError> {
        let planned = self.planned.lock().unwrap().pop_front();
        match planned.unwrap_or(Connect::Accepted) {
            Connect::Accepted => {
                let (ours, theirs) = duplex(self.pipe_bytes);
                self.accepted
                    .send((target.clone(), theirs))
                    .map_err(|_| ConnectError("no service".to_owned()))?;
                Ok(ours)
            }
            Connect::Refused(why) => Err(ConnectError(why.to_owned())),
            Connect::Hangs => pending().await,
        }
    }
}

impl Service {
    /// The next connection, and where the client meant it to go.
    pub(crate) async fn accept(&mut self) -> (Target, DuplexStream) {
        self.0.recv().await.unwrap()
    }

    /// The next connection, with the head (and the form, if there is one) of its request.
    pub(crate) async fn request(&mut self) -> (Target, String, DuplexStream) {
        let (target, mut io) = self.accept().await;
        let request = read_request(&mut io).await;
        (target, request, io)
    }

    /// Nobody has connected.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Reads one request: its head, and its body if it has a `content-length`.
pub(crate) async fn read_request(io: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    loop {
        bytes.push(io.read_u8().await.unwrap());
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes.clone()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |text| text.parse().unwrap());
            if bytes.len() == end + 4 + length {
                return head;
            }
        }
    }
}

/// Answers and hangs up.
pub(crate) async fn answer(mut io: DuplexStream, bytes: impl AsRef<[u8]>) {
    io.write_all(bytes.as_ref()).await.unwrap();
}

/// A token as [`super::TokenSource`] would have made it, for client `client-1`.
pub(crate) fn access_token(secret: &str) -> AccessToken {
    AccessToken::for_tests(secret, Some("client-1"))
}

pub(crate) fn credential(grant: Grant) -> Arc<Credential> {
    Arc::new(Credential {
        name: "default".to_owned(),
        grant,
    })
}

/// A stream with the defaults of the configuration.
pub(crate) fn stream(url: &str) -> StreamSettings {
    let to_one = OutputSettings::to("livestream.examplecomprod", "livestream.dead-letter");
    StreamSettings {
        name: "examplecomprod".to_owned(),
        url: Url::parse(url).unwrap(),
        report_suite: "examplecomprod".to_owned(),
        credential: credential(Grant::Token {
            client_id: None,
            token: SecretSource::Inline(SecretString::from("t")),
        }),
        cooldown: Duration::from_mins(1),
        connect_timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_mins(2),
        backfill_horizon: Duration::from_mins(3),
        long_retry: Duration::from_mins(10),
        max_record_bytes: 8 << 20,
        connections: 1,
        max_connections: 1,
        smoothing: None,
        trusted_hosts: vec!["adobe.net".to_owned(), "adobe.io".to_owned()],
        outputs: vec![Arc::new(Output::new(to_one).unwrap())],
    }
}
