//! From a socket on: HTTP, chunks, gzip, records. The socket is one in memory, which always has more to read, as in a burst.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use livestreamd::lifecycle::EndReason;
use livestreamd::settings::{Format, load_str};
use livestreamd::upstream::{Answer, Body, Drained, StreamRequest, TokenSource, open};
use tokio::runtime::{Builder, Runtime};

use super::wire::{Connection, End, Splits, Wire};

const CONFIGURATION: &str = "
[credentials.default]
access_token = \"ready-made\"
[streams.web]
url = \"https://livestream.adobe.net/api/1/stream/web\"
";

/// An open connection of which nothing was read yet.
pub struct Open {
    runtime: Runtime,
    body: Box<Body<Connection>>,
}

impl Open {
    /// One on which the service has answered so.
    pub fn answered(answer: &[u8]) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime needs no more than memory");
        let loaded = load_str(CONFIGURATION, Format::Toml, [], Path::new("/nonexistent"));
        let settings = loaded.unwrap_or_else(|faults| panic!("{faults}")).settings;
        let stream = settings.streams.first().expect("there is one");
        let wire = Arc::new(Wire::new(answer, Splits::Whole, End::Closed));
        let body = runtime.block_on(async {
            let limit = Duration::from_secs(10);
            let tokens = TokenSource::new(stream.credential.clone(), wire.clone(), limit, stream.cooldown);
            let token = tokens.token(None).await.expect("it is ready-made");
            match open(&*wire, &StreamRequest::new(stream, token, None)).await {
                Ok(Answer::Streaming(body)) => body,
                other => panic!("{other:?}"),
            }
        });
        Self { runtime, body }
    }

    /// Reads to the end, and says how many bytes of records there were. `take` gets each run of records.
    pub fn read(&mut self, mut take: impl FnMut(Bytes)) -> usize {
        let body = &mut self.body;
        self.runtime.block_on(async {
            let mut total = 0;
            loop {
                match body.next().await {
                    Drained::Records(run) => {
                        total += run.len();
                        take(run);
                    }
                    Drained::TooLong(_) => unreachable!("no record is that long"),
                    Drained::End { reason, cut_bytes } => {
                        assert_eq!((reason, cut_bytes), (EndReason::Closed, 0));
                        return total;
                    }
                }
            }
        })
    }
}
