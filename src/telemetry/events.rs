//! The log's latest lines, kept in memory to be shown: to who asks now, and to who watches.
//!
//! Promise: bounded, in events and in the bytes of each. What is kept does not depend on `log.filter`: every line of this program from level
//! info upwards is, and nothing is asked for lines below that. It holds what the log holds, so no personal data and no secret.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Bounds, Fields, is_ours};

/// How many events are kept.
pub const KEPT: usize = 200;
/// How many events a watcher may lag behind before it misses some.
const LAG: usize = 256;
/// With [`KEPT`] events less than 2 MB, whatever they say.
const BOUNDS: Bounds = Bounds {
    text: 2 * 1024,
    all: 4 * 1024,
};

/// One thing that happened: a log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1 since the daemon started: whoever sees a hole has missed some.
    pub seq: u64,
    /// When: RFC 3339 in UTC, with milliseconds.
    pub at: String,
    /// `ERROR`, `WARN` or `INFO`.
    pub level: String,
    /// Which stream it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Which of its connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// What happened.
    pub text: String,
    /// The further fields of the log line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The latest events. Clones share them.
#[derive(Clone, Debug)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<Kept>,
    news: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Kept {
    last_seq: u64,
    events: VecDeque<Arc<Event>>,
}

/// Sees each event from some moment on.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<Arc<Event>>);

/// What a watcher sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The next event.
    Event(Arc<Event>),
    /// It was too slow: so many events are gone, and the next one comes after them.
    Missed(u64),
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            kept: Mutex::default(),
            news: broadcast::Sender::new(LAG),
        }))
    }

    /// The last `most` events, or as many as there are kept; the newest comes last.
    pub fn recent(&self, most: usize) -> Vec<Arc<Event>> {
        self.kept().recent(most)
    }

    /// To see each event from now on.
    pub fn watch(&self) -> Watch {
        Watch(self.0.news.subscribe())
    }

    /// Both, with no event between them and none in both.
    pub fn follow(&self, most: usize) -> (Vec<Arc<Event>>, Watch) {
        let kept = self.kept();
        (kept.recent(most), self.watch())
    }

    /// What notes the events of this process.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> impl Layer<S> + use<S> {
        Recorder(self.clone()).with_filter(FilterFn::new(is_kept).with_max_level_hint(LevelFilter::INFO))
    }

    fn note(&self, level: Level, fields: Fields) {
        let mut event = Event {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            level: level.as_str().to_owned(),
            text: fields.message,
            ..Event::default()
        };
        for (name, value) in fields.values {
            match (name, value.parse()) {
                ("stream", _) => event.stream = Some(value),
                ("slot", Ok(slot)) => event.slot = Some(slot),
                _ => {
                    event.fields.insert(name.to_owned(), value);
                }
            }
        }
        let mut kept = self.kept();
        kept.last_seq += 1;
        event.seq = kept.last_seq;
        let event = Arc::new(event);
        if kept.events.len() >= KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(Arc::clone(&event));
        // While nobody else can note one, so that watchers see them in their order. That nobody watches is no fault.
        let _ = self.0.news.send(event);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn recent(&self, most: usize) -> Vec<Arc<Event>> {
        let skipped = self.events.len().saturating_sub(most);
        self.events.iter().skip(skipped).cloned().collect()
    }
}

impl Watch {
    /// Waits for what comes next. None when there will be no more events.
    pub async fn next(&mut self) -> Option<News> {
        match self.0.recv().await {
            Ok(event) => Some(News::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(News::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Lines of this program; those of librdkafka are passed on by it, and count.
fn is_kept(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.module_path().is_some_and(is_ours)
}

struct Recorder(Events);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.note(*event.metadata().level(), Fields::of(event, BOUNDS));
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
