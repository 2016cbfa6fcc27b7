//! Which streams run, for whoever looks at them from outside.

use std::sync::{Arc, PoisonError, RwLock};

use crate::journal::Journal;
use crate::settings::StreamSettings;
use crate::telemetry::{StreamStatus, TokenStatus};

/// A stream that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its settings as they are now.
    pub settings: Arc<StreamSettings>,
    /// What it does.
    pub status: StreamStatus,
    /// What it has read and not delivered.
    pub journal: Arc<Journal>,
    /// How the token of its credential fares.
    pub token: TokenStatus,
}

/// The streams that run, by name. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Roster(Arc<RwLock<Arc<[Running]>>>);

impl Roster {
    /// All of them.
    pub fn all(&self) -> Arc<[Running]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place.
    pub fn set(&self, mut running: Vec<Running>) {
        running.sort_by(|a, b| a.settings.name.cmp(&b.settings.name));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = running.into();
    }
}
