//! The word to stop, for all who wait.

use tokio::sync::watch;

/// Gives the word. Dropping it gives it too: nobody is left who could.
#[derive(Clone, Debug)]
pub struct StopSwitch(watch::Sender<bool>);

/// Waits for the word. Clones wait for the same one.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A switch, and what waits for it.
pub fn stop_switch() -> (StopSwitch, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopSwitch(sender), Stop(receiver))
}

impl StopSwitch {
    /// Stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Ends when the word is given; at once if it was given before. Cancel-safe.
    pub async fn requested(&self) {
        // An error means that the switch is gone, which gives the word too.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the word was given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
