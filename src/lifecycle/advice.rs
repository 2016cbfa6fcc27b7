//! What an operator should do about a wait: one text for each reason that a person can do something about (protocol notes,
//! section 4). Log lines and whoever shows a state take it from here.

use super::outcome::{Lost, TokenFailure};
use super::wait::Why;

/// From this many refusals in a row on, trouble that passes by itself as a rule has not.
pub const PERSISTENT: u32 = 3;

impl Why {
    /// What to do about it, if there is anything. `failures` is how many attempts in a row reached the service and did not stream.
    pub const fn advice(&self, failures: u32) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => for_status(refusal.status, failures),
            Self::Lost(Lost::RedirectRefused(_)) => Some(
                "if the host that it names is Adobe's, add it to upstream.trusted_hosts; the token was not sent there",
            ),
            Self::Lost(Lost::Unreadable(_)) => {
                Some("a proxy between here and Adobe may answer or rewrite: see what it does")
            }
            Self::Lost(Lost::HeadTimeout | Lost::Broken(_) | Lost::RedirectHop(_)) if failures >= PERSISTENT => {
                Some("see whether a firewall or proxy between here and Adobe cuts connections")
            }
            Self::Token(TokenFailure::Refused { .. }) => Some(
                "check client_id, client_secret and scopes of the credential; livestreamd check --connect tries them",
            ),
            Self::LeaseNotStored => {
                Some("make room under state_dir, or let this user write there: no connect goes out without a lease")
            }
            Self::Start
            | Self::LeaseClosed
            | Self::LeaseOpen
            | Self::LeaseUnclear
            | Self::Ended(_)
            | Self::Lost(_)
            | Self::Unreached(_)
            | Self::Token(TokenFailure::Unavailable(_)) => None,
        }
    }
}

const fn for_status(status: u16, failures: u32) -> Option<&'static str> {
    match status {
        400 => {
            Some("a query parameter is wrong: check connections, max_connections, smoothing, and the query in the url")
        }
        401 | 403 => Some("ask Customer Care whether the technical account of this credential is linked to the stream"),
        404 => Some(
            "check the url; the endpoint may also have been disabled after 90 days without a client: ask Customer Care",
        ),
        405 | 406 | 505 => {
            Some("our request did not arrive as it was sent: a proxy between here and Adobe may rewrite it")
        }
        409 => Some(
            "another client may use this stream, or the service still counts a lost connection, which passes; all clients must send the same maxConnections",
        ),
        424 => Some(
            "the stream is not enabled for /api/2: send one GET to /api/2/enable/{endpoint-name}, with the same headers; it works after 15 minutes",
        ),
        500 => Some("if it goes on, call Customer Care"),
        503 if failures >= PERSISTENT => Some(
            "if the report suite has hits, ask Customer Care; a reset on purpose (one request by hand with reset=latest or reset=earliest, all other connections closed) can also cure it",
        ),
        407 => Some("a proxy between here and Adobe wants credentials"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Refusal;

    #[test]
    fn every_status_that_a_person_must_mend_comes_with_advice() {
        for status in [400, 401, 404, 405, 406, 424, 505] {
            let why = Why::Refused(Refusal::status(status));
            assert!(why.is_failing() && why.advice(1).is_some(), "{status}");
        }
    }

    #[test]
    fn a_reset_is_spoken_of_only_when_503_persists() {
        let why = Why::Refused(Refusal::status(503));
        assert_eq!(why.advice(1), None);
        assert!(why.advice(PERSISTENT).is_some_and(|advice| advice.contains("reset")));
    }
}
