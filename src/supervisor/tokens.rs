//! One source of tokens for each credential, shared by its streams; a reload makes a new one only where something about it changed.

use std::sync::Arc;
use std::time::Duration;

use crate::settings::changes::same_credential;
use crate::settings::{Credential, StreamSettings};
use crate::upstream::{Connector, TokenSource};

/// The sources in use.
pub(super) struct Tokens<C: Connector> {
    connector: Arc<C>,
    sources: Vec<Source<C>>,
}

struct Source<C: Connector> {
    terms: Terms,
    tokens: Arc<TokenSource<C>>,
}

/// What a source is made of.
struct Terms {
    credential: Arc<Credential>,
    connect_timeout: Duration,
    shortest_cooldown: Duration,
}

impl<C: Connector> Tokens<C> {
    /// For no stream.
    pub(super) const fn new(connector: Arc<C>) -> Self {
        Self {
            connector,
            sources: Vec::new(),
        }
    }

    /// From now on they are for these streams. A source that would be the same stays, with the token that it has.
    pub(super) fn serve(&mut self, streams: &[StreamSettings]) {
        let mut before = std::mem::take(&mut self.sources);
        for stream in streams {
            if self.find(&stream.credential.name).is_some() {
                continue;
            }
            let terms = Terms::of(&stream.credential, streams);
            let kept = before.iter().position(|source| source.terms.are_same(&terms));
            let source = kept.map_or_else(|| Source::new(terms, &self.connector), |at| before.swap_remove(at));
            self.sources.push(source);
        }
    }

    /// The source of a stream that they are for.
    pub(super) fn of(&self, stream: &StreamSettings) -> Arc<TokenSource<C>> {
        match self.find(&stream.credential.name) {
            Some(source) => source.tokens.clone(),
            // For none of those that were named: one of its own.
            None => {
                Source::new(
                    Terms::of(&stream.credential, std::slice::from_ref(stream)),
                    &self.connector,
                )
                .tokens
            }
        }
    }

    fn find(&self, name: &str) -> Option<&Source<C>> {
        self.sources.iter().find(|source| source.terms.credential.name == name)
    }
}

impl<C: Connector> Source<C> {
    fn new(terms: Terms, connector: &Arc<C>) -> Self {
        let tokens = TokenSource::new(
            terms.credential.clone(),
            connector.clone(),
            terms.connect_timeout,
            terms.shortest_cooldown,
        );
        Self {
            terms,
            tokens: Arc::new(tokens),
        }
    }
}

impl Terms {
    fn of(credential: &Arc<Credential>, streams: &[StreamSettings]) -> Self {
        let sharing = || {
            streams
                .iter()
                .filter(|stream| stream.credential.name == credential.name)
        };
        Self {
            credential: credential.clone(),
            connect_timeout: sharing()
                .map(|stream| stream.connect_timeout)
                .next()
                .unwrap_or_default(),
            shortest_cooldown: sharing().map(|stream| stream.cooldown).min().unwrap_or_default(),
        }
    }

    fn are_same(&self, other: &Self) -> bool {
        self.connect_timeout == other.connect_timeout
            && self.shortest_cooldown == other.shortest_cooldown
            && same_credential(&self.credential, &other.credential)
    }
}
