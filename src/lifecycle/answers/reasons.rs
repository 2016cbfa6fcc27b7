//! Why a connection ended or is not there, without a status of the service: in the order in which they can befall a slot.

use super::{Advised, Deed, Explanation};

const OURS: &str = "livestreamd's own rule (protocol notes, section 1)";
const HEADS: &str = "not documented by Adobe; it counts as reached (protocol notes, section 1)";
const ENDS: &str = "Adobe calls disconnects expected; KA-16598 asks for the wait";
const CUTS: &str = "see whether a firewall or proxy between here and Adobe cuts connections";

/// All of them.
pub static ALL: &[&Explanation] = &[
    &START,
    &LEASE_CLOSED,
    &LEASE_OPEN,
    &LEASE_UNCLEAR,
    &LEASE_NOT_STORED,
    &TOKEN_UNAVAILABLE,
    &TOKEN_REFUSED,
    &UNREACHED,
    &HEAD_TIMEOUT,
    &BROKEN,
    &REDIRECT_HOP,
    &REDIRECT_REFUSED,
    &UNREADABLE,
    &CLOSED,
    &CUT,
    &RESET,
    &STALLED,
    &CORRUPT_GZIP,
    &CORRUPT_FRAMING,
    &JOURNAL_FAILED,
];

pub(super) static START: Explanation = Explanation {
    name: "start",
    also: &[],
    reason: "start",
    title: "nothing is owed",
    means: "this slot of this url was never connected from here, or its cooldown is over",
    deed: Deed::Connect,
    detail: "many streams one after another, within 10 s",
    operator: "nothing",
    advised: Advised::Never,
    source: OURS,
};

pub(super) static LEASE_CLOSED: Explanation = Explanation {
    name: "lease_closed",
    also: &[],
    reason: "lease_closed",
    title: "an earlier run's cooldown is not over",
    means: "the lease on disk says that a connection ended a moment ago, and how long to wait",
    deed: Deed::Rest,
    detail: "",
    operator: "nothing; a restart does not shorten it",
    advised: Advised::Never,
    source: OURS,
};

pub(super) static LEASE_OPEN: Explanation = Explanation {
    name: "lease_open",
    also: &[],
    reason: "lease_open",
    title: "an earlier run did not close its lease",
    means: "the daemon before was killed or crashed, and may have been connected until a moment ago",
    deed: Deed::Cooldown,
    detail: "counted from this start",
    operator: "nothing; if nobody has killed it, see what the log of the run before ends with",
    advised: Advised::Never,
    source: OURS,
};

pub(super) static LEASE_UNCLEAR: Explanation = Explanation {
    name: "lease_unclear",
    also: &[],
    reason: "lease_unclear",
    title: "it is not known when an earlier connection ended",
    means: "the lease is of another boot, cannot be read, or says what cannot be",
    deed: Deed::Cooldown,
    detail: "or the whole wait that the lease asks for, if it is longer",
    operator: "nothing after a reboot; else see to the disk under state_dir",
    advised: Advised::Never,
    source: OURS,
};

pub(super) static LEASE_NOT_STORED: Explanation = Explanation {
    name: "lease_not_stored",
    also: &[],
    reason: "lease_not_stored",
    title: "the lease cannot be written",
    means: "state_dir is full, or cannot be written; without a durable lease a crash would forget the cooldown",
    deed: Deed::Backoff,
    detail: "no connect goes out, and the stream is failing",
    operator: "make room under state_dir, or let this user write there: no connect goes out without a lease",
    advised: Advised::Always,
    source: OURS,
};

pub(super) static TOKEN_UNAVAILABLE: Explanation = Explanation {
    name: "token_unavailable",
    also: &[],
    reason: "token",
    title: "no access token could be fetched",
    means: "the token endpoint did not answer or has trouble of its own (5xx), or the file with the secret cannot be read",
    deed: Deed::Backoff,
    detail: "",
    operator: "nothing if it passes; else see that token_url can be reached from here and that the secret can be read: livestreamd check --connect",
    advised: Advised::WhenItPersists,
    source: "the token endpoint is Adobe IMS (protocol notes, section 7)",
};

pub(super) static TOKEN_REFUSED: Explanation = Explanation {
    name: "token_refused",
    also: &[],
    reason: "token",
    title: "the token endpoint says no",
    means: "client_id, secret or scopes are wrong or have been revoked, or the answer was no token",
    deed: Deed::TokenBackoff,
    detail: "a longer Retry-After is kept to, up to an hour",
    operator: "check client_id, client_secret and scopes of the credential; livestreamd check --connect tries them",
    advised: Advised::Always,
    source: "Adobe IMS, which throttles who asks too often (protocol notes, section 7)",
};

pub(super) static UNREACHED: Explanation = Explanation {
    name: "unreached",
    also: &["dns", "tcp", "tls", "proxy"],
    reason: "unreached",
    title: "the service could not be reached",
    means: "DNS, TCP or TLS failed, or a proxy refused, before a byte of the request went out: nothing is left behind at the service",
    deed: Deed::Backoff,
    detail: "",
    operator: "nothing if it passes; else see to name resolution, routes, firewalls, proxies and certificates between here and the host of the url",
    advised: Advised::WhenItPersists,
    source: OURS,
};

pub(super) static HEAD_TIMEOUT: Explanation = Explanation {
    name: "head_timeout",
    also: &[],
    reason: "lost",
    title: "no answer in time",
    means: "the request went out, and no response head came within connect_timeout",
    deed: Deed::Cooldown,
    detail: "",
    operator: CUTS,
    advised: Advised::WhenItPersists,
    source: HEADS,
};

pub(super) static BROKEN: Explanation = Explanation {
    name: "broken",
    also: &[],
    reason: "lost",
    title: "no usable answer",
    means: "the request went out, and the connection broke, or what came was not HTTP, before the response head was whole",
    deed: Deed::Cooldown,
    detail: "",
    operator: CUTS,
    advised: Advised::WhenItPersists,
    source: HEADS,
};

pub(super) static REDIRECT_HOP: Explanation = Explanation {
    name: "redirect_hop",
    also: &[],
    reason: "lost",
    title: "the target of a redirect could not be reached",
    means: "the service answered with a redirect, and there DNS, TCP or TLS failed; the service has been reached all the same",
    deed: Deed::Cooldown,
    detail: "",
    operator: CUTS,
    advised: Advised::WhenItPersists,
    source: HEADS,
};

pub(super) static REDIRECT_REFUSED: Explanation = Explanation {
    name: "redirect_refused",
    also: &[],
    reason: "lost",
    title: "a redirect was not followed",
    means: "it leads to a host that is not trusted, to clear text, in a circle, too far, or nowhere",
    deed: Deed::LongRetry,
    detail: "the token is not sent there",
    operator: "if the host that it names is Adobe's, add it to upstream.trusted_hosts; the token was not sent there",
    advised: Advised::Always,
    source: "livestreamd's own rule (protocol notes, section 3)",
};

pub(super) static UNREADABLE: Explanation = Explanation {
    name: "unreadable",
    also: &[],
    reason: "lost",
    title: "the answer cannot be read",
    means: "a 200 came with a content or transfer coding that we do not know",
    deed: Deed::LongRetry,
    detail: "",
    operator: "a proxy between here and Adobe may answer or rewrite: see what it does",
    advised: Advised::Always,
    source: "Adobe documents gzip and chunked coding only (protocol notes, section 5)",
};

pub(super) static CLOSED: Explanation = Explanation {
    name: "closed",
    also: &[],
    reason: "ended",
    title: "the service ended the stream",
    means: "the answer ended in good order, for maintenance among other reasons",
    deed: Deed::Cooldown,
    detail: "",
    operator: "nothing",
    advised: Advised::Never,
    source: ENDS,
};

pub(super) static CUT: Explanation = Explanation {
    name: "cut",
    also: &[],
    reason: "ended",
    title: "the stream was cut off",
    means: "the connection closed in the middle of the answer; a record that was cut off with it is left out and counted",
    deed: Deed::Cooldown,
    detail: "",
    operator: "nothing if it is rare; else see whether a firewall or proxy between here and Adobe limits how long a connection may last",
    advised: Advised::Never,
    source: ENDS,
};

pub(super) static RESET: Explanation = Explanation {
    name: "reset",
    also: &[],
    reason: "ended",
    title: "the connection failed",
    means: "the socket failed: a reset, or a peer that no longer answers; what was under way is lost",
    deed: Deed::Cooldown,
    detail: "",
    operator: "nothing if it is rare; else see what happens on the network between here and Adobe",
    advised: Advised::Never,
    source: ENDS,
};

pub(super) static STALLED: Explanation = Explanation {
    name: "stalled",
    also: &[],
    reason: "ended",
    title: "silence for too long",
    means: "nothing came for stall_timeout, and for much longer than this stream is used to be silent: the peer counts as gone",
    deed: Deed::Cooldown,
    detail: "when the next connection stays silent too, the limit doubles, to 30 minutes at most",
    operator: "nothing if it is rare; raise stall_timeout if the report suite is quiet for longer",
    advised: Advised::Never,
    source: "livestreamd's own rule (protocol notes, section 5)",
};

pub(super) static CORRUPT_GZIP: Explanation = Explanation {
    name: "corrupt_gzip",
    also: &[],
    reason: "ended",
    title: "the compressed data is damaged",
    means: "what came does not inflate; the whole records before it are kept",
    deed: Deed::Cooldown,
    detail: "",
    operator: "nothing if it is rare; else see whether a proxy between here and Adobe rewrites what it passes on",
    advised: Advised::Never,
    source: "livestreamd's own rule (protocol notes, section 5)",
};

pub(super) static CORRUPT_FRAMING: Explanation = Explanation {
    name: "corrupt_framing",
    also: &[],
    reason: "ended",
    title: "the chunked coding is damaged",
    means: "what came is not what HTTP/1.1 promises; the whole records before it are kept",
    deed: Deed::Cooldown,
    detail: "",
    operator: "nothing if it is rare; else see whether a proxy between here and Adobe rewrites what it passes on",
    advised: Advised::Never,
    source: "livestreamd's own rule (protocol notes, section 5)",
};

pub(super) static JOURNAL_FAILED: Explanation = Explanation {
    name: "journal_failed",
    also: &[],
    reason: "ended",
    title: "the journal took no more",
    means: "what was read could not be kept, so the reading was stopped",
    deed: Deed::Cooldown,
    detail: "",
    operator: "see what the log says of the journal before, and to the disk under state_dir",
    advised: Advised::Always,
    source: "livestreamd's own rule",
};
