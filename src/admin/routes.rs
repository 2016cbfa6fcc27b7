//! The endpoints. Each reads what is posted, and answers GET and HEAD.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::access::{Caller, Refusal};
use super::follow::Follower;
use super::headers;
use super::page::PAGE;
use super::serve::Shared;
use super::shown::Shown;
use crate::status::Hindrance;

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const EVENT_STREAM: &str = "text/event-stream";

const WHAT_THERE_IS: &str = "\
there is nothing here; there are

/          the status page
/status    the status as JSON
/events    the same as server-sent events, as it changes
/healthz   200 while the daemon is alive, else 503
/readyz    200 while nothing stands in its way, else 503 with what does
/metrics   for Prometheus
";
const READ_ONLY: &str = "only GET and HEAD: nothing can be changed here\n";
const TOO_MANY_FOLLOWERS: &str = "too many readers of /events; close one of them, or ask for /status now and then\n";

/// All endpoints.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let page = headers::page_policy(PAGE);
    let endpoints: [(&str, MethodRouter<Arc<Shared>>); 6] = [
        ("/", get(move || std::future::ready(the_page(page.clone())))),
        ("/status", get(status)),
        ("/events", get(events)),
        ("/healthz", get(healthz)),
        ("/readyz", get(readyz)),
        ("/metrics", get(metrics)),
    ];
    let router = endpoints.into_iter().fold(Router::new(), |router, (path, endpoint)| {
        router.route(path, endpoint.fallback(read_only))
    });
    router.fallback(nothing).with_state(shared)
}

/// The answer to a request that is not to be answered.
pub(super) fn refused(refusal: Refusal) -> Response {
    let mut response = text(refusal.status(), format!("{refusal}\n"));
    // Who is not let in holds no place among the connections.
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    if refusal == Refusal::NoToken {
        for challenge in [
            "Basic realm=\"livestreamd\", charset=\"UTF-8\"",
            "Bearer realm=\"livestreamd\"",
        ] {
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

fn the_page(policy: HeaderValue) -> Response {
    let mut response = answer(StatusCode::OK, HTML, PAGE);
    headers::set_policy(response.headers_mut(), policy);
    response
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, JSON, shared.showcase.now().status())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let shown = shared.showcase.now();
    // Old numbers would look like new ones to Prometheus; without an answer it says that this daemon is down.
    match shown.stuck_for() {
        None => answer(StatusCode::OK, METRICS, shown.metrics()),
        Some(age) => text(StatusCode::SERVICE_UNAVAILABLE, stuck(age.as_secs_f64())),
    }
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    match Follower::new(shared) {
        Some(follower) => answer(StatusCode::OK, EVENT_STREAM, Body::from_stream(follower.events())),
        None => text(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY_FOLLOWERS),
    }
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.showcase.now().stuck_for() {
        None => text(StatusCode::OK, "ok\n"),
        Some(age) => text(StatusCode::SERVICE_UNAVAILABLE, stuck(age.as_secs_f64())),
    }
}

async fn readyz(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let readiness = Readiness::of(&shared.showcase.now());
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let readiness = match caller {
        Caller::Known => readiness,
        Caller::Stranger => Readiness {
            hindrances: Vec::new(),
            ..readiness
        },
    };
    if wants_json(&headers) {
        answer(status, JSON, serde_json::to_vec(&readiness).unwrap_or_default())
    } else {
        text(status, readiness.text())
    }
}

async fn read_only() -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, READ_ONLY);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

async fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, WHAT_THERE_IS)
}

/// What `/readyz` says.
#[derive(Debug, PartialEq, Serialize)]
struct Readiness {
    ready: bool,
    /// How old the daemon's last sign of life is, if that is too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck_seconds: Option<f64>,
    /// As in `/status`.
    hindrances: Vec<Hindrance>,
}

impl Readiness {
    fn of(shown: &Shown) -> Self {
        let stuck_seconds = shown.stuck_for().map(|age| age.as_secs_f64());
        Self {
            ready: shown.post.daemon.ready && stuck_seconds.is_none(),
            stuck_seconds,
            hindrances: shown.post.daemon.hindrances.clone(),
        }
    }

    /// One line for each thing that is in the way.
    fn text(&self) -> String {
        if self.ready {
            return "ready\n".to_owned();
        }
        let mut text: String = self.stuck_seconds.map(stuck).unwrap_or_default();
        for hindrance in &self.hindrances {
            // What others said may have line breaks.
            let line: String = hindrance.to_string();
            text.extend(line.chars().map(|c| if c.is_control() { ' ' } else { c }));
            text.push('\n');
        }
        if text.is_empty() {
            text.push_str("not ready\n");
        }
        text
    }
}

fn stuck(seconds: f64) -> String {
    format!(
        "no sign of life for {seconds:.0} s: the threads that do the work are stuck; see to the disk and the machine, then restart\n"
    )
}

/// Whether JSON is asked for by name. What comes first where several are asked for is not weighed.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|one| {
        one.split(';')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case(JSON))
    })
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    answer(status, TEXT, text.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sent_to_who_asks_for_it_by_name() {
        let asks = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            wants_json(&headers)
        };
        assert!(asks("application/json") && asks("text/html, Application/JSON;q=0.9"));
        assert!(!asks("*/*") && !asks("text/plain") && !asks("application/json-seq"));
        assert!(!wants_json(&HeaderMap::new()));
    }

    #[test]
    fn each_hindrance_is_one_line_whatever_others_said() {
        let hindrance = |text: &str| Hindrance {
            text: text.to_owned(),
            ..Hindrance::default()
        };
        let mut readiness = Readiness {
            ready: false,
            stuck_seconds: Some(17.2),
            hindrances: vec![hindrance("one"), hindrance("two\r\nlines")],
        };
        let text = readiness.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("no sign of life for 17 s"), "{text}");
        assert_eq!(lines[1..], ["one", "two  lines"]);
        (readiness.stuck_seconds, readiness.hindrances) = (None, Vec::new());
        assert_eq!(readiness.text(), "not ready\n");
        readiness.ready = true;
        assert_eq!(readiness.text(), "ready\n");
    }
}
