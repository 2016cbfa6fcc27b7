//! How many partitions each topic has, as librdkafka's statistics tell it. A changed number moves keys, and so visitors, to other
//! partitions.
//!
//! Promise: pure. A change is told once, however many producers notice it, and neither a topic that is seen for the first time nor
//! one that is gone for a while is a change.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The numbers of partitions that are known, whichever producer told.
#[derive(Debug, Default)]
pub struct KnownPartitions(HashMap<String, usize>);

/// What one producer told last. Each learns of a change in its own time, so only what is new to it is news.
#[derive(Debug, Default)]
pub struct ToldPartitions(HashMap<String, usize>);

/// A topic that has another number of partitions than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    /// The topic.
    pub topic: String,
    /// How many it had.
    pub before: usize,
    /// How many it has.
    pub after: usize,
}

impl KnownPartitions {
    /// Takes what a producer tells in its statistics, and returns what has changed.
    pub fn note(&mut self, told: &mut ToldPartitions, statistics: &PartitionStatistics) -> Vec<PartitionChange> {
        let mut changes = Vec::new();
        for (topic, after) in statistics.counts() {
            if told.0.get(topic) == Some(&after) {
                continue;
            }
            told.0.insert(topic.to_owned(), after);
            if let Some(before) = self.0.insert(topic.to_owned(), after)
                && before != after
            {
                changes.push(PartitionChange {
                    topic: topic.to_owned(),
                    before,
                    after,
                });
            }
        }
        changes
    }
}

/// The part of librdkafka's statistics (its STATISTICS.md) that tells the partitions by topic. All else is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct PartitionStatistics {
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    #[expect(
        clippy::zero_sized_map_values,
        reason = "it is a map in the JSON, and only its keys are wanted"
    )]
    partitions: HashMap<String, IgnoredAny>,
}

impl PartitionStatistics {
    /// Topics that have partitions, and how many.
    fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.topics.iter().filter_map(|(topic, statistics)| {
            // Partition -1 is where records wait until their topic's partitions are known.
            let count = statistics
                .partitions
                .keys()
                .filter(|id| id.parse::<u32>().is_ok())
                .count();
            (count > 0).then_some((topic.as_str(), count))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Statistics;
    use super::*;
    use proptest::prelude::*;

    fn statistics(topics: &[(&str, usize)]) -> PartitionStatistics {
        let topics: serde_json::Map<_, _> = topics
            .iter()
            .map(|(topic, count)| {
                let ids = (0..*count).map(|id| id.to_string()).chain(["-1".to_owned()]);
                let partitions: serde_json::Map<_, _> = ids
                    .map(|id| {
                        let partition = serde_json::json!({ "partition": id.parse::<i32>().unwrap(), "broker": 1 });
                        (id, partition)
                    })
                    .collect();
                let topic_statistics = serde_json::json!({ "topic": topic, "age": 5, "partitions": partitions });
                ((*topic).to_owned(), topic_statistics)
            })
            .collect();
        let all = serde_json::json!({ "name": "x", "brokers": { "b": { "nodeid": 1 } }, "topics": topics });
        Statistics::read(all.to_string().as_bytes()).unwrap().topics
    }

    fn change(topic: &str, before: usize, after: usize) -> PartitionChange {
        PartitionChange {
            topic: topic.to_owned(),
            before,
            after,
        }
    }

    #[test]
    fn a_changed_number_is_told_once_and_a_first_one_is_no_change() {
        let (mut known, mut told) = (KnownPartitions::default(), ToldPartitions::default());
        assert_eq!(known.note(&mut told, &statistics(&[("a", 3), ("b", 1)])), []);
        assert_eq!(
            known.note(&mut told, &statistics(&[("a", 6), ("b", 1)])),
            [change("a", 3, 6)]
        );
        assert_eq!(known.note(&mut told, &statistics(&[("a", 6), ("b", 1)])), []);
        // Deleted, and made again with fewer.
        assert_eq!(known.note(&mut told, &statistics(&[("a", 0)])), []);
        assert_eq!(known.note(&mut told, &statistics(&[("a", 6)])), []);
        assert_eq!(known.note(&mut told, &statistics(&[("a", 2)])), [change("a", 6, 2)]);
    }

    #[test]
    fn a_producer_that_is_late_or_new_does_not_tell_it_again() {
        let mut known = KnownPartitions::default();
        let (mut one, mut other, mut new) = <(ToldPartitions, ToldPartitions, ToldPartitions)>::default();
        known.note(&mut one, &statistics(&[("a", 3)]));
        known.note(&mut other, &statistics(&[("a", 3)]));
        assert_eq!(known.note(&mut one, &statistics(&[("a", 4)])), [change("a", 3, 4)]);
        assert_eq!(known.note(&mut other, &statistics(&[("a", 3)])), []);
        assert_eq!(known.note(&mut other, &statistics(&[("a", 4)])), []);
        // Built anew, meanwhile with yet another number.
        assert_eq!(known.note(&mut new, &statistics(&[("a", 5)])), [change("a", 4, 5)]);
        assert_eq!(known.note(&mut one, &statistics(&[("a", 5)])), []);
    }

    #[test]
    fn statistics_without_topics_and_with_unknown_ones_are_read() {
        let (mut known, mut told) = (KnownPartitions::default(), ToldPartitions::default());
        for json in ["{}", r#"{"topics":{}}"#, r#"{"topics":{"a":{"partitions":{"-1":{}}}}}"#] {
            let read = Statistics::read(json.as_bytes()).unwrap();
            assert_eq!(known.note(&mut told, &read.topics), [], "{json}");
        }
        assert!(Statistics::read(b"{").is_err());
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// The topic gets so many partitions more.
        Grow(usize),
        /// One of the producers asks the cluster, and tells.
        Refresh(usize),
        /// One of them tells what it knew already.
        Tell(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..5_usize).prop_map(Step::Grow),
            (0..3_usize).prop_map(Step::Refresh),
            (0..3_usize).prop_map(Step::Tell),
        ]
    }

    proptest! {
        #[test]
        fn each_change_is_told_once_whoever_tells_it_first(steps in prop::collection::vec(step(), 1..60)) {
            let mut known = KnownPartitions::default();
            let mut producers = <[(ToldPartitions, Option<usize>); 3]>::default();
            let (mut truth, mut latest, mut changes) = (1, None, Vec::new());
            for step in steps {
                let index = match step {
                    Step::Grow(more) => {
                        truth += more;
                        continue;
                    }
                    Step::Refresh(index) => {
                        producers[index].1 = Some(truth);
                        if latest.is_some_and(|latest| latest != truth) {
                            changes.push(change("a", latest.unwrap_or_default(), truth));
                        }
                        latest = Some(truth);
                        index
                    }
                    Step::Tell(index) => index,
                };
                let (told, count) = &mut producers[index];
                let Some(count) = *count else { continue };
                let found = known.note(told, &statistics(&[("a", count)]));
                prop_assert_eq!(found.as_slice(), changes.as_slice());
                changes.clear();
            }
        }
    }
}
