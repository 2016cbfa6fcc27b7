//! The one table of what the service answers, and of every other reason for which a connection is not there: what it means, what the
//! daemon does, what the operator should do, and how we know. Log lines, `livestreamd explain` and docs/answers.md all take their
//! words from here (protocol notes, section 4).
//!
//! | module | holds |
//! | --- | --- |
//! | [`service`] | the statuses of HTTP |
//! | [`reasons`] | everything else |
//!
//! Promise: what it says that the daemon does is what the machine does; the tests run a [`super::Slot`] through each entry and compare.

pub mod reasons;
pub mod service;

#[cfg(test)]
mod tests;

use super::outcome::{EndReason, Lost, Refusal, TokenFailure};
use super::wait::Why;

/// From this many attempts in a row on that reached the service and did not stream, trouble that passes by itself as a rule has not.
pub const PERSISTENT: u32 = 3;
/// The same for attempts that reached nobody: they back off from a second on, so this is about a minute.
pub const PERSISTENT_TRIES: u32 = 6;

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it is looked up by: a status, or a short name.
    pub name: &'static str,
    /// Other words for it.
    pub also: &'static [&'static str],
    /// [`Why::name`] of the wait that follows; empty if none does.
    pub reason: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What the daemon does.
    pub deed: Deed,
    /// What there is to say about that beyond [`Deed::text`]; empty if nothing.
    pub detail: &'static str,
    /// What the operator should do.
    pub operator: &'static str,
    /// When a log line says so, too.
    pub advised: Advised,
    /// How we know.
    pub source: &'static str,
}

/// What the daemon does about an answer or a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Reads.
    Read,
    /// Goes where a redirect leads.
    Follow,
    /// Connects, as nothing is owed.
    Connect,
    /// Waits out what an earlier run still owes.
    Rest,
    /// Waits a cooldown.
    Cooldown,
    /// Waits a cooldown, stretched.
    Stretch,
    /// Tries a fresh token at once, and then waits a cooldown.
    FreshToken,
    /// Waits for a person.
    LongRetry,
    /// Spares the network.
    Backoff,
    /// Spares the token endpoint.
    TokenBackoff,
}

impl Deed {
    /// In words, with the waits of the default settings.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Read => "reads until it ends",
            Self::Follow => "connects to the place that it names, with all headers, if its host is trusted",
            Self::Connect => "connects",
            Self::Rest => "waits out what is left, and connects",
            Self::Cooldown => "waits a cooldown (60 s), and connects again",
            Self::Stretch => {
                "waits a cooldown (60 s), stretched by half with each such answer in a row, to 3 minutes at most"
            }
            Self::FreshToken => {
                "fetches a fresh token and tries once more at once; when that is refused too it waits a cooldown, and the stream is failing"
            }
            Self::LongRetry => "tries again every 10 minutes (long_retry), and the stream is failing",
            Self::Backoff => "tries again after 1 s, doubled up to the cooldown; an earlier cooldown is kept to",
            Self::TokenBackoff => {
                "asks for a token again after a cooldown (60 s), doubled up to 10 minutes (long_retry), and the stream is failing"
            }
        }
    }
}

/// When a log line carries what the operator should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advised {
    /// Never: there is nothing to do, or it can wait.
    Never,
    /// When it persists: from [`PERSISTENT`] or [`PERSISTENT_TRIES`] in a row on.
    WhenItPersists,
    /// Always.
    Always,
}

impl Explanation {
    /// What the daemon does, whole.
    pub fn daemon(&self) -> String {
        match self.detail {
            "" => self.deed.text().to_owned(),
            detail => format!("{}; {detail}", self.deed.text()),
        }
    }

    /// What a log line says that the operator should do; more often when the trouble `persists` ([`super::Slot::persists`]).
    pub const fn advice(&self, persists: bool) -> Option<&'static str> {
        match self.advised {
            Advised::Never => None,
            Advised::WhenItPersists if !persists => None,
            Advised::WhenItPersists | Advised::Always => Some(self.operator),
        }
    }
}

impl Why {
    /// Its line of the table.
    pub fn explanation(&self) -> &'static Explanation {
        match self {
            Self::Start => &reasons::START,
            Self::LeaseClosed => &reasons::LEASE_CLOSED,
            Self::LeaseOpen => &reasons::LEASE_OPEN,
            Self::LeaseUnclear => &reasons::LEASE_UNCLEAR,
            Self::LeaseNotStored => &reasons::LEASE_NOT_STORED,
            Self::Refused(refusal) => service::refused(refusal),
            Self::Unreached(_) => &reasons::UNREACHED,
            Self::Ended(reason) => match reason {
                EndReason::Closed => &reasons::CLOSED,
                EndReason::Cut => &reasons::CUT,
                EndReason::Reset(_) => &reasons::RESET,
                EndReason::CorruptGzip(_) => &reasons::CORRUPT_GZIP,
                EndReason::CorruptFraming(_) => &reasons::CORRUPT_FRAMING,
                EndReason::Stalled(_) => &reasons::STALLED,
                EndReason::JournalFailed(_) => &reasons::JOURNAL_FAILED,
            },
            Self::Lost(lost) => match lost {
                Lost::HeadTimeout => &reasons::HEAD_TIMEOUT,
                Lost::Broken(_) => &reasons::BROKEN,
                Lost::RedirectHop(_) => &reasons::REDIRECT_HOP,
                Lost::RedirectRefused(_) => &reasons::REDIRECT_REFUSED,
                Lost::Unreadable(_) => &reasons::UNREADABLE,
            },
            Self::Token(TokenFailure::Unavailable(_)) => &reasons::TOKEN_UNAVAILABLE,
            Self::Token(TokenFailure::Refused { .. }) => &reasons::TOKEN_REFUSED,
        }
    }

    /// What to do about it, if a log line should say so, as in [`Explanation::advice`].
    pub fn advice(&self, persists: bool) -> Option<&'static str> {
        self.explanation().advice(persists)
    }
}

/// The whole table: statuses first.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    service::ALL.iter().chain(reasons::ALL).copied()
}

/// What `word` stands for: a status, a name, another word for one, or a `reason` of the log, which may stand for several. Empty if
/// it stands for nothing. Letter case and `-` for `_` make no difference.
pub fn find(word: &str) -> Vec<&'static Explanation> {
    let fold = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = fold(word.trim());
    let by_name = |one: &&'static Explanation| fold(one.name) == word || one.also.iter().any(|also| fold(also) == word);
    let found: Vec<_> = all().filter(by_name).collect();
    if !found.is_empty() || word.is_empty() {
        return found;
    }
    match word.parse() {
        Ok(status @ 100..=999) => vec![service::refused(&Refusal::status(status))],
        Ok(_) | Err(_) => all().filter(|one| one.reason == word).collect(),
    }
}
