//! The daemon as its operators run it: the real binary as a child process, a simulated Live Stream service in the test process, and a
//! real Kafka broker. The service's ledger is the judge, and its clock the only one that says what was early.
//!
//! | module | holds |
//! | --- | --- |
//! | [`child`] | the binary as a child process: its arguments, signals, output and exit code |
//! | [`trial`] | a service, topics and a configuration that fit together |
//! | [`hush`] | what must not stand in a log |
//! | [`judge`] | the ledger held against what arrived in the topics |
//! | [`murmur2`] | the partition that a Java client gives for a key |
//!
//! The other modules are the tests.

mod admin;
mod backlog;
mod certificates;
mod chaos;
pub mod child;
mod commands;
mod crashing;
mod forwarding;
mod gaps;
mod hush;
mod journal;
mod judge;
mod kafka_security;
mod many;
mod murmur2;
mod outputs;
mod proxies;
mod reloading;
mod remembering;
mod resetting;
mod secrecy;
mod service_manager;
mod shaping;
mod status;
mod stopping;
mod tools;
mod top;
mod trial;
mod trying_out;
mod upgrading;
