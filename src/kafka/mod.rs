//! Kafka: the producer that all streams share, and the forwarder that moves a stream's cursor.
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | our defaults, the operator's properties on top, and every fault in them at once |
//! | [`failure`] | what a Kafka error means for a stream, and how long it then waits |
//! | [`in_flight`] | what was produced and not yet reported: decides where the cursor may stand |
//! | [`log_digest`] | librdkafka's log lines, repeated ones summed up |
//! | `link` | one librdkafka producer and its poll thread; how it ends |
//! | `lane` | a stream's way into a link |
//! | `reports` | what librdkafka says on the poll thread |
//! | `watchdog` | when do records wait in vain? |
//! | `trouble` | how a stream fares: its patience, and the company it keeps |
//! | `partitions` | topics whose number of partitions has changed |
//! | [`statistics`] | [`KafkaStatus`]: what librdkafka tells of itself, all producers together |
//! | [`producer`] | [`Producer`]: the links in use, built anew when they fail or are left |
//! | `message` | a message as rdkafka takes it |
//! | [`repeats`] | which hits were there before |
//! | [`forwarder`] | [`forward`]: tails a journal into Kafka, and keeps in the quarantine what is too large for it |
//! | [`refusal`] | what librdkafka's words about a login or a handshake mean, and what to do |
//! | `said` | what librdkafka says, made fit to be shown |
//! | `certificate` | why the certificate of a broker is not trusted |
//! | [`metadata`] | what `check` asks of librdkafka and of a cluster |
//!
//! Promise: a cursor moves only over records whose delivery report said success, and one stream's failure stops no other.

mod certificate;
pub mod config;
pub mod failure;
pub mod forwarder;
pub mod in_flight;
mod lane;
mod link;
pub mod log_digest;
mod message;
pub mod metadata;
mod partitions;
pub mod producer;
pub mod refusal;
pub mod repeats;
mod reports;
mod said;
pub mod statistics;
mod trouble;
mod watchdog;

pub use config::PropertyFault;
pub use forwarder::{ForwardEnd, ForwarderSettings, forward};
pub use metadata::{ClusterInfo, metadata, try_out};
pub use producer::Producer;
pub use repeats::IdsKept;
pub use statistics::KafkaStatus;
