//! An attempt: a request for a stream, from its checks to its answer or to the stream itself.

use std::time::Duration;

use super::faults::AttemptFault;
use super::http::{Answer, Request};
use super::ledger_entries::{Accept, End, EndedBy, TokenSeen};
use super::settings::{Api2, RedirectTarget};
use super::slots::{Arrival, Conflict, Ending, Follows};
use super::socket::{Gone, Socket};
use super::stream::{Connection, note_client_gone, note_end};
use super::world::{Stream, Ticket, World};

/// What stands in front of a path that a redirect leads to: `/_hop/TICKET/api/...`.
pub(super) const HOP: &str = "/_hop/";
/// The longest name or path that the ledger notes.
const MOST_NAME: usize = 128;

/// A request for a stream.
pub(super) struct Attempt<'a> {
    /// Which listener it came to.
    pub(super) listener: usize,
    /// The name that was asked for.
    pub(super) name: &'a str,
    pub(super) request: &'a Request,
    /// Of the redirect that it follows.
    pub(super) ticket: Option<Ticket>,
    /// When its connection was accepted.
    pub(super) at: Duration,
}

/// What an attempt is granted.
enum Grant {
    Stream {
        silent: bool,
        until: Option<Duration>,
    },
    StrangeCoding,
    Answer {
        answer: Answer,
        ending: Ending,
        by: EndedBy,
    },
    NoAnswer,
    HangUp,
}

impl Grant {
    fn refuse(answer: Answer) -> Self {
        Self::Answer {
            answer,
            ending: Ending::Made,
            by: EndedBy::Refusal,
        }
    }
}

/// Notes the attempt, and gives it what it is granted.
pub(super) async fn attempt(world: &World, attempt: Attempt<'_>, mut socket: Socket) {
    let parameters = Parameters::read(attempt.request);
    let accept = attempt.accept(world, &socket);
    let ledger = &world.ledger;
    let Ok(stream) = world.stream(attempt.name) else {
        let nothing = Arrival {
            follows: Follows::Nothing,
            waited: None,
            early: false,
        };
        let number = ledger.accepted(accept, |_| nothing).await;
        ledger
            .ended(
                number,
                End {
                    at: ledger.now(),
                    by: EndedBy::Refusal,
                    orderly: true,
                    taken: None,
                },
            )
            .await;
        ledger.answers(number, 404).await;
        return Answer::error(404, "there is no such endpoint").send(socket).await;
    };
    let declared = parameters.max_connections.unwrap_or(1);
    let from = attempt.ticket.as_ref().map(|ticket| ticket.from);
    let seen = accept.token;
    let number = ledger
        .accepted(accept, |number| {
            stream.state().slots.arrive(number, attempt.at, declared, from)
        })
        .await;
    match grant(world, stream, &attempt, &parameters, number, seen) {
        Grant::Answer { answer, ending, by } => {
            // Before the client can know of it.
            let at = ledger.now();
            note_end(world, stream, number, at, ending).await;
            ledger
                .ended(
                    number,
                    End {
                        at,
                        by,
                        orderly: true,
                        taken: None,
                    },
                )
                .await;
            ledger.answers(number, answer.status).await;
            answer.send(socket).await;
        }
        Grant::HangUp => {
            let at = ledger.now();
            note_end(world, stream, number, at, Ending::Made).await;
            ledger
                .ended(
                    number,
                    End {
                        at,
                        by: EndedBy::Fault("hang-up"),
                        orderly: false,
                        taken: None,
                    },
                )
                .await;
            socket.cut().await;
        }
        Grant::NoAnswer => hold(world, stream, number, socket).await,
        Grant::StrangeCoding => {
            ledger.answers(number, 200).await;
            let head =
                b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\x0b\x01\x80{\r\n";
            // Whether it could be sent or not, the client is the next to act.
            let _ = socket.send(head).await;
            hold(world, stream, number, socket).await;
        }
        Grant::Stream { silent, until } => {
            ledger.answers(number, 200).await;
            let chunked = if stream.settings.body.chunked {
                "Transfer-Encoding: chunked\r\n"
            } else {
                "Connection: close\r\n"
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Encoding: gzip\r\n{chunked}\r\n"
            );
            if socket.send(head.as_bytes()).await.is_err() {
                return note_client_gone(world, stream, number).await;
            }
            let until = until.filter(|_| stream.settings.ends_with_token);
            Connection::new(world, stream, number, socket).run(silent, until).await;
        }
    }
}

/// Keeps a connection open without another byte, until the client goes or the simulator stops.
async fn hold(world: &World, stream: &Stream, number: u64, mut socket: Socket) {
    tokio::select! {
        biased;
        Gone::Closed | Gone::Broken = socket.gone() => note_client_gone(world, stream, number).await,
        () = world.stopping() => {
            let at = world.ledger.now();
            note_end(world, stream, number, at, Ending::Made).await;
            world.ledger.ended(number, End { at, by: EndedBy::Stop, orderly: false, taken: None }).await;
            socket.cut().await;
        }
    }
}

/// The order of the checks: what is wrong with the request as such comes first, then what is wrong with the moment.
fn grant(
    world: &World,
    stream: &Stream,
    attempt: &Attempt<'_>,
    parameters: &Parameters,
    number: u64,
    seen: TokenSeen,
) -> Grant {
    let request = attempt.request;
    let now = world.ledger.now();
    if request.method != "GET" {
        return Grant::refuse(Answer::error(405, "GET only").header("Allow", "GET"));
    }
    if !request.is_http11 {
        return Grant::refuse(Answer::error(505, "HTTP/1.1 only"));
    }
    let fault = stream.state().next_attempt_fault();
    let silent = match fault {
        Some(AttemptFault::Status { code: 401, .. }) => return unauthorized(),
        Some(AttemptFault::Status { code, retry_after }) => {
            return Grant::refuse(Answer::error(code, "simulated trouble").retry_after(retry_after));
        }
        Some(AttemptFault::NoAnswer) => return Grant::NoAnswer,
        Some(AttemptFault::HangUp) => return Grant::HangUp,
        Some(AttemptFault::StrangeCoding) => return Grant::StrangeCoding,
        Some(AttemptFault::Silence) => true,
        None => false,
    };
    if request.path.starts_with("/api/2/") && !is_enabled(stream, now) {
        let how = format!(
            "not enabled for this API: send one GET to /api/2/enable/{}",
            stream.settings.name
        );
        return Grant::refuse(Answer::error(424, &how));
    }
    if world.tokens.is_refused(seen) {
        return unauthorized();
    }
    if !accepts_gzip(request) {
        return Grant::refuse(Answer::error(406, "Accept-Encoding must allow gzip"));
    }
    let declared = match (parameters.max_connections, parameters.fault) {
        (_, Some(fault)) => return Grant::refuse(Answer::error(400, fault)),
        (None, None) => return Grant::refuse(Answer::error(400, "maxConnections must be 1 to 8")),
        (Some(declared), None) => declared,
    };
    if let Some(location) = redirect(world, stream, attempt, number) {
        let status = stream
            .settings
            .redirect
            .as_ref()
            .map_or(302, |redirect| redirect.status);
        let answer = Answer::text(status, "").header("Location", location);
        return Grant::Answer {
            answer,
            ending: Ending::Made,
            by: EndedBy::Redirect,
        };
    }
    let until = world.tokens.check(request.header("authorization"), now).1;
    let mut state = stream.state();
    match state.slots.admit(number, now, declared) {
        Ok(()) => {
            state.source.join(now, number, parameters.reset.as_deref());
            Grant::Stream { silent, until }
        }
        Err(Conflict::Reached(most)) => Grant::refuse(Answer::error(
            409,
            &format!("maximum number of connections reached: {most} are allowed and counted as open"),
        )),
        Err(Conflict::Differs(other)) => Grant::refuse(Answer::error(
            409,
            &format!("maxConnections differs: this client sent {declared}, another one {other}"),
        )),
    }
}

fn unauthorized() -> Grant {
    Grant::Answer {
        answer: Answer::text(401, "not authorized"),
        ending: Ending::Unauthorized,
        by: EndedBy::Refusal,
    }
}

fn is_enabled(stream: &Stream, now: Duration) -> bool {
    match stream.settings.api2 {
        Api2::Enabled => true,
        Api2::AfterEnable(_) => stream.state().enabled_at.is_some_and(|at| at <= now),
    }
}

fn accepts_gzip(request: &Request) -> bool {
    let accepted = request.header("accept-encoding").unwrap_or_default();
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Where this attempt is sent on to, if it is, and a ticket for the next hop.
fn redirect(world: &World, stream: &Stream, attempt: &Attempt<'_>, number: u64) -> Option<String> {
    let redirect = stream.settings.redirect.as_ref()?;
    let hops = attempt.ticket.as_ref().map_or(0, |ticket| ticket.hops);
    if redirect.hops.is_some_and(|most| hops >= most) {
        return None;
    }
    let headers = attempt.request.headers.clone();
    let ticket = world.open_ticket(Ticket {
        from: number,
        hops: hops.saturating_add(1),
        headers,
    });
    let here = world.bases.get(attempt.listener).cloned().unwrap_or_default();
    let base = match &redirect.target {
        RedirectTarget::Relative => String::new(),
        RedirectTarget::Same => here,
        RedirectTarget::OtherListener => {
            let other = world.bases.iter().find(|base| **base != here);
            other.cloned().unwrap_or(here)
        }
        RedirectTarget::Base(base) => base.trim_end_matches('/').to_owned(),
    };
    let query = &attempt.request.query;
    let mark = if query.is_empty() { "" } else { "?" };
    Some(format!("{base}{HOP}{ticket}{}{mark}{query}", attempt.request.path))
}

impl Attempt<'_> {
    fn accept(&self, world: &World, socket: &Socket) -> Accept {
        let request = self.request;
        let (token, _) = world.tokens.check(request.header("authorization"), world.ledger.now());
        let lost = |ticket: &Ticket| {
            let kept = |name: &String, value: &String| name == "host" || request.headers.get(name) == Some(value);
            ticket
                .headers
                .iter()
                .filter(|(name, value)| !kept(name, value))
                .map(|(name, _)| name.clone())
                .collect()
        };
        Accept {
            connection: 0,
            stream: shortened(self.name),
            at: self.at,
            wall_ms: world.ledger.wall_ms(self.at),
            follows: Follows::Nothing,
            waited: None,
            early: false,
            status: None,
            request: shortened(&format!("{} {}", request.method, request.path)),
            query: shortened(&request.query),
            token,
            headers: request.headers.keys().cloned().collect(),
            headers_lost: self.ticket.as_ref().map(lost).unwrap_or_default(),
            tls: socket.is_tls(),
            records: 0,
            whole: 0,
            end: None,
        }
    }
}

/// The query of a request for a stream (protocol notes, section 2).
struct Parameters {
    /// 1 if not given; nothing if it is not 1 to 8.
    max_connections: Option<u8>,
    reset: Option<String>,
    fault: Option<&'static str>,
}

impl Parameters {
    fn read(request: &Request) -> Self {
        let max_connections = match request.parameter("maxConnections") {
            None => Some(1),
            Some(text) => text.parse().ok().filter(|most| (1..=8).contains(most)),
        };
        let reset = request.parameter("reset");
        let bucket = request.parameter("smoothingBucketSize");
        let smoothing = request.parameter("smoothing");
        let in_range = |text: &String| text.parse().is_ok_and(|secs: u32| (1..=7_200).contains(&secs));
        let fault = if !matches!(
            reset.as_deref(),
            None | Some("smallest" | "largest" | "earliest" | "latest")
        ) {
            Some("reset must be smallest, largest, earliest or latest")
        } else if !matches!(smoothing.as_deref(), None | Some("1")) {
            Some("smoothing must be 1 or absent")
        } else if bucket.is_some() && smoothing.is_none() {
            Some("smoothingBucketSize needs smoothing=1")
        } else if bucket.as_ref().is_some_and(|text| !in_range(text)) {
            Some("smoothingBucketSize must be 1 to 7200")
        } else {
            None
        };
        Self {
            max_connections,
            reset,
            fault,
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MOST_NAME).collect()
}
