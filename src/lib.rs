//! livestreamd forwards Adobe Analytics Live Stream into Apache Kafka: it never loses a hit it was given, nor hammers the service.
//!
//! The floor map, from the ground up; arrows between modules point downward only (`tests/it/layering.rs` holds them to it).
//!
//! | floor | module | job |
//! | --- | --- | --- |
//! | pure | [`buffers`] | memory that is used again and again |
//! | pure | [`lifecycle`] | when may a connection slot connect? |
//! | pure | [`framing`] | compressed bytes in, whole records out |
//! | pure | [`hit`] | the ids in a record, and whether it is a hit at all |
//! | pure | [`dedup`] | has this hit been there before? |
//! | pure | [`shape`] | what of a hit is forwarded, and where to |
//! | settings | [`settings`] | configuration: every fault at once, or typed settings |
//! | telemetry | [`telemetry`] | logs, counts and the state of each stream, for people to see |
//! | model | [`status`] | what the daemon says of itself, and whether it works |
//! | edge | [`clock`] | time since boot, and the name of the boot |
//! | edge | [`state_dir`] | the directory on disk: private, and held by one daemon |
//! | edge | [`leases`] | what a slot must remember across restarts, durable before a connect goes out |
//! | edge | [`journal`] | the queue between reading and forwarding |
//! | edge | [`quarantine`] | what could not be read or sent, kept for a person, within bounds |
//! | edge | [`id_store`] | the ids of what is delivered, so that a restart forgets none |
//! | edge | [`upstream`] | token, request, redirects, and the body of a Live Stream connection |
//! | edge | [`kafka`] | the producer, and the forwarder that moves the cursor |
//! | edge | [`simulator`] | a Live Stream service for trials and tests |
//! | driver | [`stream`] | one slot's driver, one stream's tasks |
//! | driver | [`supervisor`] | all streams: start, restart, stop |
//! | driver | [`service_manager`] | tells systemd how the daemon is, and that it is alive |
//! | driver | [`admin`] | status, health and metrics over HTTP; reads what is posted and changes nothing |
//! | app | [`app`], [`demo`] | the daemon put together; the demonstration |
//! | cli | [`cli`], [`exit_code`] | the command line |

pub mod admin;
#[cfg(feature = "kafka")]
pub mod app;
pub mod buffers;
#[cfg(feature = "kafka")]
pub mod cli;
pub mod clock;
pub mod dedup;
#[cfg(feature = "kafka")]
pub mod demo;
pub mod exit_code;
pub mod framing;
pub mod hit;
pub mod id_store;
pub mod journal;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod leases;
pub mod lifecycle;
pub mod quarantine;
pub mod service_manager;
pub mod settings;
pub mod shape;
pub mod simulator;
pub mod state_dir;
pub mod status;
pub mod stream;
#[cfg(feature = "kafka")]
pub mod supervisor;
pub mod telemetry;
pub mod upstream;
