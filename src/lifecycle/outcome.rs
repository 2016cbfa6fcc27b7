//! How an attempt, a token fetch or a connection ended: classified once, where it enters, into what the machine understands.

use std::fmt;
use std::time::Duration;

/// The attempt left nothing behind upstream: DNS, TCP or TLS failed on the first hop, or a proxy refused its CONNECT
/// (protocol notes, section 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unreached(pub String);

/// The service was, or may have been, reached, and gave no answer that we can use: request bytes may have gone out, or an
/// earlier hop had answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// No response head within the limit.
    HeadTimeout,
    /// The connection broke, or what came was not HTTP, before the response head was whole.
    Broken(String),
    /// A later hop of a redirect could not be connected to; the first hop had been reached.
    RedirectHop(String),
    /// A redirect that we do not follow: an untrusted host, a downgrade, a loop, no usable `Location`. The text says which.
    RedirectRefused(String),
    /// A 200 whose body we cannot read, such as an unknown content coding.
    Unreadable(String),
}

/// An answer other than 200 or a redirect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error_description` of the JSON body, or the start of a text body; made printable, and bounded.
    pub description: Option<String>,
    /// `Retry-After`, if there was one.
    pub retry_after: Option<Duration>,
}

/// What kind of refusal a status is: the table of section 4 of the protocol notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// 401: a fresh token may help, once.
    Unauthorized,
    /// 409 and 503: the service still counts a connection, or is told to by another client. Stretch the cooldown.
    Busy,
    /// 429 and the rest of 5xx: trouble on their side. A cooldown.
    Trouble,
    /// Something that a person must mend, here or at Adobe: retried slowly, and loudly.
    Fault,
}

impl Refusal {
    /// A refusal with nothing but its status.
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            description: None,
            retry_after: None,
        }
    }

    /// The class of this refusal's status.
    pub const fn class(&self) -> RefusalClass {
        match self.status {
            401 => RefusalClass::Unauthorized,
            409 | 503 => RefusalClass::Busy,
            // 505 says that our request is wrong; 408, 425 and 429 that the moment is.
            505 => RefusalClass::Fault,
            408 | 425 | 429 | 500..=599 => RefusalClass::Trouble,
            _ => RefusalClass::Fault,
        }
    }
}

/// Why an open stream ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The service ended the answer in good order.
    Closed,
    /// The connection closed in the middle of the answer: no last chunk, or no gzip trailer.
    Cut,
    /// The socket failed.
    Reset(String),
    /// The gzip data is damaged.
    CorruptGzip(String),
    /// The chunked coding is damaged.
    CorruptFraming(String),
    /// Nothing came for this long.
    Stalled(Duration),
    /// We could not keep what came, so we stopped reading.
    JournalFailed(String),
}

impl EndReason {
    /// A short fixed name, for labels and counts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Cut => "cut",
            Self::Reset(_) => "reset",
            Self::CorruptGzip(_) => "corrupt_gzip",
            Self::CorruptFraming(_) => "corrupt_framing",
            Self::Stalled(_) => "stalled",
            Self::JournalFailed(_) => "journal_failed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the service ended the stream"),
            Self::Cut => f.write_str("the connection was cut off in mid-stream"),
            Self::Reset(why) => write!(f, "the connection failed: {why}"),
            Self::CorruptGzip(why) => write!(f, "the compressed data is damaged: {why}"),
            Self::CorruptFraming(why) => write!(f, "the chunked coding is damaged: {why}"),
            Self::Stalled(silence) => write!(f, "no byte came for {} s", silence.as_secs()),
            Self::JournalFailed(why) => write!(f, "the journal took no more: {why}"),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadTimeout => f.write_str("no response head within the time limit"),
            Self::Broken(why) => write!(f, "the request got no usable answer: {why}"),
            Self::RedirectHop(why) => write!(f, "the target of a redirect could not be reached: {why}"),
            Self::RedirectRefused(why) => write!(f, "a redirect was not followed: {why}"),
            Self::Unreadable(why) => write!(f, "the answer cannot be read: {why}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        match &self.description {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

/// Why there is no access token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenFailure {
    /// The token endpoint did not answer, or answered with trouble of its own (5xx). Or the secret cannot be read just now.
    Unavailable(String),
    /// The token endpoint said no, or answered nonsense.
    Refused {
        /// What it said; made printable, and bounded. Never the secret.
        description: String,
        /// `Retry-After`, if there was one.
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "no access token could be fetched: {why}"),
            Self::Refused { description, .. } => write!(f, "the access token was refused: {description}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_fall_into_the_classes_of_the_protocol_notes() {
        let class = |status| Refusal::status(status).class();
        assert_eq!(class(401), RefusalClass::Unauthorized);
        for status in [409, 503] {
            assert_eq!(class(status), RefusalClass::Busy, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 504, 599] {
            assert_eq!(class(status), RefusalClass::Trouble, "{status}");
        }
        for status in [204, 304, 400, 403, 404, 405, 406, 407, 424, 505, 999] {
            assert_eq!(class(status), RefusalClass::Fault, "{status}");
        }
    }
}
