//! What a hit goes through, stage by stage, as the daemon has it and by public items only: what is measured is the product, and nothing
//! that looks like it.
//!
//! | module | stage |
//! | --- | --- |
//! | [`framing`] | compressed bytes to runs of whole records |
//! | [`connection`] | the same from a socket on: HTTP, chunks, gzip, records |
//! | [`journal`] | a run of records to disk, and back |
//! | [`forwarding`] | records of a batch, their ids, and whether they were there before |
//! | [`shaping`] | a hit shaped, by shapes such as teams ask for |
//! | [`lifecycle`] | the machine of a connection slot |
//! | [`input`] | the hits that go through them: the same everywhere |
//! | [`whole`] | all of it but the threads and Kafka |

pub mod connection;
pub mod forwarding;
pub mod framing;
#[path = "../input/mod.rs"]
pub mod input;
pub mod journal;
pub mod lifecycle;
pub mod shaping;
pub mod whole;
/// The service's side of a connection.
#[path = "../../fuzz/properties/wire.rs"]
mod wire;
