//! How a credential's access token fares, kept up to date by whoever fetches it and read by whoever shows it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The token of one credential at one moment. What it is stands nowhere here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// When it was fetched; a ready-made one: when it was first read. `None` if there is none.
    pub since: Option<Instant>,
    /// Until when it is good, if that was said.
    pub until: Option<Instant>,
    /// Times that one was fetched, or that another ready-made one was found.
    pub fetches: u64,
    /// Times that none could be had.
    pub failures: u64,
}

/// The token of one credential, as people see it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct TokenStatus(Arc<Mutex<Token>>);

impl TokenStatus {
    /// There is another token since `since`, good until `until`.
    pub fn fetched(&self, since: Instant, until: Option<Instant>) {
        let mut token = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (token.since, token.until) = (Some(since), until);
        token.fetches += 1;
    }

    /// None could be had. An older one may still be good.
    pub fn failed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures += 1;
    }

    /// How it fares now.
    pub fn now(&self) -> Token {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    /// How old it is.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }

    /// For how long it is still good; zero once it has run out.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}
