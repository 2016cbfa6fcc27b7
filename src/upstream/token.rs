//! One access token per credential, shared by all its streams (protocol notes, section 7).
//!
//! Promise: a token is fetched once, whoever asks and however many at once; renewed ahead of its expiry; fetched anew once after a
//! 401, and not again before that could help. A failure is shared too, for a while that grows, so that many streams do not hammer the
//! token endpoint. Nobody's cancelled wait spoils another's: whoever waits next fetches instead.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connector::Connector;
use super::files::FileReader;
use super::ims::{self, Granted, NotGranted, TokenRequest, is_sendable};
use crate::lifecycle::TokenFailure;
use crate::settings::{Credential, Grant, SecretSource};
use crate::telemetry::TokenStatus;

/// A token is renewed at the latest so long before its expiry, unless half its life is less.
const LEAST_MARGIN: Duration = Duration::from_mins(5);
/// For how long a first failure is shared. It doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest for which a failure is shared, unless `Retry-After` asks for more.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Which token of a credential it is: the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

/// A token that can be sent. Its `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct AccessToken {
    secret: SecretString,
    authorization: HeaderValue,
    api_key: Option<HeaderValue>,
    generation: Generation,
}

/// Where the streams of one credential get their token.
#[derive(Debug)]
pub struct TokenSource<C> {
    credential: Arc<Credential>,
    connector: Arc<C>,
    limit: Duration,
    replacement_pause: Duration,
    secrets: FileReader,
    status: TokenStatus,
    /// Held during a fetch: that is what makes one of many.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cached: Option<Cached>,
    generations: u64,
    replaced: Option<Instant>,
    failing: Option<Failing>,
}

#[derive(Clone, Debug)]
struct Cached {
    token: AccessToken,
    /// This and the expiry are on a clock that stands still while the machine is suspended: after that a token may have expired unnoticed.
    /// Then the service answers 401, and the one retry with a fresh token mends it.
    renew_at: Instant,
    /// `None` for a ready-made token.
    expires_at: Option<Instant>,
}

#[derive(Debug)]
struct Failing {
    failure: TokenFailure,
    /// Until then nobody tries again.
    until: Instant,
    /// The next pause.
    pause: Duration,
}

impl AccessToken {
    /// `None` if a header cannot hold the token or the key.
    fn new(secret: SecretString, client_id: Option<&str>, generation: Generation) -> Option<Self> {
        // A header value may hold more than this, such as bytes beyond ASCII, which some take for what they are not.
        if !is_sendable(secret.expose_secret()) || client_id.is_some_and(|id| !is_sendable(id)) {
            return None;
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret())).ok()?;
        authorization.set_sensitive(true);
        let api_key = client_id.map(HeaderValue::from_str).transpose().ok()?;
        Some(Self {
            secret,
            authorization,
            api_key,
            generation,
        })
    }

    /// Which one it is; say so when the service refused it.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    pub(super) const fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    pub(super) const fn api_key(&self) -> Option<&HeaderValue> {
        self.api_key.as_ref()
    }

    /// The bare token, to take it out of texts.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl<C: Connector> TokenSource<C> {
    /// A source that has fetched nothing yet. A connect to the token endpoint may take `limit`, and its answer again.
    ///
    /// A refused token is replaced once in `replacement_pause`, which should be the shortest cooldown of the streams: of many
    /// streams that are all refused for good, each would have the replacement of the one before replaced again.
    pub fn new(credential: Arc<Credential>, connector: Arc<C>, limit: Duration, replacement_pause: Duration) -> Self {
        Self {
            credential,
            connector,
            limit,
            replacement_pause,
            secrets: FileReader::default(),
            status: TokenStatus::default(),
            state: Mutex::default(),
        }
    }

    /// How the token fares, for people to see. Does not wait for a fetch that is under way.
    pub const fn status(&self) -> &TokenStatus {
        &self.status
    }

    /// A token to connect with. With `refused`, the token that the service answered with 401: another one than that, fetched unless
    /// somebody already has.
    ///
    /// # Errors
    /// There is none to be had, or no other than the refused one.
    pub async fn token(&self, refused: Option<Generation>) -> Result<AccessToken, TokenFailure> {
        let mut state = self.state.lock().await;
        match &self.credential.grant {
            Grant::Token { client_id, token } => {
                let ready_made = self.ready_made(&mut state, client_id.as_deref(), token, refused).await;
                ready_made.inspect_err(|_| self.status.failed())
            }
            Grant::Client { .. } => self.fetched(&mut state, refused).await,
        }
    }

    /// A ready-made token is read again at each connect: whoever renews it writes it there.
    async fn ready_made(
        &self,
        state: &mut State,
        client_id: Option<&str>,
        source: &SecretSource,
        refused: Option<Generation>,
    ) -> Result<AccessToken, TokenFailure> {
        let name = &self.credential.name;
        let secret = self.read_secret(source).await?;
        if let Some(cached) = &state.cached
            && cached.token.expose() == secret.expose_secret()
        {
            if refused == Some(cached.token.generation) {
                let description =
                    format!("the access token of credentials.{name} was refused, and is still the same: replace it");
                return Err(TokenFailure::Refused {
                    description,
                    retry_after: None,
                });
            }
            return Ok(cached.token.clone());
        }
        let token = self.number(state, secret, client_id)?;
        let now = Instant::now();
        state.cached = Some(Cached {
            token: token.clone(),
            renew_at: now,
            expires_at: None,
        });
        self.status.fetched(now.into_std(), None);
        Ok(token)
    }

    async fn fetched(&self, state: &mut State, refused: Option<Generation>) -> Result<AccessToken, TokenFailure> {
        let now = Instant::now();
        let is_refused = |cached: &Cached| Some(cached.token.generation) == refused;
        if let Some(cached) = &state.cached
            && !is_refused(cached)
            && now < cached.renew_at
        {
            return Ok(cached.token.clone());
        }
        // An old token will do while there is no new one, if it has not run out.
        let old = |state: &State, now| {
            let cached = state
                .cached
                .as_ref()
                .filter(|cached| !is_refused(cached) && cached.expires_at.is_some_and(|at| now < at));
            cached.map(|cached| cached.token.clone())
        };
        if let Some(failing) = &state.failing
            && now < failing.until
        {
            return old(state, now).ok_or_else(|| failing.failure.clone());
        }
        let replacing = state.cached.as_ref().is_some_and(is_refused);
        if replacing
            && let Some(wait) = state
                .replaced
                .and_then(|at| (at + self.replacement_pause).checked_duration_since(now))
        {
            let description = "the service refused an access token that was fetched only just now".to_owned();
            return Err(TokenFailure::Refused {
                description,
                retry_after: Some(wait),
            });
        }
        match self.fetch(state).await {
            Ok(token) => {
                state.failing = None;
                if replacing {
                    state.replaced = Some(now);
                }
                Ok(token)
            }
            Err(NotGranted { failure, retry_after }) => {
                self.status.failed();
                let now = Instant::now();
                let pause = state.failing.as_ref().map_or(FIRST_PAUSE, |failing| failing.pause);
                let until = now + pause.max(retry_after.unwrap_or_default());
                state.failing = Some(Failing {
                    failure: failure.clone(),
                    until,
                    pause: (2 * pause).min(LONGEST_PAUSE),
                });
                old(state, now).ok_or(failure)
            }
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<AccessToken, NotGranted> {
        let Grant::Client {
            client_id,
            client_secret,
            scopes,
            token_url,
        } = &self.credential.grant
        else {
            return Err(TokenFailure::Unavailable("this credential is fetched from nowhere".to_owned()).into());
        };
        let secret = self.read_secret(client_secret).await?;
        // Its life counts from before it began, so never too long.
        let asked = Instant::now();
        let request = TokenRequest {
            url: token_url,
            client_id,
            secret: &secret,
            scopes,
            limit: self.limit,
        };
        let Granted { token, lifetime } = ims::fetch(&*self.connector, &request).await?;
        let token = self.number(state, token, Some(client_id))?;
        let margin = (lifetime / 10).max(LEAST_MARGIN).min(lifetime / 2);
        let (renew_at, expires_at) = (asked + lifetime - margin, Some(asked + lifetime));
        state.cached = Some(Cached {
            token: token.clone(),
            renew_at,
            expires_at,
        });
        self.status.fetched(asked.into_std(), expires_at.map(Instant::into_std));
        Ok(token)
    }

    async fn read_secret(&self, source: &SecretSource) -> Result<SecretString, TokenFailure> {
        let read = self.secrets.secret(source, SecretSource::read).await;
        read.map_err(TokenFailure::Unavailable)
    }

    /// Makes a token of a secret, with the next number.
    fn number(
        &self,
        state: &mut State,
        secret: SecretString,
        client_id: Option<&str>,
    ) -> Result<AccessToken, TokenFailure> {
        state.generations += 1;
        AccessToken::new(secret, client_id, Generation(state.generations)).ok_or_else(|| {
            let name = &self.credential.name;
            let description = format!("the access token or the client_id of credentials.{name} is empty, or has characters that no header may hold");
            TokenFailure::Refused { description, retry_after: None }
        })
    }
}

#[cfg(test)]
impl AccessToken {
    /// A token for the tests of other modules.
    pub(super) fn for_tests(secret: &str, client_id: Option<&str>) -> Self {
        Self::new(SecretString::from(secret), client_id, Generation(1)).unwrap()
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
