//! What holds for a slot from its next connect on: it may change while a connection is open, which nobody is disconnected for.

use std::sync::Arc;

use tokio::sync::watch;

use crate::settings::StreamSettings;
use crate::upstream::{Connector, TokenSource};

/// What a connect goes by.
#[derive(Debug)]
pub struct NextConnect<C: Connector> {
    /// The stream. Its URL and what else is in the request stay the same while a driver lives.
    pub stream: Arc<StreamSettings>,
    /// Where access tokens come from.
    pub tokens: Arc<TokenSource<C>>,
}

impl<C: Connector> Clone for NextConnect<C> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            tokens: self.tokens.clone(),
        }
    }
}

impl<C: Connector> NextConnect<C> {
    /// For who will never have anything else.
    pub fn unchanging(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}
