//! The token endpoint, and which tokens are valid (protocol notes, section 7).

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::faults::TokenFault;
use super::http::Answer;
use super::ledger_entries::TokenSeen;
use super::settings::TokenRules;

/// The most tokens that are valid at once; beyond, the one that expires first goes.
const MOST_TOKENS: usize = 10_000;

/// All tokens of a simulator.
#[derive(Debug)]
pub(super) struct Tokens {
    rules: TokenRules,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    issued: u64,
    salt: u64,
    valid: HashMap<String, Duration>,
    faults: VecDeque<(TokenFault, u32)>,
}

impl Tokens {
    /// None issued yet. `salt` sets the tokens of one run apart from those of another.
    pub(super) fn new(rules: TokenRules, salt: u64) -> Self {
        Self {
            rules,
            book: Mutex::new(Book {
                salt,
                ..Book::default()
            }),
        }
    }

    /// Issues a token.
    pub(super) fn issue(&self, now: Duration) -> String {
        let mut book = self.book();
        book.issued += 1;
        book.valid.retain(|_, until| *until > now);
        if book.valid.len() >= MOST_TOKENS
            && let Some(first) = book
                .valid
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(token, _)| token.clone())
        {
            book.valid.remove(&first);
        }
        let mut token = String::from("sim-");
        for byte in Sha256::digest(format!("{}/{}", book.salt, book.issued)) {
            let _ = write!(token, "{byte:02x}");
        }
        book.valid.insert(token.clone(), now + self.rules.lifetime);
        token
    }

    /// From now on no issued token is valid.
    pub(super) fn revoke(&self) {
        self.book().valid.clear();
    }

    /// What an `Authorization` header is worth, and until when.
    pub(super) fn check(&self, authorization: Option<&str>, now: Duration) -> (TokenSeen, Option<Duration>) {
        let Some(authorization) = authorization else {
            return (TokenSeen::Absent, None);
        };
        let token = match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            Some(_) | None => return (TokenSeen::Invalid, None),
        };
        if self.rules.also_valid.iter().any(|valid| valid == token) {
            return (TokenSeen::Valid, None);
        }
        match self.book().valid.get(token) {
            Some(until) if *until > now => (TokenSeen::Valid, Some(*until)),
            Some(_) | None => (TokenSeen::Invalid, None),
        }
    }

    /// Whether a stream is refused for this.
    pub(super) fn is_refused(&self, seen: TokenSeen) -> bool {
        self.rules.required && seen != TokenSeen::Valid
    }

    /// The next `times` requests meet this.
    pub(super) fn fault(&self, fault: TokenFault, times: u32) {
        let mut book = self.book();
        if times > 0 && book.faults.len() < MOST_TOKENS {
            book.faults.push_back((fault, times));
        }
    }

    /// What the next request meets.
    pub(super) fn next_fault(&self) -> Option<TokenFault> {
        let mut book = self.book();
        let (fault, times) = book.faults.front_mut()?;
        let fault = fault.clone();
        *times = times.saturating_sub(1);
        if *times == 0 {
            book.faults.pop_front();
        }
        Some(fault)
    }

    /// Answers a request for a token.
    pub(super) fn answer(&self, form: &[u8], now: Duration) -> Answer {
        let fields: HashMap<_, _> = url::form_urlencoded::parse(form).into_owned().collect();
        let field = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let refusal = |status, error: &str, description: &str| {
            Answer::json(
                status,
                &serde_json::json!({ "error": error, "error_description": description }),
            )
        };
        if field("grant_type") != Some("client_credentials") {
            return refusal(400, "unsupported_grant_type", "grant_type must be client_credentials");
        }
        let (Some(id), Some(secret)) = (field("client_id"), field("client_secret")) else {
            return refusal(400, "invalid_request", "client_id and client_secret are required");
        };
        if field("scope").is_none() {
            return refusal(400, "invalid_scope", "scope is required");
        }
        if self
            .rules
            .client
            .as_ref()
            .is_some_and(|(wanted, its)| id != wanted || secret != its)
        {
            return refusal(
                401,
                "invalid_client",
                "unknown client_id, or a client_secret that is not its own",
            );
        }
        let token = self.issue(now);
        let expires_in = self.rules.lifetime.as_secs();
        Answer::json(
            200,
            &serde_json::json!({ "access_token": token, "token_type": "bearer", "expires_in": expires_in }),
        )
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_revoked() {
        let tokens = Tokens::new(
            TokenRules {
                lifetime: HOUR,
                ..TokenRules::default()
            },
            1,
        );
        let token = tokens.issue(Duration::ZERO);
        assert_ne!(token, tokens.issue(Duration::ZERO));
        let header = format!("bearer {token}");
        assert_eq!(tokens.check(Some(&header), HOUR / 2), (TokenSeen::Valid, Some(HOUR)));
        assert_eq!(tokens.check(Some(&header), HOUR).0, TokenSeen::Invalid);
        assert_eq!(
            tokens.check(Some(&token), Duration::ZERO).0,
            TokenSeen::Invalid,
            "no scheme"
        );
        assert_eq!(tokens.check(None, Duration::ZERO).0, TokenSeen::Absent);
        tokens.revoke();
        assert_eq!(tokens.check(Some(&header), Duration::ZERO).0, TokenSeen::Invalid);
    }

    #[test]
    fn only_the_configured_client_gets_a_token() {
        let client = Some(("me".to_owned(), "secret".to_owned()));
        let tokens = Tokens::new(
            TokenRules {
                client,
                ..TokenRules::default()
            },
            1,
        );
        let status = |form: &str| tokens.answer(form.as_bytes(), Duration::ZERO).status;
        assert_eq!(
            status("grant_type=client_credentials&client_id=me&client_secret=secret&scope=openid"),
            200
        );
        assert_eq!(
            status("grant_type=client_credentials&client_id=me&client_secret=guess&scope=openid"),
            401
        );
        assert_eq!(
            status("grant_type=client_credentials&client_id=me&client_secret=secret"),
            400
        );
        assert_eq!(status("grant_type=client_credentials&client_id=me"), 400);
        assert_eq!(
            status("grant_type=jwt&client_id=me&client_secret=secret&scope=openid"),
            400
        );
    }
}
