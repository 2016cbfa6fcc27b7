//! What is logged of a journal: each fault once, and one line for each change of its condition.

use std::time::{Duration, Instant, SystemTime};

use super::super::faults::Fault;
use super::Durable;
use super::told::News;

/// A journal counts as full in the log until nobody has had to wait for so long.
const FULL_AFTERGLOW: Duration = Duration::from_secs(5);

impl Durable {
    pub(super) fn report(&self, faults: Vec<Fault>) {
        let stream = self.name.as_str();
        for fault in &faults {
            self.front().faults.count(fault);
        }
        for fault in faults {
            match fault {
                Fault::Cut { damage, kept } => {
                    let kept = kept.map_or_else(|| "nowhere: only zeros".to_owned(), |kept| kept.display().to_string());
                    tracing::warn!(
                        stream, position = %damage.position, bytes = damage.bytes, why = %damage.why, kept,
                        "the journal ended in the middle of a batch, as after a crash: it was cut off there"
                    );
                }
                Fault::Damaged { segment, damage } => tracing::error!(
                    stream, segment, position = %damage.position, bytes = damage.bytes, why = %damage.why,
                    "damage in the journal: it is passed over, and the segment will be set aside"
                ),
                Fault::SetAside { to } => {
                    tracing::warn!(stream, file = %to.display(), "a segment with damage is set aside");
                }
                Fault::Missing { segment, bytes } => {
                    tracing::error!(
                        stream,
                        segment,
                        bytes,
                        "a segment of the journal is gone, and nobody here removed it"
                    );
                }
                Fault::CursorUnreadable { name, kept } => tracing::error!(
                    stream, cursor = name, kept = %kept.display(),
                    "the cursor cannot be read: everything that is still in the journal is forwarded again"
                ),
                Fault::CursorNotWanted {
                    name,
                    bytes,
                    kept,
                    left,
                } => {
                    let kept = kept.map(|kept| kept.display().to_string());
                    tracing::warn!(
                        stream,
                        cursor = name,
                        bytes,
                        kept,
                        not_removed = left,
                        "a cursor of an output that is gone is removed: what that output had not delivered is not kept for it any more"
                    );
                }
                Fault::NotSynced { from, to, error } => {
                    let text = "what was appended could not be made durable: a power loss may take it. The journal goes on in a new segment";
                    let told = {
                        let mut front = self.front();
                        let now = front.began.elapsed();
                        front.told.not_synced(now)
                    };
                    if let Some(told) = told {
                        let (times, since) = (told.repeated(), told.since(SystemTime::now()));
                        tracing::error!(stream, %from, %to, error, times, since, "{text}");
                    } else {
                        tracing::debug!(stream, %from, %to, error, "{text}");
                    }
                }
            }
        }
    }

    /// One line for each change, unless it comes and goes all the time.
    pub(super) fn log_condition(&self) {
        let waiting = self.is_waiting();
        let mut front = self.front();
        if waiting {
            front.waited = Some(Instant::now());
        }
        let glows = front.waited.is_some_and(|waited| waited.elapsed() < FULL_AFTERGLOW);
        let condition = front.condition(waiting || glows);
        let now = front.began.elapsed();
        let Some(news) = front.told.look(&condition, now) else {
            return;
        };
        let backlog_bytes = front.backlog();
        drop(front);
        let stream = self.name.as_str();
        match news {
            News::TakesAgain { before, over } => {
                let (times, trouble_s) = (over.times, over.lasted.as_secs());
                let text = "the journal takes batches again";
                tracing::info!(stream, backlog_bytes, %before, times, trouble_s, "{text}");
            }
            News::TakesNothing => {
                let text = "the journal takes nothing: reading waits until it does";
                tracing::error!(stream, backlog_bytes, %condition, "{text}");
            }
        }
    }
}
