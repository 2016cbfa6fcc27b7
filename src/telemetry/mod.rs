//! telemetry

pub mod counters;
