//! What the service answers, status by status.

use super::{Advised, Deed, Explanation};
use crate::lifecycle::conflict::{Conflict, conflict};
use crate::lifecycle::outcome::{Refusal, RefusalClass};

const REASON: &str = "refused";
const GUIDE: &str = "Adobe's troubleshooting guide for Livestream";
const PROXIES: &str = "not documented by Adobe: proxies and load balancers send it";
const RETRY_AFTER: &str = "a longer Retry-After is kept to, up to an hour";

/// All of them, in the order of their statuses.
pub static ALL: &[&Explanation] = &[
    &OK,
    &REDIRECT,
    &BAD_REQUEST,
    &UNAUTHORIZED,
    &FORBIDDEN,
    &NOT_FOUND,
    &METHOD,
    &NOT_ACCEPTABLE,
    &PROXY_AUTHENTICATION,
    &CONFLICT,
    &CONFLICT_REACHED,
    &CONFLICT_DIFFERS,
    &NOT_ENABLED,
    &TOO_MANY,
    &FAILURE,
    &GATEWAY,
    &UNAVAILABLE,
    &VERSION,
    &OTHER_TROUBLE,
    &OTHER,
];

/// The line for an answer other than 200 or a redirect; that for a 200 or a redirect tells of those.
pub fn refused(refusal: &Refusal) -> &'static Explanation {
    match refusal.status {
        200 => &OK,
        301 | 302 | 307 | 308 => &REDIRECT,
        400 => &BAD_REQUEST,
        401 => &UNAUTHORIZED,
        403 => &FORBIDDEN,
        404 => &NOT_FOUND,
        405 => &METHOD,
        406 => &NOT_ACCEPTABLE,
        407 => &PROXY_AUTHENTICATION,
        408 | 425 | 429 => &TOO_MANY,
        409 => match conflict(refusal.description.as_deref()) {
            Conflict::Reached => &CONFLICT_REACHED,
            Conflict::Differs => &CONFLICT_DIFFERS,
            Conflict::Unclear => &CONFLICT,
        },
        424 => &NOT_ENABLED,
        500 => &FAILURE,
        502 | 504 => &GATEWAY,
        503 => &UNAVAILABLE,
        505 => &VERSION,
        _ => match refusal.class() {
            RefusalClass::Busy | RefusalClass::Trouble => &OTHER_TROUBLE,
            RefusalClass::Unauthorized | RefusalClass::Fault => &OTHER,
        },
    }
}

static OK: Explanation = Explanation {
    name: "200",
    also: &["streaming"],
    reason: "",
    title: "the stream is open",
    means: "the stream is open. Silence after it is normal for a quiet report suite",
    deed: Deed::Read,
    detail: "",
    operator: "nothing",
    advised: Advised::Never,
    source: "Adobe's guide to Livestream",
};

static REDIRECT: Explanation = Explanation {
    name: "30x",
    also: &["301", "302", "307", "308"],
    reason: "",
    title: "go elsewhere",
    means: "the stream is served at another endpoint",
    deed: Deed::Follow,
    detail: "at most 5 in a row, at once and without a cooldown between them; see redirect_refused and redirect_hop",
    operator: "nothing",
    advised: Advised::Never,
    source: "Adobe's troubleshooting guide documents 302, and Adobe's client takes 301; 307 and 308 are ours",
};

static BAD_REQUEST: Explanation = Explanation {
    name: "400",
    also: &[],
    reason: REASON,
    title: "a query parameter is wrong",
    means: "a query parameter has a value that the service does not take, such as maxConnections=9",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "a query parameter is wrong: check connections, max_connections, smoothing, and the query in the url",
    advised: Advised::Always,
    source: GUIDE,
};

static UNAUTHORIZED: Explanation = Explanation {
    name: "401",
    also: &[],
    reason: REASON,
    title: "the token is not taken",
    means: "the token is missing or has expired, or Adobe has not linked the technical account of the credential to this stream",
    deed: Deed::FreshToken,
    detail: RETRY_AFTER,
    operator: "ask Customer Care whether the technical account of this credential is linked to the stream",
    advised: Advised::Always,
    source: GUIDE,
};

static FORBIDDEN: Explanation = Explanation {
    name: "403",
    also: &[],
    reason: REASON,
    title: "not allowed",
    means: "whoever answered knows the token and does not let it in",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "ask Customer Care whether the technical account of this credential is linked to the stream; a proxy between here and Adobe may answer so, too",
    advised: Advised::Always,
    source: PROXIES,
};

static NOT_FOUND: Explanation = Explanation {
    name: "404",
    also: &[],
    reason: REASON,
    title: "no such endpoint",
    means: "the endpoint's name is wrong, or it was disabled after 90 days without a client",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "check the url; the endpoint may also have been disabled after 90 days without a client: ask Customer Care",
    advised: Advised::Always,
    source: "Adobe's troubleshooting guide; the 90 days stand in the older guide",
};

const REWRITTEN: &str = "our request did not arrive as it was sent: a proxy between here and Adobe may rewrite it";

static METHOD: Explanation = Explanation {
    name: "405",
    also: &[],
    reason: REASON,
    title: "not a GET",
    means: "the request arrived with another method than GET",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: REWRITTEN,
    advised: Advised::Always,
    source: GUIDE,
};

static NOT_ACCEPTABLE: Explanation = Explanation {
    name: "406",
    also: &[],
    reason: REASON,
    title: "gzip was not asked for",
    means: "the request arrived without Accept-Encoding: gzip; the service has no uncompressed data",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: REWRITTEN,
    advised: Advised::Always,
    source: GUIDE,
};

static PROXY_AUTHENTICATION: Explanation = Explanation {
    name: "407",
    also: &[],
    reason: REASON,
    title: "a proxy wants credentials",
    means: "a proxy between here and Adobe answered, and not the service",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "a proxy between here and Adobe wants credentials",
    advised: Advised::Always,
    source: PROXIES,
};

static CONFLICT: Explanation = Explanation {
    name: "409",
    also: &[],
    reason: REASON,
    title: "the stream is taken, or maxConnections differs; it does not say which",
    means: "as many connections as maxConnections allows are counted, perhaps with one that we lost, or clients do not agree on maxConnections; \
            the words that came with it do not say which",
    deed: Deed::Stretch,
    detail: RETRY_AFTER,
    operator: "another client may use this stream, or the service still counts a lost connection, which passes; all clients must send the same maxConnections",
    advised: Advised::Always,
    source: "Adobe's troubleshooting guide; KA-16598 for connections that were lost",
};

static CONFLICT_REACHED: Explanation = Explanation {
    name: "409-reached",
    also: &["409"],
    reason: REASON,
    title: "as many connections as maxConnections allows are counted",
    means: "the service counts as many connections of this stream as maxConnections allows: those of other clients, or one that we lost and that it \
            has not noticed to be gone",
    deed: Deed::Stretch,
    detail: RETRY_AFTER,
    operator: "a lost connection that is still counted passes by itself; if it goes on, another client uses this stream: stop it, or raise max_connections, to the same value everywhere",
    advised: Advised::Always,
    source: "Adobe's troubleshooting guide, without the words: they are guessed at; KA-16598 for connections that were lost",
};

static CONFLICT_DIFFERS: Explanation = Explanation {
    name: "409-differs",
    also: &["409"],
    reason: REASON,
    title: "another client sent another maxConnections",
    means: "a client that is connected, or still counted, sent another maxConnections than we did",
    deed: Deed::Stretch,
    detail: RETRY_AFTER,
    operator: "set max_connections to the same value for every client of this stream, on all machines, and restart those that change",
    advised: Advised::Always,
    source: "Adobe's troubleshooting guide, without the words: they are guessed at",
};

static NOT_ENABLED: Explanation = Explanation {
    name: "424",
    also: &[],
    reason: REASON,
    title: "not enabled for /api/2",
    means: "the stream is not enabled for /api/2",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "the stream is not enabled for /api/2: send one GET to /api/2/enable/{endpoint-name}, with the same headers; it works after 15 minutes",
    advised: Advised::Always,
    source: "Adobe's guide to Livestream",
};

static TOO_MANY: Explanation = Explanation {
    name: "429",
    also: &["408", "425"],
    reason: REASON,
    title: "not now",
    means: "too many requests, or a request that came too slowly (408) or too early (425)",
    deed: Deed::Cooldown,
    detail: RETRY_AFTER,
    operator: "see whether other clients share this credential or address, if it goes on",
    advised: Advised::WhenItPersists,
    source: PROXIES,
};

static FAILURE: Explanation = Explanation {
    name: "500",
    also: &[],
    reason: REASON,
    title: "the service failed",
    means: "Livestream failed",
    deed: Deed::Cooldown,
    detail: RETRY_AFTER,
    operator: "if it goes on, call Customer Care",
    advised: Advised::Always,
    source: GUIDE,
};

static GATEWAY: Explanation = Explanation {
    name: "502",
    also: &["504"],
    reason: REASON,
    title: "nobody behind the load balancer answered",
    means: "a proxy or load balancer got no answer (504), or none that it can use (502), from what is behind it",
    deed: Deed::Cooldown,
    detail: RETRY_AFTER,
    operator: "if it goes on, see whether it is a proxy of yours that answers; else call Customer Care",
    advised: Advised::WhenItPersists,
    source: PROXIES,
};

static UNAVAILABLE: Explanation = Explanation {
    name: "503",
    also: &[],
    reason: REASON,
    title: "no stream at the moment",
    means: "the report suite has no hits, the stream is being moved, or the service has not noticed yet that an earlier connection is gone: it comes now and \
            then even with a steady flow of hits",
    deed: Deed::Stretch,
    detail: RETRY_AFTER,
    operator: "if the report suite has hits, ask Customer Care; a reset on purpose can also cure it: stop all clients of the stream, then start one with \
               livestreamd run --reset NAME=latest, which throws away what was missed, or NAME=earliest, which repeats",
    advised: Advised::WhenItPersists,
    source: "Adobe's troubleshooting guide and release notes; KA-16598",
};

static VERSION: Explanation = Explanation {
    name: "505",
    also: &[],
    reason: REASON,
    title: "not HTTP/1.1",
    means: "the request arrived as another version than HTTP/1.1",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: REWRITTEN,
    advised: Advised::Always,
    source: GUIDE,
};

static OTHER_TROUBLE: Explanation = Explanation {
    name: "5xx",
    also: &[],
    reason: REASON,
    title: "any other trouble of theirs",
    means: "trouble of the service, or of a proxy, that Adobe does not document",
    deed: Deed::Cooldown,
    detail: RETRY_AFTER,
    operator: "if it goes on, see whether it is a proxy of yours that answers; else call Customer Care",
    advised: Advised::WhenItPersists,
    source: PROXIES,
};

static OTHER: Explanation = Explanation {
    name: "other",
    also: &[],
    reason: REASON,
    title: "any other status",
    means: "an answer that Adobe does not document, such as 204, 303 or 451",
    deed: Deed::LongRetry,
    detail: RETRY_AFTER,
    operator: "see whether it is a proxy between here and Adobe that answers; else ask Customer Care, with the status and its text",
    advised: Advised::Always,
    source: PROXIES,
};
