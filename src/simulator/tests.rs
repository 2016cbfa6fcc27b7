//! The whole simulator, met by a plain client on real loopback sockets.
//!
//! The client of these tests reads chunked coding by itself and gzip by flate2's own decoder, so that it shares nothing with the
//! writer. Nothing sleeps: tests wait for what the ledger says, or for bytes.

mod answers;
mod client;
mod outside;
mod reconnects;
mod stream_faults;
