//! What librdkafka tells of itself every so often (`statistics.interval.ms`), all producers together.
//!
//! Promise: what is counted never goes back, though each producer counts anew. A text is parsed once, for this and for
//! [`super::partitions`]; of what is not wanted, which is nearly all of it, nothing is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::partitions::PartitionStatistics;
use super::producer::Pace;
use crate::status;

/// What is read of librdkafka's statistics (its STATISTICS.md). All else is skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Statistics {
    /// Records in its queues.
    #[serde(default)]
    msg_cnt: i64,
    /// Their bytes.
    #[serde(default)]
    msg_size: i64,
    #[serde(default)]
    brokers: HashMap<String, BrokerStatistics>,
    /// The partitions of topics.
    #[serde(default)]
    pub(super) topics: PartitionStatistics,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct BrokerStatistics {
    nodeid: i32,
    source: String,
    state: String,
    connects: i64,
    txerrs: i64,
    rxerrs: i64,
    req_timeouts: i64,
    rtt: Window,
}

/// Since the statistics before, in microseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    avg: i64,
    cnt: i64,
}

impl Default for BrokerStatistics {
    fn default() -> Self {
        Self {
            nodeid: -1,
            source: String::new(),
            state: String::new(),
            connects: 0,
            txerrs: 0,
            rxerrs: 0,
            req_timeouts: 0,
            rtt: Window::default(),
        }
    }
}

impl Statistics {
    /// Reads the statistics, JSON as librdkafka writes it.
    ///
    /// # Errors
    /// If it is not what librdkafka writes.
    pub(super) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    fn link(&self) -> LinkStatistics {
        let mut link = LinkStatistics {
            queue_records: natural(self.msg_cnt),
            queue_bytes: natural(self.msg_size),
            ..LinkStatistics::default()
        };
        for (name, broker) in &self.brokers {
            let Some(known) = broker.known_as(name) else { continue };
            link.brokers.insert(known, broker.is_up());
            link.request_errors += [broker.txerrs, broker.rxerrs, broker.req_timeouts]
                .map(natural)
                .iter()
                .sum::<u64>();
            link.connection_errors += natural(broker.connects).saturating_sub(u64::from(broker.is_connected()));
            if broker.is_up() && broker.rtt.cnt > 0 {
                let seconds = natural(broker.rtt.avg) as f64 / 1e6;
                link.round_trip = Some(link.round_trip.unwrap_or_default().max(seconds));
            }
        }
        link
    }
}

impl BrokerStatistics {
    /// `None` for what is no broker, such as librdkafka's place for requests to whichever broker.
    fn known_as(&self, name: &str) -> Option<KnownAs> {
        match self.source.as_str() {
            "learned" | "configured" if self.nodeid >= 0 => Some(KnownAs::Node(self.nodeid)),
            "configured" => Some(KnownAs::Configured(name.to_owned())),
            _ => None,
        }
    }

    fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "UP" | "REAUTH")
    }

    /// Connected, or about to be: the last of its `connects` has not failed, or not yet.
    fn is_connected(&self) -> bool {
        !matches!(self.state.as_str(), "INIT" | "DOWN" | "TRY_CONNECT")
    }
}

/// Who a broker is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KnownAs {
    /// It told its number.
    Node(i32),
    /// It stands in `kafka.brokers`, and is not known by number: nobody was reached there, or the broker goes by another name as well.
    Configured(String),
}

/// What one producer tells.
#[derive(Clone, Debug, Default)]
struct LinkStatistics {
    queue_records: u64,
    queue_bytes: u64,
    /// Whether they are up.
    brokers: BTreeMap<KnownAs, bool>,
    round_trip: Option<f64>,
    request_errors: u64,
    connection_errors: u64,
}

/// What librdkafka tells, all producers together. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KafkaStatus(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    /// By the number of the entry.
    links: BTreeMap<u64, LinkEntry>,
    entries: u64,
    /// By the pace of the producer: it was given up, and none is in its place yet.
    vacant: BTreeSet<&'static str>,
    rebuilds: u64,
    request_errors: u64,
    connection_errors: u64,
}

#[derive(Debug)]
struct LinkEntry {
    pace: &'static str,
    given_up: bool,
    latest: LinkStatistics,
}

impl KafkaStatus {
    /// A producer was built.
    pub(super) fn enter(&self, pace: Pace) -> Entry {
        let mut all = self.all();
        let (number, pace) = (all.entries, pace.name());
        all.entries += 1;
        all.rebuilds += u64::from(all.vacant.remove(pace));
        let link = LinkEntry {
            pace,
            given_up: false,
            latest: LinkStatistics::default(),
        };
        all.links.insert(number, link);
        drop(all);
        Entry {
            status: self.clone(),
            number,
        }
    }

    /// As it is now, without the addresses.
    pub fn now(&self) -> status::Kafka {
        let all = self.all();
        let mut brokers: BTreeMap<&KnownAs, bool> = BTreeMap::new();
        let mut now = status::Kafka {
            rebuilds: all.rebuilds,
            request_errors: all.request_errors,
            connection_errors: all.connection_errors,
            ..status::Kafka::default()
        };
        for link in all.links.values() {
            // What is in its queue takes up memory until it is gone.
            now.queue_records += link.latest.queue_records;
            now.queue_bytes += link.latest.queue_bytes;
            if link.given_up {
                continue;
            }
            now.producers += 1;
            for (known_as, is_up) in &link.latest.brokers {
                *brokers.entry(known_as).or_default() |= is_up;
            }
            let slower = |other: f64| now.round_trip_seconds.map_or(other, |one| one.max(other));
            now.round_trip_seconds = link.latest.round_trip.map(slower).or(now.round_trip_seconds);
        }
        let numbered = brokers.keys().any(|known_as| matches!(known_as, KnownAs::Node(_)));
        brokers.retain(|known_as, _| !numbered || matches!(known_as, KnownAs::Node(_)));
        now.brokers_known = brokers.len() as u64;
        now.brokers_up = brokers.values().filter(|is_up| **is_up).count() as u64;
        now
    }

    fn all(&self) -> MutexGuard<'_, All> {
        // Nothing panics while it holds the lock, so a poisoned one is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One producer's part in it. Dropped when the producer is gone: what it counted stays.
#[derive(Debug)]
pub(super) struct Entry {
    status: KafkaStatus,
    number: u64,
}

impl Entry {
    /// Takes what the producer tells.
    pub(super) fn note(&self, statistics: &Statistics) {
        let latest = statistics.link();
        let mut all = self.status.all();
        let Some(link) = all.links.get_mut(&self.number) else {
            return;
        };
        let before = std::mem::replace(&mut link.latest, latest.clone());
        // A broker that left the cluster takes its numbers along.
        all.request_errors += latest.request_errors.saturating_sub(before.request_errors);
        all.connection_errors += latest.connection_errors.saturating_sub(before.connection_errors);
    }

    /// The producer is of no more use.
    pub(super) fn give_up(&self) {
        let mut all = self.status.all();
        if let Some(link) = all.links.get_mut(&self.number)
            && !std::mem::replace(&mut link.given_up, true)
        {
            let pace = link.pace;
            all.vacant.insert(pace);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.status.all().links.remove(&self.number);
    }
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
