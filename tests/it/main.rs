//! Integration tests, all in one program: one broker for all of them, and one link of librdkafka.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and its support may do so too"
)]

mod benchmark;
mod broker;
mod browser;
mod daemon;
mod guarantees;
mod hostile;
mod layering;
mod operations;
mod process;
mod support;
