//! Whole records, within bounds, and the same ones however the bytes of an answer are cut into reads. See `properties/stream_body.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::stream_body::check(input));
