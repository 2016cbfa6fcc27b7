//! An embedded Kafka: librdkafka's mock cluster, and a reader that notes what arrives.
//!
//! The mock keeps only the last few MiB of each partition, so the reader runs from the beginning, all the time.

use std::ops::Deref;

use anyhow::Context as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::reader::Reader;

/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;
/// The mock's brokers are numbered from 1, and there is one.
const BROKER: i32 = 1;

/// A mock cluster with topics, and its [`Reader`].
pub struct EmbeddedKafka {
    // Ends before the cluster does.
    reader: Reader,
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedKafka {
    /// Starts the cluster with these topics and reads them from now on.
    pub fn start(topics: &[String]) -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("cannot start librdkafka's mock cluster")?;
        for topic in topics {
            cluster
                .create_topic(topic, PARTITIONS, 1)
                .with_context(|| format!("cannot make the topic {topic}"))?;
        }
        let reader = Reader::start(&cluster.bootstrap_servers(), topics, PARTITIONS)?;
        Ok(Self { reader, cluster })
    }

    /// For `kafka.brokers`.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Lets the broker go away: its connections break and no new ones can be made. What it holds stays.
    pub fn go_away(&self) -> anyhow::Result<()> {
        self.cluster
            .broker_down(BROKER)
            .context("cannot stop librdkafka's mock broker")
    }

    /// Lets the broker come back.
    pub fn come_back(&self) -> anyhow::Result<()> {
        self.cluster
            .broker_up(BROKER)
            .context("cannot start librdkafka's mock broker again")
    }
}

impl Deref for EmbeddedKafka {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
