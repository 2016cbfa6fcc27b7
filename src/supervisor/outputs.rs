//! The forwarders of one stream: one for each output, all from the stream's one journal, each with a cursor of its own.
//!
//! ```text
//! comes:    the one of this name before it has gone --> its cursor is on disk --> keep_alive(forward)
//! changes:  the forwarder goes over to the new settings between two records
//! goes:     nothing is in flight, or ten seconds are over --> its cursor is gone, and the journal waits for it no more
//! ```
//!
//! Promise: the output that every stream has never goes while the stream runs. What a further one had not delivered when it goes is told, and forgotten.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{Shared, forwarder_failed};
use crate::id_store::forget;
use crate::journal::{CursorError, Journal};
use crate::kafka::{ForwarderSettings, IdsKept, forward};
use crate::settings::{DEFAULT_OUTPUT, DedupSettings, StreamSettings};
use crate::stream::revival::{AbortOnDrop, keep_alive};
use crate::stream::{Stop, StopSwitch, stop_switch};
use crate::telemetry::{Delivery, DeliveryStatus, OutputStatus, StreamStatus};
use crate::upstream::Connector;

/// A cursor that cannot be made is tried again so long after.
const CURSOR_RETRY: Duration = Duration::from_secs(30);

/// An output that goes is waited for so long, for what is in flight. Reports that do not come hold it up for a quarter of an hour, and the journal, which may be full, with it.
const LONGEST_LEAVING: Duration = Duration::from_secs(10);

/// The outputs of a stream that runs. Dropping it ends their tasks where they are.
pub(super) struct Outputs<C: Connector> {
    journal: Arc<Journal>,
    shared: Arc<Shared<C>>,
    running: Vec<OutputTask>,
    /// Those on their way out.
    leaving: Vec<LeavingOutput>,
}

struct OutputTask {
    /// Dropping it ends the forwarder as soon as nothing is in flight.
    wanted: watch::Sender<Arc<ForwarderSettings>>,
    status: OutputStatus,
    switch: StopSwitch,
    task: AbortOnDrop,
}

struct LeavingOutput {
    name: Arc<str>,
    task: AbortOnDrop,
    gone: Stop,
}

/// The outputs of a stream that was told to end.
pub(super) struct EndingOutputs {
    /// For as long as they are to deliver.
    wanted: Vec<watch::Sender<Arc<ForwarderSettings>>>,
    tasks: Vec<AbortOnDrop>,
}

impl<C: Connector> Outputs<C> {
    /// Starts those of a stream.
    pub(super) fn start(
        settings: &StreamSettings,
        dedup: &DedupSettings,
        journal: &Arc<Journal>,
        shared: &Arc<Shared<C>>,
        status: &StreamStatus,
    ) -> Self {
        let mut outputs = Self {
            journal: journal.clone(),
            shared: shared.clone(),
            running: Vec::new(),
            leaving: Vec::new(),
        };
        outputs.go_by(settings, dedup, status);
        outputs
    }

    /// Has them be those of `settings`.
    pub(super) fn go_by(&mut self, settings: &StreamSettings, dedup: &DedupSettings, status: &StreamStatus) {
        self.leaving.retain(|leaving| !leaving.task.is_finished());
        let is_gone = |output: &mut OutputTask| settings.outputs.iter().all(|one| *one.name() != *output.status.name);
        for output in self.running.extract_if(.., is_gone) {
            self.leaving
                .push(see_out(output, &settings.name, &self.journal, &self.shared.state_dir));
        }
        for output in &settings.outputs {
            let wanted = ForwarderSettings::new(settings, output, dedup);
            let known = self.running.iter().find(|known| *known.status.name == *output.name());
            if let Some(known) = known {
                known.wanted.send_if_modified(|settings| {
                    let other = **settings != wanted;
                    if other {
                        *settings = Arc::new(wanted);
                    }
                    other
                });
            } else {
                self.open(wanted, status.output_of(output.name()));
            }
        }
    }

    /// As people see the further ones, in the order of their names.
    pub(super) fn further(&self) -> Vec<OutputStatus> {
        let statuses = self.running.iter().map(|output| &output.status);
        let mut further: Vec<_> = statuses
            .filter(|status| *status.name != *DEFAULT_OUTPUT)
            .cloned()
            .collect();
        further.sort_by(|one, other| one.name.cmp(&other.name));
        further
    }

    /// Has them end when the journal is closed, and all of it delivered.
    pub(super) fn end(self) -> EndingOutputs {
        let mut ending = EndingOutputs {
            wanted: Vec::new(),
            tasks: self.leaving.into_iter().map(|leaving| leaving.task).collect(),
        };
        for output in self.running {
            output.switch.stop();
            ending.wanted.push(output.wanted);
            ending.tasks.push(output.task);
        }
        ending
    }

    fn open(&mut self, settings: ForwarderSettings, status: OutputStatus) {
        let (stream, output) = (settings.name.clone(), status.name.clone());
        let wanted = watch::Sender::new(Arc::new(settings));
        let (switch, stop) = stop_switch();
        let before = self.leaving.iter().rfind(|leaving| leaving.name == output);
        let gone = before.map(|leaving| leaving.gone.clone());
        let (journal, shared, state_dir) = (self.journal.clone(), self.shared.clone(), self.shared.state_dir.clone());
        let (for_make, receiver, shown) = (journal.clone(), wanted.subscribe(), status.clone());
        let delivery = status.delivery.clone();
        let make = move || {
            let (settings, journal, status) = (receiver.clone(), for_make.clone(), shown.clone());
            let (producer, quarantine) = (shared.producer.clone(), shared.quarantine.clone());
            let ids = IdsKept::OnDisk(shared.state_dir.clone());
            async move {
                forward(settings, journal, producer, status, ids, quarantine).await;
            }
        };
        let task = AbortOnDrop::spawn(async move {
            if let Some(gone) = gone {
                gone.requested().await;
            }
            // Has it already if the journal was opened with it.
            let has_cursor = journal.cursor(&output).is_some()
                || add_cursor(&journal, &state_dir, &stream, &output, &delivery, &stop).await;
            if has_cursor {
                keep_alive(&stop, make, |pause| forwarder_failed(&stream, &output, pause)).await;
            }
        });
        self.running.push(OutputTask {
            wanted,
            status,
            switch,
            task,
        });
    }
}

impl EndingOutputs {
    /// Returns when all have ended. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        for task in &mut self.tasks {
            task.ended().await;
        }
    }

    /// Has them end as soon as nothing is in flight, whatever is in the journal.
    pub(super) fn hurry(&mut self) {
        self.wanted.clear();
    }
}

/// Makes the cursor of an output durable. False if the stream ends first. As long as it cannot be made, `delivery` shows that.
async fn add_cursor(
    journal: &Arc<Journal>,
    state_dir: &Path,
    stream: &str,
    output: &Arc<str>,
    delivery: &DeliveryStatus,
    stop: &Stop,
) -> bool {
    let mut failures: u32 = 0;
    loop {
        let (to, name) = (journal.clone(), output.clone());
        let (state_dir, owner) = (state_dir.to_owned(), stream.to_owned());
        let add = move || {
            // Nothing was delivered to it: ids that an earlier output of this name has left would make duplicates of what are none.
            forget(&state_dir, &owner, &name).map_err(|error| Some(error.to_string()))?;
            to.add_cursor(&name).map_err(|error| match error {
                CursorError::Closed => None,
                error @ (CursorError::Name(_) | CursorError::Disk(_)) => Some(error.to_string()),
            })
        };
        let added = spawn_blocking(add).await;
        let error = match added {
            Ok(Ok(cursor)) => {
                tracing::info!(stream, output = &**output, %cursor, "a further output begins: what was delivered before does not go there");
                return true;
            }
            Ok(Err(Some(error))) => error,
            Err(failed) if failed.is_panic() => failed.to_string(),
            Ok(Err(None)) | Err(_) => return false,
        };
        failures = failures.saturating_add(1);
        tracing::error!(
            stream,
            output = &**output,
            error,
            retry_s = CURSOR_RETRY.as_secs(),
            "the cursor of an output cannot be made: nothing goes there until it can, and what comes meanwhile does not"
        );
        let now = Instant::now();
        delivery.show(Delivery::SetBack {
            since: delivery.now().since().unwrap_or(now),
            retry_at: now + CURSOR_RETRY,
            reason: format!("its cursor cannot be made: {error}"),
            advice: Some("see to the disk under state_dir: what comes meanwhile does not go to this output"),
            failures,
        });
        tokio::select! {
            () = stop.requested() => return false,
            () = sleep(CURSOR_RETRY) => {}
        }
    }
}

/// Ends an output that is not wanted any more, and forgets where it was.
fn see_out(output: OutputTask, stream: &str, journal: &Arc<Journal>, state_dir: &Path) -> LeavingOutput {
    let (stream, journal, state_dir) = (stream.to_owned(), journal.clone(), state_dir.to_owned());
    let OutputTask {
        wanted,
        status,
        switch,
        mut task,
    } = output;
    let (over, gone) = stop_switch();
    let name = status.name.clone();
    LeavingOutput {
        name: name.clone(),
        gone,
        task: AbortOnDrop::spawn(async move {
            // Dropped at the end, which gives the word.
            let _over = over;
            switch.stop();
            drop(wanted);
            if timeout(LONGEST_LEAVING, task.ended()).await.is_err() {
                task.end_here().await;
            }
            let has_begun = journal.cursor(&name).is_some();
            let (from, of, owner) = (journal.clone(), name.clone(), stream.clone());
            let remove = move || {
                let removed = from.remove_cursor(&of);
                if let Err(error) = forget(&state_dir, &owner, &of) {
                    tracing::warn!(stream = owner, output = &*of, %error, "ids that are not needed stay on disk");
                }
                removed
            };
            let removed = spawn_blocking(remove).await;
            let output = &*name;
            match removed {
                Ok(Ok(_)) if !has_begun => tracing::warn!(stream, output, "the output is gone, and had never begun"),
                Ok(Ok(0)) => tracing::info!(
                    stream,
                    output,
                    "the output is gone: all that was read had been delivered to it"
                ),
                Ok(Ok(bytes)) => tracing::warn!(
                    stream,
                    output,
                    bytes,
                    "the output is gone before all that was read was delivered to it: the rest will not be"
                ),
                // The next start removes it.
                Ok(Err(CursorError::Closed)) | Err(_) => {}
                Ok(Err(error)) => tracing::error!(
                    stream, output, %error,
                    "the output is gone, but its cursor is still on disk: see to the disk; the next start removes it"
                ),
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::{Entry, Limits};
    use crate::id_store::IdStore;
    use crate::journal::{Journals, JournalsSettings, Position};
    use crate::settings::{DedupMode, Output, OutputSettings};

    const LIMITS: Limits = Limits {
        window_ms: 60_000,
        max_ids: 100,
    };

    struct World {
        dir: tempfile::TempDir,
        journal: Arc<Journal>,
        delivery: DeliveryStatus,
        /// Stops the threads when it goes.
        _journals: Journals,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let journals = Journals::start(JournalsSettings {
                state_dir: dir.path().to_owned(),
                sync_interval: Duration::from_millis(10),
                max_bytes: 1 << 20,
                max_bytes_in_all: 1 << 30,
                streams: 1,
            });
            let journals = journals.unwrap();
            Self {
                dir,
                journal: Arc::new(journals.open("web", &[]).unwrap()),
                delivery: DeliveryStatus::default(),
                _journals: journals,
            }
        }

        /// The ids of an output, and how many were there before one was added.
        fn ids(&self, output: &str) -> u64 {
            let beyond = Position(u64::MAX);
            let opened = IdStore::open(self.dir.path(), "web", output, LIMITS, beyond, drop);
            let (mut ids, found) = opened.unwrap();
            let entry = Entry {
                id: (1, 1),
                hash: 1,
                position: 1,
                received_ms: 1,
            };
            ids.append(&[entry]).unwrap();
            found.kept
        }

        async fn add(&self, output: &str) -> bool {
            let (_switch, stop) = stop_switch();
            add_cursor(
                &self.journal,
                self.dir.path(),
                "web",
                &output.into(),
                &self.delivery,
                &stop,
            )
            .await
        }
    }

    #[tokio::test]
    async fn an_output_begins_without_the_ids_of_an_earlier_one_of_its_name() {
        let world = World::new();
        for output in ["sold", "bots", DEFAULT_OUTPUT] {
            assert_eq!(world.ids(output), 0);
        }
        assert!(world.add("sold").await);
        assert_eq!(world.journal.cursor("sold"), Some(Position::default()));
        assert_eq!(
            ["sold", "bots", DEFAULT_OUTPUT].map(|output| world.ids(output)),
            [0, 1, 1]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_output_whose_earlier_ids_cannot_be_forgotten_does_not_begin() {
        let world = World::new();
        // A file is where a directory of ids would be.
        std::fs::create_dir_all(world.dir.path().join("dedup")).unwrap();
        let in_the_way = world.dir.path().join("dedup/web.sold");
        std::fs::write(&in_the_way, "").unwrap();
        let waits = tokio::time::timeout(CURSOR_RETRY / 2, world.add("sold")).await;
        assert!(waits.is_err() && world.journal.cursor("sold").is_none());
        let Delivery::SetBack {
            reason, failures: 1, ..
        } = world.delivery.now()
        else {
            panic!("{:?}", world.delivery.now())
        };
        assert!(reason.contains("cursor cannot be made"), "{reason}");
        std::fs::remove_file(in_the_way).unwrap();
        assert!(world.add("sold").await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_output_that_waits_for_kafka_holds_up_the_journal_no_longer_than_it_may() {
        let world = World::new();
        assert!(world.add("sold").await);
        let one = OutputSettings {
            name: "sold".to_owned(),
            ..OutputSettings::to("sold", "dead")
        };
        let settings = ForwarderSettings {
            name: "web".to_owned(),
            report_suite: "acme".to_owned(),
            output: Arc::new(Output::new(one).unwrap()),
            dedup: DedupSettings {
                mode: DedupMode::Off,
                window: Duration::from_secs(60),
                max_ids: 100,
            },
        };
        let output = OutputTask {
            wanted: watch::Sender::new(Arc::new(settings)),
            status: OutputStatus::new("sold"),
            switch: stop_switch().0,
            task: AbortOnDrop::spawn(std::future::pending()),
        };
        let began = tokio::time::Instant::now();
        let mut leaving = see_out(output, "web", &world.journal, world.dir.path());
        leaving.task.ended().await;
        assert!(began.elapsed() >= LONGEST_LEAVING && began.elapsed() < 2 * LONGEST_LEAVING);
        assert_eq!(world.journal.cursor("sold"), None);
        leaving.gone.requested().await;
    }
}
