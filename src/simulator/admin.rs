//! `/_sim`: what a person with curl, or a judge outside the process, may ask of the simulator.
//!
//! It asks for no password: the simulator is for trials, and listens on loopback unless told otherwise.

use super::fault_text::FaultError;
use super::faults::{Fault, TokenFault};
use super::http::{Answer, Request, Unreadable};
use super::ledger_file;
use super::settings::Rate;
use super::socket::Socket;
use super::world::World;

/// How many entries are written at once.
const PAGE: usize = 4_096;

const HELP: &str = "\
livestreamd simulate: a Live Stream service for trials.

GET  /_sim/ledger                              what happened so far, in sum and by stream, and every early accept
GET  /_sim/ledger/accepts                      every request for a stream, one JSON object a line
GET  /_sim/ledger/records?stream=NAME          every record written (of one stream, or of all), one JSON object a line
POST /_sim/fault?stream=NAME&fault=FAULT       let something go wrong: close, cut, reset, stall:for=30s, corrupt-gzip,
                                               status:code=503,times=2,retry-after=5, garbage:kind=array,times=3, ...
POST /_sim/token-fault?fault=FAULT&times=N     the same for the token endpoint: status:code=500, garbage, slow:for=5s, hang-up
POST /_sim/rate?stream=NAME&rate=N             N hits a second from now on, or max
POST /_sim/burst?stream=NAME&hits=N            N hits more, at once
POST /_sim/revoke-tokens                       no token issued so far is valid any more

Parameters may also come as a JSON object in the body.
";

/// Answers a request.
pub(super) async fn serve(world: &World, mut request: Request, mut socket: Socket) {
    let body = match request.body(&mut socket).await {
        Ok(body) => body,
        Err(Unreadable::Nobody) => return,
        Err(Unreadable::Status(status)) => return Answer::error(status, "unreadable body").send(socket).await,
    };
    let asked = Asked {
        body: serde_json::from_slice(&body).unwrap_or_default(),
        request: &request,
    };
    let answer = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_sim" | "/_sim/") => Answer::text(200, HELP),
        ("GET", "/_sim/ledger") => Answer::json(200, &summary(world)),
        ("GET", "/_sim/ledger/accepts") => return accepts(world, socket).await,
        ("GET", "/_sim/ledger/records") => return records(world, asked.get("stream"), socket).await,
        ("POST", "/_sim/fault") => done(fault(world, &asked)),
        ("POST", "/_sim/token-fault") => done(token_fault(world, &asked)),
        ("POST", "/_sim/rate") => done(rate(world, &asked)),
        ("POST", "/_sim/burst") => done(burst(world, &asked)),
        ("POST", "/_sim/revoke-tokens") => {
            world.tokens.revoke();
            done(Ok(()))
        }
        _ => Answer::text(404, HELP),
    };
    answer.send(socket).await;
}

/// Parameters in the query, or in a JSON body.
struct Asked<'a> {
    request: &'a Request,
    body: serde_json::Value,
}

impl Asked<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let in_body = || {
            let value = self.body.get(name)?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        self.request.parameter(name).or_else(in_body)
    }

    fn need(&self, name: &'static str) -> Result<String, AdminError> {
        self.get(name).ok_or(AdminError::Missing(name))
    }
}

#[derive(Debug, thiserror::Error)]
enum AdminError {
    #[error("parameter {0} is missing: give it in the query, or in a JSON object in the body")]
    Missing(&'static str),
    #[error("{name} cannot be {value:?}: {expected}")]
    Value {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error(transparent)]
    Fault(#[from] FaultError),
}

fn done(result: Result<(), AdminError>) -> Answer {
    match result {
        Ok(()) => Answer::json(200, &serde_json::json!({ "done": true })),
        Err(error) => Answer::error(400, &error.to_string()),
    }
}

fn fault(world: &World, asked: &Asked<'_>) -> Result<(), AdminError> {
    let fault: Fault = asked.need("fault")?.parse()?;
    Ok(world.fault(&asked.need("stream")?, fault)?)
}

fn token_fault(world: &World, asked: &Asked<'_>) -> Result<(), AdminError> {
    let fault: TokenFault = asked.need("fault")?.parse()?;
    let times = match asked.get("times") {
        None => 1,
        Some(text) => number("times", text)?,
    };
    world.tokens.fault(fault, times);
    Ok(())
}

fn rate(world: &World, asked: &Asked<'_>) -> Result<(), AdminError> {
    let rate: Rate = asked.need("rate")?.parse().map_err(|value| AdminError::Value {
        name: "rate",
        value,
        expected: "use hits a second, or max",
    })?;
    Ok(world.set_rate(&asked.need("stream")?, rate)?)
}

fn burst(world: &World, asked: &Asked<'_>) -> Result<(), AdminError> {
    let hits = number("hits", asked.need("hits")?)?;
    Ok(world.burst(&asked.need("stream")?, hits)?)
}

fn number<T: std::str::FromStr>(name: &'static str, value: String) -> Result<T, AdminError> {
    value.parse().map_err(|_| AdminError::Value {
        name,
        value,
        expected: "use a whole number",
    })
}

fn summary(world: &World) -> serde_json::Value {
    let streams: serde_json::Map<_, _> = world
        .streams
        .iter()
        .map(|(name, stream)| {
            let (made, overrun) = {
                let state = stream.state();
                (state.source.made(), state.source.overrun())
            };
            let sums = world.ledger.summary_of(name);
            (
                name.clone(),
                serde_json::json!({ "made": made, "overrun": overrun, "ledger": sums }),
            )
        })
        .collect();
    let early = world.ledger.early_accepts();
    serde_json::json!({ "total": world.ledger.summary(), "streams": streams, "early_accepts": early })
}

async fn accepts(world: &World, mut socket: Socket) {
    let mut lines = String::new();
    for accept in world.ledger.accepts() {
        if let Ok(line) = serde_json::to_string(&accept) {
            lines.push_str(&line);
            lines.push('\n');
        }
    }
    if begin_lines(&mut socket).await && socket.send(lines.as_bytes()).await.is_ok() {
        socket.finish(false).await;
    }
}

async fn records(world: &World, stream: Option<String>, mut socket: Socket) {
    if !begin_lines(&mut socket).await {
        return;
    }
    for accept in world.ledger.accepts() {
        if stream.as_ref().is_some_and(|stream| *stream != accept.stream) {
            continue;
        }
        let mut from = 0;
        loop {
            let page = world.ledger.page(accept.connection, from, PAGE);
            if page.is_empty() {
                break;
            }
            let mut lines = String::with_capacity(page.len() * 200);
            for (number, record) in (from as u64..).zip(&page) {
                ledger_file::judged_record(&accept, number, record, &mut lines);
            }
            if socket.send(lines.as_bytes()).await.is_err() {
                return;
            }
            from += page.len();
        }
    }
    socket.finish(false).await;
}

/// The head of an answer that lasts until the connection ends.
async fn begin_lines(socket: &mut Socket) -> bool {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
    socket.send(head.as_bytes()).await.is_ok()
}
