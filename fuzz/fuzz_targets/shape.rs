//! A shape gives every hit a verdict, and faults of its texts have a place. See `properties/shape.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::shape::check(input));
