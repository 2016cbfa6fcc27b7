//! A simulator that listens nowhere: connections of a network that a test made up are handed to it. It does all else as the others do.

use std::time::{Duration, UNIX_EPOCH};

use super::ledger::Ledger;
use super::socket::{Pipe, Socket};
use super::world::World;
use super::{Arc, Handle, Simulator, SimulatorSettings, service};

/// Its wall clock begins here, so that a seed makes the same bytes each time.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

impl Simulator {
    /// Serves what is handed to it with [`Handle::serve`]. `bases` are the scheme, host and port of each listener that there would be.
    pub(crate) fn unlistened(settings: &SimulatorSettings, bases: Vec<String>) -> Handle {
        let ledger = Ledger::since(UNIX_EPOCH + EPOCH, settings.ledger_limit, None);
        Handle {
            world: Arc::new(World::new(settings, ledger, bases)),
            addrs: Arc::default(),
        }
    }
}

impl Handle {
    /// Serves a connection until it is over.
    pub(crate) async fn serve(&self, listener: usize, pipe: Box<dyn Pipe>) {
        service::answer(&self.world, listener, Socket::Piped(pipe), self.world.ledger.now()).await;
    }

    /// Ends open streams in good order, and every connection that is served.
    pub(crate) fn end_all(&self) {
        self.world.stop.send_replace(true);
    }
}
