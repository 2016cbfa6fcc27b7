//! The daemon put together: state directory, producer, supervisor.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::{Clock, SystemClock};
use crate::kafka::Producer;
use crate::leases::LeaseDir;
use crate::settings::Settings;
use crate::state_dir::StateDir;
use crate::supervisor::{Leftover, Shared, Supervisor, memory_for_each};
use crate::telemetry::StreamStatus;
use crate::upstream::Connector;

/// How long librdkafka may take to end, once nothing is left to deliver.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);

/// A running daemon.
pub struct Daemon {
    supervisor: Supervisor,
    producer: Arc<Producer>,
    settings: Settings,
    _state_dir: StateDir,
}

impl Daemon {
    /// Locks the state directory, makes the producer, and starts all streams.
    ///
    /// # Errors
    /// If the state directory cannot be used or is in use, or librdkafka refuses a property.
    pub fn start<C: Connector>(settings: Settings, connector: C) -> anyhow::Result<Self> {
        let state_dir = StateDir::lock(&settings.state_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let leases = LeaseDir::open(state_dir.path(), clock.clone())
            .with_context(|| format!("cannot make {}/leases", state_dir.path().display()))?;
        let producer = Arc::new(Producer::new(&settings.kafka)?);
        let shared = Shared {
            connector: Arc::new(connector),
            producer: producer.clone(),
            leases,
            clock,
        };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            streams = settings.streams.len(),
            state_dir = %settings.state_dir.display(),
            journal = "in memory",
            journal_bytes_a_stream = memory_for_each(&settings),
            "started"
        );
        let supervisor = Supervisor::start(&settings, shared);
        Ok(Self {
            supervisor,
            producer,
            settings,
            _state_dir: state_dir,
        })
    }

    /// What each stream does, in the order of the settings.
    pub fn statuses(&self) -> &[StreamStatus] {
        self.supervisor.statuses()
    }

    /// Closes the connections, stores their leases and delivers what was read, within `shutdown_timeout`.
    pub async fn stop(self) -> Leftover {
        let timeout = self.settings.shutdown_timeout;
        tracing::info!(
            timeout_s = timeout.as_secs_f64(),
            "stopping: closing connections, then delivering what was read"
        );
        let statuses = self.supervisor.statuses().to_vec();
        let leftover = self.supervisor.stop(timeout).await;
        for status in &statuses {
            let counts = status.counters.snapshot();
            tracing::info!(
                stream = &*status.name,
                connects = counts.connects,
                disconnects = counts.disconnects,
                hits = counts.hits,
                delivered = counts.delivered,
                dead_letters = counts.dead_letters.total(),
                cut_records = counts.cut_records,
                rewinds = counts.rewinds,
                "in all"
            );
        }
        if leftover == Leftover::default() {
            tracing::info!("stopped: all that was read is delivered");
        } else {
            tracing::error!(
                streams = leftover.streams,
                bytes = leftover.bytes,
                "stopped: not all that was read is delivered, and with the journal in memory it is lost"
            );
        }
        // librdkafka's threads should be gone before the process ends.
        if tokio::time::timeout(LONGEST_CLOSE, Producer::close(self.producer))
            .await
            .is_err()
        {
            tracing::warn!("the kafka producer did not end in time: ending without it");
        }
        leftover
    }
}
