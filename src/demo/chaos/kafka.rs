//! The Kafka of a chaotic run: its topics, and the switch by which it goes away and comes back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::demo::embedded_kafka::{EmbeddedKafka, PARTITIONS};

/// How long a question to a cluster may take.
const ASK: Duration = Duration::from_secs(30);
/// How often a fresh topic is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// How Kafka goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// In good order.
    Stopped,
    /// Killed.
    Killed,
}

/// Lets a Kafka go away and come back.
pub trait KafkaSwitch {
    /// Lets it go away. It is away when this returns.
    ///
    /// # Errors
    /// If it cannot be stopped.
    fn go_away(&mut self, how: Leaving) -> anyhow::Result<()>;

    /// Lets it come back. It may take a while, and is not waited for.
    ///
    /// # Errors
    /// If it cannot be started.
    fn come_back(&mut self) -> anyhow::Result<()>;
}

impl KafkaSwitch for &EmbeddedKafka {
    fn go_away(&mut self, _how: Leaving) -> anyhow::Result<()> {
        EmbeddedKafka::go_away(self)
    }

    fn come_back(&mut self) -> anyhow::Result<()> {
        EmbeddedKafka::come_back(self)
    }
}

/// The topics of a run.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
}

impl Topics {
    /// Topics whose names begin so.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The topic of a stream; `{stream}` gives what the configuration wants.
    pub fn of(&self, stream: &str) -> String {
        format!("{}.{stream}", self.prefix)
    }

    /// The topic of the dead letters.
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letter", self.prefix)
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        let streams = super::STREAMS.iter().map(|stream| self.of(stream));
        streams.chain([self.dead_letters()]).collect()
    }

    /// Makes them, with [`PARTITIONS`] partitions each, and waits until they can be used.
    ///
    /// # Errors
    /// If the cluster does not answer or refuses.
    pub async fn create(&self, brokers: &str) -> anyhow::Result<()> {
        let admin = admin(brokers)?;
        let names = self.all();
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1)))
            .collect();
        let created = admin.create_topics(&topics, &options()).await;
        for created in created.with_context(|| format!("cannot make topics at {brokers}"))? {
            if let Err((name, why)) = created {
                bail!("cannot make the topic {name} at {brokers}: {why}");
            }
        }
        // The controller has them now; the brokers that clients ask hear of it a moment later.
        for name in &names {
            let deadline = tokio::time::Instant::now() + ASK;
            while !is_there(&admin, name) {
                if tokio::time::Instant::now() > deadline {
                    bail!("the topic {name} was made at {brokers}, and is not there");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Deletes them.
    ///
    /// # Errors
    /// If the cluster does not answer or refuses.
    pub async fn delete(&self, brokers: &str) -> anyhow::Result<()> {
        let names = self.all();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for deleted in admin(brokers)?.delete_topics(&names, &options()).await? {
            if let Err((name, why)) = deleted {
                bail!("cannot delete the topic {name} at {brokers}: {why}");
            }
        }
        Ok(())
    }
}

fn admin(brokers: &str) -> anyhow::Result<AdminClient<DefaultClientContext>> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .context("cannot make a client for Kafka")
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ASK))
        .operation_timeout(Some(ASK))
}

fn is_there(admin: &AdminClient<DefaultClientContext>, topic: &str) -> bool {
    let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(2));
    metadata.is_ok_and(|metadata| {
        let partitions: usize = metadata.topics().iter().map(|topic| topic.partitions().len()).sum();
        partitions == PARTITIONS as usize
    })
}
