//! Every line is told what becomes of it. See `properties/outcome.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::outcome::check(input));
