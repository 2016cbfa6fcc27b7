//! What the slots of one stream share of a reset on purpose, for the whole of one run: their drivers come and go. What is sent is decided in
//! [`crate::lifecycle::reset`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::leases::{LeaseDir, LeaseKey};
use crate::lifecycle::{Reset, ResetDone, ResetTo};
use crate::settings::StreamSettings;

/// The reset of one stream in one run. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SharedReset {
    wish: Option<ResetTo>,
    /// Made by the driver that comes first, of what all slots remember from before the run.
    reset: Arc<OnceCell<Mutex<Reset>>>,
}

impl SharedReset {
    /// Where the operator wants the stream to start, if this run was told.
    pub fn new(wish: Option<ResetTo>) -> Self {
        let reset = Arc::default();
        Self { wish, reset }
    }

    /// The part of one slot, whose driver starts now: it has no connection yet, or none any more.
    pub(super) async fn of_slot(&self, slot: u8, stream: &StreamSettings, leases: &LeaseDir) -> SlotReset {
        let remembered = async {
            let mut remembered = Vec::new();
            for slot in 0..stream.connections {
                let key = LeaseKey::new(&stream.url, slot);
                remembered.extend(leases.reset(&key).await);
            }
            Mutex::new(Reset::at_start(self.wish, remembered))
        };
        self.reset.get_or_init(|| remembered).await;
        let shared = self.reset.clone();
        let part = SlotReset { slot, shared };
        part.ended();
        part
    }
}

/// A slot's part in the reset of its stream.
pub(super) struct SlotReset {
    slot: u8,
    shared: Arc<OnceCell<Mutex<Reset>>>,
}

impl SlotReset {
    /// What goes along with the next attempt.
    pub(super) fn to_send(&self) -> Option<ResetTo> {
        self.reset()?.to_send(self.slot)
    }

    /// What the slot's lease is to remember.
    pub(super) fn done(&self) -> Option<ResetDone> {
        self.reset()?.done(self.slot).cloned()
    }

    /// An attempt that carried it was answered with 200, at this wall time.
    pub(super) fn answered(&self, wall: String) {
        if let Some(mut reset) = self.reset() {
            reset.answered(self.slot, wall);
        }
    }

    /// The slot has no connection any more.
    pub(super) fn ended(&self) {
        if let Some(mut reset) = self.reset() {
            reset.ended(self.slot);
        }
    }

    /// There as soon as there is a part. Nothing panics while it holds the lock.
    fn reset(&self) -> Option<MutexGuard<'_, Reset>> {
        let reset = self.shared.get()?;
        Some(reset.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
